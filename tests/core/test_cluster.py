"""Tiles on a Dask cluster: a real scheduler and real workers, killed, slow, late, wrong or gone; each tile once."""

from __future__ import annotations

import functools
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neural_terrain.core import grid, tiling
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.pipeline import cluster, flow, workers
from neural_terrain.core.pipeline.remote import Shelf
from neural_terrain.core.progress import Progress
from neural_terrain.core.tiling import Tile
from neural_terrain.tests.core import dasks, dems, toywork
from neural_terrain.tests.core.dasks import Dasks
from neural_terrain.tests.core.toywork import Toy


def tiles_of(count: int) -> list[Tile]:
    """A row of tiles."""
    source = grid.Grid(16, 16 * count, 0.0, 0.0, 1.0, 1.0)
    return list(tiling.with_tiles(grid.zoom(source, 1), 0, tiling.Cost(1, 1), 16))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dasks]:
    """A scheduler with two workers that no test kills."""
    with dasks.started(tmp_path_factory.mktemp("dask"), 2) as started:
        yield started


@pytest.fixture
def alone(pair: Dasks, tmp_path: Path) -> Iterator[Dasks]:
    """A scheduler of a test's own, with no worker yet."""
    with dasks.started(tmp_path, 0) as started:
        yield started


class Written:
    """What was written; may do something after some tiles."""

    def __init__(self, after: int = -1, then: Callable[[], Any] = lambda: None) -> None:
        self.tiles: list[int] = []
        self._after, self._then = after, then

    def __call__(self, tile: Tile, encoded: bytes) -> None:
        assert encoded == toywork.expected(tile)
        assert threading.current_thread() is threading.main_thread()
        self.tiles.append(tile.index)
        if len(self.tiles) == self._after:
            self._then()

    def each_once(self, count: int) -> bool:
        """Whether every tile was written once."""
        return sorted(self.tiles) == list(range(count))


def run(
    scheduler: str, toy: Toy, count: int, write: Written, progress: Progress | None = None, members: int = 1
) -> None:
    """Run a toy once ``members`` workers are there."""
    progress = progress or Progress()
    ask = functools.partial(toywork.facts, toy.folder)
    with cluster.connect(scheduler, ask, progress) as connected:
        while len(connected.facts) < members:
            time.sleep(0.05)
        connected.run(tiles_of(count), toy, write, progress)


