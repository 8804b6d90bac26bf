"""*Compare scenes* in the real QGIS: a town beside itself and beside another, tables, refusals, models, batches."""

from __future__ import annotations

import csv
import json

import pytest

from neural_terrain.tests.provider.scenes import polygon, results

ID = "neuralterrain:comparescenes"
WEST, SOUTH, SIDE = 600_000, 5_199_000, 1200


def houses(side_m: float) -> list[str]:
    """One house in each square of 40 m, of sides that vary."""
    return [
        polygon(WEST + 40 * col + 8, SOUTH + 40 * row + 8, side_m + (7 * row + col) % 5, side_m + (row + 3 * col) % 4)
        for row in range(SIDE // 40)
        for col in range(SIDE // 40)
    ]


def streets(apart_m: int) -> list[str]:
    """A grid whose lines meet at junctions."""
    at, found = range(0, SIDE + 1, apart_m), []
    for k in at:
        for low in at[:-1]:
            found.append(f"LINESTRING({WEST + low} {SOUTH + k},{WEST + low + apart_m} {SOUTH + k})")
            found.append(f"LINESTRING({WEST + k} {SOUTH + low},{WEST + k} {SOUTH + low + apart_m})")
    return found


@pytest.fixture(scope="module")
def towns(write_features, tmp_path_factory):
    """A town of small houses and one of large houses on wider blocks."""
    file = tmp_path_factory.mktemp("towns") / "towns.gpkg"
    for name, side_m, apart_m in (("small", 10, 80), ("large", 20, 200)):
        write_features(file, f"{name}_houses", houses(side_m))
        write_features(file, f"{name}_streets", streets(apart_m))
    return file


def scene(file, name: str, letter: str) -> dict[str, str]:
    return {
        f"ROADS_{letter}": f"{file}|layername={name}_streets",
        f"BUILDINGS_{letter}": f"{file}|layername={name}_houses",
    }


def test_a_town_is_like_itself_and_unlike_another(qgis_process, towns, tmp_path):
    table, page = tmp_path / "t.csv", tmp_path / "r.html"
    same = {**scene(towns, "small", "A"), **scene(towns, "small", "B"), "WINDOW": 200}
    other = {**scene(towns, "small", "A"), **scene(towns, "large", "B"), "WINDOW": 200, "OUTPUT": table, "REPORT": page}
    told = [results(qgis_process("--json", "run", ID, "--", *(f"{n}={v}" for n, v in values.items())))
            for values in (same, other)]  # fmt: skip
    assert told[0]["W1_SD"] == 0 and told[0]["FD"] == pytest.approx(0, abs=1e-3) and told[0]["WINDOWS_A"] == 36
    assert told[1]["W1_SD"] > 1 and 10 < told[1]["FD"] < 1e6
    rows = {row["feature"]: row for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())}
    assert float(rows["coverage"]["median_b"]) > 2 * float(rows["coverage"]["median_a"])
    assert page.exists() and json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["windows_b"] == 36


def test_bad_input_is_told_before_anything_runs(assert_answered, towns, tmp_path):
    good = {**scene(towns, "small", "A"), **scene(towns, "large", "B")}
    bad = (
        ({}, "Scene A has no layer; choose its roads, its buildings, or both."),
        (scene(towns, "small", "A"), "Scene B has no layer"),
        ({k: v for k, v in good.items() if k != "ROADS_B"}, "Only one of the scenes has roads; give roads of both"),
        ({**good, "WINDOW": 10}, "Window is 10.0 m; it must be a number from 100 to 5000 m."),
        ({**good, "OUTPUT": f"{tmp_path}/t.xlsx"}, "must end in .csv or .json; rename it."),
        ({**good, "REPORT": f"{tmp_path}/t.html", "OUTPUT": f"{tmp_path}/t.json"}, "are the same file"),
        ({**good, "AREA_A": good["ROADS_A"]}, "a layer of lines; choose a layer of polygons."),
    )
    assert_answered(ID, bad)


def test_batches_and_models_hand_on_figures(in_qgis, towns, tmp_path):
    good = {**scene(towns, "small", "A"), **scene(towns, "large", "B"), "WINDOW": 200}
    told = in_qgis(f"""
        import processing
        from qgis.core import *
        wide = processing.run({ID!r}, {{**{good!r}, "WINDOW": 300}})["WINDOWS_A"]
        model = QgsProcessingModelAlgorithm("one", "tests")
        child = QgsProcessingModelChildAlgorithm({ID!r})
        child.setChildId("compare")
        for name, value in {good!r}.items():
            child.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
        table = QgsProcessingModelOutput("table", "table")
        table.setChildId("compare"); table.setChildOutputName("OUTPUT")
        child.setModelOutputs({{"table": table}})
        model.addChildAlgorithm(child)
        model.updateDestinationParameters()
        told = processing.run(model, {{"compare:table": {str(tmp_path / "t.json")!r}}})
        told = told["CHILD_RESULTS"]["compare"]
        answer([[told["WINDOWS_A"], wide], told["W1_SD"]])
    """)
    figures = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert told[0] == [36, 16] and told[1] == pytest.approx(figures["w1_sd"])
