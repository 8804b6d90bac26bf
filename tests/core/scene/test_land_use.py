"""Trees and lamps by rule, on streets drawn for them."""

from __future__ import annotations

import numpy as np
import shapely

from neural_terrain.core.buildings.build import Buildings
from neural_terrain.core.landuse.rules import LandUse, objects
from neural_terrain.core.streets import network as net


def test_no_tree_or_lamp_stands_beyond_the_area_or_in_a_building() -> None:
    """A street that leads a kilometre out of the area, and a house at its kerb."""
    area, house = shapely.box(0, 0, 400, 400), shapely.box(100, 204, 160, 220)
    street = net.of_lines(np.array([shapely.LineString([(-1000, 200), (1400, 200)])]), np.ones(1, int), net.EXISTING)
    none = np.zeros(0, object)
    built = Buildings(np.array([house], object), np.array([6.0]), np.array([2]), np.array([0]))
    made = objects(street, LandUse(none, np.zeros(0, str), np.zeros(0)), built, (area, shapely.Polygon()), 1)
    assert set(made.kind.tolist()) == {"tree", "lamp"}
    assert shapely.contains(area, made.points).all()
    assert shapely.distance(made.points, house).min() >= 1.2
    assert len(made.points) > 40
