"""*Super-resolve DEM* in the real QGIS: qgis_process, models, batch, layers, a killed engine, a cancel."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:superresolve"
BAD = {
    "SCALE=0.5": "Scale is 0.5, which makes the DEM coarser; it must be from 1 to 16.",
    "SCALE=17": "Scale is 17.0; it must be a number from 1 to 16.",
    "SCALE=much": "Scale is 'much'; it must be a number.",
    "VOIDS=ignore": "Voids is 'ignore'; it can be keep, fill.",
    "HONOUR_INPUT=maybe": "Honour input is 'maybe'; it can be yes, no.",
    "DEVICE=gpu": "Device is 'gpu'; it can be auto, cpu, cuda or cuda:N",
    "PRECISION=float16": "Precision is 'float16'; it can be auto, bfloat16, float32.",
    "LAYOUT=cog OPTIONS=TILED=NO": "Creation option 'TILED=NO' does not go with the layout cog; remove it,",
    "RESUME=perhaps": "Continue an unfinished run is 'perhaps'; it can be true or false.",
    "SCHEDULER=localhost": "Scheduler is 'localhost'; it must be an address such as tcp://host:8786, or an existing",
    "SCHEDULER=tcp://node:8786 DEVICE=cuda:1": "each worker chooses its own graphics card; give cuda instead.",
    "EXTENT=here": "The extent is 'here'; it must be",
    "MODEL=unheard-of": "There is no model 'unheard-of'; installed are",
    "BAND=2": "band 2",
    "BAND=0": "Band is 0; it must be a number from 1",
    "EXTENT=600100,600200,5199700,5199800[EPSG:999999]": "whose CRS is unknown; name one such as [EPSG:4326].",
    "CELL_SIZE=10 GRID={dem}": "Both a target grid and a cell size were given; give only one of them.",
    "INPUT={folder}/nothing.tif": "which is no raster that can be read; choose a raster layer or file.",
    "OUTPUT={dem}": "is also an input; choose another name for the output.",
    "OUTPUT={folder}/fine.vrt": "must end in .tif or .tiff; rename it.",
    "OUTPUT={folder}/none/fine.tif": "{folder}/none",
    "UNCERTAINTY={folder}/error.tif": "The model baseline does not know its error; leave the uncertainty empty or",
    "PROVENANCE={dem}": "is also an input; choose another name for the provenance.",
    "PROVENANCE={folder}/fine.tif": "The output and the provenance are the same file",
    "UNCERTAINTY={folder}/e.tif PROVENANCE={folder}/e.tif": "The uncertainty and the provenance are the same file",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray(), file


def arguments(dem, output, extra=""):
    values = {"INPUT": dem, "OUTPUT": output, "MODEL": "baseline", **dict(e.split("=", 1) for e in extra.split())}
    return [f"{name}={value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Folder of a small field model that knows its error; made in the engine's Python, which has torch."""
    folder = tmp_path_factory.mktemp("models") / "tinyfield"
    code = "import pathlib, sys; from neural_terrain.tests.core import dems; dems.tiny_field(pathlib.Path(sys.argv[1]))"
    command = [os.environ["NEURAL_TERRAIN_PYTHON"], "-c", code, str(folder)]
    subprocess.run(command, env={"PYTHONPATH": os.environ["QGIS_PLUGINPATH"]}, check=True)
    return folder


def test_one_run_makes_a_georeferenced_dem_and_returns_the_numbers(qgis_process, dem, tmp_path):
    fine, difference = tmp_path / "fine.tif", tmp_path / "difference.tif"
    run = qgis_process("--json", "run", ID, "--", *arguments(dem, fine, f"SCALE=3 DIFFERENCE={difference}"))
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    heights, file = read(fine)
    assert heights.shape == (72, 90) == (results["ROWS"], results["COLUMNS"])
    assert file.GetGeoTransform() == (600000, 10, 0, 5200000, 0, -10)
    assert 'AUTHORITY["EPSG","32632"]' in file.GetProjection()
    valid = heights != file.GetRasterBand(1).GetNoDataValue()
    assert results["VALID_SHARE"] == pytest.approx(valid.mean(), abs=1e-3) and not valid.all()
    assert abs(heights[valid].mean() - 515) < 5
    assert results["TILES"] >= 1 and results["SECONDS"] > 0 and results["DEVICE_USED"].startswith(("cpu", "cuda"))
    assert np.abs(read(difference)[0][valid]).max() < 20


