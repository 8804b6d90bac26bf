"""Heights of the vertices: bounded least squares by Gauss-Seidel over the vertices; and diagonals that fit better.

Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import numpy as np

from ..compiled import inlined, lean
from .cells import judge, owned, settle
from .net import (
    FRAME,
    FREE,
    LOCK,
    SPOKE,
    STRIDE,
    TRIANGLES,
    TWIN,
    VERTICES,
    after,
    at,
    before,
    flip,
    inside,
)  # fmt: skip

SETTLE, FLIP, SURVEY, FLIPPED = 1, 2, 4, 8
"""What a vertex waits for because something near it changed: a new height, other diagonals, a new look at its errors,
and other diagonals the next time."""

CALM = 0.03
"""Part of the bound by which a height may change without a word to the neighbours."""


@lean
def wake(tri, node, awake, v, bits):
    """Mark the neighbours of a vertex."""
    h = first = np.int64(node[4 * v + SPOKE])
    while True:
        awake[tri[after(h)]] |= bits
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return


@lean
def sweep(tri, node, z, heights, bound, grip, calm, awake):
    """Settle every vertex that waits for it; returns how many did."""
    done = 0
    for v in range(FRAME, tri[VERTICES]):
        if awake[v] & SETTLE:
            change = abs(settle(tri, node, z, heights, bound, grip, v))
            awake[v] &= ~SETTLE
            if change > 0:
                awake[v] |= SURVEY
            if change > calm:
                awake[v] |= FLIP
                wake(tri, node, awake, v, SETTLE)
            done += 1
    return done


PENALTY = 100.0
"""Weight of squared errors beyond the bound against squared errors, where triangulations are compared."""

SHARPEST = 0.4
"""Least quality (`shape`) of triangles that a flip or a step may make, unless what they replace was worse. 1 is
equilateral. With 0.1, 0.2, 0.3 and 0.4 one triangle of a hundred has an angle below 4.8, 8.1, 11.3 and 14.0 degrees
(the last is that of growth alone), and the RMSE is 1, 1.01, 1.02 and 1.05 times that of 0.1; triangles stay as many."""


@inlined
def shape(z, ax, ay, bx, by, cx, cy):
    """Quality of a triangle in metres: area over the sum of the squared sides, 1 for an equilateral one."""
    sx, sy = z[0] * z[0], z[1] * z[1]
    sides = sx * ((bx - ax) ** 2 + (cx - bx) ** 2 + (ax - cx) ** 2) + sy * (
        (by - ay) ** 2 + (cy - by) ** 2 + (ay - cy) ** 2
    )
    return 3.4641016151377544 * z[0] * z[1] * ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / sides


@lean
def gain(tri, node, z, heights, bound, h):
    """By how much the other diagonal than h lowers squared errors and penalties, as a part; 0 if it may not be."""
    g = np.int64(tri[h + TWIN])
    a, b, c, d = tri[h], tri[g], tri[before(h)], tri[before(g)]
    ax, ay = at(node, a)
    bx, by = at(node, b)
    cx, cy = at(node, c)
    dx, dy = at(node, d)
    if (dx - ax) * (cy - ay) - (dy - ay) * (cx - ax) <= 0 or (bx - dx) * (cy - dy) - (by - dy) * (cx - dx) <= 0:
        return 0.0
    old = min(shape(z, ax, ay, bx, by, cx, cy), shape(z, bx, by, ax, ay, dx, dy))
    new = min(shape(z, ax, ay, dx, dy, cx, cy), shape(z, dx, dy, bx, by, cx, cy))
    if new < min(old, SHARPEST):
        return 0.0
    az, bz, cz, dz = z[a], z[b], z[c], z[d]
    own = owned(bx - ax, by - ay)
    s1, e1 = judge(heights, bound, ax, ay, az, bx, by, bz, cx, cy, cz, own, False, False)
    s2, e2 = judge(heights, bound, bx, by, bz, ax, ay, az, dx, dy, dz, not own, False, False)
    own = owned(cx - dx, cy - dy)
    s3, e3 = judge(heights, bound, dx, dy, dz, cx, cy, cz, ax, ay, az, own, False, False)
    s4, e4 = judge(heights, bound, cx, cy, cz, dx, dy, dz, bx, by, bz, not own, False, False)
    before_, after_ = s1 + s2 + PENALTY * (e1 + e2), s3 + s4 + PENALTY * (e3 + e4)
    if after_ == before_:
        return 0.0 if new <= old else 1e-3
    return 1.0 - after_ / before_


@lean
def flips(tri, node, z, heights, bound, least, awake):
    """Turn free edges whose other diagonal fits better by at least a part ``least``, where a corner waits for it.

    Returns how many.
    """
    done = 0
    for t in range(1, tri[TRIANGLES]):
        for h in range(STRIDE * t, STRIDE * t + 3):
            g = np.int64(tri[h + TWIN])
            if g < h or not inside(tri, h) or tri[h + LOCK] != FREE:
                continue
            any_awake = awake[tri[h]] | awake[tri[g]] | awake[tri[before(h)]] | awake[tri[before(g)]]
            if any_awake & FLIP and gain(tri, node, z, heights, bound, h) > least:
                flip(tri, node, h)
                for v in (tri[h], tri[g], tri[before(h)], tri[before(g)]):
                    awake[v] |= SETTLE | SURVEY | FLIPPED
                done += 1
    for v in range(FRAME, tri[VERTICES]):
        awake[v] = (awake[v] & ~(FLIP | FLIPPED)) | (FLIP if awake[v] & FLIPPED else 0)
    return done
