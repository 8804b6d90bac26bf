"""How good a height field is against the truth: errors of elevation, slope and surface normal, and honest coarse DEMs.

Arrays are ``(rows, cols)`` in metres, row 0 in the north; a boolean mask says which cells count. Measures are gathered
block by block in a :class:`Tally`, and tallies of several areas add up, so that a pooled figure is the figure of all
cells together rather than a mean of means. Imports numpy only.

With the error ``e = z - z_true`` over the ``n`` cells that count:

=================  =================================================================================================
RMSE               ``sqrt(sum(e^2) / n)``
MAE                ``sum(|e|) / n``
bias               ``sum(e) / n``; positive where the result is too high
LE90               the linear error that nine tenths of the cells stay within: the 90th percentile of ``|e|``
slope RMSE         ``sqrt(sum((s - s_true)^2) / m)`` in degrees, ``s = atan(sqrt(p^2 + q^2))``, ``p`` and ``q`` by Horn
normal angle       mean angle between ``(-p, -q, 1)`` of the result and of the truth, in degrees
=================  =================================================================================================

Slope and normal count the ``m`` cells whose eight neighbours are known as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LE90_SHARE = 0.9

BIN_EDGES_M = np.concatenate([[0.0], np.logspace(-6, 5, 6001)])
"""Edges of the histogram behind LE90, 0.42 % apart: its relative error stays below that."""


@dataclass(frozen=True)
class Scores:
    """The measures of the module docstring; NaN where no cell counted.

    ``cells`` and ``slope_cells`` are how many cells were compared.
    """

    cells: int
    rmse_m: float
    mae_m: float
    bias_m: float
    le90_m: float
    slope_cells: int
    slope_rmse_deg: float
    normal_angle_deg: float


class Tally:
    """Running sums of errors. Add blocks in any order, add tallies of other areas, then ask for :meth:`scores`."""

    def __init__(self) -> None:
        self.cells, self.slope_cells = 0, 0
        self._square = self._absolute = self._sum = self._slope_square = self._angle = 0.0
        self._histogram = np.zeros(BIN_EDGES_M.size - 1, dtype=np.int64)

    def add(self, found: Floats, truth: Floats, counts: Bools, cell_m: tuple[Floats, Floats]) -> None:
        """Compare a block with the truth.

        Parameters
        ----------
        found, truth
            Heights in metres, ``(R, C)``, both at least 3. The outer ring only serves as neighbours and is not
            counted, so blocks of a larger raster overlap by two cells and give what the whole raster gives.
        counts
            Which cells are compared; heights elsewhere may be anything.
        cell_m
            Width and height of the cells on the ground in metres, per row, each ``(R,)``.

        """
        inner, centre = counts[1:-1, 1:-1], np.s_[1:-1, 1:-1]
        self._add_errors(found[centre][inner] - truth[centre][inner])
        known = whole_neighbourhood(counts)
        self._add_slopes(
            gradient(np.where(counts, found, 0.0), cell_m), gradient(np.where(counts, truth, 0.0), cell_m), known
        )

    def merge(self, other: Tally) -> None:
        """Take in the sums of another tally."""
        self.cells += other.cells
        self.slope_cells += other.slope_cells
        self._square += other._square
        self._absolute += other._absolute
        self._sum += other._sum
        self._slope_square += other._slope_square
        self._angle += other._angle
        self._histogram += other._histogram

    def scores(self) -> Scores:
        """All measures of what was added."""
        n, m = self.cells or np.nan, self.slope_cells or np.nan
        return Scores(
            cells=self.cells,
            rmse_m=float(np.sqrt(self._square / n)),
            mae_m=float(self._absolute / n),
            bias_m=float(self._sum / n),
            le90_m=self._quantile(LE90_SHARE),
            slope_cells=self.slope_cells,
            slope_rmse_deg=float(np.sqrt(self._slope_square / m)),
            normal_angle_deg=float(self._angle / m),
        )

    def _add_errors(self, errors: Floats) -> None:
        size = np.abs(errors)
        self.cells += errors.size
        self._square += float(np.sum(errors**2))
        self._absolute += float(np.sum(size))
        self._sum += float(np.sum(errors))
        bins = np.searchsorted(BIN_EDGES_M, size, side="right") - 1
        self._histogram += np.bincount(np.minimum(bins, self._histogram.size - 1), minlength=self._histogram.size)

    def _add_slopes(self, found: tuple[Floats, Floats], truth: tuple[Floats, Floats], known: Bools) -> None:
        self.slope_cells += int(np.count_nonzero(known))
        difference = slope_deg(*found)[known] - slope_deg(*truth)[known]
        self._slope_square += float(np.sum(difference**2))
        self._angle += float(np.sum(normal_angle_deg(found, truth)[known]))

    def _quantile(self, share: float) -> float:
        """The size of error that ``share`` of the cells stay within, linear inside its bin."""
        if self.cells == 0:
            return float("nan")
        below = np.concatenate([[0], np.cumsum(self._histogram)])
        return float(np.interp(share * self.cells, below, BIN_EDGES_M))


def gradient(heights: Floats, cell_m: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Rise to the east and to the north per metre, after Horn (1981), of all cells but the outer ring.

    ``p = ((NE + 2 E + SE) - (NW + 2 W + SW)) / 8 width`` and ``q = ((NW + 2 N + NE) - (SW + 2 S + SE)) / 8 height``
    with the width and height on the ground of the middle row; the formula of ``gdaldem slope``.

    Parameters
    ----------
    heights
        Metres, ``(R, C)``.
    cell_m
        Width and height of the cells in metres, per row, each ``(R,)``.

    Returns
    -------
    p, q
        Each ``(R - 2, C - 2)``, without unit.

    """
    width_m, height_m = (size[1:-1, None] for size in cell_m)
    down = heights[:-2] + 2 * heights[1:-1] + heights[2:]  # (R - 2, C)
    across = heights[:, :-2] + 2 * heights[:, 1:-1] + heights[:, 2:]  # (R, C - 2)
    return (down[:, 2:] - down[:, :-2]) / (8 * width_m), (across[:-2] - across[2:]) / (8 * height_m)


