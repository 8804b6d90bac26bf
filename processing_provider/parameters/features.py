"""Parameters that name vector layers to read; the engine gets them as a file and the name of a layer in it.

A layer without a plain file, or with a filter, a selection, unsaved edits or a CRS of its own, is written to a
temporary GeoPackage first, with its attributes only where a tool hands them on. Imports the standard library, qgis
and the errors.
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


def features(name: str, label: str, text: str, kind: str, optional: bool = True, attributes: bool = False) -> Parameter:
    """A vector layer of one ``kind``: ``point``, ``line`` or ``polygon``; gives ``name`` and ``name_layer``.

    With ``attributes`` the engine gets the features as they are, and not only their places.
    """
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterFeatureSource(name, label, [SOURCE_TYPES[kind]], None, optional), text),
        lambda call: _read(call, name, label, kind, attributes),
    )


def _read(call: Call, name: str, label: str, kind: str, attributes: bool) -> dict:
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
    kept = _kept_fields(call, given, source) if attributes else None
    path, layer = _file_of(call, name, given) or _written(call, key, source, kept)
    return {key: path, f"{key}_layer": layer}


def _require_kind(source: QgsProcessingFeatureSource, label: str, kind: str) -> None:
    found = QgsWkbTypes.geometryType(source.wkbType())
    if found not in (KINDS[kind], QgsWkbTypes.GeometryType.UnknownGeometry):
        held = QgsWkbTypes.geometryDisplayString(found).lower()
        held = f"a layer of {held}s"
        if found == QgsWkbTypes.GeometryType.NullGeometry:
            held = "a table without geometry" if source.featureCount() else "an empty layer"
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


def _written(call: Call, key: str, source: QgsProcessingFeatureSource, kept: list[int] | None) -> tuple[str, str]:
    """Write features as they are now to a temporary GeoPackage; ``kept`` are the attributes, None: places only."""
    layer = source.sourceName() or key
    if call.trial:
        return UNWRITTEN, layer
    path = QgsProcessingUtils.generateTempFilename(f"{key}.gpkg")
    call.scratch.append(path)
    writer = _writer(call, path, layer, source, kept)
    request = QgsFeatureRequest().setSubsetOfAttributes(kept or [])
    unchecked = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks  # the engine repairs what is invalid
    taken = True
    for feature in source.getFeatures(request, unchecked):
        if kept is not None:
            values = feature.attributes()
            feature.setAttributes([values[index] for index in kept])
        else:
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


def _writer(
    call: Call, path: str, layer: str, source: QgsProcessingFeatureSource, kept: list[int] | None
) -> QgsVectorFileWriter:
    """A GeoPackage whose own columns have names that no attribute has."""
    fields, taken = QgsFields(), set()
    for index in kept or ():
        fields.append(source.fields().at(index))
        taken.add(source.fields().at(index).name().lower())
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", layer
    own = {"FID": "fid", "GEOMETRY_NAME": "geom"}
    options.layerOptions = [f"{option}={_free(name, taken)}" for option, name in own.items()]
    kind = source.wkbType() if kept is not None else QgsWkbTypes.multiType(source.wkbType())
    context = call.context.transformContext()
    return QgsVectorFileWriter.create(path, fields, kind, source.sourceCrs(), context, options)


def _kept_fields(call: Call, given: Any, source: QgsProcessingFeatureSource) -> list[int]:
    """Attributes of features; not the number ``fid`` that files keep beside the attributes."""
    named = given.source.staticValue() if isinstance(given, QgsProcessingFeatureSourceDefinition) else given
    layer = QgsProcessingUtils.mapLayerFromString(named, call.context) if isinstance(named, str) else named
    in_file = isinstance(layer, QgsVectorLayer) and layer.dataProvider().name() == "ogr"
    numbered = layer.dataProvider().pkAttributeIndexes() if in_file else []
    return [index for index in range(source.fields().count()) if index not in numbered]


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def _shown(given: Any) -> str:
    if isinstance(given, QgsProcessingFeatureSourceDefinition):
        return str(given.source.staticValue())
    return given.name() if hasattr(given, "name") else str(given)
