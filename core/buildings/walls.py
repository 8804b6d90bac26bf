"""Straight walls through arcs of measured points, with directions of streets and neighbours, and shared corners.

Each arc is cut into straight walls (Douglas and Peucker 1973); each wall gets a direction, snapped to its building's
axis and that to its street's, and an offset from the points along it; the corners are the least squares solution of
lying on their walls. Corners are shared by all buildings around them, so party walls are the same line for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from ..compiled import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

TOLERANCE_M = 0.8
SHORT_M = 2.6
"""Shorter walls between two others are cut corners or noise."""
TRIM_M = 1.2
"""Points nearer than this to a wall's ends say nothing about where it lies."""
TO_AXIS_DEG = 17.0
TO_STREET_DEG = 10.0
HOLD = 0.02
"""Weight of a corner's measured place against its walls' lines."""


@dataclass(frozen=True)
class Walls:
    """Straight walls and their corners.

    Attributes
    ----------
    corners
        Measured places of corners ``(V, 2)`` in metres.
    ends
        Corner numbers of each wall ``(W, 2)``.
    sides
        Building numbers left and right of each wall, 0 for open ground, ``(W, 2)``.
    angle, offset
        Direction in radians and signed distance of each wall's line from the origin along its left normal.
    length
        Length in metres, ``(W,)``.

    """

    corners: Floats
    ends: Numbers
    sides: Numbers
    angle: Floats
    offset: Floats
    length: Floats

    @property
    def normal(self) -> Floats:
        """Left normals ``(W, 2)``."""
        return np.column_stack([-np.sin(self.angle), np.cos(self.angle)])


def straight_walls(points: Floats, begins: Numbers, sides: Numbers, ends: Numbers) -> Walls:
    """Walls of arcs of :func:`.instances.arcs`, whose points are metres now, y northward; directions unsnapped."""
    points = _turned_rings(points, begins, ends[:, 0] == ends[:, 1])
    breaks, arc_of, corner = _broken(points, begins, ends)
    corners, first = np.unique(corner, return_index=True)
    number = np.searchsorted(corners, corner)
    same = arc_of[1:] == arc_of[:-1]
    walls = np.flatnonzero(same)
    ends_of = np.column_stack([number[walls], number[walls + 1]])
    place = points[breaks[first]]
    angle, offset, length = _lines(points, breaks[walls], breaks[walls + 1])
    return Walls(place, ends_of, sides[arc_of[walls]], angle, offset, length)


def _broken(points: Floats, begins: Numbers, ends: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Points at which walls end, their arcs, and a number for each that arcs share at their ends."""
    index, arc = _breaks(points, begins, ends[:, 0] == ends[:, 1])
    first = np.concatenate([[True], arc[1:] != arc[:-1]])
    last = np.concatenate([arc[1:] != arc[:-1], [True]])
    corner = -1 - index
    corner[first], corner[last] = ends[arc[first], 0], ends[arc[last], 1]
    # a ring has one corner of its own, where it begins
    alone = (ends[:, 0] == ends[:, 1])[arc]
    corner[(first | last) & alone] = ends[arc[(first | last) & alone], 0]
    return index, arc, corner


@compiled
def _breaks(points: Floats, begins: Numbers, ring: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Break points of all arcs, in order, and their arcs."""
    index, arc = [0], [0]
    for a in range(len(begins) - 1):
        lo, hi = begins[a], begins[a + 1] - 1
        keep = np.zeros(hi - lo + 1, np.bool_)
        keep[0] = keep[-1] = True
        if ring[a]:
            _split_ring(points, lo, hi, keep)
        _peucker(points, lo, keep)
        _merge(points, lo, keep)
        for n in range(hi - lo + 1):
            if keep[n]:
                index.append(lo + n)
                arc.append(a)
    return np.array(index[1:]), np.array(arc[1:])


@compiled
def _turned_rings(points: Floats, begins: Numbers, ring: NDArray[np.bool_]) -> Floats:
    """Rings begin and end at their measured point farthest from the middle, which is near a corner."""
    out = points.copy()
    for a in range(len(ring)):
        lo, hi = begins[a], begins[a + 1] - 1
        if not ring[a]:
            continue
        inner = points[lo + 1 : hi]
        count = len(inner)
        mx, my = inner[:, 0].mean(), inner[:, 1].mean()
        far, most = 0, -1.0
        for n in range(count):
            away = _size(inner[n, 0] - mx, inner[n, 1] - my)
            if away > most + 1e-6:
                far, most = n, away
        for n in range(count + 2):
            out[lo + n] = inner[(far + min(n, count)) % count]
    return out


@compiled
def _is_jog(points: Floats, lo: int, kept: Numbers, n: int) -> bool:
    """Whether a short wall joins two parallel ones that lie more than a metre beside each other."""
    if n < 1 or n + 2 >= len(kept):
        return False
    a, b, c, d = (points[lo + kept[n - 1]], points[lo + kept[n]], points[lo + kept[n + 1]], points[lo + kept[n + 2]])
    ux, uy, vx, vy = b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]
    long, other = _size(ux, uy), _size(vx, vy)
    if long < 2.5 or other < 2.5:
        return False
    if (ux * vx + uy * vy) / (long * other) < 0.9:
        return False
    return abs((c[0] - b[0]) * uy - (c[1] - b[1]) * ux) / long > 1.1


