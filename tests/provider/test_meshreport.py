"""*Mesh report* in the real QGIS: verdicts on good and bad meshes, known errors, layers, models, refusals."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:meshreport"
MESH = "neuralterrain:terrainmesh"
BAD = {
    "INPUT={folder}/nothing.nc": "Mesh is {folder}/nothing.nc, which is no mesh that can be read",
    "DEM={folder}/nothing.tif": "DEM is {folder}/nothing.tif, which is no raster that can be read",
    "OUTPUT={folder}/report.pdf": "must end in .html or .htm; rename it.",
    "TABLE={folder}/table.xls": "must end in .json or .csv; rename it.",
    "ERROR_RASTER={dem}": "is also an input; choose another name for the error raster.",
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


def results(run):
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def write_mesh(path, heights, faces=None):
    """A 2DM with a vertex at every cell centre of the DEM; the lower left half of each square comes first."""
    rows, cols = heights.shape
    lines = ["MESH2D"]
    for number, (row, col) in enumerate(np.ndindex(rows, cols), 1):
        lines.append(f"ND {number} {600015 + 30 * col} {5199985 - 30 * row} {float(heights[row, col])!r}")
    starts = [row * cols + col + 1 for row in range(rows - 1) for col in range(cols - 1)]
    made = [(a, a + cols, a + cols + 1) for a in starts] + [(a, a + cols + 1, a + 1) for a in starts]
    for number, (a, b, c) in enumerate(made if faces is None else faces(made), 1):
        lines.append(f"E3T {number} {a} {b} {c} 1")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


@pytest.fixture
def full(write_dem, tmp_path):
    """The DEM without its hole, and its heights."""
    path = write_dem(tmp_path / "full.tif", nodata=None)
    return path, read(path)[0]


@pytest.fixture
def noisy(full, tmp_path):
    """A mesh of that DEM with known errors."""
    errors = np.random.default_rng(1).normal(size=full[1].shape)
    return write_mesh(tmp_path / "noisy.2dm", full[1] + errors), errors


def test_figures_agree_with_known_errors_and_files_are_written(qgis_process, full, noisy, tmp_path):
    wanted = {"OUTPUT": "r.html", "TABLE": "t.csv", "ERROR_RASTER": "e.tif"}
    more = [f"{name}={tmp_path / file}" for name, file in wanted.items()]
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={noisy[0]}", f"DEM={full[0]}", *more))
    errors = noisy[1]
    assert told["RMSE"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)
    assert told["LARGEST_ERROR"] == pytest.approx(np.abs(errors).max(), rel=1e-6)
    assert told["MEAN_ERROR"] == pytest.approx(errors.mean(), rel=1e-6) and told["COVERED_SHARE"] == 1
    assert told["LARGEST_ERROR_BETWEEN"] >= told["LARGEST_ERROR"] and told["SMALLEST_ANGLE"] == pytest.approx(45)
    assert (told["SEAMS"], told["BORDERS"], told["EULER"], told["TRIANGLES"]) == (0, 1, 1, 2 * 23 * 29)
    assert told["VERDICT"].startswith("The mesh is a sound surface") and "states no bound" in told["VERDICT"]
    written, file = read(tmp_path / "e.tif")
    assert np.allclose(written, errors, atol=1e-3)
    assert file.GetGeoTransform() == read(full[0])[1].GetGeoTransform()
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "noisy.2dm against full.tif" in page and not re.search(r"https?://|<script", page)
    assert (tmp_path / "t.csv").read_text("utf-8").startswith("part,name,value")


def test_a_terrain_mesh_keeps_the_bound_that_its_file_states(qgis_process, dem, tmp_path):
    made = tmp_path / "mesh.nc"
    results(qgis_process("--json", "run", MESH, "--", f"INPUT={dem}", "MAX_ERROR=2.5", f"OUTPUT={made}"))
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={made}", f"DEM={dem}"))
    assert "The bound of 2.5 m that the file states is kept" in told["VERDICT"] and told["LARGEST_ERROR"] <= 2.5
    assert told["SEAMS"] == told["TURNED"] == told["DUPLICATES"] == 0 and told["COVERED_SHARE"] == 1


def test_a_broken_mesh_is_called_broken_without_a_dem(qgis_process, full, tmp_path):
    """A triangle less, one turned over, one twice."""
    mesh = write_mesh(tmp_path / "broken.2dm", full[1], lambda f: [f[0][::-1], *f[1:300], *f[301:], f[500]])
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={mesh}", f"OUTPUT={tmp_path / 'r.html'}"))
    assert told["VERDICT"].startswith("The mesh is not sound: it has") and told["SEAMS"] > 0
    assert told["TURNED"] == 1 and told["BORDERS"] >= 2 and "RMSE" not in told and "COVERED_SHARE" not in told


def test_bad_input_is_told_before_anything_runs(assert_told, full, noisy, tmp_path):
    assert_told(ID, {"INPUT": str(noisy[0]), "DEM": str(full[0])}, BAD, folder=tmp_path, dem=full[0])


def test_what_only_the_engine_sees_ends_in_a_sentence_too(qgis_process, assert_refused, full, noisy):
    run = qgis_process("run", ID, "--", f"INPUT={noisy[0]}", f"DEM={full[0]}", "CRS=EPSG:32633")
    assert_refused(run, "The mesh is in EPSG:32633, the DEM in EPSG:32632; reproject")


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, full, noisy, tmp_path):
    model = save_model(ID, {"INPUT": str(noisy[0]), "DEM": str(full[0])}, {"ERROR_RASTER": "error"})
    run = qgis_process("run", model, "--", f"step:error={tmp_path / 'error.tif'}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert np.allclose(read(tmp_path / "error.tif")[0], noisy[1], atol=1e-3)


def test_what_was_set_on_the_layers_counts_and_results_are_named_and_styled(in_qgis, full, noisy, tmp_path):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        mesh = QgsMeshLayer({str(noisy[0])!r}, "hills", "mdal")
        mesh.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        dem = QgsRasterLayer({str(full[0])!r}, "truth")
        dem.dataProvider().setUserNoDataValue(1, [QgsRasterRange(530.0, 1e9)])
        QgsProject.instance().addMapLayers([mesh, dem])
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values = {{"INPUT": mesh, "DEM": dem, "OUTPUT": "TEMPORARY_OUTPUT", "ERROR_RASTER": "TEMPORARY_OUTPUT"}}
        found = processing.runAndLoadResults({ID!r}, values, context=context)
        known = {{mesh.id(), dem.id()}}
        layers = [one for one in QgsProject.instance().mapLayers().values() if one.id() not in known]
        page = open(found["OUTPUT"], encoding="utf-8").read()
        figures = [found["COVERED_SHARE"], found["RMSE"]]
        answer([*figures, [[one.name(), one.renderer().type()] for one in layers], "has no CRS" in page])
    """)
    low = full[1] < 530
    assert told[0] == 1
    assert told[1] == pytest.approx(np.sqrt(np.mean(noisy[1][low] ** 2)), rel=1e-6)
    assert told[2:] == [[["noisy error", "singlebandpseudocolor"]], False]
