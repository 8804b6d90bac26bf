"""What is done with one tile: the DEM read, its mesh made, or the curve that says what a mesh of each error would be.

Nothing here knows other tiles, their order, or where they are meshed: threads, or workers of a cluster. Numba's code
runs outside of Python's lock, so every lane is a core.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from .. import mesh
from ..mesh import Aim, Curve, Part
from ..raster import Bools, Floats
from ..tiling import Tile
from .ground import Ground
from .region import Region

Cells = tuple[Floats, Bools]


def no_pieces() -> NDArray[np.int64]:
    """Breaklines where there are none."""
    return np.empty((0, 4), np.int64)


@dataclass(frozen=True)
class Task:
    """What decides the mesh of every tile, as values that may travel to other machines.

    Attributes
    ----------
    aim
        Bound and the like; the scale is that of each tile.
    area
        Polygons of the mask on the lattice, or None.
    pieces
        Pieces of breaklines in lattice steps, see :func:`..mesh.segments`.

    """

    aim: Aim
    area: BaseGeometry | None = None
    pieces: NDArray[np.int64] = field(default_factory=no_pieces)


class _Work:
    """What both kinds of work have in common; ``files`` holds those that close with it, where it opened any."""

    warnings: ClassVar[Sequence[str]] = ()

    def __init__(self, ground: Ground, task: Task) -> None:
        self.ground, self.task, self.region = ground, task, Region(task.area)
        self.files = contextlib.ExitStack()

    def close(self) -> None:
        """Close the files; for a worker of a cluster, which opened them for this work."""
        self.files.close()

    def read(self, tile: Tile) -> Cells:
        """Heights in the DEM's unit, and which of them are to be meshed."""
        heights, valid = self.ground.read(tile.read)
        wanted = self.region.wanted(tile.read)
        return heights, valid if wanted is None else valid & wanted

    def aim(self, tile: Tile) -> Aim:
        """The aim, with lengths as they are in the middle of a tile."""
        return replace(self.task.aim, scale=self.ground.scale(tile.write))

    def pieces(self, tile: Tile) -> NDArray[np.int64]:
        """Breaklines that touch a tile, counted from its first lattice point."""
        return mesh.of_tile(self.task.pieces, tile, self.task.aim.times)


class Meshes(_Work):
    """Meshes of tiles."""

    def compute(self, tiles: Sequence[Tile], cells: Sequence[Cells]) -> list[Part]:
        """The mesh of each tile of a batch."""
        return [
            mesh.triangulate_tile(*one, self.aim(tile), self.pieces(tile))
            for tile, one in zip(tiles, cells, strict=True)
        ]

    def encode(self, tile: Tile, part: Part) -> Part:
        """A mesh is kept as it is."""
        del tile
        return part


class Curves(_Work):
    """Triangles and squared errors by level of tiles."""

    def compute(self, tiles: Sequence[Tile], cells: Sequence[Cells]) -> list[Curve]:
        """The curve of each tile of a batch."""
        return [
            mesh.curve_of_tile(*one, self.aim(tile), self.pieces(tile)) for tile, one in zip(tiles, cells, strict=True)
        ]

    def encode(self, tile: Tile, curve: Curve) -> Curve:
        """A curve is kept as it is."""
        del tile
        return curve


Kind = type[Meshes] | type[Curves]

Made = Any
"""A part or a curve."""
