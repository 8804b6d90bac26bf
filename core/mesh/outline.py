"""The ground that a mesh covers, as polygons: the footprint of a mesh. Imports numpy, shapely and `halfedges` only."""

from __future__ import annotations

import itertools

import numpy as np
import shapely
from numpy.typing import NDArray

from .halfedges import loops, pieces, twins
from .triangulation import Mesh

Floats = NDArray[np.float64]


def outline(mesh: Mesh) -> list[shapely.Polygon]:
    """Ground that a mesh covers, in cell coordinates: one polygon for each piece whose triangles share edges.

    Holes are inside of their polygons. Every border vertex of the mesh is a vertex of the outline.
    """
    corner = np.ascontiguousarray(mesh.faces, np.int32).ravel()
    if len(corner) == 0:
        return []
    twin = twins(corner, len(mesh.vertices))
    label, many = pieces(twin, np.zeros(len(twin), np.int16))
    along, starts = loops(corner, twin)
    rings = [
        (int(label[along[first] // 3]), ring)
        for first, stop in itertools.pairwise(starts)
        for ring in _simple(corner[along[first:stop]].tolist(), mesh.vertices)
    ]
    shells: list[Floats | None] = [None] * many
    holes: list[list[Floats]] = [[] for _ in range(many)]
    for piece, ring in rings:
        if _area(ring) < 0:  # rows go down: negative is anticlockwise
            shells[piece] = ring
        else:
            holes[piece].append(ring)
    return [shapely.Polygon(shell, inner) for shell, inner in zip(shells, holes, strict=True) if shell is not None]


def _simple(loop: list[int], vertices: Floats) -> list[Floats]:
    """A border as rings that visit no vertex twice."""
    rings: list[Floats] = []
    path: list[int] = []
    at: dict[int, int] = {}
    for vertex in loop:
        if vertex in at:
            start = at[vertex]
            rings.append(vertices[path[start:], :2])
            for gone in path[start:]:
                del at[gone]
            del path[start:]
        at[vertex] = len(path)
        path.append(vertex)
    rings.append(vertices[path, :2])
    return rings


def _area(ring: Floats) -> float:
    """Twice the area inside of a ring, negative where it runs clockwise."""
    x, y = (ring - ring[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
