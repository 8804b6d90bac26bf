"""What a model's own estimate of its error has to be multiplied by, so that a band holds nine tenths of the truth.

Split-conformal calibration (Vovk et al. 2005; Lei et al. 2018) by strata: on held-back ground the error is divided by
the estimate, and the 90th percentile of that ratio is the factor of the stratum. Strata are classes of slope and scale,
and filled voids. Between the middles of the classes factors are interpolated, so that the band has no steps.
Imports torch and numpy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TerrainError
from .card import Card
from .kernels import Floats

COVERAGE = 0.9
FEWEST = 2000
"""Positions that a stratum needs for a factor of its own."""

SLOPE_EDGES_DEG = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 90.0)


@dataclass(frozen=True)
class Calibration:
    """Factors by scale and slope.

    Attributes
    ----------
    scales
        Ascending scales of the rows of ``factors``.
    slopes_deg
        Ascending middles of the slope classes, the columns of ``factors``.
    factors
        Multipliers of the estimated error on known ground.
    filled
        One multiplier per scale for filled voids.

    """

    scales: tuple[float, ...]
    slopes_deg: tuple[float, ...]
    factors: tuple[tuple[float, ...], ...]
    filled: tuple[float, ...]

    def multiplier(self, slope_deg: torch.Tensor, scale: float, filled: torch.Tensor) -> torch.Tensor:
        """Multipliers of the shape of ``slope_deg``, linear in slope and in the logarithm of the scale."""
        at = np.interp(np.log2(scale), np.log2(self.scales), np.arange(len(self.scales)))
        low = min(int(at), len(self.scales) - 2)
        share = float(at) - low
        row = (1 - share) * np.array(self.factors[low]) + share * np.array(self.factors[low + 1])
        void = (1 - share) * self.filled[low] + share * self.filled[low + 1]
        return torch.where(filled, void, _interpolated(slope_deg, np.array(self.slopes_deg), row))

    def values(self) -> dict:
        """Plain values for a card."""
        return {"coverage": COVERAGE, **asdict(self)}


def read(card: Card) -> Calibration | None:
    """The calibration on a card, or None where it has none."""
    values = dict(card.calibration)
    if not values:
        return None
    values.pop("coverage", None)
    try:
        found = Calibration(**{name: _tuples(value) for name, value in values.items()})
        shape = np.shape(found.factors)
        if shape != (len(found.scales), len(found.slopes_deg)) or len(found.filled) != len(found.scales):
            raise ValueError(f"factors of shape {shape}")
        return found
    except (TypeError, ValueError) as error:
        raise TerrainError(f"The calibration of model {card.name} is damaged; install the model again.") from error


def quantile(ratios: Floats) -> float:
    """The conformal quantile: the smallest ratio that holds :data:`COVERAGE` of ``n + 1`` exchangeable ones."""
    rank = int(np.ceil(COVERAGE * (ratios.size + 1))) - 1
    return float(np.partition(ratios, min(rank, ratios.size - 1))[min(rank, ratios.size - 1)])


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def _interpolated(positions: torch.Tensor, at: Floats, values: Floats) -> torch.Tensor:
    """Piecewise linear interpolation, constant beyond the ends."""
    rises = np.diff(values) / np.diff(at)
    total = torch.full_like(positions, float(values[0] - rises @ at[:-1]))
    for low, high, rise in zip(at[:-1], at[1:], rises, strict=True):
        total.add_(positions.clamp(float(low), float(high)), alpha=float(rise))
    return total


class Ratios:
    """Errors of a model in units of its own estimate, gathered by stratum on held-back ground."""

    def __init__(self, scales: tuple[float, ...]) -> None:
        self.scales = scales
        classes = len(SLOPE_EDGES_DEG) - 1
        self._known: list[list[list[Floats]]] = [[[] for _ in range(classes)] for _ in scales]
        self._filled: list[list[Floats]] = [[] for _ in scales]
        self._slopes: list[list[Floats]] = [[] for _ in range(classes)]

    def add(self, scale: float, ratio: Floats, slope_deg: Floats, filled: NDArray[np.bool_]) -> None:
        """Take in positions of one region at one of the scales; all arrays have one shape."""
        row = self.scales.index(scale)
        self._filled[row].append(ratio[filled])
        for column, (low, high) in enumerate(pairwise(SLOPE_EDGES_DEG)):
            inside = ~filled & (slope_deg >= low) & (slope_deg < high)
            self._known[row][column].append(ratio[inside])
            self._slopes[column].append(slope_deg[inside])

    def calibration(self) -> Calibration:
        """The factors; a class with few positions takes those of its scale as a whole."""
        middles = [
            float(np.median(s)) if (s := np.concatenate(column)).size else (low + high) / 2
            for column, (low, high) in zip(self._slopes, pairwise(SLOPE_EDGES_DEG), strict=True)
        ]
        factors, filled = [], []
        for known, void in zip(self._known, self._filled, strict=True):
            whole = quantile(np.concatenate([r for column in known for r in column]))
            classes = [np.concatenate(column) for column in known]
            factors.append(tuple(quantile(c) if c.size >= FEWEST else whole for c in classes))
            voids = np.concatenate(void)
            filled.append(max(whole, quantile(voids)) if voids.size >= FEWEST else 2 * whole)
        return Calibration(self.scales, tuple(middles), tuple(factors), tuple(filled))
