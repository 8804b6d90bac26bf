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
