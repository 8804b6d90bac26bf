"""The ground that a mesh covers, and its border.

A lattice square is ground if its four cell centres have heights; of a square with three, the half between them is.
Cells without such a square (single ones, lines one cell wide) are in no mesh. The border is followed exactly, as
straight runs between lattice points. Where a tile ends and ground goes on, the border is a *seam*: its runs, and the
points between them, follow from the heights along the seam and from the ground within one cell of it, which both tiles
know.

Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from .net import LOCKED, SEAM

EAST, SOUTH, SOUTHEAST, SOUTHWEST = 0, 1, 2, 3
"""Directions of unit segments: one column on, one row on, both diagonals."""

STEPS = np.array([(1, 0), (0, 1), (1, 1), (-1, 1)])
"""Columns and rows per unit of each direction."""

LEGS = np.array([(0, 1), (2, 3), (0, 2), (1, 3)])
"""Corners at the ends of the north, south, west and east side of a square; corners count north-west, north-east,
south-west, south-east."""


@compiled
def squares(valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which corners of each square have heights, as bits; 0 where the square is no ground."""
    n_rows, n_cols = valid.shape
    cover = np.zeros((n_rows - 1, n_cols - 1), np.uint8)
    for y in range(n_rows - 1):
        for x in range(n_cols - 1):
            bits = valid[y, x] + 2 * valid[y, x + 1] + 4 * valid[y + 1, x] + 8 * valid[y + 1, x + 1]
            if bits in (15, 14, 13, 11, 7):
                cover[y, x] = bits
    return cover


@compiled
def covers(cover, y, x, side):
    """Whether a square of the window is ground along one of its sides (0 to 3 as in :data:`LEGS`)."""
    if y < 0 or x < 0 or y >= cover.shape[0] or x >= cover.shape[1]:
        return False
    both = (1 << LEGS[side, 0]) | (1 << LEGS[side, 1])
    return cover[y, x] & both == both


@compiled
def borders(cover):
    """Unit segments of the border of a tile and of all ground in its window, which is one cell wider on each side.

    Returns
    -------
    own, all_ground
        Per direction, row and column of the window: 0, or LOCKED or SEAM, positive if the ground is at the left of the
        direction (seen with rows upwards). ``all_ground`` knows no seams.

    """
    n_rows, n_cols = cover.shape[0] + 1, cover.shape[1] + 1
    own = np.zeros((4, n_rows, n_cols), np.int8)
    whole = np.zeros((4, n_rows, n_cols), np.int8)
    for y in range(n_rows):
        for x in range(n_cols):
            for d in range(2):
                # The square at the left of the direction (south of an eastward one), and the one at its right.
                if d == EAST:
                    left, right = covers(cover, y, x, 0), covers(cover, y - 1, x, 1)
                    left_own = left and 0 < y < n_rows - 2 and 0 < x < n_cols - 2
                    right_own = right and 1 < y < n_rows - 1 and 0 < x < n_cols - 2
                else:
                    left, right = covers(cover, y, x - 1, 3), covers(cover, y, x, 2)
                    left_own = left and 1 < x < n_cols - 1 and 0 < y < n_rows - 2
                    right_own = right and 0 < x < n_cols - 2 and 0 < y < n_rows - 2
                if left != right:
                    whole[d, y, x] = LOCKED if left else -LOCKED
                if left_own != right_own:
                    kind = SEAM if left and right else LOCKED
                    own[d, y, x] = kind if left_own else -kind
            if y < n_rows - 1 and x < n_cols - 1:
                bits = cover[y, x]
                mine = 0 < y < n_rows - 2 and 0 < x < n_cols - 2
                if bits in (13, 11):  # without north-east (south-west is left of south-east), or without south-west
                    whole[SOUTHEAST, y, x] = LOCKED if bits == 13 else -LOCKED
                    own[SOUTHEAST, y, x] = whole[SOUTHEAST, y, x] if mine else 0
                if bits in (14, 7):  # from the north-east corner to the south-west one; left of it is the south-east
                    whole[SOUTHWEST, y, x + 1] = -LOCKED if bits == 14 else LOCKED
                    own[SOUTHWEST, y, x + 1] = whole[SOUTHWEST, y, x + 1] if mine else 0
    return own, whole


