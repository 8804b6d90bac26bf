"""What is done with one tile: read coarse heights, compute fine ones, encode what goes into the files.

Nothing here knows other tiles, their order, or where they are computed: threads, or workers of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import grid as grids
from .. import raster
from ..elevation import baseline_surface, compute, surface
from ..elevation.batches import Batches
from ..elevation.kernels import Queries
from ..elevation.surface import Answer, Asked
from ..jobs.superresolve import Settings
from ..progress import Progress
from ..raster import Bools, Encoded, Floats, Source, Writing
from ..tiling import Plan, Tile


@dataclass(frozen=True)
class Coarse:
    """One read window; ``filled`` says which cells are not valid but hold heights that were laid over a void.

    ``fitted`` is as of :class:`.surface.CoarseHeights`.
    """

    heights: Floats
    valid: Bools
    filled: Bools
    fitted: Floats | None = None


@dataclass(frozen=True)
class Fine:
    """One write window.

    Attributes
    ----------
    heights, valid
        Metres, and where they mean something.
    filled
        Where they were laid over a void.
    cubic, error90
        Plain cubic interpolation and half width of the 90 % band, both in metres, where they are wanted.

    """

    heights: Floats
    valid: Bools
    filled: Bools
    cubic: Floats | None = None
    error90: Floats | None = None


@dataclass(frozen=True)
class Made:
    """One tile as it goes into the files.

    Attributes
    ----------
    encoded
        Compressed blocks by the name of the output.
    filled, without
        How many of its cells were filled, and how many are no-data.

    """

    encoded: Mapping[str, Encoded]
    filled: int
    without: int

    @property
    def stored_bytes(self) -> dict[str, int]:
        """Size in each file."""
        return {name: sum(map(len, encoded.blocks)) for name, encoded in self.encoded.items()}


@dataclass(frozen=True)
class Wanted:
    """What is to be computed from each window, and how the heights are to be taken."""

    point_sampled: bool = False
    honour: bool = True
    fill: bool = False
    cubic: bool = False
    error90: bool = False


def wanted_of(settings: Settings, source: Source) -> Wanted:
    """What the settings ask for."""
    return Wanted(
        point_sampled=point_sampled(settings, source),
        honour=settings.honour_input == "yes",
        fill=settings.voids == "fill",
        cubic=bool(settings.difference),
        error90=bool(settings.uncertainty),
    )


def point_sampled(settings: Settings, source: Source) -> bool:
    """Whether heights are samples at cell centres; ``auto`` asks the file."""
    return source.is_point if settings.sampling == "auto" else settings.sampling == "point"


class Work:
    """The three steps of a tile; safe to call from several threads.

    ``writings`` says how each wanted output is stored, by its name.
    """

    def __init__(
        self, source: Source, model: surface.Surface, plan: Plan, wanted: Wanted,
        writings: Mapping[str, Writing] | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.source, self.model, self.plan, self.wanted = source, model, plan, wanted
        self.writings = writings or {}
        self.cell_m = grids.metres_per_cell(source.grid)
        progress = progress or Progress()
        self.warnings = progress.warnings
        self._batches = Batches(model, plan.crew.batch, progress, wanted.error90)

    def close(self) -> None:
        """Close the source and give back memory of the device; for a worker of a cluster, which opened both."""
        self.source.close()
        self.model.forget()

    def read(self, tile: Tile) -> Coarse:
        """Read the tile's window of the source."""
        fitted = self.source.read_fitted(tile.read)
        if self.wanted.fill:
            return Coarse(*self.source.read_filled(tile.read), fitted)
        heights, valid = self.source.read(tile.read)
        return Coarse(heights, valid, np.zeros_like(valid), fitted)

    def compute(self, tiles: Sequence[Tile], coarse: Sequence[Coarse]) -> list[Fine]:
        """Fine heights of a batch of tiles and what is wanted beside them; one without a valid cell is not computed."""
        compute.share_cores(self.plan.crew.lanes)
        masks = [self._masks(tile, known) for tile, known in zip(tiles, coarse, strict=True)]
        asked = {
            i: Asked(self._known(tile, known), self._queries(tile))
            for i, (tile, known) in enumerate(zip(tiles, coarse, strict=True))
            if masks[i][0].any()
        }
        answers = dict(zip(asked, self._batches.answers(list(asked.values())), strict=True))
        return [
            self._fine(coarse[i], asked[i].queries, answers[i], masks[i]) if i in answers else self._nothing(masks[i])
            for i in range(len(tiles))
        ]

    def _masks(self, tile: Tile, coarse: Coarse) -> tuple[Bools, Bools]:
        """Fine cells that have a height, and those of them that were filled."""
        filled = self._over(tile, coarse.filled)
        return self._over(tile, coarse.valid) | filled, filled

    def _fine(self, coarse: Coarse, queries: Queries, answer: Answer, masks: tuple[Bools, Bools]) -> Fine:
        cubic = None
        if self.wanted.cubic:
            cubic = baseline_surface.plain_cubic(coarse.heights, coarse.valid | coarse.filled, queries)
        return Fine(answer.heights, *masks, cubic, answer.error90)

    def _nothing(self, masks: tuple[Bools, Bools]) -> Fine:
        nothing = np.zeros(masks[0].shape)
        wanted = self.wanted
        return Fine(nothing, *masks, nothing if wanted.cubic else None, nothing if wanted.error90 else None)

    def encode(self, tile: Tile, fine: Fine) -> Made:
        """The blocks of every wanted output."""
        del tile
        encoded = {
            name: raster.encode_classes(writing, classes_of(fine))
            if writing.classes
            else raster.encode(writing, layer_of(name, fine), fine.valid)
            for name, writing in self.writings.items()
        }
        return Made(encoded, int(np.count_nonzero(fine.filled)), int(np.count_nonzero(~fine.valid)))

    def _known(self, tile: Tile, coarse: Coarse) -> surface.CoarseHeights:
        rows = raster.mirror(tile.read.row, tile.read.row_stop, self.source.grid.rows)
        width_m, height_m = self.cell_m
        wanted, filled = self.wanted, coarse.filled if coarse.filled.any() else None
        return surface.CoarseHeights(
            coarse.heights, coarse.valid, width_m[rows], height_m[rows], wanted.point_sampled, wanted.honour, filled,
            coarse.fitted,
        )  # fmt: skip

    def _queries(self, tile: Tile) -> Queries:
        rows, cols, write = self.plan.target.rows, self.plan.target.cols, tile.write
        return Queries(
            rows.centres(write.row, write.row_stop) - tile.read.row,
            cols.centres(write.col, write.col_stop) - tile.read.col,
            rows.step,
            cols.step,
        )

    def _over(self, tile: Tile, coarse: Bools) -> Bools:
        """Fine cells whose centre lies in one of these source cells."""
        write, target = tile.write, self.plan.target
        rows = np.floor(target.rows.centres(write.row, write.row_stop)).astype(np.int64)
        cols = np.floor(target.cols.centres(write.col, write.col_stop)).astype(np.int64)
        return self.source.valid_mask(rows, cols, tile.read, coarse)


def classes_of(fine: Fine) -> NDArray[np.uint8]:
    """Numbers of :data:`.superresolve.CLASSES`."""
    return np.where(fine.filled, 1, np.where(fine.valid, 0, 2)).astype(np.uint8)


def layer_of(name: str, fine: Fine) -> Floats:
    """Metres that belong into an output."""
    if name == "difference" and fine.cubic is not None:
        return fine.heights - fine.cubic
    if name == "uncertainty" and fine.error90 is not None:
        return fine.error90
    return fine.heights
