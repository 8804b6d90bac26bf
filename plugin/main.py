"""The plugin object: registers the Processing provider and one menu, and takes both away again."""

from __future__ import annotations

import traceback
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsMessageLog
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from ..processing_provider.algorithm import RESOURCES, tr
from ..processing_provider.provider import TerrainProvider

MENU = "Neural Terrain"


class NeuralTerrain:
    """What QGIS loads and unloads; ``iface`` is None in ``qgis_process``."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider: TerrainProvider | None = None
        self._action: QAction | None = None

    def initProcessing(self) -> None:
        """Add the provider; all that ``qgis_process`` needs."""
        self._provider = TerrainProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Add the provider and the menu."""
        self.initProcessing()
        if self._iface is not None:
            icon = QIcon(str(RESOURCES / "icons" / "setupengine.svg"))
            self._action = QAction(icon, tr("Set up engine..."), self._iface.mainWindow())
            self._action.triggered.connect(self._show_setup)
            self._iface.addPluginToMenu(MENU, self._action)

    def unload(self) -> None:
        """Take the menu and the provider away."""
        if self._action is not None:
            self._iface.removePluginMenu(MENU, self._action)
            self._action.deleteLater()
            self._action = None
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None

    def _show_setup(self, _checked: bool = False) -> None:
        """Open the set-up dialog; an exception that left this slot would end QGIS 4."""
        try:
            from .setup_dialog import SetupDialog

            SetupDialog(self._iface.mainWindow()).exec()
        except Exception as error:  # the outermost door of the GUI
            QgsMessageLog.logMessage(traceback.format_exc(), MENU, Qgis.MessageLevel.Critical)
            text = tr("The set-up dialog could not be opened ({}); the log has more.").format(error)
            self._iface.messageBar().pushMessage(MENU, text, Qgis.MessageLevel.Critical)
