"""Each rule of the proofs finds the one fault that was made, and nothing where all is well."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from neural_terrain.core.scene_check.validate import RULES, Heights, Layers, counts, disagreements, judged, validate


def lines(*texts: str):
    """Shapes from WKT."""
    return np.array([shapely.from_wkt(text) for text in texts], object)


CROSS = lines("LINESTRING (0 0, 50 0)", "LINESTRING (50 0, 100 0)", "LINESTRING (50 0, 50 60)")
HOUSE = shapely.box(10, 10, 20, 20)
WIDTH = np.full(3, 8.0)


def test_a_sound_town_has_no_fault() -> None:
    """Party walls may touch."""
    two = np.array([HOUSE, shapely.box(20, 10, 30, 20)], object)
    assert validate(Layers(CROSS, WIDTH, buildings=two, blocks=np.array([shapely.box(0, 4, 46, 60)], object))) == []


@pytest.mark.parametrize(
    ("layers", "rule"),
    [
        (Layers(lines("LINESTRING (0 0, 9 0)", "LINESTRING (0 5, 5 5)")), "streets apart"),
        (
            Layers(lines("LINESTRING (0 0, 9 9)", "LINESTRING (0 9, 9 0)", "LINESTRING (0 0, 0 9)")),
            "crossing without junction",
        ),
        (Layers(lines("LINESTRING (0 0, 9 0)", "LINESTRING (4 0.5, 4 5)", "LINESTRING (4 5, 9 0)")), "unjoined end"),
        (Layers(buildings=np.array([HOUSE, shapely.box(19.99, 10, 30, 20)], object)), "buildings overlap"),
        (Layers(CROSS, WIDTH, buildings=np.array([shapely.box(10, 3.99, 20, 9)], object)), "building on street"),
        (
            Layers(buildings=np.array([HOUSE], object), water=np.array([shapely.box(19, 19, 30, 30)], object)),
            "building in water",
        ),
        (Layers(CROSS, blocks=np.array([shapely.box(40, 4, 60, 20)], object)), "street through block"),
        (Layers(blocks=np.array([HOUSE, shapely.box(15, 15, 30, 30)], object)), "blocks overlap"),
        (Layers(CROSS, before=lines("LINESTRING (0 0, 51 0)")), "feature changed"),
        (Layers(buildings=lines("POLYGON ((0 0, 9 9, 9 0, 0 9, 0 0))")), "invalid geometry"),
        (
            Layers(lines("LINESTRING (0 0, 50 0)", "LINESTRING (50 0, 99 0)", "LINESTRING (50 0, 50 3)"), WIDTH),
            "dangling sliver",
        ),
        (Layers(CROSS, WIDTH, water=np.array([shapely.box(70, -5, 80, 5)], object)), "street in water"),
        (
            Layers(
                buildings=np.array([HOUSE, shapely.box(19, 10, 30, 20)], object), building_kept=np.array([True, False])
            ),
            "building on existing building",
        ),
        (
            Layers(
                CROSS, WIDTH, blocks=np.array([shapely.box(0, 4, 46, 30)], object), area=shapely.box(0, -60, 100, 60)
            ),
            "block not closed",
        ),
    ],
)
def test_each_rule_finds_its_fault(layers: Layers, rule: str) -> None:
    """And no other rule does."""
    assert {name for name, number in counts(validate(layers)).items() if number} == {rule}


def test_grades_are_measured_on_the_dem() -> None:
    """A street straight up a slope of 20 percent, and one along it."""
    slope = np.arange(20.0)[None].repeat(20, axis=0) * 2.0
    heights = Heights(slope, 0.0, 200.0, 10.0, 0.12)
    roads = lines("LINESTRING (20 50, 120 50)", "LINESTRING (20 50, 20 150)")
    found = validate(Layers(roads), heights)
    assert [one.rule for one in found] == ["too steep"]
    assert found[0].amount == pytest.approx(0.2)


def test_what_forbids_to_join_streets_is_named() -> None:
    """Water, slopes, and gaps of the user's own are listed and not counted."""
    two = lines("LINESTRING (0 0, 90 0)", "LINESTRING (0 50, 80 50)")
    river = np.array([shapely.box(-100, 20, 200, 30)], object)
    area = shapely.box(-50, -50, 150, 100)
    cliff = np.where(np.arange(40) < 20, 0.0, 50.0)[:, None].repeat(40, axis=1)
    heights = Heights(cliff, -100.0, 125.0, 5.0, 0.12)
    cases = [
        (Layers(two, water=river, area=area), None, "Water, existing buildings or the edge of the area lie between."),
        (Layers(two, area=area), heights, "Slopes over 12.0% lie between."),
        (Layers(two, road_kept=np.array([False, True])), None, "They are your own, and the gap to the rest is yours."),
    ]
    for layers, dem, excuse in cases:
        found = validate(layers, dem)
        assert [(one.rule, one.excuse) for one in found] == [("streets apart", excuse)]
        assert found[0].amount == 80
        assert not any(counts(found).values())


