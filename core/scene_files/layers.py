"""Layers of a result: the user's features as they were, with all their attributes, and new ones beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import aside, provenance, vector
from ..grid import change_of_crs, same_crs
from .place import Place, Shapes, with_vertices
from .user_layers import UserLayer

RESERVED = ("fid", "geom", "geometry")
"""Names of columns that formats keep for themselves."""

MULTIPLE = {"LineString": "MultiLineString", "Polygon": "MultiPolygon", "Point": "MultiPoint"}


@dataclass(frozen=True)
class Table:
    """Features of one layer in the CRS of the results.

    Attributes
    ----------
    name, kind
        Of the layer, and of its features as OGR calls a single one: ``LineString``, ``Polygon``, ``Point``.
    shapes, columns, missing
        Features, attributes by name, and where one has no value.

    """

    name: str
    kind: str
    shapes: Shapes
    columns: Mapping[str, NDArray[Any]]
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


def joined(own: UserLayer, new: Shapes, table: Table, place: Place) -> Table:
    """A table whose ``columns`` speak of the user's features first, then of new ones in the CRS of the work.

    The user's attributes follow; one whose name is taken gets a number, unless it says nothing else.
    ``table.shapes`` are not looked at.
    """
    shapes = np.concatenate([in_results(own, place), place.results(new)])
    columns, missing = dict(table.columns), dict(table.missing)
    for name, values in own.columns.items():
        unknown = own.missing.get(name, np.zeros(len(own), bool))
        if name in table.columns and is_said(values, unknown, table.columns[name][: len(own)]):
            continue
        free = vector.free_name(name, [*columns, *RESERVED])
        columns[free], gaps = _filled(values, len(new))
        if gaps or unknown.any():
            missing[free] = np.concatenate([unknown, np.ones(len(new), bool)])
    return Table(table.name, table.kind, shapes, columns, missing)


def is_said(values: NDArray[Any], unknown: NDArray[np.bool_], now: NDArray[Any]) -> bool:
    """Whether a column of the user's has the values of one that is written, wherever it has any."""
    if values.dtype.kind == now.dtype.kind == "O":
        return all(one is None or one == other for one, other in zip(values, now, strict=True))
    if values.dtype.kind not in "iufb" or now.dtype.kind not in "iufb":
        return False
    known = ~unknown & np.isfinite(values.astype(np.float64))
    return np.array_equal(values[known], now[known])


def _filled(values: NDArray[Any], count: int) -> tuple[NDArray[Any], bool]:
    """A column with so many rows without a value added, and whether a mask has to say where they are."""
    kind = values.dtype.kind
    if kind == "O":
        return np.concatenate([values, np.full(count, None, object)]), False
    if kind == "f":
        return np.concatenate([values, np.full(count, np.nan, values.dtype)]), False
    if kind == "M":
        return np.concatenate([values, np.full(count, np.datetime64("NaT"), values.dtype)]), False
    return np.concatenate([values, np.zeros(count, values.dtype)]), count > 0


def in_results(own: UserLayer, place: Place) -> Shapes:
    """The user's features in the CRS of the results: to the byte as they are where that is theirs."""
    if not len(own) or same_crs(own.crs, place.crs):
        return own.shapes
    change = change_of_crs(own.crs, place.crs)
    dense = with_vertices(own.shapes, own.crs)

    def there(points: NDArray[np.float64]) -> NDArray[np.float64]:
        across = points[:, :2].T if change is None else change(points[:, 0], points[:, 1])
        return np.column_stack([*across, *points[:, 2:].T])

    solid = shapely.has_z(dense)
    out = dense.copy()
    for which, include_z in ((solid, True), (~solid, False)):
        if which.any():
            out[which] = shapely.transform(dense[which], there, include_z=include_z)
    return out


def write_tables(
    path: str, tables: Sequence[Table], crs: str, tags: Mapping[str, str], files: aside.Together | None = None
) -> None:
    """Write tables as layers of one file, which appears when it is complete, or with the other ``files`` of a run.

    The same tables are the same bytes.
    """
    vector.write_layers(path, [_layer(table, crs, tags) for table in tables], undated=True, files=files)


def _layer(table: Table, crs: str, tags: Mapping[str, str]) -> vector.Layer:
    several = bool(np.isin(shapely.get_type_id(table.shapes), (4, 5, 6)).any())
    kind = MULTIPLE[table.kind] if several else table.kind
    if bool(shapely.has_z(table.shapes).any()):
        kind += " Z"
    return vector.Layer(table.name, table.shapes, table.columns, crs, tags, table.missing, kind)


def tags_of(model: str, style: str, seed: int, attribution: str) -> dict[str, str]:
    """What every layer of a made scene says about itself; ``attribution`` is whose data the model has learned from."""
    return {
        "synthetic": "1",
        "seed": str(seed),
        "style": style,
        "model": model,
        "neural_terrain_version": provenance.version(),
        "attribution": attribution,
    }
