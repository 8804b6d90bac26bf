"""Heights under streets: bilinear between the centres of a DEM's cells, and how steep a line is there.

The grade of a line is the largest ``|height difference| / length`` of its pieces, each :data:`STEP_M` long or less.
Imports numpy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .street_field import Lattice

Floats = NDArray[np.float64]

STEP_M = 2.0
"""Streets are laid out on pieces so short; whoever measures over longer ones finds less."""
MARGIN = 0.97
"""Streets are laid out to this share of the limit, so that other stations along a line keep it too."""


@dataclass(frozen=True)
class Terrain:
    """Heights in metres ``(rows, cols)`` on a lattice; not a number where unknown."""

    lattice: Lattice
    height_m: Floats

    def heights(self, points: Floats) -> Floats:
        """Heights at points ``(N, 2)``; beyond the lattice those of its border."""
        at = self.lattice.cells(points) - 0.5
        x = np.clip(at[:, 0], 0, self.lattice.cols - 1)
        y = np.clip(at[:, 1], 0, self.lattice.rows - 1)
        j, i = np.minimum(x.astype(int), self.lattice.cols - 2), np.minimum(y.astype(int), self.lattice.rows - 2)
        j, i = np.maximum(j, 0), np.maximum(i, 0)
        right, below = np.minimum(j + 1, self.lattice.cols - 1), np.minimum(i + 1, self.lattice.rows - 1)
        u, v, z = x - j, y - i, self.height_m
        top, bottom = z[i, j] * (1 - u) + z[i, right] * u, z[below, j] * (1 - u) + z[below, right] * u
        return np.asarray(top * (1 - v) + bottom * v)

    def grade(self, line: Any) -> float:
        """The steepest piece of a line; 0 where heights are unknown."""
        length = float(shapely.length(line))
        steps = np.linspace(0.0, length, max(int(np.ceil(length / STEP_M)), 1) + 1)
        heights = self.heights(shapely.get_coordinates(shapely.line_interpolate_point(line, steps)))
        rise = np.abs(np.diff(heights)) / max(steps[1], 1e-9)
        return float(np.nan_to_num(rise).max(initial=0.0))
