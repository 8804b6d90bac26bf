"""The parameters of all tools: each factory states id, label, help, default and limits once.

A factory returns a :class:`Parameter`, which builds the QGIS definition and reads the user's value back to the plain
values of a job's settings. Reading happens on the main thread; what cannot be read is refused with one sentence, and
what can be read is judged by the settings of the job alone. Imports the standard library, qgis and light parts of core.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBand,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProperty,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRasterRange,
)

from ..core.elevation.card import DEFAULT_MODEL
from ..core.errors import TerrainError
from ..core.jobs import superresolve as superresolve_job

Definition = QgsProcessingParameterDefinition
Number = QgsProcessingParameterNumber


@dataclass(frozen=True)
class Call:
    """One call of an algorithm: who was called, with what, in which context."""

    algorithm: QgsProcessingAlgorithm
    parameters: dict
    context: QgsProcessingContext

    def raw(self, name: str) -> Any:
        """The value as it was given, or the default; None where it is empty."""
        value = self.parameters.get(name)
        if name not in self.parameters:
            value = self.algorithm.parameterDefinition(name).defaultValue()
        if isinstance(value, QgsProperty):
            value = self.algorithm.parameterAsString(self.parameters, name, self.context)
        empty = value is None or (hasattr(value, "isNull") and not isinstance(value, str) and value.isNull())
        return None if empty or value == "" else value


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool.

    Attributes
    ----------
    name
        Its final id in upper case.
    build
        Makes the QGIS definition.
    read
        Gives the settings that the parameter stands for.
    is_destination
        Names a file to write; read when the job starts, because QGIS then notes the layer to load.
    style
        Style of the layer that it writes, see :mod:`.styling`.

    """

    name: str
    build: Callable[[], QgsProcessingParameterDefinition]
    read: Callable[[Call], dict]
    is_destination: bool = False
    style: str = ""


@dataclass(frozen=True)
class Output:
    """A number or text that a tool returns: its final id, label, and the key in the engine's result."""

    name: str
    label: str
    key: str
    is_number: bool = True

    def build(self) -> Any:
        """Make the QGIS definition."""
        kind = QgsProcessingOutputNumber if self.is_number else QgsProcessingOutputString
        return kind(self.name, self.label)


# ---------------------------------------------------------------------------------------------------------------------
# Rasters


def source() -> Parameter:
    """The DEM to work on: a layer with everything that the user set on it."""
    return Parameter(
        "INPUT",
        lambda: _helped(
            QgsProcessingParameterRasterLayer("INPUT", "Input DEM"),
            "Coarse elevation raster: any file that GDAL reads, VRT mosaics and zipped files included. The CRS and the "
            "no-data values that are set on the layer count.",
        ),
        _read_source,
    )


def band() -> Parameter:
    """Band of the input."""
    return Parameter(
        "BAND",
        lambda: _helped(
            # Optional, since qgis_process 3.22 calls a band missing although it has a default.
            QgsProcessingParameterBand("BAND", "Band", 1, "INPUT", True),
            "Band that holds the heights, counted from 1.",
        ),
        lambda call: {"band": _band(call)},
    )


def grid() -> Parameter:
    """Another raster whose cells the result takes."""
    return Parameter(
        "GRID",
        lambda: _helped(
            QgsProcessingParameterRasterLayer("GRID", "Target grid", None, True),
            "Raster whose edges and cell size the result takes; it must have the CRS of the input. It goes before "
            "scale, and cannot be combined with a cell size.",
        ),
        _read_grid,
    )


def extent() -> Parameter:
    """Part of the input."""
    return Parameter(
        "EXTENT",
        lambda: _helped(
            QgsProcessingParameterExtent("EXTENT", "Extent", None, True),
            "Part to compute, in any CRS; it grows outward to whole cells. The result is the same as that part of a "
            "full run. Empty: everything.",
        ),
        _read_extent,
    )


def raster_output(name: str, label: str, text: str, style: str, optional: bool = False) -> Parameter:
    """A GeoTIFF to write; ``style`` is that of its layer."""
    return Parameter(
        name,
        lambda: _helped(QgsProcessingParameterRasterDestination(name, label, None, optional, not optional), text),
        lambda call: {name.lower(): call.algorithm.parameterAsOutputLayer(call.parameters, name, call.context)},
        is_destination=True,
        style=style,
    )


def html_output(name: str, label: str, text: str) -> Parameter:
    """An optional HTML page to write."""
    return Parameter(
        name,
        lambda: _helped(
            QgsProcessingParameterFileDestination(name, label, "HTML files (*.html)", None, True, True), text
        ),
        lambda call: {name.lower(): call.algorithm.parameterAsFileOutput(call.parameters, name, call.context)},
        is_destination=True,
    )


