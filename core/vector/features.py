"""Layers that go through the engine feature by feature: read in pieces, written in pieces, attributes as they were.

Millions of features are no burden: a piece at a time is in memory. Only files that cannot grow (all but GeoPackages)
wait in memory until they are written. Imports pyogrio, shapely, the grid and errors.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray

from ..aside import written
from ..errors import TerrainError
from ..grid import crs_name, crs_of
from ..progress import Progress
from .columns import Column, columns_of
from .reading import DRIVER_ERRORS as READ_ERRORS
from .reading import Geometries, chosen, known_crs, reason
from .writing import (
    BESIDE_SHAPEFILE,
    DRIVERS,
    FOR_GEOPACKAGE,
    forget_journal,
    require_place,
    require_whole,
    size_bytes,
    unwritten,
)
from .writing import DRIVER_ERRORS as WRITE_ERRORS

PIECE = 500_000
"""Features in memory at a time."""

NEEDS_FINITE = ("ESRI Shapefile", "GeoJSON")
"""Drivers that refuse features, or drop their place, where z is NaN."""

WITH_MEASURES = ("GPKG", "ESRI Shapefile")
"""Drivers that keep m; the others write the same without it."""

NOT_CARRIED = ("OFTBinary",)
"""Kinds of attributes that are left out: nothing writes them as they are."""


@dataclass(frozen=True)
class Piece:
    """Some features in the order of their layer.

    Attributes
    ----------
    geometries
        Geometries of shapely; None where a feature has none.
    columns
        Attributes by name.
    missing
        Where an attribute has no value, by name; for columns whose values cannot say so themselves.
    zones
        Time zones of moments, by name (:class:`.columns.Columns`).

    """

    geometries: Geometries
    columns: Mapping[str, Column]
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    zones: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def carried(self, geometries: Geometries, rows: NDArray[np.int64] | slice, more: Mapping[str, Column]) -> Piece:
        """Other ``geometries`` with the attributes of the features ``rows`` here, and ``more`` of their own."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        missing = {name: values[rows] for name, values in self.missing.items()}
        zones = {name: values[rows] for name, values in self.zones.items()}
        return Piece(geometries, {**columns, **more}, missing, zones)