def test_lines_that_share_a_point_are_joined() -> None:
    """As in OpenStreetMap, where ways run on through junctions."""
    roads = lines("LINESTRING (0 0, 5 5, 9 9)", "LINESTRING (0 9, 5 5, 9 0)")
    assert validate(Layers(roads)) == []


def test_features_of_any_kind_are_looked_at() -> None:
    """Multiple lines and polygons, heights, missing geometry, and a lake of many points."""
    roads = lines("MULTILINESTRING ((0 0, 50 0), (50 0, 100 0))", "LINESTRING Z (50 0 1, 50 60 2)")
    houses = np.array([shapely.union(HOUSE, shapely.box(60, 10, 70, 20)), None], object)
    lake = np.array([shapely.Point(15, 215).buffer(200, quad_segs=2000)], object)
    found = validate(Layers(roads, np.array([8.0, 8.0]), buildings=houses, water=lake))
    assert [(one.rule, one.shape) for one in found if one.rule == "invalid geometry"] == [("invalid geometry", None)]
    wet = [one for one in found if one.rule == "building in water"]
    assert wet[0].amount == pytest.approx(houses[0].intersection(lake[0]).area, abs=1e-6)


def test_coarse_cells_are_aggregates() -> None:
    """Means of fine cells; one that is not is found in its place."""
    fine = np.random.default_rng(1).random((40, 60))
    coarse = fine.reshape(8, 5, 12, 5).mean(axis=(1, 3))
    assert disagreements(fine, coarse.astype(np.float32), (0.0, 80.0, 10.0), "share") == []
    coarse[2, 3] += 0.01
    (found,) = disagreements(fine, coarse, (0.0, 80.0, 10.0), "share")
    assert (found.shape.bounds, found.rule) == ((30.0, 50.0, 40.0, 60.0), "scales disagree")
    with pytest.raises(ValueError, match="do not fill"):
        disagreements(fine, coarse[:, :-1], (0.0, 80.0, 10.0), "share")


def test_a_hundred_thousand_houses_are_no_burden() -> None:
    """Rows of houses that touch, and one that does not stand where it should."""
    x, y = np.meshgrid(np.arange(400) * 10.0, np.arange(250) * 25.0)
    houses = shapely.box(x.ravel(), y.ravel(), x.ravel() + 10, y.ravel() + 12)
    houses[777] = shapely.buffer(houses[777], 0.2)
    broken = counts(validate(Layers(buildings=houses)))
    assert broken["buildings overlap"] == 2


def test_crossings_of_the_users_own_lines_are_theirs() -> None:
    """They count as joined, and as no fault."""
    roads = lines("LINESTRING (0 0, 9 9)", "LINESTRING (0 9, 9 0)")
    assert validate(Layers(roads, road_kept=np.array([True, True]))) == []


def square_of_streets(x: float):
    """Four streets around a square of 100 m, and the block in it."""
    corners = [(x, 0), (x + 100, 0), (x + 100, 100), (x, 100), (x, 0)]
    return [shapely.LineString(pair) for pair in zip(corners[:-1], corners[1:], strict=True)], shapely.box(
        x + 4, 4, x + 96, 96
    )


