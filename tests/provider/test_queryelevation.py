"""*Sample continuous elevation* in the real QGIS: files, layers, selections, models, batch, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

ID = "neuralterrain:queryelevation"
NEW = ["elevation", "slope_deg", "aspect_deg", "curv_profile", "curv_plan"]


def reference(epsg):
    found = osr.SpatialReference()
    found.ImportFromEPSG(epsg)
    found.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return found


def write_points(path, places, epsg=32632, kind=ogr.wkbPoint):
    """A GeoPackage of version 1.2 with the attributes number, name (umlauts) and day; every other number is missing."""
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path), ["VERSION=1.2"])
    layer = file.CreateLayer("spots", reference(epsg) if epsg else None, kind)
    for name, what in (("number", ogr.OFTInteger), ("name", ogr.OFTString), ("day", ogr.OFTDate)):
        layer.CreateField(ogr.FieldDefn(name, what))
    for number, (x, y) in enumerate(places):
        feature = ogr.Feature(layer.GetLayerDefn())
        if number % 2:
            feature["number"] = number
        feature["name"], feature["day"] = f"Höhe {number}", f"2020/01/{number + 1:02}"
        geometry = f"POINT ({x} {y})" if kind == ogr.wkbPoint else f"LINESTRING ({x} {y},{x + 9} {y})"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(geometry))
        layer.CreateFeature(feature)
    return str(path)


def read_points(path):
    file = ogr.Open(str(path))
    layer = file.GetLayer(0)
    names = [layer.GetLayerDefn().GetFieldDefn(i).GetName() for i in range(layer.GetLayerDefn().GetFieldCount())]
    rows = [
        {**{name: feature[name] for name in names}, "xyz": feature.GetGeometryRef().GetPoint(0)} for feature in layer
    ]
    return names, rows, layer.GetSpatialRef()


@pytest.fixture
def plane(tmp_path):
    """A plane that rises by 2 m per cell of 30 m to the east; three cells of no-data."""
    heights = np.tile(100 + 2 * (np.arange(60) + 0.5), (50, 1)).astype("float32")
    heights[10:13, 30] = -9999
    file = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "plane.tif"), 60, 50, 1, gdal.GDT_Float32)
    file.SetGeoTransform((600000, 30, 0, 5200000, 0, -30))
    file.SetProjection(reference(32632).ExportToWkt())
    file.GetRasterBand(1).SetNoDataValue(-9999)
    file.GetRasterBand(1).WriteArray(heights)
    del file
    return str(tmp_path / "plane.tif")


PLACES = [(600900.0, 5199100.0), (601005.5, 5199300.25), (600915, 5199655), (599000, 5199300), (600700, 5199000)]


def test_one_run_gives_points_of_another_crs_their_heights(qgis_process, plane, tmp_path):
    change = osr.CoordinateTransformation(reference(32632), reference(4326))
    degrees = [change.TransformPoint(x, y)[:2] for x, y in PLACES]
    points, out = write_points(tmp_path / "p.gpkg", degrees, 4326), tmp_path / "o.gpkg"
    run = qgis_process(
        "--json", "run", ID, "--", f"INPUT={plane}", f"POINTS={points}", "MODEL=baseline", f"OUTPUT={out}"
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout[run.stdout.index("{") :])["results"]
    assert results["OUTPUT"] == str(out) and results["POINT_COUNT"] == 5 and results["KNOWN_COUNT"] == 3
    names, rows, crs = read_points(out)
    assert names == ["number", "name", "day", *NEW] and crs.GetAuthorityCode(None) == "4326"
    truth = [100 + (x - 600000) / 15 for x, _ in PLACES]
    for at in (0, 1, 4):
        assert rows[at]["elevation"] == pytest.approx(truth[at], abs=1e-3)
        assert rows[at]["xyz"] == pytest.approx((*degrees[at], truth[at]), abs=1e-3)
        assert rows[at]["slope_deg"] == pytest.approx(np.degrees(np.arctan(2 / 30)), abs=0.01)
        assert rows[at]["aspect_deg"] == pytest.approx(270, abs=0.1)
    assert all(rows[at][name] is None for at in (2, 3) for name in NEW)
    assert [row["number"] for row in rows] == [None, 1, None, 3, None]
    assert rows[4]["name"] == "Höhe 4" and rows[4]["day"] == "2020/01/05"
    assert results["LOWEST"] == pytest.approx(min(truth[at] for at in (0, 1, 4)), abs=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".aux.xml")) == [
        "o.gpkg", "p.gpkg", "plane.tif"]  # fmt: skip


def test_a_memory_layer_and_a_selection_keep_attributes(in_qgis, plane, tmp_path):
    points = write_points(tmp_path / "p.gpkg", PLACES)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        from qgis.PyQt.QtCore import QDate
        fields = "field=fid:string&field=elevation:double&field=day:date"
        memory = QgsVectorLayer("Point?crs=EPSG:32632&" + fields, "m", "memory")
        feature = QgsFeature(memory.fields())
        feature.setGeometry(QgsGeometry.fromWkt("Point (600900 5199100)"))
        feature.setAttributes(["a1", 7.5, QDate(2020, 2, 29)])
        memory.dataProvider().addFeatures([feature])
        saved = QgsVectorLayer({points!r} + "|layername=spots", "p", "ogr")
        saved.selectByExpression('"number" = 1')
        assert saved.fields().at(0).name() == "fid"
        QgsProject.instance().addMapLayers([memory, saved])
        found = []
        for given in (memory, QgsProcessingFeatureSourceDefinition(saved.id(), True)):
            values = {{"INPUT": {plane!r}, "POINTS": given, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
            layer = QgsVectorLayer(processing.run({ID!r}, values)["OUTPUT"], "o", "ogr")
            (only,) = layer.getFeatures()
            names = [field.name() for field in layer.fields()]
            plain = [value.toString("yyyy-MM-dd") if isinstance(value, QDate) else value for value in only.attributes()]
            found.append([layer.wkbType() == QgsWkbTypes.Type.PointZ, dict(zip(names, plain)),
                          only.geometry().constGet().z()])
        answer(found)
    """)
    (kind, attributes, z), (kind_of_selection, selected, _) = told
    assert kind and kind_of_selection and z == pytest.approx(160, abs=1e-3)
    assert attributes.pop("fid_2") == 1 and attributes["elevation_2"] == pytest.approx(160, abs=1e-3)
    assert [attributes[name] for name in ("fid", "elevation", "day")] == ["a1", 7.5, "2020-02-29"]
    assert list(selected) == ["fid", "number", "name", "day", *NEW] and selected["name"] == "Höhe 1"
    assert selected["elevation"] == pytest.approx(100 + 1005.5 / 15, abs=1e-3)


