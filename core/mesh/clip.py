"""A mesh cut along polygons, exactly: the part of its surface that lies inside of them.

Triangles are only ever split, so the surface of the result is that of the mesh, and with it the bound of its error. The
border of the result is that of the polygons, moved by less than a 4096th of a cell where it passes a vertex or where
one of its corners lies on an edge. `drawing` draws the lines; here polygons are prepared, and the pieces that the lines
leave are told apart. Imports numpy, shapely and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .cutting import NEAR, OUTSIDE, TRIANGLES, VERTICES, add_points, improve
from .drawing import Lines, draw
from .halfedges import Net, Whole, pieces, separate, twins, votes
from .locating import located
from .triangulation import Mesh

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MARGIN = 1.0
"""Cells around the mesh beyond which polygons are cut off."""


@dataclass(frozen=True)
class Segments:
    """Lines: places of their points, and for every segment the numbers of its two."""

    places: Floats
    pairs: Whole

    @property
    def ends(self) -> Floats:
        """Start and end, x and y (S, 4)."""
        return np.concatenate([self.places[self.pairs[:, 0]], self.places[self.pairs[:, 1]]], axis=1)


def clip(mesh: Mesh, polygons: Sequence[Sequence[Floats]]) -> Mesh:
    """The part of a mesh inside of polygons.

    Parameters
    ----------
    mesh
        A sound mesh, with any number of pieces and holes.
    polygons
        Rings (N, 2) of column and row, first the outer one, then those of holes. Polygons may overlap and touch, and
        need not be valid.

    Returns
    -------
    Triangles inside as they were and in their order, followed by parts of those on the border; vertices that none of
    them needs are left out. Without triangles where the polygons miss the mesh.

    """
    area = dissolved(polygons)
    if len(mesh.faces) == 0 or area.is_empty:
        return _chosen(mesh.vertices, mesh.faces, np.zeros(len(mesh.faces), np.bool_))
    seen = mesh.vertices[:, :2] * (1.0, -1.0)
    low, high = seen.min(axis=0) - MARGIN, seen.max(axis=0) + MARGIN
    area = _flat(shapely.intersection(area, shapely.box(low[0], low[1], high[0], high[1])))
    net, of = net_of(mesh)
    net = drawn(net, _segments(area))
    return gathered(mesh, net, of, _inside(net, area))


def dissolved(polygons: Sequence[Sequence[Floats]]) -> shapely.Geometry:
    """One valid area of all polygons, in x = column and y = minus row."""
    shapes = [shapely.Polygon(p[0], p[1:]) for p in polygons if len(p) and len(p[0]) > 2]
    upright = shapely.transform(np.array(shapes, object), lambda places: places * (1.0, -1.0))
    return _flat(shapely.union_all(shapely.make_valid(upright)))


def _flat(shape: shapely.Geometry) -> shapely.Geometry:
    """Its polygons, without the points and lines that overlays leave."""
    parts = shapely.get_parts(shape)
    nested = shapely.get_parts(parts)
    return shapely.multipolygons(nested[shapely.get_dimensions(nested) == 2])


def _segments(area: shapely.Geometry) -> Segments:
    """Rings of an area as lines with its inside at the left."""
    places, pairs, n = [], [], 0
    for polygon in shapely.get_parts(area):
        for i, ring in enumerate(shapely.get_rings(polygon)):
            way = shapely.get_coordinates(ring)[:-1]
            if shapely.is_ccw(ring) != (i == 0):
                way = way[::-1]
            number = np.arange(n, n + len(way), dtype=np.int32)
            places.append(way)
            pairs.append(np.column_stack([number, np.roll(number, -1)]))
            n += len(way)
    if n == 0:
        return Segments(np.empty((0, 2)), np.empty((0, 2), np.int32))
    return Segments(np.concatenate(places), np.concatenate(pairs))


def net_of(mesh: Mesh) -> tuple[Net, Whole]:
    """A mesh that can be cut, and which vertices its copies are."""
    corner = np.array(mesh.faces, np.int32).ravel()
    twin = twins(corner, len(mesh.vertices))
    of = separate(corner, twin, len(mesh.vertices))
    xyz = np.concatenate([mesh.vertices, mesh.vertices[of]]) * (1.0, -1.0, 1.0)
    n, v = len(mesh.faces), len(xyz)
    spoke, rim = np.full(v, -1, np.int32), np.zeros(v, np.bool_)
    spoke[corner] = np.arange(len(corner), dtype=np.int32)
    border = np.flatnonzero(twin < 0).astype(np.int32)
    spoke[corner[border]], rim[corner[border]] = border, True
    copy = _rings(of, len(mesh.vertices))
    line, home = np.zeros(3 * n, np.int16), np.arange(n, dtype=np.int32)
    return Net(corner, twin, line, home, xyz, spoke, rim, copy, np.array([n, v])), of


def _rings(of: Whole, vertices: int) -> Whole:
    """For each vertex the next one at its place, round and round."""
    copy = np.arange(vertices + len(of), dtype=np.int32)
    for i, v in enumerate(of, vertices):
        copy[i], copy[v] = copy[v], i
    return copy


def _larger(net: Net) -> Net:
    """The same net with more room."""
    triangles, vertices = len(net.home) // 4 + 4096, len(net.spoke) // 4 + 4096

    def more(old: NDArray[Any], n: int) -> NDArray[Any]:
        return np.concatenate([old, np.zeros((n, *old.shape[1:]), old.dtype)])

    return net._replace(
        **{name: more(getattr(net, name), 3 * triangles) for name in ("corner", "twin", "line")},
        **{name: more(getattr(net, name), vertices) for name in ("xyz", "spoke", "rim", "copy")},
        home=more(net.home, triangles),
    )


def drawn(net: Net, segments: Segments) -> Net:
    """The net with all lines in it."""
    whole = net.used[TRIANGLES]
    turned = net.corner.reshape(-1, 3)
    where = located(net.xyz, turned, segments.places, NEAR)
    nodes, stack = np.full(len(where), -2, np.int32), np.empty(4096, np.int32)
    lines = _lines(net, segments, nodes)
    net = _larger(net)
    while add_points(net, turned, segments.places, where, nodes, stack) < len(nodes):
        net = _larger(net)
    lines = lines._replace(nodes=nodes[segments.pairs])
    state = np.zeros(4, np.int64)
    while not draw(net, lines, state):
        net = _larger(net)
    improve(net, whole)
    return net


def _lines(net: Net, segments: Segments, nodes: Whole) -> Lines:
    """Lines and where they meet the border of the mesh, which is still whole."""
    ends = segments.ends
    border = np.flatnonzero(net.twin < 0)
    start, stop = net.corner[border], net.corner[np.where(border % 3 == 2, border - 2, border + 1)]
    a, b = net.xyz[start, :2], net.xyz[stop, :2]
    tree = shapely.STRtree(shapely.linestrings(ends.reshape(-1, 2, 2)))
    edges = shapely.linestrings(np.stack([a, b], axis=1))
    edge, segment = tree.query(edges, predicate="dwithin", distance=2 * NEAR)
    at, share, crossing = _met(a[edge], b[edge], ends[segment])
    kept = at | crossing
    order = np.lexsort([share[kept], segment[kept]])
    edge, segment, crossing = (array[kept][order] for array in (edge, segment, crossing))
    first = np.searchsorted(segment, np.arange(len(ends) + 1)).astype(np.int32)
    return Lines(ends, nodes[segments.pairs], first, start[edge], np.where(crossing, stop[edge], np.int32(OUTSIDE)))


def _met(a: Floats, b: Floats, ends: Floats) -> tuple[Bools, Floats, Bools]:
    """For border edges and segments: does it pass the edge's start, how far along (0 to 1), does it cross the edge."""
    u, w = ends[:, :2], ends[:, 2:]
    length = np.hypot(*(w - u).T)
    from_a, from_b = _turn(u, w, a) / length, _turn(u, w, b) / length
    share, share_b = ((a - u) * (w - u)).sum(axis=1) / length**2, ((b - u) * (w - u)).sum(axis=1) / length**2
    at = (np.abs(from_a) <= NEAR) & (share >= 0) & (share <= 1)
    at_b = (np.abs(from_b) <= NEAR) & (share_b >= 0) & (share_b <= 1)
    side_u, side_w = _turn(a, b, u), _turn(a, b, w)
    crossing = ~at & ~at_b & ((from_a < 0) != (from_b < 0))
    crossing &= (np.minimum(side_u, side_w) <= 0) & (np.maximum(side_u, side_w) >= 0)
    way = np.where(side_u == side_w, 1.0, side_u - side_w)
    return at, np.where(crossing, side_u / way, share), crossing


