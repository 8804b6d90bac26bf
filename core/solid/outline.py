"""Outlines as polygons: that of the known cells, cut with clip polygons, and made fit for printing.

Imports numpy and shapely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STEPS_LOG2 = 18
"""Vertices lie on a lattice of a power of two: 2^18 steps over the model, which float32 numbers hold exactly."""

HAIR = 8
"""Half the width, in steps of the lattice, of the square that separates what touches in a point.

It doubles every other round: on a narrow wedge the cut edge of a square may be near the other side again."""

NEAR = 1.0
"""Corners nearer to another edge than this, in steps, are taken for touching it."""

NEXT = 2
"""Edges as far along a ring may be near a corner."""

ROUNDS = 12


def of_cells(valid: Bools) -> MultiPolygon:
    """The area of the known cells, in cell coordinates; holes are voids. Corners may touch."""
    rows, cols = valid.shape
    if valid.all():
        return MultiPolygon([shapely.box(0, 0, cols, rows)])
    known = np.pad(valid, 1)
    across = known[1:, 1:-1] != known[:-1, 1:-1]  # (rows + 1, cols): unit edges along row lines
    down = known[1:-1, 1:] != known[1:-1, :-1]  # (rows, cols + 1): along column lines
    met = np.pad(across, ((0, 0), (1, 1)))
    met = met[:, 1:] | met[:, :-1]
    ends = np.pad(down, ((1, 1), (0, 0)))
    corners = met & (ends[1:] | ends[:-1])
    lines = [_runs(across, corners), _runs(down.T, corners.T)[:, :, ::-1]]
    faces = shapely.get_parts(shapely.polygonize(list(shapely.linestrings(np.concatenate(lines)))))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces)).astype(int)
    return MultiPolygon(list(faces[valid[inside[:, 1], inside[:, 0]]]))


def _runs(edges: Bools, corners: Bools) -> Floats:
    """Straight runs of unit edges between corners: (N, 2, 2), both ends as position along the line and line."""
    before, after = np.pad(edges, ((0, 0), (1, 0)))[:, :-1], np.pad(edges, ((0, 0), (0, 1)))[:, 1:]
    start = np.argwhere(edges & (~before | corners[:, :-1]))
    stop = np.argwhere(edges & (~after | corners[:, 1:]))
    return np.stack([start[:, ::-1], stop[:, ::-1] + [1, 0]], axis=1).astype(float)


def cut(area: shapely.Geometry, polygons: Sequence[Polygon]) -> MultiPolygon:
    """What lies in both an area and the union of polygons."""
    return areas_of(shapely.intersection(area, shapely.union_all(list(polygons))))


def areas_of(geometry: shapely.Geometry) -> MultiPolygon:
    """The polygons of any geometry; lines and points, where two areas only touch, are left out."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and not part.is_empty])


def moved(area: MultiPolygon, change: Callable[[Floats], Floats]) -> MultiPolygon:
    """An area with its coordinates changed; what that breaks is mended."""
    changed = shapely.transform(area, change)
    return changed if shapely.is_valid(changed) else areas_of(shapely.make_valid(changed))


def step_mm(size_mm: float) -> float:
    """Distance of the lattice that vertices of a model of this size lie on."""
    return math.ldexp(1.0, math.ceil(math.log2(size_mm)) - STEPS_LOG2)


