"""*Prepare scene data* in the real QGIS: what is dropped and why, a group of layers, models that hand layers on."""

from __future__ import annotations

import json

import pytest
from osgeo import gdal

from neural_terrain.tests.provider.scenes import layer, polygon, results

ID = "neuralterrain:preparescenedata"
CHECK = "neuralterrain:validatescene"
WEST, SOUTH = 600_000, 5_200_000


def box(x: float, y: float, side: float) -> str:
    return polygon(WEST + x, SOUTH + y, side, side)


@pytest.fixture
def town(write_features, tmp_path):
    """Forty houses, one of them twice, one of 4 m2, three roads and land cover in words of OpenStreetMap."""
    file = tmp_path / "extract.gpkg"
    houses = [box(30 * (k % 8), 40 * (k // 8), 10 + k % 4) for k in range(40)]
    houses += [houses[5], box(500, 0, 2)]
    write_features(file, "building", houses, levels=[2.0 + k % 3 for k in range(42)])
    roads = [f"LINESTRING({WEST} {SOUTH + y},{WEST + 300} {SOUTH + y})" for y in (-10, 30, 190)]
    write_features(file, "highway", roads, highway=["primary", "residential", "service"])
    write_features(file, "natural", [box(0, 300, 90), box(100, 300, 90)], natural=["water", "wood"])
    return file


def test_what_is_dropped_is_listed_with_its_reason(qgis_process, town, tmp_path):
    out, page = tmp_path / "clean.gpkg", tmp_path / "r.html"
    run = qgis_process("--json", "run", ID, "--", f"ROADS={layer(town, 'highway')}", f"OUTPUT={out}",
                       f"BUILDINGS={layer(town, 'building')}", f"REPORT={page}")  # fmt: skip
    told = results(run)
    assert (told["KEPT_COUNT"], told["DROPPED_COUNT"]) == (43, 2)
    assert told["OUTPUT_ROADS"] == layer(out, "roads") and "OUTPUT_LANDCOVER" not in told
    file = gdal.OpenEx(str(out))
    assert {file.GetLayer(k).GetName() for k in range(file.GetLayerCount())} == {"roads", "buildings", "dropped"}
    assert [f["class"] for f in file.GetLayerByName("roads")] == ["major", "minor", "service"]
    heights = [f["height_m"] for f in file.GetLayerByName("buildings")]
    assert len(heights) == 40 and min(heights) == pytest.approx(6.2)
    assert len({f["reason"] for f in file.GetLayerByName("dropped")}) == 2
    assert page.exists() and json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["dropped"] == 2


def test_bad_input_is_told_before_anything_runs(assert_answered, town, tmp_path):
    roads, out = {"ROADS": layer(town, "highway")}, str(tmp_path / "o.gpkg")
    bad = (
        ({"OUTPUT": out}, "No layer was given; choose roads, buildings or land cover."),
        ({**roads, "OUTPUT": f"{tmp_path}/o.shp"}, "must end in .gpkg; rename it."),
        ({**roads, "OUTPUT": out, "Z_LIMIT": 0}, "Limit of anomalies is 0.0; it must be a number from 1 to 1000."),
        ({**roads, "OUTPUT": out, "MIN_BUILDING": -1}, "Smallest building is -1.0 m2; it must be"),
        ({**roads, "OUTPUT": str(town)}, "is also an input"),
        ({"BUILDINGS": layer(town, "highway"), "OUTPUT": out}, "a layer of lines; choose a layer of polygons."),
    )
    assert_answered(ID, bad)


def test_layers_arrive_as_one_group_each_run_and_in_batches(in_qgis, town):
    """From below: land cover in its colours, roads, buildings, dropped; a second run gets a group of its own."""
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        context = QgsProcessingContext()
        project = QgsProject.instance()
        context.setProject(project)
        values = {{"ROADS": {layer(town, "highway")!r}, "BUILDINGS": {layer(town, "building")!r},
                   "LANDCOVER": {layer(town, "natural")!r}, "OUTPUT": "TEMPORARY_OUTPUT"}}
        runs = [processing.runAndLoadResults({ID!r}, {{**values, "MIN_BUILDING": size}}, context=context)
                for size in (8, 110)]
        counts = [run["DROPPED_COUNT"] for run in runs]
        groups = [[g.name(), [n.name() for n in g.children()]] for g in project.layerTreeRoot().children()]
        kinds = [n.layer().renderer().type() for n in project.layerTreeRoot().children()[0].findLayers()]
        cover = project.layerTreeRoot().children()[0].findLayers()[-1].layer()
        look = cover.renderer()
        seen = [look.categories()[look.categoryIndexForValue(f[look.classAttribute()])].label()
                for f in cover.getFeatures()]
        answer([counts, groups, kinds, seen])
    """)
    counts, groups, kinds, seen = told
    assert seen == ["Water", "Green"]
    assert counts[0] < counts[1]
    assert sorted(name for name, _ in groups) == ["highway prepared", "highway prepared (2)"]
    assert all(names == ["Dropped or changed", "Buildings", "Roads", "Land cover"] for _, names in groups)
    assert kinds == ["singleSymbol", "RuleRenderer", "categorizedSymbol", "categorizedSymbol"]


def test_a_model_hands_its_layers_to_the_next_step(in_qgis, town):
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        model = QgsProcessingModelAlgorithm("two", "tests")
        source = QgsProcessingModelChildParameterSource
        clean, check = QgsProcessingModelChildAlgorithm({ID!r}), QgsProcessingModelChildAlgorithm({CHECK!r})
        clean.setChildId("clean"); check.setChildId("check")
        clean.addParameterSources("ROADS", [source.fromStaticValue({layer(town, "highway")!r})])
        clean.addParameterSources("BUILDINGS", [source.fromStaticValue({layer(town, "building")!r})])
        for name in ("ROADS", "BUILDINGS"):
            check.addParameterSources(name, [source.fromChildOutput("clean", f"OUTPUT_{{name}}")])
        marks = QgsProcessingModelOutput("marks", "marks")
        marks.setChildId("check"); marks.setChildOutputName("OUTPUT")
        check.setModelOutputs({{"marks": marks}})
        model.addChildAlgorithm(clean); model.addChildAlgorithm(check)
        model.updateDestinationParameters()
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        told = processing.runAndLoadResults(model, {{"check:marks": "TEMPORARY_OUTPUT"}}, context=context)
        loaded = [layer.name() for layer in QgsProject.instance().mapLayers().values()]
        answer([told["CHILD_RESULTS"]["check"]["BUILDING_COUNT"], told["CHILD_RESULTS"]["check"]["ROAD_COUNT"], loaded])
    """)
    assert told[:2] == [40, 3] and len(told[2]) == 1
