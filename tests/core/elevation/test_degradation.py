"""Training pairs: coarse DEMs are what they are said to be, and the truth lies where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core.elevation import degradation
from neural_terrain.core.elevation.degradation import Degradations, PairShape, Region
from neural_terrain.tests import surfaces

SHAPE = PairShape(32, 8, 16)
PLAIN = {"point_share": 0, "gaussian_share": 0, "noise_share": 0, "rounding_share": 0, "void_share": 0,
         "relief_factor_min": 1, "relief_factor_max": 1, "unequal_scale_share": 0}  # fmt: skip


def region(heights: np.ndarray) -> Region:
    return Region("test", heights.astype(np.float32), np.ones(heights.shape, bool), 10.0, 20.0)


@pytest.mark.parametrize("scale", [2.0, 3.7])
def test_averaging_weights_are_areas(scale: float) -> None:
    weights = degradation.area_weights(40, 10, scale)
    assert weights.sum(1) == pytest.approx(1) and (weights >= 0).all()
    if scale == 2:
        assert weights @ np.arange(40.0) == pytest.approx(np.arange(10) * 2 + 0.5)
    assert degradation.gaussian_weights(40, 10, scale, 0.4).sum(1) == pytest.approx(1)
    assert degradation.point_weights(40, 10, scale) @ np.arange(40.0) == pytest.approx(
        surfaces.centres(10, scale) - 0.5
    )


@pytest.mark.parametrize("point", [0, 1])
@pytest.mark.parametrize("scale", [2.0, 3.7, 5.0])
def test_on_a_plane_coarse_and_fine_tell_of_one_ground(point: float, scale: float) -> None:
    """On a plane every degradation gives the height at the cell centre: a shift of positions would show."""
    plane = surfaces.lattice(surfaces.plane(2, 3), *[surfaces.centres(300)] * 2)
    settings = Degradations(**{**PLAIN, "point_share": point, "scale_min": scale, "scale_max": scale,
                               "integer_scale_share": 0})  # fmt: skip
    pair = degradation.draw_pair(region(plane), settings, SHAPE, np.random.default_rng(3))
    assert pair is not None and pair.point_sampled == bool(point)
    down, across = ((pair.coarse[-1, -1] - pair.coarse[i, j]) / 31 for i, j in ((0, -1), (-1, 0)))
    expected = pair.coarse[0, 0] + (pair.rows - 0.5)[:, None] * down + (pair.cols - 0.5) * across
    steps_m = 0.0 if point or scale == round(scale) else 5 * 0.1  # cut fine cells count as level
    assert pair.truth == pytest.approx(expected, abs=1e-3 + steps_m)
    assert {round(pair.cell_width_m / scale), round(pair.cell_height_m / scale)} == {10, 20}


def test_pairs_repeat_by_seed_and_keep_to_their_shape() -> None:
    ground = region(surfaces.fractal((300, 300), 1))
    one, same, other = (
        degradation.draw_pair(ground, Degradations(), SHAPE, np.random.default_rng(s)) for s in (5, 5, 6)
    )
    assert one is not None and same is not None and other is not None
    assert np.array_equal(one.coarse, same.coarse) and np.array_equal(one.truth, same.truth)
    assert not np.array_equal(one.coarse, other.coarse)
    assert one.coarse.shape == one.valid.shape == (32, 32) and one.truth.shape == (16, 16)
    assert one.rows.min() >= SHAPE.margin_px and one.rows.max() <= 32 - SHAPE.margin_px
    assert np.isfinite(one.coarse).all() and np.isfinite(one.truth).all()


def test_voids_and_small_regions_give_no_pair() -> None:
    ground = region(surfaces.fractal((300, 300), 1))
    void = Region("void", ground.heights, np.zeros_like(ground.valid), 10, 10)
    for bad in (void, region(np.zeros((20, 20)))):
        assert degradation.draw_pair(bad, Degradations(), SHAPE, np.random.default_rng(1)) is None
