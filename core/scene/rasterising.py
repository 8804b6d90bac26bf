"""Exact rasterising of polygons and lines: area shares, lengths per cell and distances, in loops compiled by numba.

All coordinates are cells: ``x`` grows eastward from the west edge, ``y`` southward from the north edge, and cell
``(i, j)`` covers ``[j, j + 1] x [i, i + 1]``. Nothing here knows metres, files or geometries; :mod:`.fields` does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Coordinates = NDArray[np.float64]
Offsets = NDArray[np.int64]


@compiled
def _add_edge(share: NDArray, x0: float, y0: float, x1: float, y1: float) -> None:
    """Add the signed area east of one directed edge to ``share``, in a form whose running sum along a row is the area.

    An edge is cut at the row borders; within a row each piece adds, to the cells that it crosses, the part of the
    cell right of it, and to the next cell what is missing to its full height. West of the first column it counts as on
    its west edge, east of the last one not at all.
    """
    rows, cols = share.shape
    if y0 == y1:
        return
    sign = 1.0
    if y0 > y1:
        sign, x0, y0, x1, y1 = -1.0, x1, y1, x0, y0
    slope = (x1 - x0) / (y1 - y0)
    first, last = max(0, math.floor(y0)), min(rows, math.ceil(y1))
    for i in range(first, last):
        top, bottom = max(y0, float(i)), min(y1, float(i + 1))
        if bottom <= top:
            continue
        xa, xb = x0 + (top - y0) * slope, x0 + (bottom - y0) * slope
        left, right = min(xa, xb), max(xa, xb)
        height = sign * (bottom - top)
        if left < 0.0:
            share[i, 0] += height * -left / max(right - left, -left)
        j0, j1 = int(max(left, 0.0)), int(min(right, cols - 0.5))
        if right < 0.0 or j0 >= cols:
            continue
        for j in range(j0, j1 + 1):
            # share of the edge's height that lies in column j, and where it lies there
            low, high = max(left, float(j)), min(right, float(j + 1))
            part = height if left >= j and right < j + 1 else height * (high - low) / (right - left)
            middle = 0.5 * (low + high) - j
            share[i, j] += part * (1.0 - middle)
            if j + 1 < cols:
                share[i, j + 1] += part * middle


@compiled
def area_shares(
    points: Coordinates, rings: Offsets, polygons: Offsets, heights: NDArray, shape: tuple[int, int]
) -> tuple[NDArray, NDArray, NDArray]:
    """Share of each cell that polygons cover, the volume over it, and who covers most of it.

    Parameters
    ----------
    points, rings, polygons
        Ring points ``(N, 2)`` in cells, offsets of rings in points, offsets of polygons in rings; shells and holes run
        in opposite directions.
    heights
        Height of each polygon in metres, ``(P,)``; not a number counts as 0.
    shape
        Rows and columns.

    Returns
    -------
    Shares 0 to 1 (overlaps count once), the sum of share times height in metres, and the number of the polygon that
    covers the largest share of a cell, if at least half, else -1.

    """
    rows, cols = shape
    total = np.zeros(shape, np.float32)
    volume = np.zeros(shape, np.float32)
    most = np.full(shape, np.float32(0.4999))
    owner = np.full(shape, -1, np.int32)
    for p in range(len(polygons) - 1):
        begin, end = rings[polygons[p]], rings[polygons[p + 1]]
        part = points[begin:end]
        j0, j1 = math.floor(part[:, 0].min()), math.ceil(part[:, 0].max())
        i0, i1 = math.floor(part[:, 1].min()), math.ceil(part[:, 1].max())
        if i1 <= 0 or j1 <= 0 or i0 >= rows or j0 >= cols:
            continue
        i0, i1, j0, j1 = max(i0, 0), min(i1, rows), max(j0, 0), min(j1, cols)
        share = np.zeros((i1 - i0, j1 - j0 + 1))
        for r in range(polygons[p], polygons[p + 1]):
            for k in range(rings[r], rings[r + 1] - 1):
                _add_edge(share, points[k, 0] - j0, points[k, 1] - i0, points[k + 1, 0] - j0, points[k + 1, 1] - i0)
        known = heights[p] if math.isfinite(heights[p]) else 0.0
        for i in range(i0, i1):
            running = 0.0
            for j in range(j0, j1):
                running += share[i - i0, j - j0]
                if abs(running) < 1e-9:
                    continue
                free = 1.0 - total[i, j]
                here = min(abs(running), 1.0)
                total[i, j] += min(here, free)
                volume[i, j] += min(here, free) * known
                if here > most[i, j]:
                    most[i, j], owner[i, j] = here, p
    return total, volume, owner


@compiled
def line_moments(
    points: Coordinates, lines: Offsets, kinds: NDArray, kind_count: int, fold: float, shape: tuple[int, int]
) -> tuple[NDArray, NDArray]:
    """Length of lines within each cell, exactly, and its moments ``cos(fold a)``, ``sin(fold a)`` of the direction.

    Directions are counted anticlockwise from east. Both results add up over cells, so a coarse cell is the plain sum.

    Returns
    -------
    Lengths by kind, ``(kind_count, rows, cols)``, and moments ``(2, rows, cols)``, in cells.

    """
    rows, cols = shape
    length = np.zeros((kind_count, rows, cols), np.float32)
    moment = np.zeros((2, rows, cols), np.float32)
    for n in range(len(lines) - 1):
        for k in range(lines[n], lines[n + 1] - 1):
            x0, y0, x1, y1 = points[k, 0], points[k, 1], points[k + 1, 0], points[k + 1, 1]
            dx, dy = x1 - x0, y1 - y0
            size = math.hypot(dx, dy)
            if size == 0.0:
                continue
            angle = fold * math.atan2(-dy, dx)
            c, s = math.cos(angle), math.sin(angle)
            t = 0.0
            while t < 1.0:
                # next border of a row or column along the segment
                step = 1.0
                xm, ym = x0 + dx * (t + 1e-12), y0 + dy * (t + 1e-12)
                if dx > 0.0:
                    step = min(step, (math.floor(xm) + 1.0 - x0) / dx)
                elif dx < 0.0:
                    step = min(step, (math.ceil(xm) - 1.0 - x0) / dx)
                if dy > 0.0:
                    step = min(step, (math.floor(ym) + 1.0 - y0) / dy)
                elif dy < 0.0:
                    step = min(step, (math.ceil(ym) - 1.0 - y0) / dy)
                step = max(step, t + 1e-9)
                middle = 0.5 * (t + step)
                i, j = math.floor(y0 + dy * middle), math.floor(x0 + dx * middle)
                if 0 <= i < rows and 0 <= j < cols:
                    part = (step - t) * size
                    length[kinds[n], i, j] += part
                    moment[0, i, j] += part * c
                    moment[1, i, j] += part * s
                t = step
    return length, moment


@compiled
def nearest_line(
    points: Coordinates, lines: Offsets, reach: float, shape: tuple[int, int]
) -> tuple[NDArray, NDArray, NDArray]:
    """Distance of each cell centre from the nearest line, that line's number, and the direction of its nearest segment.

    Returns
    -------
    Distances in cells (``reach`` where nothing is nearer), line numbers (-1 there), directions in radians
    anticlockwise from east (0 there).

    """
    rows, cols = shape
    best = np.full(shape, np.float32(reach * reach))
    number = np.full(shape, -1, np.int32)
    angle = np.zeros(shape, np.float32)
    for n in range(len(lines) - 1):
        for k in range(lines[n], lines[n + 1] - 1):
            x0, y0 = points[k, 0], points[k, 1]
            dx, dy = points[k + 1, 0] - x0, points[k + 1, 1] - y0
            size = dx * dx + dy * dy
            direction = math.atan2(-dy, dx)
            i0, i1 = math.floor(min(y0, y0 + dy) - reach), math.ceil(max(y0, y0 + dy) + reach)
            j0, j1 = math.floor(min(x0, x0 + dx) - reach), math.ceil(max(x0, x0 + dx) + reach)
            for i in range(max(i0, 0), min(i1, rows)):
                for j in range(max(j0, 0), min(j1, cols)):
                    px, py = j + 0.5 - x0, i + 0.5 - y0
                    t = 0.0 if size == 0.0 else min(max((px * dx + py * dy) / size, 0.0), 1.0)
                    ex, ey = px - t * dx, py - t * dy
                    d = ex * ex + ey * ey
                    if d < best[i, j]:
                        best[i, j], number[i, j], angle[i, j] = d, n, direction
    return np.sqrt(best), number, angle
