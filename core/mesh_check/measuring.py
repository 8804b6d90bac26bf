"""One block of a mesh against the DEM: errors at cells and between them, and the largest on every triangle.

Between four cells the DEM is their bilinear surface; where one of the four has no height, the plane of the other three
over their half of the square. Imports numpy, :mod:`..compiled` and :mod:`..tiling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..tiling import Tile
from .accuracy import BETWEEN, Accuracy
from .facets import Facets, Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """What was found in a block.

    Attributes
    ----------
    errors
        Mesh minus DEM at the cells that the block writes; NaN where either is unknown.
    accuracy
        Its figures.
    faces, worst, worst_between
        Numbers of the triangles that touch the block, and the largest size of an error on each: at cells, and at all
        finer positions. 0 where a triangle holds no such position with a height.

    """

    errors: Floats
    accuracy: Accuracy
    faces: NDArray[np.int32]
    worst: Floats
    worst_between: Floats


class Worst:
    """The largest error of every triangle of a mesh, gathered from its blocks in any order.

    ``values`` are those at cells, ``between`` those at all finer positions.
    """

    def __init__(self, count: int) -> None:
        self.values, self.between = np.zeros(count), np.zeros(count)

    def add(self, found: Measured) -> None:
        """Take in a block."""
        for values, one in ((self.values, found.worst), (self.between, found.worst_between)):
            values[found.faces] = np.maximum(values[found.faces], one)


def measure(facets: Facets, tile: Tile, heights: Floats, valid: Bools, times: int = BETWEEN) -> Measured:
    """Compare the mesh with the DEM in one block; safe to call from several threads.

    Parameters
    ----------
    tile
        One of ``facets.blocks``.
    heights, valid
        The DEM over ``tile.read``, in the unit of the mesh.
    times
        Positions per cell and axis; 1: cells only.

    """
    known = np.where(valid, heights, np.nan)
    surface = surface_of(known, (tile.write.rows, tile.write.cols), times)
    errors, worst, inside = facets.errors(tile, surface, times)
    cells = np.ascontiguousarray(errors[::times, ::times])
    dem = valid[: tile.write.rows, : tile.write.cols]
    accuracy = _figures(errors, cells, int(np.count_nonzero(dem)), (tile.write.row, tile.write.col, times))
    accuracy += Accuracy(
        overlaps=int(np.count_nonzero(inside > 1)), beyond=int(np.count_nonzero(np.isnan(surface) & (inside > 0)))
    )
    return Measured(cells, accuracy, facets.inside(tile.index), *worst)


def surface_of(known: Floats, cells: tuple[int, int], times: int) -> Floats:
    """The DEM at positions ``1 / times`` apart, from the first cell to the last of ``known`` or before the next block.

    ``known`` has NaN where there is no height; it has one row or column more than ``cells`` unless the raster ends.
    """
    shape = [
        have * times if more > have else (have - 1) * times + 1 for have, more in zip(cells, known.shape, strict=True)
    ]
    surface = np.empty(shape)
    _fill(np.ascontiguousarray(known, np.float64), times, surface)
    return surface


def _figures(errors: Floats, cells: Floats, dem: int, place: tuple[int, int, int]) -> Accuracy:
    row, col, times = place
    at_cells, at_all = cells[~np.isnan(cells)], errors[~np.isnan(errors)]
    if not at_all.size:
        return Accuracy(cells=dem)
    worst = np.unravel_index(np.nanargmax(np.abs(errors)), errors.shape)
    return Accuracy(
        dem, at_cells.size, float(at_cells.sum()), float(at_cells @ at_cells), _largest(at_cells), at_all.size,
        float(at_all @ at_all), _largest(at_all), (float(row + worst[0] / times), float(col + worst[1] / times)),
    )  # fmt: skip


def _largest(values: Floats) -> float:
    return float(np.abs(values).max(initial=0.0))


@compiled
def _fill(known: Floats, times: int, surface: Floats) -> None:
    rows, cols = surface.shape
    for j in range(rows):
        row, v = j // times, (j % times) / times
        for i in range(cols):
            col, u = i // times, (i % times) / times
            if u == 0.0 and v == 0.0:
                surface[j, i] = known[row, col]
            elif v == 0.0:
                surface[j, i] = known[row, col] * (1 - u) + known[row, col + 1] * u
            elif u == 0.0:
                surface[j, i] = known[row, col] * (1 - v) + known[row + 1, col] * v
            else:
                surface[j, i] = _between(known, row, col, u, v)


@compiled
def _between(known: Floats, row: int, col: int, u: float, v: float) -> Any:
    """Height in the inside of a square of four cells; NaN where fewer than three are known, or in the other half."""
    a, b, c, d = known[row, col], known[row, col + 1], known[row + 1, col], known[row + 1, col + 1]
    if np.isnan(d) and u + v <= 1:
        return a + u * (b - a) + v * (c - a)
    if np.isnan(a) and u + v >= 1:
        return d + (1 - u) * (c - d) + (1 - v) * (b - d)
    if np.isnan(b) and v >= u:
        return c + u * (d - c) + (1 - v) * (a - c)
    if np.isnan(c) and u >= v:
        return b + (1 - u) * (a - b) + v * (d - b)
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v
