"""Proofs on files: broken rules are found where they were put, in any CRS; what was there before is found unchanged."""

from __future__ import annotations

import json

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely

from neural_terrain.core import vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.validatescene import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.core.validation import validate

UTM, DEGREES = "EPSG:32632", "EPSG:4326"
WEST, SOUTH = 600_000.0, 5_200_000.0


def box(x, y, width, height):
    return shapely.box(WEST + x, SOUTH + y, WEST + x + width, SOUTH + y + height)


def line(*points):
    return shapely.LineString([(WEST + x, SOUTH + y) for x, y in points])


def saved(path, shapes, crs=UTM, **fields) -> str:
    change = pyproj.Transformer.from_crs(UTM, crs, always_xy=True).transform
    moved = [shapely.transform(one, lambda p: np.column_stack(change(*p.T))) if crs != UTM else one for one in shapes]
    vector.write(str(path), "things", moved, fields, crs)
    return str(path)


def test_sound_layers_pass(tmp_path):
    """A junction of three streets, two houses that share a wall."""
    roads = saved(tmp_path / "r.gpkg", [line((0, 0), (50, 0)), line((50, 0), (100, 0)), line((50, 0), (50, 60))])
    houses = saved(tmp_path / "b.gpkg", [box(10, 10, 10, 10), box(20, 10, 10, 10)])
    result = validate(Settings(roads=roads, buildings=houses), Progress())
    assert result["passed"] and result["violations"] == 0 and (result["roads"], result["buildings"]) == (3, 2)


@pytest.mark.parametrize("crs", [UTM, DEGREES])
def test_each_broken_rule_is_found_in_its_place(tmp_path, crs):
    """Streets that cross without a junction, a loose one, houses over each other, on a street and in water."""
    roads = [line((0, 0), (100, 0)), line((50, -50), (50, 50)), line((0, 300), (80, 300))]
    houses = [box(10, 20, 10, 10), box(15, 25, 10, 10), box(70, -2, 10, 10), box(10, 80, 10, 10)]
    given = {
        "roads": saved(tmp_path / "r.gpkg", roads, crs), "buildings": saved(tmp_path / "b.gpkg", houses, crs),
        "water": saved(tmp_path / "w.gpkg", [box(0, 70, 40, 15)], crs),
    }  # fmt: skip
    out, report = str(tmp_path / "v.gpkg"), str(tmp_path / "v.html")
    result = validate(Settings(**given, output=out, report=report), Progress())
    found = {name: number for name, number in result.items() if name.replace("_", " ") in RULES and number}
    assert found == {
        "crossing_without_junction": 1, "streets_apart": 2, "buildings_overlap": 1, "building_on_street": 1,
        "building_in_water": 1,
    }  # fmt: skip
    assert not result["passed"] and result["violations"] == 6 and result["warnings"]
    meta, _, wkb, columns = pyogrio.raw.read(out)
    columns = dict(zip(meta["fields"], columns, strict=True))
    assert pyproj.CRS(meta["crs"]) == pyproj.CRS(crs)
    place = dict(zip(columns["rule"], shapely.from_wkb(wkb), strict=True))["building on street"]
    change = pyproj.Transformer.from_crs(crs, UTM, always_xy=True).transform
    assert box(70, -2, 10, 10).buffer(1e-6).contains(shapely.Point(change(place.x, place.y)))
    assert json.loads((tmp_path / "v.json").read_text())["building_on_street"] == 1


RULES = (
    "invalid geometry", "streets apart", "crossing without junction", "unjoined end", "too steep", "buildings overlap",
    "building on street", "building in water", "feature changed",
)  # fmt: skip


@pytest.mark.parametrize("crs", [UTM, DEGREES])
def test_what_was_there_is_known_again_and_a_change_is_found(tmp_path, crs):
    """In whatever CRS the file from before is; single parts of multiple features count as the same."""
    before = [box(10, 10, 10, 10), box(40, 10, 10, 10)]
    old = saved(tmp_path / "old.gpkg", before, crs)
    now = saved(tmp_path / "now.gpkg", [shapely.MultiPolygon([before[0]]), before[1], box(60, 10, 9, 9)], crs)
    given = {"buildings": now, "existing_buildings": old}
    assert validate(Settings(**given), Progress())["passed"]
    changed = saved(tmp_path / "c.gpkg", [before[0], box(40, 10, 10, 10.5)], crs)
    assert validate(Settings(buildings=changed, existing_buildings=old), Progress())["feature_changed"] == 1


def test_own_features_may_break_rules(tmp_path):
    """Houses of the user's that overlap are theirs; those that say so themselves too."""
    houses = [box(10, 10, 10, 10), box(15, 15, 10, 10)]
    path = saved(tmp_path / "b.gpkg", houses, origin=["existing", "existing"])
    assert validate(Settings(buildings=path), Progress())["passed"]
    plain = saved(tmp_path / "p.gpkg", houses)
    assert not validate(Settings(buildings=plain), Progress())["passed"]
    assert validate(Settings(buildings=plain, existing_buildings=plain), Progress())["passed"]


def test_layers_without_features_or_crs_are_refused(tmp_path):
    vector.write_layers(str(tmp_path / "n.gpkg"), [vector.Layer("things", [], {"n": np.zeros(0)}, UTM, kind="Polygon")])
    with pytest.raises(TerrainError, match="None of the layers to judge has a feature"):
        validate(Settings(buildings=str(tmp_path / "n.gpkg")), Progress())
    bare = str(tmp_path / "b.gpkg")
    vector.write(bare, "things", [box(0, 0, 9, 9)], {}, "")
    with pytest.raises(TerrainError, match="has no CRS"):
        validate(Settings(buildings=bare), Progress())
