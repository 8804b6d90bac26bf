"""Mesh files of the engine in QGIS's own reader (MDAL): place, CRS, sizes, datasets, values at a point."""

from __future__ import annotations

import os
import subprocess

import pytest

ENGINE = """
import sys
import numpy as np, pyproj
from neural_terrain.core import mesh_files
from neural_terrain.core.triangles import Triangles
folder, crs, spacing = sys.argv[1], sys.argv[2], float(sys.argv[3])
columns, rows = (grid.ravel() * 1.0 for grid in np.meshgrid(np.arange(9), np.arange(7)))
height = 100 + 3 * columns - 5 * rows
vertices = np.column_stack([10 + spacing * columns, 50 - spacing * rows, 2 * height])
n = np.arange(63).reshape(7, 9)
a, b, c, d = (part.ravel() for part in (n[:-1, :-1], n[:-1, 1:], n[1:, :-1], n[1:, 1:]))
faces = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])]).astype(np.int32)
error = columns - 2.5
error[4] = np.nan
mesh = Triangles(
    vertices, faces, {"elevation": height, "error": error},
    {"error": np.arange(96.0), "slope": np.arange(96.0) / 2}, crs=pyproj.CRS(crs).to_wkt(sys.argv[4]),
    z_factor=2.0, units={"slope": "degree"},
)
for form in mesh_files.TERRAIN:
    mesh_files.write(f"{folder}/mesh{mesh_files.ENDINGS[form]}", mesh, form)
"""

SCRIPT = """
from qgis.core import QgsMeshDatasetIndex, QgsMeshLayer, QgsPointXY
import qgis.core
found = {}
for ending in ("nc", "ply", "2dm"):
    layer = QgsMeshLayer(f"FOLDER/mesh.{ending}", "mesh", "mdal")
    provider = layer.dataProvider()
    layer.updateTriangularMesh()
    extent = layer.extent()
    groups = {}
    for number in range(provider.datasetGroupCount()):
        index = QgsMeshDatasetIndex(number, 0)
        about = provider.datasetGroupMetadata(index)
        place = QgsPointXY(10 + SPACING * 2.25, 50 - SPACING * 3.125)
        kind = "vertex" if about.dataType() == about.DataType.DataOnVertices else "face"
        value = layer.datasetValue(index, place).scalar()
        groups[f"{about.name()} {kind}"] = [about.minimum(), about.maximum(), value]
    found[ending] = {
        "valid": layer.isValid(), "crs": layer.crs().authid(), "known": layer.crs().isValid(),
        "name": layer.crs().description(), "vertices": provider.vertexCount(), "faces": provider.faceCount(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()], "groups": groups,
    }
answer(found)
"""

OWN = "+proj=lcc +lat_0=34.25 +lon_0=-118.5 +lat_1=34 +lat_2=34.5 +x_0=20000 +y_0=10000 +ellps=GRS80 +units=us-ft"


@pytest.mark.parametrize(
    ("crs", "spacing", "wkt", "authid"),
    [
        ("EPSG:32611", 30.0, "WKT2_2019", "EPSG:32611"),
        ("EPSG:4326", 0.01, "WKT2_2019", "EPSG:4326"),
        ("EPSG:2229", 100.0, "WKT1_GDAL", "EPSG:2229"),
        (OWN, 25.0, "WKT2_2019", ""),
    ],
    ids=["projected", "geographic", "feet, older text", "without a code"],
)
def test_qgis_opens_meshes_at_the_right_place(in_qgis, tmp_path, crs, spacing, wkt, authid):
    command = [os.environ["NEURAL_TERRAIN_PYTHON"], "-c", ENGINE, str(tmp_path), crs, str(spacing), wkt]
    subprocess.run(command, env={"PYTHONPATH": os.environ["QGIS_PLUGINPATH"]}, check=True)
    found = in_qgis(SCRIPT.replace("FOLDER", str(tmp_path)).replace("SPACING", repr(spacing)))
    height = 100 + 3 * 2.25 - 5 * 3.125
    for ending, mesh in found.items():
        assert mesh["valid"], ending
        assert (mesh["vertices"], mesh["faces"]) == (63, 96)
        assert mesh["extent"] == pytest.approx([10, 50 - 6 * spacing, 10 + 8 * spacing, 50], abs=1e-9)
        assert mesh["groups"]["Bed Elevation vertex"] == pytest.approx([140, 248, 2 * height])
    for ending, crossed in (("nc", "error of faces face"), ("ply", "error face")):
        mesh = found[ending]
        assert mesh["known"]
        assert mesh["crs"] == authid or not authid
        groups = mesh["groups"]
        assert set(groups) == {"Bed Elevation vertex", "elevation vertex", "error vertex", "slope face", crossed}
        assert groups["elevation vertex"] == pytest.approx([70, 124, height])
        assert groups["error vertex"] == pytest.approx([-2.5, 5.5, -0.25])
        assert groups["slope face"][:2] == [0, 47.5]
        assert groups[crossed][:2] == [0, 95]
        assert groups["slope face"][2] == groups[crossed][2] / 2
    assert not found["2dm"]["known"]
