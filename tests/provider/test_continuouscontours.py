"""*Contours* in the real QGIS: beside those of GDAL, on layers, in models and batches, named and styled, refusals.

A start of QGIS takes longer than the contours of a small DEM, so each test does as much as it can in one.
"""

from __future__ import annotations

import pytest
from osgeo import gdal, ogr

ID = "neuralterrain:continuouscontours"
FINER = "neuralterrain:superresolve"
BAD = {
    "INPUT={folder}/nothing.tif": "Input DEM is {folder}/nothing.tif, which is no raster that can be read",
    "BAND=0": "Band is 0; it must be a number from 1",
    "INTERVAL=0": "Interval is 0.0; it must be a number from 0.0001 to 1,000,000.",
    "INTERVAL=ten": "Interval is 'ten'; it must be a number.",
    "INDEX_EVERY=-5": "Index contours is -5; it must be a number from 0 to 1000.",
    "INDEX_EVERY=2.5": "Index contours is 2.5; it must be a whole number.",
    "TOLERANCE=-1": "Tolerance is -1.0; it must be above 0",
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
    "SAMPLING=area": "Sampling is 'area'; it can be auto",
    "DEVICE=gpu": "Device is 'gpu'; it can be auto",
    "EXTENT=1,2,3": "The extent is '1,2,3'; it must be",
    "OUTPUT={folder}/x.tif": "must end in .gpkg",
}


def lines_of(path) -> list[tuple[float, int, ogr.Geometry]]:
    file = gdal.OpenEx(str(path))
    return [(f["elevation"], f["index"], f.GetGeometryRef().Clone()) for f in file.GetLayer(0)]


def gathered(lines: list[ogr.Geometry]) -> ogr.Geometry:
    all_of_them = ogr.Geometry(ogr.wkbMultiLineString)
    for line in lines:
        line.FlattenTo2D()
        all_of_them.AddGeometry(line)
    return all_of_them


def farthest(lines: list[ogr.Geometry], others: ogr.Geometry) -> float:
    """Largest distance of a vertex from other lines."""
    places = [(x, y) for line in lines for x, y, *_ in line.GetPoints()]
    return max(ogr.CreateGeometryFromWkt(f"POINT({x} {y})").Distance(others) for x, y in places[::3])


def test_contours_are_those_of_gdal_on_a_sixteen_times_finer_dem(in_qgis, write_dem, tmp_path):
    dem, fine, out = write_dem(tmp_path / "d.tif", nodata=None), tmp_path / "fine.tif", tmp_path / "c.gpkg"
    told = in_qgis(f"""
        import processing
        values = {{"INPUT": {str(dem)!r}, "MODEL": "baseline"}}
        processing.run({FINER!r}, {{**values, "SCALE": 16, "OUTPUT": {str(fine)!r}}})
        answer(processing.run({ID!r}, {{**values, "INTERVAL": 10, "BASE": 1, "OUTPUT": {str(out)!r}}}))
    """)
    traced = ogr.GetDriverByName("Memory").CreateDataSource("gdal")
    layer = traced.CreateLayer("c")
    layer.CreateField(ogr.FieldDefn("elevation", ogr.OFTReal))
    raster = gdal.Open(str(fine))
    gdal.ContourGenerate(raster.GetRasterBand(1), 10, 1, [], 0, 0, layer, -1, 0)
    theirs = [feature.GetGeometryRef().Clone() for feature in layer]
    mine = lines_of(out)
    flat = [line for _, _, line in mine]
    assert told["CONTOUR_COUNT"] == len(flat) == len(theirs)
    assert told["CLOSED_COUNT"] == sum(line.GetPoint(0) == line.GetPoint(line.GetPointCount() - 1) for line in flat)
    # A tolerance of a twentieth of a cell, and what 1.9 m wide cells can show themselves.
    assert farthest(theirs, gathered(flat)) < 1.5 + 1.0
    assert farthest(flat, gathered(theirs)) < 1.5 + 1.0
    assert {height for height, _, _ in mine} == {feature["elevation"] for feature in layer}
    assert all(index == ((height - 1) % 50 == 0) for height, index, _ in mine)


TOLD = """
    import processing
    from qgis.core import *

    class Heard(QgsProcessingFeedback):
        def __init__(self):
            super().__init__(False)
            self.said = []
        def pushWarning(self, text):
            self.said.append(text)
        def reportError(self, text, fatal=False):
            self.said.append(text)

    def outcome(values):
        heard = Heard()
        try:
            return [processing.run(ID, values, feedback=heard), heard.said]
        except QgsProcessingException as refusal:
            return [None, [*heard.said, str(refusal)]]
"""


