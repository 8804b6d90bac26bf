"""What a user has drawn for a mesh: polygons that it ends at and lines that its edges follow, in the DEM's CRS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from .. import vector
from ..errors import TerrainError
from ..grid import Bounds, Grid
from ..jobs.terrainmesh import Settings
from ..raster import Floats

MARGIN_PX = 4
"""Cells of the DEM that a finer one reaches beyond a mask."""

TOLERANCE_PX = 0.05
"""Cells of the meshed DEM that edges may be off where they change their CRS."""


@dataclass(frozen=True)
class Drawn:
    """Polygons of the mask and breaklines (N, 2) of x and y; none where there are no such layers."""

    polygons: Sequence[BaseGeometry] = ()
    lines: Sequence[Floats] = ()

    def extent(self, grid: Grid) -> Bounds | None:
        """Part of a DEM that is needed; None for all of it."""
        if not self.polygons:
            return None
        west, south, east, north = shapely.union_all(list(self.polygons)).bounds
        across, down = MARGIN_PX * grid.dx, MARGIN_PX * grid.dy
        return west - across, south - down, east + across, north + down


def read(settings: Settings, grid: Grid) -> Drawn:
    """Read the layers of ``settings`` as far as a DEM's grid reaches; a TerrainError says what is wrong with them."""
    tolerance = TOLERANCE_PX * min(grid.dx, grid.dy, settings.cell_size or math.inf)  # of the finer cells, if any
    polygons, lines = Drawn.polygons, Drawn.lines
    if settings.mask:
        polygons = vector.read_polygons(
            settings.mask, settings.mask_layer, grid.crs, bounds=grid.bounds, tolerance=tolerance
        )
        if not polygons:
            raise TerrainError(
                f"The mask {settings.mask} does not touch the DEM; choose polygons of the same ground, and check the "
                "CRS of both."
            )
    if settings.breaklines:
        lines = vector.read_lines(
            settings.breaklines, settings.breaklines_layer, grid.crs, bounds=grid.bounds, tolerance=tolerance
        )
    return Drawn(polygons, lines)
