"""A DEM as a continuous surface that is asked at any position, tile by tile: what all tools of the toolbox start from.

Positions are in cells of the DEM, ``(rows, cols)`` from its upper left corner: cell ``i`` covers ``[i, i + 1]``.
Heights are metres. What a position is told depends on the position alone, not on the tile, the thread or the other
positions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import grid as grids
from . import inputs, raster
from .elevation import card, compute, surface
from .elevation.kernels import Queries
from .elevation.relief import Points, Relief, Where, shape_of
from .elevation.scattered import LAYERS
from .elevation.surface import CoarseHeights, Surface
from .jobs.dem import DemSettings
from .progress import Progress
from .raster import Bools, Floats, Reading, Source
from .tiling import Crew, Tile, Window

SIDE_PX = 256
"""Cells per side of a tile: large enough that the halo costs less than the tile itself."""

FINEST_PX = 1 / 8
"""Size of the fine cells whose forms the surface shows: the finest that the models were trained for."""

MOST_LANES = 8
"""Tiles encoded at a time at most."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of a DEM, row by row: ``write`` is what a tile answers for, ``read`` that and the halo.

    Read windows have one shape and may reach beyond the raster. ``only`` are the numbers of those to be done.
    """

    shape: tuple[int, int]
    halo_px: int
    only: tuple[int, ...] | None = None
    side_px: int = SIDE_PX

    @property
    def layout(self) -> tuple[int, int]:
        """Number of tiles down and across."""
        rows, cols = (-(-size // self.side_px) for size in self.shape)
        return rows, cols

    @property
    def crew(self) -> Crew:
        """A tile for every core."""
        return Crew(lanes=max(1, min(compute.cores(), MOST_LANES, len(self))))

    def __len__(self) -> int:
        """Number of tiles to be done."""
        return self.layout[0] * self.layout[1] if self.only is None else len(self.only)

    def __iter__(self) -> Iterator[Tile]:
        """Tiles to be done, in the order of their numbers."""
        return (self.tile(index) for index in (range(len(self)) if self.only is None else self.only))

    def tile(self, index: int) -> Tile:
        """The tile number ``index``."""
        down, across = divmod(index, self.layout[1])
        row, col, side, halo = down * self.side_px, across * self.side_px, self.side_px, self.halo_px
        write = Window(row, col, min(side, self.shape[0] - row), min(side, self.shape[1] - col))
        return Tile(index, write, Window(row - halo, col - halo, side + 2 * halo, side + 2 * halo))

    def number_of(self, rows: Floats, cols: Floats) -> NDArray[np.int64]:
        """Number of the tile that answers for each position; -1 for those outside of the DEM."""
        height, width = self.shape
        inside = (rows >= 0) & (rows <= height) & (cols >= 0) & (cols <= width)
        down, across = (
            np.minimum(np.where(inside, at, 0.0), size - 1).astype(np.int64) // self.side_px
            for at, size in ((rows, height), (cols, width))
        )
        return np.where(inside, down * self.layout[1] + across, -1)


@dataclass(frozen=True)
class Encoded:
    """One tile that can be asked; ``latent`` is None where no cell of its read window has a height."""

    tile: Tile
    valid: Bools
    latent: Any


class Continuous:
    """A DEM and a model; safe to ask from several threads."""

    def __init__(self, source: Source, model: Surface, point_sampled: bool) -> None:
        self.source, self.model, self.point_sampled = source, model, point_sampled
        self.grid = source.grid
        self.cell_m = grids.metres_per_cell(source.grid)
        self._files = inputs.identity(source)

    def tiles(self, only: tuple[int, ...] | None = None) -> Tiles:
        """All tiles, or those with these numbers."""
        return Tiles(self.grid.shape, self.model.halo_px, only)

    def encode(self, tile: Tile) -> Encoded:
        """Read a tile and prepare it for questions."""
        heights, valid = self.source.read(tile.read)
        rows = raster.mirror(tile.read.row, tile.read.row_stop, self.grid.rows)
        width_m, height_m = (size[rows] for size in self.cell_m)
        fitted = self.source.read_fitted(tile.read)
        known = CoarseHeights(heights, valid, width_m, height_m, self.point_sampled, fitted=fitted)
        return Encoded(tile, valid, self.model.encode(known) if valid.any() else None)

    def at(self, rows: Floats, cols: Floats) -> Points:
        """Scattered positions of the DEM."""
        return Points(rows, cols, FINEST_PX, FINEST_PX)

    def lattice(self, rows: Floats, cols: Floats) -> Queries:
        """Every row of the DEM with every column."""
        return Queries(rows, cols, FINEST_PX, FINEST_PX)

    def relief(self, encoded: Encoded, where: Where, degree: int) -> Relief:
        """The surface and its derivatives at positions of the tile, counted from the corner of the DEM.

        NaN where the position lies in a cell without height, or outside of the DEM.
        """
        local = _shifted(where, encoded.tile.read)
        if encoded.latent is None:
            return _nothing(where, degree)
        return self.model.relief(encoded.latent, local, degree).where(self.known(encoded, where))

    def error90(self, encoded: Encoded, where: Where) -> Floats:
        """Half width in metres of the band that holds the true height nine times in ten; NaN as in :meth:`relief`."""
        if encoded.latent is None:
            return np.full(shape_of(where), np.nan)
        band = self.model.error90(encoded.latent, _shifted(where, encoded.tile.read))
        return np.where(self.known(encoded, where), band, np.nan)

    def known(self, encoded: Encoded, where: Where) -> Bools:
        """Whether positions lie in a cell that has a height; those on the outermost edge count as inside."""
        read, (height, width) = encoded.tile.read, self.grid.shape
        down, inside_rows = _cells(where.rows, height, read.row, read.rows)
        across, inside_cols = _cells(where.cols, width, read.col, read.cols)
        if isinstance(where, Points):
            points: Bools = encoded.valid[down, across] & inside_rows & inside_cols
            return points
        lattice: Bools = encoded.valid[np.ix_(down, across)]
        return lattice & inside_rows[:, None] & inside_cols

    def refuse_changed(self) -> None:
        """Refuse a DEM that has changed since it was opened; to be asked before what was made of it is put in place."""
        inputs.refuse_changed(self.source, self._files)


@contextlib.contextmanager
def opened(settings: DemSettings, progress: Progress) -> Iterator[Continuous]:
    """The DEM and the model that the settings name; closed when the block is left."""
    reading = Reading(settings.band, settings.crs, settings.no_data, settings.z_unit)
    with Source(settings.input, reading) as source:
        progress.report(0, "Loading the model")
        model = _model(settings, source)
        if source.is_fitted:
            progress.info("The input is a fitted surface and is asked itself; no model is used.")
        point = source.is_point if settings.sampling == "auto" else settings.sampling == "point"
        compute.share_cores(compute.cores())
        ground = Continuous(source, model, point)
        raster.announce(source, progress)
        for text in model.card.warnings_of(grids.typical_m(ground.cell_m), 1.0):
            progress.warn(text)
        yield ground


def _model(settings: DemSettings, source: Source) -> Surface:
    """The surface; one whose derivatives are differences is computed in single precision, lest they be noise."""
    found = card.for_input(settings.model, source.is_fitted)
    model = surface.load(found, compute.choose(settings.device))
    if model.by_differences and model.compute.dtype != "float32":
        model = surface.load(found, compute.choose(settings.device, "float32"))
    return model


def _shifted(where: Where, read: Window) -> Where:
    """Positions counted from the corner of a read window."""
    return replace(where, rows=where.rows - read.row, cols=where.cols - read.col)


def _cells(at: Floats, count: int, first: int, length: int) -> tuple[NDArray[np.int64], Bools]:
    """Cells of a read window under positions along one axis, and which of the positions lie on the DEM."""
    inside: Bools = (at >= 0) & (at <= count)
    cells = np.minimum(np.floor(np.where(inside, at, 0.0)), count - 1).astype(np.int64) - first
    return cells.clip(0, length - 1), inside


def _nothing(where: Where, degree: int) -> Relief:
    return Relief.of(np.full((LAYERS[degree], *shape_of(where)), np.nan))
