"""Vector files: polygons and lines in the CRS of a DEM, features out; the only user of pyogrio.

Arrays in and arrays out, so that millions of points are no burden. Raster and vector files are read by two copies of
GDAL, rasterio's and pyogrio's, which do not know each other's settings; a test runs both in one process.
"""

from __future__ import annotations

from .features import Features, Growing, Piece, free_name, growing, of_points
from .placing import straightened
from .reading import layers_of, read_lines, read_polygons
from .writing import DRIVERS, Layer, require_place, write, write_layers

__all__ = [
    "DRIVERS", "Features", "Growing", "Layer", "Piece", "free_name", "growing", "layers_of", "of_points",
    "read_lines", "read_polygons", "require_place", "straightened", "write", "write_layers",
]  # fmt: skip