class Features:
    """A layer of a file; an empty name takes the first with geometry.

    ``names`` are the attributes that are handed on, ``left_out`` those that cannot be. Features that are read twice
    have to be in the same places the second time, else :class:`TerrainError`.
    """

    def __init__(self, path: str, layer: str = "") -> None:
        self.path, self.layer = path, chosen(path, layer)
        try:
            facts = pyogrio.read_info(path, layer=self.layer, force_feature_count=True)
        except READ_ERRORS as error:
            raise self._unreadable(error) from error
        self.crs, self.count = known_crs(facts["crs"]), int(facts["features"])
        kinds = dict(zip(map(str, facts["fields"]), facts["ogr_types"], strict=True))
        self.names = [name for name, kind in kinds.items() if kind not in NOT_CARRIED]
        self.left_out = [name for name in kinds if name not in self.names]
        self._kinds = dict(zip(kinds, map(str, facts["dtypes"]), strict=True))
        self._marks: dict[int, int] = {}

    def announce(self, what: str, dem_crs: str, progress: Progress) -> None:
        """Say what a user should know of features that go with a DEM; ``what`` names them, such as points.

        Raises :class:`TerrainError` where they have no CRS and the DEM has one.
        """
        if dem_crs and not self.crs and self.count:
            raise TerrainError(
                f"The {what} {self.path} have no CRS, the DEM is in {crs_name(dem_crs)}; give them one with 'Assign "
                "projection'."
            )
        if self.crs and not dem_crs:
            progress.warn(
                f"The DEM has no CRS; the coordinates of the {what}, in {crs_name(self.crs)}, are taken as its own."
            )
        if self.left_out:
            progress.warn(f"Attributes of the {what} that hold binary data are left out: {', '.join(self.left_out)}.")

    def geometries(self) -> Geometries:
        """All geometries at once, some 250 bytes for each point."""
        found: Geometries = np.concatenate([piece.geometries for piece in self.pieces([])])
        return found

    def pieces(self, names: list[str] | None = None) -> Iterator[Piece]:
        """All features, at most :data:`PIECE` at a time, with these attributes (None: all); at least one piece."""
        for start in range(0, max(self.count, 1), PIECE):
            yield self._read(start, min(PIECE, self.count - start), self.names if names is None else names)

    def _read(self, start: int, count: int, names: list[str]) -> Piece:
        some = {"layer": self.layer, "skip_features": start, "max_features": count}
        meta, _, wkb, values = self._raw(**some, columns=names, datetime_as_string=True)
        self._require_same(start, wkb)
        read = dict(zip(map(str, meta["fields"]), values, strict=True))
        columns = columns_of(read, self._kinds, lambda name: self._digits(name, start, count))
        return Piece(shapely.from_wkb(wkb, on_invalid="ignore"), columns.values, columns.missing, columns.zones)

    def _digits(self, name: str, start: int, count: int) -> Column:
        """Whole numbers as texts, which have all digits also where other features have no number."""
        field_name, layer = (text.replace('"', '\\"') for text in (name, self.layer))
        query = f'SELECT CAST("{field_name}" AS CHARACTER) FROM "{layer}"'  # nosec B608 # reads the user's own file
        some = {"skip_features": start, "max_features": count, "read_geometry": False}
        texts: Column = self._raw(sql=query, sql_dialect="OGRSQL", **some)[3][0]
        return texts

    def _raw(self, **what: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's remarks on files that it reads nevertheless
                return pyogrio.raw.read(self.path, **what)
        except READ_ERRORS as error:
            raise self._unreadable(error) from error

    def _require_same(self, start: int, wkb: NDArray[np.object_]) -> None:
        mark = zlib.crc32(b"".join(one or b"" for one in wkb), len(wkb))
        if self._marks.setdefault(start, mark) != mark:
            raise TerrainError(
                f"The layer {self.layer} of {self.path} was changed during the run, so nothing was written; run it "
                "again."
            )

    def _unreadable(self, error: Exception) -> TerrainError:
        return TerrainError(f"The layer {self.layer} of {self.path} cannot be read ({reason(error)}); choose another.")


class Growing:
    """A layer that pieces are appended to; where the format cannot grow, they wait until :meth:`finish`.

    ``part`` is written and takes the place of ``path``, which errors name. ``kind`` is what OGR calls the geometries,
    such as ``Point Z``; empty: that of the first features that are written.
    """

    def __init__(self, part: Path, path: Path, layer: str, crs: str, kind: str = "") -> None:
        self._path, self._place, self._layer, self._crs, self._kind = part, path, layer, crs, kind
        self._driver = DRIVERS[path.suffix.lower()]
        self._waiting: list[Piece] = []
        self._begun = False
        self._fields = 0

    def add(self, piece: Piece) -> None:
        """Append some features."""
        if self._driver == "GPKG":
            self._write(piece)
        else:
            self._waiting.append(piece)

    def finish(self) -> None:
        """Write what has waited; nothing is to be added any more."""
        if self._waiting:
            self._write(_together(self._waiting))
            self._waiting = []
        if self._driver == "GPKG" and self._measured:
            self._tell_of_measures()
        if self._begun:
            require_whole(self._path, self._place, self._fields)

    @property
    def _measured(self) -> bool:
        """Whether the features get m, which pyogrio writes but has no name for in a layer."""
        return self._kind.endswith("M") and self._driver in WITH_MEASURES

    def _tell_of_measures(self) -> None:
        """Write the kind of the layer into the table where a GeoPackage keeps it."""
        name, dimensions = self._kind.split(" ")
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as database, database:
                database.execute(
                    "UPDATE gpkg_geometry_columns SET geometry_type_name = ?, z = ?, m = 1 WHERE table_name = ?",
                    (name.upper(), int("Z" in dimensions), self._layer),
                )
        except sqlite3.Error as error:
            raise unwritten(self._place, self._layer, error, 0) from error

    def _write(self, piece: Piece) -> None:
        names = list(piece.columns)
        self._kind = self._kind or _kind(piece.geometries)
        dimensions = 4 if self._measured else 3
        try:
            with warnings.catch_warnings():
                # That there is no CRS is known, and what GDAL remarks on z without a value or on long names.
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                pyogrio.raw.write(
                    self._path,
                    geometry=shapely.to_wkb(
                        self._placeable(piece.geometries), output_dimension=dimensions, flavor="iso"
                    ),
                    field_data=[piece.columns[name] for name in names],
                    field_mask=[piece.missing.get(name) for name in names],
                    gdal_tz_offsets=dict(piece.zones),
                    fields=names,
                    layer=self._layer,
                    driver=self._driver,
                    geometry_type="Unknown" if self._measured else self._kind.removesuffix("M").rstrip(),
                    crs=crs_of(self._crs).to_wkt() if self._crs else None,
                    append=self._begun,
                    **self._options(piece),
                )
        except WRITE_ERRORS as error:
            size = size_bytes(piece.geometries, list(piece.columns.values()))
            raise unwritten(self._place, self._layer, error, size) from error
        self._begun, self._fields = True, len(names)

    def _placeable(self, geometries: Geometries) -> Geometries:
        """What the driver can write: some take no z that is NaN."""
        if self._driver not in NEEDS_FINITE:
            return geometries
        _, owner = shapely.get_coordinates(geometries, return_index=True)
        heights = shapely.get_coordinates(geometries, include_z=True)[:, 2]
        flat = np.zeros(len(geometries), dtype=bool)
        flat[owner[np.isnan(heights)]] = True
        placeable: Geometries = np.where(flat, shapely.force_2d(geometries), geometries)
        return placeable

    def _options(self, piece: Piece) -> dict[str, Any]:
        """What a new file of a format needs to be told."""
        if self._driver == "FlatGeobuf" and shapely.is_missing(piece.geometries).any():
            return {"layer_options": {"SPATIAL_INDEX": "NO"}}  # the index takes no feature without a place
        if self._driver != "GPKG" or self._begun:
            return {}
        names = list(piece.columns)
        columns = {"FID": free_name("fid", names), "GEOMETRY_NAME": free_name("geom", names)}
        return {"dataset_options": FOR_GEOPACKAGE, "layer_options": columns}


@contextlib.contextmanager
def growing(path: str, layer: str, crs: str, kind: str = "") -> Iterator[Growing]:
    """A layer that appears at ``path`` when the block is left; the ending says the format (:data:`.DRIVERS`)."""
    target = Path(path)
    require_place(path)
    beside = (*BESIDE_SHAPEFILE, *([".prj"] if crs else [])) if target.suffix.lower() == ".shp" else ()
    with contextlib.ExitStack() as stack:
        for ending in beside:
            stack.enter_context(written(target.with_suffix(ending)))
        layer_to_grow = Growing(stack.enter_context(written(target)), target, layer, crs, kind)
        yield layer_to_grow
        layer_to_grow.finish()
        forget_journal(target)


def of_points(geometries: Geometries) -> NDArray[np.bool_]:
    """Whether features are points or multipoints."""
    kinds = shapely.get_type_id(geometries)
    points: NDArray[np.bool_] = (kinds == shapely.GeometryType.POINT) | (kinds == shapely.GeometryType.MULTIPOINT)
    return points


def free_name(name: str, taken: list[str], most: int | None = None) -> str:
    """``name``, or with the first number that makes it new, as QGIS does: ``slope_2``; ``most`` letters at most."""
    lower, number, found = {other.lower() for other in taken}, 2, name[:most]
    while found.lower() in lower:
        ending = f"_{number}"
        found, number = name[: None if most is None else most - len(ending)] + ending, number + 1
    return found


def _together(pieces: list[Piece]) -> Piece:
    columns, missing, zones = (
        {
            name: _joined(pieces, part, name)
            for name in dict.fromkeys(n for piece in pieces for n in getattr(piece, part))
        }
        for part in ("columns", "missing", "zones")
    )
    return Piece(np.concatenate([piece.geometries for piece in pieces]), columns, missing, zones)


def _joined(pieces: list[Piece], part: str, name: str) -> Column:
    """A column of all pieces; nothing is missing, and time zones are unknown, where a piece does not tell."""
    kind = {"missing": bool, "zones": np.int64}.get(part)
    return np.concatenate([
        getattr(piece, part).get(name, np.zeros(len(piece.geometries), kind)) for piece in pieces
    ])  # fmt: skip


def _kind(geometries: Geometries) -> str:
    """The kind of all geometries as OGR calls it."""
    known = geometries[~shapely.is_missing(geometries)]
    names = set(np.unique(shapely.get_type_id(known)).tolist())
    name = {0: "Point", 1: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}.get(
        names.pop() if len(names) == 1 else -1, "Unknown"
    )
    z, m = (bool(has(known).any()) for has in (shapely.has_z, shapely.has_m))
    return name + (" ZM" if z and m else " Z" if z else " M" if m else "")
