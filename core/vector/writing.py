"""Writing features: one layer or several in a file that appears when it is complete. Imports pyogrio and shapely."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError, FeatureError, FieldError, GeometryError

from .. import aside
from ..errors import TerrainError
from ..grid import crs_of

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}
"""Drivers of GDAL by how names of files end."""

KINDS = {0: "Point", 1: "LineString", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString",
         6: "MultiPolygon", 7: "GeometryCollection"}  # fmt: skip
"""Kinds of geometry by the numbers that shapely gives them."""

FOR_GEOPACKAGE = {"VERSION": "1.2"}
"""Older GDALs, such as that of QGIS 3.22, warn of newer versions."""

UNDATED = {"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z", "OGR_GPKG_ALLOW_THREADED_RTREE": "NO"}

BESIDE_SHAPEFILE = (".dbf", ".shx", ".cpg")
DRIVER_ERRORS = (DataSourceError, FeatureError, FieldError, GeometryError, ValueError)
"""What pyogrio raises for what it cannot write."""

ROOM, LEAST_ROOM_BYTES = 2, 2**18
"""A disk counts as full where less is free than the features take so many times over, and less than that besides."""

TAIL_BYTES = 64
"""Of the end of a text, what is looked at."""


@dataclass(frozen=True)
class Layer:
    """Features of one kind.

    Attributes
    ----------
    name
        Of the layer; files of one layer only do without.
    geometries
        Geometries of shapely, or points as an array (N, 2) or (N, 3).
    fields
        Columns of N values by name: numbers, true and false, or text.
    crs
        WKT or ``EPSG:n``; empty where unknown.
    tags
        Further facts about the layer, kept where the format has a place for them (GeoPackage).
    missing
        Where an attribute has no value, by name; for columns whose values cannot say so themselves.
    kind
        What OGR calls the geometries; empty: what they are, which says nothing where there is none.

    """

    name: str
    geometries: Sequence[shapely.Geometry] | NDArray[Any]
    fields: Mapping[str, Sequence[Any] | NDArray[Any]] = field(default_factory=dict)
    crs: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    kind: str = ""


def write(
    path: str,
    layer: str,
    geometries: Sequence[shapely.Geometry] | NDArray[Any],
    fields: Mapping[str, Sequence[Any] | NDArray[Any]],
    crs: str,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write one layer; see :func:`write_layers`."""
    write_layers(path, [Layer(layer, geometries, fields, crs, tags or {})])


def write_layers(
    path: str, layers: Sequence[Layer], *, undated: bool = False, files: aside.Together | None = None
) -> None:
    """Write layers to a file whose name says the format (:data:`DRIVERS`); several only to a GeoPackage.

    The file takes the place of an older one when it is complete, or with the other ``files`` that it is one of. Raises
    :class:`TerrainError` where it cannot be written; then nothing is left, and the older one is as it was. An
    ``undated`` GeoPackage names a fixed date instead of today's, so that the same layers are the same bytes.
    """
    target = Path(path)
    ending = target.suffix.lower()
    require_place(path)
    if len(layers) > 1 and ending != ".gpkg":
        raise TerrainError(f"The vector file {path} can hold one layer, not {len(layers)}; let its name end in .gpkg.")
    with contextlib.ExitStack() as stack:
        files = files or stack.enter_context(aside.together())
        for other in _beside(ending, layers[0]):
            files.part(target.with_suffix(other))
        part = files.part(target, functools.partial(forget_journal, target))
        if undated:
            stack.enter_context(_undated())
        for number, layer in enumerate(layers):
            try:
                _add(part, layer, DRIVERS[ending], append=number > 0)
            except DRIVER_ERRORS as error:
                raise unwritten(path, layer.name, error, _size_bytes(layer)) from error
        require_whole(part, path, len(layers[-1].fields))


@contextlib.contextmanager
def _undated() -> Iterator[None]:
    """GDAL writes a fixed date into GeoPackages, and builds their indexes in one thread."""
    pyogrio.set_gdal_config_options(UNDATED)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(UNDATED, None))


def require_place(path: str) -> None:
    """Refuse a file that :func:`write` cannot write, by its ending and folder; worth asking before long work."""
    _require_ending(path)
    aside.require_place(path)


def _require_ending(path: str) -> None:
    if Path(path).suffix.lower() not in DRIVERS:
        raise TerrainError(f"The vector file {path} ends in none of {', '.join(DRIVERS)}; rename it.")


def _beside(ending: str, layer: Layer) -> tuple[str, ...]:
    """Endings of the files that belong to a shapefile."""
    if ending != ".shp":
        return ()
    return (*BESIDE_SHAPEFILE, ".prj") if layer.crs else BESIDE_SHAPEFILE


