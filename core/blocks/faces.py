"""Blocks: the faces of a street net inside an area, less the carriageways; closed because they are faces.

``faces`` gives the ground between centrelines, ``blocks`` what is left of it between kerbs, with its frontage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..progress import Progress
from ..streets.network import GRID_M, Network

Shapes = NDArray[Any]
Floats = NDArray[np.float64]

LEAST_M2 = 60.0
QUAD_SEGMENTS = 8


@dataclass(frozen=True)
class Blocks:
    """Polygons of blocks, and what each knows about itself.

    Attributes
    ----------
    shapes
        Valid polygons on the millimetre grid, apart from each other.
    frontage_m
        Length of each block's edge that lies along a kerb.
    open_edge
        Whether a block ends at the area's edge instead of at a street.

    """

    shapes: Shapes
    frontage_m: Floats
    open_edge: NDArray[np.bool_]


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
    return _in_order(found[inside])[0]


def blocks(network: Network, area: Any, water: Any, progress: Progress | None = None) -> Blocks:
    """Blocks between kerbs, without water and without crumbs."""
    progress = progress or Progress()
    found = faces(network, area)
    roads = carriageways(network)
    tree = shapely.STRtree(roads)
    shapes: list[Any] = []
    frontage: list[float] = []
    for number, face in enumerate(found):
        progress.report(number / len(found), "Laying out blocks")
        near = shapely.union_all(roads[np.sort(tree.query(face, predicate="intersects"))], grid_size=GRID_M)
        taken = shapely.union(near, water, grid_size=GRID_M) if shapely.intersects(face, water) else near
        rest = shapely.get_parts(shapely.difference(face, taken, grid_size=GRID_M))
        rest = [part for part in rest if part.geom_type == "Polygon" and part.area >= LEAST_M2]
        shapes += rest
        frontage += [float(part.boundary.intersection(shapely.buffer(near, 0.01)).length) for part in rest]
    whole, order = _in_order(np.array(shapes, object))
    edge = shapely.buffer(shapely.boundary(area), 0.01)
    open_edge = shapely.length(shapely.intersection(shapely.boundary(whole), edge)) > 0.1
    return Blocks(whole, np.array(frontage, np.float64)[order], np.asarray(open_edge, bool))


def _in_order(shapes: Shapes) -> tuple[Shapes, NDArray[np.int64]]:
    """Polygons in one form and in the order of their bounds, and the number of each before."""
    if not len(shapes):
        return np.zeros(0, object), np.zeros(0, np.int64)
    shapes = np.asarray(shapely.normalize(shapes), object)
    order = np.lexsort(shapely.bounds(shapes).T[::-1])
    return shapes[order], order
