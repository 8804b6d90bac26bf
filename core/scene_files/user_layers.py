"""The user's own features: as they are in their file, and in metres for the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import vector
from ..errors import TerrainError
from ..grid import crs_name, transform_bounds
from .place import Shapes, in_metres

KINDS = {
    "line": (shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING),
    "polygon": (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON),
}
"""Kinds of geometry by what a layer is to hold."""

MARGIN_M = 100.0
"""Features so far around an area are read, before those that touch it are chosen."""

Columns = Mapping[str, NDArray[Any]]
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class UserLayer:
    """Features of a user's layer.

    Attributes
    ----------
    crs
        Of their file, as WKT.
    shapes
        As they are in the file.
    work
        The same in the CRS of the work, without z.
    columns, missing
        Attributes by name, and where one has no value.
    named
        The layer and its file, for messages.

    """

    crs: str
    shapes: Shapes
    work: Shapes
    columns: Columns = field(default_factory=dict)
    missing: Masks = field(default_factory=dict)
    named: str = ""

    def __len__(self) -> int:
        """Number of features."""
        return len(self.shapes)

    def take(self, which: NDArray[Any]) -> UserLayer:
        """The features that a mask or numbers choose."""
        columns = {name: values[which] for name, values in self.columns.items()}
        missing = {name: values[which] for name, values in self.missing.items()}
        return UserLayer(self.crs, self.shapes[which], self.work[which], columns, missing, self.named)

    @cached_property
    def valid(self) -> Shapes:
        """The shapes in metres with broken polygons mended."""
        return np.asarray(shapely.make_valid(self.work, method="structure", keep_collapsed=False), object)


def nothing() -> UserLayer:
    """A layer that was not given."""
    none = np.zeros(0, object)
    return UserLayer("", none, none)


def read_layer(path: str, layer: str, kind: str, work_crs: str, area: Any = None) -> UserLayer:
    """Features of one kind, ``line`` or ``polygon``, in their order; with ``area`` those that touch it only.

    An empty ``path`` gives none. Features without a geometry are left out. Raises :class:`TerrainError` where the
    layer cannot be read, has no CRS, or has features but none of that kind.
    """
    if not path:
        return nothing()
    features = vector.Features(path, layer)
    named = f"layer {features.layer} of {path}"
    _require_crs(features, named, work_crs)
    box = None if area is None else _box(area, work_crs, features.crs)
    found, held = [], set[str]()
    for piece in features.pieces():
        known = ~(shapely.is_missing(piece.geometries) | shapely.is_empty(piece.geometries))
        right = known & np.isin(shapely.get_type_id(piece.geometries), KINDS[kind])
        held |= {shape.geom_type for shape in piece.geometries[known & ~right][:100]}
        keep = right if box is None else right & _meets(piece.geometries, box)
        held |= {kind} if right.any() else set()
        found.append(_part(piece, np.flatnonzero(keep), features.crs, work_crs))
    if held and kind not in held:
        raise TerrainError(f"The {named} has no {kind}s but {', '.join(sorted(held))}; choose one with {kind}s.")
    whole = _together(found, features.crs, named)
    return whole if area is None else whole.take(shapely.intersects(area, whole.valid))


def read_every(path: str, layer: str, work_crs: str) -> UserLayer:
    """All features of a layer whatever they are, those without a geometry included."""
    features = vector.Features(path, layer)
    named = f"layer {features.layer} of {path}"
    _require_crs(features, named, work_crs)
    pieces = [
        UserLayer(features.crs, piece.geometries, in_metres(piece.geometries, features.crs, work_crs), piece.columns,
                  piece.missing)
        for piece in features.pieces()
    ]  # fmt: skip
    return _together(pieces, features.crs, named)


def _require_crs(features: vector.Features, named: str, work_crs: str) -> None:
    if not features.crs and features.count:
        raise TerrainError(
            f"The {named} has no CRS, the scene is in {crs_name(work_crs)}; give it one with 'Assign projection'."
        )


def _box(area: Any, work_crs: str, crs: str) -> Any:
    """The surroundings of an area in the CRS of a layer; None where they have none there."""
    west, south, east, north = area.bounds
    wide = (west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M)
    try:
        box = transform_bounds(wide, work_crs, crs)
    except TerrainError:
        return None
    return box if box[0] < box[2] and box[1] < box[3] else None  # a box over the date line is none


def _meets(shapes: Shapes, box: Any) -> NDArray[np.bool_]:
    west, south, east, north = shapely.bounds(shapes).T
    return np.asarray((west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1]))


def _part(piece: vector.Piece, which: NDArray[np.int64], crs: str, work_crs: str) -> UserLayer:
    shapes = np.asarray(piece.geometries[which], object)
    columns = {name: values[which] for name, values in piece.columns.items()}
    missing = {name: values[which] for name, values in piece.missing.items()}
    work = in_metres(shapes, crs, work_crs) if crs else shapes
    placed = np.isfinite(shapely.bounds(work)).all(axis=1) if len(work) else np.zeros(0, bool)
    return UserLayer(crs, shapes, work, columns, missing).take(placed)


def _together(parts: list[UserLayer], crs: str, named: str) -> UserLayer:
    first = parts[0]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns}
    names = {name for part in parts for name in part.missing}
    missing = {
        name: np.concatenate([part.missing.get(name, np.zeros(len(part), bool)) for part in parts])
        for name in sorted(names)
    }
    shapes, work = (np.concatenate([getattr(part, name) for part in parts]) for name in ("shapes", "work"))
    return UserLayer(crs, shapes, work, columns, missing, named)
