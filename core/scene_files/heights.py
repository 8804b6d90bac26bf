"""A DEM under a scene: heights on a lattice of the work's CRS, the same for those who build and those who check.

Cells are as large as the DEM's, 5 m at least: a street is not laid over single stones. A DEM in the CRS of the work
with such cells is taken as it is; others are asked bilinearly at places whose average a cell is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import raster
from ..errors import TerrainError
from ..grid import Bounds, Grid, change_of_crs, crs_name, is_geographic, metres_per_cell, same_crs
from ..progress import Progress
from ..tiling import Window

Floats = NDArray[np.float64]

LEAST_CELL_M = 5.0
MARGIN_CELLS = 3
MOST_CELLS = 60_000_000
"""A lattice of more cells gets larger ones."""
ROWS_AT_ONCE = 256
"""Rows of the lattice that are made at a time."""
MOST_READ = 40_000_000
"""Most cells of a DEM that are read for so many rows."""


@dataclass(frozen=True)
class Relief:
    """Heights ``(rows, cols)`` in metres, not a number where unknown, on north-up square cells of the work's CRS."""

    west_m: float
    north_m: float
    cell_m: float
    height_m: Floats

    @property
    def known_share(self) -> float:
        """Share of the cells whose height is known."""
        return float(np.isfinite(self.height_m).mean())

    @property
    def is_sea(self) -> bool:
        """Whether every known height is exactly 0, as DEMs show the sea."""
        known = self.height_m[np.isfinite(self.height_m)]
        return known.size > 0 and not known.any()


def read_relief(path: str, reading: raster.Reading, bounds: Bounds, work_crs: str, progress: Progress) -> Relief:
    """Heights within ``bounds`` of the work and a few cells around.

    Raises :class:`TerrainError` where the raster cannot be read, has no CRS, or knows no height there.
    """
    with raster.environment(), raster.Source(path, reading) as source:
        if not source.grid.crs:
            raise TerrainError(f"The DEM {path} has no CRS; assign one with 'Assign projection'.")
        raster.announce(source, progress)
        relief = _own_cells(source, bounds, work_crs) or _resampled(source, bounds, work_crs, progress)
    if relief.known_share == 0:
        raise TerrainError(f"The DEM {path} has no heights in the area; choose one that covers it, or none.")
    if relief.known_share < 1:
        progress.warn(
            f"The DEM knows {_percent(relief.known_share)} of the heights around the area; where it knows none, the "
            "ground is taken as level."
        )
    return relief


def _percent(share: float) -> str:
    """A share below 1 in per cent, never rounded to 0 or 100."""
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 1 else f"{min(percent, 99.9):.3g} %"


def _own_cells(source: raster.Source, bounds: Bounds, work_crs: str) -> Relief | None:
    """The DEM's own cells where they serve; None where they do not."""
    grid = source.grid
    if not same_crs(grid.crs, work_crs) or abs(grid.dx - grid.dy) > 1e-6 * grid.dx or grid.dx < LEAST_CELL_M:
        return None
    west, south, east, north = bounds
    left, right = (math.floor((at - grid.x0) / grid.dx) for at in (west, east))
    top, bottom = (math.floor((grid.y0 - at) / grid.dy) for at in (north, south))
    left, top = max(left - MARGIN_CELLS, 0), max(top - MARGIN_CELLS, 0)
    right, bottom = min(right + MARGIN_CELLS + 1, grid.cols), min(bottom + MARGIN_CELLS + 1, grid.rows)
    if right - left < 2 or bottom - top < 2 or (right - left) * (bottom - top) > MOST_CELLS:
        return None
    heights, valid = source.read(Window(top, left, bottom - top, right - left))
    heights[~valid] = np.nan
    return Relief(grid.x0 + left * grid.dx, grid.y0 - top * grid.dy, grid.dx, heights)


