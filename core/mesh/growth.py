"""Greedy insertion: the worst point of a triangle becomes a vertex (Garland and Heckbert 1995), level by level.

Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import numpy as np

from ..compiled import lean
from .cells import edge_owned, judge, worst_of
from .net import (
    FIXED,
    FRAME,
    INSIDE,
    LOCK,
    LOCKED,
    PINNED,
    SEAM,
    SPOKE,
    STRIDE,
    TRIANGLES,
    TWIN,
    VERTICES,
    after,
    at,
    before,
    insert,
    inside,
    legalise,
    new_vertex,
    split_edge,
    split_face,
)  # fmt: skip
from .refit import FLIP, SETTLE, SURVEY, wake

FLATTEST = 8
"""Length of an edge of the border over the distance of a point from it, from which on the edge gets a vertex first."""


@lean
def survey(tri, node, z, heights, worst, spot):
    """Worst point of every triangle of the ground."""
    for t in range(1, tri[TRIANGLES]):
        worst[t], spot[t] = 0.0, -1
        if inside(tri, STRIDE * t):
            worst[t], spot[t] = worst_of(tri, node, z, heights, STRIDE * t)


@lean
def foot(tri, node, h, x, y):
    """A point of h's triangle; if it is very near to a long edge of the ground's border, the nearest point of that.

    Thus triangles along the border do not become slivers (Ruppert 1995 has such a rule for whole meshes).
    """
    for i in range(h, h + 3):
        if tri[i + LOCK] == LOCKED and not inside(tri, tri[i + TWIN]):
            ax, ay = at(node, tri[i])
            bx, by = at(node, tri[after(i)])
            steps = max(abs(bx - ax), abs(by - ay))
            dx, dy = (bx - ax) // steps, (by - ay) // steps
            off = abs(dx * (y - ay) - dy * (x - ax))
            k = (dx * (x - ax) + dy * (y - ay)) // (dx * dx + dy * dy)
            if off * FLATTEST < steps and 0 < k < steps:
                return ax + k * dx, ay + k * dy
    return x, y


@lean
def add_point(tri, node, z, heights, h, spot):
    """Make a point of h's triangle a vertex, or one of its border; -1 if that is on an edge that may not be split."""
    h &= ~15
    x, y = foot(tri, node, h, spot % heights.shape[1], spot // heights.shape[1])
    on = np.int64(-1)
    for i in range(h, h + 3):
        ax, ay = at(node, tri[i])
        bx, by = at(node, tri[after(i)])
        if (bx - ax) * (y - ay) == (by - ay) * (x - ax):
            on = i
    if on >= 0 and tri[on + LOCK] == SEAM:
        return np.int64(-1)
    p = new_vertex(tri, node, z, x, y, heights[y, x])
    if on >= 0:
        split_edge(tri, node, on, p)
    else:
        split_face(tri, node, h, p)
    legalise(tri, node, z, p)
    return p


@lean
def renewed(tri, node, z, heights, worst, spot, p):
    """`survey` of the triangles around a vertex."""
    h = first = np.int64(node[4 * p + SPOKE])
    while True:
        if inside(tri, h):
            worst[h // STRIDE], spot[h // STRIDE] = worst_of(tri, node, z, heights, h)
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return


@lean
def stitch(tri, node, z, heights, worst, spot, seams, level, above):
    """Make the points of seams vertices that are needed below a level, and were not below the level before."""
    places, needs = seams
    near = np.int64(STRIDE)
    for i in range(len(needs)):
        if level < needs[i] <= above:
            x, y = places[i]
            p = insert(tri, node, z, x, y, heights[y, x], near)
            node[4 * p + FIXED] = PINNED
            near = np.int64(node[4 * p + SPOKE])
            renewed(tri, node, z, heights, worst, spot, p)


@lean
def tally(tri, node, z, heights, used):
    """Triangles of the ground, their vertices, and the squared errors at all points of the ground."""
    triangles, vertices, squares = 0, 0, 0.0
    used[: tri[VERTICES]] = 0
    for t in range(1, tri[TRIANGLES]):
        h = np.int64(STRIDE * t)
        if not inside(tri, h):
            continue
        triangles += 1
        a, b, c = tri[h], tri[h + 1], tri[h + 2]
        used[a] = used[b] = used[c] = 1
        ax, ay = at(node, a)
        bx, by = at(node, b)
        cx, cy = at(node, c)
        own = edge_owned(tri, node, h), edge_owned(tri, node, h + 1), edge_owned(tri, node, h + 2)
        squares += judge(heights, 1e30, ax, ay, z[a], bx, by, z[b], cx, cy, z[c], own[0], own[1], own[2])[0]
    for v in range(FRAME, tri[VERTICES]):
        if used[v]:
            vertices += 1
            squares += (z[v] - heights[node[4 * v + 1], node[4 * v]]) ** 2
    return triangles, vertices, squares


@lean
def grow(tri, node, z, heights, worst, spot, level, todo):
    """Insert worst points until no triangle has an error above the level; returns how many."""
    n = 0
    for t in range(1, tri[TRIANGLES]):
        if tri[STRIDE * t + INSIDE] == 1 and worst[t] > level:
            todo[n] = t
            n += 1
    added = 0
    while n > 0:
        n -= 1
        t = np.int64(todo[n])
        if worst[t] <= level:
            continue
        p = add_point(tri, node, z, heights, STRIDE * t, spot[t])
        if p < 0:
            worst[t] = 0.0
            continue
        added += 1
        h = first = np.int64(node[4 * p + SPOKE])
        while True:
            s = h // STRIDE
            if inside(tri, h):
                worst[s], spot[s] = worst_of(tri, node, z, heights, h)
                if worst[s] > level:
                    todo[n] = s
                    n += 1
            h = np.int64(tri[before(h) + TWIN])
            if h == first:
                break
    return added


@lean
def revise(tri, node, z, heights, worst, spot, awake):
    """`survey` of the triangles with a corner that waits for it."""
    for t in range(1, tri[TRIANGLES]):
        h = STRIDE * t
        if inside(tri, h) and (awake[tri[h]] | awake[tri[h + 1]] | awake[tri[h + 2]]) & SURVEY:
            worst[t], spot[t] = worst_of(tri, node, z, heights, h)
    for v in range(FRAME, tri[VERTICES]):
        awake[v] &= ~SURVEY


@lean
def mend(tri, node, z, heights, worst, spot, level, awake):
    """Insert the worst point of every triangle with an error above the level, once, and return how many.

    Triangles that change on the way are left for the next time, because the heights around will change first.
    """
    added = 0
    for t in range(1, tri[TRIANGLES]):
        if worst[t] <= level or not inside(tri, STRIDE * t):
            continue
        p = add_point(tri, node, z, heights, STRIDE * t, spot[t])
        if p < 0:
            continue
        added += 1
        awake[p] = SETTLE | FLIP | SURVEY
        wake(tri, node, awake, p, SETTLE | FLIP | SURVEY)
        h = first = np.int64(node[4 * p + SPOKE])
        while True:
            worst[h // STRIDE] = 0.0
            h = np.int64(tri[before(h) + TWIN])
            if h == first:
                break
    return added
