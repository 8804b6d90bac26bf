"""*Validate scene* in the real QGIS: a sound town, one with known faults, refusals, models and batches, red marks."""

from __future__ import annotations

import json

import pytest
from osgeo import gdal

from neural_terrain.tests.provider.scenes import layer, line, polygon, results

ID = "neuralterrain:validatescene"
ORIGIN = WEST, SOUTH = 600_000, 5_200_000


def box(x: float, y: float, wide: float, high: float) -> str:
    return polygon(WEST + x, SOUTH + y, wide, high)


STREETS = [line(ORIGIN, (100 * i, 100 * j), (100 * i + 100, 100 * j)) for i in range(2) for j in range(3)]
STREETS += [line(ORIGIN, (100 * i, 100 * j), (100 * i, 100 * j + 100)) for i in range(3) for j in range(2)]
HOUSES = [box(100 * i + 20, 100 * j + 20, 25, 12) for i in range(2) for j in range(2)]
FAULTS = [box(130, 25, 25, 12), box(140, 95, 12, 14)]
"""One overlaps the third house, one stands on a street."""
BLOCKS = [box(100 * i + 4, 100 * j + 4, 92, 92) for i in range(2) for j in range(2)]


@pytest.fixture
def town(write_features, tmp_path):
    """A square of four blocks without a fault; ``houses``, ``open`` and ``before`` have what is wrong."""
    file = tmp_path / "town.gpkg"
    write_features(file, "streets", STREETS, width_m=[8.0] * len(STREETS))
    write_features(file, "sound", HOUSES)
    write_features(file, "houses", HOUSES + FAULTS)
    write_features(file, "old", HOUSES[:2])
    write_features(file, "blocks", BLOCKS)
    write_features(file, "open", [box(4, 4, 60, 92), *BLOCKS[1:]])
    write_features(file, "area", [box(-4, -4, 208, 208)])
    write_features(file, "before", [*STREETS[:2], line(ORIGIN, (30, -3), (30, 90)), line(ORIGIN, (900, 0), (900, 9))])
    return file


def test_faults_are_counted_and_placed_and_a_sound_town_passes(qgis_process, town, tmp_path):
    out, page = tmp_path / "v.gpkg", tmp_path / "r.html"
    told = results(qgis_process("--json", "run", ID, "--", f"ROADS={layer(town, 'streets')}", f"OUTPUT={out}",
                                f"BUILDINGS={layer(town, 'houses')}", f"REPORT={page}",
                                f"BLOCKS={layer(town, 'open')}", f"AREA={layer(town, 'area')}",
                                f"EXISTING_ROADS={layer(town, 'before')}",
                                f"EXISTING_BUILDINGS={layer(town, 'old')}"))  # fmt: skip
    assert told["VIOLATIONS"] == 4 and not told["PASSED"]
    assert (told["BUILDINGS_OVERLAP"], told["BUILDING_ON_STREET"], told["BLOCK_NOT_CLOSED"]) == (1, 1, 1)
    assert (told["ROAD_COUNT"], told["BUILDING_COUNT"], told["FEATURE_CHANGED"]) == (12, 6, 1)
    assert "TOO_STEEP" not in told and "STREET_IN_WATER" not in told
    file = gdal.OpenEx(str(out))
    places = {f["rule"]: f.GetGeometryRef().GetPoint_2D() for f in file.GetLayer(0)}
    x, y = places["buildings overlap"]
    assert 130 <= x - WEST <= 145 and 25 <= y - SOUTH <= 32
    figures = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert figures["violations"] == 4 and "No building overlaps another" in page.read_text(encoding="utf-8")
    sound = results(qgis_process("--json", "run", ID, "--", f"ROADS={layer(town, 'streets')}",
                                 f"BUILDINGS={layer(town, 'sound')}", f"BLOCKS={layer(town, 'blocks')}",
                                 f"AREA={layer(town, 'area')}"))  # fmt: skip
    assert sound["PASSED"] and sound["VIOLATIONS"] == 0 and "OUTPUT" not in sound


def test_bad_input_is_told_before_anything_runs(assert_answered, town, dem, tmp_path):
    roads = layer(town, "streets")
    bad = (
        ({}, "No layer was given; choose roads, buildings or blocks to judge."),
        ({"ROADS": layer(town, "houses")}, "a layer of polygons; choose a layer of lines."),
        ({"ROADS": f"{tmp_path}/nothing.gpkg"}, "which is no vector layer that can be read"),
        ({"ROADS": roads, "MAX_GRADE": 0}, "Steepest grade is 0.0 %; it must be a number from 0.5 to 100 %."),
        ({"ROADS": roads, "MAX_GRADE": "steep"}, "it must be a number."),
        ({"ROADS": roads, "DEM": str(dem), "BAND": 0}, "Band is 0; it must be a number from 1"),
        ({"ROADS": roads, "EXISTING_BUILDINGS": layer(town, "old")}, "without buildings to find them in"),
        ({"ROADS": roads, "OUTPUT": f"{tmp_path}/v.tif"}, "must end in .gpkg"),
        ({"ROADS": roads, "OUTPUT": str(town)}, "is also an input"),
        ({"ROADS": roads, "REPORT": f"{tmp_path}/r.pdf"}, "must end in .html or .htm"),
    )
    assert_answered(ID, bad)


def test_layers_without_files_batches_and_red_marks(in_qgis, town):
    """Unsaved layers in degrees are judged too; the marks arrive styled."""
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        houses = QgsVectorLayer({layer(town, "houses")!r}, "houses", "ogr")
        away = processing.run("native:reprojectlayer", {{
            "INPUT": houses, "TARGET_CRS": "EPSG:4326", "OUTPUT": "TEMPORARY_OUTPUT"}})["OUTPUT"]
        away = processing.run({ID!r}, {{"BUILDINGS": away}}, context=context)["BUILDINGS_OVERLAP"]
        values = {{"ROADS": {layer(town, "streets")!r}, "BUILDINGS": houses, "OUTPUT": "TEMPORARY_OUTPUT"}}
        here = processing.runAndLoadResults({ID!r}, values, context=context)["BUILDINGS_OVERLAP"]
        marks = list(QgsProject.instance().mapLayers().values())[0]
        rules = marks.renderer().rootRule().children()
        answer([[here, away], marks.name(), marks.featureCount(), marks.crs().authid(),
                [[r.label(), r.symbol().color().name()] for r in rules]])
    """)
    assert told[0] == [1, 1] and told[1:4] == ["streets violations", 2, "EPSG:32632"]
    assert [label for label, _ in told[4]] == ["could not be otherwise", "broken rule"]
    assert told[4][1][1] == "#c8102e"
