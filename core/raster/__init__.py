"""Raster files: the door where units, no-data, masks and orientation are settled, and the only user of rasterio.

A :class:`Source` gives float64 metres and a boolean ``valid``, north-up, for any window, mirrored beyond the edges.
A :class:`Sink` writes one GeoTIFF under a temporary name in the same folder and renames it when it is complete.
"""

from __future__ import annotations

from .door import CACHE_MB, GDAL_ERRORS, environment
from .encoding import Encoded, encode, encode_classes
from .fitted import FittedFile, holds_fitted
from .layout import second_pass_bytes
from .sink import Sink, abandon_unfinished, check_folder
from .source import Bools, Floats, Reading, Source, announce, mirror, read_all, read_grid
from .statistics import Statistics
from .writing import DEFAULT_NODATA, ROUNDING, Writing, block_side, layout_options

__all__ = [
    "CACHE_MB", "DEFAULT_NODATA", "GDAL_ERRORS", "ROUNDING", "Bools", "Encoded", "FittedFile", "Floats", "Reading",
    "Sink", "Source", "Statistics", "Writing", "abandon_unfinished", "announce", "block_side", "check_folder", "encode",
    "encode_classes", "environment", "holds_fitted", "layout_options", "mirror", "read_all", "read_grid",
    "second_pass_bytes",
]  # fmt: skip
