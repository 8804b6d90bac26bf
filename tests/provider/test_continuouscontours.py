"""*Contours* in the real QGIS: beside those of GDAL, on layers, in models and batches, named and styled, refusals."""

from __future__ import annotations

import json

import pytest
from osgeo import gdal, ogr

ID = "neuralterrain:continuouscontours"
FINER = "neuralterrain:superresolve"
BAD = {
    "INPUT={folder}/nothing.tif": "Input DEM is {folder}/nothing.tif, which is no raster that can be read",
    "BAND=0": "Band is 0; it must be a number from 1",
    "INTERVAL=0": "Interval is 0.0; it must be a number from 0.0001 to 1e+06.",
    "INTERVAL=ten": "Interval is 'ten'; it must be a number.",
    "INDEX_EVERY=-5": "Index contours is -5; it must be a number from 0 to 1000.",
    "INDEX_EVERY=2.5": "Index contours is 2.5; it must be a whole number.",
    "TOLERANCE=-1": "Tolerance is -1.0; it must be a number from",
    "Z_UNIT=yard": "Vertical unit is 'yard'; it can be auto",
    "SAMPLING=area": "Sampling is 'area'; it can be auto",
    "DEVICE=gpu": "Device is 'gpu'; it can be auto",
    "EXTENT=1,2,3": "The extent is '1,2,3'; it must be",
    "OUTPUT={folder}/x.tif": "must end in .gpkg",
}
IN_ENGINE = {
    "TOLERANCE=100": "The tolerance is 100; for cells of 30 it must be from 0.06 to 30.",
    "EXTENT=0,1,0,1 [EPSG:32632]": "does not touch the DEM",
    "MODEL=nothing": "nothing",
}


def results(run) -> dict:
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


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


def test_contours_are_those_of_gdal_on_a_sixteen_times_finer_dem(qgis_process, write_dem, tmp_path):
    dem, fine, out = write_dem(tmp_path / "d.tif", nodata=None), tmp_path / "fine.tif", tmp_path / "c.gpkg"
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={dem}", "INTERVAL=10", "BASE=1", "MODEL=baseline",
                                f"OUTPUT={out}"))  # fmt: skip
    results(qgis_process("--json", "run", FINER, "--", f"INPUT={dem}", "SCALE=16", "MODEL=baseline", f"OUTPUT={fine}"))
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


def test_contours_have_z_and_attributes_and_leave_voids_out(qgis_process, dem, tmp_path):
    out = tmp_path / "c.shp"
    told = results(qgis_process("--json", "run", ID, "--", f"INPUT={dem}", "MODEL=field-small", f"OUTPUT={out}"))
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


def test_flat_ground_gives_an_empty_layer_and_a_warning(qgis_process, dem, tmp_path):
    out = tmp_path / "c.gpkg"
    run = qgis_process("run", ID, "--", f"INPUT={dem}", "INTERVAL=5000", "MODEL=baseline", f"OUTPUT={out}")
    assert run.returncode == 0 and "No ground lies on a level" in run.stdout + run.stderr
    file = gdal.OpenEx(str(out))
    layer = file.GetLayer(0)
    assert layer.GetFeatureCount() == 0 and ogr.GeometryTypeToName(layer.GetGeomType()) == "3D Line String"


def test_bad_input_is_told_before_anything_runs(in_qgis, dem, tmp_path):
    cases = []
    for extra in BAD:
        values = {"INPUT": str(dem), "OUTPUT": str(tmp_path / "o.gpkg")}
        cases.append({**values, **dict([extra.format(folder=tmp_path).split("=", 1)])})
    told = in_qgis(f"""
        from qgis.core import *
        tool = QgsApplication.processingRegistry().createAlgorithmById({ID!r})
        answer([tool.checkParameterValues(values, QgsProcessingContext()) for values in {cases!r}])
    """)
    for sentence, (good, words) in zip(BAD.values(), told, strict=True):
        assert not good and sentence.format(folder=tmp_path) in words and words.endswith("."), words


@pytest.mark.parametrize("extra", IN_ENGINE)
def test_what_only_the_engine_sees_ends_in_a_sentence_too(qgis_process, assert_refused, dem, tmp_path, extra):
    out = tmp_path / "o.gpkg"
    values = {"INPUT": dem, "INTERVAL": 10, "OUTPUT": out, **dict([extra.split("=", 1)])}
    assert_refused(qgis_process("run", ID, "--", *(f"{n}={v}" for n, v in values.items())), IN_ENGINE[extra])
    assert not out.exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, dem, tmp_path):
    model = save_model(ID, {"INPUT": str(dem), "INTERVAL": 20, "MODEL": "baseline"}, {"OUTPUT": "lines"})
    run = qgis_process("run", model, "--", f"step:lines={tmp_path / 'b.geojson'}")
    assert run.returncode == 0, run.stderr
    assert len(lines_of(tmp_path / "b.geojson")) > 3


def test_batches_and_loaded_layers_are_named_and_styled(in_qgis, dem):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        values = {{"INPUT": {str(dem)!r}, "MODEL": "baseline", "OUTPUT": "TEMPORARY_OUTPUT"}}
        counts = [processing.run({ID!r}, {{**values, "INTERVAL": step}})["CONTOUR_COUNT"] for step in (10, 40)]
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        processing.runAndLoadResults({ID!r}, {{**values, "INTERVAL": 10}}, context=context)
        layer = list(QgsProject.instance().mapLayers().values())[0]
        rules = layer.renderer().rootRule().children()
        labels = layer.labeling().rootRule().children()[0]
        answer([counts, layer.name(), layer.crs().authid(), layer.featureCount(), [r.label() for r in rules],
                [r.symbol().width() for r in rules], labels.filterExpression(), layer.labelsEnabled()])
    """)
    (fine, coarse), name, crs, count, rules, widths, labelled, enabled = told
    assert fine == count > coarse > 0 and (name, crs) == ("dem contours", "EPSG:32632")
    assert rules == ["Contour", "Index contour"] and widths[0] < widths[1]
    assert labelled == '"index" = 1' and enabled
