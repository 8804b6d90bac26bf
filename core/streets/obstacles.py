"""Shapes cut by large ones, in time that does not follow the size of these.

One polygon of a large area may have a million points, and every cut by it takes as long as it has points. In pieces of
few points, a search tree finds those that matter. Pieces are cut and joined on the grid of millimetres, so that no seam
stays open. Imports numpy and shapely.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .network import GRID_M

Shapes = NDArray[Any]

MOST_POINTS = 256


def pieces_of(ground: Any, most_points: int = MOST_POINTS) -> Shapes:
    """The same ground as polygons of at most so many points: larger ones are halved until they are small."""
    done: list[Any] = []
    waiting = [part for part in _polygons(ground) if not part.is_empty]
    while waiting:
        shape = waiting.pop()
        if shapely.get_num_coordinates(shape) <= most_points:
            done.append(shape)
            continue
        west, south, east, north = shape.bounds
        x, y = (west + east) / 2, (south + north) / 2
        wide = east - west > north - south
        halves = ((west, south, x, north), (x, south, east, north)) if wide else (
            (west, south, east, y), (west, y, east, north)
        )  # fmt: skip
        for half in halves:
            waiting += list(_polygons(shapely.intersection(shape, shapely.box(*half), grid_size=GRID_M)))
    return np.array(done, object)


def _polygons(ground: Any) -> Shapes:
    """The polygons among the parts of one shape or several."""
    parts = shapely.get_parts(shapely.get_parts(np.atleast_1d(np.asarray(ground, object))))
    return np.asarray(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON], object)


def clipped(shapes: Shapes, area: Any, grid_m: float | None = None) -> Shapes:
    """The part of each shape inside an area; those well inside are not touched, and take no time."""
    out = np.array(shapes, object)
    shapely.prepare(area)
    beyond = ~shapely.is_missing(out) & ~shapely.contains_properly(area, out)
    out[beyond] = shapely.intersection(out[beyond], area, grid_size=grid_m)
    return out


class Obstacles:
    """Pieces of ground that can be asked for by place."""

    def __init__(self, ground: Any) -> None:
        self.pieces = pieces_of(ground)
        self._tree = shapely.STRtree(self.pieces)

    def near(self, shape: Any, distance_m: float = 0.0) -> Any:
        """The ground of all pieces that come so near to a shape, as one; empty where none does."""
        found = self.pieces[np.sort(self._tree.query(shape, predicate="dwithin", distance=distance_m))]
        return found[0] if len(found) == 1 else shapely.union_all(found, grid_size=GRID_M)

    def touch(self, shapes: Shapes) -> NDArray[np.bool_]:
        """Which shapes share a point with the ground."""
        out = np.zeros(len(shapes), bool)
        out[self._tree.query(shapes, predicate="intersects")[0]] = True
        return out

    def cut_from(self, shapes: Shapes, grid_m: float | None = None) -> Shapes:
        """What is left of shapes outside of the ground, by default on no grid."""
        out = np.array(shapes, object)
        for k in np.flatnonzero(self.touch(out)):
            out[k] = shapely.difference(out[k], self.near(out[k]), grid_size=grid_m)
        return out
