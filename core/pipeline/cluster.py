"""Running tiles on the workers of a Dask scheduler; this process hands out tiles and writes what comes back.

A tile is one task: the worker reads, computes and encodes it. About two tasks for each thread of the workers are under
way, written in the order of arrival. Workers are asked what they are before they get a tile (:mod:`.workers`), and only
those that fit the recipe are named to the scheduler. Dask itself gives a tile to another worker when one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TerrainError
from ..progress import Progress
from ..tiling import Tile
from . import remote
from .flow import Flow
from .work import Recipe, Write
from .workers import Ask, Roll

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 8.0
"""How long a scheduler may take to answer."""
CLOSE_S = 1.0
"""How long the end of a run may wait for the scheduler and for its workers."""


@contextlib.contextmanager
def connect(scheduler: str, ask: Ask, progress: Progress) -> Iterator[Cluster]:
    """A scheduler whose workers have all answered.

    Parameters
    ----------
    scheduler
        Address such as ``tcp://host:8786``, or path of the file that ``dask scheduler --scheduler-file`` wrote.
    ask
        Called once on each worker, also on those that join later; returns facts about it for ``Recipe.unfit``. A
        function of a module, or a ``functools.partial`` of one.
    progress
        Told while there is no worker yet.

    Raises
    ------
    TerrainError
        The scheduler cannot be reached, or has no worker that answers.

    """
    address = address_of(scheduler)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    client = _client(address)
    try:
        roll = Roll(client, ask)
        try:
            roll.wait(address, progress)
            yield Cluster(client, roll, address)
        finally:
            roll.close()
    finally:
        client.close(timeout=CLOSE_S)


def address_of(scheduler: str) -> str:
    """The address that a scheduler's address or file says."""
    if "://" in scheduler:
        if not re.fullmatch(r"(tcp|tls)://\S+:\d+", scheduler):
            raise TerrainError(
                f"The Dask scheduler {scheduler} is no address; it must be like tcp://host:8786 or tls://host:8786."
            )
        return scheduler
    try:
        content = json.loads(Path(scheduler).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TerrainError(
            f"The Dask scheduler {scheduler!r} is neither an address like tcp://host:8786 nor a scheduler file that "
            f"can be read ({error})."
        ) from error
    if not isinstance(content, dict) or "address" not in content:
        raise TerrainError(f"The file {scheduler} names no scheduler; give the file of 'dask scheduler'.")
    return str(content["address"])


def _client(address: str) -> Client:
    from distributed import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions somewhere: the workers are asked for theirs
        try:
            _dial(address, CONNECT_S).close()  # refused at once, where Dask would try until the time is over
            return Client(address, timeout=CONNECT_S, set_as_default=False, name="neural-terrain")
        except (OSError, asyncio.TimeoutError, ValueError, TypeError, RuntimeError, ImportError) as error:
            said = str(error).split("\n")[0].rstrip(".")
            raise TerrainError(
                f"The Dask scheduler {address} cannot be reached ({said}); check the address, and whether it runs."
            ) from error


class Cluster:
    """A connected scheduler and its workers."""

    def __init__(self, client: Client, roll: Roll, address: str) -> None:
        self.address = address
        self._client, self._roll = client, roll

    @property
    def facts(self) -> list[dict]:
        """What the workers that are there say about themselves, see :meth:`.workers.Roll.facts`."""
        return list(self._roll.facts().values())

    @property
    def threads(self) -> int:
        """Tiles that the workers can compute at the same time."""
        return sum(facts["threads"] for facts in self.facts)

    def run(self, tiles: Sequence[Tile], recipe: Recipe, write: Write, progress: Progress, total: int = 0) -> None:
        """Do ``tiles`` on the workers; the first error or cancel ends the run.

        Parameters
        ----------
        tiles
            What is left to do. They are written in the order of arrival.
        recipe
            Makes the work on each worker, once for each process.
        write
            Called by the calling thread, one tile after another; what is written before an error counts.
        progress
            Told after every tile, with an estimate of the time that is left.
        total
            All tiles of the job, of which those not in ``tiles`` are done already.

        Raises
        ------
        TerrainError
            A worker does not fit the recipe, a tile failed, or scheduler or workers went away.

        """
        direct = any(_reachable(facts["address"]) for facts in self.facts[:1])
        flow = Flow(self._client, self._roll, recipe, progress, direct=direct)
        flow.refuse_unfit()
        try:
            flow.run(tiles, write, total or len(tiles))
        finally:
            flow.close()
            self._forget(recipe.key)

    def _forget(self, key: str) -> None:
        """Let the workers close the recipe's files; one that hangs is not waited for."""
        if self._client.status != "running":
            return
        addresses = [facts["address"] for facts in self.facts]
        asking = threading.Thread(target=self._tell_to_forget, args=(key, addresses), name="forget", daemon=True)
        asking.start()
        asking.join(CLOSE_S)

    def _tell_to_forget(self, key: str, addresses: list[str]) -> None:
        with contextlib.suppress(Exception):  # a thread's outermost door; a worker that is gone has closed its files
            self._client.run(remote.forget, key, workers=addresses, on_error="ignore")


def _dial(address: str, limit_s: float) -> socket.socket:
    """A connection to an address like ``tcp://host:port``; an OSError where there is none."""
    host, _, port = address.split("://", 1)[1].rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=limit_s)


def _reachable(address: str) -> bool:
    """Whether results can be fetched from a worker without the scheduler in between."""
    try:
        _dial(address, 1.0).close()
    except (OSError, ValueError):
        return False
    return True
