"""How far a mesh is from a DEM, as sums that add up over blocks. Imports the standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

BETWEEN = 4
"""Positions per cell and axis at which a mesh is compared with the DEM between the cells."""

NOWHERE = (-1.0, -1.0)


@dataclass(frozen=True)
class Accuracy:
    """Mesh minus DEM, at the cells' centres and at finer positions of the bilinear surface through them.

    Values of blocks are added with ``+``, in any order. Heights are in the unit that both were given in.

    Attributes
    ----------
    cells, covered
        Cells of the DEM with a height, and those of them where the mesh has one too.
    sum, squares, largest
        Of the errors at covered cells: sum, sum of squares, largest size.
    between_positions, between_squares, between_largest
        The same of all finer positions where both are known; cells are among them.
    place
        Row and column of the largest error of all; -1 where there is none.
    overlaps
        Positions in the inside of more than one triangle; a height field has none.
    beyond
        Positions in the inside of a triangle where the DEM has no height.

    """

    cells: int = 0
    covered: int = 0
    sum: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    between_positions: int = 0
    between_squares: float = 0.0
    between_largest: float = 0.0
    place: tuple[float, float] = NOWHERE
    overlaps: int = 0
    beyond: int = 0

    def __add__(self, other: Accuracy) -> Accuracy:
        """Both together."""
        worse = max(
            (self, other), key=lambda one: (one.between_largest, one.place[0] < 0, -one.place[0], -one.place[1])
        )
        return Accuracy(
            self.cells + other.cells,
            self.covered + other.covered,
            self.sum + other.sum,
            self.squares + other.squares,
            max(self.largest, other.largest),
            self.between_positions + other.between_positions,
            self.between_squares + other.between_squares,
            max(self.between_largest, other.between_largest),
            worse.place,
            self.overlaps + other.overlaps,
            self.beyond + other.beyond,
        )

    @property
    def share(self) -> float:
        """Share of the DEM's cells that the mesh covers; NaN where the DEM has none."""
        return self.covered / self.cells if self.cells else math.nan

    @property
    def mean(self) -> float:
        """Mean error at cells; positive where the mesh is too high."""
        return self.sum / self.covered if self.covered else math.nan

    @property
    def rmse(self) -> float:
        """Root of the mean squared error at cells."""
        return math.sqrt(self.squares / self.covered) if self.covered else math.nan

    @property
    def rmse_between(self) -> float:
        """Root of the mean squared error at finer positions."""
        return math.sqrt(self.between_squares / self.between_positions) if self.between_positions else math.nan
