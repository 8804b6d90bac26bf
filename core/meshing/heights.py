"""The range of heights that is meshed, and the bound that is taken where none is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import pipeline
from ..mesh_check import Blocks
from ..progress import Progress
from ..raster import Bools, Floats
from ..tiling import Tile
from .ground import Ground
from .region import Region

BLOCK_PX = 1024
SHARE = 100
"""The bound is the range of heights divided by this."""
SMALLEST_BOUND = 0.01
STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass
class Range:
    """Lowest and highest of the heights so far; the first is above the second where there was none."""

    low: float = math.inf
    high: float = -math.inf

    @property
    def span(self) -> float:
        """Highest minus lowest; 0 where there are no heights."""
        return max(self.high - self.low, 0.0)

    def add(self, other: Range) -> None:
        """Take in further heights."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


class Ranges:
    """Work on one block after another; safe to call from several threads."""

    def __init__(self, ground: Ground, region: Region) -> None:
        self._ground, self._region = ground, region

    def read(self, tile: Tile) -> tuple[Floats, Bools]:
        """Heights, and which of them are to be meshed."""
        heights, valid = self._ground.read(tile.write)
        wanted = self._region.wanted(tile.write)
        return heights, valid if wanted is None else valid & wanted

    def compute(self, tiles: Sequence[Tile], cells: Sequence[tuple[Floats, Bools]]) -> list[Range]:
        """Ranges of a batch of blocks."""
        del tiles
        known = [heights[valid] for heights, valid in cells]
        return [Range(float(one.min()), float(one.max())) if one.size else Range() for one in known]

    def encode(self, tile: Tile, found: Range) -> Range:
        """Nothing is left to do."""
        del tile
        return found


def range_of(ground: Ground, region: Region, progress: Progress) -> Range:
    """Lowest and highest height of what is to be meshed."""
    blocks, found = Blocks(ground.shape, BLOCK_PX), Range()
    touched = [tile for tile in blocks if region.touches(tile.write)]
    pipeline.run(blocks, touched, Ranges(ground, region), lambda _, one: found.add(one), progress)
    return found


def default_bound(found: Range) -> float:
    """A hundredth of the range, rounded down to 1, 2 or 5 times a power of ten."""
    wanted = max(found.span / SHARE, SMALLEST_BOUND)
    power = 10.0 ** math.floor(math.log10(wanted) + 1e-9)
    return float(f"{max(step for step in STEPS if step * power <= wanted * (1 + 1e-9)) * power:.6g}")
