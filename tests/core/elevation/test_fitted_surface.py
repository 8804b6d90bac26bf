"""Fitted surfaces: exact on cubic polynomials, their cells are their averages, derivatives those of the surface."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.kernels import Queries, bspline, bspline_integral, cell_taps
from neural_terrain.core.elevation.relief import Points, scattered
from neural_terrain.core.elevation.surface import CoarseHeights, Surface
from neural_terrain.core.errors import TerrainError

SIDE = 50


@pytest.fixture(scope="module")
def model() -> Surface:
    return surface.load(card.for_input("", fitted=True), Compute("cpu", "float32"))


def known(coefficients: np.ndarray, **values: bool) -> CoarseHeights:
    """A window whose coefficients these are; the heights do not count where there are some."""
    size = np.full(coefficients.shape[0], 2.0)
    codes = np.stack([coefficients, np.full(coefficients.shape, 0.3)])
    everywhere = np.ones(coefficients.shape, bool)
    return CoarseHeights(np.zeros(coefficients.shape), everywhere, size, size, fitted=codes, **values)


def rough() -> np.ndarray:
    return 300 + np.random.default_rng(2).normal(0, 5, (SIDE, SIDE))


def inside(count: int, size: float = 0.25) -> Points:
    rows, cols = np.random.default_rng(3).uniform(20, 30, (2, count))
    return Points(rows, cols, size, size)


def test_the_integral_of_the_b_spline_is_that_of_its_values() -> None:
    t = np.linspace(-2.5, 2.5, 50_001)
    summed = np.concatenate([[0.0], np.cumsum((bspline(t)[1:] + bspline(t)[:-1]) / 2 * np.diff(t))])
    assert bspline_integral(t) + 0.5 == pytest.approx(summed, abs=1e-9)
    taps = cell_taps(np.array([7.2, 7.9, 8.5]), 0.4, "bspline")
    assert taps.weight.sum(axis=1) == pytest.approx(1, abs=1e-12)


def test_a_plane_is_a_plane_with_its_slopes(model: Surface) -> None:
    down, across = np.mgrid[:SIDE, :SIDE] + 0.5
    latent = model.encode(known(500 + 3 * across - 1.5 * down))
    at = inside(100)
    found = model.relief(latent, at, 2)
    assert found.heights == pytest.approx(500 + 3 * at.cols - 1.5 * at.rows, abs=1e-9)
    assert found.east == pytest.approx(1.5, abs=1e-9) and found.north == pytest.approx(0.75, abs=1e-9)
    assert found.east_east == pytest.approx(0, abs=1e-9) and found.north_north == pytest.approx(0, abs=1e-9)


def test_derivatives_are_those_of_the_heights(model: Surface) -> None:
    latent, at, step = model.encode(known(rough())), inside(50), 1e-4

    def height(down: float, across: float) -> np.ndarray:
        there = Points(at.rows + down * step, at.cols + across * step, 0.25, 0.25)
        return model.relief(latent, there, 0).heights

    found = model.relief(latent, at, 2)
    assert found.east == pytest.approx((height(0, 1) - height(0, -1)) / (4 * step), abs=1e-5)
    assert found.north == pytest.approx((height(-1, 0) - height(1, 0)) / (4 * step), abs=1e-5)
    bend = (height(0, 1) - 2 * height(0, 0) + height(0, -1)) / (4 * step**2)
    assert found.east_east == pytest.approx(bend, abs=1e-4)


def test_fine_cells_are_averages_of_the_surface(model: Surface) -> None:
    latent = model.encode(known(rough()))
    cell = Queries(np.array([22.3]), np.array([25.8]), 0.5, 0.5)
    shares = (np.arange(200) + 0.5) / 400 - 0.25
    many = model.relief(latent, Queries(22.3 + shares, 25.8 + shares, 0.5, 0.5), 0).heights
    assert model.decode(latent, cell)[0, 0] == pytest.approx(many.mean(), abs=1e-4)
    assert model.averages(latent, scattered(cell))[0] == pytest.approx(many.mean(), abs=1e-4)
    coarse = model.decode(latent, Queries(np.array([20.5, 21.5]), np.array([25.5]), 1, 1))
    quarters = model.decode(latent, Queries(np.arange(20.25, 22, 0.5), np.arange(25.25, 26, 0.5), 0.5, 0.5))
    assert quarters.reshape(2, 2, 2).mean(axis=(1, 2)) == pytest.approx(coarse[:, 0], abs=1e-9)


def test_samples_at_points_and_the_error_are_those_of_the_file(model: Surface) -> None:
    latent, at = model.encode(known(rough(), point_sampled=True)), Queries(np.array([22.5]), np.array([25.1]), 0.5, 0.5)
    assert model.decode(latent, at) == pytest.approx(model.relief(latent, at, 0).heights, abs=1e-9)
    assert model.error90(latent, inside(5)) == pytest.approx(0.3) and model.error90(latent, at).shape == (1, 1)


def test_a_plain_dem_is_refused(model: Surface) -> None:
    size = np.ones(SIDE)
    with pytest.raises(TerrainError, match="The DEM is no fitted surface; choose another model"):
        model.encode(CoarseHeights(rough(), np.ones((SIDE, SIDE), bool), size, size))


def test_no_list_of_models_names_it() -> None:
    assert "fitted" not in card.installed()
