"""Running tiles on this computer: threads that read, compute and encode, and one writer. Standard library only.

A rolling window of batches is under way, so neither time nor memory depends on how many tiles there are: a batch is
submitted when the one ``crew.batches`` before it has been written. Each lane is one thread for the whole run, which may
therefore keep a stream of a GPU or its share of the cores. The calling thread writes, in the order of the tiles.

One graph for dask's threaded scheduler did the same, but before the first of 50,000 tiles it took 10 s and 700 MB, and
0.3 ms of Python for each; here it is 0.04 ms.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from ..errors import Cancelled
from ..progress import Progress
from ..tiling import Crew, Tile
from .clock import Clock
from .work import Tiles, Work, Write

POLL_S = 0.1
"""How often a cancel is looked for while a tile is waited for."""

Batch = tuple[Tile, ...]


def run(plan: Tiles, tiles: Sequence[Tile], work: Work, write: Write, progress: Progress) -> None:
    """Do ``tiles``, those of ``plan`` that are not done yet; the first error or cancel ends the run.

    Parameters
    ----------
    plan
        Says how many tiles there are in all and how many are worked on at the same time.
    tiles
        What is left to do, written in this order.
    work
        ``work.read`` and ``work.compute`` run in threads of their own, and ``work.encode`` in those of the lanes or of
        the encoders.
    write
        Called by the calling thread, one tile after another; what is written before an error counts.
    progress
        Told after every tile, with an estimate of the time that is left.

    """
    clock = Clock(len(plan), len(plan) - len(tiles), plan.crew.lanes * plan.crew.batch, progress)
    under_way: deque[tuple[Batch, Future]] = deque()
    rest = _batches(tiles, plan.crew.batch)
    with _Threads(work, plan.crew) as threads:
        while True:
            while len(under_way) < plan.crew.batches and (batch := next(rest, None)):
                under_way.append((batch, threads.submit(batch)))
            if not under_way:
                return
            batch, future = under_way.popleft()
            for tile, encoding in zip(batch, _result(future, progress), strict=True):
                write(tile, _result(encoding, progress))
                clock.done()


def _batches(tiles: Sequence[Tile], size: int) -> Iterator[Batch]:
    return (tuple(tiles[start : start + size]) for start in range(0, len(tiles), size))


def _result(future: Future, progress: Progress) -> Any:
    """Wait for a result, and meanwhile for a cancel."""
    progress.check()
    while not wait_for([future], POLL_S).done:
        progress.check()
    return future.result()


class _Threads:
    """Readers, lanes and encoders; leaving the context waits for what they are doing and drops what they are not."""

    def __init__(self, work: Work, crew: Crew) -> None:
        self._work, self._over = work, threading.Event()
        self._readers = ThreadPoolExecutor(crew.batch, "read")
        self._lanes = ThreadPoolExecutor(crew.lanes, "lane")
        self._encoders = ThreadPoolExecutor(crew.encoders, "encode") if crew.encoders else None

    def submit(self, batch: Batch) -> Future:
        """Begin a batch; the result is one future of an encoded tile for each of its tiles."""
        reading = [self._readers.submit(self._read, tile) for tile in batch]
        return self._lanes.submit(self._compute, batch, reading)

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        pools = [pool for pool in (self._readers, self._lanes, self._encoders) if pool is not None]
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in pools:
            pool.shutdown()

    def _check(self) -> None:
        if self._over.is_set():
            raise Cancelled

    def _read(self, tile: Tile) -> Any:
        self._check()
        return self._work.read(tile)

    def _compute(self, batch: Batch, reading: Sequence[Future]) -> list[Future]:
        data = [future.result() for future in reading]
        self._check()
        results = self._work.compute(batch, data)
        del data
        return [self._encoding(tile, result) for tile, result in zip(batch, results, strict=True)]

    def _encoding(self, tile: Tile, result: Any) -> Future:
        if self._encoders is not None and not self._over.is_set():
            return self._encoders.submit(self._work.encode, tile, result)
        future: Future = Future()
        future.set_result(self._work.encode(tile, result))
        return future
