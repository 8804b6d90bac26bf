"""The grid of the result: which CRS, which cells, which part. Reads the target raster, else only computes."""

from __future__ import annotations

import math
from dataclasses import replace

from .. import grid as grids
from .. import raster
from ..errors import TerrainError
from ..grid import TOLERANCE_PX, Bounds, Grid
from ..jobs.resampledem import Settings
from ..progress import Progress

DIGITS = 2
"""Digits of a cell size that nobody has given."""


def target_of(settings: Settings, source: Grid, progress: Progress) -> Grid:
    """The cells of the result: those of GRID, else of CELL_SIZE in TARGET_CRS; then cut to EXTENT."""
    grid = _like(settings, source) if settings.grid else _made(settings, source, progress)
    if settings.extent is None:
        return grid
    found = grids.bounds_on(grid, settings.extent, settings.extent_crs)
    return grids.cropped(grid, _turned(found, grid.bounds, grid.crs))


def said_of_heights(settings: Settings, source: Grid, target: Grid, progress: Progress) -> Grid:
    """The target with a CRS that is true of its heights: nothing is done to them, whatever its vertical part says."""
    here, there = grids.vertical_name(source.crs), grids.vertical_name(target.crs)
    if there and there != here:
        progress.warn(
            f"Heights are not changed: those of the DEM refer to {here or 'an unknown vertical datum'}, the target CRS "
            f"names {there}. The result gets the horizontal part of that CRS."
        )
        return replace(target, crs=grids.horizontal_part(target.crs))
    if here and not there:
        progress.info(f"Heights still refer to {here}; the target CRS does not say so.")
    return target


def _like(settings: Settings, source: Grid) -> Grid:
    grid = raster.read_grid(settings.grid)
    if bool(grid.crs) != bool(source.crs):
        which = "target grid" if source.crs else "DEM"
        raise TerrainError(f"The {which} has no CRS; give it one with 'Assign projection'.")
    around = grids.surroundings(source, grid.crs)
    if around is not None and not grids.overlap(_turned(around, grid.bounds, grid.crs), grid.bounds):
        raise TerrainError(f"The target grid {settings.grid} does not touch the DEM; choose one that does.")
    return grid


def _made(settings: Settings, source: Grid, progress: Progress) -> Grid:
    """Cells whose edges are whole multiples of the cell size; the DEM's own where nothing else is asked for."""
    if settings.target_crs and not source.crs:
        raise TerrainError(
            "The DEM has no CRS, so it cannot be put into another; give it one with 'Assign projection'."
        )
    crs = grids.crs_of(settings.target_crs).to_wkt() if settings.target_crs else source.crs
    _refuse_without_map(crs)
    if grids.same_crs(crs, source.crs) and settings.cell_size is None:
        return replace(source, crs=crs)
    size = settings.cell_size
    if size is None:
        size = _usual_size(source, crs)
        progress.info(f"Cell size: {size:g} in units of {grids.crs_name(crs)}, about that of the DEM.")
    return _aligned(_bounds(settings, source, crs), size, crs)


def _refuse_without_map(crs: str) -> None:
    if crs and not grids.is_map(crs):
        raise TerrainError(f"The target CRS {grids.crs_name(crs)} has no plane; choose a projected or geographic one.")


def _bounds(settings: Settings, source: Grid, crs: str) -> Bounds:
    """Around the DEM, or where it is larger than its target CRS, around the extent."""
    around = grids.surroundings(source, crs)
    if around is not None:
        return around
    if settings.extent is None:
        raise TerrainError(f"The DEM is larger than {grids.crs_name(crs)} can show; give an extent.")
    return grids.transform_bounds(settings.extent, settings.extent_crs, crs)


def _usual_size(source: Grid, crs: str) -> float:
    """Side of a square as large as a cell in the middle of the DEM, rounded."""
    area = grids.area_of_cell(source, crs)
    if not (math.isfinite(area) and area > 0):
        raise TerrainError(f"The middle of the DEM has no place in {grids.crs_name(crs)}; give a cell size.")
    return float(f"{math.sqrt(area):.{DIGITS}g}")


def _aligned(bounds: Bounds, size: float, crs: str) -> Grid:
    """Cells around ``bounds`` from whole multiples of their size."""
    low = [math.floor(at / size + TOLERANCE_PX) for at in bounds[:2]]
    high = [max(math.ceil(at / size - TOLERANCE_PX), least + 1) for at, least in zip(bounds[2:], low, strict=True)]
    return Grid(high[1] - low[1], high[0] - low[0], low[0] * size, high[1] * size, size, size, crs)


def _turned(bounds: Bounds, other: Bounds, crs: str) -> Bounds:
    """Bounds in degrees turned round the globe to where they touch others, if they do anywhere."""
    west, south, east, north = bounds
    for turn_deg in (0.0, 360.0, -360.0) if grids.is_geographic(crs) else ():
        turned = west + turn_deg, south, east + turn_deg, north
        if grids.overlap(turned, other):
            return turned
    return bounds
