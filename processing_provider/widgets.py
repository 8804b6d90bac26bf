"""The text box of an open set of values (models, devices): it suggests what there is and takes any other text.

QGIS imports this module by name when a dialog opens, never headless.
"""

from __future__ import annotations

from typing import Any

from processing.gui.wrappers import WidgetWrapper
from qgis.gui import QgsGui
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QComboBox, QWidget

from ..core.elevation import card
from ..core.errors import TerrainError
from . import engine


class SuggestingWidget:
    """What the parameter's metadata names; gives the widget that fits the dialog.

    In the modeler QGIS's own widget serves better: there a value can also be an input of the model.
    """

    def __new__(cls, parameter: Any, dialog: Any, row: int = 0, col: int = 0, suggestions: str = "") -> Any:
        """Return QGIS's modeler widget, or an editable list."""
        if dialog.__class__.__name__ != "ModelerParametersDialog":
            return _EditableList(parameter, dialog, row, col, suggestions=suggestions)
        registry = QgsGui.processingGuiRegistry()
        widget = registry.createModelerParameterWidget(dialog.model, dialog.childId, parameter, dialog.context)
        widget.setDialog(dialog)
        return widget


class _EditableList(WidgetWrapper):
    def createWidget(self, suggestions: str = "") -> QWidget:
        self._box = QComboBox()
        self._box.setEditable(True)
        self._box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        for text, tip in _SUGGESTIONS[suggestions]():
            self._box.addItem(text)
            self._box.setItemData(self._box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self._box.editTextChanged.connect(lambda _: self.widgetValueHasChanged.emit(self))
        return self._box

    def setValue(self, value: Any) -> None:
        self._box.setEditText("" if value is None else str(value))

    def value(self) -> str:
        return self._box.currentText().strip()


def _models() -> list[tuple[str, str]]:
    try:
        return [(found.name, f"{found.title}. {found.summary}") for found in card.installed().values()]
    except TerrainError:  # a broken card is explained when a job meets it
        return []


def _devices() -> list[tuple[str, str]]:
    found = [str(text).partition(" ") for text in engine.known_devices()]
    usual = [("auto", "The best device there is"), ("cpu", "The processor"), ("cuda", "The first graphics card")]
    return usual + [(name, title) for name, _, title in found if name not in ("cpu", "cuda")]


_SUGGESTIONS = {"models": _models, "devices": _devices, "": list}
