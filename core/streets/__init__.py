"""A street net from a street field: traced, cleaned, laid gently, joined. ``build.streets`` is the door."""
