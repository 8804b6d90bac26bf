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


def test_layers_of_qgis_come_as_they_are(in_qgis, plane, tmp_path):
    """A layer of memory with all kinds of attributes, z, m and no geometry; a selection; a filter with edits."""
    points = write_points(tmp_path / "p.gpkg", PLACES)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        from qgis.PyQt.QtCore import *

        def plainly(value):
            if value is None or value == NULL:
                return None
            return value.toString(Qt.DateFormat.ISODate) if hasattr(value, "toString") else value

        fields = ("field=fid:string&field=elevation:double&field=day:date&field=when:datetime&field=at:time"
                  "&field=big:int8&field=flag:bool&field=tags:string[]&field=sizes:int[]")
        memory = QgsVectorLayer("PointZM?crs=EPSG:32632&" + fields, "höhen 'm'", "memory")
        full = ["a1", 7.5, QDate(2020, 2, 29), QDateTime(2020, 2, 29, 1, 2, 3), QTime(4, 5, 6), 2**60 + 1, True,
                ["a,b", "ü"], [1, 2]]
        features = []
        for attributes, geometry in (
            (full, "PointZM (600900 5199100 5 6)"), ([None] * 9, "PointZM (601005.5 5199300 1 2)"), (full, None),
            (full, "PointZM EMPTY"),
        ):
            feature = QgsFeature(memory.fields())
            if geometry:
                feature.setGeometry(QgsGeometry.fromWkt(geometry))
            feature.setAttributes(attributes)
            features.append(feature)
        memory.dataProvider().addFeatures(features)
        saved, edited = (QgsVectorLayer({points!r} + "|layername=spots", "p", "ogr") for _ in range(2))
        saved.selectByExpression('"number" = 1')
        edited.setSubsetString('"number" IS NOT NULL')
        edited.startEditing()
        first = next(edited.getFeatures())
        edited.changeGeometry(first.id(), QgsGeometry.fromWkt("Point (600900 5199100)"))
        QgsProject.instance().addMapLayers([memory, saved, edited])
        found = []
        selected = QgsProcessingFeatureSourceDefinition(saved.id(), True)
        for given, output in ((memory, "TEMPORARY_OUTPUT"), (selected, "TEMPORARY_OUTPUT"),
                              (edited, {str(tmp_path / "edited.shp")!r})):
            values = {{"INPUT": {plane!r}, "POINTS": given, "MODEL": "baseline", "OUTPUT": output}}
            layer = QgsVectorLayer(processing.run({ID!r}, values)["OUTPUT"], "o", "ogr")
            rows = []
            for feature in layer.getFeatures():
                plain = dict(zip(layer.fields().names(), map(plainly, feature.attributes())))
                point = feature.geometry().constGet() if feature.hasGeometry() else None
                rows.append([plain, None if point is None or point.isEmpty() else point.z()])
            found.append([QgsWkbTypes.displayString(layer.wkbType()), rows])
        answer(found)
    """)
    (kind, ((first, z), (second, other_z), (third, _), (fourth, _))), (kind_of_selection, ((selected, _),)), edited = (
        told
    )
    assert kind == kind_of_selection == "PointZ"
    assert z == first["elevation_2"] == pytest.approx(160, abs=1e-3) and other_z == pytest.approx(167.033, abs=1e-3)
    for row in (first, third, fourth):
        own = {name: row[name] for name in ("fid", "elevation", "day", "when", "at", "big", "flag")}
        assert own == {"fid": "a1", "elevation": 7.5, "day": "2020-02-29", "when": own["when"], "at": "04:05:06",
                       "big": 2**60 + 1, "flag": True}  # fmt: skip
        assert own["when"].startswith("2020-02-29T01:02:03")
        # QGIS writes lists with commas or, newer ones, as JSON.
        assert all(part in str(row["tags"]) for part in ("a,b", "ü")) and "2" in str(row["sizes"])
    assert all(value is None for name, value in second.items() if name not in ("fid_2", "elevation_2", *NEW))
    assert third["elevation_2"] is fourth["elevation_2"] is None
    assert list(selected) == ["fid", "number", "name", "day", *NEW] and selected["name"] == "Höhe 1"
    assert selected["elevation"] == pytest.approx(100 + 1005.5 / 15, abs=1e-3)
    # In a shapefile: a filter of two points, one of which was moved and not saved, the other outside.
    moved, outside = (row for row, _ in edited[1])
    assert moved["number"] == 1 and moved["elevation"] == pytest.approx(160, abs=1e-3) and "curv_profi" in moved
    assert outside["number"] == 3 and outside["elevation"] is None


def test_in_a_model_in_a_batch_and_refused_in_a_sentence(in_qgis, plane, tmp_path):
    points = write_points(tmp_path / "p.gpkg", PLACES)
    lines = write_points(tmp_path / "lines.gpkg", PLACES, kind=ogr.wkbLineString)
    nowhere = write_points(tmp_path / "nowhere.gpkg", PLACES, epsg=0)
    empty = write_points(tmp_path / "empty.gpkg", [], kind=ogr.wkbUnknown)
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        step = {{"INPUT": {plane!r}, "MODEL": "baseline"}}
        model = model_of({ID!r}, step, {{"OUTPUT": "points"}}, {{"POINTS": "spots"}})

        def of_the_tool(**values):
            return told(tool, {{"INPUT": {plane!r}, "POINTS": {points!r}, "MODEL": "baseline", **values}})

        def of_the_model(spots, out):
            return told(model, {{"spots": spots, "step:points": out}})

        folder, lines, nowhere, empty = {str(tmp_path)!r}, {lines!r}, {nowhere!r}, {empty!r}
        tool = QgsApplication.processingRegistry().algorithmById({ID!r})
        answer([
            of_the_model({points!r}, folder + "/m.gpkg"),
            [of_the_tool(OUTPUT=f"{{folder}}/{{number}}.fgb")["KNOWN_COUNT"] for number in (1, 2)],
            [of_the_model(lines, folder + "/o.gpkg"), of_the_tool(POINTS=lines, OUTPUT=folder + "/o.gpkg"),
             of_the_tool(POINTS=nowhere, OUTPUT=folder + "/o.gpkg"), of_the_tool(OUTPUT=folder + "/o.csv"),
             of_the_tool(POINTS=empty, OUTPUT=folder + "/o.gpkg")],
        ])
    """)
    assert read_points(told[0]["step:points"])[1][0]["elevation"] == pytest.approx(160, abs=1e-3) and told[1] == [3, 3]
    for said, words in zip(told[2], (
        "a layer of lines; choose a layer of points.", "a layer of lines; choose a layer of points.",
        "have no CRS, the DEM is in EPSG:32632; give them one with 'Assign projection'.", "o.csv must end in .gpkg",
        "Points is empty, an empty layer; choose a layer of points.",
    ), strict=True):  # fmt: skip
        assert words in said and "Traceback" not in said
    assert not (tmp_path / "o.gpkg").exists()


def test_what_cannot_be_ends_the_program_with_1(qgis_process, assert_refused, plane, tmp_path):
    lines = write_points(tmp_path / "lines.gpkg", PLACES, kind=ogr.wkbLineString)
    run = qgis_process("run", ID, "--", f"INPUT={plane}", f"POINTS={lines}", f"OUTPUT={tmp_path / 'o.gpkg'}")
    assert_refused(run, "a layer of lines; choose a layer of points.")
