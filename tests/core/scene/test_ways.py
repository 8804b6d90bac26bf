"""Cheapest ways between components of a street net, and large shapes in pieces, on ground drawn for them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from neural_terrain.core.streets import network as net
from neural_terrain.core.streets.ground import ground_of
from neural_terrain.core.streets.joining import joined
from neural_terrain.core.streets.obstacles import Obstacles, clipped, pieces_of
from neural_terrain.core.streets.routing import MOST_ENDS, reached
from neural_terrain.core.streets.street_field import Lattice, StreetField
from neural_terrain.core.streets.ways import Components, way_out

SIDE = 120
FACTS = (10.0, 0.1, 3.0)
NOTHING = shapely.Polygon()


def ground(blocked=NOTHING, side: int = SIDE):
    """Open ground of so many cells of 10 m, without a street anywhere in the field."""
    none = np.zeros((side, side))
    lattice = Lattice(0.0, side * 10.0, 10.0, side, side)
    field = StreetField(lattice, none, none, none, none)
    return ground_of(field, shapely.box(*lattice.bounds), blocked, None, 0.12)


def network(*lines):
    """A planar net of generated lines."""
    shapes = np.array([shapely.LineString(line) for line in lines], object)
    return net.planar(net.of_lines(shapes, np.ones(len(shapes), np.int64), net.GENERATED))


def marks(start: tuple[int, int], *stops: tuple[int, int], side: int = 40):
    """Cells where a way begins and where it may end."""
    out = np.full((side, side), -1, np.int32)
    out[start] = 0
    for stop in stops:
        out[stop] = 1
    return out


def test_a_straight_way_costs_its_length_and_is_found_first() -> None:
    """Two ends in a row: both are found, the nearer first; what can be reached goes on beyond these cells."""
    level = np.zeros((40, 40))
    found, table, closed = reached(level + 1.0, level, marks((20, 5), (20, 25), (20, 15)), FACTS)
    assert [int(state) // 17 % 40 for state in found] == [15, 25]
    assert table.total[found[0]] - 1.0 == pytest.approx(100.0)
    around = table.path_to(int(found[1]), 40).tolist()
    assert [20, 15] not in around  # no way leads through an end
    assert not closed


def test_a_search_that_is_walled_in_says_so() -> None:
    """Inside a ring of forbidden cells, which no diagonal step slips through."""
    level, cost = np.zeros((40, 40)), np.ones((40, 40))
    cost[10, 10:31] = cost[30, 10:31] = cost[10:31, 10] = cost[10:31, 30] = np.inf
    found, _, closed = reached(cost, level, marks((20, 20), (5, 5)), FACTS)
    assert (len(found), closed) == (0, True)


def test_ends_of_a_long_street_lie_apart() -> None:
    """A street beside the start is offered at a few places only."""
    level, where = np.zeros((40, 40)), marks((20, 20))
    where[:, 30] = 1
    found, _, _ = reached(np.ones((40, 40)), level, where, FACTS)
    rows = sorted(int(state) // 17 // 40 for state in found)
    assert 1 < len(rows) <= MOST_ENDS
    assert min(np.diff(rows)) >= 6


def test_forbidden_cells_are_those_near_forbidden_ground() -> None:
    """Looked at by blocks, yet the same as cell by cell."""
    pond = shapely.Point(600, 600).buffer(200).difference(shapely.Point(600, 600).buffer(120))
    made = ground(pond)
    edge = shapely.box(*made.lattice.bounds).boundary
    for shape in (pond, edge):
        shapely.prepare(shape)
    for each in (made, made.finer(4)):
        col, row = np.meshgrid(np.arange(each.lattice.cols) + 0.5, np.arange(each.lattice.rows) + 0.5)
        centres = shapely.points(each.lattice.ground(np.column_stack([col.ravel(), row.ravel()])))
        reach_m = 0.75 * each.lattice.cell_m
        near = shapely.dwithin(pond, centres, reach_m) | shapely.dwithin(edge, centres, reach_m - 0.005)
        assert (np.isinf(each.cost).ravel() == near).all()


def test_a_way_goes_around_water_and_through_a_narrow_passage() -> None:
    """A dam with a gap of 9 m, too narrow for cells of 10 m."""
    dam = shapely.union_all([shapely.box(500, 0, 540, 596), shapely.box(500, 605, 540, 1200)])
    streets = network([(100, 100), (400, 100)], [(700, 100), (1100, 100)])
    made = ground(dam)
    way = way_out(Components.of(streets), 0, made)
    assert way is not None
    assert not shapely.intersects(dam, way.line)
    assert shapely.intersects(shapely.box(500, 596, 540, 605), way.line)


def test_no_way_is_looked_for_where_no_ground_is_shared() -> None:
    """Water all the way across: both stay as they are."""
    streets = network([(100, 100), (400, 100)], [(700, 100), (1100, 100)])
    assert len(joined(streets, ground(shapely.box(500, -10, 540, 1300)))) == 2


def test_streets_not_worth_the_way_are_left_out() -> None:
    """A scrap of 80 m, 400 m off, goes; a village of 500 m stays; and no ring is closed by joining."""
    scrap = [(100, 900), (180, 900)]
    streets = network([(100, 100), (1100, 100)], scrap, [(400, 500), (900, 500)])
    made = joined(streets, ground())
    assert not shapely.intersects(made.lines, shapely.LineString(scrap)).any()
    parts = Components.of(made)
    assert len(parts) == 1
    assert not len(shapely.get_parts(shapely.polygonize(made.lines)))


def test_pieces_are_the_same_ground() -> None:
    """A lake of many points with an island, in pieces of few points; cuts by it are those by the whole."""
    lake = shapely.Point(0, 0).buffer(500, quad_segs=500).difference(shapely.Point(100, 0).buffer(80, quad_segs=300))
    pieces = pieces_of(lake, 100)
    assert max(shapely.get_num_coordinates(pieces)) <= 100
    assert shapely.area(pieces).sum() == pytest.approx(lake.area, rel=1e-6)
    lines = np.array([shapely.LineString([(x, -600), (x, 600)]) for x in range(-590, 600, 60)], object)
    cut, whole = Obstacles(lake).cut_from(lines), shapely.difference(lines, lake)
    assert shapely.length(cut) == pytest.approx(shapely.length(whole), abs=0.01)
    inside = shapely.intersection(lines, lake)
    assert shapely.length(clipped(lines, lake)) == pytest.approx(shapely.length(inside), abs=1e-6)
    assert not Obstacles(NOTHING).touch(lines).any()
