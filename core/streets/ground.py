"""The ground that new streets are looked for on: what a metre costs on each cell, and where no street may lie.

Costs follow the street field, so new streets lie where the model would rather have one. Imports numpy, scipy, shapely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from .street_field import Lattice, StreetField
from .terrain import MARGIN, Terrain

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FAR = 4.0
"""A metre far from every ridge costs so much more than one on a ridge."""
EDGE_M = 0.005
CLEAR = 0.75
"""A cell is forbidden if forbidden ground comes so near to its centre, in cells."""
BLOCK = 16
"""Blocks of so many cells in a row are looked at as one, where no edge of forbidden ground is near."""
AT_ONCE = 100_000
PENALTY = 3.0
"""A metre at the limit of grade costs so much more than a level one."""


@dataclass(frozen=True)
class Forbidden:
    """Where no street may lie: water, existing buildings and all beyond the area as one shape, its edge, the rest."""

    shape: Any
    edge: Any
    land: NDArray[Any]

    def cells(self, lattice: Lattice, among: Mask | None = None) -> Mask:
        """Cells near whose centres something is forbidden; only of those ``among`` others, if given."""
        rows, cols = (-(-size // BLOCK) for size in (lattice.rows, lattice.cols))
        blocks = Lattice(lattice.west_m, lattice.north_m, lattice.cell_m * BLOCK, rows, cols)
        centres = shapely.points(_centres(blocks, np.arange(rows * cols)))
        reach_m = lattice.cell_m * (BLOCK * math.sqrt(0.5) + CLEAR)
        whole = np.s_[: lattice.rows, : lattice.cols]
        out, ask = (
            each.reshape(rows, cols).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[whole].copy()
            for each in (shapely.intersects(self.shape, centres), shapely.dwithin(self.edge, centres, reach_m))
        )
        if among is not None:
            out &= among
            ask &= among
        unknown = np.flatnonzero(ask)
        for some in np.array_split(unknown, max(len(unknown) // AT_ONCE, 1)):
            points = shapely.points(_centres(lattice, some))
            out.flat[some] = shapely.dwithin(self.shape, points, lattice.cell_m * CLEAR)
        return out


def _centres(lattice: Lattice, cells: NDArray[np.int64]) -> Floats:
    """Centres of cells, given by number."""
    return lattice.ground(np.column_stack([cells % lattice.cols, cells // lattice.cols]) + 0.5)


@dataclass(frozen=True)
class Ground:
    """What the cheapest paths are looked for on: the lattice of the street field.

    Attributes
    ----------
    lattice
        Cells of the street field.
    ease
        Cost of a metre on each cell if it were free.
    cost
        The same, infinite where streets are forbidden.
    height_m
        Heights of the cells' centres; all 0 without a DEM.
    forbidden
        Where no street may lie.
    blocked
        Water and existing buildings alone.
    terrain, limit
        Heights for measuring, or None, and the steepest grade allowed.

    """

    lattice: Lattice
    ease: Floats
    cost: Floats
    height_m: Floats
    forbidden: Forbidden
    blocked: Any
    terrain: Terrain | None
    limit: float

    @property
    def facts(self) -> tuple[float, float, float]:
        """What :func:`.routing.reached` needs to know."""
        return self.lattice.cell_m, self.limit * MARGIN * 0.97, PENALTY

    def window(self, bounds: Any, margin_m: float) -> tuple[int, int, int, int]:
        """First and last rows and columns of the cells around bounds."""
        rows, cols = self.lattice.within(bounds, margin_m + self.lattice.cell_m)
        return rows.start, rows.stop, cols.start, cols.stop

    def part(self, window: tuple[int, int, int, int]) -> Ground:
        """The ground of a window."""
        top, bottom, left, right = window
        where = np.s_[top:bottom, left:right]
        lattice = self.lattice.cut(*where)
        return replace(
            self, lattice=lattice, ease=self.ease[where], cost=np.ascontiguousarray(self.cost[where]),
            height_m=np.ascontiguousarray(self.height_m[where]),
        )  # fmt: skip

    def finer(self, ratio: int) -> Ground:
        """The same ground in finer cells, so that narrower passages are free."""
        ease, lattice = self.ease.repeat(ratio, axis=0).repeat(ratio, axis=1), self.lattice.finer(ratio)
        taken = (~np.isfinite(self.cost)).repeat(ratio, axis=0).repeat(ratio, axis=1)
        # a finer cell that is forbidden lies in one that is
        return replace(
            self, lattice=lattice, ease=ease, cost=np.where(self.forbidden.cells(lattice, taken), np.inf, ease),
            height_m=_heights(lattice, self.terrain),
        )  # fmt: skip

    def steep(self, line: Any) -> bool:
        """Whether a line breaks the limit."""
        return self.terrain is not None and self.terrain.grade(line) > self.limit * MARGIN

    def forbids(self, line: Any) -> bool:
        """Whether a line touches forbidden ground."""
        return bool(shapely.intersects(self.forbidden.shape, line))


def ground_of(field: StreetField, area: Any, blocked: Any, terrain: Terrain | None, limit: float) -> Ground:
    """The ground of a street field inside an area, less what is blocked."""
    lattice = field.lattice
    west, south, east, north = lattice.bounds
    frame = shapely.box(west - 50, south - 50, east + 50, north + 50)
    # lines may end on the edge itself, which is on the grid of millimetres
    shape = shapely.union(shapely.difference(frame, shapely.buffer(area, EDGE_M)), blocked)
    land = shapely.get_parts([shapely.difference(area, blocked)])
    forbidden = Forbidden(shape, shapely.boundary(shape), land)
    for each in (shape, forbidden.edge, blocked):
        shapely.prepare(each)
    ease = 1.0 + FAR * (1.0 - ndimage.gaussian_filter(field.nearness, 0.7))
    cost = np.where(forbidden.cells(lattice), np.inf, ease)
    return Ground(lattice, ease, cost, _heights(lattice, terrain), forbidden, blocked, terrain, limit)


def _heights(lattice: Lattice, terrain: Terrain | None) -> Floats:
    """Heights of the centres of cells; 0 where unknown."""
    if terrain is None:
        return np.zeros((lattice.rows, lattice.cols))
    bands = [np.arange(row * lattice.cols, (row + 1) * lattice.cols) for row in range(lattice.rows)]
    return np.nan_to_num(np.stack([terrain.heights(_centres(lattice, band)) for band in bands]))
