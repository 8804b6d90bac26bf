"""Closed bodies: a terrain surface, cut out along an outline with vertical walls, on a flat base.

All in millimetres of the model, z upwards. Imports numpy, scipy, shapely and manifold3d; nothing of rasters and files.
"""

from __future__ import annotations

import numpy as np
from manifold3d import CrossSection, FillRule, Manifold, Mesh, Mesh64
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from shapely import MultiPolygon, get_coordinates, get_parts, get_rings

from ..errors import TerrainError

Floats = NDArray[np.float64]
Faces = NDArray[np.int32]

FLAT_MM = 1e-7
"""Faces lower than this are taken for flat; other programs do so, too."""

ROUNDS = 8

MARGIN = 0.25
"""How far below and above the terrain auxiliary bodies reach, as a share of the model's size."""


def under(vertices: Floats, faces: Faces, depth_mm: float) -> Manifold:
    """The body between a surface and a plane ``depth_mm`` below its lowest point.

    The surface is one piece without holes whose border, seen from above, can be seen whole from its middle; faces run
    anticlockwise seen from above.
    """
    ring = border(faces)
    count, floor = len(vertices), float(vertices[:, 2].min()) - depth_mm
    foot = vertices[ring] * [1, 1, 0] + [0, 0, floor]
    middle = [[*((vertices[:, :2].min(axis=0) + vertices[:, :2].max(axis=0)) / 2), floor]]
    top, below = ring, count + np.arange(len(ring))
    top_next, below_next = np.roll(top, -1), np.roll(below, -1)
    apex = np.full(len(ring), count + len(ring))
    walls = [(top, below, below_next), (top, below_next, top_next), (apex, below_next, below)]
    triangles = np.concatenate([faces, *(np.column_stack(wall) for wall in walls)])
    return _solid(np.concatenate([vertices, foot, middle]), triangles)


def border(faces: Faces) -> NDArray[np.int64]:
    """Vertex numbers along the border of a surface of one piece without holes, in the direction of its faces."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    keys, back = edges[:, 0] << 32 | edges[:, 1], edges[:, 1] << 32 | edges[:, 0]
    open_edges = edges[~np.isin(keys, back)]
    following = dict(open_edges.tolist())
    ring = [int(open_edges[0, 0])]
    while (at := following[ring[-1]]) != ring[0]:
        ring.append(at)
    return np.array(ring)


def prism(area: MultiPolygon, low: float, high: float) -> Manifold:
    """The body over an area between two heights."""
    rings = [get_coordinates(ring)[:-1] for ring in get_rings(get_parts(area))]
    return Manifold.extrude(CrossSection(rings, FillRule.EvenOdd), high - low).translate((0, 0, low))


def cut_out(body: Manifold, area: MultiPolygon) -> tuple[Manifold, float]:
    """The part of a body over an area, with vertical walls, and its lowest height above the body's floor."""
    *_, floor, _, _, high = body.bounding_box()
    reach = MARGIN * (high - floor) + 1
    part = body ^ prism(area, floor - reach, high + reach)
    heights = _arrays(part)[0][:, 2]
    above = heights[heights > floor + reach * 1e-6]
    if not len(above):
        raise TerrainError("No terrain is left inside the outline; choose a larger clip polygon.")
    return part, float(above.min())


def on_base(part: Manifold, base: float) -> Manifold:
    """A body with everything below a height cut off, moved so that this height becomes 0."""
    return part.trim_by_plane((0, 0, 1), base).translate((0, 0, -base))


def engraved(body: Manifold, letters: MultiPolygon, depth_mm: float) -> Manifold:
    """A body with letters cut into its underside."""
    return body - prism(letters, -1.0, depth_mm)


