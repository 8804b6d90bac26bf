"""The weight-less continuous surface: bicubic interpolation made consistent by back-projection.

Back-projection (Irani and Peleg 1991) repeats ``z += up(known - down(z))``. Here ``down`` is the exact average of the
continuous interpolant over a coarse cell, so ``down(up(.))`` is one fixed five-tap filter ``P`` per axis and the
whole iteration runs on coarse cells: the prepared heights are ``sum_k (I - P)^k z`` for ``k = 0 .. STEPS``. One
interpolation of the prepared heights then gives any position at any scale. Imports torch and numpy only.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from .kernels import Floats, Taps, cell_average_of_cubic, cell_taps, point_taps

STEPS = 4
"""Back-projections; after four, cell averages miss the input by about 3 % of what plain interpolation does."""

INVERSE_PX = 7
"""Reach of the inverse of the cell average."""

RADIUS_PX = 2 * STEPS + 2
"""Coarse cells around a position that its height can depend on."""


def prepare(heights: torch.Tensor, point_sampled: bool) -> torch.Tensor:
    """Coarse heights whose plain interpolation is the baseline surface.

    Parameters
    ----------
    heights
        Float64 heights in metres, shape ``(..., H, W)``, finite everywhere. The outer ``2 * STEPS`` cells of the
        result see the repeated edge of the array and must be discarded unless it is the edge of the raster.
    point_sampled
        Heights are samples at the cell centres: the interpolant already passes through them, nothing is changed.

    """
    if point_sampled:
        return heights
    total, rest = heights, heights
    for _ in range(STEPS):
        rest = rest - average(rest)
        total = total + rest
    return total


def taps(positions: Floats, width: float, point_sampled: bool) -> Taps:
    """Taps on prepared heights: the surface at points, or averaged over fine cells of ``width`` coarse cells."""
    return point_taps(positions) if point_sampled else cell_taps(positions, width)


def average(values: torch.Tensor) -> torch.Tensor:
    """Averages over the coarse cells of the plain interpolation of ``values``, shape kept."""
    weights = [float(w) for w in cell_average_of_cubic()]
    return convolve(convolve(values, weights, -1), weights, -2)


def unaverage(values: torch.Tensor) -> torch.Tensor:
    """Coarse heights whose plain interpolation has the cell averages ``values``: the inverse of :func:`average`.

    The inverse filter is cut at :data:`INVERSE_PX` cells, where it has fallen below a hundred-thousandth.
    """
    weights = [float(w) for w in inverse_of_average()]
    return convolve(convolve(values, weights, -1), weights, -2)


@functools.cache
def inverse_of_average() -> Floats:
    """Taps of the inverse of the cell-average filter along one axis, ``(2 * INVERSE_PX + 1,)``; they add up to one."""
    count = 256
    kernel = np.zeros(count)
    kernel[np.arange(-2, 3)] = cell_average_of_cubic()
    inverse = np.fft.ifft(1 / np.fft.fft(kernel)).real
    taps = inverse[np.arange(-INVERSE_PX, INVERSE_PX + 1)]
    whole: Floats = taps / taps.sum()
    return whole


def convolve(values: torch.Tensor, weights: list[float], axis: int) -> torch.Tensor:
    """Correlate ``values`` with ``weights`` along ``axis`` (-1 or -2), repeating the edge; the shape is kept."""
    radius, size = len(weights) // 2, values.shape[axis]
    before, after = values.narrow(axis, 0, 1), values.narrow(axis, size - 1, 1)
    padded = torch.cat([before] * radius + [values] + [after] * radius, dim=axis)
    total = torch.zeros_like(values)
    for k, weight in enumerate(weights):
        total += padded.narrow(axis, k, size) * weight
    return total
