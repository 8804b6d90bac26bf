"""*Validate scene* in the real QGIS: a sound town, one with known faults, refusals, models and batches, red marks."""

from __future__ import annotations

import json

import pytest
from osgeo import gdal

ID = "neuralterrain:validatescene"
WEST, SOUTH = 600_000, 5_200_000


def box(x: float, y: float, wide: float, high: float) -> str:
    x, y = x + WEST, y + SOUTH
    corners = ((x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y))
    return f"POLYGON(({','.join(f'{a} {b}' for a, b in corners)}))"


def line(*places: tuple[float, float]) -> str:
    return f"LINESTRING({','.join(f'{x + WEST} {y + SOUTH}' for x, y in places)})"


STREETS = [line((100 * i, 100 * j), (100 * i + 100, 100 * j)) for i in range(2) for j in range(3)]
STREETS += [line((100 * i, 100 * j), (100 * i, 100 * j + 100)) for i in range(3) for j in range(2)]
HOUSES = [box(100 * i + 20, 100 * j + 20, 25, 12) for i in range(2) for j in range(2)]
FAULTS = [box(130, 25, 25, 12), box(140, 95, 12, 14)]
"""One overlaps the third house, one stands on a street."""


@pytest.fixture
def town(write_features, tmp_path):
    """A square of four blocks without a fault; ``houses`` also has two that are wrong."""
    file = tmp_path / "town.gpkg"
    write_features(file, "streets", STREETS, width_m=[8.0] * len(STREETS))
    write_features(file, "sound", HOUSES)
    write_features(file, "houses", HOUSES + FAULTS)
    write_features(file, "old", HOUSES[:2])
    return file


def layer(file, name: str) -> str:
    return f"{file}|layername={name}"


def results(run) -> dict:
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def test_faults_are_counted_and_placed_and_a_sound_town_passes(qgis_process, town, tmp_path):
    out, page = tmp_path / "v.gpkg", tmp_path / "r.html"
    told = results(qgis_process("--json", "run", ID, "--", f"ROADS={layer(town, 'streets')}", f"OUTPUT={out}",
                                f"BUILDINGS={layer(town, 'houses')}", f"REPORT={page}",
                                f"EXISTING_BUILDINGS={layer(town, 'old')}"))  # fmt: skip
    assert told["VIOLATIONS"] == 2 and not told["PASSED"]
    assert (told["BUILDINGS_OVERLAP"], told["BUILDING_ON_STREET"]) == (1, 1)
    assert (told["ROAD_COUNT"], told["BUILDING_COUNT"], told["FEATURE_CHANGED"]) == (12, 6, 0)
    file = gdal.OpenEx(str(out))
    places = {f["rule"]: f.GetGeometryRef().GetPoint_2D() for f in file.GetLayer(0)}
    x, y = places["buildings overlap"]
    assert 130 <= x - WEST <= 145 and 25 <= y - SOUTH <= 32
    figures = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert figures["violations"] == 2 and "No building overlaps another" in page.read_text(encoding="utf-8")
    sound = results(qgis_process("--json", "run", ID, "--", f"ROADS={layer(town, 'streets')}",
                                 f"BUILDINGS={layer(town, 'sound')}"))  # fmt: skip
    assert sound["PASSED"] and sound["VIOLATIONS"] == 0 and "OUTPUT" not in sound


def test_bad_input_is_told_before_anything_runs(in_qgis, town, dem, tmp_path):
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
    told = in_qgis(f"""
        from qgis.core import *
        tool = QgsApplication.processingRegistry().createAlgorithmById({ID!r})
        answer([tool.checkParameterValues(values, QgsProcessingContext()) for values in {[v for v, _ in bad]!r}])
    """)
    for (_, sentence), (good, words) in zip(bad, told, strict=True):
        assert not good and sentence in words and words.endswith("."), words


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
        counts = [processing.run({ID!r}, {{"BUILDINGS": one}}, context=context)["BUILDINGS_OVERLAP"]
                  for one in (houses, away)]
        values = {{"ROADS": {layer(town, "streets")!r}, "BUILDINGS": houses, "OUTPUT": "TEMPORARY_OUTPUT"}}
        processing.runAndLoadResults({ID!r}, values, context=context)
        marks = list(QgsProject.instance().mapLayers().values())[0]
        rules = marks.renderer().rootRule().children()
        answer([counts, marks.name(), marks.featureCount(), marks.crs().authid(),
                [[r.label(), r.symbol().color().name()] for r in rules]])
    """)
    assert told[0] == [1, 1] and told[1:4] == ["streets violations", 2, "EPSG:32632"]
    assert [label for label, _ in told[4]] == ["could not be otherwise", "broken rule"]
    assert told[4][1][1] == "#c8102e"
