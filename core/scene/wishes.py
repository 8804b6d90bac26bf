"""What a user asks a scene to come to, as the model is told, and as its coarsest fields are shifted to meet it.

Stage G knows four means over a window: share of buildings, walls, volume and streets. Telling it is not enough, for it
was never taught to obey; so its fields are shifted monotonously until the mean over the ground is right. The stages
below follow it cell by cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..buildings.storeys import FLOOR_M
from ..errors import TerrainError
from .stages import STREET_SCALE, VOLUME_SCALE_M
from .towns import TARGETS

Array = NDArray[np.float32]

STEPS = {
    "fast": {"G": 12, "R": 10, "L": 6},
    "balanced": {"G": 20, "R": 20, "L": 12},
    "paper": {"G": 60, "R": 60, "L": 240},
}
"""Calls of each stage's net by preset; the paper's are 50 to 100 coarse global and 200 to 300 fine local steps."""

EVENNESS = 0.85
"""Mean of the roots of volumes or streets over the root of their mean: 0.8 to 0.94 in the built-up blocks of towns that
the model has learned from."""

MOST_TOLD = 0.65
"""Largest coverage that the net is told; no block that it has learned from has more."""

SPAN = 14.0
"""Largest shift of the logarithm of the odds of being built."""


MOST_GROWTH = 4.0
"""Walls grow with the share that is built, but at most by so much."""


@dataclass(frozen=True)
class Wishes:
    """Targets and the run's settings; None leaves a figure to the model.

    Attributes
    ----------
    coverage
        Share of the ground that buildings cover, 0 to 1.
    far
        Area of all floors over that of the ground.
    mean_height_m
        Mean height of buildings, weighted by footprint.
    street_density
        Length of streets in km/km2.
    steps
        One of :data:`STEPS`.

    """

    coverage: float | None = None
    far: float | None = None
    mean_height_m: float | None = None
    street_density: float | None = None
    seed: int = 1
    steps: str = "balanced"

    def __post_init__(self) -> None:
        if self.steps not in STEPS:
            raise TerrainError(f"There are no steps called {self.steps}; choose one of {', '.join(STEPS)}.")

    @property
    def volume_m(self) -> float | None:
        """Volume of buildings over the ground in m3/m2 that is asked for, where it follows from the wishes."""
        if self.far is not None:
            return self.far * FLOOR_M
        if self.mean_height_m is not None and self.coverage is not None:
            return self.mean_height_m * self.coverage
        return None

    def facts(self) -> Array:
        """What stage G is told, ``(2 * TARGETS + 3,)``: means, which are given, and that all is mapped."""
        means, given = np.zeros(TARGETS), np.zeros(TARGETS)
        if self.coverage is not None:
            means[0], given[0] = 2 * min(self.coverage, MOST_TOLD) - 1, 1
        if self.volume_m is not None:
            means[2], given[2] = EVENNESS * math.sqrt(self.volume_m / VOLUME_SCALE_M) - 0.5, 1
        if self.street_density is not None:
            means[3], given[3] = EVENNESS * math.sqrt(self.street_density / 1000 / STREET_SCALE) - 1, 1
        return np.concatenate([means, given, np.ones(3)]).astype(np.float32)


def fulfilled(coarse: Array, land: Array, kept: NDArray[np.bool_], wishes: Wishes) -> Array:
    """Channels of stage G that meet the wishes on the ground.

    Parameters
    ----------
    coarse
        Normalised channels ``(7, rows, cols)``.
    land
        Share of the ground in each cell; cells without any are shifted like their neighbours.
    kept
        ``(2, rows, cols)``: cells whose buildings and whose streets stand already and stay.

    """
    result = coarse.copy()
    if land.sum() == 0:
        return result
    share = np.clip((coarse[0] + 1) / 2, 0, 1)
    shifted = share if wishes.coverage is None else _shifted(share, land, ~kept[0], wishes.coverage)
    growth = shifted / np.maximum(share, 1e-3)
    result[0] = 2 * shifted - 1
    result[1] = np.maximum(coarse[1] + 1, 0) * np.sqrt(np.minimum(growth, MOST_GROWTH)) - 1
    volume = np.square(np.maximum(coarse[2] + 0.5, 0)) * VOLUME_SCALE_M * growth
    volume *= _factor(volume, land, ~kept[0], _volume_m(wishes, shifted, land))
    result[2] = np.sqrt(volume / VOLUME_SCALE_M) - 0.5
    if wishes.street_density is not None:
        length = np.square(np.maximum(coarse[3] + 1, 0)) * STREET_SCALE
        factor = _factor(length, land, ~kept[1], wishes.street_density / 1000)
        result[3:5] = (np.maximum(coarse[3:5] + 1, 0)) * np.sqrt(factor) - 1
    result[:3] = np.where(kept[0], coarse[:3], result[:3])
    result[3:5] = np.where(kept[1], coarse[3:5], result[3:5])
    return result.astype(np.float32)


def _shifted(share: Array, land: Array, free: NDArray[np.bool_], coverage: float) -> Array:
    """Shares whose odds are multiplied by one number where they are free, so that their mean over the land is right."""
    low, high = -SPAN, SPAN

    def moved(by: float) -> Array:
        odds = math.exp(by)
        return np.where(free, share * odds / (1 - share + share * odds), share)

    for _ in range(60):
        middle = (low + high) / 2
        mean = float((moved(middle) * land).sum() / land.sum())
        low, high = (middle, high) if mean < coverage else (low, middle)
    return moved((low + high) / 2)


def _volume_m(wishes: Wishes, share: Array, land: Array) -> float | None:
    """Volume over the ground that is asked for."""
    if wishes.far is None and wishes.mean_height_m is not None:
        return wishes.mean_height_m * float((share * land).sum() / land.sum())
    return wishes.volume_m


def _factor(values: Array, land: Array, free: NDArray[np.bool_], mean: float | None) -> Array:
    """What the free cells are multiplied by so that the mean over the land is right; 1 where nothing is asked for."""
    mine = float((values * land * free).sum())
    if mean is None or mine <= 0:
        return np.ones_like(values)
    rest = float((values * land * ~free).sum())
    return np.where(free, max(mean * float(land.sum()) - rest, 0.0) / mine, 1.0).astype(np.float32)
