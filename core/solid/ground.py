"""The piece of a DEM that becomes a solid: read, averaged to what a printer resolves, continued beyond its edge.

Positions are *cell coordinates*: column and row of cell edges, so that the cell ``(row, col)`` covers ``col`` to
``col + 1`` and ``row`` to ``row + 1``. Imports numpy, scipy and the doors of core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import TerrainError
from ..grid import Bounds, Grid
from ..progress import Progress
from ..raster import Source
from ..tiling import Window

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FINEST_MM = 0.1
"""Cells smaller than this on the model are averaged: printers do not resolve them."""

COARSEST_MM = 0.5
"""Cells are not averaged to more than this to save memory."""

MOST_CELLS = 16_000_000
STRIP_CELLS = 8_000_000
"""About as many cells are read at a time."""


@dataclass(frozen=True)
class Ground:
    """Cells with heights.

    Attributes
    ----------
    grid
        Where the cells are; those averaged, where they were.
    heights_m, valid
        Heights in metres, 0 where not known, and which are known.
    block
        How many cells of the DEM one cell is wide.

    """

    grid: Grid
    heights_m: Floats
    valid: Bools
    block: int = 1

    def to_crs(self, cells: Floats) -> Floats:
        """Coordinates in the CRS (N, 2) of cell coordinates (N, 2)."""
        grid = self.grid
        return np.column_stack([grid.x0 + cells[:, 0] * grid.dx, grid.y0 - cells[:, 1] * grid.dy])

    def to_cells(self, places: Floats) -> Floats:
        """Cell coordinates (N, 2) of coordinates in the CRS (N, 2)."""
        grid = self.grid
        return np.column_stack([(places[:, 0] - grid.x0) / grid.dx, (grid.y0 - places[:, 1]) / grid.dy])


def window_of(grid: Grid, bounds: Bounds, margin: int) -> Window:
    """The cells of a grid that bounds touch, and ``margin`` cells around them that are inside the grid."""
    west, south, east, north = bounds
    left = max(math.floor((west - grid.x0) / grid.dx) - margin, 0)
    right = min(math.ceil((east - grid.x0) / grid.dx) + margin, grid.cols)
    top = max(math.floor((grid.y0 - north) / grid.dy) - margin, 0)
    bottom = min(math.ceil((grid.y0 - south) / grid.dy) + margin, grid.rows)
    return Window(top, left, bottom - top, right - left)


def part_of(grid: Grid, window: Window, block: int = 1) -> Grid:
    """The grid of a window, with cells ``block`` times as wide; the last ones may stick out."""
    x0, y0 = grid.x0 + window.col * grid.dx, grid.y0 - window.row * grid.dy
    rows, cols = -(-window.rows // block), -(-window.cols // block)
    return replace(grid, rows=rows, cols=cols, x0=x0, y0=y0, dx=grid.dx * block, dy=grid.dy * block)


def block_for(cell_mm: float, cells: int) -> int:
    """How many cells to average along each axis, if one is ``cell_mm`` wide on the model.

    Raises :class:`.TerrainError` where memory would need cells wider than :data:`COARSEST_MM`.
    """
    fine = max(math.floor(FINEST_MM / cell_mm + 1e-9), 1)
    small = math.ceil(math.sqrt(cells / MOST_CELLS))
    if small > fine and small * cell_mm > COARSEST_MM:
        raise TerrainError(
            f"The DEM has {cells / 1e6:.0f} million cells here, each {cell_mm:.2g} mm wide on the model, and a solid "
            f"is made of at most {MOST_CELLS / 1e6:.0f} million; set a clip polygon, a larger scale number, or a "
            "coarser DEM."
        )
    return max(fine, small)


def read(source: Source, window: Window, block: int, progress: Progress) -> Ground:
    """Read a window in strips, averaging blocks of cells; a block is known if half of its cells are."""
    grid = part_of(source.grid, window, block)
    heights, valid = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    step = max(STRIP_CELLS // (window.cols * block), 1)
    for first in range(0, grid.rows, step):
        progress.report(first / grid.rows, "Reading the DEM")
        rows = min(window.rows - first * block, step * block)
        strip = source.read(Window(window.row + first * block, window.col, rows, window.cols))
        last = min(first + step, grid.rows)
        heights[first:last], valid[first:last] = _averages(*strip, block)
    return Ground(grid, heights, valid, block)


def _averages(heights: Floats, valid: Bools, block: int) -> tuple[Floats, Bools]:
    if block == 1:
        return heights, valid
    rows, cols = (-(-size // block) * block for size in heights.shape)
    wider = ((0, rows - heights.shape[0]), (0, cols - heights.shape[1]))
    inside = np.pad(np.ones(valid.shape, bool), wider)
    heights, valid = np.pad(np.where(valid, heights, 0.0), wider), np.pad(valid, wider)

    def summed(values: NDArray) -> Floats:
        blocks: Floats = values.reshape(rows // block, block, cols // block, block).sum(axis=(1, 3), dtype=np.float64)
        return blocks

    known, cells = summed(valid), summed(inside)
    return summed(heights) / np.maximum(known, 1), 2 * known >= np.maximum(cells, 1)


def continued(ground: Ground) -> Floats:
    """Heights with those of the nearest known cell where none is known, and one cell more on every side."""
    heights = ground.heights_m
    if not ground.valid.all():
        nearest = ndimage.distance_transform_edt(~ground.valid, return_distances=False, return_indices=True)
        heights = heights[tuple(nearest)]
    padded: Floats = np.pad(heights, 1, mode="edge")
    return padded
