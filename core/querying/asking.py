"""Positions anywhere on a DEM, asked tile by tile: each tile is encoded once, whatever the order of the positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import attributes, pipeline
from ..continuous import Continuous
from ..elevation.relief import Relief
from ..grid import TOLERANCE_PX, places_on
from ..progress import Progress
from ..raster import Floats
from ..tiling import Tile
from ..vertical import METRES

AT_ONCE = 250_000
"""Positions of a tile that are asked together."""


@dataclass(frozen=True)
class Positions:
    """Where the surface is asked: rows and columns of the DEM, ``(N,)``, NaN where a feature has no place.

    ``order`` lists the positions on the DEM tile by tile, ``first`` where in it each of the ``tiles`` begins.
    """

    rows: Floats
    cols: Floats
    order: NDArray[np.int64]
    tiles: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def on(cls, ground: Continuous, x: Floats, y: Floats) -> Positions:
        """Positions of coordinates in the CRS of the DEM; those off its edge by no more than rounding are on it."""
        rows, cols = (
            _snapped(at, size) for at, size in zip(places_on(ground.grid, x, y), ground.grid.shape, strict=True)
        )
        numbers = ground.tiles().number_of(rows, cols)
        order = np.argsort(numbers, kind="stable")
        order = order[np.searchsorted(numbers[order], 0) :]
        tiles, first = np.unique(numbers[order], return_index=True)
        return cls(rows, cols, order, tiles, first)

    def of(self, number: int) -> NDArray[np.int64]:
        """Numbers of the positions in a tile."""
        at = int(np.searchsorted(self.tiles, number))
        return self.order[self.first[at] : self.first[at + 1] if at + 1 < len(self.first) else None]


class Work:
    """What a tile tells about the positions in it."""

    warnings: Sequence[str] = ()

    def __init__(self, ground: Continuous, positions: Positions, degree: int) -> None:
        self._ground, self._positions, self._degree = ground, positions, degree

    def read(self, tile: Tile) -> None:
        """Nothing yet: reading is a small part of a tile's work."""
        del tile

    def compute(self, tiles: Sequence[Tile], data: Sequence[None]) -> list[dict[str, Floats]]:
        """Answers by name, in the order of the tile's positions."""
        del data
        return [self._answers(tile) for tile in tiles]

    def encode(self, tile: Tile, answers: dict[str, Floats]) -> dict[str, Floats]:
        """The answers as they are."""
        del tile
        return answers

    def _answers(self, tile: Tile) -> dict[str, Floats]:
        mine, encoded = self._positions.of(tile.index), self._ground.encode(tile)
        parts = []
        for start in range(0, len(mine), AT_ONCE):
            some = mine[start : start + AT_ONCE]
            at = self._ground.at(self._positions.rows[some], self._positions.cols[some])
            found = answers_of(self._ground.relief(encoded, at, self._degree))
            if self._ground.model.tells_error:
                found["error90"] = self._ground.error90(encoded, at)
            parts.append(found)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def ask(ground: Continuous, x: Floats, y: Floats, degree: int, progress: Progress) -> dict[str, Floats]:
    """What the surface is at coordinates in the CRS of the DEM, ``(N,)`` each; NaN where nothing is known.

    Heights and errors are in the vertical unit of the DEM, slope and aspect in degrees, curvatures in radians per
    metre. ``degree`` 0 gives heights only, 1 slopes too, 2 everything.
    """
    positions = Positions.on(ground, x, y)
    names = names_of(degree, ground.model.tells_error)
    answers = {name: np.full(x.size, np.nan) for name in names}

    def take(tile: Tile, found: Mapping[str, Floats]) -> None:
        for name in names:
            answers[name][positions.of(tile.index)] = found[name]

    tiles = ground.tiles(tuple(positions.tiles.tolist()))
    pipeline.run(tiles, list(tiles), Work(ground, positions, degree), take, progress)
    for name in ("elevation", "error90"):
        if name in answers:
            answers[name] /= METRES[ground.source.unit]
    return answers


def names_of(degree: int, with_error: bool) -> list[str]:
    """What is told, in the order of the attributes."""
    shape = [["slope_deg", "aspect_deg"], ["curv_profile", "curv_plan"]]
    return ["elevation", *(["error90"] if with_error else []), *(name for some in shape[:degree] for name in some)]


def answers_of(relief: Relief) -> dict[str, Floats]:
    """Heights in metres and attributes of the surface; flat ground has neither aspect nor curvatures: NaN."""
    answers = {"elevation": relief.heights}
    if relief.east is not None and relief.north is not None:
        p, q = relief.east, relief.north
        answers["slope_deg"] = attributes.slope_deg(p, q)
        answers["aspect_deg"] = attributes.aspect_deg(p, q)
        if relief.east_east is not None and relief.east_north is not None and relief.north_north is not None:
            bends = relief.east_east, relief.east_north, relief.north_north
            answers["curv_profile"] = attributes.profile_curvature(p, q, *bends)
            answers["curv_plan"] = attributes.plan_curvature(p, q, *bends)
    return answers


def _snapped(at: Floats, size: int) -> Floats:
    """Positions along an axis, on the outermost edge where they are beyond it by less than a tolerance."""
    nearest = np.clip(at, 0, size)
    return np.where(np.abs(at - nearest) <= TOLERANCE_PX, nearest, at)
