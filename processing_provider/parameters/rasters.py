"""Parameters that name rasters to read, with what the user has set on their layers, and parts of them.

Imports the standard library, qgis and light parts of core.
"""

from __future__ import annotations

import math
import os
import re
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingParameterBand,
    QgsProcessingParameterCrs,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRasterRange,
)

from ...core.errors import TerrainError
from .numbers import given_whole
from .parameter import Call, Parameter, helped
from .texts import given_text


def source(kind: str = "Coarse elevation raster") -> Parameter:
    """The DEM to work on: a layer with everything that the user set on it."""
    return _dem("INPUT", "Input DEM", kind)


def reference() -> Parameter:
    """The DEM to compare with."""
    return _dem("REFERENCE", "Reference DEM", "Elevation raster that is taken for the truth")


def _dem(name: str, label: str, kind: str) -> Parameter:
    return Parameter(
        name,
        lambda: helped(
            QgsProcessingParameterRasterLayer(name, label),
            f"{kind}: any file that GDAL reads, VRT mosaics and zipped files included. The CRS and the no-data values "
            "that are set on the layer count.",
        ),
        lambda call: _read_dem(call, name, label),
    )


def measured_dem(text: str) -> Parameter:
    """A DEM that may be left out, with what the user set on its layer; its band is the parameter BAND."""
    return Parameter(
        "DEM",
        lambda: helped(QgsProcessingParameterRasterLayer("DEM", "DEM", None, True), text),
        _read_measured_dem,
    )


def dems() -> Parameter:
    """Any number of DEMs: layers or files, with what the user set on the layers."""
    return Parameter(
        "INPUT",
        lambda: helped(
            QgsProcessingParameterMultipleLayers("INPUT", "DEMs", QgsProcessing.SourceType.TypeRaster, None, True),
            "Fine elevation rasters, heights in the first band. The CRS and the no-data values that are set on the "
            "layers count.",
        ),
        _read_dems,
    )


def dem_folder() -> Parameter:
    """A folder of DEM files."""
    behaviour = QgsProcessingParameterFile.Behavior.Folder
    return Parameter(
        "FOLDER",
        lambda: helped(
            QgsProcessingParameterFile("FOLDER", "Folder of DEMs", behaviour, "", None, True),
            "Folder whose .tif, .tiff and .vrt files are used as well, instead of layers or in addition to them.",
        ),
        lambda call: {"folder": given_text(call, "FOLDER")},
    )


def band(name: str = "BAND", label: str = "Band", parent: str = "INPUT") -> Parameter:
    """Band of the raster ``parent``."""
    return Parameter(
        name,
        lambda: helped(
            # Optional, since qgis_process 3.22 calls a band missing although it has a default.
            QgsProcessingParameterBand(name, label, 1, parent, True),
            "Band that holds the heights, counted from 1.",
        ),
        lambda call: {name.lower(): _band(call, name, label)},
    )


def raster(name: str, label: str, text: str) -> Parameter:
    """An optional raster that is read as its file says."""
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterRasterLayer(name, label, None, True), text),
        lambda call: _read_raster(call, name, label),
    )


def grid(text: str = "") -> Parameter:
    """Another raster whose cells the result takes; ``text`` is the help where the usual one does not fit."""
    return Parameter(
        "GRID",
        lambda: helped(
            QgsProcessingParameterRasterLayer("GRID", "Target grid", None, True),
            text
            or "Raster whose edges and cell size the result takes; it must have the CRS of the input. It goes before "
            "scale, and cannot be combined with a cell size.",
        ),
        lambda call: _read_raster(call, "GRID", "Target grid"),
    )


def target_crs() -> Parameter:
    """CRS of the result."""
    return Parameter(
        "TARGET_CRS",
        lambda: helped(
            QgsProcessingParameterCrs("TARGET_CRS", "Target CRS", None, True),
            "CRS of the result, projected or geographic. Heights are not changed. Empty: that of the DEM.",
        ),
        lambda call: {"target_crs": crs_given(call, "TARGET_CRS", "Target CRS")},
    )


