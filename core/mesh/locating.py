"""In which triangle of a mesh each of many points lies. Imports numpy and the numba door only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Floats = NDArray[np.float64]
Whole = NDArray[np.int32]
Index = NDArray[np.int64]

MOST_BINS = 1024
"""Bins per axis that points are sorted into, at most."""


def located(vertices: Floats, faces: Whole, points: Floats, tolerance: float) -> Whole:
    """Number of the triangle around each point, -1 where there is none.

    Parameters
    ----------
    vertices, faces
        Triangles that run anticlockwise in the plane of the first two coordinates.
    points
        Places (N, 2).
    tolerance
        Distance from the edges at which a point outside of all triangles still belongs to one.

    """
    found = np.full(len(points), -1, np.int32)
    if len(points) == 0 or len(faces) == 0:
        return found
    low, high = points.min(axis=0), points.max(axis=0)
    bins = min(MOST_BINS, math.isqrt(len(points)) + 1)
    size = np.maximum((high - low) / bins, 1e-9) * (1 + 1e-9)
    place = ((points - low) / size).astype(np.int64).clip(0, bins - 1)
    number = place[:, 1] * bins + place[:, 0]
    order = np.argsort(number, kind="stable").astype(np.int64)
    starts = np.searchsorted(number[order], np.arange(bins * bins + 1)).astype(np.int64)
    counts = np.zeros((bins + 1, bins + 1), np.int64)
    counts[1:, 1:] = np.diff(starts).reshape(bins, bins).cumsum(axis=0).cumsum(axis=1)
    grid = np.array([*low, *size, tolerance])
    _locate(vertices, faces, points, grid, (order, starts, counts), found)
    return found


@compiled
def _locate(
    vertices: Floats, faces: Whole, points: Floats, grid: Floats, bins: tuple[Index, Index, Index], found: Whole
) -> None:
    """Look, for every triangle, at the points in the bins that it touches."""
    order, starts, counts = bins
    n = counts.shape[0] - 1
    best = np.full(len(points), -grid[4])
    for f in range(len(faces)):
        ax, ay = vertices[faces[f, 0], 0], vertices[faces[f, 0], 1]
        bx, by = vertices[faces[f, 1], 0], vertices[faces[f, 1], 1]
        cx, cy = vertices[faces[f, 2], 0], vertices[faces[f, 2], 1]
        left = (min(ax, bx, cx) - grid[4] - grid[0]) / grid[2]
        right = (max(ax, bx, cx) + grid[4] - grid[0]) / grid[2]
        low = (min(ay, by, cy) - grid[4] - grid[1]) / grid[3]
        high = (max(ay, by, cy) + grid[4] - grid[1]) / grid[3]
        if right < 0 or high < 0 or left >= n or low >= n:
            continue
        i0, i1 = max(int(left), 0), min(int(right), n - 1)
        j0, j1 = max(int(low), 0), min(int(high), n - 1)
        if counts[j1 + 1, i1 + 1] - counts[j0, i1 + 1] - counts[j1 + 1, i0] + counts[j0, i0] == 0:
            continue
        ab, bc, ca = math.hypot(bx - ax, by - ay), math.hypot(cx - bx, cy - by), math.hypot(ax - cx, ay - cy)
        for j in range(j0, j1 + 1):
            for k in range(starts[j * n + i0], starts[j * n + i1 + 1]):
                p = order[k]
                x, y = points[p, 0], points[p, 1]
                inside = min(
                    ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / ab,
                    ((cx - bx) * (y - by) - (cy - by) * (x - bx)) / bc,
                    ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) / ca,
                )
                if inside > best[p] or (inside == best[p] and found[p] < 0):
                    best[p] = inside
                    found[p] = f
