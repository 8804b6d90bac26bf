"""Blocks: the faces of a street net, less its carriageways."""
