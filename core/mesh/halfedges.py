"""A finished mesh as half-edges: which edge is whose twin, which triangles hang together, and where the borders run.

Half-edge ``h`` of triangle ``h // 3`` runs from corner ``h % 3`` to the next one, the triangle at its left. It has no
twin (-1) on the border. Where parts of a mesh touch at a single vertex, each part can get a vertex of its own, a
*copy*, so that the triangles around every vertex are one fan. Imports numpy and the numba door only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, lean

Floats = NDArray[np.float64]
Whole = NDArray[np.int32]


class Net(NamedTuple):
    """A mesh that can be cut; arrays have room for more than is in use.

    Half-edges: ``corner`` (vertex where it starts), ``twin`` (-1: border), ``line`` (lines along it, with the inside of
    the polygon at the left, less those with the inside at the right). Triangles: ``home``. Vertices: ``xyz``, ``spoke``
    (a half-edge that leaves it; the one along the border if there is one), ``rim`` (on the border), ``copy`` (the next
    vertex at the same place, itself if there is no other).
    """

    corner: Whole
    twin: Whole
    line: NDArray[np.int16]
    home: Whole
    xyz: Floats
    spoke: Whole
    rim: NDArray[np.bool_]
    copy: Whole
    used: NDArray[np.int64]


@lean
def after(h: int) -> int:
    """The next half-edge of the same triangle."""
    return h - 2 if h % 3 == 2 else h + 1


@lean
def before(h: int) -> int:
    """The previous half-edge of the same triangle."""
    return h + 2 if h % 3 == 0 else h - 1


@lean
def wide(number: Any) -> Any:
    """A number of a half-edge, vertex or triangle as kernels hand it on, so that each is compiled once."""
    return np.int64(number)


@lean
def start(net: Net, h: int) -> int:
    """Vertex where a half-edge starts."""
    return wide(net.corner[h])


@lean
def end(net: Net, h: int) -> int:
    """Vertex where a half-edge ends."""
    return wide(net.corner[after(h)])


@lean
def apex(net: Net, h: int) -> int:
    """Vertex opposite of a half-edge in its triangle."""
    return wide(net.corner[before(h)])


@lean
def across(net: Net, h: int) -> int:
    """Twin of a half-edge, -1 on the border."""
    return wide(net.twin[h])


@lean
def lines_on(net: Net, h: int) -> int:
    """Lines along a half-edge."""
    return wide(net.line[h])


@lean
def spoke(net: Net, v: int) -> int:
    """A half-edge that leaves a vertex."""
    return wide(net.spoke[v])


@lean
def next_copy(net: Net, v: int) -> int:
    """The next vertex at the same place."""
    return wide(net.copy[v])


@compiled
def twins(corner: Whole, vertices: int) -> Whole:
    """Twin of every half-edge, for the corners of all triangles one after another; -1 on the border."""
    n = len(corner)
    first = np.zeros(vertices + 1, np.int32)
    for h in range(n):
        first[corner[h] + 1] += 1
    for v in range(vertices):
        first[v + 1] += first[v]
    place = first[:-1].copy()
    leaving = np.empty(n, np.int32)
    for h in range(n):
        leaving[place[corner[h]]] = h
        place[corner[h]] += 1
    found = np.full(n, -1, np.int32)
    for h in range(n):
        if found[h] >= 0:
            continue
        start, end = corner[h], corner[after(h)]
        for i in range(first[end], first[end + 1]):
            g = leaving[i]
            if corner[after(g)] == start and found[g] < 0:
                found[h], found[g] = g, h
                break
    return found


@compiled
def separate(corner: Whole, twin: Whole, vertices: int) -> Whole:
    """Give every fan of triangles a vertex of its own, in ``corner``; returns which vertex each copy is one of.

    The copies have the numbers from ``vertices`` on.
    """
    borders = np.zeros(vertices, np.int32)
    copies = 0
    for h in range(len(corner)):
        if twin[h] < 0:
            borders[corner[h]] += 1
            copies += borders[corner[h]] > 1
    of = np.empty(copies, np.int32)
    n = 0
    for first in range(len(corner)):
        v = corner[first]
        if twin[first] >= 0 or v >= vertices or borders[v] < 2:
            continue
        borders[v] -= 1
        of[n] = v
        h = first
        while h >= 0:
            corner[h] = vertices + n
            h = twin[before(h)]
        n += 1
    return of


@compiled
def loops(corner: Whole, twin: Whole) -> tuple[Whole, Whole]:
    """Half-edges along the borders, loop after loop, and where each loop starts (and the last one ends)."""
    seen = np.zeros(len(corner), np.bool_)
    n = 0
    for h in range(len(corner)):
        n += twin[h] < 0
    found, starts = np.empty(n, np.int32), np.empty(n + 1, np.int32)
    n, many = 0, 0
    for first in range(len(corner)):
        if twin[first] >= 0 or seen[first]:
            continue
        starts[many] = n
        many += 1
        h = first
        while not seen[h]:
            seen[h] = True
            found[n] = h
            n += 1
            h = after(h)
            while twin[h] >= 0:
                h = after(twin[h])
    starts[many] = n
    return found, starts[: many + 1].copy()


@compiled
def pieces(twin: Whole, line: NDArray[np.int16]) -> tuple[Whole, int]:
    """Number of the piece that each triangle belongs to, and how many there are; lines keep pieces apart."""
    n = len(twin) // 3
    label = np.full(n, -1, np.int32)
    stack = np.empty(n, np.int32)
    many = 0
    for first in range(n):
        if label[first] >= 0:
            continue
        label[first] = many
        stack[0] = first
        size = 1
        while size > 0:
            size -= 1
            t = stack[size]
            for h in range(3 * t, 3 * t + 3):
                if twin[h] < 0 or line[h] != 0:
                    continue
                s = twin[h] // 3
                if label[s] < 0:
                    label[s] = many
                    stack[size] = s
                    size += 1
        many += 1
    return label, many


@compiled
def votes(corner: Whole, line: NDArray[np.int16], xyz: Floats, label: Whole, many: int) -> tuple[Floats, Whole]:
    """Of every piece the length of lines that have it at their left and at their right, and its thickest triangle."""
    found, best = np.zeros((many, 2)), np.full(many, -1.0)
    thickest = np.zeros(many, np.int32)
    for t in range(len(label)):
        longest = 0.0
        piece = label[t]
        for h in range(3 * t, 3 * t + 3):
            a, b = xyz[corner[h]], xyz[corner[after(h)]]
            length = np.hypot(b[0] - a[0], b[1] - a[1])
            longest = max(longest, length)
            if line[h] != 0:
                found[piece, 0 if line[h] > 0 else 1] += length
        a, b, c = xyz[corner[3 * t]], xyz[corner[3 * t + 1]], xyz[corner[3 * t + 2]]
        height = ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / longest
        if height > best[piece]:
            best[piece], thickest[piece] = height, t
    return found, thickest
