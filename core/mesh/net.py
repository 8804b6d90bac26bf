"""A triangulation of lattice points as half-edges, and the moves that change it: split, flip, lock.

Half-edge ``h`` leaves vertex ``tri[h]`` and runs along the border of its triangle with the triangle at its left
(positive area in the plane of x = column, y = row). ``tri[h + TWIN]`` is the same edge seen from the other triangle.
All ground lies inside of a frame of four helper vertices, so that every vertex of the ground has a closed ring of
triangles; triangles outside of the ground carry no cells.

Locked edges (the border of the ground, seams between tiles) are never flipped away. Vertices sit at
whole lattice positions; coordinates stay below 2^15, so products of two differences are exact.

A net is three arrays, because numba hands every array of a tuple over field by field at every call, which cost more
than the work itself:

``tri`` (int32)
    :data:`STRIDE` numbers per triangle: corners of its three half-edges, inside or not, twins, locks, links of lists.
    Half-edges are counted ``STRIDE * triangle + 0..2``. The first record holds counters instead of a triangle.
``node`` (int32)
    Four numbers per vertex: x, y, one half-edge that leaves it, and whether it has to stay.
``z`` (float64)
    Heights of the vertices; those of the first two helpers are the metres per lattice step along x and y.

Imports numpy and :mod:`..compiled` only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, inlined, lean

STRIDE, INSIDE, TWIN, LOCK, LINK = 16, 3, 4, 8, 12
"""Length of a triangle's record, and what stands where in it."""

X, Y, SPOKE, FIXED = 0, 1, 2, 3
"""What stands where in a vertex' record of four."""

TRIANGLES, VERTICES, STACK = 0, 1, 2
"""Counters in the first record: triangles and vertices used, and the head of the list of edges to look at (0: none)."""

FREE, LOCKED, SEAM = 0, 1, 2
"""Edges that may be flipped; that stay but may be split; that stay as they are, because another tile has them too."""

MOVABLE, IN_PLAN, PINNED = 0, 1, 2
"""Vertices that may vanish; that stay but may change their height; that do not change at all."""

Net = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
"""The arrays of a net: ``tri``, ``node`` and ``z``."""

FRAME = 4
"""The first vertices are the helpers around the ground."""


def framed(rows: int, cols: int, most_vertices: int, scale: tuple[float, float]) -> Net:
    """Two triangles around a lattice of rows x cols points, outside of the ground.

    Parameters
    ----------
    rows, cols
        Size of the lattice.
    most_vertices
        Vertices that the arrays have room for; untouched room costs no memory.
    scale
        Metres per lattice step along x and y, for angles.

    """
    tri = np.zeros(STRIDE * (2 * most_vertices + 2 * FRAME), np.int32)
    node = np.zeros(4 * (most_vertices + FRAME), np.int32)
    z = np.zeros(most_vertices + FRAME)
    margin = max(rows, cols) + 2
    corners = (-margin, -margin), (cols + margin, -margin), (cols + margin, rows + margin), (-margin, rows + margin)
    for v, (x, y) in enumerate(corners):
        node[4 * v : 4 * v + 4] = x, y, (16, 17, 18, 34)[v], PINNED
    tri[16:19], tri[32:35] = (0, 1, 2), (0, 2, 3)
    tri[16 + TWIN : 19 + TWIN], tri[32 + TWIN : 35 + TWIN] = (-1, -1, 32), (18, -1, -1)
    tri[TRIANGLES], tri[VERTICES] = 3, FRAME
    z[:2] = scale
    return tri, node, z


@inlined
def after(h):
    """The next half-edge of the same triangle."""
    return h - 2 if h & 3 == 2 else h + 1


@inlined
def before(h):
    """The half-edge of the same triangle that ends where this one begins."""
    return h + 2 if h & 3 == 0 else h - 1


@inlined
def inside(tri, h):
    """Whether the triangle of a half-edge is ground."""
    return tri[(h & ~15) + INSIDE] != 0


@inlined
def at(node, v):
    """Position of a vertex, as numbers whose products do not overflow."""
    return np.int64(node[4 * v]), np.int64(node[4 * v + 1])


@inlined
def turn(node, a, b, c):
    """Twice the area of the triangle of three vertices, positive for a left turn; exact."""
    ax, ay = at(node, a)
    return (node[4 * b] - ax) * (node[4 * c + 1] - ay) - (node[4 * b + 1] - ay) * (node[4 * c] - ax)


