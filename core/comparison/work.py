"""What is done with one block: both DEMs read and measured, differences encoded; or the input's averages checked.

Nothing here knows other blocks, their order, or where they are measured: threads, or workers of a cluster. A block is
read in its lane, together with the measuring: most of the reading is resampling, which is work for every core.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import maps, raster
from ..evaluation import ALIGN_PX, Consistency, Evaluation
from ..grid import Grid
from ..maps import Piece
from ..quality import Block
from ..raster import Encoded, Writing
from ..resampling import Resampled
from ..tiling import Crew, Tile, Window
from .ground import Ground, Rasters

BLOCK_PX = 4 * ALIGN_PX
"""Side of the inner part of blocks, which overlap by one cell around."""

COARSE_BLOCK_PX = 256

SMALLEST_SPECTRUM_PX = 16

MOST_LANES = 8
"""Blocks measured at a time at most: each takes up to 80 MB."""


@dataclass(frozen=True)
class Blocks:
    """All blocks of a grid, row by row. They write ``side_px`` cells and read ``ring_px`` more on every side."""

    shape: tuple[int, int]
    side_px: int
    ring_px: int

    def __len__(self) -> int:
        """Number of blocks."""
        return math.prod(math.ceil(size / self.side_px) for size in self.shape)

    def __iter__(self) -> Iterator[Tile]:
        """Blocks row by row."""
        rows, cols = self.shape
        places = ((row, col) for row in range(0, rows, self.side_px) for col in range(0, cols, self.side_px))
        for index, (row, col) in enumerate(places):
            inner = Window(row, col, min(self.side_px, rows - row), min(self.side_px, cols - col))
            ring = self.ring_px
            yield Tile(index, inner, Window(row - ring, col - ring, inner.rows + 2 * ring, inner.cols + 2 * ring))

    @property
    def crew(self) -> Crew:
        """A block for every core, as far as memory goes."""
        return Crew(lanes=max(1, min(_cores(), MOST_LANES, len(self))))


@dataclass(frozen=True)
class Measured:
    """A block and what was measured in it; None where there is nothing to compare."""

    block: Block
    sums: Evaluation | None
    piece: Piece | None


@dataclass(frozen=True)
class Made:
    """What remains of a block.

    Attributes
    ----------
    sums
        Its measures, None where there is nothing to compare.
    piece
        Its part of the maps.
    encoded
        Compressed cells by the name of the output.

    """

    sums: Evaluation | Consistency | None
    piece: Piece | None = None
    encoded: Mapping[str, Encoded] = field(default_factory=dict)


class _Work:
    """What both kinds of work have in common; ``files`` holds those that close with it, where it opened any."""

    warnings: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        self.files = contextlib.ExitStack()

    def close(self) -> None:
        """Close the files; for a worker of a cluster, which opened them for this work."""
        self.files.close()

    def read(self, tile: Tile) -> None:
        """Nothing yet: see the module docstring."""
        del tile


class Heights(_Work):
    """Input against reference. Safe to call from several threads; ``writings`` are the rasters that are wanted."""

    def __init__(self, rasters: Rasters, grid: Grid, writings: Mapping[str, Writing]) -> None:
        super().__init__()
        self.grid, self.ground, self.writings = grid, Ground(rasters, grid), writings

    @property
    def blocks(self) -> Blocks:
        """All blocks."""
        return Blocks(self.grid.shape, BLOCK_PX, ring_px=1)

    def empty(self) -> Evaluation:
        """An evaluation without any cell; small rasters get smaller windows for the spectrum."""
        side = 2 ** int(math.log2(max(min(self.grid.shape), SMALLEST_SPECTRUM_PX)))
        return Evaluation(min(side, ALIGN_PX))

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Measured]:
        """Measure a batch of blocks."""
        del data
        return [self._measured(tile) for tile in tiles]

    def encode(self, tile: Tile, measured: Measured) -> Made:
        """Differences as they are stored, beside the measures."""
        del tile
        encoded = {name: self._encoded(name, measured.block) for name in self.writings}
        return Made(measured.sums, measured.piece, encoded)

    def _measured(self, tile: Tile) -> Measured:
        block = self.ground.block(tile.read)
        if not block.inner.any():
            return Measured(block, None, None)
        sums = self.empty()
        sums.add(block, self.ground.band_m(tile.read), self.ground.distance_px(tile.read))
        return Measured(block, sums, maps.piece_of(tile.write, block, maps.factor_of(self.grid.shape)))

    def _encoded(self, name: str, block: Block) -> Encoded:
        if name == "difference":
            return raster.encode(self.writings[name], block.errors, block.inner)
        found, truth = block.slopes_deg
        return raster.encode(self.writings[name], found - truth, block.known)


class Averages(_Work):
    """The input's averages over coarse cells, or its heights at their centres, against the coarse DEM.

    ``grid`` is that of the coarse DEM as far as the input touches it; nothing is written.
    """

    def __init__(self, rasters: Rasters, grid: Grid, writings: Mapping[str, Writing]) -> None:
        super().__init__()
        del writings
        coarse = rasters.coarse
        if coarse is None:
            raise ValueError("There is no coarse DEM to compare with.")
        self.grid = grid
        self.averages = Resampled(rasters.dem, grid, coarse.is_point or rasters.dem.is_point)
        self._coarse = Resampled(coarse, grid, point=True)

    @property
    def blocks(self) -> Blocks:
        """All blocks."""
        return Blocks(self.grid.shape, COARSE_BLOCK_PX, ring_px=0)

    def empty(self) -> Consistency:
        """A consistency without any cell."""
        return Consistency()

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[Consistency]:
        """Compare a batch of blocks."""
        del data
        return [self._compared(tile.read) for tile in tiles]

    def encode(self, tile: Tile, sums: Consistency) -> Made:
        """Nothing is written but sums."""
        del tile
        return Made(sums if sums.cells else None)

    def _compared(self, window: Window) -> Consistency:
        (found, found_valid), (given, given_valid) = self.averages.read(window), self._coarse.read(window)
        sums = self.empty()
        sums.add(found, given, found_valid & given_valid)
        return sums


def _cores() -> int:
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
