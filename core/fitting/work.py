"""What is done with one tile of the lattice: trim its points, fit and judge its surface, and make the cells of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..raster import Bools, Floats
from ..tiling import Tile, Window
from . import judging, trimming
from .lattice import BLEND_PX, Scattering
from .solving import Solver
from .spline import FEWEST

NEAR_SPACINGS = 1.5
"""Cells so near to a point belong to the surface, in mean point spacings."""

GAP_SPACINGS = 4.0
"""Half the width of gaps between points that the surface bridges, in mean point spacings."""

LEAST_DEVIATION = 0.005
"""Usual deviation of points from the plane of their neighbours at least, in mean point spacings."""

TRIMMING_SPACINGS = 8.0
"""How far beyond a tile neighbours are looked for."""

Numbers = NDArray[np.int64]


class Steps:
    """A tile read in no time and stored as it is; sub-classes say what is made of it. Safe for several threads."""

    warnings: Sequence[str] = ()

    def read(self, tile: Tile) -> None:
        """Nothing: the points are in memory."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[object]:
        """What is made of tiles."""
        del data
        return [self.made(tile) for tile in tiles]

    def encode(self, tile: Tile, result: object) -> object:
        """The result as it is."""
        del tile
        return result

    def made(self, tile: Tile) -> object:
        """What is made of one tile."""
        raise TypeError(f"{type(self).__name__} does not say what is made of {tile}.")


class Trimming(Steps):
    """Which points of a tile are no outliers, in their order; ``unit_m`` metres make one unit of their heights."""

    def __init__(self, points: Scattering, unit_m: float) -> None:
        lattice = points.lattice
        self._points, self._least = points, LEAST_DEVIATION * lattice.spacing_px * lattice.cell_m / unit_m

    def made(self, tile: Tile) -> Bools:
        """True for those that count."""
        points, mine = self._points, self._points.in_tile(tile.index)
        reach = math.ceil(TRIMMING_SPACINGS * points.lattice.spacing_px)
        numbers = points.near(_grown(tile.write, reach))
        bad = trimming.outliers(
            points.lattice.ground(points.rows[numbers], points.cols[numbers]), points.heights[numbers], self._least
        )
        kept = np.ones(mine.stop - mine.start, dtype=bool)
        own = (numbers >= mine.start) & (numbers < mine.stop)
        kept[numbers[own] - mine.start] = ~bad[own]
        return kept | points.fixed[mine]


@dataclass(frozen=True)
class Fitted:
    """The surface of a tile.

    Attributes
    ----------
    window, coefficients
        Cells of the tile and :data:`.lattice.BLEND_PX` around, and their coefficients.
    known, distances
        Per cell of the tile: whether it belongs to the surface, and how far it is from the nearest point in mean point
        spacings, zero where not known.
    held, errors, away
        Numbers of the held-out points of the tile that lie on the surface, errors there of a surface without them, and
        distances to the nearest point that it had.
    rivals
        What the peers' errors are there, ``(peers, N)``, where they were asked; else None.

    """

    window: Window
    coefficients: Floats
    known: Bools
    distances: Floats
    held: Numbers
    errors: Floats
    away: Floats
    rivals: Floats | None