def _resampled(source: raster.Source, bounds: Bounds, work_crs: str, progress: Progress) -> Relief:
    """Heights on a lattice of the world: its cells begin at whole multiples of their size."""
    west, south, east, north = bounds
    own_m = _cell_m(source.grid)
    cell_m = max(LEAST_CELL_M, float(np.round(own_m, 1)), math.sqrt((east - west) * (north - south) / MOST_CELLS))
    left, right = math.floor(west / cell_m) - MARGIN_CELLS, math.ceil(east / cell_m) + MARGIN_CELLS
    bottom, top = math.floor(south / cell_m) - MARGIN_CELLS, math.ceil(north / cell_m) + MARGIN_CELLS
    parts = max(1, math.ceil(cell_m / own_m - 1e-6))
    heights = np.full((top - bottom, right - left), np.nan)
    place = Grid(top - bottom, right - left, left * cell_m, top * cell_m, cell_m, cell_m, work_crs)
    for row in range(0, place.rows, ROWS_AT_ONCE):
        progress.report(row / place.rows, "Reading the DEM")
        rows = np.arange(row, min(row + ROWS_AT_ONCE, place.rows))
        heights[rows] = _averages(source, place, rows, min(parts, 8))
    return Relief(place.x0, place.y0, cell_m, heights)


def _cell_m(grid: Grid) -> float:
    """Side of a cell in metres, in the middle of a raster."""
    width_m, height_m = metres_per_cell(grid)
    return float(np.sqrt(width_m[grid.rows // 2] * height_m[grid.rows // 2]))


def _averages(source: raster.Source, place: Grid, rows: NDArray[np.int64], parts: int) -> Floats:
    """Means of ``parts`` x ``parts`` heights in each cell of some rows, without those that are unknown."""
    total, count = np.zeros((2, len(rows), place.cols))
    for i in range(parts):
        for j in range(parts):
            y = place.y0 - (rows + (i + 0.5) / parts) * place.dy
            x = place.x0 + (np.arange(place.cols) + (j + 0.5) / parts) * place.dx
            found = _bilinear(source, *_cells(source.grid, place.crs, (np.asarray(x), np.asarray(y))))
            known = np.isfinite(found)
            total += np.where(known, found, 0.0)
            count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _cells(grid: Grid, work_crs: str, places: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Rows and columns of a raster, from the centre of its first cell, where places of the work lie."""
    across, down = np.meshgrid(*places)
    change = change_of_crs(work_crs, grid.crs)
    if change is not None:
        across, down = change(across, down)
    if is_geographic(grid.crs):
        middle = grid.x0 + grid.cols * grid.dx / 2
        across = across - 360 * np.round((np.where(np.isfinite(across), across, middle) - middle) / 360)
    return (grid.y0 - down) / grid.dy - 0.5, (across - grid.x0) / grid.dx - 0.5


def _bilinear(source: raster.Source, rows: Floats, cols: Floats) -> Floats:
    """Heights at positions in a raster; not a number beyond its outer cells' centres by more than half a cell."""
    grid = source.grid
    inside = (rows >= -0.5) & (rows <= grid.rows - 0.5) & (cols >= -0.5) & (cols <= grid.cols - 0.5)
    out = np.full(rows.shape, np.nan)
    if not inside.any():
        return out
    r, c = np.clip(rows[inside], 0, grid.rows - 1), np.clip(cols[inside], 0, grid.cols - 1)
    top, left = int(r.min()), int(c.min())
    window = Window(top, left, int(r.max()) + 2 - top, int(c.max()) + 2 - left)
    if window.rows * window.cols > MOST_READ:
        raise TerrainError(
            f"The DEM {source.path} in {crs_name(grid.crs)} lies across the area so that too many of its cells are "
            "needed at a time; reproject it with 'Warp (reproject)' first."
        )
    heights, valid = source.read(window)
    heights[~valid] = np.nan
    i, j = np.floor(r).astype(int) - top, np.floor(c).astype(int) - left
    v, u = r - np.floor(r), c - np.floor(c)
    corners = (
        (heights[i, j], (1 - v) * (1 - u)), (heights[i, j + 1], (1 - v) * u), (heights[i + 1, j], v * (1 - u)),
        (heights[i + 1, j + 1], v * u),
    )  # fmt: skip
    # a corner that takes no part must not make the height unknown
    out[inside] = sum(np.where(weight > 0, height * weight, 0.0) for height, weight in corners)
    return out
