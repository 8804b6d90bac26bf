"""Tools that write several layers into one GeoPackage: all of them arrive, styled, as one group of the layer tree.

QGIS loads the first layer of a file only. Where it would do so, its entry is replaced by one for each layer; a step of
a model whose result is only handed on loads nothing. Imports the standard library and qgis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qgis.core import (
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsLayerTreeNode,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
)
from qgis.PyQt.QtCore import QTimer

from . import styling
from .algorithm import TerrainAlgorithm
from .parameters import is_temporary

RANK = "neuralterrain/rank"
"""Property of a layer: layers of a group with a greater one lie above."""

_names: Counter[str] = Counter()
"""How many groups of a name there were since the project was new."""


@dataclass(frozen=True)
class SceneLayer:
    """A layer that a tool may write: its name in the file, what people call it, its style, and whether it is shown."""

    name: str
    label: str
    style: str
    shown: bool = True


class GroupStyler(styling.Styler):
    """Gives a layer its style, and its place in the group of its scene."""

    def __init__(self, layer: SceneLayer, rank: int) -> None:
        super().__init__(layer.style)
        self.layer, self.rank, self.group = layer, rank, ""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer and move it; QGIS calls this."""
        super().postProcessLayer(layer, context, feedback)
        layer.setCustomProperty(RANK, self.rank)
        project = context.project()
        node = project.layerTreeRoot().findLayer(layer.id()) if project is not None else None
        if node is None:  # newer versions of QGIS put layers into groups by themselves, and later
            identity, shown = layer.id(), self.layer.shown
            QTimer.singleShot(0, lambda: show(project, identity, shown))
            return
        placed = move(node, self.group)
        placed.setItemVisibilityChecked(self.layer.shown)
        placed.setExpanded(False)


def show(project: QgsProject | None, identity: str, shown: bool) -> None:
    """Tick or untick a layer, if it is still there."""
    node = project.layerTreeRoot().findLayer(identity) if project is not None else None
    if node is not None:
        node.setItemVisibilityChecked(shown)
        node.setExpanded(False)


def move(node: QgsLayerTreeLayer, name: str) -> QgsLayerTreeLayer:
    """Move a layer into the group ``name`` beside it, which is made if need be, to its place by rank.

    The desktop puts a new layer beside the chosen one, so it may be in the group already, but anywhere.
    """
    parent = node.parent()
    if parent.name() == name:
        group = parent
    else:
        group = _group(parent, name) or parent.insertGroup(parent.children().index(node), name)
    rank = _rank(node)
    place = max((k + 1 for k, one in enumerate(group.children()) if _rank(one) > rank), default=0)
    moved = node.clone()
    group.insertChildNode(place, moved)
    parent.removeChildNode(node)  # only now: QGIS forgets layers that are nowhere in the tree
    return moved


def _rank(node: QgsLayerTreeNode) -> int:
    """The rank of a layer; 0 for whatever else a user may have put into the group."""
    layer = node.layer() if isinstance(node, QgsLayerTreeLayer) else None
    return int(layer.customProperty(RANK, 0)) if layer is not None else 0


def _group(parent: QgsLayerTreeGroup, name: str) -> QgsLayerTreeGroup | None:
    """A group directly below another."""
    found = [node for node in parent.children() if isinstance(node, QgsLayerTreeGroup) and node.name() == name]
    return found[0] if found else None


class SceneAlgorithm(TerrainAlgorithm):
    """A tool whose ``OUTPUT`` has the layers ``LAYERS``, from the lowest to the uppermost.

    The engine's result says in ``layers`` which of them it wrote, and in ``rasters`` which files beside.
    """

    LAYERS: ClassVar[tuple[SceneLayer, ...]] = ()
    RASTERS: ClassVar[tuple[SceneLayer, ...]] = ()
    listens: ClassVar[bool] = False
    """Whether names are counted anew for each new project."""

    def prepareAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Make the stylers of all layers here, on the main thread."""
        if not SceneAlgorithm.listens:
            QgsProject.instance().cleared.connect(_names.clear)
            SceneAlgorithm.listens = True
        ready = super().prepareAlgorithm(parameters, context, feedback)
        for rank, layer in enumerate((*self.RASTERS, *self.LAYERS), start=1):
            self._stylers[layer.name] = styling.kept(GroupStyler(layer, rank))
        return ready

    def group_name(self, values: dict) -> str:
        """Name of the group in the layer tree."""
        return self.LABEL

    def _dress(self, values: dict, result: dict, context: QgsProcessingContext) -> None:
        super()._dress(values, result, context)
        path = values["output"]
        written = [str(name) for name in result.get("layers") or ()]
        for name in written:
            result[f"layer {name}"] = f"{path}|layername={name}"
        if not context.willLoadLayerOnCompletion(path):
            return
        project = context.layerToLoadOnCompletionDetails(path).project
        loaded = context.layersToLoadOnCompletion()
        loaded.pop(path)
        context.setLayersToLoadOnCompletion(loaded)
        sources = {name: f"{path}|layername={name}" for name in written}
        sources.update(_by_stem(self.RASTERS, result.get("rasters") or ()))
        self._announce(sources, project, self._unique(values), context)

    def _announce(
        self, sources: dict[str, str], project: QgsProject, group: str, context: QgsProcessingContext
    ) -> None:
        """Have QGIS load layers by their names here and their sources."""
        for layer in (*self.RASTERS, *self.LAYERS):
            if layer.name not in sources:
                continue
            styler = self._stylers[layer.name]
            styler.group = group
            raster, vector = QgsProcessingUtils.LayerHint.Raster, QgsProcessingUtils.LayerHint.Vector
            hint = raster if layer in self.RASTERS else vector
            details = QgsProcessingContext.LayerDetails(layer.label, project, layer.name, hint)
            details.forceName = True
            details.setPostProcessor(styler)
            if hasattr(details, "groupName"):  # from QGIS 3.32 on
                details.groupName, details.layerSortKey = group, styler.rank
            context.addLayerToLoadOnCompletion(sources[layer.name], details)

    def _unique(self, values: dict) -> str:
        """The group's name, with a number from the second time on."""
        stem = Path(values["output"]).stem
        name = self.group_name(values) if is_temporary(values["output"]) else stem
        _names[name] += 1
        return name if _names[name] == 1 else f"{name} ({_names[name]})"


def subject(values: dict, *names: str) -> str:
    """What people call the first layer that was given of those ``names``."""
    for name in names:
        if values[name]:
            return values[f"{name}_layer"] or Path(values[name]).stem
    return "Scene"


def _by_stem(layers: Sequence[SceneLayer], paths: Sequence[str]) -> dict[str, str]:
    """Files by the layer whose name theirs has."""
    stems = {Path(path).stem: str(path) for path in paths}
    return {layer.name: stems[layer.name] for layer in layers if layer.name in stems}