@lean
def in_circle(node, z, a, b, c, d):
    """Whether d lies inside of the circle through a, b and c, in metres; points on the circle do not."""
    sx, sy = z[0], z[1]
    dx, dy = node[4 * d], node[4 * d + 1]
    ax, ay = sx * (node[4 * a] - dx), sy * (node[4 * a + 1] - dy)
    bx, by = sx * (node[4 * b] - dx), sy * (node[4 * b + 1] - dy)
    cx, cy = sx * (node[4 * c] - dx), sy * (node[4 * c + 1] - dy)
    first = (ax * ax + ay * ay) * (bx * cy - by * cx)
    second = (bx * bx + by * by) * (cx * ay - cy * ax)
    third = (cx * cx + cy * cy) * (ax * by - ay * bx)
    return first + second + third > 1e-12 * (abs(first) + abs(second) + abs(third))


@inlined
def pair(tri, h, g):
    """Make two half-edges one edge; g may be -1, the outside of the frame."""
    tri[h + TWIN] = g
    if g >= 0:
        tri[g + TWIN] = h


@inlined
def push(tri, h):
    """Put a half-edge on the list of edges to look at."""
    tri[h + LINK] = tri[STACK]
    tri[STACK] = h


@inlined
def set_triangle(tri, node, h, a, b, c):
    """Write the corners of a triangle, point their spokes at it and unlock its edges."""
    tri[h], tri[h + 1], tri[h + 2] = a, b, c
    node[4 * a + SPOKE], node[4 * b + SPOKE], node[4 * c + SPOKE] = h, h + 1, h + 2
    tri[h + LOCK] = tri[h + 1 + LOCK] = tri[h + 2 + LOCK] = FREE


@lean
def new_triangle(tri, node, a, b, c, ground):
    """Take the next triangle and return its first half-edge; its neighbours are still to be set."""
    h = np.int64(tri[TRIANGLES]) * STRIDE
    tri[TRIANGLES] += 1
    set_triangle(tri, node, h, a, b, c)
    tri[h + INSIDE] = ground
    return h


@lean
def new_vertex(tri, node, z, x, y, height):
    """Take the next vertex."""
    v = np.int64(tri[VERTICES])
    tri[VERTICES] += 1
    node[4 * v], node[4 * v + 1], node[4 * v + FIXED] = x, y, MOVABLE
    z[v] = height
    return v


@lean
def split_face(tri, node, h, p):
    """Put vertex p into the open inside of the triangle of h: three triangles, and three edges to look at."""
    h &= ~15
    a, b, c = tri[h], tri[h + 1], tri[h + 2]
    bc, ca = tri[h + 1 + TWIN], tri[h + 2 + TWIN]
    lock_ab, lock_bc, lock_ca = tri[h + LOCK], tri[h + 1 + LOCK], tri[h + 2 + LOCK]
    u = new_triangle(tri, node, b, c, p, tri[h + INSIDE])
    w = new_triangle(tri, node, c, a, p, tri[h + INSIDE])
    set_triangle(tri, node, h, a, b, p)
    pair(tri, u, bc)
    pair(tri, w, ca)
    pair(tri, h + 1, u + 2)
    pair(tri, u + 1, w + 2)
    pair(tri, w + 1, h + 2)
    tri[h + LOCK], tri[u + LOCK], tri[w + LOCK] = lock_ab, lock_bc, lock_ca
    push(tri, h)
    push(tri, u)
    push(tri, w)


@lean
def split_edge(tri, node, h, p):
    """Put vertex p onto the open edge h, which has triangles at both sides: four triangles, and edges to look at.

    Triangles a b c and b a d become a p c, p b c, b p d and p a d.
    """
    g = np.int64(tri[h + TWIN])
    h1, h2, g1, g2 = after(h), before(h), after(g), before(g)
    a, b, c, d = tri[h], tri[g], tri[h2], tri[g2]
    lock = tri[h + LOCK]
    bc, bc_lock = tri[h1 + TWIN], tri[h1 + LOCK]
    ad, ad_lock = tri[g1 + TWIN], tri[g1 + LOCK]
    u = new_triangle(tri, node, p, b, c, tri[(h & ~15) + INSIDE])
    w = new_triangle(tri, node, p, a, d, tri[(g & ~15) + INSIDE])
    tri[h1], tri[g1] = p, p
    node[4 * p + SPOKE], node[4 * a + SPOKE], node[4 * b + SPOKE] = h1, h, g
    node[4 * c + SPOKE], node[4 * d + SPOKE] = h2, g2
    pair(tri, u + 1, bc)
    pair(tri, w + 1, ad)
    pair(tri, h1, u + 2)
    pair(tri, g1, w + 2)
    pair(tri, h, w)
    pair(tri, g, u)
    tri[u + 1 + LOCK], tri[w + 1 + LOCK] = bc_lock, ad_lock
    tri[h1 + LOCK] = tri[g1 + LOCK] = FREE
    tri[u + LOCK] = tri[w + LOCK] = lock
    push(tri, h2)
    push(tri, u + 1)
    push(tri, g2)
    push(tri, w + 1)


