"""Products of small matrices against plain sums, and the same bits wherever a window begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import baseline, field, kernels, rendering
from neural_terrain.tests import surfaces

ORDER, CELLS = 8, 40


@pytest.fixture(scope="module")
def coefficients() -> torch.Tensor:
    return torch.randn(ORDER**2, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


def positions(scale: float, start: float = 6.0, cells: float = 20.0) -> np.ndarray:
    """Centres of fine cells, as exact as those of a target grid."""
    at = start + (np.arange(int(cells * scale)) + 0.5) / scale
    return np.round(at * 2**32) / 2**32


@pytest.mark.parametrize("scales", [(1, 1), (2, 2), (2.5, 3), (3.7, 1.3), (4, 4), (8, 6.3), (16, 16)])
@pytest.mark.parametrize("point", [False, True])
def test_it_is_the_dense_product_of_training(
    coefficients: torch.Tensor, scales: tuple[float, float], point: bool
) -> None:
    rows, cols = (kernels.lapped_taps(positions(scale), 0.0 if point else 1 / scale, ORDER) for scale in scales)
    found = rendering.lattice(rendering.of_series(rendering.series(coefficients), rows, cols))
    expected = field.render(coefficients.double(), rows, cols)
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("scale", [1, 1.7, 2.5, 4, 8])
def test_heights_are_the_plain_interpolation(scale: float) -> None:
    values = torch.from_numpy(surfaces.fractal((CELLS, CELLS), 3))
    rows, cols = kernels.cell_taps(positions(scale), 1 / scale), kernels.point_taps(positions(scale), "bspline")
    found = rendering.lattice(rendering.of_heights(values, rows, cols))
    assert (found - cols.apply(rows.apply(values, 0), 1)).abs().max() < 1e-4


@pytest.mark.parametrize("scale", [1.3, 2, 3.7])
@pytest.mark.parametrize("height", [0.0, 1234.5, -430.25, 8848.0])
def test_constants_stay_exactly(scale: float, height: float) -> None:
    values = torch.full((CELLS, CELLS), height, dtype=torch.float64)
    for taps in (baseline.taps(positions(scale), 1 / scale, False), kernels.point_taps(positions(scale), "bspline")):
        assert (rendering.lattice(rendering.of_heights(values, taps, taps)) == height).all()


def test_an_offset_in_whole_steps_passes_exactly() -> None:
    values = torch.from_numpy(surfaces.fractal((CELLS, CELLS), 4))
    taps = kernels.cell_taps(positions(3.7), 1 / 3.7)
    low, high = (rendering.lattice(rendering.of_heights(values + d, taps, taps)) for d in (0.0, 1000.0))
    assert (high - low - 1000).abs().max() <= 2**-18


@pytest.mark.parametrize("scale", [1, 1.3, 1.7, 2, 2.5, 3, 3.7, 4, 6.3, 8])
def test_the_bits_are_the_same_wherever_a_window_begins(coefficients: torch.Tensor, scale: float) -> None:
    """Shapes, blocks and strips all fall differently; the sums are exact, so nothing shows."""
    values = torch.from_numpy(surfaces.fractal((CELLS, CELLS), 5))
    at = positions(scale, 8, 20)
    whole = _sum(coefficients, values, (0, 0, CELLS), at, at, 1 / scale)
    rng = np.random.default_rng(int(scale * 10))
    for _ in range(4):
        top, left = (int(v) for v in rng.integers(0, 5, 2))
        row, col = (int(v) for v in rng.integers(0, at.size // 3, 2))
        row_stop, col_stop = (int(v) for v in rng.integers(2 * at.size // 3, at.size, 2))
        part = _sum(
            coefficients, values, (top, left, CELLS - 6), at[row:row_stop] - top, at[col:col_stop] - left, 1 / scale
        )
        assert torch.equal(part, whole[row:row_stop, col:col_stop])


def _sum(
    coefficients: torch.Tensor, values: torch.Tensor, window: tuple[int, int, int], rows: np.ndarray, cols: np.ndarray,
    size: float,
) -> torch.Tensor:  # fmt: skip
    top, left, count = window
    here = np.s_[..., top : top + count, left : left + count]
    lapped = (kernels.lapped_taps(axis, size, ORDER) for axis in (rows, cols))
    plain = (kernels.cell_taps(axis, size) for axis in (rows, cols))
    return rendering.lattice(
        rendering.of_heights(values[here], *plain),
        rendering.of_series(rendering.series(coefficients[here].contiguous()), *lapped),
    )


def test_positions_may_stand_closer_than_cells_or_leave_cells_out(coefficients: torch.Tensor) -> None:
    at = np.array([7.1, 7.1000001, 7.2, 19.5, 19.9, 30.0])
    taps = kernels.lapped_taps(at, 0.0, ORDER)
    found = rendering.lattice(rendering.of_series(rendering.series(coefficients), taps, taps))
    assert (found - field.render(coefficients.double(), taps, taps)).abs().max() < 1e-4


def test_the_scale_is_a_factor_per_cell(coefficients: torch.Tensor) -> None:
    scale = torch.rand(CELLS, CELLS, dtype=torch.float64) * 30
    found, expected = rendering.series(coefficients, scale), rendering.series(coefficients * scale.float())
    assert (found - expected).abs().max() <= 1
