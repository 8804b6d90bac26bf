"""Runs inside the QGIS desktop (``--code``): the tool's dialog, a run from it, the layers that arrive, two pictures.

What to do comes in ``NEURAL_TERRAIN_DESKTOP`` as JSON (``input``, ``pictures``, ``answer``); the answer is written as
JSON, and QGIS ends itself.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from pathlib import Path

import processing
from processing.modeler.ModelerParametersDialog import ModelerParametersDialog
from qgis.core import QgsApplication, QgsProcessingModelAlgorithm, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QCoreApplication, QTimer
from qgis.PyQt.QtWidgets import QApplication
from qgis.utils import iface

JOB = json.loads(os.environ["NEURAL_TERRAIN_DESKTOP"])
TOOL = "neuralterrain:superresolve"


def settle(limit_s: float, done=lambda: False) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s and not done():
        QCoreApplication.processEvents()
        time.sleep(0.02)
    return done()


def picture(name: str) -> None:
    folder = Path(JOB["pictures"])
    folder.mkdir(parents=True, exist_ok=True)
    QApplication.primaryScreen().grabWindow(0).save(str(folder / f"{name}.png"))


def open_dialog():
    values = {"INPUT": "hills", "MODEL": "baseline", "DIFFERENCE": "TEMPORARY_OUTPUT"}
    dialog = processing.createAlgorithmDialog(TOOL, values)
    dialog.resize(980, 720)
    dialog.move(300, 110)
    dialog.show()
    settle(2)
    return dialog


def suggestions(dialog) -> list[str]:
    box = dialog.mainWidget().wrappers["MODEL"].widget
    return [box.itemText(index) for index in range(box.count())]


def modeler_widget() -> str:
    """In the modeler the model can be an input of the model, so QGIS's own widget must be there."""
    tool = QgsApplication.processingRegistry().createAlgorithmById(TOOL)
    dialog = ModelerParametersDialog(tool, QgsProcessingModelAlgorithm("steps", "tests"))
    return type(dialog.widget.widget.wrappers["MODEL"]).__name__


def described(layer) -> dict:
    return {"name": layer.name(), "style": layer.renderer().type(), "width": layer.width(), "crs": layer.crs().authid()}


def job() -> dict:
    window = iface.mainWindow()
    window.resize(1600, 1000)
    window.move(0, 0)
    coarse = QgsRasterLayer(JOB["input"], "hills")
    QgsProject.instance().addMapLayer(coarse)
    menus = [action.text() for action in iface.pluginMenu().actions()]
    dialog = open_dialog()
    models = suggestions(dialog)
    picture("dialog")
    dialog.runButton().click()
    project = QgsProject.instance()
    settle(120, lambda: len(project.mapLayers()) == 3)
    settle(1)
    title = dialog.windowTitle()
    picture("log")
    dialog.close()
    order = {layer.name(): layer for layer in project.mapLayers().values()}
    for name, layer in order.items():
        project.layerTreeRoot().findLayer(layer.id()).setItemVisibilityChecked(name == "hills super-resolved")
    iface.mapCanvas().setExtent(coarse.extent())
    iface.mapCanvas().refresh()
    settle(3)
    picture("relief")
    for name, layer in order.items():
        project.layerTreeRoot().findLayer(layer.id()).setItemVisibilityChecked(name == "hills added detail")
    settle(3)
    picture("difference")
    return {
        "menus": menus,
        "models": models,
        "modeler": modeler_widget(),
        "layers": [described(layer) for layer in order.values()],
        "title": title,
    }


def main() -> None:
    try:
        answer = job()
    except Exception:
        answer = {"failure": traceback.format_exc()}
    Path(JOB["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    QgsApplication.instance().processEvents()
    os._exit(0)


QTimer.singleShot(1500, main)
