"""*Generate scene* in the real QGIS: layers, rasters and report of one scene, refusals, models, batches, the group."""

from __future__ import annotations

import json

import pytest
from osgeo import gdal

from neural_terrain.tests.provider.scenes import layer, polygon, results

ID = "neuralterrain:generatescene"
ROADS = "neuralterrain:generateroads"
CHECK = "neuralterrain:validatescene"
WEST, SOUTH, SIDE = 600_060, 5_199_660, 260  # few windows of the model


@pytest.fixture(scope="module")
def site(write_features, tmp_path_factory):
    """A square of 260 m with a road through it and a house beside that."""
    file = tmp_path_factory.mktemp("site") / "harbour.gpkg"
    write_features(file, "harbour", [polygon(WEST, SOUTH, SIDE, SIDE)])
    road = f"LINESTRING({WEST - 20.123456789} {SOUTH + 140},{WEST + 151.1} {SOUTH + 150.2},{WEST + 320} {SOUTH + 163})"
    write_features(file, "roads", [road], highway=["secondary"], name=["Quay Street"])
    write_features(file, "houses", [polygon(WEST + 140.5, SOUTH + 170.25, 14.125, 11)], height=[9.5])
    return file


def wkbs(file, name: str) -> list[bytes]:
    opened = gdal.OpenEx(str(file))
    return [bytes(f.GetGeometryRef().ExportToWkb()) for f in opened.GetLayerByName(name)]


def test_a_scene_has_all_its_layers_and_keeps_what_is_there(qgis_process, site, dem, tmp_path):
    out, rasters, page = tmp_path / "town.gpkg", tmp_path / "rasters", tmp_path / "town.html"
    told = results(qgis_process(
        "--json", "run", ID, "--", f"AREA={layer(site, 'harbour')}", f"DEM={dem}", f"ROADS={layer(site, 'roads')}",
        f"BUILDINGS={layer(site, 'houses')}", "STYLE=san_francisco", "COVERAGE=25", "STEPS=fast", "SEED=3",
        "MAX_GRADE=30", f"OUTPUT={out}", f"RASTERS={rasters}", f"REPORT={page}",
    ))  # fmt: skip
    file = gdal.OpenEx(str(out))
    names = {file.GetLayer(k).GetName() for k in range(file.GetLayerCount())}
    assert names == {"roads", "junctions", "blocks", "buildings", "landuse"}
    assert told["VIOLATIONS"] == 0 and told["COMPONENTS"] == 1 and told["OUTPUT_ROADS"] == layer(out, "roads")
    assert abs(told["DELIVERED_COVERAGE"] - 25) < 2
    assert wkbs(site, "roads")[0] in wkbs(out, "roads") and wkbs(site, "houses")[0] in wkbs(out, "buildings")
    roads, buildings = file.GetLayerByName("roads"), file.GetLayerByName("buildings")
    assert {f["name"] for f in roads if f["origin"] == "existing"} == {"Quay Street"}
    assert all(f["synthetic"] == (f["origin"] != "existing") for f in buildings)
    assert buildings.GetFeatureCount() == told["BUILDING_COUNT"] + 1 > 10
    assert roads.GetSpatialRef().GetAuthorityCode(None) == "32632"
    assert roads.GetMetadata()["seed"] == "3" and "OpenStreetMap" in str(roads.GetMetadata())
    assert {path.name for path in rasters.glob("*.tif")} >= {"height_2m.tif", "landuse_10m.tif", "coverage_100m.tif"}
    figures = json.loads((tmp_path / "town.json").read_text(encoding="utf-8"))
    assert figures["seed"] == 3 and "san_francisco" in page.read_text(encoding="utf-8")


def test_bad_input_is_told_before_anything_runs(assert_answered, site, dem, tmp_path):
    good = {"AREA": layer(site, "harbour"), "OUTPUT": str(tmp_path / "o.gpkg")}
    bad = (
        ({"OUTPUT": good["OUTPUT"]}, "No area was given; choose a polygon layer or a file of polygons."),
        ({**good, "AREA": layer(site, "roads")}, "a layer of lines; choose a layer of polygons."),
        ({**good, "ROADS": layer(site, "houses")}, "a layer of polygons; choose a layer of lines."),
        ({**good, "DEM": f"{tmp_path}/no.tif"}, "which is no raster that can be read"),
        ({**good, "DEM": str(dem), "BAND": "two"}, "Band is 'two'; it must be a number."),
        ({**good, "STYLE": "rome"}, "Style is 'rome'; it can be mixed, "),
        ({**good, "EXISTING": "drop"}, "Existing features is 'drop'; it can be keep, roads, style."),
        ({**good, "EXISTING": "style"}, "choose roads or buildings."),
        ({**good, "COVERAGE": 130}, "Coverage is 130.0 %; it must be a number from 0 to 90 %."),
        ({**good, "COVERAGE": 0, "FAR": 1}, "leave one of them empty."),
        ({**good, "FAR": -1}, "Floor-area ratio is -1.0; it must be"),
        ({**good, "MEAN_HEIGHT": 1}, "Mean height is 1.0 m; it must be a number from 2.5 to 300 m."),
        ({**good, "GREEN": "much"}, "Green share (%) is 'much'; it must be a number."),
        ({**good, "FINEST": "5"}, "Finest scale is 5; it can be 100, 50, 10, 2, 1"),
        ({**good, "FINEST": "fine"}, "Finest scale is 'fine'; it can be 100, 50, 10, 2, 1"),
        ({**good, "STEPS": "many"}, "Steps is 'many'; it can be fast, balanced, paper."),
        ({**good, "SEED": -1}, "Seed is -1; it must be a whole number from 0 to"),
        ({**good, "SEED": 1.5}, "Seed is 1.5; it must be a whole number."),
        ({**good, "DEVICE": "gpu"}, "Device is 'gpu'; it can be auto"),
        ({**good, "OUTPUT": f"{tmp_path}/o.shp"}, "must end in .gpkg; rename it."),
        ({**good, "OUTPUT": str(site)}, "is also an input; choose another name"),
        ({**good, "REPORT": f"{tmp_path}/o.pdf"}, "must end in .html or .htm; rename it."),
    )
    assert_answered(ID, bad)


