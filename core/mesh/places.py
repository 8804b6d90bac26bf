"""Better places for vertices: a step to a neighbouring lattice point, where that makes the errors around smaller.

Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled import lean
from .cells import edge, owned, row_of, rows, slopes, spared
from .net import FIXED, FRAME, LOCK, MOVABLE, SPOKE, TWIN, VERTICES, after, at, before, inside
from .refit import FLIP, SETTLE, SHARPEST, SURVEY, shape, wake

MOVED = 16
"""What a vertex waits for: another look at its place."""


@lean
def fan_part(heights, bound, ax, ay, az, bx, by, bz, cx, cy, cz, own_ab, own_ca, low_z, high_z, squares, top, bottom):
    """Like `cells.pull`, for a corner a that is tried: all points limit its height, and their squares are summed."""
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
            if low_z * w < -bound - e:
                low_z = (-bound - e) / w
            if high_z * w > bound - e:
                high_z = (bound - e) / w
            squares += e * e
            top += w * e
            bottom += w * w
    return low_z, high_z, squares, top, bottom


@lean
def trial(tri, node, z, heights, bound, v, px, py):
    """Squared errors around vertex v if it were at another place, at the best height there, and that height.

    Infinite where triangles would turn over or become slivers, or where no height keeps to the bound.
    """
    pz = heights[py, px]
    low, high, squares, top, bottom = -bound, bound, 0.0, 0.0, 1.0
    sharpest = 1.0
    h = first = np.int64(node[4 * v + SPOKE])
    while True:
        out = before(h)
        bx, by = at(node, tri[after(h)])
        cx, cy = at(node, tri[out])
        if (bx - px) * (cy - py) - (by - py) * (cx - px) <= 0:
            return np.inf, 0.0, 0.0
        sharpest = min(sharpest, shape(z, px, py, bx, by, cx, cy))
        low, high, squares, top, bottom = fan_part(
            heights, bound, px, py, pz, bx, by, z[tri[after(h)]], cx, cy, z[tri[out]],
            owned(bx - px, by - py), owned(px - cx, py - cy), low, high, squares, top, bottom,
        )  # fmt: skip
        if low > high:
            return np.inf, 0.0, sharpest
        h = np.int64(tri[out + TWIN])
        if h == first:
            break
    change = min(max(-top / bottom, low), high)
    return squares + change * (2.0 * top + change * bottom), pz + change, sharpest


@lean
def free_to_move(tri, node, v):
    """Whether a vertex lies inside of the ground and on no locked edge."""
    if node[4 * v + FIXED] != MOVABLE:
        return False
    h = first = np.int64(node[4 * v + SPOKE])
    while True:
        if tri[h + LOCK] or not inside(tri, h):
            return False
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return True


@lean
def relocate(tri, node, z, heights, bound, least, awake):
    """Step vertices to the neighbouring point that lowers the squared errors around most; returns how many moved."""
    done = 0
    for v in range(FRAME, tri[VERTICES]):
        if not awake[v] & MOVED:
            continue
        awake[v] &= ~MOVED
        if not free_to_move(tri, node, v):
            continue
        vx, vy = at(node, v)
        cost, height, shape_now = trial(tri, node, z, heights, bound, v, vx, vy)
        best, best_x, best_y = cost * (1.0 - least), vx, vy
        now = height
        side_x, side_y, least_x, least_y = 0, 0, np.inf, np.inf
        for k in range(5):  # the four neighbours, then the diagonal one between the better of them
            dx, dy = (1 - 2 * k, 0) if k < 2 else (0, 5 - 2 * k) if k < 4 else (side_x, side_y)
            if k == 4 and (dx == 0 or dy == 0):
                break
            c, zz, sh = trial(tri, node, z, heights, bound, v, vx + dx, vy + dy)
            if c < least_x and k < 2:
                side_x, least_x = dx, c
            if c < least_y and 2 <= k < 4:
                side_y, least_y = dy, c
            if c < best and sh >= min(SHARPEST, shape_now):
                best, best_x, best_y, height = c, vx + dx, vy + dy, zz
        if best_x != vx or best_y != vy:
            node[4 * v], node[4 * v + 1], z[v] = best_x, best_y, height
            awake[v] |= FLIP | SURVEY | SETTLE
            wake(tri, node, awake, v, SETTLE | FLIP | SURVEY | MOVED)
            done += 1
        elif cost < np.inf and now != z[v]:
            z[v] = now
            awake[v] |= SURVEY
    return done
