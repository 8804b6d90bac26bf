"""A raster on the cells of another grid: averages where it is finer, cubic interpolation where it is coarser.

Registered: a cell of the other grid gets what the raster says about the ground that this cell covers, never the value
of a neighbour. Validity is strict: a cell is known only where every height that enters it is. Bounded memory: whatever
the ratio of the cell sizes, at most :data:`MOST_CELLS` source cells are read at a time. Imports numpy and the doors
:mod:`.raster` and :mod:`.grid`. GDAL's own resampling is not used, since it places cells to an eighth of one only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import grid as grids
from .grid import Grid
from .raster import Bools, Floats, Source
from .tiling import Window

Counts = NDArray[np.int64]

MOST_CELLS = 4_000_000
"""Source cells in memory at a time."""

TOLERANCE_PX = 1e-6
"""Positions this close to a cell's centre or edge are there."""

CUBIC_SAMPLES = 3
"""Up to this many samples per cell and axis are interpolated cubically; of more, linearly: they lie densely."""

MOST_SAMPLES = 64
"""Samples per cell and axis at most."""

REACH_PX = 2
"""Source cells that cubic interpolation needs on either side."""


@dataclass(frozen=True)
class Weights:
    """What each cell along one axis of the grid takes from a run of source cells.

    Attributes
    ----------
    first
        Source cell of the first tap of each cell, ``(cells,)``; may lie beyond the source.
    taps
        ``(cells, taps)``, rows of cells inside add up to 1; else all 0.
    inside
        Which cells lie within the source.

    """

    first: Counts
    taps: Floats
    inside: Bools

    @property
    def span(self) -> tuple[int, int]:
        """The first source cell that is needed and the one after the last; one cell where nothing is inside."""
        if not self.inside.any():
            return 0, 1
        firsts = self.first[self.inside]
        return int(firsts.min()), int(firsts.max()) + self.taps.shape[1]

    def of(self, heights: Floats) -> Floats:
        """Weighted sums of rows of the source that begin at :attr:`span`.

        Taps are added one after another. A product of matrices would group its sums by the number of its threads, so
        that two computers found different last bits.
        """
        rows = np.where(self.inside, self.first - self.span[0], 0)
        found = np.zeros((rows.size, heights.shape[1]))
        for tap in range(self.taps.shape[1]):
            weights = self.taps[:, tap]
            if weights.any():
                found += weights[:, None] * heights[rows + tap]
        return found

    def absolute(self) -> Weights:
        """The same with the sizes of the weights."""
        return replace(self, taps=np.abs(self.taps))


