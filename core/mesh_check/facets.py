"""Triangles over a raster, sorted into blocks of cells once, and the height of their surface at any position.

A row of positions crosses a triangle between two of its edges. Heights are interpolated along those edges, then along
the row, so that nothing is ever extrapolated, however thin the triangle is. Both triangles at an edge compute its
crossing from the same two ends in the same order: no position on an edge falls through.

Imports numpy, :mod:`..compiled` and :mod:`..tiling`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..tiling import Crew, Tile, Window

Floats = NDArray[np.float64]
Faces = NDArray[np.int32]
Place = tuple[float, float, float]

BLOCK_PX = 256
"""Side of blocks that are measured: a million finer positions each."""

TOUCH_PX = 1e-8
"""A position so near to a triangle counts as on it: coordinates in files are rounded."""

INSIDE_PX = 1e-6
"""A position is in the inside of a triangle when it is farther than this from its edges, along rows and columns."""

FLAT_PX2 = 1e-12
"""Triangles of less than this area, seen from above, have no height at a position: they are lines or walls."""


@dataclass(frozen=True)
class Blocks:
    """All blocks of a raster, row by row, for :func:`..pipeline.run`.

    A block ``writes`` its cells and ``reads`` one row and one column more below and to the right, so that every finer
    position between cells belongs to exactly one block. It never reads beyond the raster.
    """

    shape: tuple[int, int]
    side_px: int = BLOCK_PX

    @property
    def layout(self) -> tuple[int, int]:
        """Number of blocks down and across."""
        rows, cols = self.shape
        return math.ceil(rows / self.side_px), math.ceil(cols / self.side_px)

    def __len__(self) -> int:
        """Number of blocks."""
        return math.prod(self.layout)

    def __iter__(self) -> Iterator[Tile]:
        """Blocks row by row."""
        return (self.tile(index) for index in range(len(self)))

    def tile(self, index: int) -> Tile:
        """The block number ``index``."""
        down, across = divmod(index, self.layout[1])
        (row, rows, more_rows), (col, cols, more_cols) = (
            self._along(at, count) for at, count in ((down, self.shape[0]), (across, self.shape[1]))
        )
        return Tile(index, Window(row, col, rows, cols), Window(row, col, rows + more_rows, cols + more_cols))

    def _along(self, number: int, count: int) -> tuple[int, int, int]:
        start = number * self.side_px
        stop = min(start + self.side_px, count)
        return start, stop - start, int(stop < count)

    @property
    def crew(self) -> Crew:
        """A block for every core."""
        affinity: Any = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
        return Crew(lanes=max(1, min(cores, len(self))))


class Facets:
    """The triangles of a mesh by the blocks of ``side_px`` cells that they touch.

    Parameters
    ----------
    vertices
        (V, 3): column, row, height, in lattice coordinates.
    faces
        (F, 3) vertex numbers, either way round.
    shape
        Rows and columns of the raster; triangles beyond it are left out.
    touch_px
        How near a position may be to a triangle to count as on it.

    """

    def __init__(
        self,
        vertices: Floats,
        faces: Faces,
        shape: tuple[int, int],
        side_px: int = BLOCK_PX,
        touch_px: float = TOUCH_PX,
    ) -> None:
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.faces = np.ascontiguousarray(faces, np.int32)
        self.blocks, self.touch_px = Blocks(shape, side_px), touch_px
        layout, sizes = np.array(self.blocks.layout, np.int64), (side_px, touch_px)
        counts = np.zeros(len(self.blocks) + 1, np.int64)
        _count(self.vertices, self.faces, layout, sizes, counts)
        self._starts = np.cumsum(counts)
        self._numbers = np.empty(self._starts[-1], np.int32)
        _sort(self.vertices, self.faces, layout, sizes, (self._starts[:-1].copy(), self._numbers))

    def inside(self, index: int) -> NDArray[np.int32]:
        """Numbers of the triangles that touch the block number ``index``."""
        found: NDArray[np.int32] = self._numbers[self._starts[index] : self._starts[index + 1]]
        return found

    def highest(self, tile: Tile) -> Floats:
        """Height of the mesh at the centres of a block's cells, the highest of several; NaN where there is none."""
        found = np.full((tile.write.rows, tile.write.cols), np.nan)
        place = np.array([tile.write.row, tile.write.col], np.int64)
        _highest(self.vertices, self.faces, self.inside(tile.index), place, self.touch_px, found)
        return found

    def errors(self, tile: Tile, surface: Floats, times: int) -> tuple[Floats, Floats, NDArray[np.uint8]]:
        """Mesh minus ``surface`` at positions ``1 / times`` of a cell apart, from the block's first cell on.

        Parameters
        ----------
        surface
            Heights at the positions, NaN where there is none.

        Returns
        -------
        errors
            The largest where several triangles meet; NaN where either is unknown.
        worst
            Largest size of an error on each triangle of :meth:`inside`, 0 where it touches no known position;
            ``(2, n)``, at cells and at all positions.
        inside
            How many triangles have each position in their inside, at most 2.

        """
        numbers = self.inside(tile.index)
        errors, worst = np.full(surface.shape, np.nan), np.zeros((2, len(numbers)))
        inside = np.zeros(surface.shape, np.uint8)
        place = tile.write.row * times, tile.write.col * times, times, self.touch_px
        _errors(self.vertices, self.faces, numbers, place, surface, (errors, worst, inside))
        return errors, worst, inside


