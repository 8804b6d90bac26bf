"""All measures at once: texture, strata and spectrum on ground whose answers are known; blocks give the whole."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from neural_terrain.core import evaluation, strata, structure
from neural_terrain.core.evaluation import Evaluation
from neural_terrain.core.quality import Block
from neural_terrain.tests import surfaces


def ones(rows: int, size_m: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    return np.full(rows, size_m), np.full(rows, size_m)


def block(found, truth, counts=None, cell_m=None) -> Block:
    counts = np.ones(truth.shape, bool) if counts is None else counts
    return Block(found, truth, counts, cell_m or ones(truth.shape[0]))


def evaluated(*given, **more) -> Evaluation:
    whole = Evaluation(64)
    whole.add(block(*given), **more)
    return whole


def ground(rows: int, cols: int, seed: int = 1) -> np.ndarray:
    return surfaces.fractal((rows, cols), seed, 300.0)


def test_the_same_ground_has_the_same_character():
    truth = ground(130, 194)
    same = evaluated(truth, truth).character()
    assert same.slope_distance_deg == 0 and same.roughness_ratio == 1
    assert same.pits_per_km2[0] == same.pits_per_km2[1] > 0
    power, error = evaluated(truth, truth).spectrum.ratios()
    known = np.isfinite(power)
    assert known.sum() >= 8 and np.allclose(power[known], 1) and np.all(error[known] == 0)


def test_slope_distributions_of_two_planes_are_as_far_apart_as_their_slopes():
    x = np.mgrid[:20, :20][1] * 10.0
    planes = [x * np.tan(np.radians(deg)) for deg in (30.05, 10.05)]
    character = evaluated(*planes).character()
    assert character.slope_distance_deg == pytest.approx(20)
    assert character.mean_slope_deg == pytest.approx((30.05, 10.05))
    middles, found, truth = evaluated(*planes).texture.slope_shares(1.0)
    assert middles[found.argmax()] == 30.5 and middles[truth.argmax()] == 10.5 and found.max() == 1


def test_pits_are_counted_per_square_kilometre_with_their_volume():
    truth = np.full((32, 42), 100.0)
    found = truth.copy()
    for row, col, depth in ((5, 5, 2.0), (20, 30, 0.5)):
        found[row, col] -= depth
    found[10, 10:12] -= 1  # two equal cells are no pit
    found[0, 20] -= 9  # the outer ring is not counted
    area_km2 = 30 * 40 * 100 / 1e6
    character = evaluated(found, truth).character()
    assert character.pits_per_km2 == pytest.approx((2 / area_km2, 0))
    assert character.pit_volume_m3_per_km2[0] == pytest.approx(2.5 * 100 / area_km2)


def test_roughness_of_noise_is_its_size_and_a_plane_has_none():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:300, :300]
    truth, noise = 3.0 * x - 7.0 * y, rng.normal(0, 2.0, (300, 300))
    character = evaluated(truth + noise, truth + noise / 4).character()
    assert character.roughness_m[0] == pytest.approx(2 * np.sqrt(8 / 9), rel=0.01)
    assert character.roughness_ratio == pytest.approx(4, rel=1e-6)
    assert evaluated(truth, truth).character().roughness_m == pytest.approx((0, 0), abs=1e-9)


def test_power_is_compared_at_its_own_wavelength():
    """Half the amplitude is a quarter of the power, at that wavelength only."""
    x = np.arange(66)[None, :] + np.zeros((66, 1))
    long, short = np.sin(2 * np.pi * x / 32), 0.1 * np.sin(2 * np.pi * x / 6.4)
    power, error = evaluated(long + short / 2, long + short).spectrum.ratios()
    edges = structure.WAVELENGTH_EDGES_PX
    at_short, at_long = (np.searchsorted(edges, w) - 1 for w in (6.4, 33))
    assert power[at_short] == pytest.approx(0.25, rel=0.02) and error[at_short] == pytest.approx(0.25, rel=0.02)
    assert power[at_long] == pytest.approx(1, rel=5e-3) and error[at_long] < 1e-3


def test_a_slope_does_not_leak_into_the_spectrum():
    y, x = np.mgrid[:64, :64]
    assert np.abs(structure.without_plane(5 + 2.0 * x - 3.0 * y)).max() < 1e-9


def test_errors_are_classed_by_the_true_slope_and_pool_to_the_whole():
    found, truth = ground(66, 66, 1) + ground(66, 66, 2) / 50, ground(66, 66, 1)
    whole = evaluated(found, truth)
    rows = whole.by_slope.rows()
    errors, slopes = (found - truth)[1:-1, 1:-1], block(found, truth).slopes_deg[1]
    for row in rows:
        part = errors[(slopes >= row.low) & (slopes < row.high)]
        assert row.cells == part.size
        if part.size:
            assert row.rmse == pytest.approx(np.sqrt(np.mean(part**2)))
            assert (row.mae, row.bias) == pytest.approx((np.abs(part).mean(), part.mean()))
            assert row.le90 == pytest.approx(np.quantile(np.abs(part), 0.9), rel=0.02)
    assert whole.by_slope.pooled().rmse == pytest.approx(whole.scores().rmse_m)
    assert sum(row.cells for row in rows) == whole.scores().cells == 64 * 64


def test_relief_is_the_standard_deviation_of_patches_of_16_cells():
    truth = np.zeros((34, 52))
    truth[1:17, 1:17] = np.where(np.mgrid[:16, :16][1] % 2, 3.0, -3.0)
    counts = np.ones((34, 52), bool)
    counts[17:33, 17:28] = False  # more than half of the patch
    relief = strata.local_relief_m(truth[1:-1, 1:-1], counts[1:-1, 1:-1])
    assert np.all(relief[:16, :16] == 3) and np.all(relief[:16, 16:48] == 0)
    assert np.isnan(relief[16:, 16:32]).all() and np.isnan(relief[:, 48:]).all()
    rows = evaluated(truth + 1, truth, counts).by_relief.rows()
    assert {row.low: row.cells for row in rows if row.cells} == {0.0: 32 * 48 - 16 * 32, 2.0: 256}


def test_distance_to_the_nearest_centre_is_zero_there_and_largest_at_corners():
    positions = np.array([0.5, 1.0, 1.25, 2.5])
    got = evaluation.distance_to_centres_px(positions[:, None], positions[None, :])
    assert got[0, 0] == got[3, 0] == 0 and got[1, 1] == pytest.approx(np.sqrt(0.5)) and got[0, 2] == 0.25


def test_a_band_that_is_right_covers_nine_tenths():
    rng = np.random.default_rng(3)
    truth = ground(130, 130)
    sigma = np.where(np.mgrid[:130, :130][1] < 65, 1.0, 5.0)
    whole = evaluated(truth + rng.normal(size=truth.shape) * sigma, truth, band_m=1.645 * sigma)
    pooled = whole.banded.pooled()
    assert pooled.coverage == pytest.approx(0.9, abs=0.01) and pooled.band == pytest.approx(1.645 * 3, rel=0.01)
    narrow = evaluated(truth + rng.normal(size=truth.shape) * sigma, truth, band_m=0.5 * sigma)
    assert narrow.banded.pooled().coverage < 0.45
    unknown = np.where(sigma > 1, np.nan, 1.645)
    assert evaluated(truth + sigma, truth, band_m=unknown).banded.pooled().band == pytest.approx(1.645)


def test_blocks_with_aligned_insides_give_what_the_whole_gives():
    rows, cols = 200, 264  # inner parts of 64 cells, the last of 6 and of 6
    found, truth = ground(rows, cols, 1) + ground(rows, cols, 2) / 30, ground(rows, cols, 1)
    counts = np.random.default_rng(4).random((rows, cols)) > 0.0005
    cell_m = np.linspace(9, 11, rows), np.full(rows, 10.0)
    band, distance = np.full((rows, cols), 2.0), np.random.default_rng(5).random((rows, cols)) * 0.7
    whole, parts = Evaluation(64), [Evaluation(64), Evaluation(64)]
    whole.add(Block(found, truth, counts, cell_m), band, distance)
    for number, row in enumerate(range(0, rows - 2, 64)):
        for col in range(0, cols - 2, 64):
            part = np.s_[row : min(row + 66, rows), col : min(col + 66, cols)]
            sizes = cell_m[0][part[0]], cell_m[1][part[0]]
            parts[number % 2].add(Block(found[part], truth[part], counts[part], sizes), band[part], distance[part])
    parts[0].merge(parts[1])
    assert_alike(evaluation.figures(parts[0]), evaluation.figures(whole))
    assert whole.spectrum.windows == parts[0].spectrum.windows > 1


def assert_alike(one, other, name=""):
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_alike(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), name
        for at, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_alike(a, b, f"{name}[{at}]")
    else:
        assert one == (other if other is None else pytest.approx(other, rel=1e-9, abs=1e-12)), name


def test_a_shift_in_height_moves_only_the_bias():
    found, truth = ground(66, 66, 1) + ground(66, 66, 2) / 50, ground(66, 66, 1)
    plain, higher = evaluated(found, truth), evaluated(found + 1000, truth + 1000)
    for name, value in dataclasses.asdict(higher.scores()).items():
        assert value == pytest.approx(dataclasses.asdict(plain.scores())[name], rel=1e-6), name
    assert dataclasses.asdict(higher.character())["roughness_m"] == pytest.approx(plain.character().roughness_m)


def test_figures_are_plain_and_empty_ones_are_none():
    values = evaluation.figures(evaluated(ground(66, 66), ground(66, 66, 2)))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    empty = evaluation.figures(Evaluation())
    assert empty["scores"]["rmse_m"] is None and empty["by_slope_deg"] == [] and empty["band"]["coverage"] is None


def test_strata_with_other_edges_do_not_add_up():
    with pytest.raises(ValueError, match="edges"):
        strata.Strata((0, 1)).merge(strata.Strata((0, 2)))


def test_consistency_keeps_the_largest_difference():
    sums, more = evaluation.Consistency(), evaluation.Consistency()
    counts = np.array([[True, True, False]])
    sums.add(np.array([[1.0, 2.0, 99.0]]), np.array([[1.0, 2.3, 0.0]]), counts)
    more.add(np.array([[1.0, 2.0, 99.0]]), np.array([[1.4, 2.0, 0.0]]), counts)
    sums.merge(more)
    assert sums.max_m == pytest.approx(0.4) and sums.rmse_m == pytest.approx(np.sqrt((0.09 + 0.16) / 4))
    assert np.isnan(evaluation.Consistency().max_m)
