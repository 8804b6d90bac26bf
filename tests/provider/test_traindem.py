"""*Train or fine-tune a DEM model* in the real QGIS: a model that superresolve takes, refusals, models, a cancel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal, osr

ID = "neuralterrain:traindem"
TINY = {"network": {"blocks": 1, "channels": 8}, "shape": {"coarse_px": 32, "queries": 16}, "batch": 2, "steps": 3,
        "warmup_steps": 2, "muon": False}  # fmt: skip
BAD = [
    ("MINUTES=0", "Minutes is 0.0; it must be a number from 0.01 to 100000."),
    ("MINUTES=-5", "Minutes is -5.0; it must be a number from 0.01 to 100000."),
    ("MINUTES=long", "Minutes is 'long'; it must be a number."),
    ("SEED=1.5", "Seed is 1.5; it must be a whole number."),
    ("SEED=-1", "Seed is -1; it must be a number from 0 to"),
    ("DEVICE=gpu", "Device is 'gpu'; it can be auto, cpu, cuda or cuda:N"),
    ("KEEP=maybe", "Keep the best model when cancelled is 'maybe'; it can be true or false."),
    ("NAME=my/model", "The model's name is 'my/model'; use letters, digits,"),
    ("INPUT=", "No DEM was given to learn from; choose raster layers, or a folder of GeoTIFFs."),
    ("INPUT={folder}/none.tif", "DEM is {folder}/none.tif, which is no raster that can be read"),
    ("FOLDER={folder}/none", "The folder of DEMs {folder}/none does not exist; choose one with GeoTIFFs."),
    ("FOLDER={folder}", "The output {folder}/model lies in the folder of DEMs {folder}; choose another output."),
    ("OUTPUT={folder}", "The DEM {folder}/fine.tif lies in the output folder {folder}; choose another output."),
    ("REPORT={folder}/report.txt", "is no HTML file; let its name end in .html."),
    ("REPORT={folder}/model/report.html", "lies in the model folder"),
]
"""What is refused before an engine is started."""

BAD_IN_THE_ENGINE = [
    ("MODEL=baseline", "The model baseline is of family baseline, which cannot be trained; choose one of family"),
    ("RECIPE={folder}/wrong.json", "The recipe has the unknown name stepps; the names beside family are"),
    ("INPUT={folder}/small.tif", "No DEM can be learned from; one needs at least 100 x 100 cells."),
    ("OUTPUT={folder}/others", "The folder {folder}/others holds other files than a model trained here"),
]


def hills(path, rows=120, columns=260, seed=1):
    """A rough DEM of 10 m cells in UTM."""
    rng = np.random.default_rng(seed)
    wave = np.hypot(np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(columns)[None] * columns)
    wave[0, 0] = np.inf
    heights = np.fft.irfft2((rng.normal(size=wave.shape) + 1j * rng.normal(size=wave.shape)) / wave**2, (rows, columns))
    file = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, gdal.GDT_Float32)
    file.SetGeoTransform((600000, 10, 0, 5200000, 0, -10))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32632)
    file.SetProjection(reference.ExportToWkt())
    file.GetRasterBand(1).WriteArray((500 + heights * (100 / heights.std())).astype("float32"))
    del file
    return path


@pytest.fixture
def fine(tmp_path):
    """A DEM to learn from, a recipe for a quick training, and what mistakes are made with."""
    for name, values in (("tiny", TINY), ("field", {"family": "field"}), ("wrong", {"stepps": 3})):
        (tmp_path / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
    for name in ("empty", "others"):
        (tmp_path / name).mkdir()
    (tmp_path / "others" / "notes.txt").write_text("mine", encoding="utf-8")
    hills(tmp_path / "small.tif", 80, 80)
    return hills(tmp_path / "fine.tif")


def values_of(fine, extra=""):
    """Values for a quick training, changed by ``NAME=VALUE NAME=VALUE``; an empty one is left out."""
    folder = fine.parent
    values = {"INPUT": fine, "RECIPE": folder / "tiny.json", "MINUTES": "5", "OUTPUT": folder / "model",
              "LICENCE": "CC0", "CREDIT": "me", **dict(e.split("=", 1) for e in extra.split())}  # fmt: skip
    return {name: str(value) for name, value in values.items() if value != ""}


def arguments(fine, extra=""):
    return [f"{name}={value}" for name, value in values_of(fine, extra).items()]


def results(run):
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def test_a_trained_model_is_used_by_superresolve_and_can_be_trained_further(qgis_process, fine, tmp_path):
    report = tmp_path / "report.html"
    first = results(qgis_process("--json", "run", ID, "--", *arguments(fine, f"TITLE=Hills REPORT={report}")))
    assert (first["OUTPUT"], first["REPORT"], first["STEPS"]) == (str(tmp_path / "model"), str(report), 3)
    assert 0 < first["BEST_STEP"] <= 3 and 0.5 < first["RATIO_X2"] < 2 and first["MINUTES_USED"] > 0
    assert first["DEVICE_USED"].startswith(("cpu", "cuda")) and "Hills" in report.read_text(encoding="utf-8")
    card = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert (card["name"], card["title"], card["licence"]) == ("model", "Hills", "CC0")
    values = [f"INPUT={fine}", "SCALE=2", f"MODEL={tmp_path / 'model'}", f"OUTPUT={tmp_path / 'finer.tif'}"]
    refined = results(qgis_process("--json", "run", "neuralterrain:superresolve", "--", *values))
    assert (refined["ROWS"], refined["COLUMNS"], refined["VALID_SHARE"]) == (240, 520, 1)
    (tmp_path / "tiny.json").write_text(json.dumps({k: v for k, v in TINY.items() if k != "network"}), encoding="utf-8")
    extra = f"MODEL={tmp_path / 'model'} OUTPUT={tmp_path / 'tuned'} NAME=tuned"
    second = qgis_process("--json", "run", ID, "--", *arguments(fine, extra))
    assert results(second)["STEPS"] == 3
    tuned = json.loads((tmp_path / "tuned" / "card.json").read_text(encoding="utf-8"))
    assert tuned["training"]["started_from"]["name"] == "model" and tuned["name"] == "tuned"
    assert len(tuned["training"]["data"]) == 2
    assert not list(tmp_path.glob(".*"))


def test_bad_input_gets_one_sentence_before_an_engine_starts(assert_answered, fine):
    folder = fine.parent
    assert_answered(
        ID, [(values_of(fine, extra.format(folder=folder)), said.format(folder=folder)) for extra, said in BAD]
    )


@pytest.mark.parametrize(("extra", "sentence"), BAD_IN_THE_ENGINE)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, fine, extra, sentence):
    run = qgis_process("run", ID, "--", *arguments(fine, extra.format(folder=fine.parent)))
    assert_refused(run, sentence.format(folder=fine.parent))
    assert not (fine.parent / "model").exists() and not list(fine.parent.glob(".*"))
    assert (fine.parent / "others" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_several_layers_and_a_folder_are_one_training_set(in_qgis, fine, tmp_path):
    """What the user set on a layer counts; a file that is given twice is used once; the licence is asked for."""
    more = tmp_path / "more"
    more.mkdir()
    hills(more / "east.tif", 110, 130, 2)
    hills(more / "west.tif", 110, 130, 3)
    told = in_qgis(f"""
        import json, processing
        from qgis.core import *
        layer = QgsRasterLayer({str(fine)!r}, "my dem")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:25833"))
        said = []
        class Talk(QgsProcessingFeedback):
            def pushWarning(self, text):
                said.append(text)
        values = {{"INPUT": [layer, {str(more / "east.tif")!r}], "FOLDER": {str(more)!r}, "MINUTES": 5,
                  "RECIPE": {str(tmp_path / "tiny.json")!r}, "OUTPUT": "TEMPORARY_OUTPUT"}}
        found = processing.run({ID!r}, values, feedback=Talk())
        answer([found, said, json.load(open(found["OUTPUT"] + "/card.json"))])
    """)
    found, said, card = told
    assert [one["name"] for one in card["training"]["data"]] == ["fine", "east", "west"]
    assert [text.split(" of")[0] for text in said[:2]] == ["The licence", "The credit"]
    assert found["STEPS"] == 3 and "REPORT" not in found and card["licence"] == "unknown"


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, fine, tmp_path):
    values = {"INPUT": [str(fine)], "RECIPE": str(tmp_path / "tiny.json"), "MINUTES": 5}
    model = save_model(ID, values, {"OUTPUT": "trained"})
    run = qgis_process("run", model, "--", f"step:trained={tmp_path / 'model'}")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "model" / "weights.safetensors").is_file()


@pytest.mark.parametrize("keep", [False, True])
def test_a_cancelled_training_is_gone_within_two_seconds(in_qgis, fine, tmp_path, keep):
    """Nothing half-written stays; the best model does where the user asked for it."""
    (tmp_path / "tiny.json").write_text(json.dumps({**TINY, "steps": 10**6}), encoding="utf-8")
    told = in_qgis(f"""
        import pathlib, threading, time
        from qgis.core import *
        folder = pathlib.Path({str(tmp_path)!r})
        feedback, context = QgsProcessingFeedback(), QgsProcessingContext()
        algorithm = QgsApplication.processingRegistry().createAlgorithmById({ID!r})
        values = dict(INPUT=[{str(fine)!r}], RECIPE=str(folder / "tiny.json"), MINUTES=0.5, KEEP={keep},
                      OUTPUT=str(folder / "model"))
        outcome = {{}}

        def work():
            assert algorithm.prepare(values, context, feedback)
            try:
                outcome["results"] = algorithm.runPrepared(values, context, feedback)
            except Exception as error:
                outcome["error"] = f"{{type(error).__name__}}: {{error}}"

        worker = threading.Thread(target=work)
        worker.start()
        begun = time.monotonic()
        while not list(folder.glob(".model.*.part/best/loss.svg")) or feedback.progress() <= 3:
            time.sleep(0.02)
            assert worker.is_alive() and time.monotonic() - begun < 120, outcome
        started = time.monotonic()
        feedback.cancel()
        worker.join(20)
        answer([outcome, time.monotonic() - started])
    """)
    assert told[0] == {"results": {}} and told[1] < 2.0
    assert not list(tmp_path.glob(".*")) and (tmp_path / "model").exists() == keep
    if keep:
        card = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
        assert card["results"] and (tmp_path / "model" / card["weights"]["file"]).is_file()
