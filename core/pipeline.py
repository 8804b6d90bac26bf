"""Running a plan: read, compute and write overlap, in bounded memory, with progress and cancel. The only dask user.

Each tile is three dask tasks. Further edges keep the order and the bound: a tile is read only when the one
``plan.ahead`` before it has been written, computed after the one ``plan.lanes`` before it, and written after its
predecessor (GDAL cannot write one GeoTIFF from several threads). Knows neither terrain nor torch: callables come in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask.threaded

from .progress import Progress
from .tiling import Plan, Tile

Read = Callable[[Tile], Any]
Compute = Callable[[Tile, Any], Any]
Write = Callable[[Tile, Any], None]


def run(plan: Plan, read: Read, compute: Compute, write: Write, progress: Progress) -> None:
    """Do every tile of ``plan``; the first error or cancel ends the run after the tasks under way.

    Parameters
    ----------
    plan
        The tiles, done in their order.
    read, compute, write
        ``write(tile, compute(tile, read(tile)))`` is done for each; ``write`` from one task at a time.
    progress
        Told after every tile, with an estimate of the time that is left.

    """
    clock = Clock(len(plan), progress)

    def reading(tile: Tile, _: object) -> Any:
        progress.check()
        return read(tile)

    def computing(tile: Tile, data: Any, _: object) -> Any:
        progress.check()
        return compute(tile, data)

    def writing(tile: Tile, data: Any, _: object) -> int:
        progress.check()
        write(tile, data)
        clock.done(tile.index + 1)
        return 1

    graph: dict[tuple[str, int], Any] = {}
    for tile in plan:
        at = tile.index
        graph["read", at] = (reading, tile, ("written", at - plan.ahead) if at >= plan.ahead else None)
        graph["computed", at] = (
            computing,
            tile,
            ("read", at),
            ("computed", at - plan.lanes) if at >= plan.lanes else None,
        )
        graph["written", at] = (writing, tile, ("computed", at), ("written", at - 1) if at else None)
    with ThreadPoolExecutor(max_workers=plan.ahead) as pool:
        dask.threaded.get(graph, ("written", len(plan) - 1), pool=pool)


class Clock:
    """Says how far a run is and how long it still takes, from the pace so far."""

    def __init__(self, tiles: int, progress: Progress) -> None:
        self._tiles, self._progress, self._started_s = tiles, progress, time.monotonic()

    def done(self, count: int) -> None:
        """Report that ``count`` tiles are done."""
        spent_s = time.monotonic() - self._started_s
        left_s = spent_s / count * (self._tiles - count)
        left = f", about {_duration(left_s)} left" if count < self._tiles else ""
        self._progress.report(count / self._tiles, f"Tile {count} of {self._tiles}{left}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