def rounded(body: Manifold, tolerance: float, apart: float, unit_mm: float = 1.0) -> tuple[Floats, Faces]:
    """Vertices as float32 numbers of ``unit_mm`` can hold them, and faces; details below ``tolerance`` are merged.

    manifold3d merges edges that are too short for the numbers that a body was made of, hence the way through float32.
    The result has no two vertices nearer than ``apart``, no face without area, and none on the back of another.
    """
    exact, faces = _arrays(body.simplify(tolerance))
    single = Mesh(np.ascontiguousarray(exact, dtype=np.float32), faces.astype(np.uint32), tolerance=tolerance)
    vertices, faces = _arrays(Manifold(single))
    vertices = (vertices / unit_mm).astype(np.float32).astype(np.float64) * unit_mm
    vertices[np.abs(vertices[:, 2]) < tolerance, 2] = 0.0  # the base is flat
    places, number = _merged(vertices, apart)
    faces = number[faces]
    flat = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])
    faces = without_flat(places, _without_pairs(faces[~flat]))
    used, compact = np.unique(faces, return_inverse=True)
    return places[used], compact.reshape(-1, 3).astype(np.int32)


def _merged(vertices: Floats, apart: float) -> tuple[Floats, NDArray[np.int64]]:
    """Vertices without those nearer than ``apart`` to another, and the new number of each; equal ones are merged.

    Programs that read the file merge such vertices, and what they make of it would not be what was checked here.
    """
    places, number = np.unique(vertices, axis=0, return_inverse=True)
    pairs = cKDTree(places).query_pairs(apart, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), (len(places), len(places)))
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return places[first], group[number.ravel()].astype(np.int64)


def _without_pairs(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces without those that lie on each other's back: what is left of details that were rounded away."""
    low = faces.argmin(axis=1)
    turned = np.stack([faces[np.arange(len(faces)), (low + i) % 3] for i in range(3)], axis=1)
    _, alike, counts = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    ways = np.bincount(alike.ravel(), np.where(turned[:, 1] < turned[:, 2], 1, -1), len(counts))
    kept: NDArray[np.int64] = faces[((counts == 1) | (ways != 0))[alike.ravel()]]
    return kept


def without_flat(vertices: Floats, faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces of a closed surface without those whose corners lie on one line, such as three corners of a wall.

    The middle corner of such a face lies on its longest edge; the face at the other side of that edge is split there.
    """
    for _ in range(ROUNDS):
        corners = vertices[faces]
        lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)  # of the edges from 0, 1 and 2
        longest = lengths.argmax(axis=1)
        heights = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        flat = np.flatnonzero(heights <= FLAT_MM * lengths.max(axis=1))
        if not len(flat):
            break
        faces = _without_pairs(_split_beside(faces, flat, longest[flat]))
    return faces


def _split_beside(faces: NDArray[np.int64], flat: NDArray[np.int64], longest: NDArray) -> NDArray[np.int64]:
    """Swap the longest edge of each flat face; of faces that share a neighbour, one at a time."""
    faces = faces.copy()
    keys = faces << 32 | np.roll(faces, -1, axis=1)
    keys = keys.ravel()
    order = np.argsort(keys)
    touched: set[int] = set()
    for face, edge in zip(flat.tolist(), longest.tolist(), strict=True):
        a, b, middle = (int(faces[face, (edge + i) % 3]) for i in range(3))
        at = int(order[np.searchsorted(keys, b << 32 | a, sorter=order)])
        beside = at // 3
        if touched & {face, beside}:
            continue
        apex = int(faces[beside, (at % 3 + 2) % 3])
        faces[face], faces[beside] = (middle, a, apex), (b, middle, apex)
        touched |= {face, beside}
    return faces


def _arrays(body: Manifold) -> tuple[Floats, NDArray[np.int64]]:
    mesh = body.to_mesh64()
    return np.asarray(mesh.vert_properties, np.float64)[:, :3], np.asarray(mesh.tri_verts).astype(np.int64)


def _solid(vertices: Floats, faces: NDArray) -> Manifold:
    body = Manifold(Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, dtype=np.uint64)))
    if body.is_empty():
        raise TerrainError(
            f"The terrain could not be closed to a body ({body.status()}); please report it with the DEM."
        )
    return body
