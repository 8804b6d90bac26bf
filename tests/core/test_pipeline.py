"""The order of work: every tile once, in order, few at a time, and an end at the first error or cancel."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from neural_terrain.core import grid, pipeline, tiling
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.progress import Progress
from neural_terrain.core.tiling import Tile
from neural_terrain.tests.core import dems


def plan_of(tiles: int) -> tiling.Plan:
    """A plan of a row of tiles."""
    source = grid.Grid(16, 16 * tiles, 0.0, 0.0, 1.0, 1.0)
    return tiling.with_tiles(grid.zoom(source, 1), 0, tiling.Cost(1, 1), 16)


class Log:
    """What was done with which tile, and how many tiles were under way at most."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.most, self._under_way, self._lock = 0, 0, threading.Lock()

    def read(self, tile: Tile) -> int:
        """Begin a tile."""
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        return tile.index

    def compute(self, tile: Tile, data: int) -> int:
        """Take some time."""
        assert data == tile.index
        time.sleep(0.002)
        with self._lock:
            self.done.append(("computed", tile.index))
        return data * 10

    def write(self, tile: Tile, data: int) -> None:
        """End a tile."""
        assert data == tile.index * 10
        with self._lock:
            self._under_way -= 1
            self.done.append(("written", tile.index))


def test_tiles_are_computed_and_written_in_order_few_at_a_time() -> None:
    log = Log()
    pipeline.run(plan_of(40), log.read, log.compute, log.write, Progress())
    assert [index for what, index in log.done if what == "computed"] == list(range(40))
    assert [index for what, index in log.done if what == "written"] == list(range(40))
    assert 1 < log.most <= 3


def test_lanes_compute_at_the_same_time_and_write_in_order() -> None:
    log = Log()
    plan = dataclasses.replace(plan_of(40), lanes=3)
    pipeline.run(plan, log.read, log.compute, log.write, Progress())
    assert sorted(index for what, index in log.done if what == "computed") == list(range(40))
    assert [index for what, index in log.done if what == "written"] == list(range(40))
    assert 3 <= log.most <= 5


def test_progress_rises_to_one_with_an_estimate() -> None:
    heard, log = dems.Heard(), Log()
    pipeline.run(plan_of(5), log.read, log.compute, log.write, heard)
    assert [e["fraction"] for e in heard.events] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert "left" in heard.events[0]["text"]
    assert heard.events[-1]["text"] == "Tile 5 of 5"


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_the_first_error_ends_the_run(stage: str) -> None:
    log = Log()

    def failing(tile: Tile, *data: int) -> int | None:
        if tile.index == 3:
            raise TerrainError("The disk is full.")
        return getattr(log, stage)(tile, *data)

    stages = {name: getattr(log, name) for name in ("read", "compute", "write")} | {stage: failing}
    with pytest.raises(TerrainError, match="disk is full"):
        pipeline.run(plan_of(40), stages["read"], stages["compute"], stages["write"], Progress())
    ended = list(log.done)
    assert max(index for _, index in ended) <= 3 + 3
    time.sleep(0.05)
    assert log.done == ended, "a task went on after the run had ended"


def test_a_cancel_ends_the_run() -> None:
    log = Log()
    with pytest.raises(Cancelled):
        pipeline.run(plan_of(40), log.read, log.compute, log.write, dems.Heard(stop_at=4))
    assert 4 <= sum(what == "written" for what, _ in log.done) <= 5


def test_ten_thousand_tiles_are_no_burden() -> None:
    """The graph is linear in the tiles: no edge between halos, nothing quadratic."""
    written: list[int] = []
    pipeline.run(plan_of(10_000), lambda t: t.index, lambda _, d: d, lambda _, d: written.append(d), Progress())
    assert written == list(range(10_000))