def extent(text: str = "") -> Parameter:
    """Part of the input; ``text`` is the help where the usual one does not fit."""
    return Parameter(
        "EXTENT",
        lambda: helped(
            QgsProcessingParameterExtent("EXTENT", "Extent", None, True),
            text
            or "Part to compute, in any CRS; it grows outward to whole cells. The result is the same as that part of a "
            "full run. Empty: everything.",
        ),
        _read_extent,
    )


def _read_dem(call: Call, name: str, label: str) -> dict:
    """File, CRS and no-data of a layer: ``input``, ``crs``, ``no_data``; others have their name before the latter."""
    layer, path = _raster(call, name, label)
    key, before = name.lower(), "" if name == "INPUT" else f"{name.lower()}_"
    if layer is None:
        return {key: ""}
    band_name = f"{before}band".upper()
    number = given_whole(call, band_name, "Band") if call.algorithm.parameterDefinition(band_name) else 1
    crs, no_data = _set_on_layer(layer, number)
    return {key: path, f"{before}crs": crs, f"{before}no_data": no_data}


def _read_measured_dem(call: Call) -> dict:
    layer, path = _raster(call, "DEM", "DEM")
    if layer is None:
        return {"dem": "", "dem_crs": "", "dem_no_data": ()}
    crs, no_data = _set_on_layer(layer, given_whole(call, "BAND", "Band"))
    return {"dem": path, "dem_crs": crs, "dem_no_data": no_data}


def _set_on_layer(layer: QgsRasterLayer, band: int | None) -> tuple[str, tuple]:
    """CRS and no-data ranges that the user has set on a layer and that its file does not have."""
    provider = layer.dataProvider()
    number = band if band and 1 <= band <= layer.bandCount() else 1
    if provider.sourceHasNoDataValue(number) and not provider.useSourceNoDataValue(number):
        raise TerrainError(
            f"The layer {layer.name()} ignores the no-data value of its file; switch it on in the layer's "
            "transparency settings, or export the raster without it."
        )
    crs = crs_text(layer.crs()) if layer.crs() != provider.crs() else ""
    return crs, tuple(_interval(r) for r in provider.userNoDataValues(number))


def _read_dems(call: Call) -> dict:
    """Files, CRSs and no-data ranges of several layers: ``input``, ``crs``, ``no_data``, of one length each."""
    given = call.raw("INPUT")
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    found = []
    for item in items:
        if item not in (None, ""):
            layer = item if isinstance(item, QgsRasterLayer) else _layer_of(str(item), call)
            path = _readable(layer, "DEM", item)
            found.append((path, *_set_on_layer(layer, 1)))
    paths, crs, no_data = zip(*found) if found else ((), (), ())
    return {"input": paths, "crs": crs, "no_data": no_data}


def _layer_of(text: str, call: Call) -> QgsRasterLayer:
    """The raster layer of a name, an id or a file."""
    layer = QgsProcessingUtils.mapLayerFromString(text, call.context)
    return layer if isinstance(layer, QgsRasterLayer) else QgsRasterLayer(text, text, "gdal")


def _read_raster(call: Call, name: str, label: str) -> dict:
    layer, path = _raster(call, name, label)
    if layer is not None and layer.crs() != layer.dataProvider().crs():
        raise TerrainError(
            f"The CRS of the {label[0].lower()}{label[1:]} {layer.name()} was changed in QGIS only; write it to the "
            "file with 'Assign projection' first."
        )
    return {name.lower(): path}


def _raster(call: Call, name: str, label: str) -> tuple[QgsRasterLayer | None, str]:
    """The layer and what GDAL opens to read it; None and an empty text where nothing was given."""
    given = call.raw(name)
    if given is None:
        return None, ""
    layer = call.algorithm.parameterAsRasterLayer(call.parameters, name, call.context)
    if layer is None and isinstance(given, str):
        layer = QgsRasterLayer(given, given, "gdal")  # names that only GDAL knows, such as GPKG:file.gpkg:table
    return layer, _readable(layer, label, given)


