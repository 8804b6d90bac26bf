"""Lines that a mesh follows with its edges: rounded to the lattice, and cut where tiles meet.

A breakline's points move to the nearest lattice position, so by at most half a cell. Where it crosses the seam of two
tiles it gets a lattice point of the seam, which both tiles then make a vertex. Imports numpy and :mod:`..compiled`
only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..tiling import Tile
from .net import (
    FIXED,
    FREE,
    IN_PLAN,
    LOCK,
    LOCKED,
    SEAM,
    SPOKE,
    STRIDE,
    TWIN,
    after,
    at,
    edge_between,
    insert,
    inside,
    locate,
    lock_segment,
    turn,
)  # fmt: skip
from .tiles import Tiles

PATIENCE = 256
"""Segments that one piece and the lines in its way are cut into at most, before it is given up."""

Lines = Sequence[NDArray[np.float64]]


def segments(lines: Lines, tiles: Tiles) -> NDArray[np.int64]:
    """Straight pieces (N, 4) of polylines in lattice coordinates, as x, y, x, y in steps of the tiles' positions.

    None of them crosses a seam.
    """
    found = []
    cuts = [np.array(c, float) * tiles.times for c in (tiles.cols, tiles.rows)]
    for line in lines:
        points = np.rint(np.asarray(line, float) * tiles.times)
        for a, b in itertools.pairwise(points):
            shares = [np.array([0.0, 1.0])]
            for axis in range(2):
                if a[axis] != b[axis]:
                    t = (cuts[axis] - a[axis]) / (b[axis] - a[axis])
                    shares.append(t[(t > 0) & (t < 1)])
            at = np.unique(np.concatenate(shares))
            stops = np.rint(a + at[:, None] * (b - a))
            found += [(*p, *q) for p, q in itertools.pairwise(stops) if (p != q).any()]
    return np.array(found, np.int64).reshape(-1, 4)


def of_tile(pieces: NDArray[np.int64], tile: Tile, times: int) -> NDArray[np.int64]:
    """The pieces that touch a tile, counted from its first lattice point."""
    mine = pieces - np.array([tile.write.col, tile.write.row] * 2) * times
    low, high = np.minimum(mine[:, :2], mine[:, 2:]), np.maximum(mine[:, :2], mine[:, 2:])
    last = np.array([tile.write.cols - 1, tile.write.rows - 1]) * times
    return mine[(high >= 0).all(axis=1) & (low <= last).all(axis=1)]


def within(pieces: NDArray[np.int64], n_cols: int, n_rows: int) -> NDArray[np.int64]:
    """The pieces that lie in a tile, whose first lattice point they are counted from."""
    return pieces[
        (pieces >= 0).all(axis=1) & (pieces[:, [0, 2]] < n_cols).all(axis=1) & (pieces[:, [1, 3]] < n_rows).all(axis=1)
    ]


def split_runs(runs: NDArray[np.int64], pieces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Runs of a border, ended at the ends of pieces that lie on them."""
    ends = np.unique(pieces.reshape(-1, 2), axis=0)
    found = []
    for x0, y0, x1, y1, kind in runs:
        n = max(abs(x1 - x0), abs(y1 - y0))
        dx, dy = (x1 - x0) // n, (y1 - y0) // n
        along = np.maximum(np.abs(ends[:, 0] - x0), np.abs(ends[:, 1] - y0))
        on = (ends[:, 0] == x0 + along * dx) & (ends[:, 1] == y0 + along * dy) & (along > 0) & (along < n)
        stops = [0, *np.unique(along[on]), n]
        found += [(x0 + i * dx, y0 + i * dy, x0 + j * dx, y0 + j * dy, kind) for i, j in itertools.pairwise(stops)]
    return np.array(found, np.int64)


@compiled
def follow(tri, node, z, surface, pieces):
    """Make pieces chains of locked edges; says of each whether that went all the way.

    Where a piece crosses another line, both get the nearest lattice point; where it crosses the border of the ground,
    it gets the nearest point of the border.
    """
    followed = np.zeros(len(pieces), np.bool_)
    near = np.int64(STRIDE)
    for i in range(len(pieces)):
        a = planned(tri, node, z, surface, pieces[i, 0], pieces[i, 1], near)
        b = planned(tri, node, z, surface, pieces[i, 2], pieces[i, 3], near)
        if a >= 0 and b >= 0:
            near = np.int64(node[4 * b + SPOKE])
            followed[i] = chained(tri, node, z, surface, a, b)
    return followed


@compiled
def planned(tri, node, z, surface, x, y, near):
    """The vertex at a lattice point, made if need be, or -1 where a seam has none."""
    h, kind = locate(tri, node, x, y, near)
    if kind == 1 and tri[h + LOCK] == SEAM:
        return np.int64(-1)
    v = insert(tri, node, z, x, y, surface[y, x], h)
    node[4 * v + FIXED] = max(node[4 * v + FIXED], IN_PLAN)
    return v


@compiled
def chained(tri, node, z, surface, a, b):
    """Lock the line between two vertices; where another line is in the way, both are led through a new vertex."""
    waiting = np.empty((4 * PATIENCE, 2), np.int64)
    waiting[0, 0], waiting[0, 1] = a, b
    n = 1
    for _ in range(PATIENCE):
        if n == 0:
            return True
        n -= 1
        b = waiting[n, 1]
        a, locked = lock_segment(tri, node, waiting[n, 0], b, np.int64(LOCKED))
        if a == b:
            continue
        if locked < 0:
            return False
        c, d = np.int64(tri[locked]), np.int64(tri[after(locked)])
        x, y = meeting(tri, node, surface, a, b, locked)
        p = planned(tri, node, z, surface, x, y, np.int64(node[4 * c + SPOKE]))
        if p < 0:
            return False
        if p not in (c, d):
            h = edge_between(tri, node, c, d)
            if h >= 0:  # the point is not on the edge
                tri[h + LOCK] = tri[tri[h + TWIN] + LOCK] = FREE
                waiting[n, 0], waiting[n, 1], waiting[n + 1, 0], waiting[n + 1, 1] = c, p, p, d
                n += 2
        waiting[n, 0], waiting[n, 1], waiting[n + 1, 0], waiting[n + 1, 1] = p, b, a, p
        n += 2
    return n == 0


@compiled
def meeting(tri, node, surface, a, b, locked):
    """Lattice point near the crossing of the line between two vertices and a locked edge, on the edge if it is a
    border's.
    """
    c, d = np.int64(tri[locked]), np.int64(tri[after(locked)])
    from_c, from_d = turn(node, a, b, c), turn(node, a, b, d)
    share = from_c / (from_c - from_d)
    cx, cy = at(node, c)
    dx, dy = node[4 * d] - cx, node[4 * d + 1] - cy
    if inside(tri, locked) != inside(tri, tri[locked + TWIN]):  # borders run along rows, columns and diagonals
        steps = max(abs(dx), abs(dy))
        k = np.int64(round(share * steps))
        return cx + dx // steps * k, cy + dy // steps * k
    x, y = cx + np.int64(round(share * dx)), cy + np.int64(round(share * dy))
    return min(max(x, 1), surface.shape[1] - 2), min(max(y, 1), surface.shape[0] - 2)
