"""The ground that is meshed: a DEM's heights in their own unit on the lattice of cell centres, and where they are.

Lattice positions are columns and rows of cell centres, whole numbers at centres, rows going down. A raster of one row
or one column has no width between its centres: its heights stand on three lattice lines half a cell apart, so that its
mesh is as wide as its cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import grid as grids
from ..grid import Grid
from ..raster import Bools, Floats, Source
from ..tiling import Window
from ..vertical import METRES

LINES = 3
"""Lattice lines that stand for one single row or column."""


class Ground:
    """Heights of a raster on its lattice. Reading is safe from several threads.

    Attributes
    ----------
    grid
        Whose cell centres are the lattice; that of the raster unless it has one row or one column only.
    width_m, height_m
        Distances between lattice positions on the ground by lattice row.

    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.grid = widened(source.grid)
        self.width_m, self.height_m = grids.metres_per_cell(self.grid)
        self.unit_m = METRES[source.unit]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the lattice."""
        return self.grid.shape

    def read(self, window: Window) -> tuple[Floats, Bools]:
        """Heights in the DEM's unit and validity on a window of the lattice, which may reach beyond it.

        Beyond the lattice nothing is valid. Heights are 0 where not valid.
        """
        rows = _cells(window.row, window.rows, self.grid.rows, self.source.grid.rows)
        cols = _cells(window.col, window.cols, self.grid.cols, self.source.grid.cols)
        heights, valid = np.zeros((window.rows, window.cols)), np.zeros((window.rows, window.cols), np.bool_)
        if rows.size == 0 or cols.size == 0:
            return heights, valid
        row, col = int(rows[0]), int(cols[0])
        found, known = self.source.read(Window(row, col, int(rows[-1]) - row + 1, int(cols[-1]) - col + 1))
        picked = np.ix_(rows - row, cols - col)
        top, left = max(-window.row, 0), max(-window.col, 0)
        place = slice(top, top + rows.size), slice(left, left + cols.size)
        heights[place], valid[place] = found[picked] / self.unit_m, known[picked]
        return heights, valid

    def scale(self, window: Window) -> tuple[float, float]:
        """Metres per lattice step across and down in the middle of a window."""
        row = min(max(window.row + window.rows // 2, 0), self.grid.rows - 1)
        return float(self.width_m[row]), float(self.height_m[row])

    def on_raster(self, values: NDArray, window: Window) -> tuple[NDArray, Window]:
        """What of a window's values belongs to cells of the raster, and where these are."""
        rows, row = _own(window.row, window.rows, self.grid.rows != self.source.grid.rows)
        cols, col = _own(window.col, window.cols, self.grid.cols != self.source.grid.cols)
        found = values[rows, cols]
        return found, Window(row, col, *found.shape)


@dataclass(frozen=True)
class Placement:
    """Lattice positions on the map, both ways."""

    grid: Grid

    def on_map(self, vertices: Floats) -> Floats:
        """Map coordinates (N, 2) of columns and rows."""
        grid = self.grid
        x = grid.x0 + (vertices[:, 0] + 0.5) * grid.dx
        y = grid.y0 - (vertices[:, 1] + 0.5) * grid.dy
        return np.stack([x, y], axis=1)

    def on_lattice(self, points: Floats) -> Floats:
        """Columns and rows (N, 2) of map coordinates."""
        grid = self.grid
        return np.stack([(points[:, 0] - grid.x0) / grid.dx - 0.5, (grid.y0 - points[:, 1]) / grid.dy - 0.5], axis=1)


def widened(grid: Grid) -> Grid:
    """The grid whose cell centres are the lattice of a raster."""
    if grid.rows == 1:
        grid = replace(grid, rows=LINES, dy=grid.dy / 2, y0=grid.y0 + grid.dy / 4)
    if grid.cols == 1:
        grid = replace(grid, cols=LINES, dx=grid.dx / 2, x0=grid.x0 - grid.dx / 4)
    return grid


def _cells(start: int, count: int, lattice: int, raster: int) -> NDArray[np.int64]:
    """Cells of the raster under the lattice lines of a window that exist."""
    lines = np.arange(max(start, 0), min(start + count, lattice))
    return lines if lattice == raster else np.zeros_like(lines)


def _own(start: int, count: int, is_widened: bool) -> tuple[slice, int]:
    """Which lines of a window hold a cell's own centre, and the first such cell."""
    return (slice(LINES // 2 - start, LINES // 2 - start + 1), 0) if is_widened else (slice(0, count), start)
