"""Averages of a surface over fine cells whose centres lie anywhere: what :mod:`.kernels` says of lattices, for points.

Each cell is a rectangle of one size along the rows and columns of the coarse cells. What a position gets depends on
that position alone: not on its neighbours, their order or the thread. Positions are in cells, cell ``i`` covers
``[i, i + 1]``. Imports numpy and numba.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled import compiled, lean
from .kernels import CUBIC_A, Floats
from .scattered import MOST_ORDER, Singles

TAPS = 5
"""Coarse cells along an axis under an average over at most one of them, see :func:`.kernels.cell_taps`."""


def cubic_means(values: Floats, rows: Floats, cols: Floats, sizes: tuple[float, float]) -> Floats:
    """Averages of the cubic interpolant of ``(H, W)`` over cells of ``sizes`` (down, across, at most 1), ``(N,)``."""
    return _means(values, rows, cols, sizes, False)


def bspline_means(values: Floats, rows: Floats, cols: Floats, sizes: tuple[float, float]) -> Floats:
    """The same of the cubic B-spline with the coefficients ``(H, W)``."""
    return _means(values, rows, cols, sizes, True)


def series_means(series: Singles, order: int, rows: Floats, cols: Floats, sizes: tuple[float, float]) -> Floats:
    """Averages of a lapped cosine series (:func:`.kernels.lapped_taps`) over cells of ``sizes``, ``(N,)``.

    ``series`` is ``(H * order, W * order)`` as :func:`.rendering.series` makes it, in its own steps. Positions lie at
    least one cell inside.
    """
    if order > MOST_ORDER:
        raise ValueError(f"A series has {order} cosines per axis; there is room for {MOST_ORDER}.")
    found = np.empty(rows.size)
    _add_up(series, order, (rows, cols), sizes, np.empty((4, 3 * order)), found)
    return found


def _means(values: Floats, rows: Floats, cols: Floats, sizes: tuple[float, float], smooth: bool) -> Floats:
    found = np.empty(rows.size)
    _interpolate(np.ascontiguousarray(values), rows, cols, sizes, smooth, found)
    return found


@compiled
def _integral(t: float, smooth: bool) -> float:
    """Integral of the kernel from 0 to ``t``, see :func:`.kernels.cubic_integral`."""
    sign, t, a = (-1.0 if t < 0 else 1.0), min(abs(t), 2.0), CUBIC_A
    if smooth:
        value = ((t / 8 - 1 / 3) * t * t + 2 / 3) * t if t < 1 else 1 / 2 - (2 - t) ** 4 / 24
    elif t < 1:
        value = (((a + 2) / 4 * t - (a + 3) / 3) * t * t + 1) * t
    else:
        value = 1 / 2 + (((a / 4 * t - 5 * a / 3) * t + 4 * a) * t - 4 * a) * t + 4 * a / 3
    return sign * value


@compiled
def _axis(position, size, smooth, weight):
    """First coarse cell, and the weights of it and its neighbours."""
    first = int(math.floor(position - size / 2 - 0.5)) - 1
    for k in range(TAPS):
        t = position - (first + k + 0.5)
        weight[k] = (_integral(t + size / 2, smooth) - _integral(t - size / 2, smooth)) / size
    return first


@compiled
def _interpolate(values, rows, cols, sizes, smooth, found):
    height, width = values.shape
    down, across = np.empty(TAPS), np.empty(TAPS)
    for p in range(rows.size):
        top = _axis(rows[p], sizes[0], smooth, down)
        left = _axis(cols[p], sizes[1], smooth, across)
        total = 0.0
        for i in range(TAPS):
            row = min(max(top + i, 0), height - 1)
            line = 0.0
            for j in range(TAPS):
                line += across[j] * values[row, min(max(left + j, 0), width - 1)]
            total += down[i] * line
        found[p] = total


@lean
def _lapped(position, size, first, order, weight, waves):
    """Weights ``(3 * order)`` of three cells; the integral of ``cos(pi n u)`` is ``sin(pi n u) / (pi n)``."""
    for k in range(3):
        waves[:] = 0.0
        for end in range(2):
            sign = 2.0 * end - 1.0
            u = (position + sign * size / 2 - (first + k) + 0.5) / 2
            waves[0] += sign * min(max(u, 0.0), 1.0)
            if 0 < u < 1:
                before, now, twice = 0.0, sign * math.sin(math.pi * u), 2 * math.cos(math.pi * u)
                for n in range(1, order + 2):
                    waves[n] += now
                    before, now = now, twice * now - before
        for n in range(1, order + 2):
            waves[n] *= 1 / (math.pi * n)
        for a in range(order):
            total = 0.5 * waves[a] - 0.25 * (waves[a + 2] + waves[abs(a - 2)])
            weight[k * order + a] = total * (2 / size)


@lean
def _add_up(series, order, at, sizes, room, found):
    """Sums into ``found``; ``room`` is ``(4, 3 * order)``."""
    rows, cols = at
    down, across, sums, waves = room[0], room[1], room[2], room[3, : order + 2]
    for p in range(rows.size):
        top, left = int(math.floor(rows[p])) - 1, int(math.floor(cols[p])) - 1
        _lapped(rows[p], sizes[0], top, order, down, waves)
        _lapped(cols[p], sizes[1], left, order, across, waves)
        sums[:] = 0.0
        for i in range(3 * order):  # sums of columns, so that the processor does several at a time
            weight = down[i]
            for j in range(3 * order):
                sums[j] += weight * series[top * order + i, left * order + j]
        total = 0.0
        for j in range(3 * order):
            total += across[j] * sums[j]
        found[p] = total