@compiled
def _split_ring(points: Floats, lo: int, hi: int, keep: NDArray[np.bool_]) -> None:
    """Keep the point farthest from the ring's first, and the one farthest off their chord on either side."""
    far, most = lo, -1.0
    for n in range(lo, hi + 1):
        away = _size(points[n, 0] - points[lo, 0], points[n, 1] - points[lo, 1])
        if away > most:
            most, far = away, n
    keep[far - lo] = True


@compiled
def _size(x: float, y: float) -> float:
    """Length of a vector."""
    return float(np.sqrt(x * x + y * y))


@compiled
def _off(points: Floats, a: int, b: int, n: int) -> float:
    """Distance of a point from the chord of two others."""
    dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    px, py = points[n, 0] - points[a, 0], points[n, 1] - points[a, 1]
    size = _size(dx, dy)
    return _size(px, py) if size < 1e-9 else abs(px * dy - py * dx) / size


@compiled
def _peucker(points: Floats, lo: int, keep: NDArray[np.bool_]) -> None:
    """Keep the farthest points of every piece until all are within the tolerance."""
    changed = True
    while changed:
        changed = False
        a = 0
        for b in range(1, len(keep)):
            if not keep[b]:
                continue
            far, most = -1, TOLERANCE_M
            for n in range(a + 1, b):
                off = _off(points, lo + a, lo + b, lo + n)
                if off > most:
                    far, most = n, off
            if far >= 0:
                keep[far] = True
                changed = True
            a = b


