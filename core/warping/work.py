"""What is done with one tile of the target: where its cells lie, what the surface is there, what goes into the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import raster
from ..continuous import Continuous, Tiles
from ..elevation.relief import Points
from ..raster import Encoded, Floats, Writing
from ..tiling import Crew, Tile, Window
from .places import Places
from .sizes import Sizes


@dataclass(frozen=True)
class Pieces(Tiles):
    """The tiles of the target, and how many are worked on at a time."""

    lanes: int = 1

    @property
    def crew(self) -> Crew:
        """As many as memory allows."""
        return Crew(lanes=self.lanes)


@dataclass(frozen=True)
class Cells:
    """Cells of one tile one after another: centres ``(N,)`` and those of their parts ``(N, parts)``, in the DEM."""

    rows: Floats
    cols: Floats
    part_rows: Floats
    part_cols: Floats

    def some(self, which: NDArray[np.int64]) -> Cells:
        """Those with these numbers."""
        return Cells(self.rows[which], self.cols[which], self.part_rows[which], self.part_cols[which])


class Work:
    """The steps of a tile; safe to call from several threads.

    A cell gets the average of the surface over its area, made of the averages over its parts, or where heights are
    those of points, the surface at its centre. It has a height where its centre lies in a cell of the DEM that has one.
    """

    warnings: Sequence[str] = ()

    def __init__(self, ground: Continuous, places: Places, sizes: Sizes, writing: Writing) -> None:
        self._ground, self._places, self._sizes, self._writing = ground, places, sizes, writing
        self._down, self._across = ((np.arange(count) + 0.5) / count for count in sizes.parts)

    def read(self, tile: Tile) -> None:
        """Nothing yet: where to read follows from where the cells lie."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Floats]:
        """Heights in metres, NaN where there is none."""
        del data
        return [self._heights(tile.write) for tile in tiles]

    def encode(self, tile: Tile, heights: Floats) -> Encoded:
        """Heights as they are stored."""
        del tile
        known = np.isfinite(heights)
        return raster.encode(self._writing, np.where(known, heights, 0.0), known)

    def _heights(self, window: Window) -> Floats:
        cells = self._cells(window)
        heights = np.full(cells.rows.size, np.nan)
        for part, which in self._windows(cells):
            heights[which] = self._asked(part, cells.some(which))
        return heights.reshape(window.rows, window.cols)

    def _cells(self, window: Window) -> Cells:
        rows, cols = self._positions(window, 0.5, 0.5)
        shape = window.rows, self._sizes.parts[0], window.cols, self._sizes.parts[1]
        parts = (
            at.reshape(shape).transpose(0, 2, 1, 3).reshape(rows.size, -1)
            for at in self._positions(window, self._down, self._across)
        )
        return Cells(rows.ravel(), cols.ravel(), *parts)

    def _positions(self, window: Window, down: Floats | float, across: Floats | float) -> tuple[Floats, Floats]:
        """Where shares of the cells lie in the DEM, ``(rows * shares, cols * shares)``."""
        rows, cols = (
            np.add.outer(np.arange(start, stop, dtype=np.float64), share).ravel()
            for start, stop, share in (
                (window.row, window.row_stop, down), (window.col, window.col_stop, across),
            )
        )  # fmt: skip
        return self._places.lattice(rows, cols)

    def _windows(self, cells: Cells) -> Iterator[tuple[Window, NDArray[np.int64]]]:
        """Parts of the DEM of one shape that hold the centres of all cells on it, with the numbers of the cells."""
        side, (height, width) = self._sizes.window_px, self._ground.grid.shape
        on = (cells.rows >= 0) & (cells.rows <= height) & (cells.cols >= 0) & (cells.cols <= width)
        left = np.flatnonzero(on)
        while left.size:
            top = int(np.floor(cells.rows[left].min()))
            band = left[cells.rows[left] < top + side]
            first = int(np.floor(cells.cols[band].min()))
            mine = band[cells.cols[band] < first + side]
            yield Window(top, first, side, side), mine
            left = np.setdiff1d(left, mine, assume_unique=True)

    def _asked(self, part: Window, cells: Cells) -> Floats:
        """Heights of cells whose centres lie in a part of the DEM."""
        spare = self._sizes.reach_px + self._ground.model.halo_px + 1
        read = Window(part.row - spare, part.col - spare, part.rows + 2 * spare, part.cols + 2 * spare)
        encoded = self._ground.encode(Tile(0, part, read))
        centres = self._ground.at(cells.rows, cells.cols)
        if encoded.latent is None:
            return np.full(cells.rows.size, np.nan)
        rows = self._inside(cells.part_rows, cells.rows, part.row, part.row_stop) - read.row
        cols = self._inside(cells.part_cols, cells.cols, part.col, part.col_stop) - read.col
        at = Points(rows.ravel(), cols.ravel(), *self._sizes.part_sizes)
        heights = self._ground.model.averages(encoded.latent, at).reshape(rows.shape).mean(axis=1)
        return np.where(self._ground.known(encoded, centres), heights, np.nan)

    def _inside(self, parts: Floats, centres: Floats, start: int, stop: int) -> Floats:
        """Positions that the window can answer; those without a place count as at the centre of their cell."""
        reach_px = self._sizes.reach_px
        placed = np.where(np.isfinite(parts), parts, centres[:, None])
        return placed.clip(start - reach_px, stop + reach_px)
