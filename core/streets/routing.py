"""Cheapest paths over cells: steps to 16 neighbours, none steeper than a limit, none over forbidden ground,
and turns that cost something.

Dijkstra's search (1959) with a binary heap; equal costs go by cell number, so results do not hang on order. Imports
numpy and the door to numba.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BEND_M = 4.0
HAIRPIN_M = 60.0
STATES = 17
"""States of a cell: the 16 steps that may lead to it, and that a way begins there."""
MOST_ENDS, ENDS_APART = 8, 6
"""So many ends are found at most, and they lie so many cells apart."""
MORE, MORE_M = 1.5, 200.0
"""Ends that cost more than this beside the cheapest one are of no use."""

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


@dataclass(frozen=True)
class Table:
    """What a search has found so far, by state: a cell and the step that led there, ``cell * 17 + step``.

    All are 0 at first and hold what they hold plus 1, so that memory is taken only where the search comes.

    Attributes
    ----------
    total
        Cost of the cheapest way to each state.
    before
        The state before each state.
    steep
        Steepest piece of each of the 16 steps from each cell.

    """

    total: Floats
    before: Numbers
    steep: NDArray[np.float32]

    def path_to(self, state: int, cols: int) -> Numbers:
        """Rows and columns ``(N, 2)`` from a source to a state."""
        found = [state]
        while (state := int(self.before[state]) - 1) >= 0:
            found.append(state)
        numbers = np.array(found[::-1], np.int64) // STATES
        return np.stack([numbers // cols, numbers % cols], axis=1)


def reached(
    cost: Floats, height_m: Floats, marks: NDArray[np.int32], facts: tuple[float, float, float], most: float = np.inf
) -> tuple[Numbers, Table, bool]:
    """The cheapest ways from some cells to others, turns counted.

    Parameters
    ----------
    cost
        Of each metre on each cell, ``(rows, cols)``; infinite where forbidden.
    height_m
        Heights of the cells' centres.
    marks
        0 where ways may begin, more where they may end, -1 on all other cells.
    facts
        Cell size in metres, steepest grade, and how much a metre at that grade costs more than a level one.
    most
        Cost beyond which nothing is looked for.

    Returns
    -------
    The states in which ends are reached, cheapest first, some cells apart; the table they belong to; and whether all
    that can be reached has been, and lies within the cells given.

    """
    size = cost.size
    table = Table(np.zeros(size * STATES), np.zeros(size * STATES, np.int64), np.zeros((size, 16), np.float32))
    found, closed = _reached(cost, height_m, marks, (table.total, table.before, table.steep), (*facts, most))
    return found, table, bool(closed)


@compiled
def _reached(  # noqa: PLR0912, PLR0915
    cost: Floats,
    height_m: Floats,
    marks: NDArray[np.int32],
    table: tuple[Floats, Numbers, NDArray[np.float32]],
    facts: tuple[float, float, float, float],
) -> tuple[Numbers, bool]:
    """Dijkstra's search from all cells marked 0 at once; the work of :func:`reached`.

    States and not cells are searched, since a turn costs by the step before it. An end is noted when it is first taken
    from the heap, which is when its cheapest way is known, and nothing is looked for beyond it; so ways lead through
    no street. The first end sets how much more others may cost.
    """
    cell_m, limit, penalty, most = facts
    total, before, steep = table
    rows, cols = cost.shape
    turns = np.zeros((17, 16))
    for come in range(16):
        for go in range(16):
            turns[come, go] = _turn_cost(come, go)
    found = np.zeros(MOST_ENDS, np.int64)
    count, closed = 0, True
    heap = [(0.0, 0)]
    heap.pop()
    for n in range(rows * cols):
        if marks[n // cols, n % cols] == 0:
            total[n * 17 + 16] = 1.0
            heap.append((0.0, n * 17 + 16))
    while len(heap) > 0:
        here, at = heapq.heappop(heap)
        if here > most:
            closed = False
            break
        if here + 1.0 > total[at]:
            continue
        cell, come = at // 17, at % 17
        i, j = cell // cols, cell % cols
        if marks[i, j] > 0:
            far = True
            for k in range(count):
                other = found[k] // 17
                if max(abs(other // cols - i), abs(other % cols - j)) < ENDS_APART:
                    far = False
            if far:
                if count == 0:
                    most = min(most, here * MORE + MORE_M)
                found[count] = at
                count += 1
                if count == MOST_ENDS:
                    break
            continue
        if i == 0 or j == 0 or i == rows - 1 or j == cols - 1:
            closed = False
        for k in range(16):
            y, x = i + _DI[k], j + _DJ[k]
            if y < 0 or x < 0 or y >= rows or x >= cols or marks[y, x] == 0 or not math.isfinite(cost[y, x]):
                continue
            if not math.isfinite(turns[come, k]):
                continue
            size = math.hypot(_DI[k], _DJ[k]) * cell_m
            if steep[cell, k] == 0.0:
                a, b, c, d = _cells_between(i, j, k)
                free = math.isfinite(cost[a, b]) and math.isfinite(cost[c, d])
                steep[cell, k] = 1.0 + (_steepest(height_m, i, j, k, cell_m) if free else 1e9)
            ratio = (steep[cell, k] - 1.0) / limit
            if ratio > 1.0:
                continue
            step = size * 0.5 * (min(cost[i, j], 10.0) + cost[y, x]) * (1.0 + penalty * ratio * ratio)
            after = here + step + turns[come, k]
            there = (y * cols + x) * 17 + k
            if total[there] == 0.0 or after + 1.0 < total[there]:
                total[there], before[there] = after + 1.0, at + 1
                heapq.heappush(heap, (after, there))
    return found[:count], closed


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