@compiled
def _merge(points: Floats, lo: int, keep: NDArray[np.bool_]) -> None:
    """Make one break of two that are near: cut corners become corners, small jogs straight walls."""
    while True:
        kept = np.flatnonzero(keep)
        if len(kept) < 3:
            return
        worst, least = -1, SHORT_M
        for n in range(len(kept) - 1):
            p, q = lo + kept[n], lo + kept[n + 1]
            size = _size(points[q, 0] - points[p, 0], points[q, 1] - points[p, 1])
            if size < least and not (len(kept) <= 5 and size > 1.5) and not _is_jog(points, lo, kept, n):
                worst, least = n, size
        if worst < 0:
            return
        a, b = kept[worst], kept[worst + 1]
        if a == 0:
            keep[b] = False
        elif b == len(keep) - 1:
            keep[a] = False
        else:
            keep[a] = keep[b] = False
            keep[(a + b) // 2] = True


@compiled
def _lines(points: Floats, first: Numbers, last: Numbers) -> tuple[Floats, Floats, Floats]:
    """Direction, offset and length of the best line through the points between two breaks (total least squares)."""
    count = len(first)
    angle, offset, length = np.zeros(count), np.zeros(count), np.zeros(count)
    for w in range(count):
        p, q = points[first[w]], points[last[w]]
        dx, dy = q[0] - p[0], q[1] - p[1]
        size = _size(dx, dy)
        n, mx, my = 0, 0.0, 0.0
        xx, xy, yy = 0.0, 0.0, 0.0
        for k in range(first[w], last[w] + 1):
            near_p = _size(points[k, 0] - p[0], points[k, 1] - p[1]) < TRIM_M
            near_q = _size(points[k, 0] - q[0], points[k, 1] - q[1]) < TRIM_M
            if size > 2 * TRIM_M + 2 and (near_p or near_q):
                continue
            n += 1
            mx += points[k, 0]
            my += points[k, 1]
        mx, my = mx / max(n, 1), my / max(n, 1)
        for k in range(first[w], last[w] + 1):
            ux, uy = points[k, 0] - mx, points[k, 1] - my
            if size > 2 * TRIM_M + 2 and (
                _size(points[k, 0] - p[0], points[k, 1] - p[1]) < TRIM_M
                or _size(points[k, 0] - q[0], points[k, 1] - q[1]) < TRIM_M
            ):
                continue
            xx, xy, yy = xx + ux * ux, xy + ux * uy, yy + uy * uy
        a = np.arctan2(dy, dx)
        if n >= 3 and size > 3.0:
            b = 0.5 * np.arctan2(2 * xy, xx - yy)
            if np.cos(b) * dx + np.sin(b) * dy < 0:
                b += np.pi
            turn = (b - a + np.pi) % (2 * np.pi) - np.pi
            if abs(turn) < 0.35:
                a += turn
        angle[w], length[w] = a, size
        offset[w] = -np.sin(a) * mx + np.cos(a) * my
    return angle, offset, length


def axes(walls: Walls, count: int) -> tuple[Floats, Floats]:
    """Main direction of each building modulo a quarter turn, its walls weighted by squared length, ``(count,)``.

    The second is how well its walls agree, 0 to 1.
    """
    weight = walls.length**2
    total = np.zeros((count, 2))
    for side in walls.sides.T:
        for k, moment in enumerate((np.cos(4 * walls.angle), np.sin(4 * walls.angle))):
            total[:, k] += np.bincount(side, weight * moment, count)
    whole = sum(np.bincount(side, weight, count) for side in walls.sides.T)
    agreed = np.hypot(*total.T) / np.maximum(whole, 1e-9)
    return np.asarray(np.arctan2(total[:, 1], total[:, 0]) / 4), np.asarray(agreed)


def to_street(axis: Floats, street: Floats) -> Floats:
    """Axes turned to the street's direction where they are near it; not a number stands for no street."""
    turn = _quarter(street - axis)
    near = np.abs(turn) < np.radians(TO_STREET_DEG)
    return np.asarray(np.where(near, axis + np.nan_to_num(turn), axis))


def snapped(walls: Walls, axis: Floats) -> Walls:
    """Walls turned about their middles to the nearer axis of the buildings beside them, if it is near."""
    turns = np.stack([np.where(side > 0, _quarter(axis[side] - walls.angle), np.inf) for side in walls.sides.T])
    turn = np.take_along_axis(turns, np.abs(turns).argmin(axis=0)[None], axis=0)[0]
    limit = np.radians(np.select([walls.length < 4.0, walls.length < 10.0], [46.0, 1.6 * TO_AXIS_DEG], TO_AXIS_DEG))
    turn = np.where(np.abs(turn) < limit, turn, 0.0)
    along = np.column_stack([np.cos(walls.angle), np.sin(walls.angle)])
    middle = walls.corners[walls.ends].mean(axis=1)
    on_line = walls.normal * walls.offset[:, None] + along * np.sum(middle * along, axis=1)[:, None]
    angle = walls.angle + turn
    offset = np.sum(np.column_stack([-np.sin(angle), np.cos(angle)]) * on_line, axis=1)
    return Walls(walls.corners, walls.ends, walls.sides, angle, offset, walls.length)


def _quarter(turn: Floats) -> Floats:
    """An angle modulo a quarter turn, between -45 and 45 degrees."""
    return np.asarray(np.mod(turn + np.pi / 4, np.pi / 2) - np.pi / 4)


@dataclass(frozen=True)
class Corners:
    """The least squares problem of corners on walls, factorised once for any shift of the outer walls."""

    walls: Walls
    matrix: csc_array
    weight: Floats
    outward: Floats

    def places(self, shift_m: float) -> Floats:
        """Corners ``(V, 2)`` with all outer walls moved outward by so many metres."""
        walls = self.walls
        offset = walls.offset + self.outward * shift_m
        target = (walls.normal * (offset * self.weight)[:, None])[:, None, :].repeat(2, axis=1)
        right = np.zeros_like(walls.corners)
        np.add.at(right, walls.ends.ravel(), target.reshape(-1, 2))
        right += HOLD * walls.corners
        return np.asarray(splu(self.matrix).solve(right.ravel()).reshape(-1, 2))


def corners_of(walls: Walls) -> Corners:
    """Normal equations: every corner on the lines of its walls, weighted by length, and weakly at its own place."""
    count = len(walls.corners)
    weight = np.minimum(walls.length, 15.0) / 5.0 + 0.05
    normal = walls.normal
    block = normal[:, :, None] * normal[:, None, :] * weight[:, None, None]
    rows, cols, values = [], [], []
    for end in walls.ends.T:
        for a in range(2):
            for b in range(2):
                rows.append(2 * end + a)
                cols.append(2 * end + b)
                values.append(block[:, a, b])
    diagonal = np.arange(2 * count)
    rows.append(diagonal)
    cols.append(diagonal)
    values.append(np.full(2 * count, HOLD))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    matrix = csc_array(coo_array(entries, shape=(2 * count, 2 * count)))
    left, right = walls.sides.T
    outward = np.where(left == 0, 1.0, np.where(right == 0, -1.0, 0.0))
    return Corners(walls, matrix, weight, outward)
