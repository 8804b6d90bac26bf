"""What the middle stage of the model says about streets, and a sharp picture of it on finer cells.

Every cell of 10 m knows how far the nearest centreline is and which way it runs, so it knows a straight piece of that
centreline to a fraction of itself. Finer cells take the distance from the pieces of the cells around them. North-up
arrays; coordinates are metres of the project's CRS. Imports numpy and the door to numba.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Floats = NDArray[np.float64]

FALL_M = 30.0
"""Distance at which nearness has fallen to 0 (stage R of the model)."""


@dataclass(frozen=True)
class Lattice:
    """A north-up lattice of square cells: its north-west corner and the cell size, in metres."""

    west_m: float
    north_m: float
    cell_m: float
    rows: int
    cols: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return (
            self.west_m,
            self.north_m - self.rows * self.cell_m,
            self.west_m + self.cols * self.cell_m,
            self.north_m,
        )

    def within(self, bounds: tuple[float, float, float, float], margin_m: float) -> tuple[slice, slice]:
        """Rows and columns of the cells within bounds and a margin."""
        west, south, east, north = bounds
        top, bottom = ((self.north_m - v) / self.cell_m for v in (north + margin_m, south - margin_m))
        left, right = ((v - self.west_m) / self.cell_m for v in (west - margin_m, east + margin_m))
        rows = slice(max(round(top), 0), min(round(bottom), self.rows))
        return rows, slice(max(round(left), 0), min(round(right), self.cols))

    def cut(self, rows: slice, cols: slice) -> Lattice:
        """The lattice of some rows and columns."""
        west_m, north_m = self.west_m + cols.start * self.cell_m, self.north_m - rows.start * self.cell_m
        return Lattice(west_m, north_m, self.cell_m, rows.stop - rows.start, cols.stop - cols.start)

    def finer(self, ratio: int) -> Lattice:
        """The same ground in cells ``ratio`` times smaller."""
        return Lattice(self.west_m, self.north_m, self.cell_m / ratio, self.rows * ratio, self.cols * ratio)

    def cells(self, points: Floats) -> Floats:
        """Points ``(N, 2)`` in cells: x eastward, y southward from the north-west corner."""
        return np.column_stack([points[:, 0] - self.west_m, self.north_m - points[:, 1]]) / self.cell_m

    def ground(self, cells: NDArray[Any]) -> Floats:
        """The inverse of :meth:`cells`."""
        return np.column_stack([self.west_m + cells[:, 0] * self.cell_m, self.north_m - cells[:, 1] * self.cell_m])

    def sample(self, values: NDArray[np.generic], points: Floats) -> NDArray[np.generic]:
        """Values of the cells that hold points; beyond the lattice those of its border."""
        at = np.floor(self.cells(points)).astype(int)
        return values[np.clip(at[:, 1], 0, self.rows - 1), np.clip(at[:, 0], 0, self.cols - 1)]


@dataclass(frozen=True)
class StreetField:
    """Streets on a lattice, ``(rows, cols)`` each.

    Attributes
    ----------
    nearness
        1 on a centreline, falling linearly to 0 at ``FALL_M``.
    cos2, sin2
        Of twice the nearest centreline's direction (anticlockwise from east), times nearness.
    rank
        1 major, 0 minor, -1 service, times nearness.

    """

    lattice: Lattice
    nearness: Floats
    cos2: Floats
    sin2: Floats
    rank: Floats

    def part(self, bounds: tuple[float, float, float, float], margin_m: float) -> StreetField:
        """The field of the cells within bounds and a margin."""
        rows, cols = self.lattice.within(bounds, margin_m)
        where = (rows, cols)
        return StreetField(
            self.lattice.cut(rows, cols), self.nearness[where], self.cos2[where], self.sin2[where], self.rank[where]
        )


def of_channels(channels: NDArray[np.generic], lattice: Lattice) -> StreetField:
    """The street field in the seven normalised channels of stage R (DESIGN: road is ``2 nearness - 1``)."""
    road, cos2, sin2, rank = np.asarray(channels[3:7], np.float64)
    return StreetField(lattice, np.clip((road + 1) / 2, 0.0, 1.0), cos2, sin2, rank)


def sharpened(field: StreetField, ratio: int) -> Floats:
    """Distance from the nearest centreline in metres, on cells ``ratio`` times finer; at most ``FALL_M``."""
    distance = (1.0 - field.nearness) * FALL_M
    padded = np.pad(distance, 1, mode="edge")
    east = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    north = (padded[:-2, 1:-1] - padded[2:, 1:-1]) / 2
    angle = 0.5 * np.arctan2(field.sin2, field.cos2)
    across = np.stack([-np.sin(angle), np.cos(angle)])
    # the centreline lies where the distance falls
    side = np.where(across[0] * east + across[1] * north > 0, -1.0, 1.0)
    return np.asarray(_sharpened(distance, across, side * distance, field.lattice.cell_m, ratio))


@compiled
def _sharpened(distance: Floats, across: Floats, offset: Floats, cell_m: float, ratio: int) -> Floats:
    """Harmonic mean of the distances from the four cells' pieces of centreline, weighted bilinearly and by nearness."""
    rows, cols = distance.shape
    out = np.full((rows * ratio, cols * ratio), FALL_M)
    for r in range(rows * ratio):
        y = (r + 0.5) / ratio - 0.5
        i0 = math.floor(y)
        for c in range(cols * ratio):
            x = (c + 0.5) / ratio - 0.5
            j0 = math.floor(x)
            total, inverse = 0.0, 0.0
            for i in range(i0, i0 + 2):
                for j in range(j0, j0 + 2):
                    if i < 0 or j < 0 or i >= rows or j >= cols:
                        continue
                    near = 1.0 - distance[i, j] / FALL_M
                    weight = (1.0 - abs(y - i)) * (1.0 - abs(x - j)) * (near * near + 1e-3)
                    along = ((x - j) * across[0, i, j] - (y - i) * across[1, i, j]) * cell_m
                    here = abs(along - offset[i, j]) if distance[i, j] < 0.8 * FALL_M else FALL_M
                    total += weight
                    inverse += weight / (min(here, FALL_M) + 1.0)
            if inverse > 0.0:
                out[r, c] = total / inverse - 1.0
    return out