def slope_deg(p: Floats, q: Floats) -> Floats:
    """Steepest slope in degrees, 0 to 90, of the gradient ``(p, q)``."""
    steepness: Floats = np.degrees(np.arctan(np.hypot(p, q)))
    return steepness


def normal_angle_deg(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Angle in degrees between the normals ``(-p, -q, 1)`` of two gradients; exact for tiny angles too."""
    (p, q), (a, b) = one, other
    cross = np.sqrt((p - a) ** 2 + (q - b) ** 2 + (p * b - q * a) ** 2)
    angle: Floats = np.degrees(np.arctan2(cross, 1 + p * a + q * b))
    return angle


def whole_neighbourhood(counts: Bools) -> Bools:
    """Where a cell and its eight neighbours count, without the outer ring: ``(R - 2, C - 2)``."""
    down = counts[:-2] & counts[1:-1] & counts[2:]
    return down[:, :-2] & down[:, 1:-1] & down[:, 2:]


def cell_average(heights: Floats, valid: Bools, scale: float) -> tuple[Floats, Bools]:
    """A coarse DEM from a fine one: each coarse cell is the mean of the ground that it covers.

    Coarse cell ``i`` covers fine positions ``i * scale`` to ``(i + 1) * scale``; a fine cell that is cut by its border
    counts with the share inside. Only whole coarse cells are made. A coarse cell is valid where all fine cells that it
    touches are; elsewhere its height is 0.

    Parameters
    ----------
    heights, valid
        Metres and validity, ``(R, C)``.
    scale
        Any real number from 1.

    Returns
    -------
    coarse, coarse_valid
        Both ``(floor(R / scale), floor(C / scale))``.

    """
    voids = _average(_average((~valid).astype(np.float64), scale).T, scale).T
    coarse = _average(_average(np.where(valid, heights, 0.0), scale).T, scale).T
    coarse_valid = voids < 1e-9
    return np.where(coarse_valid, coarse, 0.0), coarse_valid


def _average(values: Floats, scale: float) -> Floats:
    """Means over pieces of ``scale`` rows: differences of the running integral at their edges."""
    reference = values.mean()
    integral = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values - reference, axis=0)])
    edges = np.arange(int(values.shape[0] / scale + 1e-9) + 1) * scale
    first = np.minimum(edges.astype(np.int64), values.shape[0] - 1)
    inside = (edges - first)[:, None]
    at_edges = integral[first] * (1 - inside) + integral[first + 1] * inside
    means: Floats = np.diff(at_edges, axis=0) / scale + reference
    return means
