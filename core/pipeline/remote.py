"""What a Dask worker runs: facts about itself, and tiles. Standard library only; no part of it knows dask.

Recipe and tile travel with each task, so a worker that joins late or was started anew needs no preparation. The work
that a recipe makes (open files, a loaded model) is kept between tiles.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import platform
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..tiling import Tile
from .work import OpenWork, Recipe

KEPT = 2
"""Recipes whose work stays open in one process: that of this job, and one of another user or of the last job."""


@dataclass(frozen=True)
class Done:
    """What comes back for a tile: the encoded tile, and every warning of this process so far."""

    encoded: Any
    warnings: tuple[str, ...]


MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES = 32 * 2**20, 64 * 2**20
"""What glibc settles at by itself in a process that uses large arrays."""


def tell(ask: Callable[[], dict]) -> dict:
    """Facts about this process: what ``ask`` finds here, and the versions of Python and distributed."""
    keep_freed_memory()
    return {"python": platform.python_version(), "distributed": importlib.metadata.version("distributed"), **ask()}


def do(key: str, recipe: Recipe, tile: Tile) -> Done:
    """Read, compute and encode one tile; ``key`` is the recipe's."""
    with shelf.opened(key, recipe) as work:
        results = work.compute((tile,), (work.read(tile),))
        return Done(work.encode(tile, results[0]), tuple(work.warnings))


def keep_freed_memory() -> None:
    """Let glibc use the memory of freed arrays again.

    Dask's nanny starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``, which also fixes the size from which glibc
    asks the system for every single block. Each array is then new memory that the system clears first: a tile took
    twice the processor time. Elsewhere than on glibc there is nothing to set.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, MMAP_THRESHOLD_BYTES)  # M_MMAP_THRESHOLD
        mallopt(-1, TRIM_THRESHOLD_BYTES)  # M_TRIM_THRESHOLD


def forget(key: str) -> None:
    """Close the work of a recipe as soon as no tile needs it."""
    shelf.drop(key)


class _Slot:
    """The place of one recipe's work."""

    def __init__(self) -> None:
        self.work: OpenWork | None = None
        self.opening = threading.Lock()
        self.users, self.dropped = 0, False


class Shelf:
    """Open work by key, the latest used last. Threads share it; each work is opened once and closed when unused."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()

    @contextlib.contextmanager
    def opened(self, key: str, recipe: Recipe) -> Iterator[OpenWork]:
        """The work of a recipe; it stays open at least until the block ends."""
        slot = self._take(key)
        try:
            with slot.opening:
                if slot.work is None:
                    slot.work = recipe.open()
            yield slot.work
        finally:
            self._give_back(key, slot)

    def drop(self, key: str) -> None:
        """Let go of one work."""
        with self._lock:
            slot = self._slots.pop(key, None)
        if slot is not None:
            self._retire(slot)

    def _take(self, key: str) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            slot.users += 1
            surplus = [self._slots.popitem(last=False)[1] for _ in range(len(self._slots) - self._kept)]
        for old in surplus:
            self._retire(old)
        return slot

    def _give_back(self, key: str, slot: _Slot) -> None:
        with self._lock:
            slot.users -= 1
            if slot.work is None and self._slots.get(key) is slot:
                del self._slots[key]
        self._retire(slot, only_dropped=True)

    def _retire(self, slot: _Slot, *, only_dropped: bool = False) -> None:
        """Close a work that nobody uses any more."""
        with self._lock:
            slot.dropped = slot.dropped or not only_dropped
            work = slot.work if slot.dropped and slot.users == 0 else None
            if work is not None:
                slot.work = None
        if work is not None:
            work.close()


shelf = Shelf()
"""The shelf of this process."""
