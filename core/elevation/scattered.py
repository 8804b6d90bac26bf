"""Surfaces at scattered positions, and their derivatives: one pass over what lies under each position.

A lattice shares the taps of its rows and columns (:mod:`.rendering`); scattered positions share nothing, so each
computes its own, in machine code. What a position gets depends on that position alone: not on its neighbours, their
order or the thread. Positions are in cells, cell ``i`` covers ``[i, i + 1]``. Imports numpy and numba.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from .kernels import CUBIC_A, Floats

DERIVATIVES = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
"""Order of the derivative down the rows and across the columns of each layer."""

LAYERS = (1, 3, 6)
"""Layers up to each degree."""

MOST_ORDER = 16
"""Cosines per axis that there is room for."""

Singles = NDArray[np.float32]


def cubic_at(values: Floats, rows: Floats, cols: Floats, degree: int) -> Floats:
    """The cubic interpolant of ``(H, W)`` and its derivatives per cell, ``(layers, N)``; edge cells repeat."""
    found = np.empty((LAYERS[degree], rows.size))
    _interpolate(np.ascontiguousarray(values), rows, cols, degree, False, found)
    return found


def bspline_at(values: Floats, rows: Floats, cols: Floats) -> Floats:
    """The cubic B-spline with the coefficients ``(H, W)``, ``(N,)``; edge cells repeat."""
    return bsplines_at(values, rows, cols, 0)[0]


def bsplines_at(values: Floats, rows: Floats, cols: Floats, degree: int) -> Floats:
    """The cubic B-spline with the coefficients ``(H, W)`` and its derivatives per cell, ``(layers, N)``."""
    found = np.empty((LAYERS[degree], rows.size))
    _interpolate(np.ascontiguousarray(values), rows, cols, degree, True, found)
    return found


def series_at(series: Singles, order: int, rows: Floats, cols: Floats, degree: int) -> Floats:
    """A lapped cosine series (:func:`.kernels.lapped_taps`) and its derivatives per cell, ``(layers, N)``.

    ``series`` is ``(H * order, W * order)`` as :func:`.rendering.series` makes it, in its own steps. Positions lie at
    least one cell inside.
    """
    if order > MOST_ORDER:
        raise ValueError(f"A series has {order} cosines per axis; there is room for {MOST_ORDER}.")
    found = np.empty((LAYERS[degree], rows.size))
    _add_up(series, order, rows, cols, degree, found)
    return found


@compiled
def _cubic(t: float, degree: int) -> float:
    """The cubic convolution kernel or a derivative, see :func:`.kernels.cubic`."""
    sign, t, a = (-1.0 if t < 0 else 1.0), abs(t), CUBIC_A
    if t > 2 or (t == 2 and degree < 2):
        value = 0.0
    elif t == 2:
        value = a
    elif degree == 0:
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        value = near if t < 1 else ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    elif degree == 1:
        near = (3 * (a + 2) * t - 2 * (a + 3)) * t
        value = sign * (near if t < 1 else (3 * a * t - 10 * a) * t + 8 * a)
    else:
        near, far = 6 * (a + 2) * t - 2 * (a + 3), 6 * a * t - 10 * a
        value = near if t < 1 else (near + far) / 2 if t == 1 else far
    return value


@compiled
def _bspline(t: float, degree: int) -> float:
    """The cubic B-spline or a derivative, see :func:`.kernels.bspline`."""
    sign, t = (-1.0 if t < 0 else 1.0), min(abs(t), 2.0)
    if degree == 0:
        return 2 / 3 - t * t + t**3 / 2 if t < 1 else (2 - t) ** 3 / 6
    if degree == 1:
        return sign * ((1.5 * t - 2) * t if t < 1 else -((2 - t) ** 2) / 2)
    return 3 * t - 2 if t < 1 else 2 - t


@compiled
def _interpolate(values, rows, cols, degree, smooth, found):
    height, width = values.shape
    # A fifth tap only counts for second derivatives of the cubic at the centres of cells.
    taps = 5 if degree == 2 and not smooth else 4
    down, across, sums = np.empty((3, 5)), np.empty((3, 5)), np.empty(3)
    for p in range(rows.size):
        top, left = int(math.floor(rows[p] - 0.5)) + 3 - taps, int(math.floor(cols[p] - 0.5)) + 3 - taps
        for d in range(degree + 1):
            for k in range(taps):
                r, c = rows[p] - (top + k + 0.5), cols[p] - (left + k + 0.5)
                down[d, k] = _bspline(r, d) if smooth else _cubic(r, d)
                across[d, k] = _bspline(c, d) if smooth else _cubic(c, d)
        found[:, p] = 0.0
        for i in range(taps):
            row = min(max(top + i, 0), height - 1)
            sums[:] = 0.0
            for j in range(taps):
                value = values[row, min(max(left + j, 0), width - 1)]
                for d in range(degree + 1):
                    sums[d] += across[d, j] * value
            _spread(found, p, degree, down, i, sums)


@compiled
def _spread(found, p, degree, down, i, sums):
    """Add what one row gives to the layers of a position, in the order of :data:`DERIVATIVES`."""
    found[0, p] += down[0, i] * sums[0]
    if degree > 0:
        found[1, p] += down[0, i] * sums[1]
        found[2, p] += down[1, i] * sums[0]
    if degree > 1:
        found[3, p] += down[0, i] * sums[2]
        found[4, p] += down[1, i] * sums[1]
        found[5, p] += down[2, i] * sums[0]


@compiled
def _lapped(position, first, order, degree, weight, waves):
    """Weights ``(degree + 1, 3 * order)`` of three cells, see :func:`.kernels.lapped_derivative_taps`."""
    for k in range(3):
        u = (position - (first + k) + 0.5) / 2
        # Waves of twice, three times ... the angle from those of the angle itself: sines and cosines take long.
        c, s = math.cos(math.pi * u), math.sin(math.pi * u)
        cosine, sine = 1.0, 0.0
        for n in range(order + 2):
            per_cell = math.pi * n / 2
            waves[0, n] = cosine
            if degree > 0:
                waves[1, n] = -sine * per_cell
            if degree > 1:
                waves[2, n] = -cosine * per_cell * per_cell
            cosine, sine = cosine * c - sine * s, sine * c + cosine * s
        for d in range(degree + 1):
            inside = 1.0 if 0 < u < 1 else 0.5 if d == 2 and 0 <= u <= 1 else 0.0
            for a in range(order):
                # A cosine of a negative number of half waves is that of the positive one, and so are its derivatives.
                total = 0.5 * waves[d, a] - 0.25 * (waves[d, a + 2] + waves[d, abs(a - 2)])
                weight[d, k * order + a] = inside * total


@compiled
def _add_up(series, order, rows, cols, degree, found):
    terms = 3 * order
    down, across, sums = np.empty((3, terms)), np.empty((3, terms)), np.empty(3)
    waves = np.empty((3, order + 2))
    for p in range(rows.size):
        top, left = int(math.floor(rows[p])) - 1, int(math.floor(cols[p])) - 1
        _lapped(rows[p], top, order, degree, down, waves)
        _lapped(cols[p], left, order, degree, across, waves)
        found[:, p] = 0.0
        for i in range(terms):
            line = series[top * order + i, left * order : left * order + terms]
            sums[:] = 0.0
            for d in range(degree + 1):
                total = 0.0
                for j in range(terms):
                    total += across[d, j] * line[j]
                sums[d] = total
            _spread(found, p, degree, down, i, sums)
