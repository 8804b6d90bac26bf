"""How long a run will take and how large its files will be, told once the first tiles are there.

A few tiles from all over the target come first: they are work like any other, and stand for the rest of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..grid import Grid
from ..progress import Progress
from ..tiling import Tile
from . import messages
from .outputs import Outputs
from .work import Made

FEWEST_ROUNDS = 8
"""Runs of fewer tiles for each that is done at a time are soon over, and are not forecast."""


class Forecast:
    """Writes tiles, and after two rounds of them says what the whole will take.

    The first round only warms up. Call it like :meth:`.Outputs.write`, with the tiles of :attr:`tiles` in their order.

    Parameters
    ----------
    outputs
        What is written to.
    tiles
        What is left to do.
    at_a_time
        Tiles that are done at the same time.
    grid
        Of the whole target.

    """

    def __init__(self, outputs: Outputs, tiles: Sequence[Tile], at_a_time: int, grid: Grid, progress: Progress) -> None:
        self._outputs, self._grid, self._progress = outputs, grid, progress
        self._round = at_a_time if len(tiles) >= FEWEST_ROUNDS * at_a_time else 0
        self.tiles = _spread_first(tiles, 2 * self._round)
        self._cells, self._bytes = 0, dict[str, int]()
        self._times_s: list[float] = []

    def __call__(self, tile: Tile, made: Made) -> None:
        """Write one tile; refuses a disk on which the files will not fit."""
        self._outputs.write(tile, made)
        if len(self._times_s) == 2 * self._round:
            return
        self._times_s.append(time.monotonic())
        self._cells += tile.write.rows * tile.write.cols
        for name, size in made.stored_bytes.items():
            self._bytes[name] = self._bytes.get(name, 0) + size
        if len(self._times_s) == 2 * self._round:
            self._tell()

    def _tell(self) -> None:
        pace_s = (self._times_s[-1] - self._times_s[self._round - 1]) / self._round
        seconds = pace_s * (len(self.tiles) - len(self._times_s))
        whole = self._grid.rows * self._grid.cols
        left = sum(tile.write.rows * tile.write.cols for tile in self.tiles) - self._cells
        sizes = {name: size / self._cells * whole for name, size in self._bytes.items()}
        messages.forecast(seconds, sum(sizes.values()), self._progress)
        self._outputs.refuse_small_disk(
            {name: size * left / whole + self._outputs.room_bytes(name, size) for name, size in sizes.items()}
        )


def _spread_first(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """All tiles, ``count`` of them from all over the list first."""
    first = [len(tiles) * (2 * i + 1) // (2 * count) for i in range(count)]
    chosen = set(first)
    return [tiles[i] for i in first] + [tile for i, tile in enumerate(tiles) if i not in chosen]
