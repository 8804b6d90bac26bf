"""Lines and polygons taken from one CRS to another with as many vertices as their edges need to stay in place.

A straight edge in one CRS is a curve in another. Edges are halved until the curve and the straight pieces are within a
tolerance of each other. Imports numpy, shapely and the grid.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import TerrainError
from ..grid import Bounds, Change, transform_bounds

Floats = NDArray[np.float64]

HALVINGS = 16
"""An edge is cut into at most two to this power."""

SHARE = 1e-6
"""Where no tolerance is given: this share of the larger side of what is placed."""

MARGIN = 0.05
"""Features are cut this share of a DEM's size outside of it, so that no cut edge comes near its cells."""

PROBES = (0.25, 0.5, 0.75)
"""Where on an edge curve and chord are compared."""


def straightened(points: Floats, change: Change, tolerance: float) -> Floats:
    """The line through ``points`` (N, 2) in the CRS that ``change`` leads to, within ``tolerance`` of its units.

    Raises :class:`TerrainError` where a point has no place in that CRS.
    """
    there = _changed(points, change)
    for _ in range(HALVINGS):
        bent = _bend(points, there, change) > tolerance
        if not bent.any():
            break
        at = np.flatnonzero(bent) + 1
        middles = (points[at - 1] + points[at]) / 2
        points = np.insert(points, at, middles, axis=0)
        there = np.insert(there, at, _changed(middles, change), axis=0)
    return there


def place(geometry: shapely.Geometry, change: Change | None, tolerance: float | None) -> shapely.Geometry:
    """A line or polygon in the other CRS; unchanged where ``change`` is None."""
    if change is None:
        return geometry
    if tolerance is None:
        placed = shapely.transform(geometry, lambda points: _changed(points, change))
        west, south, east, north = placed.bounds
        tolerance = max(east - west, north - south) * SHARE
    if isinstance(geometry, shapely.Polygon):
        rings = [straightened(_points(r), change, tolerance) for r in (geometry.exterior, *geometry.interiors)]
        return shapely.Polygon(rings[0], rings[1:])
    return shapely.LineString(straightened(_points(geometry), change, tolerance))


def surroundings(bounds: Bounds | None, crs: str, target_crs: str) -> Bounds | None:
    """Box in ``crs`` around a DEM's ``bounds`` in ``target_crs``, with a margin; None where there is no such box."""
    if bounds is None:
        return None
    west, south, east, north = bounds
    spare = MARGIN * max(east - west, north - south)
    wide = (west - spare, south - spare, east + spare, north + spare)
    try:
        box = transform_bounds(wide, target_crs, crs)
    except TerrainError:
        return None
    return box if box[0] < box[2] and box[1] < box[3] else None  # a box over the date line is none


def _points(line: shapely.Geometry) -> Floats:
    points: Floats = shapely.get_coordinates(line)
    return points


def _changed(points: Floats, change: Change) -> Floats:
    there = np.column_stack(change(points[:, 0], points[:, 1]))
    if not np.isfinite(there).all():
        lost = points[~np.isfinite(there).all(axis=1)][0]
        raise TerrainError(
            f"The point {lost[0]:.8g}, {lost[1]:.8g} of the features has no place in the CRS of the DEM; cut them to "
            "the area of the DEM first."
        )
    return there


def _bend(points: Floats, there: Floats, change: Change) -> Floats:
    """How far the curve of each edge is from its chord."""
    first, step = points[:-1], np.diff(points, axis=0)
    chord, along = there[:-1], np.diff(there, axis=0)
    worst = np.zeros(len(step))
    for share in PROBES:
        off = _changed(first + share * step, change) - (chord + share * along)
        np.maximum(worst, np.hypot(off[:, 0], off[:, 1]), out=worst)
    return worst
