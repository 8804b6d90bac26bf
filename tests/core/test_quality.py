"""Measures of quality: exact on analytic ground, equal to brute force, independent of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core import attributes, quality
from neural_terrain.core.elevation.degradation import area_weights


def rough(rows: int, cols: int, seed: int = 1) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(rows, cols)), axis=0)


def cells(rows: int, width_m: float, height_m: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(rows, width_m), np.full(rows, height_m)


def plane(rows: int, cols: int, east: float, north: float, cell_m: tuple[float, float]) -> np.ndarray:
    """Ground that rises by ``east`` and ``north`` metres per metre."""
    y, x = np.mgrid[:rows, :cols]
    return 100 + east * x * cell_m[0] - north * y * cell_m[1]


def scores_of(found, truth, counts, cell_m) -> quality.Scores:
    tally = quality.Tally()
    tally.add(found, truth, counts, cell_m)
    return tally.scores()


@pytest.mark.parametrize(("east", "north"), [(0, 0), (1, 0), (0, -0.5), (0.3, 0.4), (-2, 5)])
def test_the_gradient_of_a_plane_is_exact_with_unequal_cells(east, north):
    p, q = quality.gradient(plane(7, 9, east, north, (23.1, 30.9)), cells(7, 23.1, 30.9))
    assert np.allclose(p, east, atol=1e-12)
    assert np.allclose(q, north, atol=1e-12)
    assert np.allclose(attributes.slope_deg(p, q), np.degrees(np.arctan(np.hypot(east, north))))


def test_each_row_has_its_own_cell_width():
    width_m = np.linspace(10, 30, 7)
    heights = np.arange(9.0)[None, :] * width_m[:, None]  # rises by 1 per metre to the east in every row
    middle = (width_m[:-2] + 2 * width_m[1:-1] + width_m[2:]) / (4 * width_m[1:-1])
    p, _ = quality.gradient(heights, (width_m, np.full(7, 20.0)))
    assert np.allclose(p, middle[:, None])


def test_the_angle_between_normals_of_two_planes():
    flat, steep = (np.zeros((1, 1)), np.zeros((1, 1))), (np.ones((1, 1)), np.zeros((1, 1)))
    mirrored = (-np.ones((1, 1)), np.zeros((1, 1)))
    tiny = (np.full((1, 1), 1e-9), np.zeros((1, 1)))
    assert quality.normal_angle_deg(flat, steep) == pytest.approx(45)
    assert quality.normal_angle_deg(mirrored, steep) == pytest.approx(90)
    assert quality.normal_angle_deg(flat, tiny) == pytest.approx(np.degrees(1e-9), rel=1e-9)
    assert quality.normal_angle_deg(steep, steep) == 0


def test_the_same_ground_has_no_error_and_an_offset_is_only_a_bias():
    truth, counts = rough(20, 30), np.ones((20, 30), bool)
    same = scores_of(truth, truth, counts, cells(20, 5, 5))
    assert (same.rmse_m, same.le90_m, same.slope_rmse_deg, same.normal_angle_deg) == (
        0,
        pytest.approx(0, abs=1e-6),
        0,
        0,
    )
    higher = scores_of(truth + 2.5, truth, counts, cells(20, 5, 5))
    assert higher.rmse_m == higher.mae_m == higher.bias_m == pytest.approx(2.5)
    assert higher.le90_m == pytest.approx(2.5, rel=5e-3)
    assert higher.slope_rmse_deg == pytest.approx(0, abs=1e-9)


def test_all_measures_equal_brute_force():
    truth, found = rough(40, 33, 1), rough(40, 33, 1) + rough(40, 33, 2) / 10
    counts = np.random.default_rng(3).random((40, 33)) > 0.05
    found[~counts] = 1e9  # whatever stands there
    width_m, height_m = np.linspace(4, 6, 40), np.linspace(7, 8, 40)
    errors, slopes, angles = [], [], []
    for row in range(1, 39):
        for col in range(1, 32):
            if counts[row, col]:
                errors.append(found[row, col] - truth[row, col])
            if counts[row - 1 : row + 2, col - 1 : col + 2].all():
                normals = [normal(z, row, col, width_m[row], height_m[row]) for z in (found, truth)]
                slopes.append(np.degrees(np.arccos(normals[0][2]) - np.arccos(normals[1][2])))
                angles.append(np.degrees(np.arccos(np.clip(normals[0] @ normals[1], -1, 1))))
    got = scores_of(found, truth, counts, (width_m, height_m))
    assert (got.cells, got.slope_cells) == (len(errors), len(slopes))
    assert got.rmse_m == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert got.mae_m == pytest.approx(np.mean(np.abs(errors)))
    assert got.bias_m == pytest.approx(np.mean(errors))
    assert got.le90_m == pytest.approx(np.quantile(np.abs(errors), 0.9), rel=0.01)
    assert got.slope_rmse_deg == pytest.approx(np.sqrt(np.mean(np.square(slopes))))
    assert got.normal_angle_deg == pytest.approx(np.mean(angles))


def normal(heights, row, col, width_m, height_m) -> np.ndarray:
    """Unit normal by Horn's weights, written out."""
    p = q = 0.0
    for step, weight in ((-1, 1), (0, 2), (1, 1)):
        p += weight * (heights[row + step, col + 1] - heights[row + step, col - 1]) / (8 * width_m)
        q += weight * (heights[row - 1, col + step] - heights[row + 1, col + step]) / (8 * height_m)
    return np.array([-p, -q, 1]) / np.sqrt(p * p + q * q + 1)