@lean
def flip(tri, node, h):
    """Turn edge h to the other diagonal of its quadrilateral, which must be strictly convex.

    Triangles a b c and b a d become d c a and c d b; h then runs from d to c and its twin back.
    """
    g = np.int64(tri[h + TWIN])
    h1, h2, g1, g2 = after(h), before(h), after(g), before(g)
    a, b, c, d = tri[h], tri[g], tri[h2], tri[g2]
    bc, bc_lock = tri[h1 + TWIN], tri[h1 + LOCK]
    ca, ca_lock = tri[h2 + TWIN], tri[h2 + LOCK]
    ad, ad_lock = tri[g1 + TWIN], tri[g1 + LOCK]
    db, db_lock = tri[g2 + TWIN], tri[g2 + LOCK]
    tri[h], tri[h1], tri[h2] = d, c, a
    tri[g], tri[g1], tri[g2] = c, d, b
    node[4 * a + SPOKE], node[4 * b + SPOKE], node[4 * c + SPOKE], node[4 * d + SPOKE] = h2, g2, h1, h
    pair(tri, h1, ca)
    pair(tri, h2, ad)
    pair(tri, g1, db)
    pair(tri, g2, bc)
    tri[h1 + LOCK], tri[h2 + LOCK], tri[g1 + LOCK], tri[g2 + LOCK] = ca_lock, ad_lock, db_lock, bc_lock


@inlined
def convex(tri, node, h):
    """Whether the two triangles at h form a strictly convex quadrilateral."""
    g = tri[h + TWIN]
    a, b, c, d = tri[h], tri[g], tri[before(h)], tri[before(g)]
    return turn(node, a, d, c) > 0 and turn(node, d, b, c) > 0


@lean
def legalise(tri, node, z, p):
    """Flip the edges on the list, all opposite to p, until no circle of their triangles holds another vertex.

    That is Lawson's rule: Delaunay among the edges that are not locked.
    """
    while tri[STACK] > 0:
        h = np.int64(tri[STACK])
        tri[STACK] = tri[h + LINK]
        g = np.int64(tri[h + TWIN])
        if g < 0 or tri[h + LOCK] != FREE:
            continue
        if in_circle(node, z, tri[h], tri[after(h)], tri[before(h)], tri[before(g)]):
            flip(tri, node, h)  # h now runs from the far corner to p; the new edges across from p are a-d and d-b
            push(tri, before(h))
            push(tri, after(g))


@lean
def locate(tri, node, x, y, start):
    """Walk from the triangle of half-edge ``start`` to the one that holds a point.

    The side that is looked at first changes from step to step, or the walk could run in circles where edges are locked
    (Devillers, Pion and Teillaud 2001).

    Returns
    -------
    A half-edge and where the point is: 0 inside of its triangle, 1 on the half-edge, 2 at the half-edge's origin.

    """
    h = start & ~15
    dice = np.uint32(1)
    while True:
        moved, on, zeros = False, h, 0
        dice = np.uint32(dice * np.uint32(1664525) + np.uint32(1013904223))
        turned = np.int64(dice >> np.uint32(16))
        for k in range(3):
            i = h + (k + turned) % 3
            ax, ay = at(node, tri[i])
            bx, by = at(node, tri[after(i)])
            side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            if side < 0:
                h = np.int64(tri[i + TWIN]) & ~15
                moved = True
                break
            if side == 0:
                on = i
                zeros += 1
        if moved:
            continue
        if zeros < 2:
            return on, zeros
        for i in range(h, h + 3):
            if node[4 * tri[i]] == x and node[4 * tri[i] + 1] == y:
                return i, 2


@lean
def insert(tri, node, z, x, y, height, start):
    """Make a lattice point a vertex, keep the net Delaunay, and return the vertex (an old one where there was one)."""
    h, kind = locate(tri, node, x, y, start)
    if kind == 2:
        return np.int64(tri[h])
    p = new_vertex(tri, node, z, x, y, height)
    if kind == 0:
        split_face(tri, node, h, p)
    else:
        split_edge(tri, node, h, p)
    legalise(tri, node, z, p)
    return p


