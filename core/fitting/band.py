"""How wrong a surface may be from place to place, learned from its errors at points that it has not seen.

The expected error at a place is the mean error of the held-out points around it, times a power of the distance to the
nearest point that was used; a factor makes the band hold nine of ten held-out points. Imports numpy and scipy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 24
"""Held-out points around a place that tell its error."""

PRIOR = 1.0
"""Weight of the mean error of all beside theirs, so that a lucky few promise nothing."""

NEAREST = 0.25
"""Distances are counted from here, in mean point spacings: nearer does not make a surface better."""

MOST_POWER = 2.0
"""Power of the distance at most."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Half widths of the 90 % band; places are on the ground in cells, distances in mean point spacings."""

    places: cKDTree
    sizes: Floats
    power: float
    factor: float

    @classmethod
    def of(cls, places: Floats, errors: Floats, distances: Floats) -> Band:
        """Learn from held-out points; ``distances`` are those to the nearest point that was used."""
        tree, size = cKDTree(places), np.abs(errors)
        plain = _around(tree, size, places, skip=True)
        power = _power(size / np.maximum(plain, 1e-12), distances)
        scaled = size / _grown(distances, power)
        whole = cls(tree, scaled, power, 1.0)
        expected = _around(tree, scaled, places, skip=True) * _grown(distances, power)
        ratio = size / np.maximum(expected, 1e-12)
        return cls(whole.places, whole.sizes, power, float(np.quantile(ratio, 0.9)))

    def at(self, places: Floats, distances: Floats) -> Floats:
        """Half width of the band at places."""
        expected = _around(self.places, self.sizes, places, skip=False)
        return self.factor * expected * _grown(distances, self.power)


def _around(tree: cKDTree, sizes: Floats, places: Floats, skip: bool) -> Floats:
    """Mean of the sizes around places, drawn to that of all; ``skip`` leaves out the nearest, which is itself."""
    count = min(NEIGHBOURS + skip, sizes.size)
    near = np.atleast_2d(tree.query(places, k=count)[1].reshape(len(places), count))[:, int(skip) :]
    mean = float(sizes.mean())
    found: Floats = (sizes[near].sum(axis=1) + PRIOR * mean) / (near.shape[1] + PRIOR)
    return found


def _grown(distances: Floats, power: float) -> Floats:
    grown: Floats = (NEAREST + distances) ** power
    return grown


def _power(ratio: Floats, distances: Floats) -> float:
    """Slope of the logarithm of the mean error over that of the distance, from five classes of distance."""
    edges = np.quantile(distances, np.linspace(0, 1, 6))
    classes = np.clip(np.searchsorted(edges, distances, side="right") - 1, 0, 4)
    x, y = [], []
    for number in range(5):
        inside = classes == number
        if np.count_nonzero(inside) >= 10 and float(ratio[inside].mean()) > 0:
            x.append(math.log(NEAREST + float(distances[inside].mean())))
            y.append(math.log(float(ratio[inside].mean())))
    if len(x) < 2 or max(x) - min(x) < 0.1:
        return 0.0
    return float(np.clip(np.polyfit(x, y, 1)[0], 0.0, MOST_POWER))
