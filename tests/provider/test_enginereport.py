"""*Engine report* in the real QGIS, with an engine and without one."""

from __future__ import annotations

import json
import os

ID = "neuralterrain:enginereport"


def results_of(run) -> dict:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def test_it_names_python_packages_devices_and_models(qgis_process, tmp_path):
    page = tmp_path / "report.html"
    results = results_of(qgis_process("--json", "run", ID, "--", f"OUTPUT={page}"))
    assert results["READY"] == 1
    assert results["PYTHON"] == os.environ["NEURAL_TERRAIN_PYTHON"]
    assert all(name in results["PACKAGES"] for name in ("torch", "rasterio", "dask"))
    assert "cpu" in results["DEVICES"] and "baseline" in results["MODELS"]
    for word in ("Neural Terrain", "QGIS", "torch", "baseline", "Processor"):
        assert word in results["REPORT"] and word in page.read_text(encoding="utf-8")


def test_no_engine_is_an_answer_that_tells_how_to_get_one(qgis_process):
    results = results_of(qgis_process("--json", "run", ID, NEURAL_TERRAIN_PYTHON=None))
    assert results["READY"] == 0
    assert "No engine is set up yet. Choose Plugins > Neural Terrain > Set up engine..." in results["REPORT"]


def test_a_python_that_does_not_exist_is_named(qgis_process, tmp_path):
    results = results_of(qgis_process("--json", "run", ID, NEURAL_TERRAIN_PYTHON=str(tmp_path / "python")))
    assert results["READY"] == 0
    assert f"{tmp_path / 'python'}, cannot run the engine: there is no such file." in results["REPORT"]


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, tmp_path):
    page = tmp_path / "report.html"
    model = save_model(ID, {}, {"OUTPUT": "page"})
    run = qgis_process("run", model, "--", f"step:page={page}")
    assert run.returncode == 0, run.stderr
    assert "torch" in page.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_one_sentence(qgis_process, save_model, assert_refused, tmp_path):
    page = tmp_path / "none" / "report.html"
    sentence = f"The report {page} cannot be written (No such file or directory); choose another folder."
    assert_refused(qgis_process("run", ID, "--", f"OUTPUT={page}"), sentence)
    model = save_model(ID, {}, {"OUTPUT": "page"})
    assert_refused(qgis_process("run", model, "--", f"step:page={page}"), sentence)