def _readable(layer: QgsRasterLayer | None, label: str, given: Any) -> str:
    """What GDAL opens to read a layer; one that cannot be read, or that has no file, is refused."""
    if layer is None or not layer.isValid():
        shown = layer.name() if layer is not None else given
        raise TerrainError(f"{label} is {shown}, which is no raster that can be read; choose a raster layer or file.")
    provider = layer.dataProvider().name()
    if provider != "gdal":
        raise TerrainError(
            f"{label} is {layer.name()}, a layer of kind {provider} that has no file; write it to a GeoTIFF with "
            "Export > Save As... first, and use that."
        )
    return _gdal_name(layer, label)


def _gdal_name(layer: QgsRasterLayer, label: str) -> str:
    text = layer.source()
    if QgsProviderRegistry.instance().decodeUri("gdal", text).get("openOptions"):
        raise TerrainError(
            f"{label} is {layer.name()}, which was opened with GDAL open options; write it to a GeoTIFF with "
            "Export > Save As... first, and use that."
        )
    return os.path.abspath(text) if os.path.exists(text) else text


def crs_text(crs: Any) -> str:
    """A CRS of QGIS as ``EPSG:n`` or WKT; empty where it is unknown."""
    if not crs.isValid():
        return ""
    return crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt(crs.WktVariant.WKT2_2018)


def crs_given(call: Call, name: str, label: str) -> str:
    """The CRS that was given as ``EPSG:n`` or WKT; empty where none was, one that QGIS does not know is refused."""
    given = call.raw(name)
    crs = call.algorithm.parameterAsCrs(call.parameters, name, call.context)
    if given is not None and not crs.isValid():
        raise TerrainError(f"{label} is {given!r}, which is no CRS; give one such as EPSG:4326.")
    return crs_text(crs) if given is not None else ""


def _interval(values: QgsRasterRange) -> tuple[float, float]:
    """A range of no-data values with both ends included."""
    low = -math.inf if math.isnan(values.min()) else values.min()
    high = math.inf if math.isnan(values.max()) else values.max()
    bounds, kinds = values.bounds(), QgsRasterRange.BoundsType
    if bounds in (kinds.IncludeMax, kinds.Exclusive):
        low = _next_after(low, math.inf)
    if bounds in (kinds.IncludeMin, kinds.Exclusive):
        high = _next_after(high, -math.inf)
    return low, high


def _next_after(value: float, towards: float) -> float:
    return value if math.isinf(value) else math.nextafter(value, towards)


def _read_extent(call: Call) -> dict:
    given = call.raw("EXTENT")
    if given is None:
        return {"extent": None, "extent_crs": ""}
    rectangle = call.algorithm.parameterAsExtent(call.parameters, "EXTENT", call.context)
    if rectangle.isNull():
        raise TerrainError(f"The extent is {given!r}; it must be 'west,east,south,north [EPSG:n]' or a layer.")
    _refuse_unknown_crs(given)
    crs = call.algorithm.parameterAsExtentCrs(call.parameters, "EXTENT", call.context)
    bounds = (rectangle.xMinimum(), rectangle.yMinimum(), rectangle.xMaximum(), rectangle.yMaximum())
    return {"extent": bounds, "extent_crs": crs_text(crs)}


def _refuse_unknown_crs(extent: Any) -> None:
    """Refuse ``... [CRS]`` that QGIS does not know; it would take the numbers for those of the project in silence."""
    named = re.search(r"\[(.*)\]\s*$", extent) if isinstance(extent, str) else None
    if named and not QgsCoordinateReferenceSystem(named.group(1)).isValid():
        raise TerrainError(f"The extent is {extent!r}, whose CRS is unknown; name one such as [EPSG:4326].")


def _band(call: Call, name: str, label: str) -> int:
    number = given_whole(call, name, label)
    return 1 if number is None else number
