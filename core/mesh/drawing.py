"""Lines drawn into a finished mesh, so that they become edges of it.

A line from one vertex to another is followed triangle by triangle. Where it crosses an edge between two triangles of
the mesh, the edge gets a vertex there, and both triangles are split; where it passes an edge that only divides one
triangle of the mesh into its pieces, the edge is flipped away. Where it passes a vertex within :data:`cutting.NEAR` of
a cell it bends to that vertex. Steps come ever nearer to the end of the line, and each is a move of `cutting`; so a
wrong sign in the last bit may bend a line by a hair, but cannot make a crack.

Where a line leaves the mesh, it goes on from the next place where it meets the border: *marks*, found beforehand.
Kernels for `clip`. Imports numpy and the numba door only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import lean
from .cutting import NEAR, OUTSIDE, Floats, convex, flip, free, on_edge, room, same, side, tie, turn
from .halfedges import Net, Whole, across, after, apex, before, end, lines_on, next_copy, spoke, start, wide

ATTEMPTS = 200
"""Flips that are tried to get a line through the pieces of one home before one of their edges is split instead."""


class Lines(NamedTuple):
    """Lines to draw, segment after segment.

    ``ends`` (S, 4) are x and y of start and end, ``nodes`` (S, 2) the vertices there or :data:`OUTSIDE`. The marks of
    segment ``i`` are ``first_mark[i]`` up to ``first_mark[i + 1]``, in the order along it: ``mark_start`` is a border
    vertex; ``mark_end`` the end of the border edge from there that is crossed, or -1 where the line meets the vertex.
    """

    ends: Floats
    nodes: Whole
    first_mark: Whole
    mark_start: Whole
    mark_end: Whole


@lean
def near(net: Net, v: int, c: int, x: float, y: float) -> bool:
    """Whether the line from vertex c to a place passes v, at a distance below `NEAR`, before it ends."""
    cx, cy = net.xyz[c, 0], net.xyz[c, 1]
    vx, vy = net.xyz[v, 0], net.xyz[v, 1]
    dx, dy = x - cx, y - cy
    square = dx * dx + dy * dy
    ahead = (vx - cx) * dx + (vy - cy) * dy
    if ahead <= 0 or ahead > square or (vx - x) ** 2 + (vy - y) ** 2 >= square:
        return False
    across = (vx - cx) * dy - (vy - cy) * dx
    return across * across <= NEAR * NEAR * square


@lean
def mark(net: Net, h: int, ahead: bool) -> None:
    """Count a line along an edge, in the direction of a half-edge or against it."""
    tie(net, h, across(net, h), lines_on(net, h) + (1 if ahead else -1))


@lean
def edge_between(net: Net, a: int, b: int) -> tuple[int, bool]:
    """A half-edge that joins two vertices, and whether it runs from a to b; -1 if there is none."""
    h = first = spoke(net, a)
    while True:
        if end(net, h) == b:
            return h, True
        back = before(h)
        if start(net, back) == b:
            return back, False
        h = across(net, back)
        if h < 0 or h == first:
            return -1, False


@lean
def facing(net: Net, c: int, x: float, y: float) -> int:
    """Half-edge opposite of vertex c through which a line to a place leaves the triangles around c; -1 if none."""
    px, py = net.xyz[c, 0], net.xyz[c, 1]
    h = first = spoke(net, c)
    while True:
        b, d = net.xyz[end(net, h)], net.xyz[apex(net, h)]
        if turn(px, py, b[0], b[1], x, y) >= 0 and turn(px, py, d[0], d[1], x, y) < 0:
            return after(h)
        h = across(net, before(h))
        if h < 0 or h == first:
            return -1


@lean
def beyond(net: Net, g: int, c: int, x: float, y: float) -> int:
    """The next half-edge that a line from vertex c to a place crosses after half-edge g."""
    o = across(net, g)
    q = net.xyz[apex(net, o)]
    left = turn(net.xyz[c, 0], net.xyz[c, 1], x, y, q[0], q[1]) > 0
    return after(o) if left else before(o)


@lean
def crossed_at(net: Net, h: int, ax: float, ay: float, bx: float, by: float) -> float:
    """Share of an edge where the straight line through two places crosses it, kept off its ends."""
    p, q = net.xyz[start(net, h)], net.xyz[end(net, h)]
    s, t = turn(ax, ay, bx, by, p[0], p[1]), turn(ax, ay, bx, by, q[0], q[1])
    share = s / (s - t) if s != t else 0.5
    least = min(0.25, 0.5 * NEAR / max(math.hypot(q[0] - p[0], q[1] - p[1]), NEAR))
    return min(max(share, least), 1.0 - least)


@lean
def connect(net: Net, c: int, s: int) -> int:
    """Make two vertices of one home ends of an edge, by flips, and mark it; returns the vertex that was reached."""
    x, y = net.xyz[s, 0], net.xyz[s, 1]
    for attempt in range(ATTEMPTS):
        h, ahead = edge_between(net, c, s)
        if h >= 0:
            mark(net, h, ahead)
            return s
        g = facing(net, c, x, y)
        if g < 0:
            return OUTSIDE
        chosen, many = -1, 0
        while free(net, g):
            q, p = apex(net, across(net, g)), apex(net, g)
            if convex(net, g):
                many += 1
                if p == c or q == s or turn_same(net, c, s, p, q):
                    chosen = g
                    break
                if chosen < 0 or many <= attempt % 7:
                    chosen = g
            if q == s:
                break
            g = beyond(net, g, c, x, y)
        if chosen < 0:
            break
        flip(net, chosen)
    return through(net, c, x, y)


@lean
def turn_same(net: Net, c: int, s: int, p: int, q: int) -> bool:
    """Whether two vertices lie on the same side of the line through two others."""
    return (side(net, c, s, p) > 0) == (side(net, c, s, q) > 0)


@lean
def through(net: Net, c: int, x: float, y: float) -> int:
    """Split the first edge that a line from vertex c to a place crosses, and mark the edge up to there."""
    g = facing(net, c, x, y)
    if g < 0:
        return OUTSIDE
    v = on_edge(net, g, crossed_at(net, g, net.xyz[c, 0], net.xyz[c, 1], x, y))
    h, ahead = edge_between(net, c, v)
    mark(net, h, ahead)
    return v


@lean
def neighbour(net: Net, c: int, target: int, x: float, y: float) -> tuple[int, bool]:
    """The edge from vertex c to the end of its line, or to the nearest vertex around that the line passes; else -1."""
    best, ahead, nearest = -1, True, np.inf
    h = first = spoke(net, c)
    while True:
        for onward in (True, False):
            g = h if onward else before(h)
            v = start(net, after(h) if onward else g)
            if same(net, v, target):
                return g, onward
            if near(net, v, c, x, y):
                away = (net.xyz[v, 0] - net.xyz[c, 0]) ** 2 + (net.xyz[v, 1] - net.xyz[c, 1]) ** 2
                if away < nearest:
                    best, ahead, nearest = g, onward, away
        h = across(net, before(h))
        if h < 0 or h == first:
            return best, ahead


@lean
def step(net: Net, c: int, target: int, x: float, y: float) -> int:
    """Follow a line from a vertex to the next one on its way to a place; :data:`OUTSIDE` if it leaves the mesh here."""
    here = c
    while True:
        h, ahead = neighbour(net, here, target, x, y)
        if h >= 0:
            mark(net, h, ahead)
            return end(net, h) if ahead else start(net, h)
        here = next_copy(net, here)
        if here == c:
            break
    while True:
        g = facing(net, here, x, y)
        if g >= 0:
            return advance(net, here, g, target, x, y)
        here = next_copy(net, here)
        if here == c:
            return OUTSIDE


@lean
def advance(net: Net, c: int, g: int, target: int, x: float, y: float) -> int:
    """Cross pieces of one home up to a vertex near the line or the first edge that has to stay, and mark the way."""
    while free(net, g):
        q = apex(net, across(net, g))
        if same(net, q, target) or near(net, q, c, x, y):
            return connect(net, c, q)
        g = beyond(net, g, c, x, y)
    v = on_edge(net, g, crossed_at(net, g, net.xyz[c, 0], net.xyz[c, 1], x, y))
    return connect(net, c, v)


@lean
def along(line: Floats, x: float, y: float) -> float:
    """How far along a segment a place is, in the segment's own length squared."""
    return (x - line[0]) * (line[2] - line[0]) + (y - line[1]) * (line[3] - line[1])


