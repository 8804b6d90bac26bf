"""Tiles, as many at a time as the device holds: how a job asks a surface.

Where the memory of the device runs out, everybody waits, what is kept there is given back, and the job goes on with
half as many tiles at a time. That moves no bit of a height: a surface computes every tile by itself, in shapes that
follow from the tile alone. Imports the standard library and what a surface is.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence

from ..errors import TerrainError
from ..progress import Progress
from .lanes import out_of_memory, refused_by_library
from .surface import Answer, Asked, Surface


class Batches:
    """Asks a surface for many tiles; from several threads at a time."""

    def __init__(self, model: Surface, batch: int, progress: Progress, error90: bool = False) -> None:
        """Ask ``model`` for at most ``batch`` tiles per call, with ``error90`` for the band of their error too."""
        self._model, self._batch, self._progress, self._error90 = model, batch, progress, error90
        self._said = False
        self._turns = Turns()

    def answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer for each; raises :class:`.TerrainError` where the device does not even hold one tile."""
        found: list[Answer] = []
        while len(found) < len(asked):
            part = asked[len(found) : len(found) + min(self._batch, self._turns.most)]
            with self._turns.shared(len(part)):
                answers, together = self._tried(part)
            found += self._after_failure(part, together) if answers is None else answers
        return found

    def _tried(self, asked: Sequence[Asked]) -> tuple[list[Answer] | None, int]:
        """The answers, or None where memory ran out, and how many tiles were then under work at the time.

        The failure is not kept: with it, what was computed till then would stay in memory.
        """
        try:
            return self._computed(asked), 0
        except (MemoryError, RuntimeError) as failure:
            if not out_of_memory(failure):
                raise
            return None, self._turns.working

    def _computed(self, asked: Sequence[Asked]) -> list[Answer]:
        return self._model.answer(asked, self._error90, self._progress)

    def _after_failure(self, asked: Sequence[Asked], together: int) -> list[Answer]:
        """No answer where fewer tiles at a time may do; one tile is tried again while nobody else needs memory."""
        with self._turns.alone():
            self._model.forget()
            if together > 1:
                self._halve(together)
                return []
            try:
                return self._computed(asked)
            except (MemoryError, RuntimeError) as failure:
                if not out_of_memory(failure):
                    raise
                raise TerrainError(self._refusal(asked[0], failure)) from failure

    def _halve(self, together: int) -> None:
        self._turns.most = min(self._turns.most, together // 2)
        if not self._said:
            self._said = True
            self._progress.info(
                f"The memory of {self._model.compute.device} does not hold {together} tiles at a time; the job goes on "
                "with fewer."
            )

    def _refusal(self, asked: Asked, failure: BaseException) -> str:
        device, (rows, cols) = self._model.compute.device, asked.known.heights.shape
        size = f"one tile of {cols} x {rows} coarse cells"
        if refused_by_library(failure):
            return (
                f"The library of {device} refuses to convolve {size}: its memory is too short, or its cuDNN does not "
                "work. Set Memory lower, so that tiles become smaller, update the driver, or choose the device cpu."
            )
        other = "" if device == "cpu" else ", or choose the device cpu"
        return f"The memory of {device} does not hold {size}; set Memory lower, so that tiles become smaller{other}."


class Turns:
    """Work on so many tiles at a time, or one alone.

    Attributes
    ----------
    most, working
        Tiles that may be under work at a time, to be lowered by who is alone; tiles that are.

    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._alone = False
        self.most, self.working = sys.maxsize, 0

    @contextlib.contextmanager
    def shared(self, count: int = 1) -> Iterator[None]:
        """Work on ``count`` tiles beside others, once there is a place and nobody is or wants to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: self._free(count))
            self.working += count
        try:
            yield
        finally:
            with self._changed:
                self.working -= count
                self._changed.notify_all()

    def _free(self, count: int) -> bool:
        """Whether there is a place; a call made before places became fewer gets all of them."""
        return not self._alone and (self.working == 0 or self.working + count <= self.most)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Work once all others have ended; nobody begins meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: self.working == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
