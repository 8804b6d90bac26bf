"""Distances between two sets of windows, each a table of figures: windows by features, not a number where unknown.

Imports numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

QUANTILES = 400
ALIKE = 1e-9
"""Figures that differ by less are the same; a distance cannot be told in units of such a spread."""
FEWEST = 3
"""Fewer windows than this have no distribution."""


def w1_over_sd(real: Floats, other: Floats) -> Floats:
    """1-Wasserstein distance of each feature's marginal over the standard deviation of ``real``, ``(features,)``.

    Not a number where a feature is known in fewer than three windows, or is the same in all of ``real``.
    """
    return np.array([_marginal(a, b) for a, b in zip(real.T, other.T, strict=True)], np.float64)


def _marginal(real: Floats, other: Floats) -> float:
    a, b = real[np.isfinite(real)], other[np.isfinite(other)]
    if len(a) < FEWEST or len(b) < FEWEST or a.std() <= ALIKE:
        return float("nan")
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return float(np.abs(np.quantile(a, at) - np.quantile(b, at)).mean() / a.std())


def frechet(real: Floats, other: Floats) -> float:
    """Frechet distance (Dowson and Landau 1982) of normal fits, on features standardised by ``real``.

    Unknown figures take the mean of ``real``. Features that are unknown in all windows of either, or the same in all of
    ``real``, are left out, as in :func:`w1_over_sd`. Not a number for fewer than three windows.
    """
    if min(len(real), len(other)) < FEWEST:
        return float("nan")
    known = np.asarray(np.isfinite(real).any(axis=0) & np.isfinite(other).any(axis=0))
    known[known] = np.nanstd(real[:, known], axis=0) > ALIKE
    if not known.any():
        return float("nan")
    middle, spread = np.nanmean(real[:, known], axis=0), np.nanstd(real[:, known], axis=0)
    a, b = (np.nan_to_num((values[:, known] - middle) / spread) for values in (real, other))
    one, two = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    moved = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum())
    return moved + float(np.trace(one + two)) - 2 * _trace_of_root(one, two)


def _trace_of_root(one: Floats, two: Floats) -> float:
    """Trace of the square root of a product of covariances, singular ones too: by the symmetric form of it."""
    size, along = np.linalg.eigh(one)
    half = along * np.sqrt(np.maximum(size, 0.0)) @ along.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(half @ two @ half), 0.0)).sum())
