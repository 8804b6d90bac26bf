"""*Fit a continuous elevation model to points* in the real QGIS: files, layers, meshes, refusals, models, batches.

A start of QGIS takes longer than a small surface, so each test does as much as it can in one.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest
from osgeo import gdal, ogr

ID = "neuralterrain:fitsurface"
BAD = {
    "INPUT=": "No points were given; choose a point layer, a LAS or LAZ file, or a TIN.",
    "INPUT={folder}/nothing.gpkg": "Points is {folder}/nothing.gpkg, which is no vector layer that can be read",
    "LAS={folder}/nothing.las": "Both a point layer and a point cloud were given",
    "CLASSES=ground": "Classes is 'ground'; give numbers with commas",
    "TIN={folder}/nothing.ply": "TIN is {folder}/nothing.ply, which is no mesh that can be read",
    "HOLD_OUT=0": "Points to hold out is 0.0 %; it must be a number from 1 to 50",
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


def errors(path, up: float = 0.0) -> np.ndarray:
    """Cells of a DEM minus the ground."""
    file = gdal.Open(str(path))
    west, size, _, north, _, _ = file.GetGeoTransform()
    cells = file.GetRasterBand(1).ReadAsArray()
    rows, cols = np.nonzero(cells != file.GetRasterBand(1).GetNoDataValue())
    x, y = west + (cols + 0.5) * size - 600_000, 5_200_000 - north + (rows + 0.5) * size
    return cells[rows, cols] - height(x, y) - up


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


def mesh(path) -> None:
    """A TIN of the ground in the 2DM format, which has no place for a CRS."""
    side = np.linspace(0, 60, 25)
    x, y = (at.ravel() for at in np.meshgrid(side, side))
    nodes = [f"ND {n + 1} {600_000 + x[n]} {5_200_000 - y[n]} {height(x[n], y[n])}" for n in range(x.size)]
    corners = [(a, a + 1, a + 25) for a in range(1, 600) if a % 25] + [(a + 1, a + 26, a + 25)
                                                                      for a in range(1, 600) if a % 25]  # fmt: skip
    faces = [f"E3T {n + 1} {a} {b} {c} 1" for n, (a, b, c) in enumerate(corners)]
    path.write_text("\n".join(["MESH2D", *nodes, *faces]) + "\n")


def test_points_become_a_surface_that_other_tools_ask(in_qgis, points, tmp_path):
    bad = {"INPUT": str(points), "REPORT": str(tmp_path / "none" / "r.html"), "OUTPUT": str(tmp_path / "no.tif")}
    found, fine, said = in_qgis(f"""
        import processing
        from qgis.core import *
        folder, feedback, said = {str(tmp_path)!r}, QgsProcessingFeedback(False), ""
        values = {{"INPUT": folder + "/points.gpkg", "REPORT": folder + "/r.html", "OUTPUT": folder + "/s.tif"}}
        found = processing.run({ID!r}, values)
        finer = {{"INPUT": folder + "/s.tif", "SCALE": 3, "OUTPUT": folder + "/fine.tif"}}
        fine = processing.run("neuralterrain:superresolve", finer)
        try:
            processing.run({ID!r}, {bad!r}, feedback=feedback)
        except QgsProcessingException as error:
            said = feedback.textLog() + str(error)
        answer([found, fine, said])
    """)
    assert found["POINT_COUNT"] == 1200 and found["RMSE"] < 0.5 * found["TIN_RMSE"] and abs(found["BIAS"]) < 0.02
    file = gdal.Open(str(tmp_path / "s.tif"))
    assert file.RasterCount == 3 and "UTM zone 32N" in file.GetProjection()
    assert [file.RasterYSize, file.RasterXSize] == [found["ROWS"], found["COLUMNS"]]
    assert file.GetGeoTransform()[1] == found["CELL_SIZE_USED"] and fine["ROWS"] == 3 * found["ROWS"]
    assert "linear TIN" in (tmp_path / "r.html").read_text("utf-8")
    for name in ("s", "fine"):
        assert np.sqrt(np.mean(errors(tmp_path / f"{name}.tif") ** 2)) < 0.15, name
    assert "none does not exist; make it or choose another for r.html" in said and "Traceback" not in said, said
    assert not (tmp_path / "no.tif").exists()


def test_clouds_and_meshes_become_surfaces(in_qgis, tmp_path):
    x, y = np.random.default_rng(2).uniform(0, 60, (2, 1500))
    kinds = np.where(np.arange(1500) % 3 == 0, 5, 2)
    las(tmp_path / "cloud.las", 600_000 + x, 5_200_000 - y, height(x, y) + np.where(kinds == 5, 8, 0), kinds)
    mesh(tmp_path / "tin.2dm")
    cloud, tin = in_qgis(f"""
        import processing
        from qgis.core import *
        folder = {str(tmp_path)!r}
        cloud = processing.run({ID!r}, {{"LAS": folder + "/cloud.las", "OUTPUT": folder + "/cloud.tif"}})
        layer = QgsMeshLayer(folder + "/tin.2dm", "tin", "mdal")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        QgsProject.instance().addMapLayer(layer)
        tin = processing.run({ID!r}, {{"TIN": layer.id(), "OUTPUT": folder + "/tin.tif"}})
        answer([cloud, tin])
    """)
    for name in ("cloud", "tin"):
        assert np.sqrt(np.mean(errors(tmp_path / f"{name}.tif") ** 2)) < 0.15, name
    assert (cloud["POINT_COUNT"], tin["POINT_COUNT"]) == (1000, 625)
    assert "UTM zone 32N" in gdal.Open(str(tmp_path / "tin.tif")).GetProjection()


def test_bad_input_is_told_before_anything_runs(assert_told, points, tmp_path):
    assert_told(ID, {"INPUT": str(points), "OUTPUT": str(tmp_path / "s.tif")}, BAD, folder=tmp_path, points=points)


def test_it_works_as_a_step_of_a_saved_model_and_a_bad_step_is_refused(
    qgis_process, save_model, assert_refused, points, tmp_path
):
    model = save_model(ID, {"INPUT": str(points), "FIELD": "level", "CELL_SIZE": 2}, {"OUTPUT": "ground"})
    out, before = tmp_path / "m.tif", points.stat().st_size
    run = qgis_process("run", model, "--", f"step:ground={out}")
    assert run.returncode == 0, run.stderr
    assert gdal.Open(str(out)).GetGeoTransform()[1] == 2 and abs(np.mean(errors(out, 1))) < 0.05
    model.write_text(model.read_text("utf-8").replace('value="level"', 'value="depth"'), "utf-8")
    assert_refused(qgis_process("run", model, "--", f"step:ground={tmp_path / 'no.tif'}"), "has no attribute 'depth'")
    assert points.stat().st_size == before and not (tmp_path / "no.tif").exists()


def test_the_selection_of_a_layer_in_memory_counts(in_qgis, points):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        file = QgsVectorLayer({str(points)!r}, "survey", "ogr")
        layer = file.materialize(QgsFeatureRequest())
        QgsProject.instance().addMapLayer(layer)
        layer.selectByExpression("$id <= 300")
        chosen = QgsProcessingFeatureSourceDefinition(layer.id(), True)
        made = processing.run({ID!r}, {{"INPUT": chosen, "FIELD": "level", "OUTPUT": "TEMPORARY_OUTPUT"}})
        raster = QgsRasterLayer(made["OUTPUT"], "r")
        answer([made["POINT_COUNT"], raster.isValid(), raster.crs().authid(), raster.bandCount()])
    """)
    assert told == [300, True, "EPSG:32632", 3]