# ---------------------------------------------------------------------------------------------------------------------
# Sorting


@compiled
def _range(low: float, high: float, sizes: tuple[int, float], count: int) -> tuple[int, int]:
    """First block and block after the last that values from ``low`` to ``high`` touch."""
    (side, touch), last = sizes, float(count - 1)
    first = min(max(math.floor((low - touch) / side), 0.0), last + 1)
    stop = min(max(math.floor((high + touch) / side), -1.0), last) + 1
    return int(first), int(stop)


@compiled
def _place(vertices: Floats, number: int) -> Place:
    return vertices[number, 0], vertices[number, 1], vertices[number, 2]


@compiled
def _touched(vertices: Floats, faces: Faces, f: int, layout: Any, sizes: Any) -> tuple[int, int, int, int]:
    a, b, c = _place(vertices, faces[f, 0]), _place(vertices, faces[f, 1]), _place(vertices, faces[f, 2])
    top, bottom = _range(min(a[1], b[1], c[1]), max(a[1], b[1], c[1]), sizes, layout[0])
    left, right = _range(min(a[0], b[0], c[0]), max(a[0], b[0], c[0]), sizes, layout[1])
    return top, bottom, left, right


@compiled
def _count(vertices: Floats, faces: Faces, layout: Any, sizes: Any, counts: Any) -> None:
    """How many triangles touch each block, from number 1 of ``counts`` on."""
    for f in range(len(faces)):
        top, bottom, left, right = _touched(vertices, faces, f, layout, sizes)
        for down in range(top, bottom):
            for across in range(left, right):
                counts[down * layout[1] + across + 1] += 1


@compiled
def _sort(vertices: Floats, faces: Faces, layout: Any, sizes: Any, into: Any) -> None:
    """Put the numbers of the triangles behind each other, block by block."""
    ends, numbers = into
    for f in range(len(faces)):
        top, bottom, left, right = _touched(vertices, faces, f, layout, sizes)
        for down in range(top, bottom):
            for across in range(left, right):
                block = down * layout[1] + across
                numbers[ends[block]] = f
                ends[block] += 1


# ---------------------------------------------------------------------------------------------------------------------
# Scanning


