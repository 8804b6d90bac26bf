"""A finished mesh that can be cut: points are put into its triangles, and edges are split and flipped.

Triangles are only ever split, and their pieces flipped among themselves: all pieces of a triangle lie in one plane,
their *home*, so the surface stays as it is. Pieces of a home are kept Delaunay as far as lines allow. Every move leaves
a sound mesh.

Kernels for `clip`: the plane is x = column, y = minus row, so that triangles run anticlockwise. Imports numpy and the
numba door only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..compiled import lean
from .halfedges import Net, Whole, across, after, apex, before, end, lines_on, next_copy, spoke, start, wide

Floats = NDArray[np.float64]

NEAR = 2.0**-12
"""Cells within which a line goes through a vertex, and a point of it counts as lying on an edge."""

FLAT = 1e-9
"""Height of the flattest triangle that a flip may make, in lengths of its longest side."""

TRIANGLES, VERTICES = 0, 1
"""Counters of the records in use."""

ROOM = 16
"""Triangles and vertices that have to be free before a point or a step of a line is added."""

OUTSIDE = -1
"""In place of a vertex: beyond the border of the mesh."""


@lean
def turn(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    """Twice the area of a triangle, positive anticlockwise."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@lean
def side(net: Net, a: int, b: int, c: int) -> float:
    """Twice the area of the triangle of three vertices."""
    p = net.xyz
    return turn(p[a, 0], p[a, 1], p[b, 0], p[b, 1], p[c, 0], p[c, 1])


@lean
def full(net: Net, a: int, b: int, c: int) -> bool:
    """Whether a triangle is anticlockwise and not flat."""
    p = net.xyz
    longest = 0.0
    for u, v in ((a, b), (b, c), (c, a)):
        longest = max(longest, (p[u, 0] - p[v, 0]) ** 2 + (p[u, 1] - p[v, 1]) ** 2)
    return side(net, a, b, c) > FLAT * longest


@lean
def same(net: Net, a: int, b: int) -> bool:
    """Whether two vertices are copies of one."""
    if a == b:
        return True
    if b < 0:
        return False
    v = next_copy(net, a)
    while v != a:
        if v == b:
            return True
        v = next_copy(net, v)
    return False


@lean
def tie(net: Net, h: int, twin: int, line: int) -> None:
    """Join two half-edges, with the lines along the first."""
    net.twin[h], net.line[h] = twin, line
    if twin >= 0:
        net.twin[twin], net.line[twin] = h, -line


@lean
def anchor(net: Net, t: int) -> None:
    """Let the corners of a changed triangle know a half-edge that leaves them."""
    for h in range(3 * t, 3 * t + 3):
        v = start(net, h)
        if not net.rim[v] or across(net, h) < 0:
            net.spoke[v] = h


@lean
def new_triangle(net: Net, a: int, b: int, c: int, home: int) -> int:
    """First half-edge of a new triangle."""
    t = net.used[TRIANGLES]
    net.used[TRIANGLES] = t + 1
    net.corner[3 * t], net.corner[3 * t + 1], net.corner[3 * t + 2] = a, b, c
    net.home[t] = home
    return 3 * t


@lean
def new_vertex(net: Net, x: float, y: float, z: float) -> int:
    """Number of a new vertex."""
    v = net.used[VERTICES]
    net.used[VERTICES] = v + 1
    net.xyz[v, 0], net.xyz[v, 1], net.xyz[v, 2] = x, y, z
    net.copy[v] = v
    net.rim[v] = False
    return v