class Fitting(Steps):
    """Fits the tiles; ``compared`` are the numbers of those where the peers are asked too."""

    def __init__(self, solver: Solver, extent: Window, compared: frozenset[int]) -> None:
        self._solver, self._extent, self._compared = solver, extent, compared

    def made(self, tile: Tile) -> Fitted:
        """The surface of a tile from all of its points, and the errors of one from those that are not held out."""
        solver, points = self._solver, self._solver.points
        window = tile.read.cut(points.lattice.room)
        numbers = solver.usable(window)
        if numbers.size < FEWEST:
            return _nothing(tile)
        held, used = numbers[points.held[numbers]], numbers[~points.held[numbers]]
        mine = held[(held >= points.first[tile.index]) & (held < points.first[tile.index + 1])]
        known = self._known(window, numbers)
        mine = mine[known[_cells(points, mine, window)]]
        first, errors, away = None, np.zeros(0), np.zeros(0)
        if mine.size and used.size >= FEWEST:
            first = solver.fit(window, used)
            errors = solver.at(window, first, mine) - points.heights[mine]
            away = self._distances(self._ground(used), self._ground(mine))
        else:
            mine = mine[:0]
        coefficients = solver.fit(window, numbers, first)
        wide = _grown(tile.write, BLEND_PX).cut(points.lattice.whole)
        known = known[_part(window, tile.write)]
        return Fitted(
            wide,
            coefficients[_part(window, wide)], known, self._distances_of(tile, known, numbers), mine, errors, away,
            self._rivals(used, mine) if tile.index in self._compared and mine.size else None,
        )  # fmt: skip

    def _ground(self, numbers: Numbers) -> Floats:
        points = self._solver.points
        return points.lattice.ground(points.rows[numbers], points.cols[numbers])

    def _distances(self, used: Floats, asked: Floats) -> Floats:
        """To the nearest of the points used, in mean point spacings."""
        found: Floats = cKDTree(used).query(asked)[0] / self._solver.lattice.spacing_px
        return found

    def _distances_of(self, tile: Tile, known: Bools, numbers: Numbers) -> Floats:
        """Distances of the centres of a tile's known cells."""
        rows, cols = np.nonzero(known)
        found = np.zeros(known.shape)
        if rows.size:
            asked = self._solver.lattice.ground(rows + tile.write.row + 0.5, cols + tile.write.col + 0.5)
            found[rows, cols] = self._distances(self._ground(numbers), asked)
        return found

    def _known(self, window: Window, numbers: Numbers) -> Bools:
        """Cells near to a point, and gaps between such cells that are not too wide, within the extent."""
        spacing, high = self._solver.lattice.spacing_px, math.sqrt(self._solver.lattice.aspect)
        empty = np.ones((window.rows, window.cols), dtype=bool)
        empty[_cells(self._solver.points, numbers, window)] = False
        sides = (high, 1 / high)
        away = ndimage.distance_transform_edt(empty, sampling=sides)
        wide = away <= GAP_SPACINGS * spacing
        bridged = ndimage.distance_transform_edt(np.pad(wide, 1, mode="edge"), sampling=sides)[1:-1, 1:-1]
        found = (away <= max(NEAR_SPACINGS * spacing, 1.0)) | (bridged > GAP_SPACINGS * spacing)
        rows, cols = np.arange(window.row, window.row_stop), np.arange(window.col, window.col_stop)
        extent = self._extent
        inside_rows, inside_cols = (rows >= extent.row) & (rows < extent.row_stop), cols >= extent.col
        known: Bools = found & inside_rows[:, None] & (inside_cols & (cols < extent.col_stop))
        return known

    def _rivals(self, used: Numbers, held: Numbers) -> Floats:
        heights = self._solver.points.heights
        return judging.peers(self._ground(used), heights[used], self._ground(held)) - heights[held]


def _nothing(tile: Tile) -> Fitted:
    """A tile without a surface, which adds nothing to its neighbours' either."""
    shape, none = (tile.write.rows, tile.write.cols), np.zeros(0)
    nowhere, window = np.zeros(0, dtype=np.int64), Window(tile.write.row, tile.write.col, 0, 0)
    known = np.zeros(shape, dtype=bool)
    return Fitted(window, np.zeros((0, 0)), known, np.zeros(shape), nowhere, none, none, None)


def _cells(points: Scattering, numbers: Numbers, window: Window) -> tuple[Numbers, Numbers]:
    """The cells of a window that hold the points."""
    rows = np.floor(points.rows[numbers]).astype(np.int64) - window.row
    cols = np.floor(points.cols[numbers]).astype(np.int64) - window.col
    return rows, cols


def _part(window: Window, inner: Window) -> tuple[slice, slice]:
    """Where in a window another one lies."""
    row, col = inner.row - window.row, inner.col - window.col
    return slice(row, row + inner.rows), slice(col, col + inner.cols)


def _grown(window: Window, by: int) -> Window:
    return Window(window.row - by, window.col - by, window.rows + 2 * by, window.cols + 2 * by)