def test_blocks_with_a_common_rim_give_what_the_whole_raster_gives():
    truth, found = rough(64, 50, 1), rough(64, 50, 2)
    counts = np.random.default_rng(4).random((64, 50)) > 0.1
    cell_m = np.linspace(4, 6, 64), np.linspace(5, 5.5, 64)
    tally = quality.Tally()
    for top in range(0, 62, 13):
        for left in range(0, 48, 17):
            part = np.s_[top : min(top + 15, 64), left : min(left + 19, 50)]
            tally.add(found[part], truth[part], counts[part], (cell_m[0][part[0]], cell_m[1][part[0]]))
    whole, blocks = scores_of(found, truth, counts, cell_m), tally.scores()
    for name in quality.Scores.__dataclass_fields__:
        assert getattr(blocks, name) == pytest.approx(getattr(whole, name), rel=1e-10), name


def test_merged_tallies_pool_cells_not_means():
    small, large = quality.Tally(), quality.Tally()
    small.add(np.full((3, 3), 1.0), np.zeros((3, 3)), np.ones((3, 3), bool), cells(3, 1, 1))
    large.add(np.full((3, 5), 2.0), np.zeros((3, 5)), np.ones((3, 5), bool), cells(3, 1, 1))
    large.merge(small)
    assert large.scores().cells == 4
    assert large.scores().rmse_m == pytest.approx(np.sqrt((3 * 4 + 1) / 4))


def test_without_cells_there_is_no_score():
    empty = quality.Tally().scores()
    assert empty.cells == 0
    assert np.isnan([empty.rmse_m, empty.le90_m, empty.slope_rmse_deg]).all()


def tilted(towards_deg: float, slope_deg: float, cell_m: tuple[float, float] = (10, 10)) -> np.ndarray:
    """A plane that falls towards a compass direction."""
    steep, towards = np.tan(np.radians(slope_deg)), np.radians(towards_deg)
    return plane(9, 9, -steep * np.sin(towards), -steep * np.cos(towards), cell_m)


@pytest.mark.parametrize("towards_deg", [0, 45, 90, 135, 180, 225, 270, 315, 359])
def test_aspect_is_the_compass_direction_of_descent(towards_deg):
    gradient = quality.gradient(tilted(towards_deg, 20, (10, 25)), cells(9, 10, 25))
    turned = (attributes.aspect_deg(*gradient) - towards_deg + 180) % 360 - 180
    assert np.allclose(turned, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("found_deg", "true_deg", "expected"),
    [(5, 355, 10), (355, 5, -10), (359, 1, -2), (180, 90, 90), (10, 350, 20), (270, 89, -179)],
)
def test_aspects_are_compared_the_short_way_round_north(found_deg, true_deg, expected):
    planes = [quality.gradient(tilted(deg, 15), cells(9, 10, 10)) for deg in (found_deg, true_deg)]
    assert np.allclose(quality.aspect_difference_deg(*planes), expected)
    scores = scores_of(tilted(found_deg, 15), tilted(true_deg, 15), np.ones((9, 9), bool), cells(9, 10, 10))
    assert (scores.aspect_rmse_deg, scores.aspect_mae_deg) == pytest.approx((abs(expected), abs(expected)))
    assert scores.slope_rmse_deg == pytest.approx(0, abs=1e-9)


def test_aspect_counts_only_where_the_truth_is_steep_and_a_flat_result_is_undecided():
    counts = np.ones((9, 9), bool)
    gentle = scores_of(tilted(0, 20), tilted(0, 1.9), counts, cells(9, 10, 10))
    assert gentle.aspect_cells == 0 and np.isnan(gentle.aspect_rmse_deg) and gentle.slope_cells == 49
    flat = scores_of(np.zeros((9, 9)), tilted(200, 2.1), counts, cells(9, 10, 10))
    assert flat.aspect_cells == 49 and flat.aspect_mae_deg == 90


