"""Error-bounded triangulations of whole height fields, tile by tile.

Tiles share the cells on their common edge. Each tile's mesh depends on its own cells and the ring around them only, and
both sides of an edge make the same vertices there, so neither the order of the tiles nor the number of threads shows,
and parts made elsewhere can be joined. Imports numpy, :mod:`..errors` and :mod:`..tiling` only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from ..tiling import Tile
from .curve import Curve, level_for_budget, meshes_for_rmse
from .tile import Aim, Part, curve_of_tile, triangulate_tile
from .tiles import Tiles, cut

BETWEEN = 4
"""Positions per cell and axis for a bound between the cells."""

FIRST = 0.02
"""Part of the range of heights with which the search for a level begins."""

R = TypeVar("R")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """A triangulation.

    Attributes
    ----------
    vertices
        Column, row and height (V, 3); cell centres are at whole numbers.
    faces
        Vertex numbers (F, 3), anticlockwise seen from above on a map with rows going down.

    """

    vertices: Floats
    faces: NDArray[np.int32]


def triangulate(
    heights: Floats,
    valid: NDArray[np.bool_],
    max_error: float | None = None,
    *,
    max_triangles: int | None = None,
    max_rmse: float | None = None,
    between: bool = False,
    scale: tuple[float, float] = (1.0, 1.0),
    passes: int = 2,
    side_px: int | None = None,
    workers: int | None = None,
) -> Mesh:
    """Mesh of a height field in memory: within a bound, or with few triangles, or with a small RMSE.

    Parameters
    ----------
    heights, valid
        Heights (rows, cols) and which of them are. What has no square or half square of valid cells is in no mesh.
    max_error
        Bound of the vertical error, in the unit of the heights.
    max_triangles
        In place of a bound: at most so many triangles (97 percent or more of them), with small squared errors.
    max_rmse
        In place of a bound: the largest root mean square error.
    between
        Look at four times finer positions of the bilinear surface, not at cell centres only.
    scale
        Metres per cell along columns and rows, for well-shaped triangles.
    passes
        Rounds that look for better places of vertices: 1 is fast, 3 takes half as long again for errors 5 % smaller.
    side_px
        Most cells per side of a tile; None: what is usual.
    workers
        Threads; None: one per core.

    Returns
    -------
    The mesh; empty if no four cells in a square, or three of them, are valid.

    """
    if sum(wish is not None for wish in (max_error, max_triangles, max_rmse)) != 1:
        raise TerrainError(
            "A mesh is made for one wish: a largest error, a number of triangles or an RMSE, not "
            f"{max_error}, {max_triangles} and {max_rmse}."
        )
    times = BETWEEN if between else 1
    tiles = Tiles((heights.shape[0], heights.shape[1]), side_px, times)
    whole = _Whole(heights, valid, tiles, workers)
    aim = Aim(1.0 if max_error is None else max_error, times, scale, max_error is not None, passes)
    return join(list(tiles), whole.parts(aim, max_triangles, max_rmse), times)


@dataclass(frozen=True)
class _Whole:
    """A height field in memory, and how it is cut and worked on."""

    heights: Floats
    valid: NDArray[np.bool_]
    tiles: Tiles
    workers: int | None

    def parts(self, aim: Aim, max_triangles: int | None, max_rmse: float | None) -> Sequence[Part]:
        """The meshes of all tiles, with an aim or the level of errors that a wish leads to."""

        def curves(level: float) -> Curve:
            return sum(self.each(partial(self.call, curve_of_tile, replace(aim, max_error=level))), Curve())

        def meshes(level: float) -> list[Part]:
            return self.each(partial(self.call, triangulate_tile, replace(aim, max_error=level)))

        spread = float(np.ptp(self.heights[self.valid])) if self.valid.any() else 0.0
        start = FIRST * (spread or 1.0)
        if max_rmse is not None:
            return meshes_for_rmse(curves, meshes, max_rmse, start)[1]
        return meshes(aim.max_error if max_triangles is None else level_for_budget(curves, max_triangles, start))

    def call(self, what: Callable[..., R], aim: Aim, tile: Tile) -> R:
        """Do something with the cells of a tile."""
        valid = cut(self.valid, tile.read)
        heights = np.where(valid, cut(self.heights, tile.read), 0.0)
        return what(heights, valid, aim)

    def each(self, task: Callable[[Tile], R]) -> list[R]:
        """Do something with all tiles, on several threads."""
        with ThreadPoolExecutor(self.workers or os.cpu_count()) as pool:
            return list(pool.map(task, self.tiles))


def join(tiles: Sequence[Tile], parts: Sequence[Part], times: int = 1) -> Mesh:
    """One mesh of the parts of tiles, in the order of their places, whatever order they come in.

    Parameters
    ----------
    tiles, parts
        Tiles and the meshes of them.
    times
        Positions per cell and axis that the parts were made for.

    """
    order = sorted(range(len(parts)), key=lambda i: (tiles[i].write.row, tiles[i].write.col))
    order = [i for i in order if len(parts[i].faces)]
    if not order:
        return Mesh(np.empty((0, 3)), np.empty((0, 3), np.int32))
    corner = [np.array([tiles[i].write.col, tiles[i].write.row]) * times for i in order]
    place = np.concatenate([parts[i].places + at for i, at in zip(order, corner, strict=True)])
    number, kept = _welded(place, np.concatenate([parts[i].rim for i in order]))
    heights = np.concatenate([parts[i].heights for i in order])
    vertices = np.column_stack([place[kept] / times, heights[kept]])
    faces = np.empty((sum(len(parts[i].faces) for i in order), 3), np.int32)
    first_face = first_vertex = 0
    for i in order:
        part = parts[i]
        last_face = first_face + len(part.faces)
        faces[first_face:last_face] = number[first_vertex : first_vertex + len(part.heights)][part.faces[:, [0, 2, 1]]]
        first_face, first_vertex = last_face, first_vertex + len(part.heights)
    return Mesh(vertices, faces)


def _welded(place: NDArray[np.int64], rim: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """New numbers of vertices, with those at one place on tiles' rims counted once, and which are the first there."""
    on_rim = np.flatnonzero(rim)
    keys = place[on_rim, 1] << 32 | place[on_rim, 0]
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    same = np.arange(len(place))
    same[on_rim] = on_rim[first][back]
    kept = same == np.arange(len(place))
    number = np.cumsum(kept, dtype=np.int32) - 1
    return number[same].astype(np.int32), kept
