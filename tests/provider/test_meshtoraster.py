"""*Mesh to raster* in the real QGIS: heights of a known mesh, a round trip in a model, layers, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal

ID = "neuralterrain:meshtoraster"
MESH = "neuralterrain:terrainmesh"
WEST, NORTH, SIDE = 600015.0, 5199985.0, 90.0
BAD = {
    "INPUT={folder}/nothing.nc": "Mesh is {folder}/nothing.nc, which is no mesh that can be read",
    "CELL_SIZE=0": "Cell size is 0.0; it must be a number from",
    "CRS=EPSG:1": "The CRS of the mesh is 'EPSG:1', which QGIS does not know",
    "GRID={folder}/nothing.tif": "Target grid is {folder}/nothing.tif, which is no raster that can be read",
    "OUTPUT={folder}/x.png": "must end in .tif",
    "COMPRESSION=ZIP": "Compression is 'ZIP'; it can be ZSTD",
}


def read(path):
    file = gdal.Open(str(path))
    return file.ReadAsArray().astype(float), file


def height(x, y):
    """A plane that triangles follow exactly."""
    return 500 + 0.2 * (x - 600000) + 0.1 * (y - 5199000)


@pytest.fixture
def mesh(tmp_path):
    """A 2DM of 4 x 5 squares on a plane, one of them missing; 2DM knows no CRS."""
    places = [(WEST + SIDE * col, NORTH - SIDE * row) for row in range(5) for col in range(6)]
    lines = [f"ND {number} {x} {y} {height(x, y)}" for number, (x, y) in enumerate(places, 1)]
    squares = [row * 6 + col + 1 for row in range(4) for col in range(5) if (row, col) != (1, 2)]
    corners = [(a, a + 6, a + 7, 1) for a in squares] + [(a, a + 7, a + 1, 1) for a in squares]
    lines += [f"E3T {number} {a} {b} {c} {d}" for number, (a, b, c, d) in enumerate(corners, 1)]
    path = tmp_path / "plane.2dm"
    path.write_text("\n".join(["MESH2D", *lines, ""]), encoding="utf-8")
    return path


def results(run):
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def test_a_known_mesh_has_its_heights_at_the_cells(qgis_process, mesh, tmp_path):
    out = tmp_path / "out.tif"
    more = ["CELL_SIZE=30", "CRS=EPSG:32632", "NODATA=-1", "COMPRESSION=DEFLATE"]
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={mesh}", *more, f"OUTPUT={out}"))
    heights, file = read(out)
    assert (told["ROWS"], told["COLUMNS"], told["TRIANGLES"]) == (12, 15, 38)
    assert file.GetGeoTransform() == (WEST, 30, 0, NORTH, 0, -30)
    assert file.GetSpatialRef().GetAuthorityCode(None) == "32632" and file.GetRasterBand(1).GetUnitType() == "metre"
    row, col = np.mgrid[:12, :15]
    expected = height(WEST + 30 * (col + 0.5), NORTH - 30 * (row + 0.5))
    hole = (row // 3 == 1) & (col // 3 == 2)
    assert np.all(heights[hole] == -1) and np.allclose(heights[~hole], expected[~hole], atol=1e-3)
    assert told["COVERED_SHARE"] == pytest.approx(171 / 180)


def test_bad_input_is_told_before_anything_runs(assert_told, mesh, tmp_path):
    assert_told(ID, {"INPUT": str(mesh), "OUTPUT": str(tmp_path / "o.tif")}, BAD, folder=tmp_path)


def test_what_only_the_engine_sees_ends_in_a_sentence_too(qgis_process, assert_refused, mesh, dem, tmp_path):
    away, out = tmp_path / "away.tif", tmp_path / "o.tif"
    gdal.Translate(str(away), str(dem), outputBounds=(700000, 5200000, 700900, 5199280))
    assert_refused(
        qgis_process("run", ID, "--", f"INPUT={mesh}", f"GRID={away}", f"OUTPUT={out}"), "does not touch the mesh"
    )
    assert not out.exists()


def test_a_dem_comes_back_within_the_bound_of_the_mesh_that_a_model_makes_of_it(in_qgis, dem, tmp_path):
    out = tmp_path / "chain.tif"
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        model = QgsProcessingModelAlgorithm("chain", "tests")
        source = QgsProcessingModelChildParameterSource
        first = QgsProcessingModelChildAlgorithm({MESH!r})
        first.setChildId("mesh")
        first.addParameterSources("INPUT", [source.fromStaticValue({str(dem)!r})])
        first.addParameterSources("MAX_ERROR", [source.fromStaticValue(2.5)])
        first.addParameterSources("Z_FACTOR", [source.fromStaticValue(3)])
        model.addChildAlgorithm(first)
        second = QgsProcessingModelChildAlgorithm({ID!r})
        second.setChildId("raster")
        second.addParameterSources("INPUT", [source.fromChildOutput("mesh", "OUTPUT")])
        shown = QgsProcessingModelOutput("heights", "heights")
        shown.setChildId("raster")
        shown.setChildOutputName("OUTPUT")
        second.setModelOutputs({{"heights": shown}})
        model.addChildAlgorithm(second)
        model.updateDestinationParameters()
        model.initAlgorithm({{}})
        found = processing.run(model, {{"raster:heights": {str(out)!r}}})
        answer(sorted(found))
    """)
    assert told
    (heights, one), (back, other) = read(dem), read(out)
    assert other.GetGeoTransform() == one.GetGeoTransform() and back.shape == heights.shape
    assert other.GetSpatialRef().IsSame(one.GetSpatialRef())
    known = heights != -9999
    assert np.abs(back - heights)[known].max() <= 2.5 + 1e-3 and np.abs(back - heights)[known].max() > 1
    assert np.all(back[~known] == -9999)


def test_the_crs_of_the_layer_counts_and_results_are_named_and_styled(in_qgis, mesh):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        layer = QgsMeshLayer({str(mesh)!r}, "hills", "mdal")
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
        QgsProject.instance().addMapLayer(layer)
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values = {{"INPUT": layer, "CELL_SIZE": 45, "OUTPUT": "TEMPORARY_OUTPUT"}}
        rows = processing.runAndLoadResults({ID!r}, values, context=context)["ROWS"]
        made = [one for one in QgsProject.instance().mapLayers().values() if one.id() != layer.id()]
        answer([rows, [[one.name(), one.crs().authid(), one.renderer().type(), one.width()] for one in made]])
    """)
    assert told == [8, [["plane heights", "EPSG:32632", "hillshade", 10]]]