@lean
def passes(net: Net, v: int, line: Floats) -> bool:
    """Whether a segment passes a vertex within `NEAR`, between its ends."""
    x, y = net.xyz[v, 0], net.xyz[v, 1]
    square = (line[2] - line[0]) ** 2 + (line[3] - line[1]) ** 2
    across = turn(line[0], line[1], line[2], line[3], x, y)
    return 0 <= along(line, x, y) <= square and across * across <= NEAR * NEAR * square


@lean
def border_vertex(net: Net, first: int, last: int, line: Floats) -> int:
    """Vertex where a segment crosses the border edge that once led from one vertex to another; made if need be."""
    v = first
    while True:
        h = spoke(net, v)
        w = end(net, h)
        s = turn(line[0], line[1], line[2], line[3], net.xyz[v, 0], net.xyz[v, 1])
        t = turn(line[0], line[1], line[2], line[3], net.xyz[w, 0], net.xyz[w, 1])
        if passes(net, w, line):
            return w
        if (s < 0) != (t < 0):
            return on_edge(net, h, crossed_at(net, h, line[0], line[1], line[2], line[3]))
        if same(net, w, last):
            return OUTSIDE
        v = w


@lean
def draw(net: Net, lines: Lines, state: NDArray[np.int64]) -> bool:
    """Draw all segments; false when room runs out.

    ``state`` says how far it came: segment, vertex, mark, and whether the segment was begun.
    """
    for i in range(state[0], len(lines.ends)):
        line = lines.ends[i]
        target = wide(lines.nodes[i, 1])
        x, y = line[2], line[3]
        if target >= 0:
            x, y = net.xyz[target, 0], net.xyz[target, 1]
        if state[3] == 0:
            state[0], state[1], state[2], state[3] = i, lines.nodes[i, 0], lines.first_mark[i], 1
        c, m = state[1], state[2]
        while c < 0 or not same(net, c, target):
            if not room(net):
                state[1], state[2] = c, m
                return False
            reached = step(net, c, target, x, y) if c >= 0 else OUTSIDE
            while reached < 0 and m < lines.first_mark[i + 1]:
                first, last = wide(lines.mark_start[m]), wide(lines.mark_end[m])
                m += 1
                v = first if last < 0 else border_vertex(net, first, last, line)
                if v >= 0 and (
                    c < 0 or along(line, net.xyz[v, 0], net.xyz[v, 1]) > along(line, net.xyz[c, 0], net.xyz[c, 1])
                ):
                    reached = v
                if last >= 0:
                    break
            if reached < 0 and m >= lines.first_mark[i + 1]:
                break
            if reached >= 0:
                c = reached
        state[3] = 0
    return True