@compiled
def around(border, y, x, d):
    """The segments of one direction that end and that begin at a point."""
    fore = border[d, y, x]
    y_, x_ = y - STEPS[d, 1], x - STEPS[d, 0]
    if y_ < 0 or x_ < 0 or x_ >= border.shape[2]:
        return np.int8(0), fore
    return border[d, y_, x_], fore


@compiled
def corners(own, whole):
    """Points of the border where it does not simply go straight on: they have to be vertices.

    So have points of a seam that the border of all ground touches, and points where it does not go straight on beyond
    the tile: neighbours have vertices there.
    """
    _, n_rows, n_cols = own.shape
    needed = np.zeros((n_rows, n_cols), np.bool_)
    for y in range(n_rows):
        for x in range(n_cols):
            ways, straight, seam, touched, plain = 0, False, False, 0, False
            for d in range(4):
                back, fore = around(own, y, x, d)
                ways += (back != 0) + (fore != 0)
                straight |= back != 0 and back == fore
                seam |= abs(back) == SEAM or abs(fore) == SEAM
                back, fore = around(whole, y, x, d)
                touched += (back != 0) + (fore != 0)
                plain |= back != 0 and back == fore
            bent = not (ways == 2 and straight)
            met = touched > 0 and (seam or not (touched == 2 and plain))
            needed[y, x] = ways > 0 and (bent or met)
    return needed


@compiled
def runs(own, needed):
    """Straight runs of the border: x and y of both ends, and the kind, negative if the ground is at the right."""
    _, n_rows, n_cols = own.shape
    found = np.empty((np.count_nonzero(own), 5), np.int64)
    n = 0
    for y in range(n_rows):
        for x in range(n_cols):
            if not needed[y, x]:
                continue
            for d in range(4):
                kind = np.int64(own[d, y, x])
                if kind != 0:
                    x1, y1 = x + STEPS[d, 0], y + STEPS[d, 1]
                    while not needed[y1, x1]:
                        x1, y1 = x1 + STEPS[d, 0], y1 + STEPS[d, 1]
                    found[n, 0], found[n, 1], found[n, 2], found[n, 3], found[n, 4] = x, y, x1, y1, kind
                    n += 1
    return found[:n].copy()


@compiled
def ranked(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bounds below which a polyline within the bound needs each point of a profile (Douglas and Peucker 1973).

    Infinite at the ends. The points above a bound are those that the method keeps with it.
    """
    needs = np.zeros(len(profile))
    needs[0] = needs[-1] = np.inf
    todo = [(0, len(profile) - 1, np.inf)]
    while len(todo) > 0:
        first, last, most = todo.pop()
        worst, spot = 0.0, -1
        for i in range(first + 1, last):
            line = profile[first] + (profile[last] - profile[first]) * ((i - first) / (last - first))
            if abs(line - profile[i]) > worst:
                worst, spot = abs(line - profile[i]), i
        if spot >= 0:
            needs[spot] = min(worst, most)
            todo.append((first, spot, needs[spot]))
            todo.append((spot, last, needs[spot]))
    return needs


@compiled
def finer(heights: NDArray[np.float64], cover: NDArray[np.uint8], times: int) -> NDArray[np.float64]:
    """The bilinear surface of a lattice at ``times`` positions per cell; half squares are planes.

    Positions on a side of a square follow from the two ends of that side alone, to the bit, whichever square is asked.
    """
    n_rows, n_cols = heights.shape
    fine = np.zeros(((n_rows - 1) * times + 1, (n_cols - 1) * times + 1))
    for y in range(n_rows - 1):
        for x in range(n_cols - 1):
            bits = cover[y, x]
            if bits == 0:
                continue
            a, b, c, d = heights[y, x], heights[y, x + 1], heights[y + 1, x], heights[y + 1, x + 1]
            if bits == 14:
                a = b + c - d
            elif bits == 13:
                b = a + d - c
            elif bits == 11:
                c = a + d - b
            elif bits == 7:
                d = b + c - a
            for j in range(times + 1):
                v = j / times
                for i in range(times + 1):
                    u = i / times
                    on_missing = (
                        (bits == 14 and i + j < times)
                        or (bits == 7 and i + j > times)
                        or (bits == 13 and i > j)
                        or (bits == 11 and i < j)
                    )
                    if not on_missing:
                        top, bottom = (b, d) if i == times else (a + (b - a) * u, c + (d - c) * u)
                        fine[y * times + j, x * times + i] = bottom if j == times else top + (bottom - top) * v
    return fine