def _read_source(call: Call) -> dict:
    layer, path = _raster(call, "INPUT", "Input DEM")
    if layer is None:
        return {"input": ""}
    provider = layer.dataProvider()
    number = _whole(call, "BAND", "Band") if call.algorithm.parameterDefinition("BAND") else 1
    number = number if number and 1 <= number <= layer.bandCount() else 1
    if provider.sourceHasNoDataValue(number) and not provider.useSourceNoDataValue(number):
        raise TerrainError(
            f"The layer {layer.name()} ignores the no-data value of its file; switch it on in the layer's "
            "transparency settings, or export the raster without it."
        )
    return {
        "input": path,
        "crs": _crs_text(layer.crs()) if layer.crs() != provider.crs() else "",
        "no_data": tuple(_interval(r) for r in provider.userNoDataValues(number)),
    }


def _read_grid(call: Call) -> dict:
    layer, path = _raster(call, "GRID", "Target grid")
    if layer is not None and layer.crs() != layer.dataProvider().crs():
        raise TerrainError(
            f"The CRS of the target grid {layer.name()} was changed in QGIS only; write it to the file with "
            "'Assign projection' first."
        )
    return {"grid": path}


def _raster(call: Call, name: str, label: str) -> tuple[QgsRasterLayer | None, str]:
    """The layer and what GDAL opens to read it; None and an empty text where nothing was given."""
    given = call.raw(name)
    if given is None:
        return None, ""
    layer = call.algorithm.parameterAsRasterLayer(call.parameters, name, call.context)
    if layer is None and isinstance(given, str):
        layer = QgsRasterLayer(given, given, "gdal")  # names that only GDAL knows, such as GPKG:file.gpkg:table
    if layer is None or not layer.isValid():
        shown = layer.name() if layer is not None else given
        raise TerrainError(f"{label} is {shown}, which is no raster that can be read; choose a raster layer or file.")
    provider = layer.dataProvider().name()
    if provider != "gdal":
        raise TerrainError(
            f"{label} is {layer.name()}, a layer of kind {provider} that has no file; write it to a GeoTIFF with "
            "Export > Save As... first, and use that."
        )
    return layer, _gdal_name(layer, label)


def _gdal_name(layer: QgsRasterLayer, label: str) -> str:
    text = layer.source()
    if QgsProviderRegistry.instance().decodeUri("gdal", text).get("openOptions"):
        raise TerrainError(
            f"{label} is {layer.name()}, which was opened with GDAL open options; write it to a GeoTIFF with "
            "Export > Save As... first, and use that."
        )
    return os.path.abspath(text) if os.path.exists(text) else text


def _crs_text(crs: Any) -> str:
    if not crs.isValid():
        return ""
    return crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt(crs.WktVariant.WKT2_2018)


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
    return {"extent": bounds, "extent_crs": _crs_text(crs)}


def _refuse_unknown_crs(extent: Any) -> None:
    """Refuse ``... [CRS]`` that QGIS does not know; it would take the numbers for those of the project in silence."""
    named = re.search(r"\[(.*)\]\s*$", extent) if isinstance(extent, str) else None
    if named and not QgsCoordinateReferenceSystem(named.group(1)).isValid():
        raise TerrainError(f"The extent is {extent!r}, whose CRS is unknown; name one such as [EPSG:4326].")


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def scale() -> Parameter:
    """How many times finer."""
    return Parameter(
        "SCALE",
        lambda: _helped(
            Number(
                "SCALE",
                "Scale",
                Number.Type.Double,
                superresolve_job.DEFAULT_SCALE,
                True,
                1.0,
                superresolve_job.MAX_SCALE,
            ),
            "How many times smaller the cells become, from 1 to 16; any real number. The upper left corner stays.",
        ),
        lambda call: {"scale": _number(call, "SCALE", "Scale")},
    )


def cell_size() -> Parameter:
    """Cell size of the result."""
    return Parameter(
        "CELL_SIZE",
        lambda: _helped(
            QgsProcessingParameterDistance("CELL_SIZE", "Cell size", None, "INPUT", True, 0.0),
            "Width and height of the new cells in horizontal units of the input's CRS (degrees where it is "
            "geographic). It goes before scale.",
        ),
        lambda call: {"cell_size": _number(call, "CELL_SIZE", "Cell size")},
    )


def memory() -> Parameter:
    """Most memory for the tiles in work."""
    return Parameter(
        "MEMORY",
        lambda: _helped(
            Number("MEMORY", "Memory (MB)", Number.Type.Double, None, True, 0.0),
            "Most memory for the tiles in work, in MB. Empty: 640, at most an eighth of the computer's memory.",
            advanced=True,
        ),
        lambda call: {"memory_mb": _number(call, "MEMORY", "Memory")},
    )


def nodata() -> Parameter:
    """No-data value of the result."""
    return Parameter(
        "NODATA",
        lambda: _helped(
            Number("NODATA", "No-data value of the result", Number.Type.Double, None, True),
            "Number that stands for no-data in the result. Empty: that of the input, else -9999.",
            advanced=True,
        ),
        lambda call: {"nodata": _number(call, "NODATA", "No-data value")},
    )


