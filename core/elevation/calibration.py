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
"""Positions that a scale or a stratum needs for factors of its own."""

Singles = NDArray[np.float32]
NONE: Singles = np.zeros(0, dtype=np.float32)

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


def quantile(ratios: Floats | Singles) -> float:
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
    """Errors of a model in units of its own estimate, gathered by stratum on held-back ground; kept in float32."""

    def __init__(self, scales: tuple[float, ...]) -> None:
        self.scales = scales
        classes = len(SLOPE_EDGES_DEG) - 1
        self._known: list[list[list[Singles]]] = [[[NONE] for _ in range(classes)] for _ in scales]
        self._filled: list[list[Singles]] = [[NONE] for _ in scales]
        self._slopes: list[list[Singles]] = [[NONE] for _ in range(classes)]

    def add(self, scale: float, ratio: Floats, slope_deg: Floats, filled: NDArray[np.bool_]) -> None:
        """Take in positions of one region at one of the scales; all arrays have one shape."""
        row, ratios = self.scales.index(scale), ratio.astype(np.float32)
        self._filled[row].append(ratios[filled])
        for column, (low, high) in enumerate(pairwise(SLOPE_EDGES_DEG)):
            inside = ~filled & (slope_deg >= low) & (slope_deg < high)
            self._known[row][column].append(ratios[inside])
            self._slopes[column].append(slope_deg[inside].astype(np.float32))

    def calibration(self) -> Calibration | None:
        """The factors; None where no scale has :data:`FEWEST` positions.

        A scale with fewer is left out; a class with fewer takes the factor of its scale as a whole. At scale 1 the
        result is the input: known cells have no error there, filled ones that of the smallest scale.
        """
        scales, factors, filled = [], [], []
        for scale, known, void in zip(self.scales, self._known, self._filled, strict=True):
            classes, voids = [np.concatenate(column) for column in known], np.concatenate(void)
            together = np.concatenate(classes)
            if together.size < FEWEST:
                continue
            whole = quantile(together)
            scales.append(scale)
            factors.append(tuple(quantile(c) if c.size >= FEWEST else whole for c in classes))
            filled.append(max(whole, quantile(voids)) if voids.size >= FEWEST else 2 * whole)
        if not scales:
            return None
        exact = tuple(0.0 for _ in factors[0])
        return Calibration((1.0, *scales), self._middles_deg(), (exact, *factors), (filled[0], *filled))

    def _middles_deg(self) -> tuple[float, ...]:
        """Median slope of every class; the middle of its edges where the ground has no such slope."""
        return tuple(
            float(np.median(found)) if (found := np.concatenate(column)).size else (low + high) / 2
            for column, (low, high) in zip(self._slopes, pairwise(SLOPE_EDGES_DEG), strict=True)
        )
