"""Files of scenes: the user's layers in metres, a DEM under them; layers, rasters and a report out.

Knows shapes, columns and cells, not how scenes come about. Imports vector, raster, page, plots and the ground of core.
"""

from __future__ import annotations

from .heights import Relief, read_relief
from .layers import Table, tags_of, write_tables
from .place import Place, place_of, place_of_layers, read_area
from .reports import section, write_report
from .user_layers import UserLayer, nothing, read_every, read_layer

__all__ = [
    "Place", "Relief", "Table", "UserLayer", "nothing", "place_of", "place_of_layers", "read_area", "read_every",
    "read_layer", "read_relief", "section", "tags_of", "write_report", "write_tables",
]  # fmt: skip
