"""Buildings from the finest fields: instances, straight walls, footprints, heights. ``build.buildings`` is the door."""
