"""*Profile along lines* in the real QGIS: figures, z and m, layers, models, batch, refusals."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

ID = "neuralterrain:elevationprofile"
WAYS = ["LINESTRING (600300 5199700,600900 5199700,600900 5199200)", "LINESTRING (599700 5199500,600600 5199500)"]


def reference(epsg):
    found = osr.SpatialReference()
    found.ImportFromEPSG(epsg)
    return found


def write_lines(path, ways=WAYS, epsg=32632, kind=ogr.wkbLineString):
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path), ["VERSION=1.2"])
    layer = file.CreateLayer("ways", reference(epsg) if epsg else None, kind)
    layer.CreateField(ogr.FieldDefn("name", ogr.OFTString))
    for number, way in enumerate(ways):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["name"] = f"Straße {number}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(way))
        layer.CreateFeature(feature)
    return str(path)


def read_lines(path):
    file = ogr.Open(str(path))
    layer = file.GetLayer(0)
    names = [layer.GetLayerDefn().GetFieldDefn(i).GetName() for i in range(layer.GetLayerDefn().GetFieldCount())]
    rows = [{**{n: f[n] for n in names}, "zm": np.array([f.GetGeometryRef().GetPointZM(i) for i in
             range(f.GetGeometryRef().GetPointCount())])} for f in layer]  # fmt: skip
    return ogr.GeometryTypeToName(layer.GetGeomType()), rows


@pytest.fixture
def plane(tmp_path):
    """A plane that rises by 3 m per cell of 30 m to the east."""
    heights = np.tile(100 + 3 * (np.arange(60) + 0.5), (50, 1)).astype("float32")
    file = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "plane.tif"), 60, 50, 1, gdal.GDT_Float32)
    file.SetGeoTransform((600000, 30, 0, 5200000, 0, -30))
    file.SetProjection(reference(32632).ExportToWkt())
    file.GetRasterBand(1).WriteArray(heights)
    del file
    return str(tmp_path / "plane.tif")


def test_one_run_gives_lines_table_plot_and_figures(qgis_process, plane, tmp_path):
    lines, out, table, plot = (tmp_path / name for name in ("l.gpkg", "o.shp", "t.csv", "p.html"))
    write_lines(lines)
    arguments = [f"INPUT={plane}", f"LINES={lines}", "SPACING=20", "MODEL=baseline", f"OUTPUT={out}", f"TABLE={table}"]
    run = qgis_process("--json", "run", ID, "--", *arguments, f"PLOT={plot}")
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    assert [results[name] for name in ("OUTPUT", "TABLE", "PLOT")] == [str(out), str(table), str(plot)]
    kind, rows = read_lines(out)
    assert kind == "3D Measured Line String" and [row["name"] for row in rows] == ["Straße 0", "Straße 1"]
    x, _, z, m = rows[0]["zm"].T
    inside = (x > 600200) & (x < 601600)
    assert z[inside] == pytest.approx((100 + (x - 600000) / 10)[inside], abs=2e-3)
    assert m[-1] == pytest.approx(1100, rel=5e-4) and np.diff(m).max() < 20.01
    assert rows[0]["ascent"] == pytest.approx(60, abs=0.02) and rows[0]["descent"] == pytest.approx(0, abs=0.02)
    assert 300 - 21 < rows[1]["zm"][0, 3] - 0 < 300 + 21 and rows[1]["length_m"] == pytest.approx(600, abs=21)
    with table.open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert len(told) == results["POSITION_COUNT"] and list(told[0]) == [
        "line", "distance_m", "x", "y", "elevation", "slope_deg"]  # fmt: skip
    assert float(told[5]["slope_deg"]) == pytest.approx(np.degrees(np.arctan(0.1)), abs=0.01)
    assert told[-1]["line"] == "2" and results["LINE_COUNT"] == results["PART_COUNT"] == 2
    assert 5.7 < results["STEEPEST_DEG"] < 8  # beyond the edge the surface goes on mirrored
    assert "Straße 1" in plot.read_text("utf-8")


def test_layers_of_qgis_come_with_selection_and_attributes(in_qgis, plane, tmp_path):
    lines = write_lines(tmp_path / "l.gpkg")
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        saved = QgsVectorLayer({lines!r} + "|layername=ways", "l", "ogr")
        saved.selectByExpression("name = 'Straße 1'")
        memory = QgsVectorLayer("MultiLineString?crs=EPSG:4326&field=min:integer", "m", "memory")
        feature = QgsFeature(memory.fields())
        change = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:32632"), memory.crs(), QgsProject.instance())
        geometry = QgsGeometry.fromWkt("MultiLineString ((600300 5199700,600900 5199700))")
        geometry.transform(change)
        feature.setGeometry(geometry)
        feature.setAttributes([41])
        memory.dataProvider().addFeatures([feature])
        QgsProject.instance().addMapLayers([memory, saved])
        found = []
        for given in (memory, QgsProcessingFeatureSourceDefinition(saved.id(), True)):
            values = {{"INPUT": {plane!r}, "LINES": given, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
            results = processing.run({ID!r}, values)
            layer = QgsVectorLayer(results["OUTPUT"], "o", "ogr")
            (only,) = layer.getFeatures()
            kind = QgsWkbTypes.displayString(layer.wkbType())
            names = [field.name() for field in layer.fields()]
            found.append([kind, layer.crs().authid(), dict(zip(names, only.attributes())), "PLOT" in results])
        answer(found)
    """)
    (kind, crs, memory, plot), (other_kind, other_crs, selected, _) = told
    assert kind == other_kind == "LineStringZM" and (crs, other_crs) == ("EPSG:4326", "EPSG:32632") and not plot
    assert memory["min"] == 41 and memory["min_2"] == pytest.approx(130, abs=0.01)
    assert memory["ascent"] == pytest.approx(60, abs=0.02)
    assert selected["name"] == "Straße 1" and selected["length_m"] == pytest.approx(600, abs=8)


