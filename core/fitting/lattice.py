"""Where a surface lies: spacing of the points, the cells that follow from it, and the points of each part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .. import grid as grids
from ..continuous import Tiles
from ..errors import TerrainError
from ..grid import Grid
from ..jobs.fitsurface import Settings
from ..raster import Bools, Floats
from ..tiling import Window
from .cloud import Cloud

CELLS_PER_SPACING = 0.75
"""Default cell size in mean point spacings; with 1, held-out errors on lidar are 3 to 13 % larger."""

NEIGHBOURS = 8
"""Points around a point whose distance tells the spacing."""

ASKED = 20_000
"""Points whose neighbours are looked at for the spacing."""

FRAME_PX = 3
"""No-data cells around the surface, which hold the coefficients that its outermost cells need."""

REACH_SPACINGS = 24.0
"""How far beyond a tile points are looked at, at least :data:`LEAST_REACH_PX` cells."""

LEAST_REACH_PX = 32
BLEND_PX = 8
"""Cells on either side of the border of two tiles over which one surface passes into the other."""

SMALLEST_CELL = 0.25
"""Smallest cell size in mean point spacings."""

MOST_CELLS = 2_000_000_000


@dataclass(frozen=True)
class Lattice:
    """The cells of a surface and what is around them.

    Attributes
    ----------
    grid
        Cells, a frame of no-data included.
    spacing_px
        Mean spacing of the points in cells.
    aspect
        Height of a cell over its width on the ground.
    tiles
        Parts of the grid that are fitted by themselves, with the surroundings that they look at.
    room
        Cells around all points that count: the grid, and beyond an extent as far as its tiles look.

    """

    grid: Grid
    spacing_px: float
    aspect: float
    tiles: Tiles
    room: Window

    def places(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Rows and columns of coordinates, in cells from the upper left corner."""
        return (self.grid.y0 - y) / self.grid.dy, (x - self.grid.x0) / self.grid.dx

    @property
    def cell_m(self) -> float:
        """Side of a square with the area of a cell, in metres."""
        width_m, height_m = grids.metres_per_cell(replace(self.grid, rows=1))
        return math.sqrt(float(width_m[0]) * float(height_m[0]))

    @property
    def metres(self) -> tuple[float, float]:
        """Metres in one unit of the CRS to the east and to the north."""
        width_m, height_m = grids.metres_per_cell(replace(self.grid, rows=1))
        return float(width_m[0]) / self.grid.dx, float(height_m[0]) / self.grid.dy

    def ground(self, rows: NDArray[Any], cols: NDArray[Any]) -> Floats:
        """Positions in cells as ``(N, 2)`` whose distances are as on the ground, a cell having an area of one."""
        high = math.sqrt(self.aspect)
        places: Floats = np.column_stack([rows * high, cols / high])
        return places

    @property
    def whole(self) -> Window:
        """All cells of the grid."""
        return Window(0, 0, *self.grid.shape)

    @property
    def inner(self) -> Window:
        """The cells within the frame."""
        rows, cols = self.grid.shape
        return Window(FRAME_PX, FRAME_PX, rows - 2 * FRAME_PX, cols - 2 * FRAME_PX)


