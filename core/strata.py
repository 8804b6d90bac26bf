"""Errors in classes of another number, such as slope, relief or distance: where is a result good, and where not.

Also how often a stated band of uncertainty holds the truth. Imports numpy and :mod:`.quality`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .quality import BIN_EDGES_M, LE90_SHARE, Bools, Counts, Floats, bins_of, quantile

SLOPE_EDGES_DEG = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 90.0)
RELIEF_EDGES_M = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 10_000.0)
DISTANCE_EDGES_PX = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

RELIEF_PX = 16
"""Side of the patches whose standard deviation is their local relief (Yao 2024, fig. 3.12)."""


@dataclass(frozen=True)
class Stratum:
    """Errors of the cells whose number lies from ``low`` to below ``high``; NaN where there are none.

    ``coverage`` is the share of cells whose error stays within the stated band, ``band`` the mean of its half width;
    both NaN where no band was given. The unit of errors and band is that of what was added.
    """

    low: float
    high: float
    cells: int
    rmse: float
    mae: float
    bias: float
    le90: float
    coverage: float
    band: float


class Strata:
    """Running sums of errors per class. Add blocks and other strata of the same edges, then ask for :meth:`rows`."""

    def __init__(self, edges: Sequence[float]) -> None:
        """Make a class between each two ``edges``, which rise; numbers beyond the last belong to the last class."""
        self.edges = np.asarray(edges, dtype=np.float64)
        classes = self.edges.size - 1
        self._cells, self._covered = np.zeros((2, classes), dtype=np.int64)
        self._banded = np.zeros(classes, dtype=np.int64)
        self._square, self._absolute, self._sum, self._band = np.zeros((4, classes))
        self._histogram = np.zeros((classes, BIN_EDGES_M.size - 1), dtype=np.int64)

    def add(self, numbers: Floats, errors: Floats, band: Floats | None = None, bins: Counts | None = None) -> None:
        """Take in errors and the numbers that class them, all of one shape.

        Parameters
        ----------
        numbers
            What the classes are made of; NaN is left out.
        errors
            Signed errors.
        band
            Half width of the 90 % band in the unit of the errors; NaN where unknown.
        bins
            What :func:`.bins_of` says of the sizes of the errors, where that is known already.

        """
        counts = np.isfinite(numbers)
        errors = errors[counts]
        where = self._classes(numbers[counts])
        self._cells += self._summed(where)
        self._square += self._summed(where, errors**2)
        self._absolute += self._summed(where, np.abs(errors))
        self._sum += self._summed(where, errors)
        joint = where * (BIN_EDGES_M.size - 1) + (bins_of(np.abs(errors)) if bins is None else bins[counts])
        self._histogram += np.bincount(joint, minlength=self._histogram.size).reshape(self._histogram.shape)
        if band is not None:
            self._add_band(where, errors, band[counts])

    def merge(self, other: Strata) -> None:
        """Take in the sums of other strata with the same edges."""
        if not np.array_equal(self.edges, other.edges):
            raise ValueError(f"Strata with the edges {other.edges} cannot be added to some with {self.edges}.")
        for name, value in vars(other).items():
            if name != "edges":
                setattr(self, name, getattr(self, name) + value)

    def rows(self) -> list[Stratum]:
        """One row per class, the empty ones included."""
        return [self._row(slice(at, at + 1)) for at in range(self.edges.size - 1)]

    def pooled(self) -> Stratum:
        """All classes together."""
        return self._row(slice(None))

    def _add_band(self, where: Counts, errors: Floats, band: Floats) -> None:
        known = np.isfinite(band)
        where, errors, band = where[known], errors[known], band[known]
        held: Bools = np.abs(errors) <= band
        self._banded += self._summed(where)
        self._covered += self._summed(where[held])
        self._band += self._summed(where, band)

    def _classes(self, numbers: Floats) -> Counts:
        where = np.searchsorted(self.edges, numbers, side="right") - 1
        return where.clip(0, self.edges.size - 2).astype(np.int64)

    def _summed(self, where: Counts, values: Floats | None = None) -> np.ndarray:
        return np.bincount(where, values, minlength=self.edges.size - 1)

    def _row(self, part: slice) -> Stratum:
        cells, banded = int(self._cells[part].sum()), int(self._banded[part].sum())
        n, b = cells or np.nan, banded or np.nan
        return Stratum(
            low=float(self.edges[:-1][part][0]),
            high=float(self.edges[1:][part][-1]),
            cells=cells,
            rmse=float(np.sqrt(self._square[part].sum() / n)),
            mae=float(self._absolute[part].sum() / n),
            bias=float(self._sum[part].sum() / n),
            le90=quantile(self._histogram[part].sum(axis=0), LE90_SHARE),
            coverage=float(self._covered[part].sum() / b),
            band=float(self._band[part].sum() / b),
        )


def local_relief_m(heights: Floats, counts: Bools) -> Floats:
    """Standard deviation of the patch of :data:`RELIEF_PX` cells that each cell lies in, in metres.

    Patches are counted from the first row and column. NaN in patches that stick out, or where fewer than half of the
    cells count.
    """
    rows, cols = (size // RELIEF_PX for size in heights.shape)
    shape = (rows, RELIEF_PX, cols, RELIEF_PX)
    part = np.s_[: rows * RELIEF_PX, : cols * RELIEF_PX]
    known = counts[part].reshape(shape)
    number = known.sum(axis=(1, 3), keepdims=True)
    values = np.where(known, heights[part].reshape(shape), 0.0)
    mean = values.sum(axis=(1, 3), keepdims=True) / np.maximum(number, 1)
    square = (np.where(known, values - mean, 0.0) ** 2).sum(axis=(1, 3)) / np.maximum(number, 1)[:, 0, :, 0]
    relief = np.where(number[:, 0, :, 0] * 2 >= RELIEF_PX**2, np.sqrt(square), np.nan)
    whole = np.full(heights.shape, np.nan)
    whole[part] = relief.repeat(RELIEF_PX, axis=0).repeat(RELIEF_PX, axis=1)
    return whole