def test_uncertainty_provenance_filled_voids_and_honoured_cells(qgis_process, dem, field, tmp_path):
    fine, error, classes = (tmp_path / f"{name}.tif" for name in ("fine", "error", "classes"))
    coarse = read(dem)[0]
    known = coarse != -9999
    kept = {}
    for honour in ("yes", "no"):
        extra = f"VOIDS=fill HONOUR_INPUT={honour} UNCERTAINTY={error} PROVENANCE={classes} MODEL={field}"
        run = qgis_process("--json", "run", ID, "--", *arguments(dem, fine, extra))
        assert run.returncode == 0, run.stderr
        results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
        heights = read(fine)[0].astype(float)
        kept[honour] = np.abs(heights.reshape(24, 4, 30, 4).mean((1, 3)) - coarse)[known].max()
    assert kept["yes"] < 0.01 and kept["no"] > 0.1
    assert results["VALID_SHARE"] == 1 and results["FILLED_SHARE"] == pytest.approx(9 / 720)
    assert (results["UNCERTAINTY"], results["PROVENANCE"]) == (str(error), str(classes))
    numbers, file = read(classes)
    assert np.array_equal(numbers[::4, ::4], ~known) and file.GetRasterBand(1).GetNoDataValue() is None
    band, file = read(error)
    assert (band > 0).all() and band[numbers == 1].mean() > band[numbers == 0].mean()
    assert file.GetRasterBand(1).GetDescription() == "Uncertainty (90 % error)"


def test_the_further_outputs_of_a_model_step(qgis_process, save_model, dem, field, tmp_path):
    values = {"INPUT": str(dem), "SCALE": 2, "MODEL": str(field), "VOIDS": "fill", "HONOUR_INPUT": "no"}
    model = save_model(ID, values, {"OUTPUT": "fine", "UNCERTAINTY": "error", "PROVENANCE": "classes"})
    places = [f"step:{name}={tmp_path / name}.tif" for name in ("fine", "error", "classes")]
    run = qgis_process("run", model, "--", *places)
    assert run.returncode == 0, run.stderr
    shapes = [read(tmp_path / f"{name}.tif")[0].shape for name in ("fine", "error", "classes")]
    assert shapes == [(48, 60)] * 3


@pytest.mark.parametrize("extra", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, dem, tmp_path, extra):
    places = {"dem": dem, "folder": tmp_path}
    before = dem.read_bytes()
    run = qgis_process("run", ID, "--", *arguments(dem, tmp_path / "fine.tif", extra.format(**places)))
    assert_refused(run, BAD[extra].format(**places))
    assert dem.read_bytes() == before
    left = {path.name for path in tmp_path.iterdir()} - {"dem.tif.aux.xml"}  # QGIS's own, from loading the layer
    assert left == {"dem.tif"}


def test_a_missing_input_or_output_is_named(qgis_process, assert_refused, dem, tmp_path):
    assert_refused(qgis_process("run", ID, "--", f"OUTPUT={tmp_path / 'fine.tif'}"), "INPUT: Input DEM")
    assert_refused(qgis_process("run", ID, "--", f"INPUT={dem}"), "OUTPUT: Super-resolved DEM")


def test_without_an_engine_one_sentence_tells_how_to_get_it(qgis_process, assert_refused, dem, tmp_path):
    run = qgis_process("run", ID, "--", *arguments(dem, tmp_path / "fine.tif"), NEURAL_TERRAIN_PYTHON=None)
    assert_refused(run, "No engine is set up yet. Choose Plugins > Neural Terrain > Set up engine...")
    assert "neuralterrain:setupengine" in run.stderr + run.stdout


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, dem, tmp_path):
    model = save_model(ID, {"INPUT": str(dem), "SCALE": 2, "MODEL": "baseline"}, {"OUTPUT": "fine"})
    run = qgis_process("run", model, "--", f"step:fine={tmp_path / 'fine.tif'}")
    assert run.returncode == 0, run.stderr
    assert read(tmp_path / "fine.tif")[0].shape == (48, 60)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SCALE", 99, "Scale is 99.0; it must be a number from 1 to 16."),
        ("VOIDS", "ignore", "Voids is 'ignore'; it can be keep, fill."),
        ("HONOUR_INPUT", "maybe", "Honour input is 'maybe'; it can be yes, no."),
        ("COMPRESSION", "ZIP", "Compression is 'ZIP'"),
        ("LAYOUT", "COG", "Layout is 'COG'; it can be geotiff, cog."),
        ("RESUME", "perhaps", "Continue an unfinished run is 'perhaps'; it can be true or false."),
        ("SCHEDULER", "node1", "Scheduler is 'node1'; it must be an address such as tcp://host:8786"),
        ("MODEL", "unheard-of", "There is no model 'unheard-of'"),
        ("SCALE", "much", "Scale is 'much'; it must be a number."),
        ("BAND", 0, "Band is 0; it must be a number from 1"),
    ],
)
def test_bad_input_of_a_model_step_is_refused_too(
    qgis_process, save_model, assert_refused, dem, tmp_path, name, value, sentence
):
    model = save_model(ID, {"INPUT": str(dem), "MODEL": "baseline", name: value}, {"OUTPUT": "fine"})
    assert_refused(qgis_process("run", model, "--", f"step:fine={tmp_path / 'fine.tif'}"), sentence)
    assert not (tmp_path / "fine.tif").exists()


