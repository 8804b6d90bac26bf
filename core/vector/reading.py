"""Reading polygons and lines of a vector file into the CRS of a DEM. Imports pyogrio, shapely, the grid and errors."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from ..errors import TerrainError
from ..grid import Bounds, change_of_crs, crs_name
from .placing import Floats, place, surroundings

DRIVER_ERRORS = (DataSourceError, DataLayerError, OSError, ValueError)
"""What pyogrio raises for files that it cannot read."""

SAMPLE = 1000
"""So many features are looked at to say of what kind a layer is that has none near the DEM."""

Geometries = NDArray[np.object_]


def layers_of(path: str) -> list[str]:
    """Names of the layers of a file that have geometry, in the order of the file."""
    if not Path(path).exists():
        raise TerrainError(f"The vector file {path} does not exist; choose another.")
    try:
        found = pyogrio.list_layers(path)
    except DRIVER_ERRORS as error:
        raise TerrainError(f"The vector file {path} cannot be read ({reason(error)}); choose another.") from error
    return [str(name) for name, kind in found if kind is not None]


def read_polygons(
    path: str, layer: str, target_crs: str, *, bounds: Bounds | None = None, tolerance: float | None = None
) -> list[shapely.Polygon]:
    """Polygons of a layer in ``target_crs``: valid, without z, dissolved, so that none overlaps another.

    ``layer`` may be empty for the first one. With ``bounds`` in ``target_crs``, what lies outside may be left out.
    Edges stay within ``tolerance`` in units of ``target_crs`` (None: a millionth of the size). Raises
    :class:`TerrainError` where there is no polygon, or no CRS while the target has one.
    """
    found, crs, box = _read(path, layer, target_crs, bounds)
    polygons = _areas(found)
    _require("polygon", polygons, path, layer, found)
    if box is not None:
        polygons = _areas(shapely.intersection(polygons, shapely.box(*box)))
    change = change_of_crs(crs, target_crs)
    placed = [place(polygon, change, tolerance) for polygon in polygons]
    return list(_areas(np.array([shapely.union_all(shapely.make_valid(placed))], dtype=object)))


def read_lines(
    path: str, layer: str, target_crs: str, *, bounds: Bounds | None = None, tolerance: float | None = None
) -> list[Floats]:
    """Lines of a layer in ``target_crs`` as (N, 2) arrays; rules and errors are those of :func:`read_polygons`."""
    found, crs, box = _read(path, layer, target_crs, bounds)
    lines = _lines(found)
    _require("line", lines, path, layer, found)
    if box is not None:
        lines = _lines(shapely.intersection(lines, shapely.box(*box)))
    change = change_of_crs(crs, target_crs)
    return [shapely.get_coordinates(place(line, change, tolerance)) for line in lines]


def _read(path: str, layer: str, target_crs: str, bounds: Bounds | None) -> tuple[Geometries, str, Bounds | None]:
    """Geometries as they are in the file, their CRS, and the box in it that matters.

    Those outside of the box are not read, save some where there are no others: they say of what kind the layer is.
    """
    layer = chosen(path, layer)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's remarks on files that it reads nevertheless
            crs = known_crs(pyogrio.read_info(path, layer=layer)["crs"])
            box = surroundings(bounds, crs, target_crs) if crs or not target_crs else None
            known = _geometries(path, layer, bbox=box)
            if box is not None and not len(known):
                known = _geometries(path, layer, max_features=SAMPLE)
    except DRIVER_ERRORS as error:
        raise TerrainError(f"The layer {layer} of {path} cannot be read ({reason(error)}); choose another.") from error
    if target_crs and not crs and len(known):
        raise TerrainError(
            f"The layer {layer} of {path} has no CRS, the DEM is in {crs_name(target_crs)}; give it one with 'Assign "
            "projection'."
        )
    return known, crs, box


def _geometries(path: str, layer: str, **which: Any) -> Geometries:
    """Geometries of a layer, those in ``bbox`` or the first ``max_features``; not those that are missing or empty."""
    _, _, wkb, _ = pyogrio.raw.read(path, layer=layer, columns=[], force_2d=True, **which)
    found = shapely.from_wkb(wkb, on_invalid="ignore")
    known: Geometries = found[~(shapely.is_missing(found) | shapely.is_empty(found))]
    return known


def chosen(path: str, layer: str) -> str:
    """The layer that is meant, the first one where ``layer`` is empty; one that the file does not have is refused."""
    names = layers_of(path)
    if not names:
        raise TerrainError(f"The file {path} has no layer with geometry; choose another.")
    if layer and layer not in names:
        raise TerrainError(f"The file {path} has no layer {layer}; it has {', '.join(names)}.")
    return layer or names[0]


def known_crs(text: str | None) -> str:
    """The CRS of a layer; empty where the file has none or, as GeoPackages do, one that says that it is undefined."""
    return "" if not text or re.match(r'\w+\["Undefined ', text) else text


def _areas(geometries: Geometries) -> Geometries:
    """Polygons among geometries, made valid, parts of collections apart."""
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometries, method="structure")))
    kept = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
    polygons: Geometries = parts[kept]
    return polygons


def _lines(geometries: Geometries) -> Geometries:
    """Lines among geometries, parts of collections apart; those without length are left out."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    kinds = shapely.get_type_id(parts)
    is_line = (kinds == shapely.GeometryType.LINESTRING) | (kinds == shapely.GeometryType.LINEARRING)
    lines: Geometries = parts[is_line & (shapely.length(parts) > 0)]
    return lines


def _require(kind: str, kept: Geometries, path: str, layer: str, found: Geometries) -> None:
    if len(kept):
        return
    name = f"layer {layer} of {path}" if layer else f"file {path}"
    if not len(found):
        raise TerrainError(f"The {name} has no features; choose one with {kind}s.")
    held = ", ".join(sorted({geometry.geom_type for geometry in found}))
    if kind in held.lower():
        size = "area" if kind == "polygon" else "length"
        raise TerrainError(f"The {name} has only {kind}s without {size}; choose one with {kind}s that have one.")
    raise TerrainError(f"The {name} has no {kind}s but {held}; choose one with {kind}s.")


def reason(error: Exception) -> str:
    """GDAL's own words in one line."""
    return " ".join(str(error).split(";")[0].split()).rstrip(".")
