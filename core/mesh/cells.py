"""Which lattice points a triangle answers for, and how far its plane is from them.

Every point inside of the ground that is no vertex belongs to exactly one triangle: to the one whose inside holds it,
or, on an edge, to the triangle for which the edge runs downwards (or, if level, to the left), unless the other side is
outside of the ground. The rule needs coordinates only, so triangles can be judged before they exist. Corners belong to
their vertex, not to triangles. Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled import inlined, lean
from .net import FIXED, PINNED, SPOKE, TWIN, after, at, before, inside

NUDGE = 1e-6
"""Columns between which an edge's crossing with a row counts as a whole one. Crossings that are not whole differ from
whole ones by at least 2^-15."""

FAR, NOWHERE = 1e9, np.int64(-(1 << 40))
"""A column and a row beyond every lattice."""


ROUNDED = 1.0 + 1e-9
"""Errors up to this many bounds are errors of rounding; callers work with a bound that is smaller by as much."""


@inlined
def owned(dx, dy):
    """Whether an edge's points belong to the triangle at its left."""
    return dy > 0 or (dy == 0 and dx < 0)


@inlined
def edge_owned(tri, node, h):
    """Like `owned`, for an edge of the net, where the other side may be outside of the ground."""
    ax, ay = at(node, tri[h])
    bx, by = at(node, tri[after(h)])
    return owned(bx - ax, by - ay) or not inside(tri, tri[h + TWIN])


@inlined
def edge(px, py, dx, dy, own):
    """Slopes and offsets of the last and the first column at the left of an edge, as lines over the row."""
    if dy == 0:
        return 0.0, FAR, 0.0, -FAR
    slope = np.float64(dx) / np.float64(dy)
    if dy > 0:  # rows count downwards, so the left of a descending edge are the smaller columns
        return slope, px - slope * py + (NUDGE if own else -NUDGE), 0.0, -FAR
    return 0.0, FAR, slope, px - slope * py - (NUDGE if own else -NUDGE)


@inlined
def rows(ay, by, cy, own_ab, own_bc, own_ca):
    """First and last row of a triangle, without level edges that belong to the neighbour."""
    first, last = min(ay, by, cy), max(ay, by, cy)
    if (ay == by == first and not own_ab) or (by == cy == first and not own_bc) or (cy == ay == first and not own_ca):
        first += 1
    if (ay == by == last and not own_ab) or (by == cy == last and not own_bc) or (cy == ay == last and not own_ca):
        last -= 1
    return first, last


@inlined
def row_of(ay, own_before, own_after):
    """Row in which a corner has to be left out: where both of its edges belong to the triangle; else no row at all."""
    return ay if own_before and own_after else NOWHERE


@inlined
def spared(y, row, ax, low, high):
    """Leave a corner out of a row of columns; corners are always at an end."""
    if y == row:
        if low == ax:
            low += 1
        if high == ax:
            high -= 1
    return low, high