def test_batch_runs_twice_in_a_row_in_one_qgis(in_qgis, dem, tmp_path):
    told = in_qgis(f"""
        import processing
        results = []
        for scale in (2, 2.5):
            values = {{"INPUT": {str(dem)!r}, "SCALE": scale, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
            found = processing.run({ID!r}, values)
            results.append([found["ROWS"], found["COLUMNS"], found["OUTPUT"]])
        answer(results)
    """)
    assert [row[:2] for row in told] == [[48, 60], [60, 75]]
    assert told[0][2] != told[1][2]


def test_what_the_user_set_on_the_layer_counts(in_qgis, write_dem, tmp_path):
    """The layer's CRS, its user no-data range and its own no-data switch; layers without a file are refused."""
    plain = write_dem(tmp_path / "plain.tif", epsg=0, nodata=None)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        layer = QgsRasterLayer({str(plain)!r}, "my dem")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:25833"))
        layer.dataProvider().setUserNoDataValue(1, [QgsRasterRange(530.0, 1e9)])
        base = {{"SCALE": 2, "MODEL": "baseline", "OUTPUT": {str(tmp_path / "fine.tif")!r}}}
        found = processing.run({ID!r}, {{**base, "INPUT": layer}})
        algorithm = QgsApplication.processingRegistry().algorithmById({ID!r})
        online = QgsRasterLayer("type=xyz&url=file:///none/%7Bz%7D/%7Bx%7D/%7By%7D.png", "a map", "wms")
        context = QgsProcessingContext()
        QgsProject.instance().addMapLayer(online)
        context.setProject(QgsProject.instance())
        answer([found["VALID_SHARE"], QgsRasterLayer(found["OUTPUT"], "x").crs().authid(),
                algorithm.checkParameterValues({{**base, "INPUT": online.id()}}, context)])
    """)
    heights, _ = read(plain)
    assert told[0] == pytest.approx((heights < 530).mean(), abs=1e-3)
    assert told[1] == "EPSG:25833"
    assert told[2][0] is False and "a map, a layer of kind wms that has no file" in told[2][1]


def test_an_extent_in_another_crs_gives_the_crop_of_the_full_run(qgis_process, dem, tmp_path):
    part, full = tmp_path / "part.tif", tmp_path / "full.tif"
    bounds = "9.0,9.0,46.0,46.0"
    from osgeo import osr

    utm, degrees = osr.SpatialReference(), osr.SpatialReference()
    utm.ImportFromEPSG(32632)
    degrees.ImportFromEPSG(4326)
    degrees.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    change = osr.CoordinateTransformation(utm, degrees)
    west, south, _ = change.TransformPoint(600300, 5199700)
    east, north, _ = change.TransformPoint(600500, 5199900)
    bounds = f"{west},{east},{south},{north}[EPSG:4326]"
    for path, extra in ((full, ""), (part, f"EXTENT={bounds}")):
        run = qgis_process("run", ID, "--", *arguments(dem, path, extra))
        assert run.returncode == 0, run.stderr
    cut, file = read(part)
    place = file.GetGeoTransform()
    row, column = round((5200000 - place[3]) / 7.5), round((place[0] - 600000) / 7.5)
    assert cut.shape[0] < 40 and cut.shape[1] < 40
    np.testing.assert_array_equal(cut, read(full)[0][row : row + cut.shape[0], column : column + cut.shape[1]])


def test_a_geopackage_raster_and_a_zipped_file_are_read(qgis_process, dem, tmp_path):
    import zipfile

    gdal.Translate(str(tmp_path / "store.gpkg"), str(dem), format="GPKG", creationOptions=["RASTER_TABLE=hills"])
    with zipfile.ZipFile(tmp_path / "store.zip", "w") as archive:
        archive.write(dem, "dem.tif")
    sources = [f"GPKG:{tmp_path / 'store.gpkg'}:hills", f"/vsizip/{tmp_path / 'store.zip'}/dem.tif"]
    for number, source in enumerate(sources):
        output = tmp_path / f"fine{number}.tif"
        run = qgis_process("run", ID, "--", *arguments(source, output, "SCALE=2"))
        assert run.returncode == 0, run.stderr
        assert read(output)[0].shape == (48, 60)


LONG_RUN = """
    import os, pathlib, signal, threading, time, traceback
    from qgis.core import *

    def engines():
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if stat[0] != "Z" and stat[1] == str(os.getpid()) and b"__main__.py" in command:
                found.append(int(folder.name))
        return found

    class Talk(QgsProcessingFeedback):
        pass

    feedback = Talk()
    algorithm = QgsApplication.processingRegistry().createAlgorithmById({id!r})
    values = dict(INPUT={dem!r}, OUTPUT={output!r}, MODEL="baseline", SCALE=16, COMPRESSION="NONE")
    context = QgsProcessingContext()
    outcome = {{}}

    def work():
        assert algorithm.prepare(values, context, feedback)
        try:
            outcome["results"] = algorithm.runPrepared(values, context, feedback)
        except Exception as error:
            outcome["error"] = f"{{type(error).__name__}}: {{error}}"

    worker = threading.Thread(target=work)
    worker.start()
    folder = pathlib.Path({output!r}).parent
    begun = time.monotonic()
    while not list(folder.glob(".*part*")) or feedback.progress() <= 0:
        time.sleep(0.02)
        assert worker.is_alive() and time.monotonic() - begun < 120, outcome
    names = sorted(p.name for p in folder.iterdir())
    started = time.monotonic()