def test_as_a_step_of_a_model_and_in_a_batch(qgis_process, in_qgis, save_model, plane, tmp_path):
    points = write_points(tmp_path / "p.gpkg", PLACES)
    model = save_model(ID, {"INPUT": plane, "POINTS": points, "MODEL": "baseline"}, {"OUTPUT": "points"})
    out = tmp_path / "m.gpkg"
    run = qgis_process("run", str(model), "--", f"step:points={out}")
    assert run.returncode == 0, run.stderr
    assert read_points(out)[1][0]["elevation"] == pytest.approx(160, abs=1e-3)
    told = in_qgis(f"""
        import processing
        from qgis.core import QgsApplication
        tool = QgsApplication.processingRegistry().algorithmById({ID!r})
        results = []
        for number in (1, 2):
            values = {{"INPUT": {plane!r}, "POINTS": {points!r}, "MODEL": "baseline",
                       "OUTPUT": f"{str(tmp_path)}/batch{{number}}.shp"}}
            results.append(processing.run(tool, values)["KNOWN_COUNT"])
        answer(results)
    """)
    assert told == [3, 3]
    names, rows, _ = read_points(tmp_path / "batch2.shp")
    assert "curv_profi" in names and rows[0]["elevation"] == pytest.approx(160, abs=1e-3)


def test_what_cannot_be_is_refused_in_a_sentence(qgis_process, assert_refused, save_model, plane, tmp_path):
    points = write_points(tmp_path / "p.gpkg", PLACES)
    lines = write_points(tmp_path / "lines.gpkg", PLACES, kind=ogr.wkbLineString)
    nowhere = write_points(tmp_path / "nowhere.gpkg", PLACES, epsg=0)
    out = tmp_path / "o.gpkg"

    def call(**values):
        given = {"INPUT": plane, "POINTS": points, "OUTPUT": out, "MODEL": "baseline", **values}
        return qgis_process("run", ID, "--", *(f"{name}={value}" for name, value in given.items()))

    assert_refused(call(POINTS=lines), "a layer of lines; choose a layer of points.")
    assert_refused(
        call(POINTS=nowhere), "have no CRS, the DEM is in EPSG:32632; give them one with 'Assign projection'."
    )
    assert_refused(call(OUTPUT=tmp_path / "o.csv"), "must end in .gpkg, .geojson, .json, .shp, .fgb; rename it.")
    model = save_model(ID, {"INPUT": plane, "POINTS": lines, "MODEL": "baseline"}, {"OUTPUT": "points"})
    assert_refused(qgis_process("run", str(model), "--", f"step:points={out}"), "choose a layer of points.")
    assert not out.exists()
