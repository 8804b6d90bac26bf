"""A raster of a mesh: its height at the centre of every cell, block by block, in bounded memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import grid as grids
from .. import pipeline, provenance, raster, readiness
from ..errors import TerrainError
from ..grid import TOLERANCE_PX, Grid
from ..jobs.meshtoraster import Settings
from ..mesh_check import Facets
from ..progress import Progress
from ..raster import DEFAULT_NODATA, Encoded, Sink, Writing
from ..tiling import BLOCK_PX, Tile
from ..triangles import Floats
from .surface import Surface, opened, text_of

TOUCH_PX = 1e-5
"""A cell whose centre is so near to the mesh has its height: coordinates in files are rounded."""


MOST_CELLS = 20_000_000_000
"""Larger rasters come from a cell size in the wrong unit, and would not fit a disk."""


@dataclass(frozen=True)
class Heights:
    """What is done with one block; safe to call from several threads."""

    facets: Facets
    writing: Writing
    unit_m: float

    def read(self, tile: Tile) -> None:
        """Nothing: the triangles are in memory."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Floats]:
        """Heights in the mesh's unit; NaN beside the mesh."""
        del data
        return [self.facets.highest(tile) for tile in tiles]

    def encode(self, tile: Tile, heights: Floats) -> tuple[Encoded, int]:
        """The block as it is stored, and how many of its cells have a height."""
        del tile
        valid = ~np.isnan(heights)
        stored = raster.encode(self.writing, np.where(valid, heights * self.unit_m, 0.0), valid)
        return stored, int(np.count_nonzero(valid))


def to_raster(settings: Settings, progress: Progress) -> dict:
    """Make the raster; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the mesh and the grid do not fit, or no cell gets a height.
    """
    started_s = time.monotonic()
    progress.report(0, "Reading the mesh")
    with raster.environment():
        surface = opened(settings, progress)
        readiness.prepare(progress.step(0, 0.02), "check")
        if not surface.crs:
            progress.warn(
                "The mesh has no CRS, so the raster has none either; give one as CRS, or set it on the layer."
            )
        grid = _target(settings, surface, progress)
        covered = _written(settings, surface, grid, progress)
    return {
        "output": settings.output, "rows": grid.rows, "columns": grid.cols, "cell_width": grid.dx,
        "cell_height": grid.dy, "covered": covered, "covered_share": covered / (grid.rows * grid.cols),
        "triangles": len(surface.faces), "z_unit": surface.unit, "crs": grid.crs, "warnings": list(progress.warnings),
        "seconds": round(time.monotonic() - started_s, 3),
    }  # fmt: skip


def _written(settings: Settings, surface: Surface, grid: Grid, progress: Progress) -> int:
    """Write the file; returns how many cells have a height."""
    progress.report(0.1, "Sorting the triangles")
    writing = _writing(settings, surface)
    facets = Facets(surface.over(grid), surface.faces, grid.shape, BLOCK_PX, TOUCH_PX)
    covered = 0
    sink = Sink(settings.output, grid, writing)
    try:

        def append(tile: Tile, made: tuple[Encoded, int]) -> None:
            nonlocal covered
            sink.append(tile.index, tile.write, made[0])
            covered += made[1]

        work = Heights(facets, writing, surface.unit_m or 1.0)
        pipeline.run(facets.blocks, list(facets.blocks), work, append, progress.step(0.15, 0.98))
        if not covered:
            raise TerrainError(
                f"The centre of no cell lies on the mesh ({text_of(surface.bounds)}); choose smaller cells or another "
                "target grid."
            )
        sink.commit()
    finally:
        sink.discard()
    return covered


def _writing(settings: Settings, surface: Surface) -> Writing:
    tags = {"NEURAL_TERRAIN_VERSION": provenance.version(), "NEURAL_TERRAIN_MESH": surface.name}
    known = surface.unit_m is not None
    return Writing(
        unit=surface.unit if known else "metre",
        label="" if known else surface.unit,
        nodata=DEFAULT_NODATA if settings.nodata is None else settings.nodata,
        compression=settings.compression,
        tags=tags,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The grid


def _target(settings: Settings, surface: Surface, progress: Progress) -> Grid:
    grid = _wanted(settings, surface, progress)
    if grid.rows * grid.cols > MOST_CELLS:
        raise TerrainError(
            f"The raster would have {grid.rows:,} rows and {grid.cols:,} columns, more than {MOST_CELLS / 1e9:g} "
            "billion cells; choose larger cells or another target grid."
        )
    return grid


def _wanted(settings: Settings, surface: Surface, progress: Progress) -> Grid:
    if settings.grid:
        return _like(raster.read_grid(settings.grid), surface)
    known, size = surface.grid, settings.cell_size
    if size is None and known is not None:
        progress.info(f"The cells are those that the mesh was made from, {known.dx:.6g} x {known.dy:.6g}.")
        return _around(surface, known)
    if size is None:
        size = surface.cell_size
        progress.info(f"The mesh names no grid; cells of {size:g}, about one for two triangles, are taken.")
    west, _, _, north = surface.bounds
    corner = (known.x0, known.y0) if known is not None else (west, north)
    return _around(surface, Grid(1, 1, *corner, size, size, surface.crs))


def _like(grid: Grid, surface: Surface) -> Grid:
    """The cells of another raster."""
    if grid.crs and surface.crs and not grids.same_crs(grid.crs, surface.crs):
        raise TerrainError(
            f"The target grid is in {grids.crs_name(grid.crs)}, the mesh in {grids.crs_name(surface.crs)}; "
            f"{grids.WARP_HINT}."
        )
    if not grids.overlap(grid.bounds, surface.bounds):
        raise TerrainError(
            f"The target grid ({text_of(grid.bounds)}) does not touch the mesh ({text_of(surface.bounds)}); choose "
            "another one, or check the CRS of both."
        )
    return replace(grid, crs=surface.crs or grid.crs)


def _around(surface: Surface, grid: Grid) -> Grid:
    """The cells, counted from the corner of ``grid``, whose centres lie within the bounds of the mesh; one at least."""
    west, south, east, north = surface.bounds
    first_col, cols = _centres((west - grid.x0) / grid.dx, (east - grid.x0) / grid.dx)
    first_row, rows = _centres((grid.y0 - north) / grid.dy, (grid.y0 - south) / grid.dy)
    return replace(
        grid, rows=rows, cols=cols, x0=grid.x0 + first_col * grid.dx, y0=grid.y0 - first_row * grid.dy, crs=surface.crs
    )


def _centres(low: float, high: float) -> tuple[int, int]:
    """The first cell whose centre is at ``low`` or after it, and how many there are up to ``high``."""
    first = math.ceil(low - 0.5 - TOLERANCE_PX)
    return first, max(math.floor(high - 0.5 + TOLERANCE_PX) - first + 1, 1)
