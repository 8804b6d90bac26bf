"""Voids inside a DEM: which of them may be filled, and the smooth ground that is laid over them.

A void is a group of cells without a height that touch each other, by edges or corners. One that reaches the edge of the
raster (the sea, the collar of a turned scene) is never filled, nor is one that is too wide or too long to say anything
about. The others get the surface of least bending through the ground around them, a thin plate (Briggs 1974,
doi:10.1190/1.1440410, eq. 3): it goes on with the slopes at the rim, which a membrane or averages of the rim do not.

Because a void that is filled is at most :data:`LONGEST_PX` long and is solved on its own, every window that holds it
with a margin of :data:`MARGIN_PX` gives the same bits. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Whole = NDArray[np.int64]

WIDEST_PX = 24
"""Widest void that is filled: the side of the largest square of cells that fits into it."""

LONGEST_PX = 64
"""Longest void that is filled, in rows or in columns."""

MOST_CELLS = WIDEST_PX * LONGEST_PX
"""Cells of the largest void that is filled; winding ones can have more. The equations take twice 8 bytes per cell
squared."""

RIM_PX = 2
"""Cells around a void that its plate is fastened to."""

MARGIN_PX = LONGEST_PX + RIM_PX
"""Cells around a window that decide about the voids in it."""

KNOWN, MISSING = -1, -2
"""In place of the number of a cell of a void: ground, and a cell without a height outside of the void."""

BYTES_PER_CELL = 400.0
"""Memory while a window is filled, per cell of the window, margin and the equations of the largest void included."""

_BENDING = (
    (1.0, ((0, -1, 1.0), (0, 0, -2.0), (0, 1, 1.0))),
    (1.0, ((-1, 0, 1.0), (0, 0, -2.0), (1, 0, 1.0))),
    (2.0, ((0, 0, 1.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0))),
)
"""Weight and differences of the three parts of the bending energy: ``z_cc^2 + z_rr^2 + 2 z_rc^2``."""


@dataclass(frozen=True)
class Part:
    """A rectangle of an array: rows and columns from ``(row, col)`` up to, but without, ``(row_stop, col_stop)``."""

    row: int
    col: int
    row_stop: int
    col_stop: int


def fill(heights: Floats, valid: Bools, wanted: Part) -> tuple[Floats, Bools]:
    """Fill the voids that meet a part of a window.

    Parameters
    ----------
    heights, valid
        Heights in metres, anything where not valid, and validity: ``wanted`` and :data:`MARGIN_PX` cells around it,
        fewer only where the raster ends.
    wanted
        Part of the window in which voids have to be filled.

    Returns
    -------
    heights, filled
        Whole arrays; heights are 0 where neither valid nor filled.

    """
    heights, filled = np.where(valid, heights, 0.0), np.zeros(valid.shape, dtype=bool)
    if valid.all() or not valid.any():
        return heights, filled
    for rows, cols in _fillable(~valid, wanted):
        heights[rows, cols] = _plate(heights, valid, rows, cols)
        filled[rows, cols] = True
    return heights, filled


def _fillable(void: Bools, wanted: Part) -> Iterator[tuple[Whole, Whole]]:
    """Rows and columns of the cells of every void that meets ``wanted`` and may be filled."""
    rows, cols = np.nonzero(void)
    group = _groups(void, rows, cols)
    order = np.argsort(group, kind="stable")
    rows, cols = rows[order], cols[order]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    top, bottom = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    left, right = np.minimum.reduceat(cols, starts), np.maximum.reduceat(cols, starts)
    inside = (top > 0) & (left > 0) & (bottom < void.shape[0] - 1) & (right < void.shape[1] - 1)
    short = (bottom - top < LONGEST_PX) & (right - left < LONGEST_PX)
    narrow = ~np.maximum.reduceat(_amid_wide(void)[rows, cols], starts)
    meets = (top < wanted.row_stop) & (bottom >= wanted.row) & (left < wanted.col_stop) & (right >= wanted.col)
    stops = np.append(starts[1:], rows.size)
    few = stops - starts <= MOST_CELLS
    for which in np.flatnonzero(inside & short & narrow & few & meets):
        here = slice(starts[which], stops[which])
        yield rows[here], cols[here]


def _groups(void: Bools, rows: Whole, cols: Whole) -> Whole:
    """A number for each void cell, the same for cells that are connected by edges or corners.

    Every cell begins as its own root; roots of neighbours are hooked to the smaller one and paths are halved until
    nothing changes, which takes about as many rounds as the logarithm of the longest path.
    """
    number = np.full((void.shape[0] + 1, void.shape[1] + 2), -1, dtype=np.int64)
    number[rows, cols + 1] = np.arange(rows.size)
    ahead = [number[rows + down, cols + 1 + across] for down, across in ((0, 1), (1, -1), (1, 0), (1, 1))]
    one = np.concatenate([np.flatnonzero(other >= 0) for other in ahead])
    two = np.concatenate([other[other >= 0] for other in ahead])
    root = np.arange(rows.size)
    while one.size:
        low, high = np.minimum(root[one], root[two]), np.maximum(root[one], root[two])
        apart = low != high
        one, two = one[apart], two[apart]
        np.minimum.at(root, high[apart], low[apart])
        while not np.array_equal(root[root], root):
            root = root[root]
    return root


def _amid_wide(void: Bools) -> Bools:
    """Void cells that are the corner of a square wider than :data:`WIDEST_PX` without any ground."""
    side = WIDEST_PX + 1
    wide = np.zeros_like(void)
    if min(void.shape) < side:
        return wide
    total = np.zeros((void.shape[0] + 1, void.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = np.cumsum(np.cumsum(void, axis=0), axis=1)
    held = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    wide[: held.shape[0], : held.shape[1]] = held == side * side
    return wide


def _plate(heights: Floats, valid: Bools, rows: Whole, cols: Whole) -> Floats:
    """Heights of the cells of one void that bend least; ground farther than :data:`RIM_PX` has no say.

    Each difference of :data:`_BENDING` is a linear expression in unknown and known heights; the sum of their squares is
    least where its normal equations hold.
    """
    top, left = max(int(rows.min()) - RIM_PX, 0), max(int(cols.min()) - RIM_PX, 0)
    place = np.s_[top : int(rows.max()) + RIM_PX + 1, left : int(cols.max()) + RIM_PX + 1]
    ground = valid[place]
    level = float(heights[place][ground].mean())
    known = np.where(ground, heights[place] - level, 0.0)
    number = np.where(ground, KNOWN, MISSING)
    number[rows - top, cols - left] = np.arange(rows.size)
    matrix, right = np.zeros((rows.size, rows.size)), np.zeros(rows.size)
    for weight, parts in _BENDING:
        numbers, rest = _differences(number, known, parts)
        factors = [factor for _, _, factor in parts]
        for one, factor in zip(numbers, factors, strict=True):
            free = one >= 0
            np.subtract.at(right, one[free], weight * factor * rest[free])
            for two, times in zip(numbers, factors, strict=True):
                both = free & (two >= 0)
                np.add.at(matrix, (one[both], two[both]), weight * factor * times)
    return np.asarray(np.linalg.solve(matrix, right) + level, dtype=np.float64)


def _differences(number: Whole, known: Floats, parts: Sequence[tuple[int, int, float]]) -> tuple[Whole, Floats]:
    """Cells ``(parts, differences)`` of every difference with an unknown height, and what its known heights add up to.

    Differences that need a cell that is neither ground nor in the void are left out, so a rim of one cell will do.
    """
    rows, cols = number.shape
    padded, heights = np.pad(number, 1, constant_values=MISSING), np.pad(known, 1)
    places = [np.s_[1 + down : 1 + down + rows, 1 + across : 1 + across + cols] for down, across, _ in parts]
    cells = np.stack([padded[place] for place in places])
    rest = np.sum([part[2] * heights[place] for part, place in zip(parts, places, strict=True)], axis=0)
    used = (cells > MISSING).all(axis=0) & (cells >= 0).any(axis=0)
    return cells[:, used], rest[used]
