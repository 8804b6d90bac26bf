"""*Compare DEMs* in the real QGIS: numbers and files, gdaldem as a second opinion, layers, refusals, models, cancel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:comparedem"
BAD = {
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
    "BAND=0": "Band is 0; it must be a number from 1",
    "REFERENCE_BAND=2": "band 2",
    "INPUT={folder}/nothing.tif": "Input DEM is {folder}/nothing.tif, which is no raster that can be read",
    "REFERENCE={folder}/nothing.tif": "Reference DEM is {folder}/nothing.tif, which is no raster that can be read",
    "COARSE={folder}/nothing.tif": "Coarse DEM is {folder}/nothing.tif, which is no raster that can be read",
    "DIFFERENCE={dem}": "is also an input; choose another name for the difference.",
    "OUTPUT={folder}/report.pdf": "must end in .html or .htm; rename it.",
    "TABLE={folder}/table.xls": "must end in .json or .csv; rename it.",
    "SCHEDULER=node1": "Scheduler is 'node1'; it must be an address such as tcp://host:8786, or an existing",
    "SCHEDULER=tcp://127.0.0.1:9": "The Dask scheduler tcp://127.0.0.1:9 cannot be reached",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


@pytest.fixture
def rough_dem(dem, tmp_path):
    """The DEM with 2 m more, noise of 1 m, and its hole."""
    heights, file = read(dem)
    noisy = np.where(heights == -9999, -9999, heights + 2 + np.random.default_rng(1).normal(size=heights.shape))
    path = tmp_path / "rough.tif"
    copy = gdal.GetDriverByName("GTiff").CreateCopy(str(path), file)
    copy.GetRasterBand(1).WriteArray(noisy.astype("float32"))
    del copy
    return path


def arguments(found, truth, *more):
    values = {"INPUT": found, "REFERENCE": truth, **dict(one.split("=", 1) for one in more)}
    return [f"{name}={value}" for name, value in values.items()]


def test_figures_agree_with_gdaldem_and_files_are_written(qgis_process, dem, rough_dem, tmp_path):
    wanted = {"OUTPUT": "r.html", "DIFFERENCE": "d.tif", "SLOPE_DIFFERENCE": "s.tif", "TABLE": "t.csv"}
    more = [f"{name}={tmp_path / file}" for name, file in wanted.items()]
    run = qgis_process("--json", "run", ID, "--", *arguments(rough_dem, dem, *more))
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    (found, _), (truth, _) = read(rough_dem), read(dem)
    errors = (found - truth)[truth != -9999]
    assert results["CELLS"] == errors.size
    assert results["RMSE"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert results["BIAS"] == pytest.approx(errors.mean(), rel=1e-5)
    assert results["LE90"] == pytest.approx(np.quantile(np.abs(errors), 0.9), rel=0.01)
    slopes, aspects = ([gdaldem(path, kind) for path in (rough_dem, dem)] for kind in ("slope", "aspect"))
    known = (slopes[0] != -9999) & (slopes[1] != -9999)
    steps = (slopes[0] - slopes[1])[known]
    assert results["SLOPE_RMSE"] == pytest.approx(
        np.sqrt(np.mean(steps**2)), rel=1e-3
    )  # gdaldem takes UTM metres for true ones
    steep = known & (slopes[1] > 2)
    turned = (aspects[0] - aspects[1] + 180) % 360 - 180
    assert results["ASPECT_RMSE"] == pytest.approx(np.sqrt(np.mean(turned[steep] ** 2)), rel=1e-3)
    assert results["ASPECT_MAE"] == pytest.approx(np.mean(np.abs(turned[steep])), rel=1e-3)
    written, file = read(tmp_path / "s.tif")
    assert np.allclose(written[known], steps, atol=0.01) and np.all(written[~known] == -9999)
    assert file.GetRasterBand(1).GetUnitType() == "degree"
    assert file.GetGeoTransform() == read(dem)[1].GetGeoTransform()
    assert np.allclose(read(tmp_path / "d.tif")[0][truth != -9999], errors, atol=1e-3)
    assert results["OUTPUT"] == str(tmp_path / "r.html") and "rough.tif against dem.tif" in (
        tmp_path / "r.html"
    ).read_text("utf-8")
    assert (tmp_path / "t.csv").read_text("utf-8").startswith("measure,from,to,name,value")
    assert "COVERAGE" not in results and "CONSISTENCY_MAX" not in results


def gdaldem(path, kind) -> np.ndarray:
    """What gdaldem makes of a raster, in memory; its outer ring is unknown."""
    made = gdal.DEMProcessing("", str(path), kind, format="MEM")
    return made.ReadAsArray().astype(float)


def test_only_figures_can_be_asked_for(qgis_process, dem, rough_dem, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    run = qgis_process("--json", "run", ID, "--", *arguments(rough_dem, dem, f"COARSE={dem}", f"UNCERTAINTY={dem}"))
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    assert results["COVERAGE"] == 1 and results["CONSISTENCY_MAX"] > 2 and results["BAND"] > 400
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".aux.xml")} == before


@pytest.mark.parametrize("extra", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, dem, rough_dem, tmp_path, extra):
    places = {"dem": dem, "folder": tmp_path}
    before = dem.read_bytes()
    run = qgis_process("run", ID, "--", *arguments(rough_dem, dem, extra.format(**places)))
    assert_refused(run, BAD[extra].format(**places))
    assert dem.read_bytes() == before


def test_a_missing_reference_is_named(qgis_process, assert_refused, dem):
    assert_refused(qgis_process("run", ID, "--", f"INPUT={dem}"), "REFERENCE: Reference DEM")


def test_dems_of_other_places_are_refused(qgis_process, assert_refused, dem, tmp_path):
    away = tmp_path / "away.tif"
    gdal.Translate(str(away), str(dem), outputBounds=(700000, 5200000, 700900, 5199280))
    run = qgis_process("run", ID, "--", *arguments(dem, away, f"DIFFERENCE={tmp_path / 'd.tif'}"))
    assert_refused(run, "do not overlap; choose DEMs of the same ground")
    assert not (tmp_path / "d.tif").exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, dem, rough_dem, tmp_path):
    model = save_model(ID, {"INPUT": str(rough_dem), "REFERENCE": str(dem)}, {"DIFFERENCE": "error"})
    run = qgis_process("run", model, "--", f"step:error={tmp_path / 'error.tif'}")
    assert run.returncode == 0, run.stderr
    assert read(tmp_path / "error.tif")[0].shape == (24, 30)


def test_layers_are_named_and_styled_and_what_was_set_on_both_counts(in_qgis, write_dem, rough_dem, tmp_path):
    plain = write_dem(tmp_path / "plain.tif", epsg=0, nodata=None)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        reference = QgsRasterLayer({str(plain)!r}, "truth")
        reference.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        reference.dataProvider().setUserNoDataValue(1, [QgsRasterRange(530.0, 1e9)])
        QgsProject.instance().addMapLayer(reference)
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values = {{"INPUT": {str(rough_dem)!r}, "REFERENCE": reference, "OUTPUT": "TEMPORARY_OUTPUT",
                  "DIFFERENCE": "TEMPORARY_OUTPUT", "SLOPE_DIFFERENCE": "TEMPORARY_OUTPUT"}}
        found = processing.runAndLoadResults({ID!r}, values, context=context)
        layers = [layer for layer in QgsProject.instance().mapLayers().values() if layer.id() != reference.id()]
        page = open(found["OUTPUT"], encoding="utf-8").read()
        answer([found["CELLS"], sorted([layer.name(), layer.renderer().type()] for layer in layers),
                "has no CRS" in page])
    """)
    heights, _ = read(plain)
    holes = np.zeros(heights.shape, bool)
    holes[2:5, 2:5] = True
    assert told[0] == ((heights < 530) & ~holes).sum()
    assert told[1] == [["rough error", "singlebandpseudocolor"], ["rough slope error", "singlebandpseudocolor"]]
    assert told[2] is False
