"""Statistics of what was written, as GDAL keeps them in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Statistics:
    """Running count, extremes, mean and standard deviation of what was written."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in further values."""
        if values.size == 0:
            return
        block = Statistics()
        block.count, block.low, block.high = values.size, float(values.min()), float(values.max())
        deviations = values.astype(np.float64)
        block.mean = float(deviations.mean())
        deviations -= block.mean
        np.multiply(deviations, deviations, out=deviations)
        block._squares = float(deviations.sum())
        self.merge(block)

    def merge(self, other: Statistics) -> None:
        """Take in the values of another (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        if other.count == 0:
            return
        count, shift = self.count + other.count, other.mean - self.mean
        self._squares += other._squares + shift**2 * self.count * other.count / count
        self.mean += shift * other.count / count
        self.count = count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def numbers(self) -> list[float]:
        """As plain numbers for a journal; JSON keeps them to the last bit. Empty where there is no value."""
        return [self.count, self.mean, self._squares, self.low, self.high] if self.count else []

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> Statistics:
        """What :meth:`numbers` gave."""
        made = cls()
        if numbers:
            count, made.mean, made._squares, made.low, made.high = numbers
            made.count = int(count)
        return made

    def tags(self) -> dict[str, str]:
        """As GDAL stores statistics; empty where nothing valid was written."""
        if self.count == 0:
            return {}
        return {
            "STATISTICS_MINIMUM": repr(self.low),
            "STATISTICS_MAXIMUM": repr(self.high),
            "STATISTICS_MEAN": repr(self.mean),
            "STATISTICS_STDDEV": repr(math.sqrt(self._squares / self.count)),
        }
