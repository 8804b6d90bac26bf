"""Footprints from corners: rings closed, cut by streets, water and what stands already, and none over another.

The proof is exact: after the last step no two interiors meet by GEOS' predicates on coordinates of whole millimetres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..streets.network import GRID_M, snap
from .walls import Walls

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Shapes = NDArray[Any]

LEAST_M2 = 12.0
LEAST_SHARE = 0.5
"""A building that a street or water takes more of is left out."""
GAP_M = 0.002
"""Two buildings that overlapped are this far apart afterwards, so that rounding cannot bring them together."""


def closed(walls: Walls, places: Floats, count: int) -> Shapes:
    """Polygons of buildings 1 to ``count - 1`` from corners on the millimetre grid; missing where no ring closes."""
    places = snap(places)
    lines = shapely.linestrings(places[walls.ends])
    side = walls.sides.ravel()
    order = np.argsort(side, kind="stable")
    order = order[side[order] > 0]
    own = side[order]
    bundles = shapely.multilinestrings(lines[order // 2], indices=_dense(own))
    shapes = np.full(count, None, object)
    shapes[np.unique(own)] = _areas(bundles)
    return _largest_parts(shapes)[1:]


def _areas(bundles: Shapes) -> Shapes:
    """What rings of walls enclose; None for walls so tangled that GEOS finds no area."""
    try:
        return np.asarray(shapely.build_area(bundles), object)
    except shapely.GEOSException:
        return np.array([_area(one) for one in bundles], object)


def _area(walls: Any) -> Any:
    try:
        return shapely.build_area(walls)
    except shapely.GEOSException:
        return None


def _dense(numbers: Numbers) -> Numbers:
    return np.asarray(np.unique(numbers, return_inverse=True)[1].ravel(), np.int64)


def _largest_parts(shapes: Shapes) -> Shapes:
    """The largest polygon of each shape, valid and on the grid; None where there is none."""
    bad = ~shapely.is_missing(shapes) & ~shapely.is_valid(shapes)
    shapes = shapes.copy()
    shapes[bad] = shapely.make_valid(shapes[bad], method="structure")
    parts, number = shapely.get_parts(shapes, return_index=True)
    area = shapely.area(parts)
    polygon = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (area > 0)
    parts, number, area = parts[polygon], number[polygon], area[polygon]
    order = np.lexsort((-area, number))
    first = order[np.unique(number[order], return_index=True)[1]]
    out = np.full(len(shapes), None, object)
    out[number[first]] = parts[first]
    return out


def parted(shapes: Shapes, pairs: Numbers, gap_m: Floats) -> Shapes:
    """Footprints with open ground between neighbours that do not touch; ``pairs`` counts buildings from 0."""
    known = ~shapely.is_missing(shapes[pairs]).any(axis=1)
    one, two = pairs[known].T
    common = shapely.intersection(shapes[one], shapes[two])
    strips = shapely.buffer(common, gap_m[known] / 2, cap_style="square", join_style="mitre")
    owner = np.concatenate([one, two])
    order = np.argsort(owner, kind="stable")
    touched, first = np.unique(owner[order], return_index=True)
    groups = np.split(np.concatenate([strips, strips])[order], first[1:])
    out = np.asarray(shapes, object).copy()
    for k, group in zip(touched, groups, strict=False):
        out[k] = shapely.difference(out[k], shapely.union_all(group), grid_size=GRID_M)
    out[touched] = _largest_parts(out[touched])
    return out


def cut(shapes: Shapes, taken: Shapes, area: Any) -> Shapes:
    """Footprints less what is taken (streets with setback, water, existing buildings) and inside an area.

    A footprint keeps its largest part; one that loses more than half, or falls under ``LEAST_M2``, becomes None.
    """
    before = shapely.area(shapes)
    out = np.asarray(shapes, object).copy()
    known = np.flatnonzero(~shapely.is_missing(out))
    shapely.prepare(area)
    beyond = known[~shapely.contains_properly(area, out[known])]
    out[beyond] = _largest_parts(shapely.intersection(out[beyond], area, grid_size=GRID_M))
    known = np.flatnonzero(~shapely.is_missing(out))
    if len(taken) and len(known):
        building, other = shapely.STRtree(taken).query(out[known], predicate="intersects")
        for k in np.unique(building):
            whole = shapely.union_all(taken[np.sort(other[building == k])])
            out[known[k]] = shapely.difference(out[known[k]], whole, grid_size=GRID_M)
        touched = known[np.unique(building)]
        out[touched] = _largest_parts(out[touched])
    return _without_small(out, before)


def _without_small(shapes: Shapes, before: Floats) -> Shapes:
    area = np.nan_to_num(shapely.area(shapes))
    shapes[(area < LEAST_M2) | (area < LEAST_SHARE * before)] = None
    return shapes


def apart(shapes: Shapes) -> Shapes:
    """Footprints of which no two interiors meet; of two that overlap the later one gives way."""
    out = shapes.copy()
    for _ in range(8):
        known = np.flatnonzero(~shapely.is_missing(out))
        if not len(known):
            break
        one, two = shapely.STRtree(out[known]).query(out[known], predicate="intersects")
        pair = one < two
        a, b = known[one[pair]], known[two[pair]]
        meet = shapely.relate_pattern(out[a], out[b], "T********")
        if not meet.any():
            break
        a, b = a[meet], b[meet]
        before = np.nan_to_num(shapely.area(out))
        for i, j in sorted(zip(a.tolist(), b.tolist(), strict=True)):
            if out[i] is not None and out[j] is not None:
                wider = shapely.buffer(out[i], GAP_M, join_style="mitre")
                rest = shapely.difference(out[j], wider, grid_size=GRID_M)
                out[j] = _largest_parts(np.array([rest], object))[0]
        out = _without_small(out, before)
    else:
        out = _strictly_apart(out)
    return out


def _strictly_apart(shapes: Shapes) -> Shapes:
    """Leave out the later of two that still overlap."""
    known = np.flatnonzero(~shapely.is_missing(shapes))
    one, two = shapely.STRtree(shapes[known]).query(shapes[known], predicate="intersects")
    pair = one < two
    meet = shapely.relate_pattern(shapes[known[one[pair]]], shapes[known[two[pair]]], "T********")
    out = shapes.copy()
    out[known[two[pair][meet]]] = None
    return out