def _band(call: Call) -> int:
    number = _whole(call, "BAND", "Band")
    return 1 if number is None else number


def _number(call: Call, name: str, label: str) -> float | None:
    given = call.raw(name)
    if given is None:
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        raise TerrainError(f"{label} is {given!r}; it must be a number.") from None


def _whole(call: Call, name: str, label: str) -> int | None:
    number = _number(call, name, label)
    if number is not None and number != int(number):
        raise TerrainError(f"{label} is {number:g}; it must be a whole number.")
    return None if number is None else int(number)


# ---------------------------------------------------------------------------------------------------------------------
# Texts and choices


def model() -> Parameter:
    """Elevation model: an open set, so a string."""
    return Parameter(
        "MODEL",
        lambda: _helped(
            _suggesting("MODEL", "Model", "", "models"),
            f"Name of an installed model, or a model folder. Empty: {DEFAULT_MODEL}. The model baseline needs no "
            "weights and is bicubic interpolation that keeps the averages of the coarse cells.",
        ),
        lambda call: {"model": _text(call, "MODEL")},
    )


def device() -> Parameter:
    """Where the model runs: an open set, so a string."""
    return Parameter(
        "DEVICE",
        lambda: _helped(
            _suggesting("DEVICE", "Device", "auto", "devices"),
            "auto, cpu, cuda, or cuda:N for graphics card N. With auto the log and the output DEVICE_USED say which "
            "one was taken.",
        ),
        lambda call: {"device": _text(call, "DEVICE") or "auto"},
    )


def voids() -> Parameter:
    """What happens to no-data inside."""
    return choice(
        "VOIDS",
        "Voids",
        superresolve_job.VOIDS,
        "keep: no-data stays no-data. fill: voids are filled from known ground around them before the model runs.",
    )


def sampling() -> Parameter:
    """What a cell's height means."""
    return choice(
        "SAMPLING",
        "Heights are",
        superresolve_job.SAMPLING,
        "average: a height is the mean over its cell. point: it is that of the cell's centre. auto: as the file says "
        "(AREA_OR_POINT).",
    )


def z_unit() -> Parameter:
    """Unit of the heights."""
    return choice(
        "Z_UNIT",
        "Vertical unit",
        superresolve_job.Z_UNITS,
        "Unit of the heights, in and out. auto: as the band or the vertical CRS says, else metres.",
        advanced=True,
    )


def compression() -> Parameter:
    """Compression of the GeoTIFFs."""
    return choice(
        "COMPRESSION",
        "Compression",
        superresolve_job.COMPRESSIONS,
        "Compression of the GeoTIFFs. ZSTD is fast and small, DEFLATE is read by every program, LERC allows 1 mm of "
        "error, NONE writes plain numbers.",
        advanced=True,
    )


def options() -> Parameter:
    """Further creation options."""
    return Parameter(
        "OPTIONS",
        lambda: _helped(
            QgsProcessingParameterString("OPTIONS", "Creation options", "", False, True),
            "Further GDAL creation options as KEY=VALUE, separated by '|', for instance SPARSE_OK=TRUE.",
            advanced=True,
        ),
        lambda call: {"options": _text(call, "OPTIONS")},
    )


def choice(name: str, label: str, allowed: Sequence[str], text: str, advanced: bool = False) -> Parameter:
    """One of a closed set of words; the first is the default."""
    allowed = list(allowed)
    return Parameter(
        name,
        lambda: _helped(
            QgsProcessingParameterEnum(name, label, allowed, False, allowed[0], False, True), text, advanced=advanced
        ),
        lambda call: {name.lower(): _word(call, name, allowed)},
    )


def _word(call: Call, name: str, allowed: list[str]) -> str:
    """The word as it was given, for the settings to judge: QGIS would make an unknown one the default in silence."""
    given = call.raw(name)
    if isinstance(given, int) and 0 <= given < len(allowed):
        return allowed[given]
    return allowed[0] if given is None else str(given)


def _text(call: Call, name: str) -> str:
    given = call.raw(name)
    return "" if given is None else str(given).strip()


def _suggesting(name: str, label: str, default: str, suggestions: str) -> QgsProcessingParameterString:
    """A string whose widget lists ``suggestions``, see :mod:`.widgets`; any other text is accepted."""
    definition = QgsProcessingParameterString(name, label, default, False, True)
    wrapper = {"class": f"{__package__}.widgets.SuggestingWidget", "suggestions": suggestions}
    definition.setMetadata({"widget_wrapper": wrapper})
    return definition


def _helped(definition: Definition, text: str, advanced: bool = False) -> Definition:
    definition.setHelp(text)
    if advanced:
        definition.setFlags(definition.flags() | Definition.Flag.FlagAdvanced)
    return definition