@compiled
def _corners(vertices: Floats, faces: Faces, f: int) -> tuple[Place, Place, Place, float]:
    """The corners of a triangle from its first row to its last, and twice its area."""
    a, b, c = _place(vertices, faces[f, 0]), _place(vertices, faces[f, 1]), _place(vertices, faces[f, 2])
    area = abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
    if b[1] < a[1] or (b[1] == a[1] and b[0] < a[0]):
        a, b = b, a
    if c[1] < b[1] or (c[1] == b[1] and c[0] < b[0]):
        b, c = c, b
    if b[1] < a[1] or (b[1] == a[1] and b[0] < a[0]):
        a, b = b, a
    return a, b, c, area


@compiled
def _crossing(a: Place, b: Place, y: float) -> tuple[float, float]:
    """Column and height where the edge from ``a`` down to ``b`` crosses row ``y``."""
    share = (y - a[1]) / (b[1] - a[1])
    return a[0] + (b[0] - a[0]) * share, a[2] + (b[2] - a[2]) * share


@compiled
def _span(a: Place, b: Place, c: Place, y: float) -> tuple[float, float, float, float]:
    """Columns and heights, from left to right, between which row ``y`` crosses a triangle with sorted corners."""
    one, one_z = _crossing(a, c, y)
    if y < b[1]:
        other, other_z = _crossing(a, b, y)
    elif y > b[1]:
        other, other_z = _crossing(b, c, y)
    else:
        other, other_z = b[0], b[2]
    if one > other:
        return other, other_z, one, one_z
    return one, one_z, other, other_z


@compiled
def _highest(vertices: Floats, faces: Faces, numbers: Any, place: Any, touch: float, found: Floats) -> None:
    """Heights at whole rows and columns from ``place`` on."""
    rows, cols = found.shape
    for f in numbers:
        a, b, c, area = _corners(vertices, faces, f)
        if area < FLAT_PX2:
            continue
        first, last = math.ceil(a[1] - touch) - place[0], math.floor(c[1] + touch) - place[0]
        for j in range(max(first, 0), min(last, rows - 1) + 1):
            y = min(max(float(j + place[0]), a[1]), c[1])
            left, left_z, right, right_z = _span(a, b, c, y)
            steep = (right_z - left_z) / (right - left) if right > left else 0.0
            first_col, last_col = math.ceil(left - touch) - place[1], math.floor(right + touch) - place[1]
            for i in range(max(first_col, 0), min(last_col, cols - 1) + 1):
                z = left_z + steep * (min(max(float(i + place[1]), left), right) - left)
                if not z <= found[j, i]:
                    found[j, i] = z


@compiled
def _errors(vertices: Floats, faces: Faces, numbers: Any, place: Any, surface: Floats, into: Any) -> None:
    """Differences at positions ``times`` of which make a cell, from the first row and column of ``place`` on."""
    (errors, worst, inside), (row, col, times, touch) = into, place
    rows, cols = surface.shape
    for k in range(len(numbers)):
        a, b, c, area = _corners(vertices, faces, numbers[k])
        if area < FLAT_PX2:
            continue
        first, last = math.ceil((a[1] - touch) * times) - row, math.floor((c[1] + touch) * times) - row
        for j in range(max(first, 0), min(last, rows - 1) + 1):
            y = (j + row) / times
            within = a[1] + INSIDE_PX < y < c[1] - INSIDE_PX
            left, left_z, right, right_z = _span(a, b, c, min(max(y, a[1]), c[1]))
            steep = (right_z - left_z) / (right - left) if right > left else 0.0
            first_col, last_col = math.ceil((left - touch) * times) - col, math.floor((right + touch) * times) - col
            for i in range(max(first_col, 0), min(last_col, cols - 1) + 1):
                x = (i + col) / times
                e = left_z + steep * (min(max(x, left), right) - left) - surface[j, i]
                if within and left + INSIDE_PX < x < right - INSIDE_PX and inside[j, i] < 2:
                    inside[j, i] += 1
                size = abs(e)
                if not size <= abs(errors[j, i]):
                    errors[j, i] = e
                if np.isnan(size):
                    continue
                worst[1, k] = max(worst[1, k], size)
                if (i + col) % times == 0 and (j + row) % times == 0:
                    worst[0, k] = max(worst[0, k], size)
