"""The door to rasterio: opening files, GDAL's errors and its environment. The package around it is its only user."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

CACHE_MB = 64

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)
"""What rasterio raises; closing a file lets GDAL's own errors through."""


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """GDAL as a job needs it: a small block cache, so that memory stays bounded."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        yield


@contextlib.contextmanager
def anywhere() -> Iterator[None]:
    """Keep rasterio from warning of rasters without a place on the ground; not for use in several threads at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def open_raster(path: str | Path, mode: str = "r", **profile: Any) -> Any:
    """Open a raster; one without any placement is told by its reader, not by a Python warning."""
    with anywhere():
        return rasterio.open(path, mode, **profile)


def reason(error: Exception) -> str:
    """GDAL's own words; rasterio only says that there was a previous exception."""
    return str(error.__cause__ or error).rstrip(".")