def test_metres_go_before_places_in_the_list_of_scales(ask_qgis):
    told = ask_qgis(f"""
        from qgis.core import *
        from neural_terrain.processing_provider.parameters import Call
        tool = QgsApplication.processingRegistry().createAlgorithmById({ID!r})
        finest = next(p for p in tool.PARAMETERS if p.name == "FINEST")
        given = ({{}}, {{"FINEST": "2"}}, {{"FINEST": 1}}, {{"FINEST": 3}}, {{"FINEST": "100"}}, {{"FINEST": 50}})
        answer([finest.read(Call(tool, values, QgsProcessingContext()))["finest"] for values in given])
    """)
    assert told == [2, 2, 1, 2, 100, 50]


def test_layers_arrive_as_one_group_in_the_order_of_a_map(in_qgis, site, write_features, tmp_path):
    """A layer in degrees that has no file; the same seed, the same bytes; an area without a polygon, a sentence."""
    empty, out = write_features(tmp_path / "a.gpkg", "a", ["POLYGON EMPTY"]), tmp_path / "o.gpkg"
    given = in_qgis(f"""
        import processing
        from pathlib import Path
        from qgis.core import *
        context, project = QgsProcessingContext(), QgsProject.instance()
        context.setProject(project)
        away = processing.run("native:reprojectlayer", {{
            "INPUT": {layer(site, "harbour")!r}, "TARGET_CRS": "EPSG:4326", "OUTPUT": "TEMPORARY_OUTPUT"}})["OUTPUT"]
        values = {{"AREA": away, "STYLE": "paris", "STEPS": "fast", "FINEST": "10", "OUTPUT": "TEMPORARY_OUTPUT"}}
        first = processing.run({ID!r}, values)["OUTPUT"]
        before = len(project.mapLayers())
        found = processing.runAndLoadResults({ID!r}, {{**values, "RASTERS": "TEMPORARY_OUTPUT"}}, context=context)
        same = Path(first).read_bytes() == Path(found["OUTPUT"]).read_bytes()
        group = project.layerTreeRoot().children()[0]
        nodes = [[n.name(), n.layer().type() == QgsMapLayerType.RasterLayer, n.isVisible(), n.layer().crs().authid()]
                 for n in group.children()]
        roads = next(n.layer() for n in group.findLayers() if n.name() == "Roads")
        classes = [c.label() for c in roads.renderer().categories()]
        bad = told({ID!r}, {{"AREA": {str(empty)!r}, "OUTPUT": {str(out)!r}}})
        answer([same, before, group.name(), nodes, classes, Path(found["RASTERS"]).is_dir(), bad])
    """)
    assert given[:2] == [True, 0] and given[2] == "Reprojected scene, paris, seed 1"
    shown = [name for name, is_raster, visible, _ in given[3] if visible and not is_raster]
    assert shown == ["Roads", "Blocks", "Land use"]
    assert given[3][0][0] == "Junctions" and not given[3][0][2]
    rasters = [name for name, is_raster, visible, _ in given[3] if is_raster and not visible]
    assert "Land use, 10 m" in rasters and [name for name, *_ in given[3][-len(rasters) :]] == rasters
    assert {crs for _, is_raster, _, crs in given[3] if not is_raster} == {"EPSG:4326"}
    assert given[4][:2] == ["Main street", "Street"] and given[5]
    assert "has no features; choose one with polygons." in given[6] and "Traceback" not in given[6] and not out.exists()


def test_it_works_as_a_step_of_a_saved_model(qgis_process, save_model, site, tmp_path):
    values = {"AREA": layer(site, "harbour"), "FINEST": "50", "STYLE": "paris", "STEPS": "fast"}
    model, out = save_model(ID, values, {"OUTPUT": "town"}), tmp_path / "town.gpkg"
    run = qgis_process("run", model, "--", f"step:town={out}")
    assert run.returncode == 0, run.stderr
    assert gdal.OpenEx(str(out)).GetLayerByName("landuse").GetFeatureCount() > 10
