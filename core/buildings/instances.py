"""Single buildings in the finest fields: one number per building on cells of 2 m, and arcs of wall between them.

A building is a core away from walls, grown to the outline. Walls between two cells lie where the two cells' distances
from a wall say, so arcs are exact to a fraction of a cell. Coordinates here are cells: x eastward, y southward.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..compiled import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Labels = NDArray[np.int32]

CORE_M = 1.05
"""Cells on both sides of a wall between them are a metre away from it."""
REACH_CELLS = 3.0
LEAST_CELLS = 3


def labelled(share: Floats, wall_m: Floats, inside: float = 0.5) -> Labels:
    """Number of the building on each cell, 0 on open ground; every number is one piece joined by edges."""
    built = share >= inside
    cores, count = ndimage.label((wall_m > CORE_M) & built)
    pieces, _ = ndimage.label(built)
    has_core = np.bincount(pieces[cores > 0], minlength=pieces.max() + 1) > 0
    lone = np.where(has_core[pieces], 0, pieces)
    cores = np.where(lone > 0, lone + count, cores)
    away, nearest = ndimage.distance_transform_edt(cores == 0, return_indices=True)
    label = np.where(built & (away <= REACH_CELLS), cores[tuple(nearest)], 0).astype(np.int32)
    return _in_one_piece(label)


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
