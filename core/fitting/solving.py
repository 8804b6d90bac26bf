"""The surface of one window of the lattice from the points in it, and how smooth it should be.

How smooth is a question of noise: the smoothing is that which predicts points best that were left out, in a few windows
spread over the area. Imports numpy and :mod:`.spline`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..elevation.scattered import bspline_at
from ..progress import Progress
from ..raster import Floats
from ..tiling import Window
from . import spline
from .lattice import Lattice, Scattering
from .spline import Plate, Samples

SMOOTHINGS = tuple(10.0**power for power in (-3, -2, -1, 0, 1, 2))
"""Weights of the bending energy that are tried first; then those between the best and its neighbours."""

SAMPLED = 4
"""Windows in which smoothings are tried."""

SAMPLE_PX = 96
"""Side of these windows."""

LEFT_OUT = 5
"""Every so many points are left out there."""

BREAK_STIFFNESS = 1e-3
"""Bending energy of squares under a breakline and beside it, those elsewhere being 1.

A cubic B-spline cannot bend in one square alone.
"""

EDGE_PX = 2.0
"""Points nearer to the edge of a window than this are not used: a part of their coefficients lies outside."""


@dataclass(frozen=True)
class Solver:
    """What is the same for all windows: the points, how stiff the surface is, and where it may break.

    ``breaks`` are places along breaklines in cells, ``(N, 2)``.
    """

    points: Scattering
    smoothing: float
    breaks: Floats

    @property
    def lattice(self) -> Lattice:
        """The cells."""
        return self.points.lattice

    def usable(self, window: Window) -> NDArray[np.int64]:
        """Numbers of the points that may be used in a window: good ones, not too near to its edge."""
        numbers = self.points.near(window)
        rows, cols = self.points.rows[numbers], self.points.cols[numbers]
        inside = (rows >= window.row + EDGE_PX) & (rows <= window.row_stop - EDGE_PX)
        inside &= (cols >= window.col + EDGE_PX) & (cols <= window.col_stop - EDGE_PX)
        return numbers[inside & self.points.good[numbers]]

    def fit(self, window: Window, numbers: NDArray[np.int64], guess: Floats | None = None) -> Floats:
        """Coefficients of the cells of a window from these points; ``guess`` as in :func:`.spline.fit`."""
        points = self.points
        samples = Samples(
            points.rows[numbers] - window.row - 0.5, points.cols[numbers] - window.col - 0.5,
            points.heights[numbers], np.ones(numbers.size),
        )  # fmt: skip
        plate = Plate(self.smoothing, self.lattice.aspect)
        return spline.fit(samples, self._stiffness(window), plate, guess)

    def at(self, window: Window, coefficients: Floats, numbers: NDArray[np.int64]) -> Floats:
        """The surface of a window at points."""
        rows, cols = self.points.rows[numbers] - window.row, self.points.cols[numbers] - window.col
        return bspline_at(coefficients, rows, cols)

    def _stiffness(self, window: Window) -> Floats:
        """1, and less in the squares under a breakline."""
        factor = np.ones((window.rows - 1, window.cols - 1))
        rows = np.floor(self.breaks[:, 0] - 0.5).astype(np.int64) - window.row
        cols = np.floor(self.breaks[:, 1] - 0.5).astype(np.int64) - window.col
        inside = (rows > 0) & (rows < window.rows - 2) & (cols > 0) & (cols < window.cols - 2)
        for down, across in np.ndindex(3, 3):
            factor[rows[inside] + down - 1, cols[inside] + across - 1] = BREAK_STIFFNESS
        return factor


def choose_smoothing(solver: Solver, candidates: NDArray[np.int64], progress: Progress) -> float:
    """The smoothing with the smallest mean error at points left out; ``candidates`` are those that may be used."""
    windows = _samples(solver)
    parts = [_halves(solver, window, candidates) for window in windows]
    found: dict[float, float] = {}

    def error(smoothing: float) -> float:
        if smoothing not in found:
            progress.check()
            trial = replace(solver, smoothing=smoothing)
            errors = [_errors(trial, window, *part) for window, part in zip(windows, parts, strict=True)]
            found[smoothing] = float(np.mean(np.concatenate(errors)))
            progress.report(len(found) / (len(SMOOTHINGS) + 2), "Choosing how smooth the surface is")
        return found[smoothing]

    best = min(SMOOTHINGS, key=error)
    return min((best, best * math.sqrt(10), best / math.sqrt(10)), key=error)


def _samples(solver: Solver) -> list[Window]:
    """Windows in the tiles with many points, spread over the area."""
    tiles, first = solver.lattice.tiles, solver.points.first
    counts = np.diff(first)
    rich = np.flatnonzero(counts >= np.median(counts[counts > 0]))
    chosen = rich[np.unique(np.linspace(0, rich.size - 1, min(SAMPLED, rich.size)).round().astype(int))]
    return [_around(solver, tiles.tile(int(index)).write, int(index)) for index in chosen]


def _around(solver: Solver, tile: Window, index: int) -> Window:
    """A window around the middle one of a tile's points."""
    numbers = solver.points.in_tile(index)
    row, col = (int(np.median(at[numbers])) for at in (solver.points.rows, solver.points.cols))
    half = SAMPLE_PX // 2
    return Window(row - half, col - half, SAMPLE_PX, SAMPLE_PX)


Halves = tuple[NDArray[np.int64], NDArray[np.int64]]


def _halves(solver: Solver, window: Window, candidates: NDArray[np.int64]) -> Halves:
    """Points that the surface of a window is fitted to, and those that judge it."""
    numbers = np.intersect1d(solver.usable(window), candidates, assume_unique=True)
    given, out = np.flatnonzero(~solver.points.made[numbers]), np.zeros(numbers.size, dtype=bool)
    out[given[np.random.default_rng(0).permutation(given.size)[::LEFT_OUT]]] = True
    return numbers[~out], numbers[out]


def _errors(solver: Solver, window: Window, *halves: NDArray[np.int64]) -> Floats:
    """Absolute errors at the points left out; absolute ones, since bad points may still be among them."""
    used, left_out = halves
    if used.size < spline.FEWEST or left_out.size == 0:
        return np.zeros(1)
    found = solver.at(window, solver.fit(window, used), left_out)
    errors: Floats = np.abs(found - solver.points.heights[left_out])
    return errors


def mean_over_cells(coefficients: Floats) -> Floats:
    """Averages of the surface over its cells, two cells fewer on each side."""
    taps = np.array([1.0, 76.0, 230.0, 76.0, 1.0]) / 384  # integrals of the B-spline over cells
    rows, cols = coefficients.shape[0] - 4, coefficients.shape[1] - 4
    down = sum(
        (tap * coefficients[k : k + rows] for k, tap in enumerate(taps)), np.zeros((rows, coefficients.shape[1]))
    )
    return sum((tap * down[:, k : k + cols] for k, tap in enumerate(taps)), np.zeros((rows, cols)))
