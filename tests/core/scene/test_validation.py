"""Proofs on files: broken rules are found where they were put, in any CRS; what was there before is found unchanged."""

from __future__ import annotations

import json

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely

from neural_terrain.core import vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.validatescene import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene_files import Place, read_layer
from neural_terrain.core.scene_files.layers import in_results
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
    """In metres and in degrees; single parts of multiple features count as the same."""
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


RING = [line((0, 0), (100, 1)), line((100, 1), (101, 101)), line((101, 101), (0, 100)), line((0, 100), (0, 0))]


def changed_roads(tmp_path, old, **given) -> int:
    """How many roads from before are missing in the ring."""
    roads, old = saved(tmp_path / "r.gpkg", RING), saved(tmp_path / "o.gpkg", old)
    return validate(Settings(roads=roads, existing_roads=old, **given), Progress())["feature_changed"]


def test_roads_from_before_are_found_missing_wherever_they_must_be(tmp_path):
    """One is shorter, one is gone: with blocks and without, and with the area; what lay outside counts nowhere."""
    old = [*RING[:2], line((101, 101), (0, 99)), line((20, -30), (20, 130)), line((900, 0), (900, 50))]
    blocks = saved(tmp_path / "b.gpkg", [box(6, 6, 88, 88)])
    area = saved(tmp_path / "a.gpkg", [box(-8, -8, 120, 120)])
    assert [changed_roads(tmp_path, old, **given) for given in ({}, {"blocks": blocks}, {"area": area})] == [2, 2, 2]


def test_roads_along_the_axes_have_a_ground_too(tmp_path):
    old = saved(tmp_path / "o.gpkg", [line((0, 0), (50, 0)), line((50, 0), (100, 0))])
    now = saved(tmp_path / "n.gpkg", [line((0, 0), (100, 0))])
    assert validate(Settings(roads=now, existing_roads=old), Progress())["feature_changed"] == 2


def test_the_area_says_where_a_town_that_is_no_hull_ends(tmp_path):
    """A road outside an L-shaped area lies in the hull of its streets; and two areas have streets that are apart."""
    ell = [line((0, 0), (300, 1)), line((0, 0), (1, 300))]
    outside = line((60, 60), (90, 61))
    given = {"roads": saved(tmp_path / "r.gpkg", ell), "existing_roads": saved(tmp_path / "o.gpkg", [*ell, outside])}
    area = saved(tmp_path / "a.gpkg", [box(-20, -20, 340, 40), box(-20, -20, 40, 340)], DEGREES)
    assert validate(Settings(**given), Progress())["feature_changed"] == 1
    assert validate(Settings(**given, area=area), Progress())["passed"]
    apart = saved(tmp_path / "p.gpkg", [line((0, 0), (90, 0)), line((0, 500), (80, 500))], DEGREES)
    areas = saved(tmp_path / "s.gpkg", [box(-20, -20, 140, 40), box(-20, 480, 140, 40)])
    assert validate(Settings(roads=apart), Progress())["streets_apart"] == 1
    found = validate(Settings(roads=apart, area=areas), Progress())
    assert found["passed"] and found["excused"] == 1


def test_own_roads_between_blocks_stay_the_users_own(tmp_path):
    """They may cross each other with blocks as without."""
    roads = saved(tmp_path / "r.gpkg", [line((0, 0), (100, 1)), line((50, -50), (51, 3))])
    blocks = saved(tmp_path / "b.gpkg", [box(60, 7, 30, 30)])
    found = validate(Settings(roads=roads, existing_roads=roads, blocks=blocks), Progress())
    assert (found["crossing_without_junction"], found["unjoined_end"], found["feature_changed"]) == (0, 0, 0)


def test_a_changed_feature_is_shown_where_it_lay_and_heights_count(tmp_path):
    """The one in degrees lies where it was; a corner that was lifted is a change, a height of 0 is none."""
    old = saved(tmp_path / "o.gpkg", [box(0, 0, 10, 10), box(30, 0, 10, 11)], DEGREES)
    now = saved(tmp_path / "n.gpkg", [box(0, 0, 10, 10), box(30, 0, 10, 10)], DEGREES)
    out = str(tmp_path / "v.gpkg")
    assert validate(Settings(buildings=now, existing_buildings=old, output=out), Progress())["feature_changed"] == 1
    change = pyproj.Transformer.from_crs(DEGREES, UTM, always_xy=True).transform
    (place,) = shapely.from_wkb(pyogrio.raw.read(out)[2])
    assert box(30, 0, 10, 11).contains(shapely.Point(change(place.x, place.y)))
    flat, lifted = box(0, 0, 10, 10), shapely.force_3d(box(0, 0, 10, 10), 5.0)
    forms = {"flat": flat, "lifted": lifted, "zero": shapely.force_3d(flat, 0.0)}
    paths = {name: saved(tmp_path / f"{name}.gpkg", [shape, box(30, 0, 9, 9)]) for name, shape in forms.items()}
    for before, after, number in (
        ("lifted", "lifted", 0), ("lifted", "flat", 1), ("flat", "lifted", 1), ("flat", "zero", 0), ("zero", "flat", 0),
    ):  # fmt: skip
        given = {"buildings": paths[after], "existing_buildings": paths[before]}
        assert validate(Settings(**given), Progress())["feature_changed"] == number, (before, after)


