"""How good a height field is against the truth: errors of elevation, slope, aspect, normal and curvature.

Arrays are ``(rows, cols)`` in metres, row 0 in the north; a boolean mask says which cells count. Measures are gathered
block by block in a :class:`Tally`, and tallies of several areas add up, so that a pooled figure is the figure of all
cells together rather than a mean of means. :mod:`.evaluation` gathers these and all others at once. Imports
numpy and :mod:`.attributes`.

With the error ``e = z - z_true`` over the ``n`` cells that count:

=================  =================================================================================================
RMSE               ``sqrt(sum(e^2) / n)``
MAE                ``sum(|e|) / n``
bias               ``sum(e) / n``; positive where the result is too high
LE90               the linear error that nine tenths of the cells stay within: the 90th percentile of ``|e|``
slope RMSE         ``sqrt(sum((s - s_true)^2) / m)`` in degrees, ``s = atan(sqrt(p^2 + q^2))``, ``p`` and ``q`` by Horn
normal angle       mean angle between ``(-p, -q, 1)`` of the result and of the truth, in degrees
aspect RMSE, MAE   of the angle between the directions of descent, the short way round, in degrees
curvature RMSE     of profile curvature in radians per 100 m
=================  =================================================================================================

Slope and normal count the ``m`` cells whose eight neighbours are known as well; aspect and profile curvature those of
them where the true slope is above :data:`STEEP_DEG`, since both mean nothing on flat ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import attributes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Pair = tuple[Floats, Floats]

LE90_SHARE = 0.9

STEEP_DEG = 2.0
"""True slope above which aspect and profile curvature are compared."""

UNDEFINED_ASPECT_DEG = 90.0
"""What an exactly flat result on sloping ground counts as: the mean angle between random directions."""

BINS_FROM, BINS_TO, BINS = -6, 5, 6000
BIN_EDGES_M = np.concatenate([[0.0], np.logspace(BINS_FROM, BINS_TO, BINS + 1)])
"""Edges of the histogram behind LE90, 0.42 % apart: its relative error stays below that."""


@dataclass(frozen=True)
class Scores:
    """The measures of the module docstring; NaN where no cell counted.

    ``cells``, ``slope_cells`` and ``aspect_cells`` are how many cells were compared.
    """

    cells: int
    rmse_m: float
    mae_m: float
    bias_m: float
    le90_m: float
    slope_cells: int
    slope_rmse_deg: float
    normal_angle_deg: float
    aspect_cells: int = 0
    aspect_rmse_deg: float = float("nan")
    aspect_mae_deg: float = float("nan")
    curvature_rmse_per_100m: float = float("nan")


class Block:
    """Heights of one block beside the true ones, and what measures derive from them, each computed when first asked.

    Everything derived has the shape ``(R - 2, C - 2)``: the outer ring only serves as neighbours and is not counted, so
    blocks of a larger raster overlap by two cells and give what the whole raster gives.
    """

    def __init__(self, found: Floats, truth: Floats, counts: Bools, cell_m: Pair) -> None:
        """Keep heights in metres and which of them are compared; heights elsewhere may be anything.

        Parameters
        ----------
        found, truth
            Heights in metres, ``(R, C)``, both at least 3.
        counts
            Which cells are compared.
        cell_m
            Width and height of the cells on the ground in metres, per row, each ``(R,)``.

        """
        self.found, self.truth = np.where(counts, found, 0.0), np.where(counts, truth, 0.0)
        self.counts, self.cell_m = counts, cell_m

    @cached_property
    def inner(self) -> Bools:
        """Which cells are compared."""
        return self.counts[1:-1, 1:-1]

    @cached_property
    def known(self) -> Bools:
        """Which of them have eight neighbours that count."""
        return whole_neighbourhood(self.counts)

    @cached_property
    def errors(self) -> Floats:
        """Result minus truth in metres; 0 where not compared."""
        errors: Floats = (self.found - self.truth)[1:-1, 1:-1]
        return errors

    @cached_property
    def bins(self) -> Counts:
        """Numbers of the bins that hold the sizes of the errors, see :func:`bins_of`."""
        return bins_of(np.abs(self.errors))

    @cached_property
    def gradients(self) -> tuple[Pair, Pair]:
        """Gradient of the result and of the truth."""
        return gradient(self.found, self.cell_m), gradient(self.truth, self.cell_m)

    @cached_property
    def slopes_deg(self) -> Pair:
        """Slope of the result and of the truth."""
        found, truth = self.gradients
        return attributes.slope_deg(*found), attributes.slope_deg(*truth)

    @cached_property
    def steep(self) -> Bools:
        """Known cells where aspect and profile curvature are compared."""
        steep: Bools = self.known & (self.slopes_deg[1] > STEEP_DEG)
        return steep


class Tally:
    """Running sums of errors. Add blocks in any order, add tallies of other areas, then ask for :meth:`scores`."""

    def __init__(self) -> None:
        self.cells = self.slope_cells = self.aspect_cells = 0
        self._square = self._absolute = self._sum = self._slope_square = self._angle = 0.0
        self._aspect_square = self._aspect_absolute = self._curvature_square = 0.0
        self._histogram = np.zeros((2, BIN_EDGES_M.size - 1), dtype=np.int64)  # result too low, too high

    def add(self, found: Floats, truth: Floats, counts: Bools, cell_m: Pair) -> None:
        """Compare a block with the truth; the parameters are those of :class:`Block`."""
        self.add_block(Block(found, truth, counts, cell_m))

    def add_block(self, block: Block) -> None:
        """Take in a block."""
        self._add_errors(block.errors[block.inner], block.bins[block.inner])
        self._add_slopes(block)
        self._add_aspects(block)

    def merge(self, other: Tally) -> None:
        """Take in the sums of another tally."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def scores(self) -> Scores:
        """All measures of what was added."""
        n, m, k = self.cells or np.nan, self.slope_cells or np.nan, self.aspect_cells or np.nan
        return Scores(
            cells=self.cells,
            rmse_m=float(np.sqrt(self._square / n)),
            mae_m=float(self._absolute / n),
            bias_m=float(self._sum / n),
            le90_m=quantile(self._histogram.sum(axis=0), LE90_SHARE),
            slope_cells=self.slope_cells,
            slope_rmse_deg=float(np.sqrt(self._slope_square / m)),
            normal_angle_deg=float(self._angle / m),
            aspect_cells=self.aspect_cells,
            aspect_rmse_deg=float(np.sqrt(self._aspect_square / k)),
            aspect_mae_deg=float(self._aspect_absolute / k),
            curvature_rmse_per_100m=float(np.sqrt(self._curvature_square / k)),
        )

    def error_shares(self, edges_m: Floats) -> Floats:
        """Share of the cells whose signed error lies between each two ``edges_m``, which rise."""
        low, high = self._histogram
        sizes = np.concatenate([-BIN_EDGES_M[:0:-1], BIN_EDGES_M])
        below = np.concatenate([[0], np.cumsum(np.concatenate([low[::-1], high]))])
        shares: Floats = np.diff(np.interp(edges_m, sizes, below)) / max(self.cells, 1)
        return shares

    def _add_errors(self, errors: Floats, bins: Counts) -> None:
        size = np.abs(errors)
        self.cells += errors.size
        self._square += float(np.sum(errors**2))
        self._absolute += float(np.sum(size))
        self._sum += float(np.sum(errors))
        for side, part in enumerate((bins[errors < 0], bins[errors >= 0])):
            self._histogram[side] += np.bincount(part, minlength=BIN_EDGES_M.size - 1)

    def _add_slopes(self, block: Block) -> None:
        self.slope_cells += int(np.count_nonzero(block.known))
        difference = (block.slopes_deg[0] - block.slopes_deg[1])[block.known]
        self._slope_square += float(np.sum(difference**2))
        self._angle += float(np.sum(normal_angle_deg(*block.gradients)[block.known]))

    def _add_aspects(self, block: Block) -> None:
        self.aspect_cells += int(np.count_nonzero(block.steep))
        turned = aspect_difference_deg(*block.gradients)[block.steep]
        self._aspect_square += float(np.sum(turned**2))
        self._aspect_absolute += float(np.sum(np.abs(turned)))
        pairs = zip((block.found, block.truth), block.gradients, strict=True)
        bent = [profile_curvature(heights, block.cell_m, slope)[block.steep] for heights, slope in pairs]
        self._curvature_square += float(np.sum((100 * (bent[0] - bent[1])) ** 2))


