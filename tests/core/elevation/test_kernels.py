"""Kernels against their definitions: numerical integrals, exactness on polynomials, and independence of the origin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neural_terrain.core.elevation import kernels

POSITIONS = st.integers(0, 2**34).map(lambda i: i / 2**30)
WIDTHS = st.floats(1 / 16, 1)


def test_the_cubic_kernel_is_that_of_keys() -> None:
    assert kernels.cubic(np.array([0, 1, 2, 3, 0.5, 1.5])) == pytest.approx([1, 0, 0, 0, 0.5625, -0.0625])


def test_the_integral_is_the_integral() -> None:
    fine = np.linspace(-3, 3, 60_001)
    summed = np.concatenate([[0], np.cumsum((kernels.cubic(fine)[1:] + kernels.cubic(fine)[:-1]) / 2) * 1e-4])
    assert kernels.cubic_integral(fine) == pytest.approx(summed - summed[30_000], abs=1e-7)


@given(POSITIONS, WIDTHS)
def test_taps_add_up_to_one_and_reproduce_polynomials(position: float, width: float) -> None:
    at = np.array([position])
    for taps, exact in (
        (kernels.point_taps(at), lambda p: position**p),
        (kernels.cell_taps(at, width), lambda p: position**p + (width**2 / 12 if p == 2 else 0)),
    ):
        centres = taps.index[0] + 0.5
        for power in (0, 1, 2):
            assert taps.weight[0] @ centres**power == pytest.approx(exact(power), abs=1e-9)


@given(POSITIONS, WIDTHS)
def test_b_spline_weights_are_positive_and_add_up_to_one(position: float, _: float) -> None:
    weight = kernels.point_taps(np.array([position]), "bspline").weight
    assert (weight >= 0).all() and weight.sum() == pytest.approx(1)


@given(POSITIONS, WIDTHS, st.integers(-60, 1_000_000))
def test_weights_are_the_same_bits_wherever_counting_begins(position: float, width: float, origin: int) -> None:
    for taps in (kernels.point_taps, lambda p: kernels.cell_taps(p, width), kernels.nearest_taps):
        here, there = taps(np.array([position])), taps(np.array([position]) + origin)
        assert np.array_equal(here.weight, there.weight)
        assert np.array_equal(here.index + origin, there.index)


def test_cell_taps_are_the_average_of_point_taps() -> None:
    values = torch.from_numpy(np.random.default_rng(1).normal(size=24))
    for width in (1.0, 0.4, 1 / 3.7):
        at = np.array([9.13, 10.5, 11.0])
        inside = (np.arange(4000) + 0.5) / 4000 * width - width / 2
        points = kernels.point_taps((at[:, None] + inside).ravel()).apply(values, 0).numpy().reshape(3, -1)
        assert kernels.cell_taps(at, width).apply(values, 0).numpy() == pytest.approx(points.mean(1), abs=1e-6)


def test_clamping_repeats_the_edge() -> None:
    taps = kernels.point_taps(np.array([0.5, 3.5])).clamped(4)
    assert taps.index.min() == 0 and taps.index.max() == 3


@pytest.mark.parametrize("degree", [1, 2])
def test_derivative_taps_are_the_derivative_of_the_ones_below(degree: int) -> None:
    values = torch.from_numpy(np.random.default_rng(2).normal(size=24))
    at, step = np.append(np.linspace(5.01, 12.49, 60), [6.5, 9.5]), 1e-5
    up, down = (kernels.derivative_taps(at + d, degree - 1).apply(values, 0).numpy() for d in (step, -step))
    found = kernels.derivative_taps(at, degree).apply(values, 0).numpy()
    assert found == pytest.approx((up - down) / (2 * step), abs=1e-3)
    line = torch.arange(24.0, dtype=torch.float64) * 3
    assert kernels.derivative_taps(at, degree).apply(line, 0).numpy() == pytest.approx(3 if degree == 1 else 0)


# The lapped cosine series

ORDER = 8


def series(taps: kernels.LappedTaps, coefficients: np.ndarray) -> np.ndarray:
    """The sum over three cells, term by term."""
    cells = taps.first[:, None] + np.arange(3)
    return np.einsum("pka,pka->p", taps.weight, coefficients[cells])


def by_definition(position: float, coefficients: np.ndarray) -> float:
    """Every cell under its window, as the docstring says."""
    total = 0.0
    for i, terms in enumerate(coefficients):
        u = (position - i + 0.5) / 2
        if 0 < u < 1:
            total += np.sin(np.pi * u) ** 2 * (terms * np.cos(np.pi * u * np.arange(len(terms)))).sum()
    return total


@pytest.fixture
def coefficients() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(14, ORDER))


def test_lapped_taps_are_their_definition(coefficients: np.ndarray) -> None:
    at = np.random.default_rng(5).uniform(3, 11, 50)
    expected = [by_definition(p, coefficients) for p in at]
    assert series(kernels.lapped_taps(at, 0.0, ORDER), coefficients) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("width", [1.0, 0.5, 1 / 3.7, 1 / 16])
def test_lapped_taps_of_cells_are_averages(coefficients: np.ndarray, width: float) -> None:
    at = np.array([3.0, 4.49, 5.5, 7.99, 9.03])
    inside = ((np.arange(20_000) + 0.5) / 20_000 - 0.5) * width
    points = series(kernels.lapped_taps((at[:, None] + inside).ravel(), 0.0, ORDER), coefficients)
    found = series(kernels.lapped_taps(at, width, ORDER), coefficients)
    assert found == pytest.approx(points.reshape(5, -1).mean(axis=1), abs=1e-7)


@pytest.mark.parametrize("degree", [1, 2])
def test_lapped_derivative_taps_are_the_derivative_of_the_ones_below(coefficients: np.ndarray, degree: int) -> None:
    at, step = np.random.default_rng(6).uniform(3, 11, 50), 1e-6
    up, down = (series(kernels.lapped_derivative_taps(at + d, ORDER, degree - 1), coefficients) for d in (step, -step))
    found = series(kernels.lapped_derivative_taps(at, ORDER, degree), coefficients)
    assert found == pytest.approx((up - down) / (2 * step), abs=1e-4)


def test_lapped_taps_of_points_are_the_derivative_of_degree_zero(coefficients: np.ndarray) -> None:
    at = np.random.default_rng(6).uniform(3, 11, 50)
    found = series(kernels.lapped_derivative_taps(at, ORDER, 0), coefficients)
    assert found == pytest.approx(series(kernels.lapped_taps(at, 0.0, ORDER), coefficients), abs=1e-12)


@given(POSITIONS, WIDTHS)
def test_the_windows_of_neighbours_add_up_to_one(position: float, width: float) -> None:
    for size in (0.0, width):
        assert kernels.lapped_taps(np.array([position]), size, 1).weight.sum() == pytest.approx(1, abs=1e-12)
    assert kernels.lapped_derivative_taps(np.array([position]), 1, 1).weight.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("place", [5.0, 5.5])
def test_heights_and_slopes_have_no_step_where_cells_change(coefficients: np.ndarray, place: float) -> None:
    """A window begins in the middle of a cell, the list of three cells changes at its edge."""
    at = np.array([place - 1e-9, place, place + 1e-9])
    for taps in (kernels.lapped_taps(at, 0.0, ORDER), kernels.lapped_derivative_taps(at, ORDER, 1)):
        assert np.ptp(series(taps, coefficients)) < 1e-5


@given(POSITIONS, WIDTHS, st.integers(-60, 1_000_000))
def test_lapped_weights_are_the_same_bits_wherever_counting_begins(position: float, width: float, origin: int) -> None:
    for taps in (lambda p: kernels.lapped_taps(p, width, ORDER), lambda p: kernels.lapped_derivative_taps(p, ORDER, 2)):
        here, there = taps(np.array([position])), taps(np.array([position]) + origin)
        assert np.array_equal(here.weight, there.weight) and np.array_equal(here.first + origin, there.first)


def test_the_dense_matrix_is_the_taps(coefficients: np.ndarray) -> None:
    taps = kernels.lapped_taps(np.linspace(2.1, 11.9, 23), 0.25, ORDER)
    found = taps.dense(len(coefficients)).numpy() @ coefficients.ravel()
    assert found == pytest.approx(series(taps, coefficients), abs=1e-12)
