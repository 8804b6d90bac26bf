"""*Fill buildings* in the real QGIS: houses between streets and around a house, refusals, models, batches, styles."""

from __future__ import annotations

import pytest
from osgeo import gdal

from neural_terrain.tests.provider.scenes import layer, line, polygon, results

ID = "neuralterrain:fillbuildings"
CHECK = "neuralterrain:validatescene"
ORIGIN = WEST, SOUTH = 600_060, 5_199_660


@pytest.fixture(scope="module")
def suburb(write_features, tmp_path_factory):
    """Streets around four blocks of 100 m, the blocks, and one house."""
    file = tmp_path_factory.mktemp("suburb") / "suburb.gpkg"
    streets = [line(ORIGIN, (110 * i, 110 * j), (110 * i + 110, 110 * j)) for i in range(2) for j in range(3)]
    streets += [line(ORIGIN, (110 * i, 110 * j), (110 * i, 110 * j + 110)) for i in range(3) for j in range(2)]
    write_features(file, "streets", streets)
    blocks = [polygon(WEST + 110 * i + 6, SOUTH + 110 * j + 6, 98, 98) for i in range(2) for j in range(2)]
    write_features(file, "blocks", blocks)
    write_features(file, "house", [polygon(WEST + 40, SOUTH + 20, 18, 12)])
    return file


def test_houses_fill_the_blocks_and_the_proofs_agree(qgis_process, suburb, tmp_path):
    out = tmp_path / "houses.gpkg"
    told = results(qgis_process(
        "--json", "run", ID, "--", f"ROADS={layer(suburb, 'streets')}", f"BUILDINGS={layer(suburb, 'house')}",
        "STYLE=san_francisco", "COVERAGE=25", "STEPS=fast", f"OUTPUT={out}",
    ))  # fmt: skip
    assert told["BUILDING_COUNT"] > 10 and told["KEPT_COUNT"] == 1
    assert abs(told["DELIVERED_COVERAGE"] - 25) < 2
    houses, old = gdal.OpenEx(str(out)), gdal.OpenEx(str(suburb))
    shapes = [f.GetGeometryRef().Clone() for f in houses.GetLayer(0)]
    standing = next(f.GetGeometryRef().Clone() for f in old.GetLayerByName("house"))
    new = [f for f in houses.GetLayer(0) if f["origin"] != "existing"]
    assert len(new) == told["BUILDING_COUNT"] == len(shapes) - 1
    assert sum(shape.Intersection(standing).Area() > 0 for shape in shapes) == 1
    assert all(f["height_m"] > 2 and f["floors"] >= 1 and f["synthetic"] == 1 for f in new)
    proved = results(qgis_process("--json", "run", CHECK, "--", f"ROADS={layer(suburb, 'streets')}",
                                  f"BUILDINGS={out}"))  # fmt: skip
    assert (proved["BUILDINGS_OVERLAP"], proved["BUILDING_ON_STREET"], proved["INVALID_GEOMETRY"]) == (0, 0, 0)


def test_bad_input_is_told_before_anything_runs(assert_answered, suburb, tmp_path):
    good = {"BLOCKS": layer(suburb, "blocks"), "OUTPUT": str(tmp_path / "o.gpkg")}
    bad = (
        (
            {"OUTPUT": good["OUTPUT"]},
            "Neither roads nor blocks were given; choose a layer of roads, of blocks, or both.",
        ),
        ({**good, "ROADS": layer(suburb, "blocks")}, "a layer of polygons; choose a layer of lines."),
        ({**good, "COVERAGE": 95}, "Coverage is 95.0 %; it must be a number from 0 to 90 %."),
        ({**good, "MEAN_HEIGHT": "tall"}, "Mean height (m) is 'tall'; it must be a number."),
        ({**good, "STEPS": "9"}, "Steps is '9'; it can be fast, balanced, paper."),
        ({**good, "OUTPUT": str(suburb)}, "is also an input"),
        ({**good, "OUTPUT": f"{tmp_path}/o.tif"}, "must end in .gpkg"),
    )
    assert_answered(ID, bad)


def test_a_step_of_a_model_and_a_selected_block_that_is_filled_and_styled(in_qgis, suburb, tmp_path):
    """Two runs in a row, as a batch makes them; blocks alone will do, and a selection of them counts."""
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        project, context = QgsProject.instance(), QgsProcessingContext()
        context.setProject(project)
        values = {{"BLOCKS": {layer(suburb, "blocks")!r}, "STYLE": "paris", "STEPS": "fast", "COVERAGE": 30}}
        model = model_of({ID!r}, values, {{"OUTPUT": "houses"}})
        whole = processing.run(model, {{"step:houses": {str(tmp_path / "h.geojson")!r}}})
        blocks = QgsVectorLayer(values["BLOCKS"], "blocks", "ogr")
        project.addMapLayer(blocks)
        blocks.selectByIds([next(blocks.getFeatures()).id()])
        selected = QgsProcessingFeatureSourceDefinition(blocks.id(), True)
        values = {{**values, "BLOCKS": selected, "SEED": 2, "OUTPUT": "TEMPORARY_OUTPUT"}}
        processing.runAndLoadResults({ID!r}, values, context=context)
        houses = next(one for one in project.mapLayers().values() if one is not blocks)
        block = next(blocks.getSelectedFeatures()).geometry()
        inside = all(f.geometry().within(block.buffer(0.01, 2)) for f in houses.getFeatures())
        rules = [r.label() for r in houses.renderer().rootRule().children()]
        count = whole["CHILD_RESULTS"]["step"]["BUILDING_COUNT"]
        answer([count, houses.featureCount(), inside, houses.name(), rules])
    """)
    assert told[0] > told[1] > 3 and told[2] and told[3] == "blocks filled buildings"
    assert told[4][0] == "up to 4 m" and told[4][-1] == "height not known"
    assert gdal.OpenEx(str(tmp_path / "h.geojson")).GetLayer(0).GetFeatureCount() == told[0]
