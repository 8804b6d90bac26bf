"""The smoothing spline of scattered heights: one sparse system, solved from coarse to fine.

The surface is a bicubic B-spline on a lattice of unit steps. Its coefficients minimise

    sum over points of  weight * (surface - height)^2  +  smoothing * bending energy,

the energy being that of a thin plate, ``f_xx^2 + 2 f_xy^2 + f_yy^2`` (Duchon 1977), integrated exactly over each square
between four knots; a factor per square lets the plate bend more easily along a breakline. A plane costs nothing and is
returned as it is. The system has 49 coefficients in a row. Conjugate gradients start from the solution of the same
problem on a lattice twice as wide, and that from one twice as wide again (nested B-splines hold each other exactly), so
that wide gaps are bridged before fine forms are looked for. Imports numpy and numba.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from ..compiled import compiled, lean

Floats = NDArray[np.float64]

REACH = 3
"""Steps between coefficients that meet in one square."""

MOST_ROUNDS = 300
"""Rounds of conjugate gradients at each width."""

PRECISION = 1e-8
"""Part of the right-hand side that may remain."""

FEWEST = 3
"""Points that make a surface."""

COARSEST = 12
"""Steps per side below which no wider lattice is tried."""


@dataclass(frozen=True)
class Samples:
    """Heights at positions in steps of the lattice: coefficient ``(i, j)`` stands at row ``i`` and column ``j``."""

    rows: Floats
    cols: Floats
    heights: Floats
    weights: Floats

    def coarser(self) -> Samples:
        """The same on a lattice twice as wide, which begins two fine steps earlier."""
        return replace(self, rows=self.rows / 2 + 1, cols=self.cols / 2 + 1)


@dataclass(frozen=True)
class Plate:
    """How stiff the surface is.

    Attributes
    ----------
    smoothing
        Weight of the bending energy, in steps.
    aspect
        Height of a step over its width on the ground.

    """

    smoothing: float
    aspect: float = 1.0

    def coarser(self) -> Plate:
        """The same plate in steps twice as wide."""
        return replace(self, smoothing=self.smoothing / 4)


def fit(samples: Samples, stiffness: Floats, plate: Plate, guess: Floats | None = None) -> Floats:
    """Coefficients of the surface.

    Parameters
    ----------
    samples
        At least 1.5 steps inside of the lattice.
    stiffness
        Factor of the energy for the square between coefficients ``(i, j)`` and ``(i + 1, j + 1)``, shape
        ``(rows - 1, cols - 1)`` of the result; 1 where there is no breakline.
    plate
        How stiff the surface is.
    guess
        Coefficients of a surface that is nearly the same, where there is one: it saves time.

    """
    flat = _Plane.through(samples)
    rest = replace(samples, heights=samples.heights - flat.at(samples.rows, samples.cols))
    shape = stiffness.shape[0] + 1, stiffness.shape[1] + 1
    down, across = np.mgrid[: shape[0], : shape[1]]
    plane = flat.at(down, across)
    if guess is not None:
        return plane + _solved(*_equations(rest, stiffness, plate), guess - plane)
    return plane + _bent(rest, stiffness, plate)


@dataclass(frozen=True)
class _Plane:
    """Height at a middle, which is counted from, and rise per step."""

    middle: tuple[float, float]
    height: float
    rise: tuple[float, float]

    @classmethod
    def through(cls, samples: Samples) -> _Plane:
        """The plane through heights by least squares; as flat as may be where they stand in a line or are few."""
        total = samples.weights.sum()
        row, col, height = (float(v @ samples.weights / total) for v in (samples.rows, samples.cols, samples.heights))
        root = np.sqrt(samples.weights)
        columns = np.column_stack([samples.rows - row, samples.cols - col]) * root[:, None]
        rise = np.linalg.lstsq(columns, (samples.heights - height) * root, rcond=1e-6)[0]
        return cls((row, col), height, (float(rise[0]), float(rise[1])))

    def at(self, rows: NDArray[Any], cols: NDArray[Any]) -> Floats:
        """Heights at positions."""
        heights: Floats = self.height + self.rise[0] * (rows - self.middle[0]) + self.rise[1] * (cols - self.middle[1])
        return heights


def _bent(samples: Samples, stiffness: Floats, plate: Plate) -> Floats:
    """Coefficients for heights above a plane."""
    shape = stiffness.shape[0] + 1, stiffness.shape[1] + 1
    start = np.zeros(shape)
    if min(shape) > COARSEST:
        wide = shape[0] // 2 + 4, shape[1] // 2 + 4
        found = _bent(samples.coarser(), np.ones((wide[0] - 1, wide[1] - 1)), plate.coarser())
        start = refined(found)[2 : 2 + shape[0], 2 : 2 + shape[1]]
    return _solved(*_equations(samples, stiffness, plate), start)


def refined(coefficients: Floats) -> Floats:
    """The same surface on a lattice of half the step that begins at the same place: ``2 n - 1`` per side."""
    return _halved(_halved(coefficients).T).T


def _halved(values: Floats) -> Floats:
    """Rows of a cubic B-spline between which new ones are put; the edge continues straight."""
    before, after = 2 * values[:1] - values[1:2], 2 * values[-1:] - values[-2:-1]
    padded = np.concatenate([before, values, after])
    found = np.empty((2 * values.shape[0] - 1, values.shape[1]))
    found[::2] = (padded[:-2] + 6 * padded[1:-1] + padded[2:]) / 8
    found[1::2] = (values[:-1] + values[1:]) / 2
    return np.ascontiguousarray(found)


@functools.cache
def energy(aspect: float) -> Floats:
    """Bending energy of one square as a matrix between its 4 x 4 coefficients, ``(4, 4, 4, 4)``.

    On a step that is ``aspect`` times as high as wide, and of unit area.
    """
    parts = [_products(degree) for degree in range(3)]
    high = np.sqrt(aspect)  # of a step; its width is one over it
    whole = np.zeros((4, 4, 4, 4))
    for down, across, share in ((2, 0, 1.0), (1, 1, 2.0), (0, 2, 1.0)):
        size = share * high ** (2 * (across - down))
        whole += size * np.einsum("ik,jl->ijkl", parts[down], parts[across])
    return whole


def _products(degree: int) -> Floats:
    """Integrals over a span of the products of derivatives of the four cubic B-splines on it."""
    pieces = [Polynomial(c) / 6 for c in ((1, -3, 3, -1), (4, 0, -6, 3), (1, 3, 3, -3), (0, 0, 0, 1))]
    pieces = [piece.deriv(degree) if degree else piece for piece in pieces]
    found = np.empty((4, 4))
    for i, one in enumerate(pieces):
        for j, other in enumerate(pieces):
            found[i, j] = (one * other).integ()(1.0)
    return found


def _equations(samples: Samples, stiffness: Floats, plate: Plate) -> tuple[Floats, Floats]:
    """Left side as ``(rows, cols, 7, 7)``, what each coefficient has to do with its neighbours, and right side."""
    shape = stiffness.shape[0] + 1, stiffness.shape[1] + 1
    left, right = np.zeros((*shape, 2 * REACH + 1, 2 * REACH + 1)), np.zeros(shape)
    _add_energy(left, stiffness * plate.smoothing, energy(plate.aspect))
    _add_samples(left, right, samples.rows, samples.cols, samples.heights, samples.weights)
    return left, right


@compiled
def _basis(t, weight):
    """The four cubic B-splines at ``t`` of a span, from 0 to 1."""
    s = 1.0 - t
    weight[0] = s * s * s / 6
    weight[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    weight[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
    weight[3] = t * t * t / 6


@compiled
def _add_samples(left, right, rows, cols, heights, weights):
    down, across = np.empty(4), np.empty(4)
    for p in range(rows.size):
        top, first = int(np.floor(rows[p])), int(np.floor(cols[p]))
        _basis(rows[p] - top, down)
        _basis(cols[p] - first, across)
        for i in range(4):
            for j in range(4):
                share = weights[p] * down[i] * across[j]
                right[top - 1 + i, first - 1 + j] += share * heights[p]
                for k in range(4):
                    for m in range(4):
                        left[top - 1 + i, first - 1 + j, k - i + 3, m - j + 3] += share * down[k] * across[m]


@compiled
def _add_energy(left, stiffness, matrix):
    """Energy of every square that has all of its coefficients."""
    rows, cols = stiffness.shape
    for top in range(rows - 2):
        for first in range(cols - 2):
            factor = stiffness[top + 1, first + 1]
            for i in range(4):
                for j in range(4):
                    for k in range(4):
                        for m in range(4):
                            left[top + i, first + j, k - i + 3, m - j + 3] += factor * matrix[i, j, k, m]


@lean
def _times(left, padded, found):
    """Left side times coefficients that have :data:`REACH` zeros around them."""
    rows, cols = found.shape
    for i in range(rows):
        for j in range(cols):
            total = 0.0
            for k in range(7):
                for m in range(7):
                    total += left[i, j, k, m] * padded[i + k, j + m]
            found[i, j] = total


def _solved(left: Floats, right: Floats, start: Floats) -> Floats:
    """Conjugate gradients, every coefficient weighed by its own stiffness (Jacobi)."""
    found, product = start.copy(), np.empty_like(start)
    padded = np.zeros((right.shape[0] + 2 * REACH, right.shape[1] + 2 * REACH))
    step = padded[REACH:-REACH, REACH:-REACH]  # a view
    own = left[:, :, REACH, REACH]
    own = np.where(own > 0, own, 1.0)
    step[...] = found
    _times(left, padded, product)
    rest = right - product
    goal = PRECISION**2 * float(np.sum(right * right / own))
    step[...] = rest / own
    size = float(np.sum(rest * step))
    for _ in range(MOST_ROUNDS):
        if size <= goal:
            break
        _times(left, padded, product)
        share = size / float(np.sum(step * product))
        found += share * step
        rest -= share * product
        before, size = size, float(np.sum(rest * rest / own))
        step *= size / before
        step += rest / own
    return found