def _add(part: Path, layer: Layer, driver: str, append: bool) -> None:
    geometries = _geometries(layer.geometries)
    kind = layer.kind or _kind(geometries)
    columns = [_column(values) for values in layer.fields.values()]
    special: dict[str, Any] = {}
    if driver == "GPKG":
        special = {"layer_metadata": dict(layer.tags) or None, "dataset_options": None if append else FOR_GEOPACKAGE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is no CRS is known
        warnings.simplefilter("ignore", RuntimeWarning)  # what a full disk loses is found by require_whole
        pyogrio.raw.write(
            part,
            geometry=shapely.to_wkb(geometries),
            field_data=columns,
            field_mask=[layer.missing.get(name) for name in layer.fields],
            fields=list(layer.fields),
            layer=layer.name or part.stem,
            driver=driver,
            geometry_type=kind,
            crs=crs_of(layer.crs).to_wkt() if layer.crs else None,
            promote_to_multi=kind.startswith("Multi"),
            append=append,
            **special,
        )


def unwritten(path: str | Path, layer: str, error: Exception, size_bytes: int) -> TerrainError:
    """Why a layer of about ``size_bytes`` could not be written to a file: a full disk, or what GDAL says."""
    if aside.free_bytes(path) < ROOM * size_bytes + LEAST_ROOM_BYTES:
        free = aside.megabytes(aside.free_bytes(path))
        return TerrainError(
            f"The file {path} cannot be written, as the disk of {Path(path).parent} is full ({free} are free); make "
            "room or choose another folder."
        )
    reason = " ".join(str(error).split()).rstrip(".")
    return TerrainError(f"The layer {layer} cannot be written to {path} ({reason}); choose another format.")


def require_whole(part: Path, path: str | Path, fields: int) -> None:
    """Refuse a file that breaks off: on a full disk GDAL says nothing of what is lost when it closes a file.

    ``path`` is the file that the user gave, ``fields`` how many attributes its features have. A GeoPackage is a
    database and says so itself.
    """
    driver = DRIVERS[part.suffix.lower()]
    if driver == "GPKG" or _ends_well(part, driver, fields):
        return
    free = aside.megabytes(aside.free_bytes(path))
    raise TerrainError(
        f"The file {path} cannot be written to its end ({free} are free in {Path(path).parent}); make room or choose "
        "another folder."
    )


def _ends_well(part: Path, driver: str, fields: int) -> bool:
    """Whether the last feature can be read with its attributes, or the text is closed."""
    if driver == "GeoJSON":
        with part.open("rb") as file:
            file.seek(-min(part.stat().st_size, TAIL_BYTES), os.SEEK_END)
            return file.read().rstrip().endswith(b"}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pyogrio's remarks on m and on values
            count = int(pyogrio.read_info(part, force_feature_count=True)["features"])
            _, _, last, columns = pyogrio.raw.read(part, skip_features=max(count - 1, 0), max_features=1)
    except (*DRIVER_ERRORS, OSError):
        return False
    return len(last) == min(count, 1) and len(columns) >= fields


def _size_bytes(layer: Layer) -> int:
    """About what a layer takes in a file."""
    columns = [_column(values) for values in layer.fields.values()]
    return size_bytes(_geometries(layer.geometries), columns)


def size_bytes(geometries: NDArray[Any], columns: Sequence[NDArray[Any]]) -> int:
    """About what features take in a file."""
    texts = sum(len(str(value)) for column in columns if column.dtype == object for value in column.tolist())
    numbers = sum(column.nbytes for column in columns if column.dtype != object)
    return int(8 * shapely.get_num_coordinates(geometries).sum()) * 3 + texts + numbers


def _geometries(given: Sequence[shapely.Geometry] | NDArray[Any]) -> NDArray[Any]:
    found = np.asarray(given)
    if not len(found):
        return np.zeros(0, object)
    return found if found.dtype == object else np.asarray(shapely.points(found), dtype=object)


def _kind(geometries: NDArray[Any]) -> str:
    """The kind of all geometries as OGR calls it; single ones among multiple ones will be made multiple."""
    names = {KINDS[number] for number in np.unique(shapely.get_type_id(geometries)).tolist()}
    if len(names) == 2 and len({name.removeprefix("Multi") for name in names}) == 1:
        names = {name for name in names if name.startswith("Multi")}
    name = names.pop() if len(names) == 1 else "Unknown"
    return f"{name} Z" if name != "Unknown" and bool(shapely.has_z(geometries).any()) else name


def _column(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    column = np.asarray(values)
    return column.astype(object) if column.dtype.kind in "US" else column


def forget_journal(target: Path) -> None:
    """Remove what a reader has left beside an older GeoPackage; it would be taken for a part of the new one."""
    for ending in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            Path(f"{target}{ending}").unlink()
