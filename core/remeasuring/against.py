"""A mesh against a DEM, block by block: what is compared, with what the user has to hear about both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .. import grid as grids
from .. import pipeline, provenance, raster
from ..errors import TerrainError
from ..grid import Grid
from ..jobs.meshreport import Settings
from ..maps import factor_of
from ..mesh_check import Accuracy, Facets, Measured, Worst, measure
from ..progress import Progress
from ..raster import Bools, Encoded, Reading, Sink, Source, Writing
from ..tiling import BLOCK_PX, Tile
from ..triangles import Floats
from ..vertical import METRES
from .surface import Surface, text_of

TOUCH_PX = 1e-6
"""Cells so near to the mesh are on it: coordinates in files are rounded."""


@dataclass(frozen=True)
class Compared:
    """What came out.

    Attributes
    ----------
    grid
        Of the DEM.
    accuracy, worst
        In the mesh's unit.
    shown, factor
        The largest error in each square of ``factor`` x ``factor`` cells, for a picture; NaN where there is none.

    """

    grid: Grid
    accuracy: Accuracy
    worst: Worst
    shown: Floats
    factor: int


def opened_dem(settings: Settings, surface: Surface, progress: Progress) -> Source:
    """Open the DEM; one that cannot be compared with the mesh is refused."""
    source = Source(settings.dem, Reading(settings.band, settings.dem_crs, settings.dem_no_data, settings.z_unit))
    try:
        _refuse(source, surface)
    except BaseException:
        source.close()
        raise
    if bool(source.grid.crs) != bool(surface.crs):
        without = "mesh" if source.grid.crs else "DEM"
        progress.warn(f"The {without} has no CRS; its coordinates are taken as those of the other.")
    if source.unknown_unit:
        progress.warn(f"The DEM calls its vertical unit {source.unknown_unit!r}, which is not known; metres are taken.")
    return source


def _refuse(source: Source, surface: Surface) -> None:
    dem = source.grid
    if dem.crs and surface.crs and not grids.same_crs(dem.crs, surface.crs):
        raise TerrainError(
            f"The mesh is in {grids.crs_name(surface.crs)}, the DEM in {grids.crs_name(dem.crs)}; reproject the DEM "
            "with 'Warp (reproject)', or give the mesh its right CRS."
        )
    if surface.unit_m is None:
        raise TerrainError(
            f"The mesh is a model in {surface.unit}s, not terrain, so it cannot be compared with a DEM; leave the DEM "
            "empty."
        )
    if not grids.overlap(_widened(dem), surface.bounds):
        raise TerrainError(
            f"The mesh ({text_of(surface.bounds)}) does not touch the DEM ({text_of(dem.bounds)}); check the CRS of "
            "both."
        )


def _widened(dem: Grid) -> tuple[float, float, float, float]:
    """Bounds of a DEM; a mesh that has no width, because it stands on end, still touches it."""
    west, south, east, north = dem.bounds
    return west - dem.dx / 2, south - dem.dy / 2, east + dem.dx / 2, north + dem.dy / 2


@dataclass(frozen=True)
class Errors:
    """What is done with one block; safe to call from several threads. ``writing`` is None where no raster is wanted."""

    facets: Facets
    source: Source
    unit_m: float
    writing: Writing | None

    def read(self, tile: Tile) -> tuple[Floats, Bools]:
        """The DEM in the mesh's unit."""
        heights_m, valid = self.source.read(tile.read)
        return heights_m / self.unit_m, valid

    def compute(self, tiles: Sequence[Tile], data: Sequence[tuple[Floats, Bools]]) -> list[Measured]:
        """Compare a batch of blocks."""
        return [measure(self.facets, tile, *dem) for tile, dem in zip(tiles, data, strict=True)]

    def encode(self, tile: Tile, found: Measured) -> tuple[Measured, Encoded | None]:
        """Errors as they are stored."""
        del tile
        if self.writing is None:
            return found, None
        valid = ~np.isnan(found.errors)
        return found, raster.encode(self.writing, np.where(valid, found.errors * self.unit_m, 0.0), valid)


@dataclass
class Gathered:
    """What was found so far; call it with the blocks in any order."""

    worst: Worst
    shown: Floats
    factor: int
    sink: Sink | None
    accuracy: Accuracy = field(default_factory=Accuracy)

    def __call__(self, tile: Tile, made: tuple[Measured, Encoded | None]) -> None:
        """Take in a block."""
        found, encoded = made
        self.accuracy += found.accuracy
        self.worst.add(found)
        _show(self.shown, found.errors, (tile.write.row, tile.write.col), self.factor)
        if self.sink is not None and encoded is not None:
            self.sink.append(tile.index, tile.write, encoded)


def compared(source: Source, surface: Surface, sink: Sink | None, progress: Progress) -> Compared:
    """Compare all blocks; refuses a DEM without any cell on the mesh."""
    grid, factor = source.grid, factor_of(source.grid.shape)
    facets = Facets(surface.over(grid), surface.faces, grid.shape, BLOCK_PX, TOUCH_PX)
    shown = np.full([math.ceil(size / factor) for size in grid.shape], np.nan)
    gathered = Gathered(Worst(len(surface.faces)), shown, factor, sink)
    work = Errors(facets, source, surface.unit_m or 1.0, sink.writing if sink else None)
    pipeline.run(facets.blocks, list(facets.blocks), work, gathered, progress)
    if not gathered.accuracy.covered:
        raise TerrainError("The mesh lies over no cell of the DEM that has a height; check no-data and CRS of both.")
    return Compared(replace(grid, crs=surface.crs or grid.crs), gathered.accuracy, gathered.worst, shown, factor)


def writing(surface: Surface, dem: str) -> Writing:
    """What the error raster looks like."""
    tags = {"NEURAL_TERRAIN_VERSION": provenance.version(), "NEURAL_TERRAIN_COMPARED": f"{surface.name} minus {dem}"}
    unit = surface.unit if surface.unit in METRES else "metre"
    return Writing(unit=unit, description="Mesh minus DEM", tags=tags)


def _show(shown: Floats, errors: Floats, place: tuple[int, int], factor: int) -> None:
    """Keep the error of the largest size in every square of ``factor`` x ``factor`` cells."""
    (down, rows), (across, cols) = (_squares(at, size, factor) for at, size in zip(place, errors.shape, strict=True))
    high, low = (best.reduceat(best.reduceat(errors, down, axis=0), across, axis=1) for best in (np.fmax, np.fmin))
    part = shown[rows[0] : rows[1], cols[0] : cols[1]]
    for one in (high, low):
        larger = ~np.isnan(one) & ~(np.abs(part) >= np.abs(one))
        part[larger] = one[larger]


def _squares(place: int, count: int, factor: int) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Where squares begin among ``count`` cells from ``place`` on, and the first and the end of their numbers."""
    numbers = np.arange(place, place + count) // factor
    return np.flatnonzero(np.diff(numbers, prepend=-1)), (int(numbers[0]), int(numbers[-1]) + 1)