def test_in_a_model_in_a_batch_and_refused_in_a_sentence(in_qgis, plane, tmp_path):
    lines = write_lines(tmp_path / "l.gpkg")
    points = write_lines(tmp_path / "points.gpkg", ["POINT (600300 5199700)"], kind=ogr.wkbPoint)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        step = {{"INPUT": {plane!r}, "MODEL": "baseline"}}
        model = model_of({ID!r}, step, {{"OUTPUT": "profile"}}, {{"LINES": "ways"}})

        def of_the_tool(**values):
            return told(tool, {{"INPUT": {plane!r}, "LINES": {lines!r}, "MODEL": "baseline", **values}})

        def of_the_model(ways, out):
            return told(model, {{"ways": ways, "step:profile": out}})

        folder, points, out = {str(tmp_path)!r}, {points!r}, {str(tmp_path / "o.gpkg")!r}
        tool = QgsApplication.processingRegistry().algorithmById({ID!r})
        files = dict.fromkeys(("OUTPUT", "PLOT", "TABLE"), "TEMPORARY_OUTPUT")
        batch = [of_the_tool(SPACING=spacing, **files) for spacing in (10, 30)]
        answer([
            of_the_model({lines!r}, folder + "/m.gpkg"),
            [[found["POSITION_COUNT"], found["PLOT"][-5:], found["TABLE"][-4:]] for found in batch],
            [of_the_model(points, out), of_the_tool(LINES=points, OUTPUT=out), of_the_tool(SPACING=0, OUTPUT=out),
             of_the_tool(PLOT=folder + "/t.png", OUTPUT=out)],
        ])
    """)
    assert len(read_lines(told[0]["step:profile"])[1]) == 2
    assert told[1][0][0] > 2.5 * told[1][1][0] and told[1][0][1:] == [".html", ".csv"]
    for said, words in zip(told[2], (
        "a layer of points; choose a layer of lines.", "a layer of points; choose a layer of lines.",
        "Spacing is 0.0 m; it must be a number from 0.001 to", "must end in .html",
    ), strict=True):  # fmt: skip
        assert words in said and "Traceback" not in said
    assert not (tmp_path / "o.gpkg").exists()


def test_what_cannot_be_ends_the_program_with_1(qgis_process, assert_refused, plane, tmp_path):
    points = write_lines(tmp_path / "points.gpkg", ["POINT (600300 5199700)"], kind=ogr.wkbPoint)
    run = qgis_process("run", ID, "--", f"INPUT={plane}", f"LINES={points}", f"OUTPUT={tmp_path / 'o.gpkg'}")
    assert_refused(run, "a layer of points; choose a layer of lines.")
