"""Writing features: one layer or several in a file that appears when it is complete. Imports pyogrio and shapely."""

from __future__ import annotations

import contextlib
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


def write_layers(path: str, layers: Sequence[Layer], *, undated: bool = False) -> None:
    """Write layers to a file whose name says the format (:data:`DRIVERS`); several only to a GeoPackage.

    The file takes the place of an older one when it is complete. Raises :class:`TerrainError` where it cannot be
    written; then nothing is left, and the older one is as it was. An ``undated`` GeoPackage names a fixed date instead
    of today's, so that the same layers are the same bytes.
    """
    target = Path(path)
    ending = target.suffix.lower()
    _require_ending(path)
    if len(layers) > 1 and ending != ".gpkg":
        raise TerrainError(f"The vector file {path} can hold one layer, not {len(layers)}; let its name end in .gpkg.")
    with contextlib.ExitStack() as stack:
        for other in _beside(ending, layers[0]):
            stack.enter_context(aside.written(target.with_suffix(other)))
        part = stack.enter_context(aside.written(target))
        if undated:
            stack.enter_context(_undated())
        for number, layer in enumerate(layers):
            _add(part, layer, DRIVERS[ending], append=number > 0)
        forget_journal(target)


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there is no CRS is known
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
    except DRIVER_ERRORS as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise TerrainError(f"The layer {layer.name} cannot be written ({reason}); choose another format.") from error


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
