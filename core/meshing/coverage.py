"""How much ground a mesh has to cover: counted from the cells of the DEM and from the mask, never from the mesh.

The ground is made of squares between four cells with heights, and halves of squares where one of the four has none.
Areas of triangles on the lattice are exact, so a mesh of a whole DEM covers exactly that; along a mask its border may
be off by a little for each cell of its length.
"""

from __future__ import annotations

import itertools

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from ..raster import Bools, Floats
from ..tiling import Tile
from .region import Region, polygonal

EXACT = 1e-3
"""Cells that the area may be off by rounding; the smallest triangle has a 32nd of a cell."""

STEP_PX = 1 / 4096
"""How far the border of a mesh may be from that of the mask, see :mod:`..mesh.clip`."""


LEAF_PX = 8
"""Side of parts of a block whose squares are cut along the mask one by one."""


class Coverage:
    """The ground in a region; safe to use from several threads."""

    def __init__(self, region: Region) -> None:
        self._region = region

    def area_of(self, tile: Tile, valid: Bools) -> float:
        """Area, in cells, of the squares of a block of :class:`..mesh_check.Blocks`, with ``valid`` over ``read``."""
        areas = squares(valid)
        if self._region.area is None or not areas.any():
            return float(areas.sum())
        near = self._region.near(tile.read)
        if near is None:
            return 0.0
        return _within(near, areas, valid, (tile.read.col, tile.read.row))

    def tolerance(self, shape: tuple[int, int]) -> float:
        """How far the area of a mesh may be from that of the ground, in cells."""
        if self._region.area is None:
            return EXACT
        rows, cols = shape
        border = shapely.intersection(shapely.boundary(self._region.area), shapely.box(0, 0, cols - 1, rows - 1))
        return EXACT + STEP_PX * float(shapely.length(border))


def squares(valid: Bools) -> Floats:
    """Area of the ground in every square between four cells: 1, a half, or 0."""
    count = valid[:-1, :-1].astype(np.int64) + valid[:-1, 1:] + valid[1:, :-1] + valid[1:, 1:]
    return np.where(count == 4, 1.0, np.where(count == 3, 0.5, 0.0))


def _within(area: BaseGeometry, areas: Floats, valid: Bools, first: tuple[int, int]) -> float:
    """Area of the ground inside of polygons; ``first`` are the column and the row of the first cell.

    Squares that the border of the polygons crosses are cut one by one, in quarters of quarters of the block: what has
    to be looked at of a long border is then short.
    """
    rows, cols = areas.shape
    box = shapely.box(first[0], first[1], first[0] + cols, first[1] + rows)
    if not areas.any() or not shapely.intersects(area, box):
        return 0.0
    if shapely.covers(area, box):
        return float(areas.sum())
    area = polygonal(shapely.intersection(area, box))
    if areas.min() == 1:
        return float(shapely.area(area))
    if max(rows, cols) <= LEAF_PX:
        return _cut(area, areas, valid, first)
    total = 0.0
    for row, col in itertools.product((0, (rows + 1) // 2), (0, (cols + 1) // 2)):
        down, across = slice(row, row + (rows + 1) // 2), slice(col, col + (cols + 1) // 2)
        corners = valid[row : down.stop + 1, col : across.stop + 1]
        total += _within(area, areas[down, across], corners, (first[0] + col, first[1] + row))
    return total


def _cut(area: BaseGeometry, areas: Floats, valid: Bools, first: tuple[int, int]) -> float:
    """The same for a few squares, each of which is cut."""
    rows, cols = np.nonzero(areas)
    left, top = cols + first[0], rows + first[1]
    shapes = shapely.box(left, top, left + 1, top + 1)
    halves = areas[rows, cols] < 1
    shapes[halves] = _halves(valid, rows[halves], cols[halves], first)
    return float(shapely.area(shapely.intersection(area, shapes)).sum())


def _halves(valid: Bools, rows: np.ndarray, cols: np.ndarray, first: tuple[int, int]) -> np.ndarray:
    """The triangles of squares with three known corners."""
    steps = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])  # row and column, once around
    at = np.stack([rows, cols], axis=1)[:, None] + steps  # (N, 4, 2)
    known = valid[at[..., 0], at[..., 1]]
    corners = at[known].reshape(-1, 3, 2)[:, :, ::-1] + np.array(first)
    found: np.ndarray = shapely.polygons(corners.astype(float))
    return found
