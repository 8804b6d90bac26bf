"""The GPU's form of the sums against the processor's: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import device_rendering, kernels, rendering
from neural_terrain.core.elevation.device_rendering import Axis
from neural_terrain.tests import surfaces

ORDER, CELLS = 8, 48


@pytest.fixture(scope="module")
def coefficients() -> torch.Tensor:
    return torch.randn(2, ORDER**2, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


def positions(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Centres of fine cells somewhere in the array, as exact as those of a target grid; blocks begin anywhere."""
    at = 6 + rng.integers(0, 8) + (np.arange(int(20 * scale)) + 0.5 + rng.integers(0, 5)) / scale
    return (np.round(at * 2**32) / 2**32)[rng.integers(0, 3) :]


@pytest.mark.parametrize("scale", [0.4, 1, 1.3, 2, 2.5, 3.7, 4, 6.3, 8, 16])
def test_lattices_have_the_bits_of_the_loop(coefficients: torch.Tensor, scale: float) -> None:
    heights = torch.from_numpy(surfaces.fractal((CELLS, CELLS), 3))
    factor = torch.rand(CELLS, CELLS, generator=torch.Generator().manual_seed(2)).double() * 5
    rng, width = np.random.default_rng(int(10 * scale)), min(1.0, 1 / scale)
    for _ in range(3):
        at = positions(scale, rng), positions(scale, rng)
        lapped = tuple(kernels.lapped_taps(p, width, ORDER) for p in at)
        taps = tuple(kernels.cell_taps(p, width) for p in at)
        series = rendering.series(coefficients[1], factor)
        expected = rendering.lattice(rendering.of_heights(heights, *taps), rendering.of_series(series, *lapped))
        cosines = device_rendering.series(coefficients, torch.stack([2 * factor, factor]))[1]
        assert torch.equal(cosines, series.double() * rendering.SERIES_STEP)
        found = device_rendering.lattice([
            device_rendering.of_heights(heights, both(device_rendering.axis_of_heights, taps)),
            device_rendering.of_series(cosines, both(device_rendering.axis_of_series, lapped)),
        ])  # fmt: skip
        assert torch.equal(found, expected)


def test_series_without_a_factor(coefficients: torch.Tensor) -> None:
    found = device_rendering.series(coefficients[:1].bfloat16())
    assert torch.equal(found[0], rendering.series(coefficients[0].bfloat16()).double() * rendering.SERIES_STEP)


@pytest.mark.parametrize("scale", [2, 2.5, 3, 4, 8])
def test_positions_run_on_through_the_blocks_at_scales_that_repeat(scale: float) -> None:
    """No gather is needed then, whatever cell the first position lies in."""
    for start in np.arange(6) / scale:
        at = 8 + start + (np.arange(int(30 * scale)) + 0.5) / scale
        axis = device_rendering.axis_of_series(kernels.lapped_taps(at, 1 / scale, ORDER), "cpu")
        blocks, most, _ = axis.matrices.shape
        assert isinstance(axis.places, slice) and axis.places.stop - axis.places.start == at.size
        assert blocks * most < at.size + 3 * most


def test_a_last_block_may_look_beyond_the_array() -> None:
    """What lies there is multiplied by zero, and must not be read."""
    values = torch.from_numpy(surfaces.fractal((13, 13), 3))
    at = np.arange(4.0, 10.0, 0.25)
    taps = kernels.point_taps(at)
    axes = both(device_rendering.axis_of_heights, (taps, taps))
    assert axes[0].stop > 13
    found = device_rendering.lattice([device_rendering.of_heights(values, axes)])
    assert torch.equal(found, rendering.lattice(rendering.of_heights(values, taps, taps)))


def both(make: object, taps: tuple) -> tuple[Axis, Axis]:
    """The axes of the rows and the columns."""
    rows, cols = (make(one, "cpu") for one in taps)  # type: ignore[operator]
    return rows, cols
