"""Tiles in batches, as many at a time as the device holds: how a job asks a surface.

Where the memory of the device runs out, everybody waits, what is kept there is given back, and the job goes on with
half as many tiles at a time. Imports the standard library and what a surface is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

from ..errors import TerrainError
from ..progress import Progress
from .lanes import out_of_memory
from .surface import Answer, Asked, Surface


class Batches:
    """Asks a surface for many tiles; from several threads at a time.

    Every call to the surface has the same number of tiles, the last one filled up with repeats of its last tile, so
    that all tiles of a job are computed in one shape.
    """

    def __init__(self, model: Surface, batch: int, progress: Progress, error90: bool = False) -> None:
        """Ask ``model`` for at most ``batch`` tiles at a time, with ``error90`` for the band of their error too."""
        self._model, self._batch, self._progress, self._error90 = model, batch, progress, error90
        self._most, self._said = 0, False
        self._turns = Turns()

    def answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer for each; raises :class:`.TerrainError` where the device does not even hold one tile."""
        found: list[Answer] = []
        while len(found) < len(asked):
            most = self._at_a_time(asked[0])
            part = list(asked[len(found) : len(found) + most])
            whole = part + [part[-1]] * (most - len(part))
            with self._turns.shared():
                answers = self._tried(whole)
            if answers is None:
                answers = self._after_failure(whole)
            found += answers[: len(part)]
        return found

    def _at_a_time(self, asked: Asked) -> int:
        if not self._most:
            self._most = max(1, min(self._batch, self._model.fits(asked)))
        return self._most

    def _tried(self, asked: Sequence[Asked]) -> list[Answer] | None:
        """The answers, or None where memory ran out; what was computed till then is free again on return."""
        try:
            return self._model.answer(asked, self._error90, self._progress)
        except (MemoryError, RuntimeError) as failure:
            if not out_of_memory(failure):
                raise
            return None

    def _after_failure(self, asked: Sequence[Asked]) -> list[Answer]:
        """No answer where fewer tiles may do; one tile is tried again while nobody else needs memory."""
        with self._turns.alone():
            self._model.forget()
            if len(asked) > 1:
                self._halve(len(asked))
                return []
            answers = self._tried(asked)
        if answers is None:
            raise TerrainError(self._refusal(asked[0]))
        return answers

    def _halve(self, failed: int) -> None:
        self._most = min(self._most, failed // 2)
        if not self._said:
            self._said = True
            self._progress.info(
                f"The memory of {self._model.compute.device} does not hold {failed} tiles at a time; the job goes on "
                "with fewer."
            )

    def _refusal(self, asked: Asked) -> str:
        device, (rows, cols) = self._model.compute.device, asked.known.heights.shape
        other = "" if device == "cpu" else ", or choose the device cpu"
        return (
            f"The memory of {device} does not hold one tile of {cols} x {rows} coarse cells; set Memory lower, so that "
            f"tiles become smaller{other}."
        )


class Turns:
    """Many may work at a time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._alone = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Work beside others, once nobody is or wants to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Work once all others have ended; nobody begins meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: self._working == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