def test_what_is_judged_never_excuses_itself() -> None:
    """Two squares of streets apart are a fault with and without their blocks; water or an area of two parts excuse."""
    (one, first), (two, second) = square_of_streets(0), square_of_streets(300)
    roads, blocks = np.array(one + two, object), np.array([first, second], object)
    river = np.array([shapely.box(150, -2000, 250, 2000)], object)
    parts = shapely.union_all(shapely.buffer(blocks, 8, join_style="mitre"))
    far = shapely.box(5000, 0, 5100, 100)
    for more, excused in (({}, 0), ({"water": river}, 1), ({"area": parts}, 1), ({"area": far}, 0)):
        for laid in (blocks, blocks[:0]):
            if "area" in more and more["area"] is far and len(laid):
                continue  # those blocks are open, too
            found = validate(Layers(roads, np.full(8, 8.0), blocks=laid, **more))
            assert [(one.rule, bool(one.excuse)) for one in found] == [("streets apart", bool(excused))], more


def test_ground_of_unknown_height_divides_nothing() -> None:
    """Where a DEM on a mountain knows nothing, that is no cliff."""
    height = np.full((40, 40), 500.0)
    height[18:22] = np.nan
    two = lines("LINESTRING (0 0, 90 0)", "LINESTRING (0 50, 80 50)")
    found = validate(Layers(two), Heights(height, -100.0, 125.0, 5.0, 0.12))
    assert [(one.rule, one.excuse) for one in found] == [("streets apart", "")]


def test_blocks_are_closed_inside_a_town_whose_edge_is_not_known() -> None:
    """The outer edge is open ground; a street that is missing between two blocks, or around one, is found."""
    ring = lines("LINESTRING (0 0, 200 0)", "LINESTRING (200 0, 200 100)", "LINESTRING (200 100, 0 100)",
                 "LINESTRING (0 100, 0 0)")  # fmt: skip
    wide = np.full(4, 8.0)
    pair = np.array([shapely.box(4, 4, 96, 96), shapely.box(104, 4, 196, 96)], object)
    open_m = {one.amount for one in validate(Layers(ring, wide, blocks=pair)) if one.rule == "block not closed"}
    assert len(open_m) == 1 and open_m.pop() == pytest.approx(91.8, abs=0.1)
    alone = np.array([shapely.box(30, 30, 50, 50)], object)
    for block in (alone, shapely.transform(alone, lambda points: points + 1000)):
        assert counts(validate(Layers(ring, wide, blocks=block)))["block not closed"] == 1
    outside = np.array([shapely.box(204, 4, 260, 96), shapely.box(4, 4, 196, 96)], object)
    assert validate(Layers(ring, wide, blocks=outside)) == []


def test_a_street_that_crosses_itself_or_leads_over_itself_is_found() -> None:
    """A loop that ends on itself is joined there; the user's own may cross themselves."""
    cross, back = "LINESTRING (0 0, 100 0, 100 50, 50 -50)", "LINESTRING (0 0, 100 0, 60 0)"
    loop = "LINESTRING (0 0, 100 0, 100 50, 50 0)"
    for text, fault in ((cross, True), (back, True), (loop, False), ("LINESTRING (0 0, 9 0, 9 9, 0 0)", False)):
        assert bool(counts(validate(Layers(lines(text))))["crossing without junction"]) is fault, text
    assert validate(Layers(lines(cross), road_kept=np.array([True]))) == []


def test_rules_that_the_layers_cannot_break_are_not_judged() -> None:
    """Houses alone say nothing of streets; blocks without streets nothing of what closes them."""
    houses = np.array([HOUSE], object)
    assert judged(Layers(buildings=houses)) == ["invalid geometry", "buildings overlap"]
    assert judged(Layers(blocks=houses)) == ["invalid geometry", "blocks overlap"]
    all_of = Layers(CROSS, WIDTH, None, houses, houses, np.array([True]), houses, houses)
    assert judged(all_of, Heights(np.zeros((2, 2)), 0.0, 0.0, 1.0, 0.1)) == [
        rule for rule in RULES if rule != "scales disagree"
    ]