def bins_of(sizes: Floats) -> Counts:
    """Numbers of the bins of :data:`BIN_EDGES_M` that hold ``sizes`` of errors.

    The logarithm finds a bin or the one beside it, comparing with its edges the right one: what a search finds, in a
    quarter of its time.
    """
    low, high = 0.1 * BIN_EDGES_M[1], 10 * BIN_EDGES_M[-1]
    steps = (np.log10(np.clip(sizes, low, high)) - BINS_FROM) * (BINS / (BINS_TO - BINS_FROM))
    bins: Counts = np.clip(np.floor(steps).astype(np.int64) + 1, 0, BINS)
    bins -= sizes < BIN_EDGES_M[bins]
    bins += (sizes >= BIN_EDGES_M[bins + 1]) & (bins < BINS)
    return bins


def quantile(histogram: Counts, share: float) -> float:
    """The size of error that ``share`` of the cells stay within, linear inside its bin; NaN without cells."""
    cells = int(histogram.sum())
    if cells == 0:
        return float("nan")
    below = np.concatenate([[0], np.cumsum(histogram)])
    return float(np.interp(share * cells, below, BIN_EDGES_M))


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


def normal_angle_deg(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Angle in degrees between the normals ``(-p, -q, 1)`` of two gradients; exact for tiny angles too."""
    (p, q), (a, b) = one, other
    cross = np.sqrt((p - a) ** 2 + (q - b) ** 2 + (p * b - q * a) ** 2)
    angle: Floats = np.degrees(np.arctan2(cross, 1 + p * a + q * b))
    return angle


def aspect_difference_deg(one: Pair, other: Pair) -> Floats:
    """Angle from the direction of descent of ``other`` to that of ``one``, -180 to 180 degrees, the short way round.

    Where ``one`` is exactly flat it has no direction and counts as :data:`UNDEFINED_ASPECT_DEG`.
    """
    (p, q), (a, b) = one, other
    turned: Floats = np.degrees(np.arctan2(p * b - q * a, p * a + q * b))
    return np.where((p == 0) & (q == 0), UNDEFINED_ASPECT_DEG, turned)


def profile_curvature(heights: Floats, cell_m: Pair, slope: Pair | None = None) -> Floats:
    """Curvature of the surface along its line of fall in radians per metre: positive where convex, 0 where flat.

    :func:`.attributes.profile_curvature` with ``p`` and ``q`` by Horn and the second derivatives ``r`` (east), ``t``
    (north), ``s`` (mixed) of Evans' quadratic over 3 x 3 cells.
    Shapes are those of :func:`gradient`, whose result may be given as ``slope``.
    """
    width_m, height_m = (size[1:-1, None] for size in cell_m)
    p, q = gradient(heights, cell_m) if slope is None else slope
    down = heights[:-2] + heights[1:-1] + heights[2:]
    across = heights[:, :-2] + heights[:, 1:-1] + heights[:, 2:]
    r = (down[:, 2:] - 2 * down[:, 1:-1] + down[:, :-2]) / (3 * width_m**2)
    t = (across[2:] - 2 * across[1:-1] + across[:-2]) / (3 * height_m**2)
    s = (heights[:-2, 2:] - heights[:-2, :-2] - heights[2:, 2:] + heights[2:, :-2]) / (4 * width_m * height_m)
    return np.nan_to_num(attributes.profile_curvature(p, q, r, s, t))


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
