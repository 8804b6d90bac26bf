"""*Generate roads* in the real QGIS: a connected net around a pond, refusals, models, batches, styled layers."""

from __future__ import annotations

import pytest
from osgeo import gdal

from neural_terrain.tests.provider.scenes import layer, polygon, results

ID = "neuralterrain:generateroads"
WEST, SOUTH, SIDE = 600_060, 5_199_660, 280  # one window of the model


@pytest.fixture(scope="module")
def site(write_features, tmp_path_factory):
    """A square of 280 m with a road along its western side and a pond."""
    file = tmp_path_factory.mktemp("site") / "meadow.gpkg"
    write_features(file, "meadow", [polygon(WEST, SOUTH, SIDE, SIDE)])
    write_features(file, "roads", [f"LINESTRING({WEST + 20} {SOUTH + 10.5},{WEST + 25} {SOUTH + 270})"])
    write_features(file, "pond", [polygon(WEST + 170, SOUTH + 170, 60, 60)])
    return file


def test_the_net_is_one_joins_its_road_and_leaves_the_pond(qgis_process, site, tmp_path):
    out, junctions = tmp_path / "roads.gpkg", tmp_path / "junctions.gpkg"
    run = qgis_process(
        "--json", "run", ID, "--", f"AREA={layer(site, 'meadow')}", f"ROADS={layer(site, 'roads')}",
        f"WATER={layer(site, 'pond')}", "STYLE=san_francisco", "STEPS=fast", "STREET_DENSITY=15", f"OUTPUT={out}",
        f"JUNCTIONS={junctions}",
    )  # fmt: skip
    told = results(run)
    roads, pond = gdal.OpenEx(str(out)), gdal.OpenEx(str(site))
    lines = [(f["origin"], f.GetGeometryRef().Clone()) for f in roads.GetLayer(0)]
    water = next(f.GetGeometryRef().Clone() for f in pond.GetLayerByName("pond"))
    assert told["COMPONENTS"] == 1 and told["COMPONENTS_BEFORE"] >= 1 and len(lines) > 5
    assert not any(line.Crosses(water) for origin, line in lines if origin == "generated")
    old = next(f.GetGeometryRef().ExportToWkb() for f in pond.GetLayerByName("roads"))
    assert bytes(old) in {bytes(line.ExportToWkb()) for origin, line in lines if origin == "existing"}
    assert told["STREET_KM"] == pytest.approx(sum(line.Length() for _, line in lines) / 1000, rel=0.01)
    meeting = gdal.OpenEx(str(junctions))
    assert sum(f["degree"] >= 3 for f in meeting.GetLayer(0)) == told["JUNCTION_COUNT"] > 2


def test_bad_input_is_told_before_anything_runs(assert_answered, site, tmp_path):
    good = {"AREA": layer(site, "meadow"), "OUTPUT": str(tmp_path / "o.gpkg")}
    bad = (
        ({"OUTPUT": good["OUTPUT"]}, "No area was given; choose a polygon layer or a file of polygons."),
        ({**good, "WATER": layer(site, "roads")}, "a layer of lines; choose a layer of polygons."),
        ({**good, "STREET_DENSITY": 200}, "Street density is 200.0 km/km2; it must be a number from 0.5 to 60 km/km2."),
        ({**good, "MAX_GRADE": 0.1}, "Steepest grade is 0.1 %; it must be a number from 0.5 to 100 %."),
        ({**good, "STYLE": "rome"}, "Style is 'rome'; it can be mixed, "),
        ({**good, "OUTPUT": f"{tmp_path}/o.dxf"}, "must end in .gpkg"),
        ({**good, "JUNCTIONS": good["OUTPUT"]}, "are the same file"),
    )
    assert_answered(ID, bad)


def test_a_step_of_a_model_and_loaded_layers_that_are_named_and_styled(in_qgis, site, tmp_path):
    """Two runs in a row, as a batch makes them: few streets by a model, many that are loaded."""
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        values = {{"AREA": {layer(site, "meadow")!r}, "STYLE": "paris", "STEPS": "fast"}}
        model = model_of({ID!r}, {{**values, "STREET_DENSITY": 4}}, {{"OUTPUT": "net"}})
        sparse = processing.run(model, {{"step:net": {str(tmp_path / "net.fgb")!r}}})["CHILD_RESULTS"]["step"]
        values = {{**values, "STREET_DENSITY": 25, "OUTPUT": "TEMPORARY_OUTPUT"}}
        told = processing.runAndLoadResults({ID!r}, values, context=context)
        layer = list(QgsProject.instance().mapLayers().values())[0]
        answer([sparse["DENSITY"], told["DENSITY"], layer.name(), layer.renderer().type(), layer.crs().authid()])
    """)
    assert told[0] < told[1] and told[2:] == ["meadow roads", "categorizedSymbol", "EPSG:32632"]
    assert gdal.OpenEx(str(tmp_path / "net.fgb")).GetLayer(0).GetFeatureCount() > 1