def test_layers_styles_and_what_only_the_engine_sees(in_qgis, dem, tmp_path):
    bad = {"INPUT": str(dem), "INTERVAL": 10, "MODEL": "nothing", "OUTPUT": str(tmp_path / "o.gpkg")}
    told = in_qgis(f"""
        ID = {ID!r}
        {TOLD.replace(chr(10), chr(10) + "    ")}
        dem, folder = {str(dem)!r}, {str(tmp_path)!r}
        values = {{"INPUT": dem, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
        shape = outcome({{"INPUT": dem, "MODEL": "field-small", "OUTPUT": folder + "/c.shp"}})[0]
        empty = outcome({{**values, "INTERVAL": 5000, "OUTPUT": folder + "/empty.gpkg"}})[1]
        refused = outcome({bad!r})
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        processing.runAndLoadResults(ID, {{**values, "INTERVAL": 10}}, context=context)
        layer = list(QgsProject.instance().mapLayers().values())[0]
        rules = layer.renderer().rootRule().children()
        labels = layer.labeling().rootRule().children()[0]
        loaded = [layer.name(), layer.crs().authid(), layer.featureCount(), [r.label() for r in rules],
                  [r.symbol().width() for r in rules], labels.filterExpression(), layer.labelsEnabled()]
        answer([shape, empty, refused, loaded])
    """)
    shape, empty, (made, said), (name, crs, count, rules, widths, labelled, enabled) = told
    require_whole_lines(tmp_path / "c.shp", shape)
    assert any("No contour lies between the lowest and the highest ground" in text for text in empty), empty
    file = gdal.OpenEx(str(tmp_path / "empty.gpkg"))
    layer = file.GetLayer(0)
    assert layer.GetFeatureCount() == 0 and ogr.GeometryTypeToName(layer.GetGeomType()) == "3D Line String"
    assert made is None and any("nothing" in text for text in said) and "Traceback" not in str(said), said
    assert not (tmp_path / "o.gpkg").exists()
    assert count > 3 and (name, crs) == ("dem contours", "EPSG:32632")
    assert rules == ["Contour", "Index contour"] and widths[0] < widths[1]
    assert labelled == '"index" = 1' and enabled


def require_whole_lines(out, told):
    """Lines have z and attributes, and none lies in the hole of the DEM."""
    file = gdal.OpenEx(str(out))
    layer = file.GetLayer(0)
    assert layer.GetGeomType() == ogr.wkbLineString25D and told["INTERVAL_USED"] == 5
    assert layer.GetSpatialRef().GetAuthorityCode(None) == "32632" and told["TOLERANCE_USED"] == 1.5
    corners = "600061 5199939,600149 5199939,600149 5199851,600061 5199851,600061 5199939"
    hole = ogr.CreateGeometryFromWkt(f"POLYGON(({corners}))")
    length = 0.0
    for feature in layer:
        line = feature.GetGeometryRef()
        assert {z for _, _, z in line.GetPoints()} == {feature["elevation"]} and feature["elevation"] % 5 == 0
        assert not line.Intersects(hole)
        length += feature["length_m"]
    assert length == pytest.approx(told["LENGTH"], abs=0.01 * layer.GetFeatureCount()) and length > 1000


def test_bad_input_is_told_before_anything_runs(assert_told, dem, tmp_path):
    assert_told(ID, {"INPUT": str(dem), "OUTPUT": str(tmp_path / "o.gpkg")}, BAD, folder=tmp_path)


def test_it_works_as_a_step_of_a_saved_model_and_a_bad_step_is_refused(
    qgis_process, save_model, assert_refused, dem, tmp_path
):
    model = save_model(ID, {"INPUT": str(dem), "INTERVAL": 20, "MODEL": "baseline"}, {"OUTPUT": "lines"})
    run = qgis_process("run", model, "--", f"step:lines={tmp_path / 'b.geojson'}")
    assert run.returncode == 0, run.stderr
    assert len(lines_of(tmp_path / "b.geojson")) > 3
    model.write_text(model.read_text("utf-8").replace('value="20"', 'value="-3"'), "utf-8")
    run = qgis_process("run", model, "--", f"step:lines={tmp_path / 'no.geojson'}")
    assert_refused(run, "Interval is -3.0; it must be a number from 0.0001")
    assert not (tmp_path / "no.geojson").exists()
