"""What cannot be a building or a road, feature by feature and with the reason: stage 1 of the preprocessing.

Shapes are in metres. Every part of every feature gets one reason, empty where it is kept; the first that fits counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Shapes = NDArray[Any]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EMPTY, NO_AREA, NO_LINE, NOWHERE = "empty", "no polygon", "no line", "cannot be placed"
SMALL, SIZE, AGAIN, SHORT = "smaller than the limit", "size out of range", "duplicate", "shorter than 1 m"
ODD_HEIGHT, MENDED = "height set to unknown", "shape mended"
CHANGED = (ODD_HEIGHT, MENDED)
"""Reasons of parts that are kept."""
SAME_M = 0.5
"""No point of a duplicate is farther from the other than this."""

LEAST_ROAD_M = 1.0
LEAST_HEIGHT_M = 2.0
LEAST_SPREAD = 0.2
"""Least robust standard deviation of logarithms, so that towns of equal houses are no row of anomalies."""


@dataclass(frozen=True)
class Sifted:
    """Parts of features.

    Attributes
    ----------
    shapes
        Single parts, broken ones mended; the feature itself where it has none.
    number
        The feature that each is of, ascending.
    reason
        Why a part is dropped; empty where it is kept.
    mended
        Whether it is of a feature that was broken.

    """

    shapes: Shapes
    number: NDArray[np.int64]
    reason: NDArray[np.object_]
    mended: Bools

    @property
    def kept(self) -> Bools:
        """Which parts are kept."""
        return np.asarray(self.reason == "")


def sifted_polygons(shapes: Shapes, least_m2: float, z_limit: float | None) -> Sifted:
    """Parts of polygons; sizes are judged by the robust z-score of their logarithm, or not at all."""
    shapes, nowhere = _placed(shapes)
    whole = np.asarray(shapely.make_valid(shapes, method="structure", keep_collapsed=False), object)
    parts, number, lost = _parts(shapes, whole, nowhere, (shapely.GeometryType.POLYGON, NO_AREA))
    area = shapely.area(parts)
    rules = [(SMALL, area < least_m2)]
    if z_limit is not None:
        rules.append((SIZE, robust_z(np.log(np.maximum(area, 1e-9))) > z_limit))
    rules.append((AGAIN, duplicates(parts, area)))
    return _sifted((parts, number, rules), lost, shapes)


def sifted_roads(shapes: Shapes) -> Sifted:
    """Parts of lines."""
    shapes, nowhere = _placed(shapes)
    parts, number, lost = _parts(shapes, shapes, nowhere, (shapely.GeometryType.LINESTRING, NO_LINE))
    length = shapely.length(parts)
    return _sifted((parts, number, [(SHORT, length <= LEAST_ROAD_M), (AGAIN, duplicates(parts, length))]), lost, shapes)


def odd_heights(height_m: Floats, z_limit: float) -> Bools:
    """Which heights are none of a building; unknown ones are not odd."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((height_m < LEAST_HEIGHT_M) | (robust_z(np.log(height_m)) > z_limit))


def robust_z(values: Floats) -> Floats:
    """Distance from the median in robust standard deviations (1.4826 MAD); 0 where nothing is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    middle = np.median(known)
    spread = max(1.4826 * float(np.median(np.abs(known - middle))), LEAST_SPREAD)
    return np.nan_to_num(np.abs(values - middle) / spread, nan=0.0, posinf=0.0)


def duplicates(parts: Shapes, size: Floats) -> Bools:
    """Whether an earlier part has the same centre and size to a decimetre, and lies where it lies."""
    centre = shapely.centroid(parts)
    key = np.round(np.column_stack([shapely.get_x(centre), shapely.get_y(centre), size]), 1)
    alike = np.unique(key, axis=0, return_inverse=True)[1].reshape(-1)
    again = np.zeros(len(parts), bool)
    others: dict[int, list[int]] = {}
    for k in np.flatnonzero(np.bincount(alike)[alike] > 1).tolist():
        before = others.setdefault(int(alike[k]), [])
        again[k] = bool(before) and shapely.hausdorff_distance(parts[before], parts[k]).min() < SAME_M
        if not again[k]:
            before.append(k)
    return again


def _placed(shapes: Shapes) -> tuple[Shapes, Bools]:
    """Shapes, None for those that have no place on the ground, and which those are."""
    there = shapely.is_missing(shapes) | shapely.is_empty(shapes) | np.isfinite(shapely.bounds(shapes)).all(axis=1)
    placed = np.array(shapes, object)
    placed[~there] = None
    return placed, np.asarray(~there, bool)


def _parts(
    shapes: Shapes, whole: Shapes, nowhere: Bools, wanted: tuple[int, str]
) -> tuple[Shapes, NDArray[np.int64], dict[int, str]]:
    """Parts of ``whole`` of one kind with the number of their feature, and features without any, with the reason."""
    kind, other = wanted
    nothing = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    parts, number = shapely.get_parts(whole, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    number = number[inner]
    right = (shapely.get_type_id(parts) == kind) & ~shapely.is_empty(parts)
    gone = np.setdiff1d(np.arange(len(shapes)), number[right])
    lost = {int(k): NOWHERE if nowhere[k] else EMPTY if nothing[k] else other for k in gone}
    return np.asarray(parts[right], object), number[right], lost


def _sifted(
    found: tuple[Shapes, NDArray[np.int64], Sequence[tuple[str, Bools]]], lost: dict[int, str], whole: Shapes
) -> Sifted:
    parts, number, rules = found
    reason = np.full(len(parts), "", object)
    for name, bad in rules:
        reason[bad & (reason == "")] = name
    shapes = np.concatenate([parts, whole[list(lost)]]) if lost else parts
    number = np.concatenate([number, np.array(list(lost), np.int64)])
    reason = np.concatenate([reason, np.array(list(lost.values()), object)])
    order = np.argsort(number, kind="stable")
    broken = ~shapely.is_valid(whole) & (shapely.get_dimensions(whole) == 2)
    number = number[order]
    return Sifted(np.asarray(shapes, object)[order], number, reason[order], np.asarray(broken[number], bool))