@pytest.mark.parametrize("form", ["gpkg", "fgb", "geojson", "shp"])
def test_what_was_there_in_another_crs_is_known_again(tmp_path, form):
    """As *Generate scene* writes it in the CRS of its area, from files of any form."""
    old = saved(tmp_path / f"o.{form}", [box(10, 10, 10, 10), box(40, 10, 10, 10)], "EPSG:32633")
    place = Place(pyproj.CRS(UTM).to_wkt(), pyproj.CRS(UTM).to_wkt())
    moved = in_results(read_layer(old, "", "polygon", place.work_crs), place)
    vector.write(str(tmp_path / "now.gpkg"), "things", list(moved), {}, UTM)
    given = {"buildings": str(tmp_path / "now.gpkg"), "existing_buildings": old}
    assert validate(Settings(**given), Progress())["passed"]
    vector.write(str(tmp_path / "now.gpkg"), "things", list(moved[:1]), {}, UTM)
    assert validate(Settings(**given, area=saved(tmp_path / "a.gpkg", [box(0, 0, 60, 60)])), Progress())[
        "feature_changed"] == 1  # fmt: skip


def test_rules_that_were_not_asked_are_said_to_be_so(tmp_path):
    """A house alone keeps three promises; of the others nobody can say."""
    report = str(tmp_path / "p.html")
    house = saved(tmp_path / "b.gpkg", [box(0, 0, 10, 10)])
    found = validate(Settings(buildings=house, report=report), Progress())
    assert found["passed"] and found["buildings_overlap"] == 0 and found["streets_apart"] is None
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text.count("not judged") == 13 and "All that was judged is sound." in text and "rasters" not in text


def test_a_dem_that_knows_next_to_nothing_is_warned_of(tmp_path):
    dem = str(tmp_path / "d.tif")
    height = np.full((40, 40), -9999, np.float32)
    height[20:22, 10:12] = 5
    transform = (10, 0, WEST - 100, 0, -10, SOUTH + 300)
    with rasterio.open(dem, "w", width=40, height=40, count=1, dtype="float32", crs=UTM, transform=transform,
                       nodata=-9999) as file:  # fmt: skip
        file.write(height, 1)
    found = validate(Settings(roads=saved(tmp_path / "r.gpkg", RING), dem=dem), Progress())
    assert found["grades_proved"] and 0 < found["heights_known"] < 0.05
    assert any("of the heights around the area" in one for one in found["warnings"])


def test_features_without_a_shape_are_no_valid_shapes(tmp_path):
    """They are counted among the invalid ones, though they have no place."""
    path, out = str(tmp_path / "n.gpkg"), str(tmp_path / "v.gpkg")
    shapes = np.array([box(0, 0, 10, 10), None, shapely.Polygon()], object)
    pyogrio.raw.write(path, geometry=shapely.to_wkb(shapes), field_data=[np.arange(3)], fields=["a"], crs=UTM,
                      geometry_type="Polygon", driver="GPKG", layer="t")  # fmt: skip
    found = validate(Settings(buildings=path, output=out, report=str(tmp_path / "r.html")), Progress())
    assert (found["invalid_geometry"], found["buildings"], found["passed"]) == (2, 1, False)
    assert pyogrio.read_info(out)["features"] == 2


def test_a_report_that_has_no_folder_is_told_before_anything_is_replaced(tmp_path):
    house, out = saved(tmp_path / "b.gpkg", [box(0, 0, 10, 10)]), str(tmp_path / "v.gpkg")
    with pytest.raises(TerrainError, match="does not exist"):
        validate(Settings(buildings=house, output=out, report=str(tmp_path / "no" / "r.html")), Progress())
    assert not (tmp_path / "v.gpkg").exists()