class Resampled:
    """A source seen on the cells of ``grid``, in any CRS. Windows may reach beyond the grid."""

    def __init__(self, source: Source, grid: Grid, point: bool = False) -> None:
        """Look at ``source`` on ``grid``; with ``point`` always at the cells' centres, averages are never taken."""
        self.source, self.grid = source, grid
        self._point = point
        self._change = grids.change_of_crs(grid.crs, source.grid.crs)

    @cached_property
    def steps(self) -> tuple[float, float]:
        """Source cells per cell of the grid down and across, in its middle; NaN where the source is not there."""
        if self._change is None:
            return self.grid.dy / self.source.grid.dy, self.grid.dx / self.source.grid.dx
        middle = Window(self.grid.rows // 2, self.grid.cols // 2, 1, 1)
        rows, cols = self._corners(middle)
        down = math.hypot(float(rows[1, 0] - rows[0, 0]), float(cols[1, 0] - cols[0, 0]))
        across = math.hypot(float(rows[0, 1] - rows[0, 0]), float(cols[0, 1] - cols[0, 0]))
        return (down, across) if math.isfinite(down + across) else (math.nan, math.nan)

    def read(self, window: Window) -> tuple[Floats, Bools]:
        """Heights in metres and validity of a window; heights are 0 where not valid."""
        heights, valid = np.zeros((window.rows, window.cols)), np.zeros((window.rows, window.cols), dtype=bool)
        for part in self._parts(window):
            place = np.s_[part.row - window.row : part.row_stop - window.row,
                          part.col - window.col : part.col_stop - window.col]  # fmt: skip
            heights[place], valid[place] = self._warped(part) if self._change else self._aligned(part)
        return np.where(valid, heights, 0.0), valid

    def positions(self, window: Window) -> tuple[Floats, Floats]:
        """Where the cells' centres lie in the source, in source cells: shapes that broadcast to that of the window."""
        if self._change is None:
            rows, cols = self._edges(window)
            return ((rows[1:] + rows[:-1]) / 2)[:, None], ((cols[1:] + cols[:-1]) / 2)[None, :]
        rows, cols = self._corners(window)
        return _inside_cells(rows, 0.5, 0.5), _inside_cells(cols, 0.5, 0.5)

    def _parts(self, window: Window) -> Iterator[Window]:
        """Pieces of a window that need few source cells, halved along the longer side until they do."""
        if window.rows * window.cols <= 1 or self._cells_read(window) <= MOST_CELLS:
            yield window
        elif window.rows >= window.cols:
            half = window.rows // 2
            yield from self._parts(Window(window.row, window.col, half, window.cols))
            yield from self._parts(Window(window.row + half, window.col, window.rows - half, window.cols))
        else:
            half = window.cols // 2
            yield from self._parts(Window(window.row, window.col, window.rows, half))
            yield from self._parts(Window(window.row, window.col + half, window.rows, window.cols - half))

    def _cells_read(self, window: Window) -> float:
        edges = self._edges(window) if self._change is None else self._corners(window)
        read = _hull(*edges, self.source.grid)
        return read.rows * read.cols if read else 0

    def _read_source(self, window: Window) -> tuple[Floats, Bools]:
        """Read source cells; those beyond its edges, which the reader mirrors, are not known."""
        heights, valid = self.source.read(window)
        rows, cols = np.arange(window.row, window.row_stop), np.arange(window.col, window.col_stop)
        return heights, self.source.valid_mask(rows, cols, window, valid)

    # One CRS: rows and columns keep apart

    def _edges(self, window: Window) -> tuple[Floats, Floats]:
        """Edges of the cells in source cells: rows, columns."""
        own, other = self.grid, self.source.grid
        down = np.arange(window.row, window.row_stop + 1, dtype=np.float64)
        across = np.arange(window.col, window.col_stop + 1, dtype=np.float64)
        return (other.y0 - own.y0 + down * own.dy) / other.dy, (own.x0 - other.x0 + across * own.dx) / other.dx

    def _aligned(self, window: Window) -> tuple[Floats, Bools]:
        weigh = point_weights if self._point else axis_weights
        rows, cols = (
            weigh(edges, count) for edges, count in zip(self._edges(window), self.source.grid.shape, strict=True)
        )
        inside = rows.inside[:, None] & cols.inside[None, :]
        if not inside.any():
            return np.zeros(inside.shape), inside
        (top, bottom), (left, right) = rows.span, cols.span
        known, valid = self._read_source(Window(top, left, bottom - top, right - left))
        heights = _on_both_axes(rows, cols, known)
        if not valid.all():
            lost = _on_both_axes(rows.absolute(), cols.absolute(), (~valid).astype(np.float64))
            inside = inside & (lost < TOLERANCE_PX)
        return heights, inside

    # Two CRS: every cell has its own place

    def _corners(self, window: Window) -> tuple[Floats, Floats]:
        """Corners of the cells in source cells, ``(rows + 1, cols + 1)`` each; NaN where there are none."""
        own, other = self.grid, self.source.grid
        x = own.x0 + np.arange(window.col, window.col_stop + 1) * own.dx
        y = own.y0 - np.arange(window.row, window.row_stop + 1) * own.dy
        shape = (y.size, x.size)
        if self._change is None:
            raise ValueError("Both grids have one CRS; their cells have edges.")
        east, north = self._change(np.broadcast_to(x, shape).copy(), np.broadcast_to(y[:, None], shape).copy())
        known = np.isfinite(east) & np.isfinite(north)
        east, north = np.where(known, east, np.nan), np.where(known, north, np.nan)
        return (other.y0 - north) / other.dy, (east - other.x0) / other.dx

    def _warped(self, window: Window) -> tuple[Floats, Bools]:
        rows, cols = self._corners(window)
        shape = (window.rows, window.cols)
        read = _hull(rows, cols, self.source.grid)
        if read is None:
            return np.zeros(shape), np.zeros(shape, dtype=bool)
        known, valid = self._read_source(read)
        heights, lost, samples = np.zeros(shape), np.zeros(shape), self._samples()
        within = np.ones(shape, dtype=bool)
        for down in (np.arange(samples[0]) + 0.5) / samples[0]:
            for across in (np.arange(samples[1]) + 0.5) / samples[1]:
                at = _inside_cells(rows, down, across), _inside_cells(cols, down, across)
                within &= _within(at[0], self.source.grid.rows) & _within(at[1], self.source.grid.cols)
                places = np.where(within, at[0] - read.row, REACH_PX), np.where(within, at[1] - read.col, REACH_PX)
                values, gone = sample(known, valid, *places, cubic=max(samples) <= CUBIC_SAMPLES)
                heights += values
                lost += gone
        return heights / math.prod(samples), within & (lost < TOLERANCE_PX)

    def _samples(self) -> tuple[int, int]:
        """Samples per cell down and across: one where the source is not finer."""
        if self._point or not all(map(math.isfinite, self.steps)):
            return 1, 1
        down, across = (min(max(math.ceil(step - 0.01), 1), MOST_SAMPLES) for step in self.steps)
        return down, across


def axis_weights(edges: Floats, count: int) -> Weights:
    """Weights for cells with these edges, in source cells, over a source of ``count`` cells.

    Where the cells are wider than the source's: averages by area over ground that is linear inside each source cell,
    with the slope between its two neighbours, and keeps its average (van Leer 1977, scheme III without limiter). A
    plane stays a plane at any ratio; whole source cells count with their heights alone. Else :func:`point_weights`.
    """
    if np.diff(edges).max() <= 1 + TOLERANCE_PX:
        return point_weights(edges, count)
    edges = _snapped(edges)
    inside = (edges[:-1] >= 0) & (edges[1:] <= count)
    first = np.floor(edges[:-1]).astype(np.int64) - 1
    taps = int((np.ceil(edges[1:]).astype(np.int64) - first).max()) + 1
    cells = first[:, None] + np.arange(taps)[None, :]
    low = np.clip(edges[:-1, None] - cells, 0, 1)
    high = np.clip(edges[1:, None] - cells, 0, 1)
    tilt = ((high - 0.5) ** 2 - (low - 0.5) ** 2) / 4  # half the first moment: half of each neighbour
    shares = high - low
    shares[:, 1:] += tilt[:, :-1]
    shares[:, :-1] -= tilt[:, 1:]
    return Weights(first, np.where(inside[:, None], shares, 0.0) / np.diff(edges)[:, None], inside)


def point_weights(edges: Floats, count: int) -> Weights:
    """Weights of cubic interpolation at the middles between ``edges``."""
    centres = _snapped((edges[1:] + edges[:-1]) / 2 - 0.5)  # 0 is the centre of the first source cell
    inside = (centres >= -0.5) & (centres <= count - 0.5)
    first = np.floor(centres).astype(np.int64) - 1
    offsets = np.abs(centres[:, None] - (first[:, None] + np.arange(2 * REACH_PX)))
    return Weights(first, np.where(inside[:, None], cubic_kernel(offsets), 0.0), inside)


def _on_both_axes(rows: Weights, cols: Weights, heights: Floats) -> Floats:
    """Weighted sums down and across; the contiguous copies are twice as fast to sum as views."""
    down = rows.of(heights)
    found: Floats = cols.of(np.ascontiguousarray(down.T)).T
    return found


def cubic_kernel(offset: Floats) -> Floats:
    """Cubic convolution with a = -1/2 (Keys 1981, eq. 15) at distances from a sample; zero from 2 on."""
    near = (1.5 * offset - 2.5) * offset**2 + 1
    far = ((-0.5 * offset + 2.5) * offset - 4) * offset + 2
    return np.where(offset < 1, near, np.where(offset < 2, far, 0.0))


def sample(heights: Floats, valid: Bools, rows: Floats, cols: Floats, cubic: bool = True) -> tuple[Floats, Floats]:
    """Heights at positions (cell ``i`` covers ``i`` to ``i + 1``), and the sum of weights that fell on unknown cells.

    Positions lie at least :data:`REACH_PX` cells inside the array. ``cubic`` False interpolates linearly.
    """
    base, tops = _bases(rows), _bases(cols)
    found, lost = np.zeros(rows.shape), np.zeros(rows.shape)
    for down in range(-1, 3) if cubic else range(2):
        down_weight = _weight(base, down, cubic)
        for across in range(-1, 3) if cubic else range(2):
            weight = down_weight * _weight(tops, across, cubic)
            at = base[0] + down, tops[0] + across
            found += weight * heights[at]
            lost += np.abs(weight) * ~valid[at]
    return found, lost


def _bases(positions: Floats) -> tuple[np.ndarray, Floats]:
    """The cell whose centre is the last before a position, and how far the position lies beyond it."""
    centres = _snapped(positions - 0.5)
    cells = np.floor(centres).astype(np.int64)
    return cells, centres - cells


def _weight(base: tuple[np.ndarray, Floats], step: int, cubic: bool) -> Floats:
    offset = np.abs(base[1] - step)
    return cubic_kernel(offset) if cubic else np.maximum(1 - offset, 0.0)


def _inside_cells(corners: Floats, down: float, across: float) -> Floats:
    """Positions at shares of each cell's height and width, from those of its corners."""
    upper = corners[:-1, :-1] * (1 - across) + corners[:-1, 1:] * across
    lower = corners[1:, :-1] * (1 - across) + corners[1:, 1:] * across
    position: Floats = upper * (1 - down) + lower * down
    return position


def _within(positions: Floats, count: int) -> Bools:
    inside: Bools = np.isfinite(positions) & (positions >= 0) & (positions <= count)
    return inside


def _snapped(positions: Floats) -> Floats:
    whole = np.round(positions)
    return np.where(np.abs(positions - whole) < TOLERANCE_PX, whole, positions)


def _hull(rows: Floats, cols: Floats, grid: Grid) -> Window | None:
    """Source cells around positions, as far as they are near the source; None where none is."""
    spans = []
    for positions, count in ((rows, grid.rows), (cols, grid.cols)):
        known = positions[np.isfinite(positions)]
        if known.size == 0 or known.max() < 0 or known.min() > count:
            return None
        low, high = np.clip([known.min(), known.max()], 0, count)
        spans.append((math.floor(low) - REACH_PX, math.ceil(high) + REACH_PX + 1))
    (top, bottom), (left, right) = spans
    return Window(top, left, bottom - top, right - left)