def printable(area: MultiPolygon, step: float) -> MultiPolygon:
    """An area on a lattice whose rings touch neither themselves nor others, so that walls on it have two sides each.

    Touching points are cut out as squares some micrometres wide, wider on narrow wedges; parts too small for the
    lattice go.
    """
    area = areas_of(shapely.set_precision(area, step))
    for turn in range(ROUNDS):
        points = touching(area, NEAR * step)
        if not len(points):
            break
        half = HAIR * step * 2 ** (turn // 2)
        low, high = points - half, points + half
        squares = shapely.union_all(shapely.box(*low.T, *high.T))
        area = areas_of(shapely.difference(area, squares, grid_size=step))
    whole = [part for part in area.geoms if part.area > (4 * HAIR * step) ** 2]
    return MultiPolygon(whole)


def touching(area: MultiPolygon, distance: float = 0.0) -> Floats:
    """Corners (N, 2) of an area as near as ``distance`` to an edge that neither begins nor ends there."""
    corners, ring = shapely.get_coordinates(_rings(area), return_index=True)
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    count = np.diff(np.append(first, len(ring))) - 1  # corners of each ring, which ends where it begins
    place = np.arange(len(ring)) - first[ring]
    starts = np.flatnonzero(place < count[ring])
    edges = shapely.linestrings(np.stack([corners[starts], corners[starts + 1]], axis=1))
    points = shapely.points(corners[starts])
    point, edge = shapely.STRtree(edges).query(points, predicate="dwithin", distance=distance)
    point, edge = starts[point], starts[edge]
    apart = (place[edge] - place[point]) % count[ring[point]]
    beside = (apart <= 1) | (apart >= count[ring[point]] - NEXT)
    found: Floats = np.unique(corners[point[(ring[point] != ring[edge]) | ~beside]], axis=0)
    return found


def _rings(area: MultiPolygon) -> NDArray:
    """Outer and inner rings of all parts."""
    rings: NDArray = shapely.get_rings(shapely.get_parts(area))
    return rings


def coverage(area: MultiPolygon, shape: tuple[int, int]) -> Floats:
    """Share of each cell that an area in cell coordinates covers, exactly, by signed areas beside its edges.

    Each edge is cut at the lines of the cells; a piece at mean distance ``d`` left of its cell's right side, going down
    by ``h``, covers ``h * d`` of that cell and ``h`` of all cells to the right (the accumulation of scan converters).
    """
    rows, cols = shape
    sums = np.zeros((rows, cols + 1))
    for start, stop in _edges(area):
        pieces = _pieces(start, stop)
        middle, fall = pieces.mean(axis=1), pieces[:, 1, 1] - pieces[:, 0, 1]
        row = np.clip(np.floor(middle[:, 1]).astype(int), 0, rows - 1)
        col = np.clip(np.floor(middle[:, 0]).astype(int), 0, cols - 1)
        share = fall * (col + 1 - middle[:, 0])
        np.add.at(sums, (row, col), share)
        np.add.at(sums, (row, col + 1), fall - share)
    covered: Floats = np.clip(np.abs(np.cumsum(sums, axis=1)[:, :cols]), 0, 1)
    return covered


def _edges(area: MultiPolygon, most: int = 200_000) -> list[tuple[Floats, Floats]]:
    """Edges of the rings, outer ones all turning one way and holes the other, in portions."""
    rings = _rings(shapely.orient_polygons(area))
    if not len(rings):
        return []
    ends = [shapely.get_coordinates(ring) for ring in rings]
    start, stop = np.concatenate([e[:-1] for e in ends]), np.concatenate([e[1:] for e in ends])
    return [(start[i : i + most], stop[i : i + most]) for i in range(0, len(start), most)]


def _pieces(start: Floats, stop: Floats) -> Floats:
    """Edges cut at whole columns and rows: (N, 2, 2)."""
    number, at = [np.arange(len(start))] * 2, [np.zeros(len(start)), np.ones(len(start))]
    for axis in (0, 1):
        low, high = np.minimum(start[:, axis], stop[:, axis]), np.maximum(start[:, axis], stop[:, axis])
        first = np.floor(low).astype(int) + 1
        count = np.maximum(np.ceil(high).astype(int) - first, 0)
        edge = np.repeat(np.arange(len(start)), count)
        line = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        number.append(edge)
        at.append((line - start[edge, axis]) / (stop[edge, axis] - start[edge, axis]))
    edge, share = np.concatenate(number), np.concatenate(at)
    order = np.lexsort((share, edge))
    edge, share = edge[order], share[order]
    points = start[edge] + share[:, None] * (stop[edge] - start[edge])
    same = edge[1:] == edge[:-1]
    return np.stack([points[:-1][same], points[1:][same]], axis=1)
