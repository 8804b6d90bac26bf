"""Buildings by themselves: at least one floor each, none in a park."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from neural_terrain.core.blocks.faces import blocks
from neural_terrain.core.buildings.build import Targets, buildings
from neural_terrain.core.buildings.storeys import LEAST_HEIGHT_M, Storeys, floors_of, storeys
from neural_terrain.core.generation.figures import missed
from neural_terrain.core.streets import network
from neural_terrain.core.streets.build import Surroundings
from neural_terrain.tests.core.scene.made_fields import fine_field

AREA_M2, HEIGHT_M = np.array([100.0, 200.0, 50.0]), np.array([6.0, 12.0, 3.0])


@pytest.mark.parametrize("far", [0.0, 0.1, 0.34])
def test_a_floor_area_below_one_floor_each_leaves_one_floor_each(far):
    """350 m2 of buildings on 1,000 m2 have 0.35 at least; none has no height."""
    height_m, floors = storeys(AREA_M2, HEIGHT_M, Storeys(far, None, 1000.0))
    assert (floors == 1).all() and (height_m >= LEAST_HEIGHT_M).all()
    assert (floors == floors_of(height_m)).all()


def test_no_building_is_lower_than_a_door_whatever_the_fields_say():
    height_m, floors = storeys(AREA_M2, np.zeros_like(HEIGHT_M) + 0.8, Storeys(None, None, 1000.0))
    assert (height_m == LEAST_HEIGHT_M).all() and (floors == 1).all()


def test_why_a_low_floor_area_is_missed_is_said():
    def said(far: float, coverage: float) -> str:
        got = {"far": {"asked": 0.1, "delivered": far}, "coverage": {"asked": None, "delivered": coverage}}
        return missed(got)[0]

    assert said(0.3, 30.0) == (
        "A floor-area ratio of 0.1 was asked for, 0.3 came of it: buildings have one floor at least; ask for less "
        "coverage too."
    )
    assert "what stands already" in said(0.9, 30.0)


def test_a_floor_area_above_is_met():
    height_m, floors = storeys(AREA_M2, HEIGHT_M, Storeys(0.9, None, 1000.0))
    assert (AREA_M2 * floors).sum() == pytest.approx(900, abs=50) and (floors == floors_of(height_m)).all()


@pytest.mark.parametrize("coverage", [None, 0.3])
def test_parks_are_not_built_on(coverage):
    """Neither where fields have buildings nor to reach a coverage; a park is no building that stands."""
    fields = fine_field(3)
    area = shapely.box(*fields.lattice.bounds)
    west, south, east, north = area.bounds
    park = shapely.Polygon([(west + 5, south - 20), (east - 30, south + 9), (east - 70, north + 5), (west + 90, north)])
    around = Surroundings(area, parks=park)
    net = network.empty()
    found = buildings(fields, net, blocks(net, area, around.water), around, Targets(coverage=coverage))
    assert park.area > 0.6 * area.area and len(found)
    assert shapely.area(shapely.intersection(found.shapes, park)).max() < 1e-6
    if coverage:
        assert (found.origin == 1).any()
        assert shapely.area(found.shapes).sum() > 0.45 * shapely.difference(area, park).area
