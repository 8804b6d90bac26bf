"""*Set up engine* through the real ``qgis_process``: made offline, repaired, removed, an own Python, and bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neural_terrain.processing_provider import engine
from neural_terrain.tests.wheelhouse import make_wheels, pins

Check = Callable[[subprocess.CompletedProcess, str], None]

NAME = "neuralterrain:setupengine"


class Qgis:
    """``qgis_process`` with a profile and an engine folder of its own, and without the engine of the other tests."""

    def __init__(self, call: Callable[..., subprocess.CompletedProcess], home: Path) -> None:
        self.data = home / "data"
        self.variables = {"HOME": str(home), "NEURAL_TERRAIN_HOME": str(self.data), "NEURAL_TERRAIN_PYTHON": None}
        self._call = call
        self("plugins", "enable", "neural_terrain")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess:
        return self._call(*arguments, PIP_CONFIG_FILE=os.devnull, **self.variables)

    def setup(self, **values: str) -> subprocess.CompletedProcess:
        return self("run", NAME, "--", *(f"{name}={value}" for name, value in values.items()))


@pytest.fixture(scope="module")
def qgis(qgis_process: Callable[..., subprocess.CompletedProcess], tmp_path_factory: pytest.TempPathFactory) -> Qgis:
    return Qgis(qgis_process, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def installed(qgis: Qgis, wheels: Path) -> subprocess.CompletedProcess:
    return qgis.setup(ACTION="install", WHEELS=str(wheels))


def test_install_makes_the_engine_and_names_it(qgis: Qgis, installed: subprocess.CompletedProcess) -> None:
    python = engine.python_of(qgis.data / "engine")
    assert installed.returncode == 0, installed.stderr
    assert f"INTERPRETER:\t{python}" in installed.stdout
    assert f"torch {pins()['torch']}" in installed.stdout
    assert "Installing collected packages" in installed.stdout
    assert python.is_file()


def test_the_other_tools_find_it(qgis: Qgis, installed: subprocess.CompletedProcess) -> None:
    told = qgis("run", "neuralterrain:enginereport")
    assert told.returncode == 0, told.stderr
    assert str(engine.python_of(qgis.data / "engine")) in told.stdout


def test_repair_of_a_whole_engine_says_so(qgis: Qgis, installed: subprocess.CompletedProcess) -> None:
    told = qgis.setup(ACTION="repair")
    assert told.returncode == 0, told.stderr
    assert "there is nothing to repair" in told.stdout


def test_an_own_python_is_tried_then_kept_then_given_up(
    qgis: Qgis, installed: subprocess.CompletedProcess, assert_refused: Check
) -> None:
    python = engine.python_of(qgis.data / "engine")
    told = qgis.setup(ACTION="use-own", PYTHON=str(python))
    assert told.returncode == 0, told.stderr
    assert f"The engine is {python}: torch" in told.stdout
    assert_refused(qgis.setup(ACTION="use-own", PYTHON=sys.executable), "cannot import torch")
    told = qgis.setup(ACTION="use-managed")
    assert (told.returncode, f"INTERPRETER:\t{python}" in told.stdout) == (0, True)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ACTION": "explode"}, "Action is 'explode'; it can be install, repair, remove, use-own, use-managed."),
        ({"TORCH": "rocm"}, "PyTorch is 'rocm'; it can be cpu, cuda."),
        ({"WHEELS": "/nowhere"}, "There is no folder /nowhere; WHEELS must name"),
        ({"PYTHON": "/nowhere/python"}, "There is no Python at /nowhere/python; give the path"),
        ({"ACTION": "use-own"}, "No Python was given; PYTHON must name"),
        ({"TORCH_INDEX": "pytorch"}, "The index pytorch is no web address; it must start with https://."),
        ({"WHEELS": "/bin", "ACTION": "install"}, "holds no wheels (*.whl); choose"),
        ({"PYTHON": "/bin/true"}, "does not run as a Python; choose"),
    ],
)
def test_bad_input_gets_one_sentence(qgis: Qgis, values: dict[str, str], sentence: str, assert_refused: Check) -> None:
    assert_refused(qgis.setup(**values), sentence)


def test_as_a_step_of_a_model(
    qgis: Qgis, installed: subprocess.CompletedProcess, save_model: Callable[..., Path]
) -> None:
    told = qgis("run", str(save_model(NAME, {"ACTION": "repair"}, {"INTERPRETER": "python"})))
    assert told.returncode == 0, told.stderr
    assert "there is nothing to repair" in told.stdout


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"WHEELS": "/nowhere"}, "There is no folder /nowhere"), ({"ACTION": "explode"}, "Action is 'explode'")],
)
def test_bad_input_as_a_step_of_a_model(
    qgis: Qgis, save_model: Callable[..., Path], values: dict, sentence: str, assert_refused: Check
) -> None:
    assert_refused(qgis("run", str(save_model(NAME, values, {}))), sentence)


def test_remove_takes_it_away_at_last(qgis: Qgis, installed: subprocess.CompletedProcess) -> None:
    told = qgis.setup(ACTION="remove")
    assert told.returncode == 0, told.stderr
    assert "was removed" in told.stdout
    assert not (qgis.data / "engine").exists()
    assert "There was no environment" in qgis.setup(ACTION="remove").stdout
