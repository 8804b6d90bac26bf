"""The workers of a Dask scheduler: who is there, and what each of them is. One thread looks, others read the roll.

A worker is asked once, when it is first seen; until it has answered it is given no tile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import TerrainError
from ..progress import Progress
from . import remote

if TYPE_CHECKING:
    from distributed import Client

LOOK_S = 0.5
"""Time between two looks at who is there."""
ANSWER_S = 60.0
"""How long a worker may take to answer at the start: it may have to load torch from slow storage."""
PATIENCE_S = 60.0
"""How long a run waits for workers where there is none."""

Ask = Callable[[], dict]


class Roll:
    """Who is there, kept up to date by a thread of its own until :meth:`close`.

    Parameters
    ----------
    client
        Connected to the scheduler.
    ask
        Called on each worker; returns facts about it. Must be importable there.

    """

    def __init__(self, client: Client, ask: Ask) -> None:
        self._client, self._ask = client, ask
        self._lock, self._over = threading.Lock(), threading.Event()
        self._present: dict[str, dict] = {}
        self._answers: dict[str, dict] = {}
        self._asked: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="roll", daemon=True)
        self._thread.start()

    def facts(self) -> dict[str, dict]:
        """Facts of the workers that are there and have answered, by a name that no other worker ever has.

        ``worker`` is what to call it; ``address``, ``host``, ``threads`` and ``resources`` are the scheduler's;
        ``error`` says why a worker could not answer.
        """
        with self._lock:
            return {name: self._answers[name] for name in self._present if name in self._answers}

    def silent(self) -> list[str]:
        """Workers that are there, but have not answered yet."""
        with self._lock:
            return [worker["worker"] for name, worker in self._present.items() if name not in self._answers]

    def wait(self, scheduler: str, progress: Progress) -> None:
        """Return when there are workers and all have answered; says so while there is none.

        Raises
        ------
        TerrainError
            No worker within :data:`PATIENCE_S`, or one without an answer for :data:`ANSWER_S`.

        """
        started_s, told = time.monotonic(), False
        while not self.facts() or self.silent():
            progress.check()
            waited_s = time.monotonic() - started_s
            if self.silent() and waited_s > ANSWER_S:
                raise TerrainError(
                    f"The Dask worker {self.silent()[0]} did not answer within {ANSWER_S:.0f} s; end it, or start it "
                    "again."
                )
            if not self.facts() and not self.silent() and waited_s > PATIENCE_S:
                raise TerrainError(f"The Dask scheduler {scheduler} has no worker; start some with 'dask worker'.")
            if not told and waited_s > 3 * LOOK_S and not self.facts():
                told = True
                progress.info(f"Waiting for workers of the Dask scheduler {scheduler}.")
            time.sleep(0.05)

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                self._look()
            except Exception:  # a thread's outermost door; a lost scheduler is seen by the run
                if self._client.status not in ("running", "connecting"):
                    return
            self._over.wait(LOOK_S)

    def _look(self) -> None:
        seen = self._client.scheduler_info(n_workers=-1)["workers"]
        present = {about["id"]: _described(address, about) for address, about in seen.items()}
        new = {name: worker for name, worker in present.items() if name not in self._asked}
        with self._lock:
            self._present = present
            self._asked.update(new)
        for name, worker in new.items():
            threading.Thread(target=self._question, args=(name, worker), name="question", daemon=True).start()

    def _question(self, name: str, worker: dict) -> None:
        address = worker["address"]
        try:
            answer = self._client.run(remote.tell, self._ask, workers=[address], on_error="return")[address]
        except Exception as error:  # a thread's outermost door; a worker that went away has no answer to give
            answer = error
        facts = {"error": _said(answer)} if isinstance(answer, Exception) else answer
        with self._lock:
            self._answers[name] = {**facts, **worker}


def _described(address: str, about: dict[str, Any]) -> dict:
    """What the scheduler says about a worker."""
    named = str(about.get("name") or address)
    return {
        "worker": named if named == address else f"{named} ({address})",
        "address": address,
        "host": about["host"],
        "threads": about["nthreads"],
        "resources": dict(about.get("resources") or {}),
    }


def _said(error: Exception) -> str:
    """An error in words; the scheduler hands some on as a plain Exception that quotes the true one."""
    return str(error) if type(error) is Exception else f"{type(error).__name__}: {error}"
