"""Drawn samples: symmetries keep directions true, wishes and masks are what they say."""

import numpy as np
import pytest
import shapely

from neural_terrain.core.scene import stages, towns
from neural_terrain.core.scene.fields import BLOCK_M, rasterise_block
from neural_terrain.core.scene.preparation import Town


def town_of(lines, houses):
    return Town("t", "x", houses, np.full(len(houses), 9.0), lines, np.array([0, 1, 2])[: len(lines)])


def features(turn, mirror):
    """Middle channels of a small town that was itself turned and mirrored about the block's centre."""
    lines = np.array([
        shapely.LineString([(100, 300), (1500, 900)]), shapely.LineString([(400, 1900), (1200, 100)]),
        shapely.LineString([(200, 1000), (1700, 1400)]),
    ])  # fmt: skip
    houses = np.array(
        [shapely.affinity.rotate(shapely.box(300 + k, 500 + 2 * k, 330 + k, 560 + 2 * k), k) for k in (0, 100, 250)]
    )
    shapes = [shapely.affinity.rotate(g, 90 * turn, origin=(1000, 1000)) for g in (*lines, *houses)]
    if mirror:
        shapes = [shapely.affinity.scale(g, -1, 1, origin=(1000, 1000)) for g in shapes]
    parts = np.array(shapes)
    return rasterise_block(town_of(parts[:3], shapely.orient_polygons(parts[3:])), 0, 0).middle


@pytest.mark.parametrize(("turn", "mirror"), [(1, False), (2, True), (3, True), (0, True)])
def test_a_turned_field_is_the_field_of_the_turned_town(turn, mirror):
    assert BLOCK_M == 2000
    for stage, channels in ((stages.G, stages.coarse_channels), (stages.R, stages.middle_channels)):
        turned = towns._symmetry(channels(features(0, False)), stage.channels, turn, mirror)
        expected = channels(features(turn, mirror))
        close = np.abs(turned - expected) < 0.02
        assert close.mean() > 0.995  # a cell in the very middle between two roads may take the other one


def test_interpolation_repeats_ends_and_meets_centres():
    matrix = towns.bilinear(200, 5.0)
    assert matrix.sum(axis=1) == pytest.approx(1)
    ramp = np.arange(40.0)
    assert (matrix @ ramp)[2::5] == pytest.approx(ramp)
    assert (matrix @ ramp)[:2] == pytest.approx([0, 0])