@lean
def free(net: Net, h: int) -> bool:
    """Whether an edge is no more than a division of one triangle of the mesh."""
    g = across(net, h)
    return g >= 0 and lines_on(net, h) == 0 and net.home[h // 3] == net.home[g // 3]


@lean
def split_edge(net: Net, h: int, v: int) -> None:
    """Put a vertex onto an edge: two triangles become four, one at the border two."""
    d, c, g, line = end(net, h), apex(net, h), across(net, h), lines_on(net, h)
    on, back = after(h), across(net, after(h))
    along = lines_on(net, on)
    n = new_triangle(net, v, d, c, wide(net.home[h // 3]))
    net.corner[on] = v
    tie(net, n + 1, back, along)
    tie(net, on, n + 2, 0)
    net.rim[v] = g < 0
    if g < 0:
        tie(net, h, -1, line)
        tie(net, n, -1, line)
    else:
        on, back = after(g), across(net, after(g))
        along = lines_on(net, on)
        m = new_triangle(net, v, start(net, on), apex(net, g), wide(net.home[g // 3]))
        net.corner[on] = v
        tie(net, m + 1, back, along)
        tie(net, on, m + 2, 0)
        tie(net, h, m, line)
        tie(net, n, g, line)
        anchor(net, g // 3)
        anchor(net, m // 3)
    anchor(net, h // 3)
    anchor(net, n // 3)


@lean
def split_inside(net: Net, t: int, v: int) -> None:
    """Put a vertex into a triangle, which becomes three."""
    h = 3 * t
    a, b, c = start(net, h), start(net, h + 1), start(net, h + 2)
    home = wide(net.home[t])
    n = new_triangle(net, b, c, v, home)
    m = new_triangle(net, c, a, v, home)
    net.corner[h + 2] = v
    tie(net, n, across(net, h + 1), lines_on(net, h + 1))
    tie(net, m, across(net, h + 2), lines_on(net, h + 2))
    tie(net, h + 1, n + 2, 0)
    tie(net, n + 1, m + 2, 0)
    tie(net, m + 1, h + 2, 0)
    for k in (t, n // 3, m // 3):
        anchor(net, k)


@lean
def flip(net: Net, h: int) -> None:
    """Turn the edge between two triangles to the other two corners of their four."""
    g = across(net, h)
    a, b, c, d = start(net, h), start(net, g), apex(net, h), apex(net, g)
    ad, db, bc, ca = across(net, after(g)), across(net, before(g)), across(net, after(h)), across(net, before(h))
    on_ad, on_db = lines_on(net, after(g)), lines_on(net, before(g))
    on_bc, on_ca = lines_on(net, after(h)), lines_on(net, before(h))
    t, s = 3 * (h // 3), 3 * (g // 3)
    net.corner[t], net.corner[t + 1], net.corner[t + 2] = a, d, c
    net.corner[s], net.corner[s + 1], net.corner[s + 2] = d, b, c
    tie(net, t, ad, on_ad)
    tie(net, t + 1, s + 2, 0)
    tie(net, t + 2, ca, on_ca)
    tie(net, s, db, on_db)
    tie(net, s + 1, bc, on_bc)
    anchor(net, t // 3)
    anchor(net, s // 3)


@lean
def convex(net: Net, h: int) -> bool:
    """Whether the two triangles at an edge could be divided the other way."""
    g = across(net, h)
    a, b, c, d = start(net, h), start(net, g), apex(net, h), apex(net, g)
    return full(net, a, d, c) and full(net, d, b, c)


@lean
def ill(net: Net, h: int) -> bool:
    """Whether a free edge faces two angles of more than 180 degrees together (not Delaunay)."""
    g = across(net, h)
    p, q = net.xyz[start(net, h)], net.xyz[start(net, g)]
    c, d = net.xyz[apex(net, h)], net.xyz[apex(net, g)]
    s1 = turn(c[0], c[1], p[0], p[1], q[0], q[1])
    c1 = (p[0] - c[0]) * (q[0] - c[0]) + (p[1] - c[1]) * (q[1] - c[1])
    s2 = turn(d[0], d[1], q[0], q[1], p[0], p[1])
    c2 = (p[0] - d[0]) * (q[0] - d[0]) + (p[1] - d[1]) * (q[1] - d[1])
    return c1 * s2 + s1 * c2 < -1e-9 * (abs(c1) + abs(s1)) * (abs(c2) + abs(s2)) and convex(net, h)


@lean
def legalise(net: Net, v: int, stack: Whole) -> None:
    """Flip free edges around a new vertex until the pieces of its home are Delaunay again."""
    size = 0
    h = first = spoke(net, v)
    while True:
        stack[size] = after(h)
        size += 1
        h = across(net, before(h))
        if h < 0 or h == first or size + 2 >= len(stack):
            break
    while size > 0:
        size -= 1
        h = wide(stack[size])
        if free(net, h) and ill(net, h):
            t, s = 3 * (h // 3), 3 * (across(net, h) // 3)
            flip(net, h)
            if size + 4 < len(stack):
                stack[size], stack[size + 1], stack[size + 2], stack[size + 3] = t, t + 2, s, s + 1
                size += 4


@lean
def improve(net: Net, first: int) -> None:
    """Make the pieces of all homes Delaunay, as far as lines allow; ``first`` is the first triangle that is new."""
    for _ in range(100):
        flips = 0
        for h in range(3 * first, 3 * net.used[TRIANGLES]):
            if free(net, h) and ill(net, h):
                flip(net, h)
                flips += 1
        if flips == 0:
            break


@lean
def on_edge(net: Net, h: int, share: float) -> int:
    """A new vertex at a share of an edge, which it splits."""
    a, b = net.xyz[start(net, h)], net.xyz[end(net, h)]
    if share > 0.5:
        a, b, share = b, a, 1.0 - share
    x, y, z = a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])
    v = new_vertex(net, x, y, z)
    split_edge(net, h, v)
    return v


@lean
def found_in_home(net: Net, t: int, x: float, y: float) -> int:
    """The piece of a home that a point lies in, starting at one of them."""
    last = -1
    for _ in range(net.used[TRIANGLES]):
        go = -1
        for h in range(3 * t, 3 * t + 3):
            g = across(net, h)
            if g >= 0 and g != last and net.home[g // 3] == net.home[t]:
                a, b = net.xyz[start(net, h)], net.xyz[end(net, h)]
                if turn(a[0], a[1], b[0], b[1], x, y) < 0:
                    go = g
                    last = h
                    break
        if go < 0:
            break
        t = go // 3
    return t


@lean
def height_in(net: Net, face: Whole, x: float, y: float) -> float:
    """Height of the plane of a triangle of the mesh."""
    a, b, c = net.xyz[face[0]], net.xyz[face[1]], net.xyz[face[2]]
    area = turn(a[0], a[1], b[0], b[1], c[0], c[1])
    wb, wc = turn(a[0], a[1], x, y, c[0], c[1]) / area, turn(a[0], a[1], b[0], b[1], x, y) / area
    return a[2] + wb * (b[2] - a[2]) + wc * (c[2] - a[2])


@lean
def add_point(net: Net, t: int, face: Whole, x: float, y: float) -> int:
    """Vertex at a point of a triangle: a corner or a place on an edge that is near, else a new one inside."""
    p = net.xyz
    best, nearest = -1, np.inf
    for h in range(3 * t, 3 * t + 3):
        a, b = start(net, h), end(net, h)
        if math.hypot(p[a, 0] - x, p[a, 1] - y) <= NEAR:
            return a
        length = math.hypot(p[b, 0] - p[a, 0], p[b, 1] - p[a, 1])
        height = abs(turn(p[a, 0], p[a, 1], p[b, 0], p[b, 1], x, y)) / length
        if height < nearest and height <= (NEAR / 16 if free(net, h) else NEAR):
            best, nearest = h, height
    if best < 0:
        v = new_vertex(net, x, y, height_in(net, face, x, y))
        split_inside(net, t, v)
        return v
    a, b = start(net, best), end(net, best)
    dx, dy = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1]
    share = ((x - p[a, 0]) * dx + (y - p[a, 1]) * dy) / (dx * dx + dy * dy)
    edge_near = NEAR / math.hypot(dx, dy)
    if share <= edge_near:
        return a
    if share >= 1.0 - edge_near:
        return b
    return on_edge(net, best, share)


@lean
def add_points(net: Net, faces: Whole, places: Floats, where: Whole, nodes: Whole, stack: Whole) -> int:
    """Put points into the triangles that they lie in; returns how many are done when room runs out.

    ``where`` is the triangle of the mesh or :data:`OUTSIDE`; the vertices come back in ``nodes``, whose first negative
    number after ``-1`` marks those still to do (-2).
    """
    hint = 0
    for i in range(len(places)):
        if nodes[i] != -2:
            continue
        if where[i] < 0:
            nodes[i] = OUTSIDE
            continue
        if not room(net):
            return i
        whole = wide(where[i])
        x, y = places[i, 0], places[i, 1]
        t = found_in_home(net, hint if net.home[hint] == whole else whole, x, y)
        before_it = net.used[VERTICES]
        v = add_point(net, t, faces[whole], x, y)
        nodes[i] = v
        if net.used[VERTICES] > before_it:
            legalise(net, v, stack)
        hint = spoke(net, v) // 3
    return len(places)


@lean
def room(net: Net) -> bool:
    """Whether there is space for the next step."""
    return net.used[TRIANGLES] + ROOM <= len(net.home) and net.used[VERTICES] + ROOM <= len(net.spoke)
