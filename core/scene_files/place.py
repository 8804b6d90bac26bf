"""Where a scene is worked on, in metres, and the CRS that its results have.

Coordinates of the work are those of the area's own CRS where that is in metres and true, else of the UTM zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import vector
from ..errors import TerrainError
from ..grid import Bounds, change_of_crs, crs_name, is_geographic, local_metric, same_crs

Shapes = NDArray[Any]

EDGE_M = 100.0
"""Edges are cut into pieces so long before they change their CRS: a piece then bends by less than a millimetre."""

METRES_PER_DEGREE = 111_320.0

AREA_TOLERANCE_M = 0.02
"""How far the edge of an area may be off after a change of CRS."""

MOST_DEGREES = 20.0

LEAST_AREA_M2, MOST_AREA_M2 = 100.0, 1e10

PER_M = 1000.0


@dataclass(frozen=True)
class Place:
    """The CRS of the results and that of the work, both as WKT, the latter in metres."""

    crs: str
    work_crs: str

    @property
    def keeps_crs(self) -> bool:
        """Whether work and results have one CRS."""
        return same_crs(self.crs, self.work_crs)

    def results(self, shapes: Shapes) -> Shapes:
        """Shapes of the work in the CRS of the results, vertex by vertex: equal points stay equal."""
        return changed(shapes, self.work_crs, self.crs)


def changed(shapes: Shapes, source_crs: str, target_crs: str) -> Shapes:
    """Shapes in another CRS, vertex by vertex; unchanged where both are the same."""
    change = change_of_crs(source_crs, target_crs)
    if change is None or not len(shapes):
        return shapes
    return np.asarray(shapely.transform(shapes, lambda points: np.column_stack(change(points[:, 0], points[:, 1]))))


def in_metres(shapes: Shapes, crs: str, work_crs: str) -> Shapes:
    """Shapes of a user's in the CRS of the work, without z; edges get vertices where they would bend."""
    flat = np.asarray(shapely.force_2d(shapes), object)
    if same_crs(crs, work_crs) or not len(flat):
        return flat
    return changed(with_vertices(flat, crs), crs, work_crs)


def with_vertices(shapes: Shapes, crs: str) -> Shapes:
    """Shapes with vertices at least every :data:`EDGE_M`; broken polygons stay as broken as they are."""
    edge = EDGE_M / METRES_PER_DEGREE if is_geographic(crs) else EDGE_M
    dense = np.asarray(shapely.segmentize(shapes, edge), object)
    # GEOS mends polygons that it gives more vertices
    for k in np.flatnonzero(~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)):
        dense[k] = _with_vertices(shapes[k], edge)
    return dense


def _with_vertices(shape: Any, edge: float) -> Any:
    """Polygons ring by ring; all else as GEOS does it."""
    if isinstance(shape, shapely.Polygon):
        rings = [shapely.segmentize(ring, edge) for ring in (shape.exterior, *shape.interiors)]
        return shapely.Polygon(rings[0], rings[1:])
    if isinstance(shape, shapely.MultiPolygon):
        return shapely.MultiPolygon([_with_vertices(part, edge) for part in shape.geoms])
    return shapely.segmentize(shape, edge)


def on_millimetres(shapes: Shapes, crs: str, work_crs: str) -> Shapes:
    """Shapes that were made on whole millimetres of ``work_crs`` and stored in ``crs``, where they were made.

    Shapes that are stored in the CRS of the work come as they are.
    """
    if same_crs(crs, work_crs):
        return np.asarray(shapely.force_2d(shapes), object)
    there = changed(np.asarray(shapely.force_2d(shapes), object), crs, work_crs)
    return np.asarray(shapely.transform(there, lambda points: np.floor(points * PER_M + 0.5) / PER_M), object)


def place_of(crs: str, bounds: Bounds, what: str) -> Place:
    """The place for features of ``crs`` within ``bounds``; ``what`` they are, for the message where they have none."""
    if not crs:
        raise TerrainError(f"The {what} has no CRS; give it one with 'Assign projection'.")
    return Place(crs, local_metric(crs, bounds))


def place_of_layers(layers: Sequence[tuple[str, str, str]]) -> Place | None:
    """The place of the first layer that has a feature; of files, layers and what they are. None where none has."""
    for path, layer, what in layers:
        if path:
            features = vector.Features(path, layer)
            shapes = features.geometries()
            bounds = shapely.total_bounds(shapes) if len(shapes) else np.full(4, np.nan)
            if np.isfinite(bounds).all():
                return place_of(features.crs, tuple(bounds.tolist()), what)
    return None


def read_area(path: str, layer: str) -> tuple[Any, Place]:
    """The polygons of a layer as one shape in the CRS of the work, and that place.

    Raises :class:`TerrainError` where there is no polygon, no CRS, or less than 100 m2 or more than 10,000 km2.
    """
    crs = vector.Features(path, layer).crs
    own = vector.read_polygons(path, layer, crs)
    bounds = tuple(shapely.total_bounds(own).tolist())
    place = place_of(crs, bounds, "area")
    if is_geographic(crs) and bounds[2] - bounds[0] > MOST_DEGREES:
        raise TerrainError(
            f"The area reaches over {bounds[2] - bounds[0]:.0f} degrees of longitude; draw a smaller one, and one "
            "across the antimeridian in a projected CRS."
        )
    parts = own
    if not place.keeps_crs:
        parts = vector.read_polygons(path, layer, place.work_crs, tolerance=AREA_TOLERANCE_M)
    whole = shapely.union_all(parts)
    _check_size(float(whole.area), place)
    return whole, place


def _check_size(area_m2: float, place: Place) -> None:
    if not LEAST_AREA_M2 <= area_m2 <= MOST_AREA_M2:
        said = f"{area_m2 / 1e6:,.0f} km2" if area_m2 > 1e5 else f"{area_m2:.1f} m2"
        raise TerrainError(
            f"The area covers {said} in {crs_name(place.work_crs)}; draw polygons of at least 100 m2 and at most "
            "10,000 km2 in all."
        )