def test_each_tile_is_done_once_by_all_workers_with_one_opening_each(pair: Dasks, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy, written, heard = Toy("a", str(tmp_path), 0.01), Written(), dems.Heard()
    run(pair.file, toy, 60, written, heard, members=2)
    assert written.each_once(60)
    pids = {worker.pid for worker in pair.workers}
    assert sorted(toy.noted("opened")) == sorted(toy.noted("closed")) == sorted(pids)
    done = {pid: toy.noted(f"by {pid}") for pid in pids}
    assert sorted(sum(done.values(), [])) == list(range(60))
    assert min(len(one) for one in done.values()) > 10
    assert heard.texts("progress")[-1] == "Tile 60 of 60"
    assert heard.warnings == ["The toy is warm."]
    assert {path.name for path in tmp_path.iterdir()} == {"opened", "closed", *(f"by {pid}" for pid in pids)}


def test_workers_say_what_they_are(pair: Dasks, tmp_path: Path) -> None:
    ask = functools.partial(toywork.facts, str(tmp_path))
    with cluster.connect(pair.address, ask, Progress()) as connected:
        facts = connected.facts
        assert connected.threads == 2
    assert {one["pid"] for one in facts} == {worker.pid for worker in pair.workers}
    for one in facts:
        assert (one["version"], one["sees"], one["threads"], one["host"]) == ("1", True, 1, "127.0.0.1")
        assert one["python"].count(".") == 2 and one["distributed"]
        assert one["address"].startswith("tcp://127.0.0.1:") and one["address"] in one["worker"]


def test_a_few_results_at_a_time_wait_in_this_process(pair: Dasks, tmp_path: Path) -> None:
    """A slow writer holds the workers up; they do not run ahead."""
    toy, ahead = Toy("b", str(tmp_path)), []
    written = Written()

    def slow(tile: Tile, encoded: bytes) -> None:
        time.sleep(0.01)
        written(tile, encoded)
        ahead.append(sum(len(toy.noted(f"by {w.pid}")) for w in pair.workers) - len(written.tiles))

    ask = functools.partial(toywork.facts, str(tmp_path))
    with cluster.connect(pair.file, ask, Progress()) as connected:
        connected.run(tiles_of(60), toy, slow, Progress())
    assert written.each_once(60)
    assert max(ahead) <= flow.SURPLUS * 2


def test_an_error_on_a_worker_is_the_same_error_here(pair: Dasks, tmp_path: Path) -> None:
    written = Written()
    with pytest.raises(TerrainError, match=r"^The DEM cannot be read\.$"):
        run(pair.file, Toy("c", str(tmp_path), refused=20), 60, written)
    assert len(written.tiles) < 30


def test_an_unexpected_error_is_tried_again_before_it_ends_the_run(pair: Dasks, tmp_path: Path) -> None:
    toy, heard = Toy("d", str(tmp_path), broken=3), dems.Heard()
    with pytest.raises(TerrainError, match=r"Tile 4 failed on the Dask workers 3 times \(OSError: stale file handle\)"):
        run(pair.file, toy, 10, Written(), heard)
    assert len(toy.noted("broken")) == 3
    assert len(heard.texts("info")) == 2


def test_a_cancel_takes_effect_within_a_second(pair: Dasks, tmp_path: Path) -> None:
    """And leaves the workers fit for the next run."""
    written, heard = Written(), dems.Heard(stop_at=2)
    started_s = time.monotonic()
    with pytest.raises(Cancelled):
        run(pair.file, Toy("e", str(tmp_path), 0.5), 1000, written, heard)
    assert time.monotonic() - started_s < 30, "it would take four minutes"
    assert len(written.tiles) == 2
    run(pair.file, Toy("f", str(tmp_path)), 4, after := Written())
    assert after.each_once(4)


def test_what_the_device_needs_must_be_offered(pair: Dasks, tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match=r'No Dask worker offers GPU=1.*--resources "GPU=1"'):
        run(pair.file, Toy("g", str(tmp_path), resources={"GPU": 1}), 4, Written())


def test_a_worker_with_another_version_is_refused_by_name(alone: Dasks, tmp_path: Path) -> None:
    alone.start_worker("--name", "otto", TOY_VERSION="2")
    with pytest.raises(TerrainError, match=r"^The Dask worker otto \(tcp://.*\) has version 2, this run needs 1\.$"):
        run(alone.file, Toy("h", str(tmp_path)), 4, Written())


def test_a_worker_without_the_package_is_refused_by_name(alone: Dasks, tmp_path: Path) -> None:
    alone.start_worker("--name", "bare", PYTHONPATH="")
    with pytest.raises(TerrainError, match=r"bare \(tcp.*cannot load Neural Terrain \(ModuleNotFoundError.*install"):
        run(alone.file, Toy("i", str(tmp_path)), 4, Written())


def test_resources_bound_the_tiles_of_a_worker_and_choose_it(alone: Dasks, tmp_path: Path) -> None:
    """One tile at a time on a worker with one GPU and three threads, none on the worker without."""
    graphic = alone.start_worker("--nthreads", "3", "--resources", "GPU=1")
    alone.start_worker()
    toy, written = Toy("j", str(tmp_path), resources={"GPU": 1}), Written()
    run(alone.file, toy, 12, written, members=2)
    assert written.each_once(12)
    assert len(toy.noted(f"by {graphic.pid}")) == 12
    assert toy.noted("opened") == [graphic.pid]


def test_killed_slow_and_late_workers(alone: Dasks, tmp_path: Path) -> None:
    """One is killed, one is slow, one joins, one joins in a version that gets no tile."""
    first, slow = alone.start_worker(), alone.start_worker(TOY_SLOW_S="0.4")
    late: list[int] = []

    def trouble() -> None:
        dasks.kill(first)
        alone.start_worker("--name", "otto", TOY_VERSION="2")
        late.append(alone.start_worker().pid)

    toy, heard = Toy("k", str(tmp_path), 0.02), dems.Heard()
    written = Written(20, trouble)
    run(alone.file, toy, 150, written, heard, members=2)
    assert written.each_once(150)
    assert len(toy.noted(f"by {late[0]}")) > 3 * len(toy.noted(f"by {slow.pid}")) > 0
    assert set(toy.noted("opened")) == {first.pid, slow.pid, late[0]}
    assert any("otto" in text and "gets no tiles" in text for text in heard.warnings)


def test_all_workers_gone_and_new_ones(alone: Dasks, tmp_path: Path) -> None:
    alone.start_worker()
    written, heard = Written(5, lambda: (alone.kill_workers(), alone.start_worker())), dems.Heard()
    run(alone.file, Toy("l", str(tmp_path), 0.01), 30, written, heard)
    assert written.each_once(30)
    told = [text for text in heard.texts("info") if not text.startswith("Waiting for workers")]
    assert told in (
        [],
        ["All Dask workers are gone; waiting 60 s for new ones.", "A Dask worker has joined; the run goes on."],
    )


def test_all_workers_gone_for_good(alone: Dasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.start_worker()
    heard = dems.Heard()

    def end() -> None:
        alone.kill_workers()
        monkeypatch.setattr(workers, "PATIENCE_S", 0.5)

    with pytest.raises(TerrainError, match=r"^All Dask workers were gone for 0 s; start some and repeat the run\.$"):
        run(alone.file, Toy("m", str(tmp_path), 0.01), 30, Written(5, end), heard)
    assert sum("are gone" in text for text in heard.texts("info")) == 1


def test_the_scheduler_is_lost(alone: Dasks, tmp_path: Path) -> None:
    alone.start_worker()
    written = Written(5, lambda: dasks.kill(alone.scheduler))
    with pytest.raises(TerrainError, match="connection to the Dask scheduler was lost"):
        run(alone.file, Toy("n", str(tmp_path), 0.01), 30, written)


def test_a_tile_that_kills_its_workers_ends_the_run(alone: Dasks, tmp_path: Path) -> None:
    for _ in range(4):
        alone.start_worker()
    heard = dems.Heard()
    with pytest.raises(TerrainError, match=r"Tile 1 was under way on 4 Dask workers that died .* memory is too small"):
        run(alone.file, Toy("o", str(tmp_path), deadly=0), 30, Written(), heard, members=4)


def test_no_scheduler_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started_s = time.monotonic()
    with pytest.raises(TerrainError, match=rf"tcp://127.0.0.1:{port} cannot be reached \(.*\); check the address"):
        run(f"tcp://127.0.0.1:{port}", Toy("p", "."), 4, Written())
    assert time.monotonic() - started_s < 20


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("http://host:8786", "is no address; it must be like tcp://host:8786"),
        ("tcp://host", "is no address"),
        ("missing.json", "neither an address like tcp://host:8786 nor a scheduler file"),
        (__file__, "nor a scheduler file that can be read"),
    ],
)
def test_what_is_no_scheduler_is_refused(scheduler: str, said: str) -> None:
    with pytest.raises(TerrainError, match=said):
        cluster.address_of(scheduler)


