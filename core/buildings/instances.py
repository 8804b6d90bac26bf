"""Single buildings in the finest fields: one number per building on cells of 2 m, and arcs of wall between them.

A building is a core of cells without a wall between them, grown to the outline. Walls between two cells lie where the
two cells' distances from a wall say, so arcs are exact to a fraction of a cell. Coordinates here are cells: x eastward,
y southward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..compiled import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Labels = NDArray[np.int32]

STRAIGHT_M, DIAGONAL_M = 2.12, 3.0
"""Neighbouring cells whose distances from walls add up to more have no wall between them."""
REACH_CELLS = 3.0
INSIDE = (0.12, 0.7)
"""Least and largest share from which a cell is built on."""
LEAST_CELLS = 3


@dataclass(frozen=True)
class Squares:
    """Squares of the world's lattice over a window of cells, and where the window begins in it."""

    shape: tuple[int, int]
    side: int
    first: tuple[int, int]

    @property
    def number(self) -> Numbers:
        """The square of each cell, ``(rows, cols)``."""
        rows, cols = self._steps
        return rows[:, None] * (int(cols[-1]) + 1) + cols

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of squares."""
        rows, cols = self._steps
        return int(rows[-1]) + 1, int(cols[-1]) + 1

    @property
    def _steps(self) -> tuple[Numbers, Numbers]:
        rows, cols = (
            (np.arange(size) + at) // self.side - at // self.side
            for size, at in zip(self.shape, self.first, strict=True)
        )
        return rows, cols

    def sums(self, values: Floats) -> Floats:
        """Sum of the cells' values in each square."""
        rows, cols = self.counts
        return np.asarray(np.bincount(self.number.ravel(), values.ravel(), rows * cols).reshape(rows, cols), np.float64)

    def between(self, values: Floats) -> Floats:
        """Values of squares at cells, interpolated between the squares' middles."""
        at = [
            (np.arange(size) + off % self.side + 0.5) / self.side - 0.5
            for size, off in zip(self.shape, self.first, strict=True)
        ]
        grid = np.meshgrid(*at, indexing="ij")
        return np.asarray(ndimage.map_coordinates(values, grid, order=1, mode="nearest"))


def thresholds(share: Floats, squares: Squares, factor: Floats) -> Floats:
    """Share from which a cell is built on, so that each square has ``factor`` times the fields' covered ground.

    Fields that are sure of themselves have a share of half at walls; in vague ones much ground is covered by halves.
    """
    number = squares.number.ravel()
    order = np.lexsort((-share.ravel(), number))
    size = np.bincount(number, minlength=factor.size)
    count = np.rint(squares.sums(share) * factor).astype(np.int64).ravel()
    last = np.cumsum(size) - size + np.clip(count, 1, np.maximum(size, 1)) - 1
    return squares.between(np.clip(share.ravel()[order][last], *INSIDE).reshape(factor.shape))


def labelled(share: Floats, wall_m: Floats, inside: Floats | float = 0.5) -> Labels:
    """Number of the building on each cell, 0 on open ground; every number is one piece joined by edges."""
    built = share >= inside
    cores = _cores(built, wall_m)
    count = int(cores.max(initial=0))
    pieces, _ = ndimage.label(built)
    has_core = np.bincount(pieces[cores > 0], minlength=pieces.max() + 1) > 0
    lone = np.where(has_core[pieces], 0, pieces)
    cores = np.where(lone > 0, lone + count, cores)
    away, nearest = ndimage.distance_transform_edt(cores == 0, return_indices=True)
    label = np.where(built & (away <= REACH_CELLS), cores[tuple(nearest)], 0).astype(np.int32)
    return _in_one_piece(label)


