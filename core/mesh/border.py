"""The border of the ground in the net: chains of locked edges, what is inside of them, and the points of seams.

Seams get their points level by level, as the inside does, so that both are as coarse or fine as each other. Imports
numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled
from .ground import ranked
from .net import (
    FIXED,
    FREE,
    IN_PLAN,
    INSIDE,
    LOCK,
    PINNED,
    SEAM,
    SPOKE,
    STRIDE,
    TWIN,
    after,
    before,
    insert,
    lock_segment,
)  # fmt: skip


@compiled
def enclose(tri, node, z, surface, runs, todo):
    """Make the border's runs locked edges, and mark what lies at their ground's side as inside.

    Vertices on the rim of the tile keep the height of the ground, since a neighbour may have them too.
    """
    near = np.int64(STRIDE)
    for do_lock in (False, True):
        for i in range(len(runs)):
            x0, y0, x1, y1, kind = runs[i]
            a = insert(tri, node, z, x0, y0, surface[y0, x0], near)
            b = insert(tri, node, z, x1, y1, surface[y1, x1], np.int64(node[4 * a + SPOKE]))
            near = np.int64(node[4 * b + SPOKE])
            node[4 * a + FIXED] = fixed(surface, x0, y0)
            node[4 * b + FIXED] = fixed(surface, x1, y1)
            if do_lock:
                lock_segment(tri, node, a, b, abs(kind))
    for i in range(len(runs)):
        x0, y0, x1, y1, kind = runs[i]
        a = insert(tri, node, z, x0, y0, 0.0, near)
        near = np.int64(node[4 * a + SPOKE])
        h = first_edge(tri, node, a, x1 - x0, y1 - y0)
        flood(tri, h if kind > 0 else np.int64(tri[h + TWIN]), todo)


@compiled
def fixed(surface, x, y):
    """How fixed a vertex of the border is: on the rim of the tile altogether, else its place only."""
    rim = x == 0 or y == 0 or x == surface.shape[1] - 1 or y == surface.shape[0] - 1
    return PINNED if rim else IN_PLAN


@compiled
def first_edge(tri, node, a, dx, dy):
    """The edge that leaves a vertex in a direction, or -1."""
    h = first = np.int64(node[4 * a + SPOKE])
    while True:
        b = tri[after(h)]
        ex, ey = node[4 * b] - node[4 * a], node[4 * b + 1] - node[4 * a + 1]
        if dx * ey == dy * ex and dx * ex + dy * ey > 0:
            return h
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return np.int64(-1)


@compiled
def flood(tri, start, todo):
    """Mark the triangles around one as inside, up to locked edges."""
    todo[0] = start & ~15
    n = 1
    while n > 0:
        n -= 1
        h = todo[n]
        if tri[h + INSIDE]:
            continue
        tri[h + INSIDE] = 1
        for i in range(h, h + 3):
            if tri[i + LOCK] == FREE and not tri[(tri[i + TWIN] & ~15) + INSIDE]:
                todo[n] = tri[i + TWIN] & ~15
                n += 1


@compiled
def seam_points(surface, runs):
    """Lattice points between the ends of the runs of seams, and the bounds below which each is needed there."""
    n = 0
    for i in range(len(runs)):
        if abs(runs[i, 4]) == SEAM:
            n += max(abs(runs[i, 2] - runs[i, 0]), abs(runs[i, 3] - runs[i, 1])) - 1
    places, needs = np.empty((n, 2), np.int64), np.empty(n)
    n = 0
    for i in range(len(runs)):
        x0, y0, x1, y1, kind = runs[i]
        if abs(kind) == SEAM:
            steps = max(abs(x1 - x0), abs(y1 - y0))
            dx, dy = (x1 - x0) // steps, (y1 - y0) // steps
            profile = np.empty(steps + 1)
            for j in range(steps + 1):
                profile[j] = surface[y0 + j * dy, x0 + j * dx]
            need = ranked(profile)
            for j in range(1, steps):
                places[n, 0], places[n, 1], needs[n] = x0 + j * dx, y0 + j * dy, need[j]
                n += 1
    return places, needs
