"""From heights to stored bytes: rounding, no-data and compression of one tile, in any thread or process.

GDAL compresses: a tile becomes a small GeoTIFF in memory with the creation options of the output, whose blocks are then
taken out. Knows nothing of the file that they go to.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from ..errors import TerrainError
from ..vertical import METRES
from .blocks import blocks_of
from .door import GDAL_ERRORS, reason
from .source import Bools, Floats
from .statistics import Statistics
from .writing import Writing, block_profile

HALF_UP = 0.5 + 1e-6
"""Added before the fraction is cut. A lake whose level is half a step would else be rounded up here and down there."""

CELLS_AT_A_TIME = 1 << 15
"""Rounding works on so many cells at a time, which stay in the processor's cache."""


@dataclass(frozen=True)
class Encoded:
    """A tile as it is stored: plain values that may travel between processes.

    Attributes
    ----------
    blocks
        Bytes of its blocks row by row; empty where a sparse file leaves one out.
    statistics
        Of its valid stored values; without any for classes.
    crc
        CRC-32 of all blocks one after another.

    """

    blocks: tuple[bytes, ...]
    statistics: Statistics
    crc: int


def encode(writing: Writing, heights_m: Floats, valid: Bools) -> Encoded:
    """Heights in metres as stored bytes; cells that are not valid become no-data.

    Raises :class:`TerrainError` where GDAL cannot compress with the options of ``writing``.
    """
    values, statistics = _stored(writing, heights_m, valid)
    return _compress(writing, values, statistics)


def encode_classes(writing: Writing, numbers: NDArray[np.uint8]) -> Encoded:
    """Numbers of :attr:`Writing.classes` as stored bytes."""
    return _compress(writing, numbers, Statistics())


def _compress(writing: Writing, values: NDArray[Any], statistics: Statistics) -> Encoded:
    try:
        with MemoryFile() as memory:
            with memory.open(**block_profile(writing, *values.shape)) as file:
                file.write(values, 1)
            blocks = blocks_of(memory.getbuffer())
    except GDAL_ERRORS as error:
        raise TerrainError(f"Cells cannot be compressed ({reason(error)}); check the creation options.") from error
    crc = 0
    for block in blocks:
        crc = zlib.crc32(block, crc)
    return Encoded(blocks, statistics, crc)


def _stored(writing: Writing, heights_m: Floats, valid: Bools) -> tuple[NDArray[np.float32], Statistics]:
    """Numbers as they are stored, in the unit of the file, and their statistics."""
    values, statistics = np.empty(heights_m.shape, np.float32), Statistics()
    rows = max(1, CELLS_AT_A_TIME // max(1, heights_m.shape[1]))
    for row in range(0, heights_m.shape[0], rows):
        part = slice(row, row + rows)
        _round(writing, heights_m[part], values[part])
        everywhere = valid[part].all()
        statistics.add(values[part] if everywhere else values[part][valid[part]])
        if not everywhere:
            values[part][~valid[part]] = np.float32(writing.nodata)
    return values, statistics


def _round(writing: Writing, heights_m: Floats, values: NDArray[np.float32]) -> None:
    """Round heights to whole steps into ``values``, and move those that would be taken for no-data."""
    parts = np.multiply(heights_m, writing.rounding / METRES[writing.unit], dtype=np.float64)
    parts += HALF_UP
    np.floor(parts, out=parts)
    parts *= 1 / writing.rounding
    values[...] = parts
    nodata = np.float32(writing.nodata)
    values[values == nodata] = _beside(nodata, writing.rounding)


def _beside(nodata: np.float32, rounding: float) -> np.float32:
    """Number for a height that happens to be the no-data number; toward zero, since that may be the largest float32."""
    step = max(1 / rounding, abs(float(nodata)) * 2**-20)
    return np.float32(float(nodata) + (-step if nodata > 0 else step))
