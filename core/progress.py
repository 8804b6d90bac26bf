"""Progress of a job: a fraction, a text, messages, and the one place where a cancel takes effect.

Imports the standard library only. Sub-classes decide where the messages go.
"""

from __future__ import annotations

from collections.abc import Callable

from .errors import Cancelled


class Progress:
    """What a job says while it runs. The base class says nothing and is never cancelled.

    Warnings are kept in :attr:`warnings`, each once, so that a job can return them.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def report(self, fraction: float, text: str = "") -> None:
        """Say how far the job is, 0 to 1, and what it is doing; raises :class:`Cancelled` like :meth:`check`."""
        self.emit({"type": "progress", "fraction": min(1.0, max(0.0, fraction)), "text": text})
        self.check()

    def info(self, text: str) -> None:
        """Say something worth a line in the log."""
        self.emit({"type": "info", "text": text})

    def warn(self, text: str) -> None:
        """Say once what the user should know about the result."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.emit({"type": "warning", "text": text})

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user has ended the job."""
        if self.cancelled():
            raise Cancelled

    def step(self, start: float, end: float) -> Progress:
        """A part of this progress: its 0 to 1 becomes ``start`` to ``end`` here."""
        return _Step(self, start, end)

    def emit(self, event: dict) -> None:
        """Receive one event; the base class drops it."""

    def cancelled(self) -> bool:
        """Whether the user has ended the job."""
        return False


class CallbackProgress(Progress):
    """Progress that hands every event to a function and asks another whether to stop."""

    def __init__(self, emit: Callable[[dict], None], cancelled: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._emit, self._cancelled = emit, cancelled

    def emit(self, event: dict) -> None:
        """Hand the event on."""
        self._emit(event)

    def cancelled(self) -> bool:
        """Ask the function given at construction."""
        return self._cancelled()


class _Step(Progress):
    def __init__(self, parent: Progress, start: float, end: float) -> None:
        super().__init__()
        self._parent, self._start, self._end = parent, start, end
        self.warnings = parent.warnings

    def emit(self, event: dict) -> None:
        if event["type"] == "progress":
            event = {**event, "fraction": self._start + event["fraction"] * (self._end - self._start)}
        self._parent.emit(event)

    def cancelled(self) -> bool:
        return self._parent.cancelled()