@lean
def edge_between(tri, node, a, b):
    """The half-edge from vertex a to vertex b, or -1. Triangles of the frame's own vertices do not close to a ring."""
    h = first = np.int64(node[4 * a + SPOKE])
    while h >= 0:
        if tri[after(h)] == b:
            return h
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return np.int64(-1)
    h = first
    while tri[h + TWIN] >= 0:
        h = after(np.int64(tri[h + TWIN]))
        if tri[after(h)] == b:
            return h
    return np.int64(-1)


@lean
def leaving(tri, node, a, b):
    """Where the segment from vertex a towards vertex b leaves a's ring of triangles.

    Returns
    -------
    The half-edge that it crosses, and -1; or -1, and the vertex that it runs through.

    """
    ax, ay = at(node, a)
    bx, by = at(node, b)
    h = first = np.int64(node[4 * a + SPOKE])
    while True:
        p, q = np.int64(tri[after(h)]), np.int64(tri[before(h)])
        left, right = turn(node, a, b, p), turn(node, a, b, q)
        if left == 0 and (node[4 * p] - ax) * (bx - ax) + (node[4 * p + 1] - ay) * (by - ay) > 0:
            return np.int64(-1), p
        if left < 0 and right > 0:
            return after(h), np.int64(-1)
        h = np.int64(tri[before(h) + TWIN])
        if h == first:
            return np.int64(-1), np.int64(-1)


@compiled
def lock_segment(tri, node, a, b, kind):
    """Make the straight line between two vertices a chain of locked edges (Sloan 1993: flip what crosses it).

    Vertices on the line become part of the chain.

    Returns
    -------
    The vertex that was reached, and -1; or, if that is not b, the locked edge that crosses the line behind it.

    """
    while a != b:
        crossed, through = leaving(tri, node, a, b)
        if through < 0:
            if crossed < 0:
                return a, np.int64(-1)
            through, locked = clear(tri, node, a, b, crossed)
            if through < 0:
                return a, locked
        h = edge_between(tri, node, a, through)
        tri[h + LOCK] = max(tri[h + LOCK], kind)
        tri[tri[h + TWIN] + LOCK] = tri[h + LOCK]
        a = through
    return a, np.int64(-1)


@compiled
def clear(tri, node, a, b, crossed):
    """Flip all edges between a and the next vertex on the way to b away.

    Returns
    -------
    That vertex, and -1; or -1, and the locked edge that comes before it, with nothing changed.

    """
    ends, end, locked = crossings(tri, node, a, b, crossed)
    if end < 0:
        return end, locked
    first, waiting, room = 0, len(ends), len(ends) + 1
    queue = np.empty((room, 2), np.int64)
    for i in range(waiting):
        queue[i, 0], queue[i, 1] = ends[i, 0], ends[i, 1]
    while waiting > 0:
        p, q = queue[first % room, 0], queue[first % room, 1]
        first += 1
        waiting -= 1
        h = edge_between(tri, node, p, q)
        again = not convex(tri, node, h)
        if not again:
            flip(tri, node, h)
            p, q = np.int64(tri[h]), np.int64(tri[after(h)])
            again = turn(node, a, b, p) * turn(node, a, b, q) < 0
        if again:
            queue[(first + waiting) % room, 0], queue[(first + waiting) % room, 1] = p, q
            waiting += 1
    return end, locked


@compiled
def crossings(tri, node, a, b, crossed):
    """The edges, as pairs of vertices, that the line from a to b crosses before its next vertex, and that vertex.

    At a locked edge the vertex is -1, and the edge the third answer.
    """
    ends = np.empty((64, 2), np.int64)
    n = 0
    h = crossed
    while True:
        if n == len(ends):
            more = np.empty((2 * n, 2), np.int64)
            for i in range(n):
                more[i, 0], more[i, 1] = ends[i, 0], ends[i, 1]
            ends = more
        ends[n, 0], ends[n, 1] = tri[h], tri[after(h)]
        n += 1
        if tri[h + LOCK] != FREE:
            return ends[:n], np.int64(-1), h
        g = np.int64(tri[h + TWIN])
        apex = np.int64(tri[before(g)])
        side = turn(node, a, b, apex)
        if side == 0:
            return ends[:n], apex, np.int64(-1)
        h = after(g) if turn(node, a, b, tri[after(g)]) * side < 0 else before(g)
