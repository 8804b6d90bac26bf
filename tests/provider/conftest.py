"""The real QGIS for tests: ``qgis_process`` and a scripted QGIS, each in a clean environment with a private home."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LIMIT_S = 240


@pytest.fixture(scope="session")
def qgis_environment(tmp_path_factory):
    """Variables for a QGIS with this plugin and engine, and nothing of the caller's profile."""
    missing = [name for name in ("NEURAL_TERRAIN_PYTHON", "QGIS_PLUGINPATH") if not os.environ.get(name)]
    if missing:
        pytest.fail(f"{' and '.join(missing)} must be set; 'make test' does it.", pytrace=False)
    home, run = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("run")
    run.chmod(0o700)
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(run),
        "QGIS_PLUGINPATH": os.environ["QGIS_PLUGINPATH"],
        "NEURAL_TERRAIN_PYTHON": os.environ["NEURAL_TERRAIN_PYTHON"],
    }


@pytest.fixture(scope="session")
def qgis_process(qgis_environment):
    """Run ``qgis_process`` with arguments; keyword arguments change variables (None: unset)."""
    program = os.environ.get("QGIS_PROCESS") or shutil.which("qgis_process.bin") or shutil.which("qgis_process")
    if not program:
        pytest.fail("qgis_process was not found; install QGIS, or let QGIS_PROCESS name it.", pytrace=False)

    def call(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess:
        environment = {k: v for k, v in {**qgis_environment, **variables}.items() if v is not None}
        command = [program, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    enabled = call("plugins", "enable", "neural_terrain")
    assert enabled.returncode == 0, enabled.stderr
    return call


@pytest.fixture
def in_qgis(qgis_environment, tmp_path):
    """Run a script in a QGIS without display and return what it answers, see ``headless.py``."""

    def call(script: str, **variables: str | None):
        file = tmp_path / "script.py"
        file.write_text(textwrap.dedent(script), encoding="utf-8")
        environment = {k: v for k, v in {**qgis_environment, **variables}.items() if v is not None}
        command = [sys.executable, str(HERE / "headless.py"), str(file)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        answers = [line[7:] for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
        assert run.returncode == 0 and answers, f"{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
        return json.loads(answers[-1])

    return call


@pytest.fixture(scope="session")
def staying_qgis(qgis_environment, tmp_path_factory):
    """A QGIS without display for all tests, started when the first one needs it, see ``headless.py``."""
    command = [sys.executable, str(HERE / "headless.py"), "--stay"]
    errors = tmp_path_factory.mktemp("staying") / "stderr"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with errors.open("w") as file, subprocess.Popen(command, env=qgis_environment, stderr=file, **pipes) as process:
        yield process, errors
        process.stdin.close()
        process.wait(LIMIT_S)


@pytest.fixture
def ask_qgis(staying_qgis, tmp_path):
    """Like ``in_qgis`` for scripts that only ask and leave nothing behind; these share one QGIS."""
    process, errors = staying_qgis

    def call(script: str):
        file = tmp_path / "question.py"
        file.write_text(textwrap.dedent(script), encoding="utf-8")
        print(file, file=process.stdin, flush=True)
        end = threading.Timer(LIMIT_S, process.kill)
        end.start()
        try:
            said = next((line for line in process.stdout if line.startswith(("ANSWER ", "FAILED "))), "")
        finally:
            end.cancel()
        assert said.startswith("ANSWER "), f"{said}\n{errors.read_text(errors='replace')[-6000:]}"
        return json.loads(said[7:])

    return call


@pytest.fixture
def write_dem():
    """Write a small hilly GeoTIFF; returns its path."""
    import numpy as np
    from osgeo import gdal, osr

    def write(path: Path, rows: int = 24, columns: int = 30, epsg: int = 32632, nodata: float | None = -9999.0) -> Path:
        row, column = np.mgrid[:rows, :columns]
        heights = 500 + 40 * np.sin(column / 5) * np.cos(row / 4) + column
        if nodata is not None:
            heights[2:5, 2:5] = nodata
        file = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, gdal.GDT_Float32, ["SPARSE_OK=TRUE"])
        file.SetGeoTransform((600000, 30, 0, 5200000, 0, -30))
        if epsg:
            reference = osr.SpatialReference()
            reference.ImportFromEPSG(epsg)
            file.SetProjection(reference.ExportToWkt())
        if nodata is not None:
            file.GetRasterBand(1).SetNoDataValue(nodata)
        file.GetRasterBand(1).WriteArray(heights.astype("float32"))
        del file
        return path

    return write


@pytest.fixture
def dem(tmp_path, write_dem):
    """A DEM of 24 rows and 30 columns with a hole, 30 m, UTM 32."""
    return write_dem(tmp_path / "dem.tif")


@pytest.fixture(scope="session")
def write_features():
    """Write a layer of a GeoPackage from WKT and attributes (numbers or text); returns the file."""
    from osgeo import gdal, ogr, osr

    def write(path: Path, layer: str, shapes: list[str], epsg: int = 32632, **columns: list) -> Path:
        kind = ogr.CreateGeometryFromWkt(shapes[0]).GetGeometryType() if shapes else ogr.wkbUnknown
        file = gdal.OpenEx(str(path), gdal.OF_UPDATE) if path.exists() else None
        file = file or gdal.GetDriverByName("GPKG").Create(str(path), 0, 0, 0, gdal.GDT_Unknown)
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        table = file.CreateLayer(layer, reference, kind)
        for name, values in columns.items():
            table.CreateField(ogr.FieldDefn(name, ogr.OFTString if isinstance(values[0], str) else ogr.OFTReal))
        table.StartTransaction()
        for number, shape in enumerate(shapes):
            feature = ogr.Feature(table.GetLayerDefn())
            feature.SetGeometry(ogr.CreateGeometryFromWkt(shape))
            for name, values in columns.items():
                feature.SetField(name, values[number])
            table.CreateFeature(feature)
        table.CommitTransaction()
        del table, file
        return path

    return write


@pytest.fixture
def save_model(ask_qgis, tmp_path):
    """Save a model of one step; returns the file. ``values`` are the step's, ``outputs`` those it shows."""

    def save(algorithm: str, values: dict, outputs: dict[str, str]) -> Path:
        file = tmp_path / "step.model3"
        script = f"""
            from qgis.core import *
            model = QgsProcessingModelAlgorithm("step", "tests")
            child = QgsProcessingModelChildAlgorithm({algorithm!r})
            child.setChildId("step")
            for name, value in {values!r}.items():
                source = QgsProcessingModelChildParameterSource.fromStaticValue(value)
                child.addParameterSources(name, [source])
            shown = {{}}
            for name, label in {outputs!r}.items():
                output = QgsProcessingModelOutput(label, label)
                output.setChildId("step")
                output.setChildOutputName(name)
                shown[label] = output
            child.setModelOutputs(shown)
            model.addChildAlgorithm(child)
            model.updateDestinationParameters()
            answer(model.toFile({str(file)!r}))
        """
        assert ask_qgis(script)
        return file

    return save


def _sentence(run: subprocess.CompletedProcess) -> str:
    return " ".join(f"{run.stdout}\n{run.stderr}".split())


@pytest.fixture
def assert_answered(ask_qgis):
    """Check that the dialog answers values of a tool by a sentence each, before anything runs."""

    def check(tool: str, bad: Iterable[tuple[dict, str]]) -> None:
        cases = list(bad)
        told = ask_qgis(f"""
            from qgis.core import *
            tool = QgsApplication.processingRegistry().createAlgorithmById({tool!r})
            given = {[values for values, _ in cases]!r}
            answer([tool.checkParameterValues(values, QgsProcessingContext()) for values in given])
        """)
        for (_, sentence), (good, words) in zip(cases, told, strict=True):
            assert not good and sentence in words and words.endswith("."), words

    return check


@pytest.fixture
def assert_told(assert_answered):
    """Check that the dialog answers each of ``bad`` by its sentence before anything runs.

    ``bad`` gives sentences by parameters, ``NAME=value OTHER=value``, that stand beside or instead of ``values``.
    """

    def check(tool: str, values: dict, bad: dict, **places) -> None:
        cases = [
            values | dict(one.split("=", 1) for one in re.split(r" (?=[A-Z_]+=)", extra.format(**places)))
            for extra in bad
        ]
        assert_answered(tool, zip(cases, (sentence.format(**places) for sentence in bad.values()), strict=True))

    return check


@pytest.fixture
def assert_refused():
    """Check that a run of qgis_process ended with exit code 1 and one clear sentence, without a traceback."""

    def check(run: subprocess.CompletedProcess, sentence: str) -> None:
        assert run.returncode == 1, _sentence(run)
        assert sentence in _sentence(run)
        assert "Traceback" not in run.stdout + run.stderr

    return check
