"""What is known of all cells between fitting and writing: in files beside the result, since memory may not hold it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .. import aside
from ..raster import Bools, Floats
from ..tiling import Tile, Window
from .band import Band
from .lattice import BLEND_PX, Lattice
from .solving import mean_over_cells
from .work import Fitted, Steps

KINDS = {"coefficients": np.float64, "weights": np.float64, "known": np.bool_, "distances": np.float32}
"""What is kept of each cell, and as which numbers."""

REACH_PX = 3
"""Cells around a known one whose coefficients are kept."""


@dataclass(frozen=True)
class Scratch:
    """Coefficients, whether a cell is known, and distances to the nearest point, for the whole lattice.

    Coefficients are sums over the tiles that know a cell, each with its weight; ``weights`` are the sums of these.
    """

    lattice: Lattice
    maps: dict[str, Any]

    @classmethod
    @contextlib.contextmanager
    def beside(cls, path: str, lattice: Lattice, tiles: int) -> Iterator[Scratch]:
        """Files that are gone when the block is left; what was never written takes no room on most disks.

        Raises :class:`TerrainError` where there is no room for so many ``tiles``: a full disk would end the process.
        """
        cells = min(tiles * lattice.tiles.side_px**2, lattice.grid.rows * lattice.grid.cols)
        need_bytes = cells * sum(np.dtype(kind).itemsize for kind in KINDS.values())
        aside.require_room(path, need_bytes, "The surface", "an EXTENT or a larger CELL_SIZE")
        with aside.folder(path) as folder:
            maps = {
                name: np.memmap(folder / name, kind, "w+", shape=lattice.grid.shape) for name, kind in KINDS.items()
            }
            try:
                yield cls(lattice, maps)
            finally:
                maps.clear()  # Windows removes no file that is still mapped

    @property
    def coefficients(self) -> Any:
        """Sums of coefficients times weights."""
        return self.maps["coefficients"]

    @property
    def weights(self) -> Any:
        """Sums of weights."""
        return self.maps["weights"]

    @property
    def known(self) -> Any:
        """Whether a cell is known."""
        return self.maps["known"]

    @property
    def distances(self) -> Any:
        """Distances to the nearest point."""
        return self.maps["distances"]

    def keep(self, tile: Tile, fitted: Fitted) -> None:
        """Put a tile in its place; the tiles must come in their order, so that sums are the same in every run."""
        here, wide, tiles = _slices(tile.write), fitted.window, self.lattice.tiles
        self.known[here], self.distances[here] = fitted.known, fitted.distances
        down, across = (
            _weights(np.arange(start, stop), first, tiles.side_px)
            for start, stop, first in (
                (wide.row, wide.row_stop, tile.write.row), (wide.col, wide.col_stop, tile.write.col)
            )
        )  # fmt: skip
        weight = down[:, None] * across
        self.coefficients[_slices(wide)] += weight * fitted.coefficients
        self.weights[_slices(wide)] += weight

    def around(self, window: Window, by: int) -> tuple[Floats, Bools]:
        """Coefficients and known cells of a window and ``by`` cells around; zero and unknown beyond the lattice."""
        rows, cols = self.lattice.grid.shape
        top, left = window.row - by, window.col - by
        shape = window.rows + 2 * by, window.cols + 2 * by
        coefficients, known = np.zeros(shape), np.zeros(shape, dtype=bool)
        r0, c0 = max(top, 0), max(left, 0)
        r1, c1 = min(top + shape[0], rows), min(left + shape[1], cols)
        here, there = (slice(r0 - top, r1 - top), slice(c0 - left, c1 - left)), (slice(r0, r1), slice(c0, c1))
        weights = self.weights[there]
        coefficients[here] = self.coefficients[there] / np.where(weights > 0, weights, 1.0)
        known[here] = self.known[there]
        return coefficients, known


class Making(Steps):
    """The bands of a tile as they go into the file, ``(3, rows, cols)``, NaN where nothing is known."""

    def __init__(self, scratch: Scratch, band: Band) -> None:
        self._scratch, self._band = scratch, band

    def made(self, tile: Tile) -> Floats:
        """Averages over the cells, coefficients and errors."""
        scratch, by = self._scratch, REACH_PX
        coefficients, around = scratch.around(tile.write, by)
        inner = slice(by, -by), slice(by, -by)
        known = around[inner]
        bands = np.full((3, *known.shape), np.nan)
        bands[0][known] = mean_over_cells(coefficients)[
            by - 2 : known.shape[0] + by - 2, by - 2 : known.shape[1] + by - 2
        ][known]
        kept = ndimage.binary_dilation(around, np.ones((2 * REACH_PX + 1,) * 2))[inner]
        bands[1][kept] = coefficients[inner][kept]
        rows, cols = np.nonzero(known)
        if rows.size:
            places = scratch.lattice.ground(rows + tile.write.row + 0.5, cols + tile.write.col + 0.5)
            away = scratch.distances[_slices(tile.write)][rows, cols].astype(np.float64)
            bands[2][rows, cols] = self._band.at(places, away)
        return bands


def _weights(cells: NDArray[np.int64], first: int, side: int) -> Floats:
    """Weights of a tile: from 0 to 1 over the cells on either side of its borders; those of neighbours add up to 1."""
    after, before = cells + 0.5 - (first - BLEND_PX), (first + side + BLEND_PX) - (cells + 0.5)
    found: Floats = np.clip(np.minimum(after, before) / (2 * BLEND_PX), 0.0, 1.0)
    return found


def _slices(window: Window) -> tuple[slice, slice]:
    return slice(window.row, window.row_stop), slice(window.col, window.col_stop)
