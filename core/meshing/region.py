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
        self._lock = threading.Lock()  # GEOS makes the index of a prepared geometry at its first use
        if area is not None:
            shapely.prepare(area)

    @cached_property
    def rings(self) -> list[list[Floats]]:
        """Rings (N, 2) of column and row of each polygon, the outer one first."""
        if self.area is None:
            return []
        polygons = [part for part in shapely.get_parts(self.area) if part.geom_type == "Polygon"]
        return [[shapely.get_coordinates(ring) for ring in (one.exterior, *one.interiors)] for one in polygons]

    def touches(self, window: Window) -> bool:
        """Whether something of a window is to be meshed."""
        if self.area is None:
            return True
        low_col, low_row, high_col, high_row = _around(window.row, window.col, window.rows, window.cols)
        return bool(self._meets(shapely.box(low_col, low_row, high_col, high_row)))

    def wanted(self, window: Window) -> Bools | None:
        """Which cells of a window are to be meshed; None for all of them. The same whatever window they are in."""
        if self.area is None:
            return None
        first_row, first_col = window.row // BLOCK_PX, window.col // BLOCK_PX
        rows = np.arange(first_row, math.ceil(window.row_stop / BLOCK_PX)) * BLOCK_PX
        cols = np.arange(first_col, math.ceil(window.col_stop / BLOCK_PX)) * BLOCK_PX
        low_col, low_row, high_col, high_row = _around(rows[:, None], cols[None, :], BLOCK_PX, BLOCK_PX)
        touched = self._meets(shapely.box(low_col, low_row, high_col, high_row))
        cells = np.repeat(np.repeat(touched, BLOCK_PX, 0), BLOCK_PX, 1)
        top, left = window.row - first_row * BLOCK_PX, window.col - first_col * BLOCK_PX
        found: Bools = cells[top : top + window.rows, left : left + window.cols]
        return found

    def _meets(self, boxes: Any) -> Any:
        """Whether the area meets one box, or each of many."""
        with self._lock:
            return shapely.intersects(self.area, boxes)


def region_of(polygons: Sequence[BaseGeometry], placement: Placement) -> Region:
    """The region that polygons on the map make; refuses those that miss the DEM."""
    area = shapely.transform(shapely.union_all(list(polygons)), placement.on_lattice)
    area = area if shapely.is_valid(area) else shapely.make_valid(area)
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
