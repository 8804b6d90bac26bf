"""Ragged footprints become rectangles and bays, straight ones stay, large ones are parted, squares keep ground."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity

from neural_terrain.core.buildings import footprints
from neural_terrain.core.buildings.infill import loosened
from neural_terrain.core.buildings.instances import Squares, thresholds
from neural_terrain.core.buildings.squaring import along_axis, divided, squared


def blob(seed: int, radius_m: float):
    """A wobbly ring around a point far from the origin."""
    rng = np.random.default_rng(seed)
    angle = np.arange(40) * 2 * np.pi / 40
    away = radius_m * (1 + 0.15 * rng.standard_normal(40))
    return shapely.Polygon(np.column_stack([450_000 + away * np.cos(angle), 5_400_000 + 0.7 * away * np.sin(angle)]))


@pytest.mark.parametrize("radius_m", [4.0, 9.0, 30.0])
@pytest.mark.parametrize("axis_deg", [0.0, 33.0])
def test_blobs_become_upright_with_their_area_and_place(radius_m, axis_deg):
    shapes = np.array([blob(seed, radius_m) for seed in range(6)] + [None], object)
    axis = np.full(7, np.radians(axis_deg))
    out = squared(shapes, axis)
    assert out[-1] is None and shapely.is_valid(out[:-1]).all()
    assert along_axis(out[:-1], axis[:-1]) == pytest.approx(1, abs=1e-3)
    assert shapely.area(out[:-1]) == pytest.approx(shapely.area(shapes[:-1]), rel=0.12)
    moved = shapely.distance(shapely.centroid(out[:-1]), shapely.centroid(shapes[:-1]))
    assert moved.max() < 0.15 * radius_m + 0.5
    if radius_m < 10:
        assert (shapely.get_num_coordinates(out[:-1]) == 5).all()


def test_straight_footprints_stay_to_the_bit():
    house = shapely.affinity.rotate(shapely.box(0, 0, 12, 8), 20)
    wing = shapely.affinity.rotate(shapely.union(shapely.box(0, 0, 20, 6), shapely.box(0, 0, 6, 20)), -50)
    shapes = np.array([house, wing], object)
    out = squared(shapes, np.radians([20.0, 40.0]))
    assert [a.wkb for a in out] == [b.wkb for b in shapes]


@pytest.mark.parametrize("count", [2, 5, 9])
def test_large_footprints_are_parted_into_as_many_of_one_size(count):
    row = shapely.affinity.rotate(shapely.box(0, 0, 12.0 * count, 10), 30, origin=(0, 0))
    parts, owner = divided(np.array([row], object), np.radians([30.0]), np.array([120.0]))
    assert len(parts) == count and (owner == 0).all()
    assert shapely.area(parts) == pytest.approx(120, rel=1e-3)
    assert shapely.union_all(parts).area == pytest.approx(row.area, rel=1e-4)
    alone, _ = divided(np.array([row], object), np.radians([30.0]), np.array([row.area / 1.5]))
    assert alone[0] is row


def test_squares_of_the_world_keep_the_ground_that_vague_fields_cover():
    """A field of halves and quarters is cut where its cells add up, wherever the window begins."""
    rng = np.random.default_rng(0)
    world = np.clip(rng.normal(0.35, 0.15, (100, 100)), 0, 1)
    world[:25] = np.where(rng.random((25, 100)) < 0.4, 0.98, 0.02)  # one that is sure of itself
    whole = Squares((100, 100), 25, (1000, 2000))
    cuts = thresholds(world, whole, np.ones(whole.counts))
    built = whole.sums((world >= cuts).astype(float))
    assert built[2:, 1:3] == pytest.approx(whole.sums(world)[2:, 1:3], rel=0.25)
    assert built[0] == pytest.approx(whole.sums(world)[0], rel=0.1)
    part = Squares((60, 75), 25, (1025, 2025))
    again = thresholds(world[25:85, 25:], part, np.ones(part.counts))
    assert again[:25, :40] == pytest.approx(cuts[25:50, 25:65], abs=0.2)
    assert again[13:37, 13:62] == pytest.approx(cuts[38:62, 38:87], abs=1e-12)


def test_walls_are_drawn_in_until_few_enough_buildings_touch():
    """A row of terraced houses in a town of detached ones, and in one of terraces."""
    row = np.array([*(shapely.box(10.0 * k, 0, 10.0 * k + 10, 9) for k in range(40)), None], object)

    def share(shapes) -> float:
        known = shapes[~shapely.is_missing(shapes)]
        one, two = shapely.STRtree(known).query(known, "dwithin", distance=0.5)
        return len(np.unique(one[one != two])) / len(known)

    assert loosened(row, None, 1) is row and share(loosened(row, 1.0, 1)) == 1
    assert share(loosened(row, 0.0, 1)) == 0
    half = loosened(row, 0.6, 1)
    assert 0.3 < share(half) < 0.8 and half[-1] is None and shapely.is_valid(half[:-1]).all()


def test_walls_so_tangled_that_geos_gives_up_cost_one_building(monkeypatch):
    """GEOS' own failure on one bundle of walls is no failure of the run."""
    whole = shapely.build_area
    tangle = shapely.MultiLineString([[(0, 0), (1, 1)]])

    def build_area(walls):
        if isinstance(walls, np.ndarray) or walls.equals(tangle):
            raise shapely.GEOSException("TopologyException: side location conflict")
        return whole(walls)

    monkeypatch.setattr(shapely, "build_area", build_area)
    ring = shapely.MultiLineString([[(0, 0), (4, 0), (4, 4)], [(4, 4), (0, 4), (0, 0)]])
    found = footprints._areas(np.array([ring, tangle], object))
    assert found[0].area == 16 and found[1] is None