"""


@pytest.fixture
def long_run(write_dem, tmp_path):
    """Head of a script with a run in its midst, and the output that stood there before."""
    folder = tmp_path / "out"
    folder.mkdir()
    output = folder / "fine.tif"
    output.write_bytes(b"what stood here before")
    dem = write_dem(tmp_path / "large.tif", rows=700, columns=700)
    return LONG_RUN.format(id=ID, dem=str(dem), output=str(output)), output


def test_killing_the_engine_leaves_qgis_alive_and_the_old_output_untouched(in_qgis, long_run):
    head, output = long_run
    told = in_qgis(
        head
        + """
    for number in engines():
        os.kill(number, signal.SIGKILL)
    worker.join(20)
    answer([outcome, worker.is_alive(), engines(), names])
    """
    )
    assert "The engine ended without a result: it was killed, most likely" in told[0]["error"]
    assert told[1:3] == [False, []] and len(told[3]) > 1
    assert output.read_bytes() == b"what stood here before"
    for_the_next_run = {".fine.tif.part.tif", ".fine.tif.journal"}
    assert {path.name for path in output.parent.iterdir()} == {"fine.tif", *for_the_next_run}


def test_a_cancelled_run_is_gone_within_two_seconds_and_leaves_nothing(in_qgis, long_run):
    head, output = long_run
    told = in_qgis(
        head
        + """
    feedback.cancel()
    while engines() and time.monotonic() - started < 20:
        time.sleep(0.01)
    took_s = time.monotonic() - started
    worker.join(20)
    answer([outcome, took_s, names, list(context.layersToLoadOnCompletion())])
    """
    )
    assert told[0] == {"results": {}} and told[3] == []
    assert told[1] < 2.0 and len(told[2]) > 1
    assert output.read_bytes() == b"what stood here before"
    assert [path.name for path in output.parent.iterdir()] == ["fine.tif"]


def test_result_layers_are_named_and_styled(in_qgis, dem, field):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values = {{"INPUT": {str(dem)!r}, "MODEL": {str(field)!r}, "VOIDS": "fill", "OUTPUT": "TEMPORARY_OUTPUT",
                  "DIFFERENCE": "TEMPORARY_OUTPUT", "UNCERTAINTY": "TEMPORARY_OUTPUT",
                  "PROVENANCE": "TEMPORARY_OUTPUT"}}
        processing.runAndLoadResults({ID!r}, values, context=context)
        found = {{}}
        for layer in QgsProject.instance().mapLayers().values():
            drawn = layer.renderer()
            ends = [drawn.classificationMin(), drawn.classificationMax()] if "pseudo" in drawn.type() else []
            labels = [one.label for one in drawn.classes()] if drawn.type() == "paletted" else []
            found[layer.name()] = [drawn.type(), layer.hueSaturationFilter().colorizeOn(), ends, labels]
        answer(found)
    """)
    assert told["dem super-resolved"][:2] == ["hillshade", True]
    assert told["dem added detail"][:2] == ["singlebandpseudocolor", False]
    assert sum(told["dem added detail"][2]) == 0
    assert told["dem uncertainty (90 %)"][0] == "singlebandpseudocolor"
    assert told["dem uncertainty (90 %)"][2][0] == 0 < told["dem uncertainty (90 %)"][2][1]
    assert told["dem provenance"][0] == "paletted"
    assert told["dem provenance"][3] == ["measured", "filled", "no-data"]
