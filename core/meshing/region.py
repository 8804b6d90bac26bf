"""The part of a DEM that is meshed: all of it, or what lies around the polygons of a mask.

Works on the lattice of :mod:`.ground`. Around a mask the mesh is made in blocks of cells and cut along the polygons
afterwards, so the blocks only have to hold every triangle that a polygon touches.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ..errors import TerrainError
from ..raster import Bools, Floats
from ..tiling import Window
from .ground import Placement

BLOCK_PX = 16
"""Side of the blocks of cells that a mask takes or leaves."""

MARGIN_PX = 2
"""Cells around the polygons that are meshed too."""


class Region:
    """What is to be meshed; without polygons everything.

    Attributes
    ----------
    area
        Polygons of the mask in lattice coordinates as one geometry, or None.

    """

    def __init__(self, area: BaseGeometry | None = None) -> None:
        self.area = area
        self._strips: dict[tuple[int, int], BaseGeometry] = {}
        self._lock = threading.Lock()  # GEOS makes the index of a prepared geometry at its first use
        if area is not None:
            shapely.prepare(area)

    @cached_property
    def rings(self) -> list[list[Floats]]:
        """Rings (N, 2) of column and row of each polygon, the outer one first."""
        if self.area is None:
            return []
        polygons = shapely.get_parts(self.area)
        return [[shapely.get_coordinates(ring) for ring in (one.exterior, *one.interiors)] for one in polygons]

    def touches(self, window: Window) -> bool:
        """Whether something of a window is to be meshed."""
        if self.area is None:
            return True
        low_col, low_row, high_col, high_row = _around(window.row, window.col, window.rows, window.cols)
        return bool(self._meets(shapely.box(low_col, low_row, high_col, high_row)))

    def near(self, window: Window) -> BaseGeometry | None:
        """What of the area lies in a window or within a cell of it; None if nothing does."""
        box = shapely.box(window.col - 1, window.row - 1, window.col_stop, window.row_stop)
        if self.area is None or not self._meets(box):
            return None
        with self._lock:
            inside = shapely.covers(self.area, box)
        return box if inside else polygonal(shapely.intersection(self._strip(window.row, window.row_stop), box))

    def _strip(self, first: int, stop: int) -> BaseGeometry:
        """The area around some rows, kept for the windows beside each other: cutting a long border takes its time."""
        with self._lock:
            if (first, stop) not in self._strips:
                west, _, east, _ = shapely.bounds(self.area)
                self._strips = {(first, stop): polygonal(self.area & shapely.box(west, first - 2, east, stop + 1))}
            return self._strips[first, stop]

    def blocks(self, window: Window) -> Bools | None:
        """Which of the blocks that a window touches are to be meshed, see `cells_of`; None for all of them.

        The same for a block whatever window it is in.
        """
        if self.area is None:
            return None
        rows = np.arange(window.row // BLOCK_PX, math.ceil(window.row_stop / BLOCK_PX)) * BLOCK_PX
        cols = np.arange(window.col // BLOCK_PX, math.ceil(window.col_stop / BLOCK_PX)) * BLOCK_PX
        low_col, low_row, high_col, high_row = _around(rows[:, None], cols[None, :], BLOCK_PX, BLOCK_PX)
        found: Bools = self._meets(shapely.box(low_col, low_row, high_col, high_row))
        return found

    def wanted(self, window: Window) -> Bools | None:
        """Which cells of a window are to be meshed; None for all of them."""
        blocks = self.blocks(window)
        return None if blocks is None else cells_of(blocks, window)

    def _meets(self, boxes: Any) -> Any:
        """Whether the area meets one box, or each of many."""
        with self._lock:
            return shapely.intersects(self.area, boxes)


def cells_of(blocks: Bools, window: Window) -> Bools:
    """The cells of a window that lie in blocks of `Region.blocks`."""
    cells = np.repeat(np.repeat(blocks, BLOCK_PX, 0), BLOCK_PX, 1)
    top, left = window.row % BLOCK_PX, window.col % BLOCK_PX
    found: Bools = cells[top : top + window.rows, left : left + window.cols]
    return found


def polygonal(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a shape, without its lines and points."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])


def region_of(polygons: Sequence[BaseGeometry], placement: Placement) -> Region:
    """The region that polygons on the map make; refuses those that miss the DEM."""
    area = shapely.transform(shapely.union_all(list(polygons)), placement.on_lattice)
    area = polygonal(area if shapely.is_valid(area) else shapely.make_valid(area))
    rows, cols = placement.grid.shape
    if not shapely.intersects(area, shapely.box(0, 0, cols - 1, rows - 1)):
        raise TerrainError(
            "The mask lies beyond the centres of the DEM's outer cells, where the mesh ends; choose larger polygons, "
            "or check the CRS of both."
        )
    return Region(area)


Edge = int | NDArray[np.int64]


def _around(row: Edge, col: Edge, rows: int, cols: int) -> tuple[Edge, Edge, Edge, Edge]:
    """West, north, east and south of cells on the lattice, with the margin."""
    return col - MARGIN_PX, row - MARGIN_PX, col + cols - 1 + MARGIN_PX, row + rows - 1 + MARGIN_PX
