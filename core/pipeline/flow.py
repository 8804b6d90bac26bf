"""One run on a cluster: tiles out, results in, few at a time, with the bookkeeping for what can go wrong meanwhile.

The calling thread submits, asks for results and writes them; the client's own thread brings them. A few are asked for
at a time, so this process holds a bounded number, and the others stay with the workers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import queue
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import TerrainError
from ..progress import Progress
from ..tiling import Tile
from . import remote, workers
from .clock import Clock
from .work import Recipe, Write
from .workers import Roll

if TYPE_CHECKING:
    from distributed import Client, Future

    Fetch = concurrent.futures.Future[remote.Done]

SURPLUS = 2
"""Tasks under way for each thread of the workers: one that is computed and one that waits there."""
FETCHED = 8
"""Results that are fetched, or wait in this process for the writer, at the same time."""
TRIES = 3
"""How often a tile is tried that fails for a reason which another time or another worker might not have."""
POLL_S = 0.1


@dataclass
class Task:
    """A tile under way.

    Attributes
    ----------
    failures
        How often it has failed so far.
    team
        The workers that it was offered to.

    """

    tile: Tile
    failures: int = 0
    team: frozenset[str] = frozenset()
    future: Future | None = field(default=None, repr=False)


class Flow:
    """The tasks of one run."""

    def __init__(self, client: Client, roll: Roll, recipe: Recipe, progress: Progress, *, direct: bool) -> None:
        self._client, self._roll, self._recipe = client, roll, recipe
        self._progress, self._direct = progress, direct
        self._tasks: dict[str, Task] = {}
        self._waiting: deque[Task] = deque()
        self._verdicts: dict[str, str] = {}
        self._numbers, self._run = itertools.count(), uuid.uuid4().hex
        self._events: queue.SimpleQueue[tuple[str, Fetch | None]] = queue.SimpleQueue()
        self._finished: deque[str] = deque()
        self._fetches: dict[str, Fetch] = {}
        self._alone_since_s: float | None = None

    def refuse_unfit(self) -> None:
        """Raise what is wrong with the workers that are there before the first tile."""
        capable = {name: facts for name, facts in self._roll.facts().items() if self._places(facts)}
        wrong = [said for said in map(self._unfit, capable.values()) if said]
        if wrong:
            raise TerrainError(wrong[0])
        if not capable:
            wanted = " ".join(f"{name}={count:g}" for name, count in self._recipe.resources.items())
            raise TerrainError(
                f"No Dask worker offers {wanted}, which the chosen device needs; start workers with "
                f'--resources "{wanted}", or choose the device cpu.'
            )

    def run(self, tiles: Sequence[Tile], write: Write, total: int) -> None:
        """Do every tile."""
        self._waiting = deque(Task(tile) for tile in tiles)
        places = sum(map(self._places, self._team().values()))
        clock = Clock(total, total - len(tiles), places, self._progress)
        while self._waiting or self._tasks:
            self._progress.check()
            self._refuse_lost_scheduler()
            self._hand_out(self._team())
            for task, done in self._arrivals():
                for text in done.warnings:
                    self._progress.warn(text)
                write(task.tile, done.encoded)
                clock.done()

    def close(self) -> None:
        """Take back what is under way; a tile that is being computed ends on its worker, and is dropped there."""
        for fetch in self._fetches.values():
            fetch.cancel()
        left = [task.future for task in self._tasks.values() if task.future is not None]
        self._tasks.clear()
        if left and self._client.status == "running":
            self._client.cancel(left, force=True)

    # --- workers

    def _places(self, facts: Mapping[str, Any]) -> int:
        """Tiles that a worker computes at the same time, by its threads and its resources."""
        offered = facts["resources"]
        counts = [offered.get(name, 0) // need for name, need in self._recipe.resources.items()]
        return int(min([facts["threads"], *counts]))

    def _unfit(self, facts: Mapping[str, Any]) -> str:
        if "error" in facts:
            return (
                f"The Dask worker {facts['worker']} cannot load Neural Terrain ({facts['error']}); install the same "
                "version there."
            )
        return self._recipe.unfit(facts)

    def _team(self) -> dict[str, dict]:
        """Workers that may have tiles; one that joined later and does not fit is named once and left out."""
        facts = self._roll.facts()
        for name in facts.keys() - self._verdicts.keys():
            self._verdicts[name] = self._unfit(facts[name]) if self._places(facts[name]) else ""
            if self._verdicts[name]:
                self._progress.warn(f"{self._verdicts[name]} It gets no tiles.")
        return {name: one for name, one in facts.items() if not self._verdicts[name] and self._places(one)}

    def _refuse_lost_scheduler(self) -> None:
        if self._client.status != "running":
            raise TerrainError("The connection to the Dask scheduler was lost; start it again and repeat the run.")

    def _wait_for_a_team(self) -> None:
        """Say once that all workers are gone, and give up after a while."""
        now_s = time.monotonic()
        if self._alone_since_s is None:
            self._alone_since_s = now_s
            self._progress.info(f"All Dask workers are gone; waiting {workers.PATIENCE_S:.0f} s for new ones.")
        elif now_s - self._alone_since_s > workers.PATIENCE_S:
            raise TerrainError(
                f"All Dask workers were gone for {workers.PATIENCE_S:.0f} s; start some and repeat the run."
            )

    # --- tiles out

    def _hand_out(self, team: dict[str, dict]) -> None:
        """Submit as many tiles as the team can take, and those whose workers are all gone to the present ones."""
        if not team:
            self._wait_for_a_team()
            return
        if self._alone_since_s is not None:
            self._alone_since_s = None
            self._progress.info("A Dask worker has joined; the run goes on.")
        for key in [key for key, task in self._tasks.items() if not task.team & team.keys()]:
            self._take_back(key)
        limit = SURPLUS * sum(map(self._places, team.values()))
        while self._waiting and len(self._tasks) < limit:
            self._submit(self._waiting.popleft(), team)

    def _submit(self, task: Task, team: dict[str, dict]) -> None:
        key = f"neural-terrain-{self._run}-{next(self._numbers)}"
        task.team = frozenset(team)
        task.future = self._client.submit(
            remote.do,
            self._recipe.key,
            self._recipe,
            task.tile,
            key=key,
            workers=[facts["address"] for facts in team.values()],
            resources=dict(self._recipe.resources) or None,
            pure=False,
        )
        self._tasks[key] = task
        task.future.add_done_callback(lambda _: self._events.put((key, None)))

    def _take_back(self, key: str) -> None:
        task = self._tasks.pop(key)
        if task.future is not None:
            self._client.cancel([task.future], force=True)
        task.future = None
        self._waiting.appendleft(task)

    # --- results in

    def _arrivals(self) -> list[tuple[Task, remote.Done]]:
        """The next result, if one comes soon; a failure is judged, and raised or tried again."""
        try:
            key, fetch = self._events.get(timeout=POLL_S)
        except queue.Empty:
            return []
        found = self._noted(key, fetch)
        self._fetch_more()
        if found is None or key not in self._tasks:  # the task may have been taken back
            return []
        task = self._tasks.pop(key)
        task.future = None
        if isinstance(found, remote.Done):
            return [(task, found)]
        self._judge(task, found)
        return []

    def _noted(self, key: str, fetch: Fetch | None) -> remote.Done | BaseException | None:
        """What a fetch has brought; None where a task has only just ended."""
        if fetch is None:
            self._finished.append(key)
            return None
        del self._fetches[key]
        try:
            return fetch.result()
        except (Exception, asyncio.CancelledError) as error:  # of the worker or of Dask; judged by the caller
            return error

    def _fetch_more(self) -> None:
        """Ask for the results of ended tasks, those that failed first.

        A result that was lost with its worker is waited for until Dask has made it again; it holds its place meanwhile.
        """
        known = [key for key in self._finished if key in self._tasks]
        failed = [key for key in known if self._status(key) == "error"]
        room = max(0, FETCHED - len(self._fetches))
        chosen = [*failed, *[key for key in known if key not in failed][:room]]
        self._finished = deque(key for key in known if key not in chosen)
        for key in chosen:
            self._fetch(key)

    def _status(self, key: str) -> str:
        future = self._tasks[key].future
        return "" if future is None else str(future.status)

    def _fetch(self, key: str) -> None:
        answer = self._client.gather(self._tasks[key].future, direct=self._direct, asynchronous=True)
        loop: Any = self._client.loop
        fetch = asyncio.run_coroutine_threadsafe(answer, loop.asyncio_loop)
        self._fetches[key] = fetch
        fetch.add_done_callback(lambda done: self._events.put((key, done)))

    def _judge(self, task: Task, error: BaseException) -> None:
        """Raise what another try cannot mend."""
        from distributed import KilledWorker

        self._refuse_lost_scheduler()
        if isinstance(error, TerrainError):
            raise error
        number = task.tile.index + 1
        if isinstance(error, KilledWorker):
            raise TerrainError(
                f"Tile {number} was under way on {error.allowed_failures + 1} Dask workers that died one after "
                f"another, {error.last_worker.address} the last. Most likely their memory is too small; give them "
                "more, or fewer threads each."
            ) from error
        task.failures += 1
        said = f"{type(error).__name__}: {error}"
        if task.failures >= TRIES:
            raise TerrainError(f"Tile {number} failed on the Dask workers {TRIES} times ({said}).") from error
        self._progress.info(f"Tile {number} failed on a Dask worker ({said}) and is tried again.")
        self._waiting.appendleft(task)
