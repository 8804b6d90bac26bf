"""Training pairs: coarse DEMs are what they are said to be, and the truth lies where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core.elevation import degradation
from neural_terrain.core.elevation.degradation import Degradations, Pair, PairShape, Region
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


def drawn(heights: np.ndarray, seed: int, scale: float = 4.0, **changes: float | tuple[float, ...]) -> Pair:
    """A pair with nothing but what is named."""
    ends = {"scale_min": scale, "scale_max": scale, "integer_scale_share": 0}
    settings = Degradations(**{**PLAIN, **ends, **changes})
    pair = degradation.draw_pair(region(heights), settings, SHAPE, np.random.default_rng(seed))
    assert pair is not None
    return pair


@pytest.mark.parametrize("kind", ["point", "gaussian", "bicubic", "average"])
@pytest.mark.parametrize("scale", [2.0, 3.0, 3.7, 5.0])
def test_cells_that_begin_anywhere_still_tell_of_one_ground(kind: str, scale: float) -> None:
    """On a plane the fine heights lie where the coarse ones say, whatever the phase."""
    plane = surfaces.lattice(surfaces.plane(2, 3), *[surfaces.centres(300)] * 2)
    shares = {} if kind == "average" else {f"{kind}_share": 1.0}
    for seed in range(6):
        pair = drawn(plane, seed, scale, phase_share=1.0, **shares)
        down, across = ((pair.coarse[-3, -3] - pair.coarse[i, j]) / 26 for i, j in ((3, -3), (-3, 3)))
        expected = pair.coarse[3, 3] + (pair.rows - 3.5)[:, None] * down + (pair.cols - 3.5) * across
        steps_m = 0.0 if kind in ("point", "gaussian", "bicubic") or scale == round(scale) else 5 * 0.1
        bent_m = 0.2 if kind == "gaussian" else 0.02 if kind == "bicubic" else 1e-3
        assert pair.truth == pytest.approx(expected, abs=bent_m + steps_m)
        assert pair.exact == (kind in ("point", "average"))


@pytest.mark.parametrize("scale", [2.0, 3.0, 4.0, 8.0])
def test_shifted_point_samples_are_fine_cells(scale: float) -> None:
    """As where every n-th cell of a DEM was taken: a coarse height is a fine height, and lies where that lies."""
    ground = np.random.default_rng(1).normal(size=(320, 320))
    pair = drawn(ground, 2, scale, phase_share=1.0, point_share=1.0)
    hits = 0
    for i, row in enumerate(pair.rows):
        for j, col in enumerate(pair.cols):
            if abs(row % 1 - 0.5) < 1e-9 and abs(col % 1 - 0.5) < 1e-9:
                hits += 1
                assert pair.coarse[int(row), int(col)] == pytest.approx(pair.truth[i, j], abs=1e-6)
    assert hits > 0


def test_bicubic_resampling_is_that_of_gdal() -> None:
    """Rows of weights of the stretched kernel: add up to one, symmetric, negative beside the cell."""
    weights = degradation.cubic_weights(80, 20, 4.0)
    assert weights.sum(1) == pytest.approx(1)
    row = weights[10]
    assert row[42 - np.arange(9) - 1] == pytest.approx(row[42 + np.arange(9)])
    assert row.min() < 0 and (np.abs(row) > 1e-12).sum() == 16


def test_heights_are_rounded_to_the_steps_of_the_recipe() -> None:
    ground = surfaces.fractal((300, 300), 1)
    steps = set()
    for seed in range(12):
        pair = drawn(ground, seed, rounding_share=1.0, rounding_steps_m=(0.1, 1.0))
        assert not pair.exact
        steps.add(1.0 if np.allclose(pair.coarse, np.round(pair.coarse)) else 0.1)
        assert np.allclose(pair.coarse * 10, np.round(pair.coarse * 10))
    assert steps == {0.1, 1.0}


def test_noise_is_measured_by_the_relief() -> None:
    for relief in (1.0, 100.0):
        ground = surfaces.fractal((300, 300), 1, relief=relief)
        pairs = [drawn(ground, 4, noise_share=share, noise_max=0.15) for share in (0.0, 1.0)]
        noise = np.std(pairs[1].coarse - pairs[0].coarse) / np.abs(np.diff(pairs[0].coarse, axis=0)).mean()
        assert 0 < noise < 0.16 and pairs[0].exact and not pairs[1].exact


def test_voids_keep_to_their_size_and_share() -> None:
    ground = surfaces.fractal((300, 300), 1)
    pairs = [drawn(ground, seed, void_share=0.5, void_radius_max_px=2.0) for seed in range(40)]
    holes = [int((~pair.valid).sum()) for pair in pairs]
    assert 8 < sum(count > 0 for count in holes) < 32 and max(holes) < 4 * 16


def test_cells_are_never_finer_than_the_truth() -> None:
    ground = surfaces.fractal((300, 300), 1)
    sizes = [drawn(ground, seed, 1.5, unequal_scale_share=1.0) for seed in range(60)]
    assert max(max(pair.row_size, pair.col_size) for pair in sizes) <= 1.0
    assert any(pair.row_size != pair.col_size for pair in sizes)
