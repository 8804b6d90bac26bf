"""What is done with one tile: the DEM read, its mesh made, or the curve that says what a mesh of each error would be.

Nothing here knows other tiles, their order, or where they are meshed: threads, or workers of a cluster. Numba's code
runs outside of Python's lock, so every lane is a core.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

from .. import mesh
from ..mesh import Aim, Curve, Part
from ..raster import Bools, Floats
from ..tiling import Tile
from .ground import Ground
from .region import cells_of

Cells = tuple[Floats, Bools]


@dataclass(frozen=True)
class Plot(Tile):
    """A tile, and the blocks of its read window that are to be meshed, see :meth:`.Region.blocks`; None for all."""

    blocks: Bools | None = field(default=None, compare=False)


class _Work:
    """What both kinds of work have in common; ``files`` holds those that close with it, where it opened any."""

    warnings: ClassVar[Sequence[str]] = ()

    def __init__(self, ground: Ground, aim: Aim) -> None:
        self.ground, self.aim = ground, aim
        self.files = contextlib.ExitStack()

    def close(self) -> None:
        """Close the files; for a worker of a cluster, which opened them for this work."""
        self.files.close()

    def read(self, tile: Tile) -> Cells:
        """Heights in the DEM's unit, and which of them are to be meshed."""
        heights, valid = self.ground.read(tile.read)
        blocks = cast("Plot", tile).blocks
        return heights, valid if blocks is None else valid & cells_of(blocks, tile.read)

    def asked(self, tile: Tile, cells: Cells) -> tuple[Floats, Bools, Aim]:
        """What a tile's mesh is made from; lengths of the aim are those in the middle of the tile."""
        return *cells, replace(self.aim, scale=self.ground.scale(tile.write))


class Meshes(_Work):
    """Meshes of tiles."""

    def compute(self, tiles: Sequence[Tile], cells: Sequence[Cells]) -> list[Part]:
        """The mesh of each tile of a batch."""
        return [mesh.triangulate_tile(*self.asked(tile, one)) for tile, one in zip(tiles, cells, strict=True)]

    def encode(self, tile: Tile, part: Part) -> Part:
        """A mesh is kept as it is."""
        del tile
        return part


class Curves(_Work):
    """Triangles and squared errors by level of tiles."""

    def compute(self, tiles: Sequence[Tile], cells: Sequence[Cells]) -> list[Curve]:
        """The curve of each tile of a batch."""
        return [mesh.curve_of_tile(*self.asked(tile, one)) for tile, one in zip(tiles, cells, strict=True)]

    def encode(self, tile: Tile, curve: Curve) -> Curve:
        """A curve is kept as it is."""
        del tile
        return curve


Kind = type[Meshes] | type[Curves]

Made = Any
"""A part or a curve."""
