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
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProperty,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRasterRange,
)

from ..core.elevation.card import DEFAULT_MODEL
from ..core.errors import TerrainError
from ..core.jobs import superresolve as superresolve_job
from ..core.jobs import traindem as traindem_job

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


def source(kind: str = "Coarse elevation raster") -> Parameter:
    """The DEM to work on: a layer with everything that the user set on it."""
    return _dem("INPUT", "Input DEM", kind)


def reference() -> Parameter:
    """The DEM to compare with."""
    return _dem("REFERENCE", "Reference DEM", "Elevation raster that is taken for the truth")


def _dem(name: str, label: str, kind: str) -> Parameter:
    return Parameter(
        name,
        lambda: _helped(
            QgsProcessingParameterRasterLayer(name, label),
            f"{kind}: any file that GDAL reads, VRT mosaics and zipped files included. The CRS and the no-data values "
            "that are set on the layer count.",
        ),
        lambda call: _read_dem(call, name, label),
    )


def dems() -> Parameter:
    """Any number of DEMs: layers or files, with what the user set on the layers."""
    return Parameter(
        "INPUT",
        lambda: _helped(
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
        lambda: _helped(
            QgsProcessingParameterFile("FOLDER", "Folder of DEMs", behaviour, "", None, True),
            "Folder whose .tif, .tiff and .vrt files are used as well, instead of layers or in addition to them.",
        ),
        lambda call: {"folder": _text(call, "FOLDER")},
    )


def band(name: str = "BAND", label: str = "Band", parent: str = "INPUT") -> Parameter:
    """Band of the raster ``parent``."""
    return Parameter(
        name,
        lambda: _helped(
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
        lambda: _helped(QgsProcessingParameterRasterLayer(name, label, None, True), text),
        lambda call: _read_raster(call, name, label),
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
        lambda call: _read_raster(call, "GRID", "Target grid"),
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


def raster_output(
    name: str, label: str, text: str, style: str, optional: bool = False, made: bool = False
) -> Parameter:
    """A GeoTIFF to write; ``style`` is that of its layer. An optional one is ``made`` by the dialog or left out."""
    return Parameter(
        name,
        lambda: _helped(
            QgsProcessingParameterRasterDestination(name, label, None, optional, made or not optional), text
        ),
        lambda call: {name.lower(): call.algorithm.parameterAsOutputLayer(call.parameters, name, call.context)},
        is_destination=True,
        style=style,
    )


def html_output(name: str, label: str, text: str) -> Parameter:
    """An optional HTML page to write."""
    return _file_output(name, label, text, "HTML files (*.html)", made=True)


def table_output(name: str, label: str, text: str) -> Parameter:
    """An optional file of figures to write."""
    return _file_output(name, label, text, "JSON files (*.json);;CSV files (*.csv)", made=False)


def _file_output(name: str, label: str, text: str, kinds: str, made: bool) -> Parameter:
    return Parameter(
        name,
        lambda: _helped(QgsProcessingParameterFileDestination(name, label, kinds, None, True, made), text),
        lambda call: {name.lower(): call.algorithm.parameterAsFileOutput(call.parameters, name, call.context)},
        is_destination=True,
    )


def _read_dem(call: Call, name: str, label: str) -> dict:
    """File, CRS and no-data of a layer: ``input``, ``crs``, ``no_data``; others have their name before the latter."""
    layer, path = _raster(call, name, label)
    key, before = name.lower(), "" if name == "INPUT" else f"{name.lower()}_"
    if layer is None:
        return {key: ""}
    band_name = f"{before}band".upper()
    number = _whole(call, band_name, "Band") if call.algorithm.parameterDefinition(band_name) else 1
    crs, no_data = _set_on_layer(layer, number)
    return {key: path, f"{before}crs": crs, f"{before}no_data": no_data}


def _set_on_layer(layer: QgsRasterLayer, band: int | None) -> tuple[str, tuple]:
    """CRS and no-data ranges that the user has set on a layer and that its file does not have."""
    provider = layer.dataProvider()
    number = band if band and 1 <= band <= layer.bandCount() else 1
    if provider.sourceHasNoDataValue(number) and not provider.useSourceNoDataValue(number):
        raise TerrainError(
            f"The layer {layer.name()} ignores the no-data value of its file; switch it on in the layer's "
            "transparency settings, or export the raster without it."
        )
    crs = _crs_text(layer.crs()) if layer.crs() != provider.crs() else ""
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


def _band(call: Call, name: str, label: str) -> int:
    number = _whole(call, name, label)
    return 1 if number is None else number


def _number(call: Call, name: str, label: str) -> float | None:
    given = call.raw(name)
    if given is None:
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        raise TerrainError(f"{label} is {given!r}; it must be a number.") from None


def _number_or(call: Call, name: str, label: str, default: float) -> float:
    number = _number(call, name, label)
    return default if number is None else number


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


def trained_model() -> Parameter:
    """Model to go on from."""
    return Parameter(
        "MODEL",
        lambda: _helped(
            _suggesting("MODEL", "Model to fine-tune", "", "models"),
            "Name of an installed model, or a model folder, that is trained further on these DEMs. Empty or new: a new "
            "model, which takes hours to become good; fine-tuning takes minutes.",
        ),
        lambda call: {"model": _text(call, "MODEL")},
    )


def minutes() -> Parameter:
    """Time budget of a training."""
    return Parameter(
        "MINUTES",
        lambda: _helped(
            Number("MINUTES", "Minutes", Number.Type.Double, traindem_job.DEFAULT_MINUTES, True, 0.0),
            "How long to train. The learning rate follows this time, so more minutes are another training, not the "
            "same one for longer. It ends earlier when nothing gets better any more.",
        ),
        lambda call: {"minutes": _number_or(call, "MINUTES", "Minutes", traindem_job.DEFAULT_MINUTES)},
    )


def recipe() -> Parameter:
    """Recipe of a training."""
    return Parameter(
        "RECIPE",
        lambda: _helped(
            QgsProcessingParameterFile(
                "RECIPE", "Recipe", QgsProcessingParameterFile.Behavior.File, "json", None, True
            ),
            "JSON file with what differs from the default recipe: network, degradations, shape, batch, learning_rate, "
            "steps, validation (names of DEMs to hold back) and others. recipe.json of a trained model is one.",
            advanced=True,
        ),
        lambda call: {"recipe": _text(call, "RECIPE")},
    )


def seed() -> Parameter:
    """Seed of random draws."""
    return Parameter(
        "SEED",
        lambda: _helped(
            Number("SEED", "Seed", Number.Type.Integer, None, True, 0),
            "Number that random draws begin with. Empty: that of the recipe.",
            advanced=True,
        ),
        lambda call: {"seed": _whole(call, "SEED", "Seed")},
    )


def text(name: str, label: str, help_text: str) -> Parameter:
    """One line of free text."""
    return Parameter(
        name,
        lambda: _helped(QgsProcessingParameterString(name, label, "", False, True), help_text),
        lambda call: {name.lower(): _text(call, name)},
    )


def switch(name: str, label: str, help_text: str) -> Parameter:
    """Yes or no; no unless chosen."""
    return Parameter(
        name,
        lambda: _helped(QgsProcessingParameterBoolean(name, label, False, True), help_text, advanced=True),
        lambda call: {name.lower(): _yes(call, name, label)},
    )


def folder_output(name: str, label: str, help_text: str) -> Parameter:
    """A folder to write."""
    return Parameter(
        name,
        lambda: _helped(QgsProcessingParameterFolderDestination(name, label), help_text),
        lambda call: {name.lower(): call.algorithm.parameterAsString(call.parameters, name, call.context)},
        is_destination=True,
    )


def voids() -> Parameter:
    """What happens to no-data inside."""
    return choice(
        "VOIDS",
        "Voids",
        superresolve_job.VOIDS,
        "keep: no-data stays no-data. fill: voids with ground all around, at most 24 cells wide and 64 long, are "
        "filled; the sea, the collar of a turned scene and larger voids stay no-data.",
    )


def honour_input() -> Parameter:
    """Whether coarse heights are reproduced."""
    return choice(
        "HONOUR_INPUT",
        "Honour the input",
        superresolve_job.HONOUR_INPUT,
        "yes: the averages of the coarse cells (or the heights at their centres) come out as given. no: not exactly, "
        "for noisy input. Models that cannot do it keep them nearly, either way.",
        advanced=True,
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


def z_unit(whose: str = "the heights, in and out") -> Parameter:
    """Unit of the heights."""
    return choice(
        "Z_UNIT",
        "Vertical unit",
        superresolve_job.Z_UNITS,
        f"Unit of {whose}. auto: as the band or the vertical CRS says, else metres.",
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


def _yes(call: Call, name: str, label: str) -> bool:
    given = call.raw(name)
    word = str(given).strip().lower()
    if given is None or word in ("false", "no", "0"):
        return False
    if word in ("true", "yes", "1"):
        return True
    raise TerrainError(f"{label} is {given!r}; it can be true or false.")


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