@compiled
def _cores(built: NDArray[np.bool_], wall_m: Floats) -> Labels:
    """Cells between which no wall can be, numbered from 1 by their first cell; 0 for cells joined to no other.

    Two points with a wall between them are together no farther from walls than from each other.
    """
    rows, cols = built.shape
    out = np.zeros((rows, cols), np.int32)
    stack = np.empty(rows * cols, np.int64)
    count = 0
    for start in range(rows * cols):
        i, j = start // cols, start % cols
        if not built[i, j] or out[i, j] > 0 or wall_m[i, j] <= 0:
            continue
        count += 1
        out[i, j] = count
        stack[0], top, size = start, 1, 1
        while top > 0:
            top -= 1
            y, x = stack[top] // cols, stack[top] % cols
            for k in range(8):
                v, u = y + (0, 0, 1, -1, 1, 1, -1, -1)[k], x + (1, -1, 0, 0, 1, -1, 1, -1)[k]
                if v < 0 or u < 0 or v >= rows or u >= cols or not built[v, u] or out[v, u] > 0:
                    continue
                if wall_m[v, u] > 0 and wall_m[y, x] + wall_m[v, u] > (STRAIGHT_M if k < 4 else DIAGONAL_M):
                    out[v, u] = count
                    stack[top] = v * cols + u
                    top += 1
                    size += 1
        if size == 1:
            out[i, j] = 0
            count -= 1
    return out


def gaps(label: Labels, share: NDArray[np.floating[Any]], cell_m: float) -> tuple[Numbers, Floats]:
    """Pairs of neighbouring buildings ``(P, 2)`` and the mean width of the open ground between them, in metres.

    What the cells on both sides of a common wall lack of being full is that ground.
    """
    pairs, widths = [], []
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        meet = (label[a] != label[b]) & (label[a] > 0) & (label[b] > 0)
        pairs.append(np.sort(np.column_stack([label[a][meet], label[b][meet]]), axis=1))
        widths.append((2.0 - share[a][meet] - share[b][meet]) * cell_m)
    found, number = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    number = number.ravel()
    total = np.bincount(number, np.concatenate(widths), len(found))
    return found.astype(np.int64), total / np.maximum(np.bincount(number, minlength=len(found)), 1)


def _in_one_piece(label: Labels) -> Labels:
    """Renumber by row and column; parts of a building apart from its largest one join a neighbour or go."""
    parts = _parts(label)
    size = np.bincount(parts.ravel())
    size[0] = 0
    small = (size < LEAST_CELLS) & (size > 0)
    if small.any():
        parts = _absorbed(parts, small)
    used, dense = np.unique(parts, return_inverse=True)
    dense = dense.reshape(parts.shape)
    return (dense + (0 if used[0] == 0 else 1)).astype(np.int32)


@compiled
def _parts(label: Labels) -> Labels:
    """Pieces of equal labels joined by edges, numbered from 1 in the order of their first cell; 0 stays."""
    rows, cols = label.shape
    out = np.zeros((rows, cols), np.int32)
    count = 0
    stack = np.empty(rows * cols, np.int64)
    for start in range(rows * cols):
        i, j = start // cols, start % cols
        if label[i, j] == 0 or out[i, j] > 0:
            continue
        count += 1
        out[i, j] = count
        stack[0], top = start, 1
        while top > 0:
            top -= 1
            y, x = stack[top] // cols, stack[top] % cols
            for k in range(4):
                v, u = y + (0, 0, 1, -1)[k], x + (1, -1, 0, 0)[k]
                if 0 <= v < rows and 0 <= u < cols and out[v, u] == 0 and label[v, u] == label[i, j]:
                    out[v, u] = count
                    stack[top] = v * cols + u
                    top += 1
    return out


@compiled
def _absorbed(parts: Labels, small: NDArray[np.bool_]) -> Labels:
    """Cells of small pieces take the number of a neighbour that stays, if they have one, else become open."""
    rows, cols = parts.shape
    out = parts.copy()
    for i in range(rows):
        for j in range(cols):
            if not small[parts[i, j]]:
                continue
            out[i, j] = 0
            for k in range(4):
                v, u = i + (0, 0, 1, -1)[k], j + (1, -1, 0, 0)[k]
                if 0 <= v < rows and 0 <= u < cols and parts[v, u] > 0 and not small[parts[v, u]]:
                    out[i, j] = parts[v, u]
    return out


@compiled
def _label_at(label: Labels, i: int, j: int) -> int:
    return label[i, j] if 0 <= i < label.shape[0] and 0 <= j < label.shape[1] else 0


