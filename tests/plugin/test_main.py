"""The plugin's life in QGIS: what is added is taken away, and a broken dialog does not end QGIS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEADLESS = Path(__file__).resolve().parents[1] / "provider" / "headless.py"
HELP = Path(__file__).resolve().parents[2] / "resources" / "help"

WINDOW = """
from qgis.core import QgsApplication
from qgis.PyQt.QtWidgets import QMainWindow
import neural_terrain

class Bar:
    def __init__(self):
        self.said = []
    def pushMessage(self, *words):
        self.said.append([str(word) for word in words[:2]])

class Interface:
    def __init__(self):
        self.window, self.menu, self.bar = QMainWindow(), [], Bar()
    def mainWindow(self):
        return self.window
    def messageBar(self):
        return self.bar
    def addPluginToMenu(self, menu, action):
        self.menu.append((menu, action))
    def removePluginMenu(self, menu, action):
        self.menu.remove((menu, action))

plugin.unload()
registry = QgsApplication.processingRegistry()
iface = Interface()
with_menu = neural_terrain.classFactory(iface)
"""


@pytest.fixture
def in_desktop(tmp_path):
    """Run lines after ``WINDOW`` in a QGIS that has widgets but no display; returns the answer."""

    def call(lines: str):
        script = tmp_path / "script.py"
        script.write_text(WINDOW + lines, encoding="utf-8")
        command = [sys.executable, str(HEADLESS), "--widgets", str(script)]
        environment = {**os.environ, "HOME": str(tmp_path), "NEURAL_TERRAIN_HOME": str(tmp_path)}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        answers = [line[7:] for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
        assert answers, f"{run.stdout[-2000:]}\n{run.stderr[-4000:]}"
        return json.loads(answers[-1])

    return call


def test_unload_takes_away_what_init_gui_added(in_desktop):
    told = in_desktop("""
counts = []
for _ in range(2):
    with_menu.initGui()
    provider = registry.providerById("neuralterrain")
    counts.append([len(iface.menu), len(provider.algorithms()), iface.menu[0][1].text(), iface.menu[0][0]])
    with_menu.unload()
    counts.append([len(iface.menu), registry.providerById("neuralterrain") is None])
answer(counts)
""")
    tools = len(list(HELP.glob("*.md")))
    assert told == [[1, tools, "Set up engine...", "Neural Terrain"], [0, True]] * 2


def test_without_a_window_there_is_only_the_provider(in_desktop):
    told = in_desktop("""
headless = neural_terrain.classFactory(None)
headless.initGui()
there = registry.providerById("neuralterrain") is not None
headless.unload()
answer([there, registry.providerById("neuralterrain") is None])
""")
    assert told == [True, True]


def test_the_menu_opens_the_set_up_dialog(in_desktop):
    told = in_desktop("""
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication
seen = []
def close():
    seen.append(type(QApplication.activeModalWidget()).__name__)
    QApplication.activeModalWidget().close()
with_menu.initGui()
QTimer.singleShot(500, close)
iface.menu[0][1].trigger()
answer([seen, iface.bar.said])
""")
    assert told == [["SetupDialog"], []]


def test_a_dialog_that_cannot_open_is_a_message(in_desktop):
    told = in_desktop("""
from neural_terrain.plugin import setup_dialog
def broken(*_):
    raise RuntimeError("no luck")
setup_dialog.SetupDialog = broken
with_menu.initGui()
iface.menu[0][1].trigger()
answer(iface.bar.said)
""")
    assert told == [["Neural Terrain", "The set-up dialog could not be opened (no luck); the log has more."]]