def test_a_result_in_flat_steps_is_compared_like_any_other():
    truth = plane(40, 40, 0.3, 0.2, (10.0, 10.0))
    steps = np.kron(truth[::8, ::8], np.ones((8, 8)))
    scores = scores_of(steps, truth, np.ones((40, 40), dtype=bool), cells(40, 10, 10))
    assert all(np.isfinite(value) for value in vars(scores).values())


def test_profile_curvature_of_analytic_ground():
    """A parabola along one axis: ``z''/(1 + z'^2)^1.5``; a plane and the contour direction have none."""
    y, x = np.mgrid[:9, :11] * 10.0
    for heights, slope, bend in ((0.01 * x**2, 0.02 * x, 0.02), (-0.005 * y**2, 0.01 * y, -0.01)):
        expected = -bend / (1 + slope**2) ** 1.5
        got = quality.profile_curvature(heights, cells(9, 10, 10))
        moving = slope[1:-1, 1:-1] > 0
        assert np.allclose(got[moving], expected[1:-1, 1:-1][moving])
    assert np.allclose(quality.profile_curvature(tilted(77, 30), cells(9, 10, 10)), 0, atol=1e-12)
    saddle = 0.01 * x * y  # along the diagonal x = y the fall line is straight up: z = 0.01 t^2 / 2
    got = quality.profile_curvature(saddle, cells(9, 10, 10))
    climb = 0.01 * np.sqrt(2) * x[4, 4]
    assert got[3, 3] == pytest.approx(-0.01 / (1 + climb**2) ** 1.5)


def test_signed_errors_fall_into_their_classes():
    tally = quality.Tally()
    errors = np.zeros((3, 12))
    errors[1, 1:-1] = [-3, -1, -1, 0.2, 0.2, 0.2, 0.2, 2, 2, 2]
    tally.add(errors, np.zeros((3, 12)), np.ones((3, 12), bool), cells(3, 1, 1))
    shares = tally.error_shares(np.array([-4.0, -2.0, 0.0, 1.0, 4.0]))
    assert np.allclose(shares, [0.1, 0.2, 0.4, 0.3], atol=0.01)


def test_noise_of_a_known_size_gives_the_textbook_figures():
    noise = np.random.default_rng(5).normal(0.5, 2.0, size=(600, 600))
    scores = scores_of(rough(600, 600) + noise, rough(600, 600), np.ones((600, 600), bool), cells(600, 30, 30))
    assert scores.bias_m == pytest.approx(0.5, abs=0.02)
    assert scores.rmse_m == pytest.approx(np.hypot(2, 0.5), rel=0.01)
    assert scores.le90_m == pytest.approx(3.39, rel=0.01)  # 90 % of |N(0.5, 2)|


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.7, 4.0, 7.3])
def test_cell_averages_equal_explicit_area_weights(scale):
    heights = 1000 + rough(75, 61)
    coarse, valid = quality.cell_average(heights, np.ones(heights.shape, bool), scale)
    rows, cols = int(75 / scale), int(61 / scale)
    expected = area_weights(75, rows, scale) @ heights @ area_weights(61, cols, scale).T
    assert coarse.shape == expected.shape == valid.shape
    assert valid.all()
    assert np.allclose(coarse, expected, atol=1e-8)


def test_a_coarse_cell_is_valid_where_all_fine_cells_it_touches_are():
    valid = np.ones((12, 12), bool)
    valid[5, 2] = False
    heights = np.where(valid, 7.0, -9999.0)
    for scale in (4.0, 2.5):
        coarse, coarse_valid = quality.cell_average(heights, valid, scale)
        lost = {tuple(int(i) for i in place) for place in np.argwhere(~coarse_valid)}
        edges = [(r, c) for r in range(coarse.shape[0]) for c in range(coarse.shape[1])
                 if r * scale < 6 and (r + 1) * scale > 5 and c * scale < 3 and (c + 1) * scale > 2]  # fmt: skip
        assert lost == set(edges)
        assert np.allclose(coarse[coarse_valid], 7.0)


def test_an_average_keeps_the_mean_of_whole_cells():
    heights = rough(40, 40) + 2500
    coarse, _ = quality.cell_average(heights, np.ones((40, 40), bool), 8.0)
    assert coarse.mean() == pytest.approx(heights.mean(), abs=1e-9)


def test_bins_are_those_that_a_search_finds():
    edges = quality.BIN_EDGES_M
    sizes = [[0, 5e-324, 1e-7, 9.9e5, 1e30, np.inf], edges, np.nextafter(edges, np.inf), np.nextafter(edges[1:], 0)]
    sizes = np.concatenate([*sizes, 10 ** np.random.default_rng(1).uniform(-8, 7, 200_000)])
    found = np.searchsorted(edges, sizes, side="right") - 1
    np.testing.assert_array_equal(quality.bins_of(sizes), np.minimum(found, edges.size - 2))
