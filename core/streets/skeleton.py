"""Centre lines of areas of cells, and the chains of cells that they consist of, in loops compiled by numba.

Imports numpy and the door to numba; knows cells only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

_DI = (-1, -1, 0, 1, 1, 1, 0, -1)
_DJ = (0, 1, 1, 1, 0, -1, -1, -1)


def thinned(area: Mask) -> Mask:
    """The centre line of an area, one cell wide (Zhang and Suen 1984); its topology is the area's."""
    line = np.pad(area, 1)
    while _peel(line, True) + _peel(line, False):
        pass
    return line[1:-1, 1:-1]


def chains(line: Mask) -> tuple[Numbers, Numbers]:
    """The cells of a thin line as chains between its ends and junctions.

    Returns
    -------
    Rows and columns of all chains' cells ``(N, 2)``, and where each chain begins in them ``(C + 1,)``. Chains that
    meet share their first or last cell.

    """
    cells, begins = _chains(np.pad(line, 1))
    return cells - 1, begins


@compiled
def _peel(line: Mask, odd: bool) -> int:
    """One half round of thinning, in place; how many cells went."""
    rows, cols = line.shape
    gone = [(0, 0)]
    ring = np.zeros(8, np.int8)
    for i in range(1, rows - 1):
        for j in range(1, cols - 1):
            if not line[i, j]:
                continue
            near, turns = 0, 0
            for k in range(8):
                ring[k] = line[i + _DI[k], j + _DJ[k]]
                near += ring[k]
            for k in range(8):
                if ring[k] == 0 and ring[(k + 1) % 8] == 1:
                    turns += 1
            if near < 2 or near > 6 or turns != 1:
                continue
            if odd:
                free = ring[0] * ring[2] * ring[4] == 0 and ring[2] * ring[4] * ring[6] == 0
            else:
                free = ring[0] * ring[2] * ring[6] == 0 and ring[0] * ring[4] * ring[6] == 0
            if free:
                gone.append((i, j))
    for i, j in gone[1:]:
        line[i, j] = False
    return len(gone) - 1


@compiled
def _linked(line: Mask, i: int, j: int, k: int) -> bool:
    """Whether a cell's neighbour ``k`` continues the line: a diagonal one only where no straight way leads there."""
    if not line[i + _DI[k], j + _DJ[k]]:
        return False
    if _DI[k] == 0 or _DJ[k] == 0:
        return True
    return not (line[i + _DI[k], j] or line[i, j + _DJ[k]])


@compiled
def _degrees(line: Mask) -> NDArray[np.int8]:
    """How many neighbours continue the line at each of its cells."""
    out = np.zeros(line.shape, np.int8)
    for i in range(1, line.shape[0] - 1):
        for j in range(1, line.shape[1] - 1):
            if line[i, j]:
                for k in range(8):
                    if _linked(line, i, j, k):
                        out[i, j] += 1
    return out


@compiled
def _chains(line: Mask) -> tuple[Numbers, Numbers]:
    """Walk from every end and junction along every link, then around the rings that have neither."""
    degree = _degrees(line)
    used = np.zeros((line.shape[0], line.shape[1], 8), np.bool_)
    cells = [(0, 0)]
    begins = [1]
    for ring in range(2):
        for i in range(1, line.shape[0] - 1):
            for j in range(1, line.shape[1] - 1):
                if not line[i, j] or degree[i, j] == 0 or (ring == 0 and degree[i, j] == 2):
                    continue
                for k in range(8):
                    if used[i, j, k] or not _linked(line, i, j, k):
                        continue
                    y, x, way = i, j, k
                    cells.append((y, x))
                    while True:
                        used[y, x, way] = True
                        y, x = y + _DI[way], x + _DJ[way]
                        used[y, x, (way + 4) % 8] = True
                        cells.append((y, x))
                        if degree[y, x] != 2 or (y == i and x == j):
                            break
                        for after in range(8):
                            if after != (way + 4) % 8 and _linked(line, y, x, after):
                                way = after
                                break
                    begins.append(len(cells))
    out = np.zeros((len(cells) - 1, 2), np.int64)
    for n in range(1, len(cells)):
        out[n - 1, 0], out[n - 1, 1] = cells[n]
    first = np.zeros(len(begins), np.int64)
    for n in range(len(begins)):
        first[n] = begins[n] - 1
    return out, first
