"""Parameters that name what a tool writes. Imports qgis."""

from __future__ import annotations

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
)

from .features import SOURCE_TYPES
from .parameter import Parameter, helped


def raster_output(
    name: str, label: str, text: str, style: str, optional: bool = False, made: bool = False
) -> Parameter:
    """A GeoTIFF to write; ``style`` is that of its layer. An optional one is ``made`` by the dialog or left out."""
    return Parameter(
        name,
        lambda: helped(
            QgsProcessingParameterRasterDestination(name, label, None, optional, made or not optional), text
        ),
        lambda call: {name.lower(): call.algorithm.parameterAsOutputLayer(call.parameters, name, call.context)},
        is_destination=True,
        style=style,
    )


def vector_output(
    name: str, label: str, text: str, style: str = "", optional: bool = True, kind: str = ""
) -> Parameter:
    """A file of features to write, a GeoPackage unless its name says otherwise; if optional, not made at first.

    ``kind`` is ``point``, ``line`` or ``polygon``; empty: any.
    """
    source_type = SOURCE_TYPES.get(kind, QgsProcessing.SourceType.TypeVectorAnyGeometry)
    return _features_output(
        QgsProcessingParameterVectorDestination(name, label, source_type, None, optional, not optional), text, style
    )


def optional_vector_output(name: str, label: str, text: str, style: str) -> Parameter:
    """A file of features of any kind to write, which the dialog makes and others may leave out."""
    source_type = QgsProcessing.SourceType.TypeVectorAnyGeometry
    return _features_output(
        QgsProcessingParameterVectorDestination(name, label, source_type, None, True, True), text, style
    )


def _features_output(definition: QgsProcessingParameterVectorDestination, text: str, style: str) -> Parameter:
    name = definition.name()
    return Parameter(
        name,
        lambda: helped(definition.clone(), text),
        lambda call: {name.lower(): call.algorithm.parameterAsOutputLayer(call.parameters, name, call.context)},
        is_destination=True,
        style=style,
    )


def html_output(name: str, label: str, text: str) -> Parameter:
    """An optional HTML page to write."""
    return _file_output(name, label, text, "HTML files (*.html)", made=True)


def table_output(name: str, label: str, text: str, kinds: str = "JSON files (*.json);;CSV files (*.csv)") -> Parameter:
    """An optional file of figures to write; the first of its ``kinds`` is what a temporary one gets."""
    return _file_output(name, label, text, kinds, made=False)


def folder_output(name: str, label: str, help_text: str, optional: bool = False) -> Parameter:
    """A folder to write; an optional one is left out at first."""
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterFolderDestination(name, label, None, optional, not optional), help_text),
        lambda call: {name.lower(): call.algorithm.parameterAsFileOutput(call.parameters, name, call.context)},
        is_destination=True,
    )


def _file_output(name: str, label: str, text: str, kinds: str, made: bool) -> Parameter:
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterFileDestination(name, label, kinds, None, True, made), text),
        lambda call: {name.lower(): call.algorithm.parameterAsFileOutput(call.parameters, name, call.context)},
        is_destination=True,
    )