def _turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """Twice the areas of triangles."""
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _inside(net: Net, area: shapely.Geometry) -> Bools:
    """Which triangles of a net are inside of the lines that were drawn.

    Lines say what is at their left; pieces without any, and any that are told both, are asked for by their places.
    """
    n = int(net.used[TRIANGLES])
    corner, twin, line = net.corner[: 3 * n], net.twin[: 3 * n], net.line[: 3 * n]
    label, many = pieces(twin, line)
    said, fattest = votes(corner, line, net.xyz, label, many)
    inside = said[:, 0] > said[:, 1]
    shapely.prepare(area)
    unsure = np.flatnonzero((said[:, 0] > 0) == (said[:, 1] > 0))
    inside[unsure] = shapely.contains_xy(area, _middles(net, fattest[unsure]))
    found = inside[label]
    torn = np.flatnonzero((said.min(axis=1) > 0)[label])
    found[torn] = shapely.contains_xy(area, _middles(net, torn))
    return found


def _middles(net: Net, triangles: NDArray[np.integer]) -> Floats:
    """Places of the centres of triangles."""
    return net.xyz[net.corner.reshape(-1, 3)[triangles], :2].mean(axis=1)


def gathered(mesh: Mesh, net: Net, of: Whole, inside: Bools) -> Mesh:
    """The triangles inside as a mesh, with copies of vertices as one again."""
    n, v = int(net.used[TRIANGLES]), int(net.used[VERTICES])
    made = net.xyz[len(mesh.vertices) + len(of) : v] * (1.0, -1.0, 1.0)
    old = len(mesh.vertices)
    number = np.concatenate([np.arange(old), of, np.arange(old, old + len(made))]).astype(np.int32)
    return _chosen(np.concatenate([mesh.vertices, made]), number[net.corner[: 3 * n].reshape(-1, 3)], inside)


def _chosen(vertices: Floats, faces: Whole, wanted: Bools) -> Mesh:
    """Some triangles, and the vertices that they need."""
    faces = faces[wanted]
    needed = np.zeros(len(vertices), np.bool_)
    needed[faces] = True
    number = np.cumsum(needed, dtype=np.int32) - np.int32(1)
    return Mesh(vertices[needed], number[faces])
