"""Files of fitted surfaces: a DEM of cell averages that holds what makes the surface continuous in further bands.

Band 1 are averages over the cells, so that the file is a DEM for everybody. Band 2 are the coefficients of the bicubic
B-spline whose averages they are; it reaches three cells beyond band 1. Band 3 is half the width of the band that holds
the true height nine times in ten. All are in the unit of the heights. A tag says on which cells the surface lies: a
file that was cut, warped or scaled has others, and is a plain DEM.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from .. import grid as grids
from ..aside import written
from ..errors import TerrainError
from ..grid import Grid
from ..tiling import Window
from .door import GDAL_ERRORS, open_raster, reason
from .writing import DEFAULT_NODATA

TAG = "NEURAL_TERRAIN_FITTED"
BANDS = ("Elevation", "B-spline coefficients", "90 % error")
COEFFICIENTS, ERROR90 = 2, 3
BLOCK_PX = 256
"""Side of the blocks of the file."""

PARTS = 2.0**16
"""Numbers are stored in whole parts of the unit: fine enough for curvatures, and far smaller files."""


class FittedFile:
    """A fitted surface that is being written; see :func:`FittedFile.made`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @classmethod
    @contextlib.contextmanager
    def made(cls, path: str, grid: Grid, unit: str, tags: Mapping[str, str]) -> Iterator[FittedFile]:
        """A file that appears at ``path`` when the block is left."""
        place = {"version": 1, "cells": [grid.rows, grid.cols, grid.x0, grid.y0, grid.dx, grid.dy]}
        profile = {
            "driver": "GTiff", "dtype": "float64", "count": len(BANDS), "height": grid.rows, "width": grid.cols,
            "transform": Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0), "nodata": DEFAULT_NODATA,
            "crs": grid.crs or None, "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "ZSTD",
            "zstd_level": 9, "predictor": 3, "interleave": "band", "bigtiff": "IF_SAFER", "sparse_ok": True,
        }  # fmt: skip
        with written(path) as part:
            try:
                with open_raster(part, "w", **profile) as file:
                    file.update_tags(**{TAG: json.dumps(place), **tags})
                    file.descriptions, file.units = BANDS, (unit,) * len(BANDS)
                    yield cls(file)
            except GDAL_ERRORS as error:
                raise TerrainError(
                    f"The output {path} cannot be written ({reason(error)}); make room or choose another folder."
                ) from error

    def write(self, window: Window, bands: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Write a window of all bands, ``(3, rows, cols)``; NaN becomes no-data."""
        stored = np.round(bands * PARTS) / PARTS
        stored[stored == DEFAULT_NODATA] += 1 / PARTS
        stored[~np.isfinite(bands)] = DEFAULT_NODATA
        self._file.write(stored, window=FileWindow(window.col, window.row, window.cols, window.rows))


def is_changed(file: Any) -> bool:
    """Whether an open file was made of a fitted surface: a part of it, or one on other cells."""
    return TAG in file.tags() and not is_whole(file)


def is_whole(file: Any) -> bool:
    """Whether an open file is a fitted surface on the cells that it was made for."""
    if file.count != len(BANDS) or TAG not in file.tags():
        return False
    try:
        rows, cols, x0, y0, dx, dy = json.loads(file.tags()[TAG])["cells"]
    except (ValueError, KeyError, TypeError):
        return False
    place = file.transform
    there = (place.c, place.f, place.a, -place.e)
    close = np.allclose(there, (x0, y0, dx, dy), rtol=0, atol=grids.TOLERANCE_PX * min(dx, dy))
    return (file.height, file.width) == (rows, cols) and bool(close)


def holds_fitted(path: str, band: int) -> bool:
    """Whether a path leads to a fitted surface; what cannot be opened is none."""
    try:
        with open_raster(path) as file:
            return band == 1 and is_whole(file)
    except RasterioError:
        return False