@inlined
def slopes(ax, ay, az, bx, by, bz, cx, cy, cz):
    """Rise of the plane through three points per column and per row, and 1 over twice the triangle's area."""
    area = 1.0 / np.float64((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    p, q = bz - az, cz - az
    return (p * (cy - ay) - q * (by - ay)) * area, (q * (bx - ax) - p * (cx - ax)) * area, area


@lean
def worst_of(tri, node, z, heights, h):
    """Largest error of the plane of h's triangle at its points, and the flat index of that point (-1: no points)."""
    h &= ~15
    a, b, c = tri[h], tri[h + 1], tri[h + 2]
    ax, ay = at(node, a)
    bx, by = at(node, b)
    cx, cy = at(node, c)
    own_ab, own_bc, own_ca = edge_owned(tri, node, h), edge_owned(tri, node, h + 1), edge_owned(tri, node, h + 2)
    gx, gy, _ = slopes(ax, ay, z[a], bx, by, z[b], cx, cy, z[c])
    s1, o1, t1, p1 = edge(ax, ay, bx - ax, by - ay, own_ab)
    s2, o2, t2, p2 = edge(bx, by, cx - bx, cy - by, own_bc)
    s3, o3, t3, p3 = edge(cx, cy, ax - cx, ay - cy, own_ca)
    first, last = rows(ay, by, cy, own_ab, own_bc, own_ca)
    row_a, row_b, row_c = row_of(ay, own_ca, own_ab), row_of(by, own_ab, own_bc), row_of(cy, own_bc, own_ca)
    worst, spot = 0.0, np.int64(-1)
    for y in range(first, last + 1):
        high = np.int64(math.floor(min(s1 * y + o1, s2 * y + o2, s3 * y + o3)))
        low = np.int64(math.ceil(max(t1 * y + p1, t2 * y + p2, t3 * y + p3)))
        low, high = spared(y, row_a, ax, low, high)
        low, high = spared(y, row_b, bx, low, high)
        low, high = spared(y, row_c, cx, low, high)
        base = z[a] + gy * (y - ay) - gx * ax
        for x in range(low, high + 1):
            e = abs(base + gx * x - heights[y, x])
            if e > worst or spot < 0:
                worst, spot = e, y * heights.shape[1] + x
    return worst, spot


@lean
def judge(heights, bound, ax, ay, az, bx, by, bz, cx, cy, cz, own_ab, own_bc, own_ca):
    """Squared errors, and squared parts of errors beyond the bound, at the points of the plane through three others."""
    gx, gy, _ = slopes(ax, ay, az, bx, by, bz, cx, cy, cz)
    s1, o1, t1, p1 = edge(ax, ay, bx - ax, by - ay, own_ab)
    s2, o2, t2, p2 = edge(bx, by, cx - bx, cy - by, own_bc)
    s3, o3, t3, p3 = edge(cx, cy, ax - cx, ay - cy, own_ca)
    first, last = rows(ay, by, cy, own_ab, own_bc, own_ca)
    row_a, row_b, row_c = row_of(ay, own_ca, own_ab), row_of(by, own_ab, own_bc), row_of(cy, own_bc, own_ca)
    squares, excess = 0.0, 0.0
    for y in range(first, last + 1):
        high = np.int64(math.floor(min(s1 * y + o1, s2 * y + o2, s3 * y + o3)))
        low = np.int64(math.ceil(max(t1 * y + p1, t2 * y + p2, t3 * y + p3)))
        low, high = spared(y, row_a, ax, low, high)
        low, high = spared(y, row_b, bx, low, high)
        low, high = spared(y, row_c, cx, low, high)
        base = az + gy * (y - ay) - gx * ax
        for x in range(low, high + 1):
            e = base + gx * x - heights[y, x]
            squares += e * e
            over = max(abs(e) - bound, 0.0)
            excess += over * over
    return squares, excess


@lean
def pull(heights, bound, grip, ax, ay, az, bx, by, bz, cx, cy, cz, own_ab, own_ca, low_z, high_z, top, bottom):
    """What the points of a triangle say about the height of its corner a, added to what others said.

    The lowest and the highest change of a's height that keep points within the bound which are there, and numerator and
    denominator of the change that minimises the squared errors and ``grip`` times the squared parts beyond the bound.
    The edge across from a has no say.
    """
    gx, gy, area = slopes(ax, ay, az, bx, by, bz, cx, cy, cz)
    wx, wy = (by - cy) * area, (cx - bx) * area
    s1, o1, t1, p1 = edge(ax, ay, bx - ax, by - ay, own_ab)
    s2, o2, t2, p2 = edge(bx, by, cx - bx, cy - by, False)
    s3, o3, t3, p3 = edge(cx, cy, ax - cx, ay - cy, own_ca)
    first, last = rows(ay, by, cy, own_ab, False, own_ca)
    row_a = row_of(ay, own_ca, own_ab)
    for y in range(first, last + 1):
        high = np.int64(math.floor(min(s1 * y + o1, s2 * y + o2, s3 * y + o3)))
        low = np.int64(math.ceil(max(t1 * y + p1, t2 * y + p2, t3 * y + p3)))
        low, high = spared(y, row_a, ax, low, high)
        base = az + gy * (y - ay) - gx * ax
        share = 1.0 + wy * (y - ay) - wx * ax
        for x in range(low, high + 1):
            e = base + gx * x - heights[y, x]
            w = share + wx * x
            if abs(e) <= bound * ROUNDED:
                if low_z * w < -bound - e:  # rarely, so that there is hardly a division
                    low_z = min((-bound - e) / w, 0.0)
                if high_z * w > bound - e:
                    high_z = max((bound - e) / w, 0.0)
                top += w * e
                bottom += w * w
            else:
                top += w * (e + grip * (e - math.copysign(bound, e)))
                bottom += w * w * (1.0 + grip)
    return low_z, high_z, top, bottom


@lean
def settle(tri, node, z, heights, bound, grip, v):
    """Give a vertex the best height that takes no point beyond the bound; returns the change."""
    if node[4 * v + FIXED] == PINNED:
        return 0.0
    vx, vy = at(node, v)
    vz = z[v]
    e = vz - heights[vy, vx]
    low, high, top, bottom = min(-bound - e, 0.0), max(bound - e, 0.0), e, 1.0
    h = first = np.int64(node[4 * v + SPOKE])
    while True:
        out = before(h)
        if inside(tri, h):
            b, c = tri[after(h)], tri[out]
            bx, by = at(node, b)
            cx, cy = at(node, c)
            own_ab, own_ca = edge_owned(tri, node, h), edge_owned(tri, node, out)
            low, high, top, bottom = pull(
                heights, bound, grip, vx, vy, vz, bx, by, z[b], cx, cy, z[c], own_ab, own_ca, low, high, top, bottom
            )
        h = np.int64(tri[out + TWIN])
        if h == first:
            break
    change = min(max(-top / bottom, low), high)
    z[v] = vz + change
    return change
