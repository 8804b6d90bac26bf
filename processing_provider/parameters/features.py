"""Parameters that name vector layers to read; the engine gets them as a file and the name of a layer in it.

A layer without a plain file, or with a filter, a selection, unsaved edits or a CRS of its own, is written to a
temporary GeoPackage first, without attributes. Imports the standard library, qgis and the errors.
"""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
    QgsProcessing,
    QgsProcessingFeatureSource,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingParameterFeatureSource,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from ...core.errors import TerrainError
from .parameter import Call, Parameter, helped

SOURCE_TYPES = {
    "point": QgsProcessing.SourceType.TypeVectorPoint,
    "line": QgsProcessing.SourceType.TypeVectorLine,
    "polygon": QgsProcessing.SourceType.TypeVectorPolygon,
}
KINDS = {
    "point": QgsWkbTypes.GeometryType.PointGeometry,
    "line": QgsWkbTypes.GeometryType.LineGeometry,
    "polygon": QgsWkbTypes.GeometryType.PolygonGeometry,
}
UNWRITTEN = "features of the layer"
"""Stands for the file of a layer that a check does not write."""


def features(name: str, label: str, text: str, kind: str, optional: bool = True, advanced: bool = False) -> Parameter:
    """A vector layer of one ``kind``: ``point``, ``line`` or ``polygon``; gives ``name`` and ``name_layer``."""
    return Parameter(
        name,
        lambda: helped(
            QgsProcessingParameterFeatureSource(name, label, [SOURCE_TYPES[kind]], None, optional),
            text,
            advanced=advanced,
        ),
        lambda call: _read(call, name, label, kind),
    )


def _read(call: Call, name: str, label: str, kind: str) -> dict:
    key, given = name.lower(), call.raw(name)
    if given is None:
        return {key: "", f"{key}_layer": ""}
    source = call.algorithm.parameterAsSource(call.parameters, name, call.context)
    if source is None:
        raise TerrainError(
            f"{label} is {_shown(given)}, which is no vector layer that can be read; choose a layer of {kind}s or a "
            "file of them."
        )
    _require_kind(source, label, kind)
    path, layer = _file_of(call, name, given) or _written(call, key, source)
    return {key: path, f"{key}_layer": layer}


def _require_kind(source: QgsProcessingFeatureSource, label: str, kind: str) -> None:
    found = QgsWkbTypes.geometryType(source.wkbType())
    if found not in (KINDS[kind], QgsWkbTypes.GeometryType.UnknownGeometry):
        held = QgsWkbTypes.geometryDisplayString(found).lower()
        held = "a table without geometry" if found == QgsWkbTypes.GeometryType.NullGeometry else f"a layer of {held}s"
        raise TerrainError(f"{label} is {source.sourceName()}, {held}; choose a layer of {kind}s.")


def _file_of(call: Call, name: str, given: Any) -> tuple[str, str] | None:
    """File and layer name of a layer that is just what its file holds; None for any other."""
    if isinstance(given, QgsProcessingFeatureSourceDefinition) and _picks(given):
        return None
    layer = call.algorithm.parameterAsVectorLayer(call.parameters, name, call.context)
    if not isinstance(layer, QgsVectorLayer) or layer.dataProvider().name() != "ogr":
        return None
    if layer.isModified() or layer.subsetString() or layer.crs() != layer.dataProvider().crs():
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    path = str(parts.get("path") or "")
    if parts.get("openOptions") or parts.get("vsiPrefix") or not os.path.exists(path):
        return None
    layer_id = parts.get("layerId")
    named = str(parts.get("layerName") or "")
    return (os.path.abspath(path), named) if named or layer_id is None else None


def _picks(definition: QgsProcessingFeatureSourceDefinition) -> bool:
    """Whether only some features of a layer are meant."""
    limited = definition.featureLimit >= 0
    return bool(definition.selectedFeaturesOnly or limited or getattr(definition, "filterExpression", ""))


def _written(call: Call, key: str, source: QgsProcessingFeatureSource) -> tuple[str, str]:
    """Write features, as they are now and without attributes, to a temporary GeoPackage."""
    layer = source.sourceName() or key
    if call.trial:
        return UNWRITTEN, layer
    path = QgsProcessingUtils.generateTempFilename(f"{key}.gpkg")
    call.scratch.append(path)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", layer
    kind = QgsWkbTypes.multiType(source.wkbType())
    writer = QgsVectorFileWriter.create(
        path, QgsFields(), kind, source.sourceCrs(), call.context.transformContext(), options
    )
    request = QgsFeatureRequest().setNoAttributes()
    unchecked = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks  # the engine repairs what is invalid
    taken = True
    for feature in source.getFeatures(request, unchecked):
        geometry = feature.geometry()
        geometry.convertToMultiType()
        feature.setGeometry(geometry)
        taken = taken and writer.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
    failed = not taken or writer.hasError() != QgsVectorFileWriter.WriterError.NoError
    trouble = (writer.errorMessage() or "a feature was refused") if failed else ""
    del writer  # closes the file
    if trouble:
        raise TerrainError(f"The layer {layer} cannot be written to {path} ({trouble}); export it to a GeoPackage.")
    return path, layer


def _shown(given: Any) -> str:
    if isinstance(given, QgsProcessingFeatureSourceDefinition):
        return str(given.source.staticValue())
    return given.name() if hasattr(given, "name") else str(given)
