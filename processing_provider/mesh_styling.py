"""How mesh layers look: heights as terrain, errors and slopes as such, edges where there are few enough to see.

QGIS draws meshes without a hillshade; put one below the layer and make the layer transparent. Imports qgis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from qgis.core import (
    QgsColorRampShader,
    QgsMeshDatasetGroupMetadata,
    QgsMeshDatasetIndex,
    QgsMeshLayer,
    QgsMeshRendererScalarSettings,
    QgsMeshRendererSettings,
)
from qgis.PyQt.QtGui import QColor

from .ramps import DIVERGING, SEQUENTIAL, TERRAIN

MOST_EDGES_SHOWN = 60_000
"""Triangles of a mesh whose edges are drawn; those of more would cover the heights."""

EDGE_COLOUR = QColor(70, 55, 45, 90)
EDGE_WIDTH_MM = 0.1
HEIGHTS = ("elevation", "bed elevation")
"""Names of datasets of heights in lower case, the one to show first."""


def style_mesh(layer: QgsMeshLayer) -> None:
    """Colour each dataset by what it is, show the heights, and the edges of small meshes."""
    settings = layer.rendererSettings()
    groups = {index: layer.datasetGroupMetadata(_first(index)) for index in layer.datasetGroupsIndexes()}
    for index, metadata in groups.items():
        settings.setScalarSettings(index, _scalar(settings.scalarSettings(index), metadata))
    shown = _shown({index: metadata.name().lower() for index, metadata in groups.items()})
    if shown is not None:
        settings.setActiveScalarDatasetGroup(shown)
    _show_edges(settings, 0 < layer.meshFaceCount() <= MOST_EDGES_SHOWN)
    layer.setRendererSettings(settings)


def _first(group: int) -> QgsMeshDatasetIndex:
    return QgsMeshDatasetIndex(group, 0)


def _shown(names: dict[int, str]) -> int | None:
    """The group of the heights, before exaggeration if there is such a one."""
    for wanted in HEIGHTS:
        for index, name in names.items():
            if name == wanted:
                return index
    return None


def _scalar(
    scalar: QgsMeshRendererScalarSettings, metadata: QgsMeshDatasetGroupMetadata
) -> QgsMeshRendererScalarSettings:
    name, low, high = metadata.name().lower(), metadata.minimum(), metadata.maximum()
    if not (math.isfinite(low) and math.isfinite(high)):
        return scalar
    if "error" in name and low < 0:
        most = max(-low, high)
        stops = [(most * at, colour) for at, colour in DIVERGING]
    elif "error" in name or "slope" in name:
        stops = [(high * at, colour) for at, colour in SEQUENTIAL]
    else:
        stops = [(low + (high - low) * at, colour) for at, colour in TERRAIN]
    scalar.setClassificationMinimumMaximum(stops[0][0], stops[-1][0])
    scalar.setColorRampShader(_ramp(stops))
    if metadata.dataType() == QgsMeshDatasetGroupMetadata.DataType.DataOnFaces:
        scalar.setDataResamplingMethod(QgsMeshRendererScalarSettings.DataResamplingMethod.None_)  # facets, not averages
    return scalar


def _ramp(stops: Sequence[tuple[float, str]]) -> QgsColorRampShader:
    shader = QgsColorRampShader(stops[0][0], stops[-1][0])
    items = [QgsColorRampShader.ColorRampItem(value, QColor(colour), f"{value:.4g}") for value, colour in stops]
    shader.setColorRampItemList(items)
    return shader


def _show_edges(settings: QgsMeshRendererSettings, visible: bool) -> None:
    edges = settings.nativeMeshSettings()
    edges.setEnabled(visible)
    edges.setColor(EDGE_COLOUR)
    edges.setLineWidth(EDGE_WIDTH_MM)
    settings.setNativeMeshSettings(edges)
