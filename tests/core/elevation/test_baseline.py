"""The weight-less surface against brute force: back-projection on fine cells, integrals, known polynomials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neural_terrain.core.elevation import baseline, card, kernels, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.degradation import area_weights
from neural_terrain.core.elevation.kernels import lattice
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.tests import surfaces


def centres(count: int, scale: float) -> np.ndarray:
    """Centres of fine cells in coarse cells."""
    return (np.arange(count) + 0.5) / scale


@pytest.mark.parametrize("scale", [1, 2, 3, 5])
def test_it_equals_back_projection_on_fine_cells(scale: int) -> None:
    """``z += up(known - down(z))`` iterated on the fine grid, with cell averages, is one interpolation here."""
    known = torch.from_numpy(surfaces.fractal((40, 44), 2))
    rows, cols = (kernels.cell_taps(centres(n * scale, scale), 1 / scale) for n in known.shape)

    def down(fine: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(fine[None], scale)[0]

    fine = lattice(known, rows, cols)
    for _ in range(baseline.STEPS):
        fine = fine + lattice(known - down(fine), rows, cols)
    ours = lattice(baseline.prepare(known, point_sampled=False), rows, cols)
    inner = np.s_[12 * scale : -12 * scale, 12 * scale : -12 * scale]
    torch.testing.assert_close(ours[inner], fine[inner], rtol=0, atol=1e-9)


def test_cell_averages_come_close_to_the_input() -> None:
    """To a twentieth of what plain interpolation misses them by, even on ground as rough as noise."""
    known = torch.from_numpy(surfaces.fractal((64, 64), 4))
    taps = kernels.cell_taps(centres(256, 4), 0.25)

    def miss(heights: torch.Tensor) -> float:
        averages = torch.nn.functional.avg_pool2d(lattice(heights, taps, taps)[None], 4)[0]
        return float((averages - known)[12:-12, 12:-12].abs().mean())

    assert miss(baseline.prepare(known, point_sampled=False)) < 0.05 * miss(known)


@given(st.floats(1, 16), st.floats(-50, 50))
def test_taps_add_up_to_one_and_keep_straight_lines(scale: float, start: float) -> None:
    positions = start + centres(40, scale)
    for taps in (
        kernels.cell_taps(positions, 1 / scale),
        kernels.point_taps(positions),
        kernels.point_taps(positions, "bspline"),
    ):
        np.testing.assert_allclose(taps.weight.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose((taps.weight * (taps.index + 0.5)).sum(axis=1), positions, atol=1e-9)


@given(st.floats(-3, 3), st.floats(0.05, 1))
def test_cell_taps_integrate_the_cubic(position: float, width: float) -> None:
    """The weights are the averages of the point weights over the cell, by a fine midpoint sum."""
    known = np.random.default_rng(5).normal(size=40)
    fine = position + width * ((np.arange(4000) + 0.5) / 4000 - 0.5) + 20
    points = kernels.point_taps(fine)
    expected = (points.weight * known[points.index]).sum(axis=1).mean()
    cell = kernels.cell_taps(np.array([position + 20]), width)
    assert (cell.weight * known[cell.index]).sum() == pytest.approx(expected, abs=1e-6)


def test_the_cubic_is_keys_kernel() -> None:
    """Values and the parabola that a = -1/2 reproduces (Keys 1981)."""
    np.testing.assert_allclose(kernels.cubic(np.array([0.0, 1.0, 2.0, 3.0, 0.5, 1.5])), [1, 0, 0, 0, 0.5625, -0.0625])
    taps = kernels.point_taps(np.linspace(3, 15, 50))
    parabola = (taps.weight * (taps.index + 0.5) ** 2).sum(axis=1)
    np.testing.assert_allclose(parabola, np.linspace(3, 15, 50) ** 2, atol=1e-9)


def test_point_samples_are_met_exactly() -> None:
    known = torch.from_numpy(surfaces.fractal((20, 20), 6))
    prepared = baseline.prepare(known, point_sampled=True)
    nodes = kernels.point_taps(np.arange(20) + 0.5).clamped(20)
    torch.testing.assert_close(lattice(prepared, nodes, nodes), known, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2.0, 2.5, 3.7])
def test_area_weights_conserve_the_mean(scale: float) -> None:
    weights = area_weights(int(np.ceil(10 * scale)), 10, scale)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=0)[: int(10 * scale)], 1 / scale)


def test_unaverage_is_the_inverse_of_average() -> None:
    """To a ten-thousandth away from the array's edge, even on noise."""
    values = torch.from_numpy(np.random.default_rng(3).normal(size=(48, 52)))
    inner = np.s_[10:-10, 10:-10]
    for found in (baseline.average(baseline.unaverage(values)), baseline.unaverage(baseline.average(values))):
        assert (found - values)[inner].abs().max() < 1e-4 * values.abs().max()


@pytest.mark.parametrize("height", [0.0, 8848.86, -430.5])
def test_unaverage_keeps_constants(height: float) -> None:
    values = torch.full((20, 20), height, dtype=torch.float64)
    assert (baseline.unaverage(values) - values).abs().max() <= 1e-12 * abs(height)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_model_says_what_it_computes_in(dtype: str) -> None:
    """Whatever was chosen for the job: its log, its tags and its journal name what was done."""
    model = surface.load(card.find("baseline"), Compute("cpu", dtype))
    latent = model.encode(CoarseHeights(np.ones((60, 60)), np.ones((60, 60), bool), np.ones(60), np.ones(60)))
    assert str(model.compute) == "cpu (float64)"
    assert latent.heights.dtype == model.compute.torch_dtype