def test_a_file_that_names_no_scheduler_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(TerrainError, match="names no scheduler"):
        cluster.address_of(str(tmp_path / "x.json"))


FAULTS = """
import resource, sys
import numpy as np
from neural_terrain.core.pipeline import remote
if sys.argv[1] == "keep":
    remote.keep_freed_memory()
for _ in range(100):
    np.ones(2**17)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.parametrize(("what", "much"), [("leave", True), ("keep", False)])
def test_workers_use_freed_memory_again_though_the_nanny_forbids_it(what: str, *, much: bool) -> None:
    """Every page of 100 arrays of 1 MB is faulted in anew, or the pages of the first one are used again."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "PYTHONPATH": str(dasks.ROOT / "build/plugins")}
    command = [sys.executable, "-c", FAULTS, what]
    faults = int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert (faults > 100 * 2**20 / 4096 + 5_000) == much


def test_our_errors_travel() -> None:
    error = pickle.loads(pickle.dumps(TerrainError("The disk is full.")))
    assert isinstance(error, TerrainError) and str(error) == "The disk is full."


def test_a_process_keeps_the_work_of_two_recipes(tmp_path: Path) -> None:
    shelf, toys = Shelf(2), [Toy(key, str(tmp_path / key)) for key in "abc"]
    for toy in toys:
        Path(toy.folder).mkdir()
    for toy in (*toys[:2], toys[0], toys[2], toys[0]):
        with shelf.opened(toy.key, toy) as work:
            assert work.read(tiles_of(1)[0]) == 0
    assert [len(toy.noted("opened")) for toy in toys] == [1, 1, 1]
    assert [len(toy.noted("closed")) for toy in toys] == [0, 1, 0]
    shelf.drop("a")
    shelf.drop("a")
    assert [len(toy.noted("closed")) for toy in toys] == [1, 1, 0]


def test_work_in_use_is_closed_when_its_user_has_finished(tmp_path: Path) -> None:
    shelf, toy = Shelf(2), Toy("a", str(tmp_path))
    with shelf.opened(toy.key, toy) as work:
        shelf.drop("a")
        assert work.read(tiles_of(1)[0]) == 0
        with shelf.opened(toy.key, toy) as other:
            assert other is not work
    assert toy.noted("closed") == [os.getpid()]
    assert len(toy.noted("opened")) == 2


def test_threads_open_a_work_once(tmp_path: Path) -> None:
    shelf, toy, seen = Shelf(), Toy("a", str(tmp_path)), []

    def use() -> None:
        with shelf.opened(toy.key, toy) as work:
            time.sleep(0.05)
            seen.append(work)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4 and len(set(map(id, seen))) == 1
    assert len(toy.noted("opened")) == 1


def test_a_work_that_cannot_be_opened_is_tried_anew(tmp_path: Path) -> None:
    shelf, toy = Shelf(), Toy("a", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError), shelf.opened(toy.key, toy):
        pass
    Path(toy.folder).mkdir()
    with shelf.opened(toy.key, toy) as work:
        assert work.read(tiles_of(1)[0]) == 0