@compiled
def _is_wall(label: Labels, y: int, x: int, k: int) -> bool:
    """Whether a wall leaves a corner eastward, southward, westward or northward (``k`` 0 to 3)."""
    if k == 0:
        return _label_at(label, y - 1, x) != _label_at(label, y, x)
    if k == 1:
        return _label_at(label, y, x - 1) != _label_at(label, y, x)
    if k == 2:
        return _label_at(label, y - 1, x - 1) != _label_at(label, y, x - 1)
    return _label_at(label, y - 1, x - 1) != _label_at(label, y - 1, x)


@compiled
def _wall_cells(y: int, x: int, k: int) -> tuple[int, int, int, int]:
    """The cells left and right of a wall that leaves a corner."""
    if k == 0:
        return y - 1, x, y, x
    if k == 1:
        return y, x, y, x - 1
    if k == 2:
        return y, x - 1, y - 1, x - 1
    return y - 1, x - 1, y - 1, x


@compiled
def _depth(wall_m: Floats, i: int, j: int) -> float:
    if 0 <= i < wall_m.shape[0] and 0 <= j < wall_m.shape[1]:
        return min(max(abs(wall_m[i, j]), 0.05), 4.0)
    return 1.0


@compiled
def arcs(label: Labels, wall_m: Floats) -> tuple[Floats, Numbers, Numbers, Numbers]:  # noqa: PLR0912
    """Walls as arcs between the corners where three or more walls meet.

    Edges between cells of different labels are walked from every corner of degree other than two, and then, for rings,
    from what is left; each edge leaves a point where the two cells' distances say that the wall is. At a corner of
    degree two there is one way on, so each edge is walked once.

    Returns
    -------
    Points ``(N, 2)`` in cells, first and last of each arc its corners; where each arc begins ``(A + 1,)``; the labels
    left and right of it ``(A, 2)``; the corners' numbers ``(A, 2)``, equal for arcs that are rings.

    """
    rows, cols = label.shape
    degree = np.zeros((rows + 1, cols + 1), np.int8)
    for y in range(rows + 1):
        for x in range(cols + 1):
            for k in range(4):
                if _is_wall(label, y, x, k):
                    degree[y, x] += 1
    used = np.zeros((rows + 1, cols + 1, 4), np.bool_)
    points = [(0.0, 0.0)]
    begins, sides, ends = [1], [(0, 0)], [(0, 0)]
    for ring in range(2):
        for i in range(rows + 1):
            for j in range(cols + 1):
                if degree[i, j] == 0 or (ring == 0 and degree[i, j] == 2):
                    continue
                for first in range(4):
                    if used[i, j, first] or not _is_wall(label, i, j, first):
                        continue
                    y, x, k = i, j, first
                    a, b, c, d = _wall_cells(y, x, k)
                    sides.append((_label_at(label, a, b), _label_at(label, c, d)))
                    points.append((float(x), float(y)))
                    while True:
                        used[y, x, k] = True
                        a, b, c, d = _wall_cells(y, x, k)
                        one, two = _depth(wall_m, a, b), _depth(wall_m, c, d)
                        shift = one / (one + two) - 0.5
                        mx, my = x + 0.5 * (0.0 + (1, 0, -1, 0)[k]), y + 0.5 * (0.0 + (0, 1, 0, -1)[k])
                        points.append((mx + shift * (d - b), my + shift * (c - a)))
                        y, x = y + (0, 1, 0, -1)[k], x + (1, 0, -1, 0)[k]
                        used[y, x, (k + 2) % 4] = True
                        if degree[y, x] != 2 or (y == i and x == j):
                            break
                        for turn in (0, 1, 3):
                            if _is_wall(label, y, x, (k + turn) % 4):
                                k = (k + turn) % 4
                                break
                    points.append((float(x), float(y)))
                    begins.append(len(points))
                    ends.append((i * (cols + 1) + j, y * (cols + 1) + x))
    out = np.zeros((len(points) - 1, 2))
    for n in range(1, len(points)):
        out[n - 1, 0], out[n - 1, 1] = points[n]
    count = len(begins)
    first_of = np.zeros(count, np.int64)
    side, end = np.zeros((count - 1, 2), np.int64), np.zeros((count - 1, 2), np.int64)
    for n in range(count):
        first_of[n] = begins[n] - 1
        if n:
            side[n - 1, 0], side[n - 1, 1] = sides[n]
            end[n - 1, 0], end[n - 1, 1] = ends[n]
    return out, first_of, side, end