@dataclass(frozen=True)
class Scattering:
    """Points in cells of a lattice, sorted by tile.

    Attributes
    ----------
    rows, cols, heights
        ``(N,)``.
    held
        Which of them judge the surface.
    fixed
        Which of them stand on breaklines or beside them: they are believed.
    made
        Which of them were put on lines and triangles, and were not given: they judge nothing.
    good
        Which of them count at all.
    first
        Where in the order each tile begins, ``(tiles + 1,)``.

    """

    lattice: Lattice
    rows: Floats
    cols: Floats
    heights: Floats
    held: Bools
    fixed: Bools
    made: Bools
    good: Bools
    first: NDArray[np.int64]

    @classmethod
    def on(cls, lattice: Lattice, cloud: Cloud, held: Bools, fixed: Bools) -> Scattering:
        """The points of a cloud in the room of a lattice; those outside of its grid are in the nearest tile.

        ``held`` is about the points that were given, the first ones of the cloud; those behind them were made.
        """
        made = np.arange(len(cloud)) >= held.size
        held = np.append(held, np.zeros(len(cloud) - held.size, dtype=bool))
        rows, cols = lattice.places(cloud.x, cloud.y)
        (height, width), room = lattice.grid.shape, lattice.room
        numbers = lattice.tiles.number_of(np.clip(rows, 0, height), np.clip(cols, 0, width))
        outside = (rows < room.row) | (rows > room.row_stop) | (cols < room.col) | (cols > room.col_stop)
        numbers[outside] = -1
        order = np.argsort(numbers, kind="stable")
        order = order[np.searchsorted(numbers[order], 0) :]
        down, across = lattice.tiles.layout
        first = np.searchsorted(numbers[order], np.arange(down * across + 1))
        good = np.ones(order.size, dtype=bool)
        return cls(
            lattice, rows[order], cols[order], cloud.heights[order], held[order], fixed[order], made[order], good, first
        )

    def in_tile(self, index: int) -> slice:
        """The points of a tile itself."""
        return slice(int(self.first[index]), int(self.first[index + 1]))

    def near(self, window: Window) -> NDArray[np.int64]:
        """Numbers of the points in a window."""
        down, across = self.lattice.tiles.layout
        side = self.lattice.tiles.side_px
        rows = range(max(window.row // side, 0), min((window.row_stop - 1) // side + 1, down))
        cols = max(window.col // side, 0), min((window.col_stop - 1) // side + 1, across)
        spans = [(self.first[row * across + cols[0]], self.first[row * across + cols[1]]) for row in rows]
        found = [np.arange(start, stop) for start, stop in spans if cols[0] < cols[1]]
        numbers = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        rows_at, cols_at = self.rows[numbers], self.cols[numbers]
        inside = (rows_at >= window.row) & (rows_at < window.row_stop)
        inside &= (cols_at >= window.col) & (cols_at < window.col_stop)
        return numbers[inside]

    def tiles_with_points(self) -> tuple[int, ...]:
        """Numbers of the tiles that see any point, in their surroundings at least."""
        tiles = self.lattice.tiles
        all_of_them = range(tiles.layout[0] * tiles.layout[1])
        return tuple(index for index in all_of_them if self.near(tiles.tile(index).read).size)


def plan(cloud: Cloud, settings: Settings) -> Lattice:
    """Cells for the points of a cloud.

    Raises :class:`TerrainError` where the extent has no points, or the cell size does not fit their spacing.
    """
    bounds = _bounds(cloud, settings)
    per_x, per_y = _metres_per_unit(bounds, cloud.crs)
    spacing_m = _spacing(np.column_stack([cloud.x * per_x, cloud.y * per_y]))
    spacing = spacing_m / math.sqrt(per_x * per_y)
    size = settings.cell_size or _round_number(CELLS_PER_SPACING * spacing)
    if size < SMALLEST_CELL * spacing:
        raise TerrainError(
            f"The cell size is {size:g}, but the points are {spacing:.3g} apart on average; give at least "
            f"{SMALLEST_CELL * spacing:.3g}, or make finer cells from the surface with 'Super-resolve DEM'."
        )
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    if size > max(width, height):
        raise TerrainError(
            f"The cell size is {size:g}, but the ground to be covered is {width:.4g} x {height:.4g}; give a smaller "
            f"one, such as {_round_number(CELLS_PER_SPACING * spacing):g}."
        )
    grid = _grid(bounds, size, cloud.crs)
    if grid.rows * grid.cols > MOST_CELLS:
        raise TerrainError(
            f"The surface would have {grid.rows} x {grid.cols} cells of {size:g}; give an EXTENT or a larger CELL_SIZE."
        )
    spacing_px = spacing / size
    reach = max(LEAST_REACH_PX, math.ceil(REACH_SPACINGS * spacing_px))
    return Lattice(grid, spacing_px, per_y / per_x, Tiles(grid.shape, reach), _room(cloud, grid, reach))


def _room(cloud: Cloud, grid: Grid, reach: int) -> Window:
    """The grid, and as far as there are points ``reach`` cells around."""
    top, bottom = ((grid.y0 - float(y)) / grid.dy for y in (cloud.y.max(), cloud.y.min()))
    left, right = ((float(x) - grid.x0) / grid.dx for x in (cloud.x.min(), cloud.x.max()))
    row, col = (min(max(math.floor(at) - FRAME_PX, -reach), 0) for at in (top, left))
    rows, cols = (
        max(min(math.ceil(at) + FRAME_PX, count + reach), count)
        for at, count in zip((bottom, right), grid.shape, strict=True)
    )
    return Window(row, col, rows - row, cols - col)


def _bounds(cloud: Cloud, settings: Settings) -> grids.Bounds:
    """West, south, east, north of the points, cut to the extent that was asked for."""
    west, east = float(cloud.x.min()), float(cloud.x.max())
    south, north = float(cloud.y.min()), float(cloud.y.max())
    if settings.extent is None:
        return west, south, east, north
    asked = grids.transform_bounds(settings.extent, settings.extent_crs, cloud.crs)
    if not grids.overlap((west, south, east, north), asked):
        raise TerrainError(
            "The extent (west {:.8g}, south {:.8g}, east {:.8g}, north {:.8g}) holds none of the points; choose "
            "another.".format(*asked)
        )
    return max(west, asked[0]), max(south, asked[1]), min(east, asked[2]), min(north, asked[3])


def _metres_per_unit(bounds: grids.Bounds, crs: str) -> tuple[float, float]:
    """Metres of one unit of the CRS to the east and to the north, in the middle."""
    x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    step = 1e-4
    width_m, height_m = grids.metres_per_cell(Grid(1, 1, x - step / 2, y + step / 2, step, step, crs))
    return float(width_m[0]) / step, float(height_m[0]) / step


def _spacing(places: Floats) -> float:
    """Side of the square that belongs to a point on average, from the distance of its eighth neighbour.

    Half of the points have less room, half more: gaps and the outline of the points do not count.
    """
    some = places[:: max(1, len(places) // ASKED)]
    distances = cKDTree(places).query(some, k=min(NEIGHBOURS + 1, len(places)))[0][:, -1]
    spacing = float(np.median(distances)) * math.sqrt(math.pi / min(NEIGHBOURS, len(places) - 1))
    if spacing == 0:
        raise TerrainError("The points stand at one place; a surface needs points that are apart.")
    return spacing


def _round_number(value: float) -> float:
    """Two digits of a number."""
    return float(f"{value:.1e}")


def _grid(bounds: grids.Bounds, size: float, crs: str) -> Grid:
    """Whole cells around the bounds, counted from the origin of the CRS, and the frame."""
    west, south, east, north = bounds
    left, right = math.floor(west / size), math.floor(east / size) + 1
    bottom, top = math.ceil(south / size) - 1, math.ceil(north / size)
    rows, cols = top - bottom + 2 * FRAME_PX, right - left + 2 * FRAME_PX
    return Grid(rows, cols, (left - FRAME_PX) * size, (top + FRAME_PX) * size, size, size, crs)
