"""Blocks: the faces of a street net inside an area, less the carriageways; closed because they are faces.

``faces`` gives the ground between centrelines, ``blocks`` what is left of it between kerbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..progress import Progress
from ..streets.network import GRID_M, Network
from ..streets.obstacles import pieces_of

Shapes = NDArray[Any]

LEAST_M2 = 60.0
QUAD_SEGMENTS = 8


@dataclass(frozen=True)
class Blocks:
    """Blocks as valid polygons on the millimetre grid, apart from each other."""

    shapes: Shapes


def carriageways(network: Network, setback_m: float = 0.0) -> Shapes:
    """Ground of each street from kerb to kerb, and so much more on either side."""
    half = network.width_m / 2 + setback_m
    # the polygon of a round end lies inside its circle: make it as wide as the circle at least
    half = half / np.cos(np.pi / 4 / QUAD_SEGMENTS)
    return np.asarray(shapely.buffer(network.lines, half, quad_segs=QUAD_SEGMENTS), object)


def faces(network: Network, area: Any) -> Shapes:
    """Closed faces of the net and the area's edge, in the order of their places."""
    edge = shapely.boundary(area)
    lines = np.concatenate([network.lines, [edge]]) if len(network) else np.array([edge], object)
    noded = shapely.get_parts(shapely.node(shapely.union_all(lines, grid_size=GRID_M)))
    found = shapely.get_parts(shapely.polygonize(noded))
    shapely.prepare(area)
    inside = shapely.intersects(area, shapely.point_on_surface(found)) if len(found) else np.zeros(0, bool)
    return _in_order(found[inside])


def blocks(network: Network, area: Any, water: Any, progress: Progress | None = None) -> Blocks:
    """Blocks between kerbs, without water and without crumbs."""
    progress = progress or Progress()
    found = faces(network, area)
    roads = np.concatenate([carriageways(network), pieces_of(water)])
    tree = shapely.STRtree(roads)
    shapes: list[Any] = []
    for number, face in enumerate(found):
        progress.report(number / len(found), "Laying out blocks")
        near = np.sort(tree.query(face, predicate="intersects"))
        taken = shapely.union_all(roads[near], grid_size=GRID_M)
        rest = shapely.get_parts(shapely.difference(face, taken, grid_size=GRID_M))
        shapes += [part for part in rest if part.geom_type == "Polygon" and part.area >= LEAST_M2]
    return Blocks(_in_order(np.array(shapes, object)))


def _in_order(shapes: Shapes) -> Shapes:
    """Polygons in one form and in the order of their bounds."""
    if not len(shapes):
        return np.zeros(0, object)
    shapes = np.asarray(shapely.normalize(shapes), object)
    return np.asarray(shapes[np.lexsort(shapely.bounds(shapes).T[::-1])], object)
