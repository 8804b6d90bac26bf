"""Which levels have contours, and between which of them a height lies. Imports numpy and the limits of the job.

A contour runs along ground that is a trifle higher than its level (:attr:`Levels.above`). Water that lies exactly at a
level is then below it, and lines run along its shore instead of in the chance pattern of its last bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..jobs.continuouscontours import LARGEST_INTERVAL, SMALLEST_INTERVAL
from ..raster import Floats

ABOVE = 1 / 2048
"""The trifle: half of what heights are rounded to where they are stored, in the unit of the DEM."""

ABOVE_SHARE = 1 / 100
"""The trifle at most as a share of the interval."""

WANTED_LEVELS = 40
"""Where no interval is given, it is the next larger round number to the range of heights by this."""

MOST_RANK = 2**40
"""Levels counted from the base are fewer."""


@dataclass(frozen=True)
class Levels:
    """Levels ``base + k * interval`` for every whole ``k``, in the unit of the DEM; ``unit_m`` metres make one unit."""

    interval: float
    base: float
    index_every: int
    unit_m: float

    @property
    def above(self) -> float:
        """How far above its level a contour runs, in the unit of the DEM."""
        return min(ABOVE, self.interval * ABOVE_SHARE)

    def ranks(self, heights_m: Floats) -> NDArray[np.int64]:
        """A height lies above exactly the levels whose ``k`` is smaller than this."""
        steps = (heights_m / self.unit_m - self.base - self.above) / self.interval
        return np.ceil(np.clip(steps, -MOST_RANK, MOST_RANK)).astype(np.int64)

    def traced_m(self, k: NDArray[np.int64]) -> Floats:
        """Heights in metres that the contours run along."""
        return np.asarray((self.base + k * self.interval + self.above) * self.unit_m, dtype=np.float64)

    def heights(self, k: NDArray[np.int64]) -> Floats:
        """Heights that the contours stand for, in the unit of the DEM."""
        return np.asarray(np.round(self.base + k * self.interval, 9), dtype=np.float64)

    def is_index(self, k: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a contour is an index contour, counted from the base."""
        return k % self.index_every == 0 if self.index_every else np.zeros(k.shape, bool)


def round_interval(height_range: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that makes at most :data:`WANTED_LEVELS` levels of a range.

    It is one that a user may give, and exactly the number that is printed.
    """
    least = height_range / WANTED_LEVELS
    if not least > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    found = next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
    return float(f"{min(max(found, SMALLEST_INTERVAL), LARGEST_INTERVAL):.0e}")
