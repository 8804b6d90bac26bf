"""*Fit a continuous elevation model to points* in the real QGIS: files, layers, refusals, models, batches."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from osgeo import gdal, ogr

ID = "neuralterrain:fitsurface"
BAD = {
    "INPUT=": "No points were given; choose a point layer or a LAS or LAZ file",
    "INPUT={folder}/nothing.gpkg": "Points is {folder}/nothing.gpkg, which is no vector layer that can be read",
    "LAS={folder}/nothing.las": "Both a point layer and a point cloud were given",
    "FIELD=depth": "has no attribute 'depth'; it has",
    "CLASSES=ground": "Classes is 'ground'; give numbers with commas",
    "CELL_SIZE=0.01": "apart on average; give at least",
    "HOLD_OUT=0": "Hold out is 0.0 %; it must be a number from 1 to 50",
    "EXTENT=0,1,0,1": "holds none of the points; choose another",
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
    "BREAKLINES={points}": "a layer of points; choose a layer of lines",
    "OUTPUT={points}": "must end in .tif or .tiff; rename it.",
}


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 200 + 5 * np.sin(x / 9) * np.cos(y / 11) + 0.1 * x


@pytest.fixture
def points(tmp_path):
    """A layer of points with z and the attribute ``level``, one metre higher."""
    path = tmp_path / "points.gpkg"
    reference = ogr.osr.SpatialReference()
    reference.ImportFromEPSG(32632)
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("survey", reference, ogr.wkbPoint25D)
    layer.CreateField(ogr.FieldDefn("level", ogr.OFTReal))
    layer.StartTransaction()
    for x, y in np.random.default_rng(1).uniform(0, 60, (1200, 2)):
        feature = ogr.Feature(layer.GetLayerDefn())
        point = ogr.Geometry(ogr.wkbPoint25D)
        point.AddPoint(600_000 + x, 5_200_000 - y, float(height(x, y)))
        feature.SetGeometry(point)
        feature["level"] = float(height(x, y)) + 1
        layer.CreateFeature(feature)
    layer.CommitTransaction()
    del layer, file
    return path


def results(run) -> dict:
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def errors(path, up: float = 0.0) -> np.ndarray:
    """Cells of a DEM minus the ground."""
    file = gdal.Open(str(path))
    west, size, _, north, _, _ = file.GetGeoTransform()
    cells = file.GetRasterBand(1).ReadAsArray()
    rows, cols = np.nonzero(cells != file.GetRasterBand(1).GetNoDataValue())
    x, y = west + (cols + 0.5) * size - 600_000, 5_200_000 - north + (rows + 0.5) * size
    return cells[rows, cols] - height(x, y) - up


def test_points_become_a_surface_that_other_tools_ask(qgis_process, points, tmp_path):
    out, page, fine = tmp_path / "s.tif", tmp_path / "r.html", tmp_path / "fine.tif"
    run = qgis_process("--json", "run", ID, "--", f"INPUT={points}", f"OUTPUT={out}", f"REPORT={page}")
    found = results(run)
    assert found["POINT_COUNT"] == 1200 and found["RMSE"] < 0.5 * found["TIN_RMSE"] and abs(found["BIAS"]) < 0.02
    file = gdal.Open(str(out))
    assert file.RasterCount == 3 and "UTM zone 32N" in file.GetProjection()
    assert [file.RasterYSize, file.RasterXSize] == [found["ROWS"], found["COLUMNS"]]
    assert file.GetGeoTransform()[1] == found["CELL_SIZE_USED"]
    assert np.sqrt(np.mean(errors(out) ** 2)) < 0.15
    assert "linear TIN" in page.read_text("utf-8")
    run = qgis_process("--json", "run", "neuralterrain:superresolve", "--", f"INPUT={out}", "SCALE=3", f"OUTPUT={fine}")
    assert results(run)["ROWS"] == 3 * found["ROWS"]
    assert np.sqrt(np.mean(errors(fine) ** 2)) < 0.15


def las(path, x: np.ndarray, y: np.ndarray, z: np.ndarray, kinds: np.ndarray) -> None:
    """A LAS 1.2 file of point format 0, written byte by byte as its specification says."""
    scale, offset = (0.001,) * 3, (600_000.0, 5_199_000.0, 0.0)
    header = struct.pack(
        "<4sHHIHH8sBB32s32sHHHIIBHI5I12d", b"LASF", 0, 0, 0, 0, 0, b"", 1, 2, b"", b"test", 1, 2026, 227, 227, 0, 0,
        20, x.size, x.size, 0, 0, 0, 0, *scale, *offset, x.max(), x.min(), y.max(), y.min(), z.max(), z.min(),
    )  # fmt: skip
    points = np.zeros(x.size, [("place", "<i4", 3), ("intensity", "<u2"), ("flags", "u1"), ("class", "u1"),
                               ("more", "u1", 4)])  # fmt: skip
    for axis, values in enumerate((x, y, z)):
        points["place"][:, axis] = np.round((values - offset[axis]) / 0.001)
    points["flags"], points["class"] = 9, kinds
    path.write_bytes(header + points.tobytes())


def test_ground_of_a_las_file_counts(qgis_process, tmp_path):
    x, y = np.random.default_rng(2).uniform(0, 60, (2, 1500))
    kinds = np.where(np.arange(1500) % 3 == 0, 5, 2)
    path, out = tmp_path / "cloud.las", tmp_path / "s.tif"
    las(path, 600_000 + x, 5_200_000 - y, height(x, y) + np.where(kinds == 5, 8, 0), kinds)
    found = results(qgis_process("--json", "run", ID, "--", f"LAS={path}", f"OUTPUT={out}"))
    assert found["POINT_COUNT"] == 1000 and np.sqrt(np.mean(errors(out) ** 2)) < 0.15
    found = results(qgis_process("--json", "run", ID, "--", f"LAS={path}", "CLASSES=2, 5", f"OUTPUT={out}"))
    assert found["POINT_COUNT"] == 1500


@pytest.mark.parametrize("extra", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_1(qgis_process, assert_refused, points, tmp_path, extra):
    places = {"folder": tmp_path, "points": points}
    before = points.stat().st_size
    values = {"INPUT": points, "OUTPUT": tmp_path / "s.tif", **dict([extra.format(**places).split("=", 1)])}
    run = qgis_process("run", ID, "--", *(f"{name}={value}" for name, value in values.items()))
    assert_refused(run, BAD[extra].format(**places))
    assert points.stat().st_size == before and not (tmp_path / "s.tif").exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, points, tmp_path):
    model = save_model(ID, {"INPUT": str(points), "FIELD": "level", "CELL_SIZE": 2}, {"OUTPUT": "ground"})
    out = tmp_path / "m.tif"
    run = qgis_process("run", model, "--", f"step:ground={out}")
    assert run.returncode == 0, run.stderr
    assert gdal.Open(str(out)).GetGeoTransform()[1] == 2 and abs(np.mean(errors(out, 1))) < 0.05


def test_a_bad_step_of_a_model_says_what_is_wrong(qgis_process, save_model, assert_refused, points, tmp_path):
    model = save_model(ID, {"INPUT": str(points), "HOLD_OUT": 90}, {"OUTPUT": "ground"})
    assert_refused(qgis_process("run", model, "--", f"step:ground={tmp_path / 'm.tif'}"), "Hold out is 90.0 %")


def test_batches_and_layers_in_memory_with_a_selection_count(in_qgis, points):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        file = QgsVectorLayer({str(points)!r}, "survey", "ogr")
        layer = file.materialize(QgsFeatureRequest())
        QgsProject.instance().addMapLayer(layer)
        found = []
        for most in (300, 600):
            layer.selectByExpression(f"$id <= {{most}}")
            chosen = QgsProcessingFeatureSourceDefinition(layer.id(), True)
            made = processing.run({ID!r}, {{"INPUT": chosen, "FIELD": "level", "OUTPUT": "TEMPORARY_OUTPUT"}})
            raster = QgsRasterLayer(made["OUTPUT"], "r")
            found.append([made["POINT_COUNT"], raster.isValid(), raster.crs().authid(), raster.bandCount()])
        answer(found)
    """)
    assert told == [[300, True, "EPSG:32632", 3], [600, True, "EPSG:32632", 3]]
