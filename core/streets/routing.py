"""Cheapest paths over cells: steps to 16 neighbours, none steeper than a limit, none over forbidden ground,
and turns that cost something.

Dijkstra's search (1959) with a binary heap; equal costs go by cell number, so results do not hang on order. Imports
numpy and the door to numba.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BEND_M = 4.0
HAIRPIN_M = 60.0

_DI = (0, 0, 1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 2, 2, -2, -2)
_DJ = (1, -1, 0, 0, 1, -1, 1, -1, 2, -2, 2, -2, 1, -1, 1, -1)


@compiled
def _cells_between(i: int, j: int, k: int) -> tuple[int, int, int, int]:
    """The two cells that a step of a knight passes between; for other steps its own ends."""
    if abs(_DI[k]) == 2:
        return i + _DI[k] // 2, j, i + _DI[k] // 2, j + _DJ[k]
    if abs(_DJ[k]) == 2:
        return i, j + _DJ[k] // 2, i + _DI[k], j + _DJ[k] // 2
    if _DI[k] != 0 and _DJ[k] != 0:
        return i + _DI[k], j, i, j + _DJ[k]
    return i, j, i + _DI[k], j + _DJ[k]


@compiled
def _turn_cost(come: int, go: int) -> float:
    """What a turn costs, in metres of level street on a ridge: little up to 45 degrees, much for a hairpin."""
    dot = _DI[come] * _DI[go] + _DJ[come] * _DJ[go]
    size = math.hypot(_DI[come], _DJ[come]) * math.hypot(_DI[go], _DJ[go])
    turn = math.acos(min(max(dot / size, -1.0), 1.0))
    if turn > 3.0:
        return math.inf
    return BEND_M * (turn / 0.7854) ** 2 + (HAIRPIN_M if turn > 1.9 else 0.0)


@compiled
def spread(  # noqa: PLR0912
    cost: Floats,
    height_m: Floats,
    sources: NDArray[np.int32],
    facts: tuple[float, float, float],
    target: int,
    most: float,
) -> tuple[Floats, NDArray[np.int32], Numbers, Numbers]:
    """Cheapest way from the nearest of several sources to every cell, turns counted.

    Parameters
    ----------
    cost
        Of each metre on each cell, ``(rows, cols)``; infinite where forbidden.
    height_m
        Heights of the cells' centres.
    sources
        Number of the source that begins in a cell, -1 for none.
    facts
        Cell size in metres, steepest grade, and how much a metre at that grade costs more than a level one.
    target
        Cell at which the search may end, -1 for none.
    most
        Cost beyond which nothing is looked for.

    Returns
    -------
    Cost, number of the source, and number of the state by which the cheapest way comes, each ``(rows, cols)``, and
    the state before each state (-1 for none). A state is a cell and the step that led there, ``cell * 17 + step``.

    """
    cell_m, limit, penalty = facts
    rows, cols = cost.shape
    turns = np.zeros((17, 16))
    for come in range(16):
        for go in range(16):
            turns[come, go] = _turn_cost(come, go)
    total = np.full(rows * cols * 17, np.inf)
    before = np.full(rows * cols * 17, -1, np.int64)
    best = np.full((rows, cols), np.inf)
    state = np.full((rows, cols), -1, np.int64)
    owner = sources.copy()
    steep = np.full((rows * cols, 16), -1.0, np.float32)
    heap = [(0.0, 0)]
    heap.pop()
    for n in range(rows * cols):
        if sources[n // cols, n % cols] >= 0:
            total[n * 17 + 16] = 0.0
            heap.append((0.0, n * 17 + 16))
    while len(heap) > 0:
        here, at = heapq.heappop(heap)
        if here > total[at] or here > most:
            continue
        cell, come = at // 17, at % 17
        i, j = cell // cols, cell % cols
        if here < best[i, j]:
            best[i, j], state[i, j] = here, at
            if before[at] >= 0:
                above = before[at] // 17
                owner[i, j] = owner[above // cols, above % cols]
        if cell == target:
            break
        for k in range(16):
            y, x = i + _DI[k], j + _DJ[k]
            if y < 0 or x < 0 or y >= rows or x >= cols or not math.isfinite(cost[y, x]):
                continue
            if not math.isfinite(turns[come, k]):
                continue
            size = math.hypot(_DI[k], _DJ[k]) * cell_m
            if steep[cell, k] < 0.0:
                a, b, c, d = _cells_between(i, j, k)
                free = math.isfinite(cost[a, b]) and math.isfinite(cost[c, d])
                steep[cell, k] = _steepest(height_m, i, j, k, cell_m) if free else 1e9
            if steep[cell, k] > limit:
                continue
            ratio = steep[cell, k] / limit
            step = size * 0.5 * (min(cost[i, j], 10.0) + cost[y, x]) * (1.0 + penalty * ratio * ratio)
            after = here + step + turns[come, k]
            there = (y * cols + x) * 17 + k
            if after < total[there]:
                total[there], before[there] = after, at
                heapq.heappush(heap, (after, there))
    return best, owner, state, before


@compiled
def _steepest(height_m: Floats, i: int, j: int, k: int, cell_m: float) -> float:
    """Steepest of eight pieces of a step on the bilinear surface."""
    steepest = 0.0
    size = math.hypot(_DI[k], _DJ[k]) * cell_m / 8
    last = height_m[i, j]
    rows, cols = height_m.shape
    for n in range(1, 9):
        y, x = i + _DI[k] * n / 8, j + _DJ[k] * n / 8
        p, q = min(int(y), rows - 2), min(int(x), cols - 2)
        v, u = y - p, x - q
        top = height_m[p, q] * (1 - u) + height_m[p, q + 1] * u
        bottom = height_m[p + 1, q] * (1 - u) + height_m[p + 1, q + 1] * u
        now = top * (1 - v) + bottom * v
        steepest = max(steepest, abs(now - last) / size)
        last = now
    return steepest


def path_to(before: Numbers, state: int, cols: int) -> Numbers:
    """Cells ``(N, 2)`` from a source to a state."""
    found = [state]
    while (state := int(before[state])) >= 0:
        found.append(state)
    numbers = np.array(found[::-1], np.int64) // 17
    return np.stack([numbers // cols, numbers % cols], axis=1)
