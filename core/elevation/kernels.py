"""One-dimensional resampling kernels, as explicit taps.

Positions are in coarse cell units along one axis: cell ``i`` covers ``[i, i + 1]`` and its centre is ``i + 0.5``.
Every interpolation here is separable and is written as a fixed number of taps per position, added in a fixed order,
so a value never depends on where a window begins. Imports torch and numpy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def room(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An empty tensor on the CPU for something large, in large pages where the system has them.

    numpy asks the system for them, torch does not: memory that is filled once costs half as much time.
    """
    cells = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(np.empty(cells, dtype=np.uint8)).view(dtype).view(shape)


CUBIC_A = -0.5
"""Free parameter of the cubic convolution kernel; -1/2 is third-order accurate (Keys 1981, eq. 15)."""


@dataclass(frozen=True)
class Taps:
    """Source indices and weights of one axis.

    ``index`` and ``weight`` have shape ``(positions, taps)``; position ``p`` is ``sum(weight[p] * source[index[p]])``.
    """

    index: NDArray[np.int64]
    weight: Floats

    def clamped(self, count: int) -> Taps:
        """The same taps with indices kept inside ``0 .. count - 1`` (edge cells repeat)."""
        return Taps(np.clip(self.index, 0, count - 1), self.weight)

    def part(self, start: int, stop: int) -> Taps:
        """Taps of positions ``start`` to ``stop`` only."""
        return Taps(self.index[start:stop], self.weight[start:stop])

    def apply(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Interpolate ``values`` along ``axis``; the other axes stay as they are."""
        shape = [1] * values.ndim
        shape[axis] = -1
        total = None
        for k in range(self.index.shape[1]):
            picked = values.index_select(
                axis, torch.from_numpy(np.ascontiguousarray(self.index[:, k])).to(values.device)
            )
            weight = torch.from_numpy(self.weight[:, k]).to(values).reshape(shape)
            total = picked.mul_(weight) if total is None else total.addcmul_(picked, weight)
        if total is None:
            raise ValueError("Taps need at least one tap.")
        return total


def lattice(values: torch.Tensor, rows: Taps, cols: Taps) -> torch.Tensor:
    """Separable interpolation of ``(H, W)`` at every row with every column, indices kept inside the array."""
    down = rows.clamped(values.shape[0]).apply(values, 0)
    return cols.clamped(values.shape[1]).apply(down, 1)


@dataclass(frozen=True)
class Queries:
    """A lattice of query positions in coarse cell units: every row position with every column position.

    Cell ``i`` of the map that is queried covers ``[i, i + 1]``; sizes are those of the fine cells, in coarse cells.
    """

    rows: Floats
    cols: Floats
    row_size: float
    col_size: float


def cubic(t: Floats) -> Floats:
    """Cubic convolution kernel at distance ``t`` in cells; support is ``|t| < 2`` (Keys 1981, eq. 15)."""
    t = np.abs(t)
    near = ((CUBIC_A + 2) * t - (CUBIC_A + 3)) * t * t + 1
    far = ((CUBIC_A * t - 5 * CUBIC_A) * t + 8 * CUBIC_A) * t - 4 * CUBIC_A
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def cubic_integral(t: Floats) -> Floats:
    """Integral of :func:`cubic` from 0 to ``t``; odd in ``t`` and 1/2 beyond the support."""
    sign, t = np.sign(t), np.minimum(np.abs(t), 2.0)
    a = CUBIC_A
    near = (((a + 2) / 4 * t - (a + 3) / 3) * t * t + 1) * t
    far = (((a / 4 * t - 5 * a / 3) * t + 4 * a) * t - 4 * a) * t
    at_one = (a + 2) / 4 - (a + 3) / 3 + 1
    far_at_one = a / 4 - 5 * a / 3 + 4 * a - 4 * a
    return sign * np.where(t < 1, near, at_one + far - far_at_one)


def cubic_slope(t: Floats) -> Floats:
    """Derivative of :func:`cubic` by ``t``, per cell; odd and continuous."""
    sign, t = np.sign(t), np.abs(t)
    near = (3 * (CUBIC_A + 2) * t - 2 * (CUBIC_A + 3)) * t
    far = (3 * CUBIC_A * t - 10 * CUBIC_A) * t + 8 * CUBIC_A
    return sign * np.where(t < 1, near, np.where(t < 2, far, 0.0))


def cubic_bend(t: Floats) -> Floats:
    """Second derivative of :func:`cubic` by ``t``, per cell squared; even.

    It has steps at the distances 1 and 2; there it is the mean of both sides, lest a plane bend at centres of cells.
    """
    t = np.abs(t)
    near = 6 * (CUBIC_A + 2) * t - 2 * (CUBIC_A + 3)
    far = 6 * CUBIC_A * t - 10 * CUBIC_A
    parts = [t < 1, t == 1, t < 2, t == 2]
    return np.select(parts, [near, (near + far) / 2, far, far / 2], 0.0)


def bspline(t: Floats) -> Floats:
    """Cubic B-spline at distance ``t`` in cells: positive, twice differentiable, support ``|t| < 2``."""
    t = np.abs(t)
    near = 2 / 3 - t * t + t**3 / 2
    far = (2 - np.minimum(t, 2.0)) ** 3 / 6
    return np.where(t < 1, near, far)


def bspline_integral(t: Floats) -> Floats:
    """Integral of :func:`bspline` from 0 to ``t``; odd in ``t`` and 1/2 beyond the support."""
    sign, t = np.sign(t), np.minimum(np.abs(t), 2.0)
    near = ((t / 8 - 1 / 3) * t * t + 2 / 3) * t
    far = 1 / 2 - (2 - t) ** 4 / 24
    return sign * np.where(t < 1, near, far)


def point_taps(positions: Floats, kernel: str = "cubic") -> Taps:
    """Four taps that evaluate the interpolant of ``kernel`` (``cubic`` or ``bspline``) at ``positions``."""
    first = np.floor(positions - 0.5).astype(np.int64) - 1
    index = first[:, None] + np.arange(4)
    distance = positions[:, None] - (index + 0.5)
    return Taps(index, (cubic if kernel == "cubic" else bspline)(distance))


def derivative_taps(positions: Floats, degree: int) -> Taps:
    """Five taps that evaluate the cubic interpolant (0), its first (1) or second (2) derivative, per coarse cell.

    The first tap only counts for second derivatives at the centres of cells.
    """
    first = np.floor(positions - 0.5).astype(np.int64) - 2
    index = first[:, None] + np.arange(5)
    return Taps(index, (cubic, cubic_slope, cubic_bend)[degree](positions[:, None] - (index + 0.5)))


def cell_taps(positions: Floats, width: float, kernel: str = "cubic") -> Taps:
    """Five taps that average the interpolant of ``kernel`` over fine cells of ``width`` (at most 1) there."""
    integral = cubic_integral if kernel == "cubic" else bspline_integral
    cell = np.floor(positions)
    first = (cell + np.floor((positions - cell) - width / 2 - 0.5)).astype(np.int64) - 1
    index = first[:, None] + np.arange(5)
    distance = positions[:, None] - (index + 0.5)
    weight = (integral(distance + width / 2) - integral(distance - width / 2)) / width
    return Taps(index, weight)


def nearest_taps(positions: Floats) -> Taps:
    """One tap: the cell that holds the position."""
    index = np.floor(positions).astype(np.int64)[:, None]
    return Taps(index, np.ones_like(positions)[:, None])


def cell_average_of_cubic() -> Floats:
    """Weights of the five nearest cells in the average of the cubic interpolant over a cell, shape ``(5,)``."""
    return cell_taps(np.array([2.5]), 1.0).weight[0]


@dataclass(frozen=True)
class LappedTaps:
    """Cells and weights of one axis of a lapped cosine series.

    ``first`` has shape ``(positions,)``, the first of three neighbouring cells, ``weight`` ``(positions, 3, order)``.
    """

    first: NDArray[np.int64]
    weight: Floats

    def dense(self, count: int) -> torch.Tensor:
        """The matrix ``(positions, count * order)`` that applies the taps to the coefficients of ``count`` cells."""
        positions, _, order = self.weight.shape
        matrix = np.zeros((positions, count + 2, order))
        for k in range(3):
            matrix[np.arange(positions), self.first + k + 1] = self.weight[:, k]
        return torch.from_numpy(matrix[:, 1:-1].reshape(positions, count * order))


def lapped_taps(positions: Floats, width: float, order: int) -> LappedTaps:
    """Taps of a lapped cosine series: averages over ``width`` (at most 1) around ``positions``, or with 0 values there.

    Cell ``i`` contributes ``sum_a c[i, a] sin^2(pi u) cos(pi a u)`` for ``a = 0 .. order - 1`` with
    ``u = (position - i + 1/2) / 2`` from 0 to 1: the window reaches over the neighbouring halves, and the windows of
    two neighbours add up to one. The sum is continuously differentiable.
    """
    cell = np.floor(positions)
    inside, which = np.unique(positions - cell, return_inverse=True)  # few at whole scales; the difference is exact
    u = (inside[:, None] - np.arange(-1, 2) + 0.5) / 2
    if width == 0:
        weight = _lapped(u, order)
    else:
        half = width / 4
        weight = (_lapped_integral(u + half, order) - _lapped_integral(u - half, order)) / (2 * half)
    return LappedTaps(cell.astype(np.int64) - 1, weight[which])


def lapped_derivative_taps(positions: Floats, order: int, degree: int) -> LappedTaps:
    """Taps of a lapped cosine series (0), its first (1) or second (2) derivative by the position, per coarse cell.

    Second ones have steps at the centres of cells, where windows end; there they are the mean of both sides.
    """
    first = np.floor(positions).astype(np.int64) - 1
    u = (positions[:, None] - (first[:, None] + np.arange(3)) + 0.5) / 2
    inside = np.where((u > 0) & (u < 1), 1.0, np.where((u == 0) | (u == 1), 0.5 if degree > 1 else 0.0, 0.0))
    total = np.zeros((*u.shape, order))
    for share, n in _lapped_parts(order):
        half_waves = np.pi * n
        angles = half_waves * u[..., None]
        total += share * (half_waves / 2) ** degree * np.cos(angles + degree * np.pi / 2)
    return LappedTaps(first, total * inside[..., None])


def _lapped(u: Floats, order: int) -> Floats:
    inside = (u > 0) & (u < 1)
    total = sum((share * np.cos(np.pi * n * u[..., None]) for share, n in _lapped_parts(order)), np.zeros(order))
    return np.where(inside[..., None], total, 0.0)


def _lapped_integral(u: Floats, order: int) -> Floats:
    u = np.clip(u, 0.0, 1.0)[..., None]
    return sum((share * u * np.sinc(n * u) for share, n in _lapped_parts(order)), np.zeros(order))


def _lapped_parts(order: int) -> tuple[tuple[float, Floats], ...]:
    """``sin^2(pi u) cos(pi a u)`` as a sum of plain cosines: shares and numbers of half waves, each ``(order,)``."""
    a = np.arange(order, dtype=np.float64)
    return (0.5, a), (-0.25, a + 2), (-0.25, a - 2)
