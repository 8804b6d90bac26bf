"""The order of work: every tile once, in order, few at a time, and an end at the first error or cancel."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest

from neural_terrain.core import grid, pipeline, tiling
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.pipeline.clock import Clock, duration
from neural_terrain.core.progress import Progress
from neural_terrain.core.tiling import Crew, Tile
from neural_terrain.tests.core import dems

ALONE = Crew()
CREWS = [ALONE, Crew(3), Crew(2, 4), Crew(2, 4, 3), Crew(1, 1, 2)]


def plan_of(tiles: int, crew: Crew = ALONE) -> tiling.Plan:
    """A plan of a row of tiles."""
    source = grid.Grid(16, 16 * tiles, 0.0, 0.0, 1.0, 1.0)
    return replace(tiling.with_tiles(grid.zoom(source, 1), 0, tiling.Cost(1, 1), 16), crew=crew)


class Log:
    """What was done with which tile by which thread, and how many tiles were under way at most."""

    def __init__(self, failing: str = "") -> None:
        self.done: list[tuple[str, int]] = []
        self.batches: list[int] = []
        self.threads: dict[str, set[str]] = {}
        self.most, self._under_way, self._lock, self._failing = 0, 0, threading.Lock(), failing

    def _log(self, what: str, tile: Tile) -> None:
        with self._lock:
            self.done.append((what, tile.index))
            self.threads.setdefault(what, set()).add(threading.current_thread().name.split("_")[0])
        if what == self._failing and tile.index == 3:
            raise TerrainError("The disk is full.")

    def read(self, tile: Tile) -> int:
        """Begin a tile."""
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        self._log("read", tile)
        return tile.index

    def compute(self, tiles: Sequence[Tile], data: Sequence[int]) -> list[int]:
        """Take some time."""
        assert [tile.index for tile in tiles] == list(data)
        time.sleep(0.002)
        self.batches.append(len(tiles))
        for tile in tiles:
            self._log("compute", tile)
        return [value * 10 for value in data]

    def encode(self, tile: Tile, result: int) -> str:
        """Make text of it."""
        self._log("encode", tile)
        return str(result)

    def write(self, tile: Tile, data: str) -> None:
        """End a tile."""
        assert data == str(tile.index * 10)
        with self._lock:
            self._under_way -= 1
        self._log("write", tile)

    def of(self, what: str) -> list[int]:
        """Tiles that this was done with."""
        return [index for done, index in self.done if done == what]


@pytest.mark.parametrize("crew", CREWS, ids=str)
def test_every_tile_is_done_once_and_written_in_order_few_at_a_time(crew: Crew) -> None:
    log, plan = Log(), plan_of(41, crew)
    pipeline.run(plan, list(plan), log, log.write, Progress())
    assert log.of("write") == list(range(41))
    assert all(sorted(log.of(what)) == list(range(41)) for what in ("read", "compute", "encode"))
    assert crew.lanes * crew.batch < log.most <= plan.ahead
    assert log.batches.count(crew.batch) == 41 // crew.batch
    assert len(log.batches) == -(-41 // crew.batch)


def test_each_step_has_its_threads() -> None:
    """The lane itself encodes where there are no encoders; the caller writes."""
    for crew, encoder in ((Crew(2), "lane"), (Crew(2, 2, 2), "encode")):
        log, plan = Log(), plan_of(20, crew)
        pipeline.run(plan, list(plan), log, log.write, Progress())
        assert log.threads == {"read": {"read"}, "compute": {"lane"}, "encode": {encoder}, "write": {"MainThread"}}


def test_lanes_compute_at_the_same_time() -> None:
    """Each lane waits until the other computes too: a single one would wait for ever."""
    meeting = threading.Barrier(2, timeout=20)

    class Meeting(Log):
        def compute(self, tiles: Sequence[Tile], data: Sequence[int]) -> list[int]:
            meeting.wait()
            return super().compute(tiles, data)

    log, plan = Meeting(), plan_of(10, Crew(2))
    pipeline.run(plan, list(plan), log, log.write, Progress())
    assert log.of("write") == list(range(10))


def test_a_run_goes_on_with_what_is_left() -> None:
    heard, log, plan = dems.Heard(), Log(), plan_of(10, Crew(2))
    pipeline.run(plan, [tile for tile in plan if tile.index not in (0, 1, 5)], log, log.write, heard)
    assert log.of("write") == [2, 3, 4, 6, 7, 8, 9]
    assert [e["fraction"] for e in heard.events] == [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert heard.events[0]["text"].startswith("Tile 4 of 10, about ")
    pipeline.run(plan, [], log, log.write, heard)
    assert len(heard.events) == 7


def test_progress_rises_to_one_with_an_estimate() -> None:
    heard, log, plan = dems.Heard(), Log(), plan_of(5)
    pipeline.run(plan, list(plan), log, log.write, heard)
    assert [e["fraction"] for e in heard.events] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all("left" in e["text"] for e in heard.events[:-1])
    assert heard.events[-1]["text"] == "Tile 5 of 5"


@pytest.mark.parametrize("crew", CREWS, ids=str)
@pytest.mark.parametrize("stage", ["read", "compute", "encode", "write"])
def test_the_first_error_ends_the_run(stage: str, crew: Crew) -> None:
    """Tiles before it are written, and nothing goes on after the run."""
    log, plan = Log(failing=stage), plan_of(100, crew)
    with pytest.raises(TerrainError, match="disk is full"):
        pipeline.run(plan, list(plan), log, log.write, Progress())
    ended = list(log.done)
    first_of_batch = 3 - 3 % crew.batch
    assert log.of("write")[:first_of_batch] == list(range(first_of_batch))
    assert log.of("write") in ([0, 1, 2, 3][: 4 if stage == "write" else 3], list(range(first_of_batch)))
    assert max(index for _, index in ended) < 4 + plan.ahead
    time.sleep(0.02)
    assert log.done == ended, "a task went on after the run had ended"


def test_a_cancel_ends_the_run() -> None:
    log, plan = Log(), plan_of(40)
    with pytest.raises(Cancelled):
        pipeline.run(plan, list(plan), log, log.write, dems.Heard(stop_at=4))
    assert len(log.of("write")) == 4


def test_a_cancel_is_noticed_while_a_tile_is_computed() -> None:
    begun, heard = threading.Event(), dems.Heard()
    heard.cancelled = begun.is_set  # type: ignore[method-assign]

    class Slow(Log):
        def compute(self, tiles: Sequence[Tile], data: Sequence[int]) -> list[int]:
            begun.set()
            time.sleep(0.3)
            return super().compute(tiles, data)

    log, plan = Slow(), plan_of(40, Crew(2))
    with pytest.raises(Cancelled):
        pipeline.run(plan, list(plan), log, log.write, heard)
    assert log.of("write") == []
    assert len(log.of("compute")) <= 2


def test_fifty_thousand_tiles_are_no_burden() -> None:
    """Memory is that of the tiles under way, whatever their number."""

    class Nothing:
        def read(self, tile: Tile) -> int:
            return tile.index

        def compute(self, _: Sequence[Tile], data: Sequence[int]) -> Sequence[int]:
            return data

        def encode(self, _: Tile, result: int) -> int:
            return result

    plan, written = plan_of(50_000, Crew(2, 8)), []
    tiles = list(plan)
    tracemalloc.start()
    pipeline.run(plan, tiles, Nothing(), lambda _, value: written.append(value), Progress())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written == list(range(50_000))
    assert peak < 8 * 2**20


def estimates(arrivals_s: Sequence[float], tiles: int, at_a_time: int = 1, kept: int = 0) -> list[str]:
    """What a clock says when tiles arrive at these times."""
    heard, times = dems.Heard(), iter([0.0, *arrivals_s])
    clock = Clock(tiles, kept, at_a_time, heard, lambda: next(times))
    for _ in arrivals_s:
        clock.done()
    return [e["text"] for e in heard.events]


def test_the_estimate_is_the_pace_times_what_is_left() -> None:
    said = estimates([2.0 * (i + 1) for i in range(10)], 100)
    assert said[0] == "Tile 1 of 100, about 3 min left"
    assert said[9] == "Tile 10 of 100, about 3 min left"
    assert estimates([1.0], 101, kept=50) == ["Tile 51 of 101, about 50 s left"]


def test_a_slow_first_tile_does_not_spoil_the_estimate() -> None:
    said = estimates([30.0 + i for i in range(8)], 68)
    assert said[7] == "Tile 8 of 68, about 60 s left"


def test_tiles_that_arrive_together_do_not_spoil_the_estimate() -> None:
    """Four at a time, 4 s for each four: a second per tile."""
    said = estimates([4.0 * (1 + i // 4) for i in range(16)], 76, at_a_time=4)
    assert said[3] == "Tile 4 of 76, about 72 s left"
    assert said[15] == "Tile 16 of 76, about 60 s left"


def test_times_are_told_in_a_fitting_unit() -> None:
    assert [duration(s) for s in (0.4, 89, 100, 5000, 9000)] == ["1 s", "89 s", "2 min", "83 min", "2.5 h"]
