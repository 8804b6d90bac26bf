"""Single steps from traced lines to streets, on lines that were drawn for them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from neural_terrain.core.scene.vectors import Existing, around, lay_streets
from neural_terrain.core.streets import network as net
from neural_terrain.core.streets.build import StreetSettings
from neural_terrain.core.streets.cleaning import Manners, cleared_ends, without_small_faces
from neural_terrain.core.streets.dead_ends import led_on
from neural_terrain.core.streets.street_field import Lattice, StreetField
from neural_terrain.core.streets.strokes import of_one_rank, rounded, straight

EDGE = shapely.box(-500, -500, 500, 500).boundary


def network(*lines, rank: int = 1):
    """A planar net of generated lines."""
    shapes = np.array([shapely.LineString(line) for line in lines], object)
    return net.planar(net.of_lines(shapes, np.full(len(shapes), rank), net.GENERATED))


def wavy(along: float, across: float, size_m: float = 200.0):
    """A line on an axis that swings by 1.5 m."""
    at = np.arange(-size_m, size_m + 1, 5.0)
    swing = 1.5 * np.sin(at / 9)
    return np.column_stack([at * along + swing * across, at * across + swing * along])


def test_traced_wiggles_become_straight_streets_that_cross_in_one_junction() -> None:
    """Two wavy streets that cross: four straight pieces, each within the swing of its street."""
    made = straight(network(wavy(1, 0), wavy(0, 1)), 4.5)
    found = net.nodes(made)
    assert sorted(found.degree.tolist()) == [1, 1, 1, 1, 4]
    assert all(shapely.get_num_coordinates(made.lines) == 2)
    assert np.abs(found.points[found.degree == 4]).max() < 1.0
    lengths = shapely.length(shapely.line_merge(shapely.multilinestrings(made.lines[:1])))
    assert lengths == pytest.approx(200, abs=2)


def test_a_street_keeps_its_rank_through_junctions() -> None:
    """A short piece of another rank on a long street takes the rank of the street."""
    whole = net.joined(network([(0, 0), (90, 0)], [(110, 0), (200, 0)], rank=0), network([(90, 0), (110, 0)], rank=2))
    crossing = network([(90, -50), (90, 0)], [(110, 0), (110, 50)], rank=1)
    made = of_one_rank(net.planar(net.joined(whole, crossing)))
    level = np.ptp(shapely.bounds(made.lines)[:, [1, 3]], axis=1) == 0
    assert set(made.rank[level].tolist()) == {0}
    assert set(made.rank[~level].tolist()) == {1}


def test_middling_corners_are_rounded() -> None:
    """Right angles and slight turns stay; ends stay in any case."""
    bend = np.array([(0.0, 0.0), (50.0, 0.0), (90.0, 40.0)])
    made = rounded(bend)
    assert len(made) > 4
    assert (made[[0, -1]] == bend[[0, -1]]).all()
    right = np.array([(0.0, 0.0), (50.0, 0.0), (50.0, 40.0)])
    assert (rounded(right) == right).all()


@pytest.mark.parametrize(
    ("gap_m", "trace", "joined_elsewhere", "goes_on"),
    [
        (30.0, 0.0, True, True), (40.0, 0.0, True, False), (40.0, 0.5, True, True), (90.0, 0.5, True, False),
        (40.0, 0.0, False, True), (90.0, 0.0, False, False),
    ],
)  # fmt: skip
def test_dead_ends_go_on_where_they_were_meant_to(
    gap_m: float, trace: float, joined_elsewhere: bool, goes_on: bool
) -> None:
    """Over a small gap in any case, over a wider one along a trace of a street or if nothing else joins; never far."""
    lines = [[(0, -100), (0, 100)], [(-200, 0), (-gap_m, 0)]]
    lines += [[(-200, 0), (-200, 300), (0, 300), (0, 100)]] if joined_elsewhere else []
    found = net.nodes(led_on(network(*lines), EDGE, lambda _: True, lambda _: trace))
    ends = {tuple(point) for point in found.points[found.degree == 1].tolist()}
    assert ((-gap_m, 0.0) not in ends) == goes_on


def test_dead_ends_do_not_go_on_where_it_is_forbidden() -> None:
    """Water, say."""
    street = network([(0, -100), (0, 100)], [(-200, 0), (-5, 0)])
    made = led_on(street, EDGE, lambda _: False, lambda _: 1.0)
    assert max(net.nodes(made).degree) == 1


def test_faces_too_small_for_a_block_are_opened() -> None:
    """A triangle of 200 m2 beside a street loses its longest generated side."""
    made = without_small_faces(network([(-100, 0), (100, 0)], [(0, 0), (10, 20), (20, 0)]), Manners(spur_m=1.0))
    assert not len(shapely.get_parts(shapely.polygonize(made.lines)))


def test_ends_are_cut_back_until_none_is_near_another_street() -> None:
    """A long street that runs towards another one at a narrow angle."""
    made = cleared_ends(network([(-100, 0), (100, 0)], [(-60, 20), (99, 0.8)]))
    found = net.nodes(made)
    loose = found.points[found.degree == 1]
    away = [np.sort(shapely.distance(made.lines, shapely.Point(point)))[1] for point in loose]
    assert min(away) > 3.0


def test_streets_of_the_users_with_gaps_are_bridged_straight() -> None:
    """A gap of 16 mm, as tiles of maps leave them: one net, the user's lines untouched, nothing beside them."""
    lattice = Lattice(0.0, 400.0, 10.0, 40, 40)
    none = np.zeros((40, 40))
    lines = [[(50, 100), (150, 100.016)], [(150.016, 100), (250, 110)], [(250, 110.3), (350, 250)]]
    own = Existing(
        np.array([shapely.LineString(line) for line in lines], object), np.ones(3, np.int64),
        np.zeros(0, object), np.zeros(0, object),
    )  # fmt: skip
    ground = around(shapely.box(0, 0, 400, 400), own)
    laid = lay_streets(StreetField(lattice, none, none, none, none), ground, StreetSettings())
    bridges = laid.network.lines[laid.network.origin == net.JOINING]
    assert laid.components == 1
    assert shapely.length(bridges) == pytest.approx([0.023, 0.3], abs=2e-3)
