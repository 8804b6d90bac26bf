"""Tiles at a time, and what happens when the device does not hold them."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.batches import Batches, Turns
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.surface import Answer, Asked, CoarseHeights
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.progress import CallbackProgress, Progress


class Scratch:
    """What a tile needs while it is computed."""


class Small:
    """A surface that answers each tile with twice its height, and whose memory holds few tiles at a time."""

    honours_input, tells_error, halo_px, bytes_per_coarse, bytes_per_fine = True, False, 0, 1.0, 1.0
    compute = Compute("cuda:0", "bfloat16")

    def __init__(self, holds: int = 99) -> None:
        self.card = card.find("baseline")
        self.holds = holds
        self._lock = threading.Lock()
        self.sizes: list[int] = []
        self.peaks: list[int] = []
        self.scratch: list[weakref.ref[Scratch]] = []
        self.forgotten = self.inside = 0
        self.failure: Callable[[], Exception] = lambda: torch.OutOfMemoryError("CUDA out of memory.")

    def encode(self, known: CoarseHeights) -> CoarseHeights:
        return known

    def decode(self, latent: CoarseHeights, queries: Queries) -> np.ndarray:
        return 2 * latent.heights

    def error90(self, latent: CoarseHeights, queries: Queries) -> np.ndarray:
        return latent.heights / 2

    def forget(self) -> None:
        assert self.inside == 0, "somebody is still computing"
        assert not any(kept() for kept in self.scratch), "the failure keeps what was computed"
        self.forgotten += 1

    def answer(self, asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        scratch = Scratch()
        self.scratch.append(weakref.ref(scratch))
        self._count(len(asked))
        try:
            self.sizes.append(len(asked))
            time.sleep(0.002)
            if self.inside > self.holds:
                time.sleep(0.002)
                raise self.failure()
            return surface.OneByOne.answer(self, asked, error90, progress)
        finally:
            self._count(-len(asked))

    def _count(self, change: int) -> None:
        with self._lock:
            self.inside += change
            self.peaks.append(self.inside)


def tiles(count: int) -> list[Asked]:
    ones, at = np.ones(2), np.arange(2.0)
    return [
        Asked(CoarseHeights(np.full((2, 2), float(i)), np.ones((2, 2), bool), ones, ones), Queries(at, at, 1.0, 1.0))
        for i in range(count)
    ]


def first_cells(answers: Sequence[Answer]) -> list[float]:
    return [float(answer.heights[0, 0]) for answer in answers]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def progress(said: list[str]) -> Progress:
    return CallbackProgress(lambda event: said.append(event["text"]))


def test_calls_have_so_many_tiles_at_most(progress: Progress, said: list[str]) -> None:
    model = Small()
    asks = Batches(model, 4, progress, error90=True)
    answers = asks.answers(tiles(10)) + asks.answers(tiles(3))
    assert first_cells(answers) == [2.0 * i for i in [*range(10), *range(3)]]
    assert model.sizes == [4, 4, 2, 3] and said == []
    assert answers[3].error90 is not None and answers[3].error90[0, 0] == 1.5


def test_out_of_memory_halves_the_batch_for_the_rest_and_says_so_once(progress: Progress, said: list[str]) -> None:
    model = Small(holds=2)
    asks = Batches(model, 8, progress)
    assert first_cells(asks.answers(tiles(8))) == [2.0 * i for i in range(8)]
    asks.answers(tiles(8))
    assert model.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2] and model.forgotten == 2
    assert said == ["The memory of cuda:0 does not hold 8 tiles at a time; the job goes on with fewer."]


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        MemoryError(),
    ],
)
def test_other_signs_of_too_little_memory_count_too(progress: Progress, failure: Exception) -> None:
    model = Small(holds=1)
    model.failure = lambda: type(failure)(*failure.args)
    assert first_cells(Batches(model, 4, progress).answers(tiles(2))) == [0.0, 2.0]


def test_other_failures_are_not_swallowed(progress: Progress) -> None:
    model = Small(holds=1)
    model.failure = lambda: RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal memory access"):
        Batches(model, 4, progress).answers(tiles(4))
    assert model.sizes == [4]


def test_a_tile_that_does_not_fit_alone_ends_the_job_with_advice(progress: Progress) -> None:
    model = Small(holds=0)
    sentence = "cuda:0 does not hold one tile of 2 x 2 coarse cells; set Memory lower, .* choose the device cpu"
    with pytest.raises(TerrainError, match=sentence) as refusal:
        Batches(model, 2, progress).answers(tiles(2))
    assert model.sizes == [2, 1, 1]
    assert isinstance(refusal.value.__cause__, torch.OutOfMemoryError)


@pytest.mark.parametrize(
    "words",
    [
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_a_library_that_finds_no_kernel_may_be_broken(progress: Progress, words: str) -> None:
    """CuDNN's search hides that memory ran out, so the same words have two causes: both are named."""
    model = Small(holds=0)
    model.failure = lambda: RuntimeError(words)
    sentence = "The library of cuda:0 refuses to convolve one tile of 2 x 2 .* too short, or its cuDNN does not work"
    with pytest.raises(TerrainError, match=sentence) as refusal:
        Batches(model, 1, progress).answers(tiles(1))
    assert str(refusal.value.__cause__) == words and model.sizes == [1, 1]


def test_two_lanes_that_do_not_fit_together_take_turns(
    progress: Progress, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case of a GPU: one tile per call, in two lanes; half as many at a time is one lane at a time."""
    model, together, calls = Small(holds=1), threading.Barrier(2), itertools.count()
    tried = model.answer

    def answer(asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        if next(calls) < 2:
            together.wait(30)
            raise model.failure()
        return tried(asked, error90, progress)

    monkeypatch.setattr(model, "answer", answer)
    asks = Batches(model, 1, progress)
    found: dict[int, list[float]] = {}
    lanes = [threading.Thread(target=lambda i=i: found.update({i: first_cells(asks.answers(tiles(20)))}))
             for i in range(2)]  # fmt: skip
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    assert found == dict.fromkeys(range(2), [2.0 * i for i in range(20)])
    assert said == ["The memory of cuda:0 does not hold 2 tiles at a time; the job goes on with fewer."]
    assert max(model.peaks) == 1 and len(model.sizes) == 40


def test_a_tile_that_fits_alone_is_computed_alone(progress: Progress) -> None:
    model = Small(holds=1)
    failures = iter([True, False, False])
    model.failure = lambda: torch.OutOfMemoryError("CUDA out of memory.")
    tried = model.answer

    def answer(asked: Sequence[Asked], error90: bool, progress: Progress) -> list[Answer]:
        model.holds = 0 if next(failures) else 1
        return tried(asked, error90, progress)

    model.answer = answer  # type: ignore[method-assign]
    assert first_cells(Batches(model, 1, progress).answers(tiles(2))) == [0.0, 2.0]
    assert model.sizes == [1, 1, 1] and model.forgotten == 1


def test_several_lanes_may_run_out_of_memory_together(progress: Progress, said: list[str]) -> None:
    """Nobody computes while memory is given back, no lane waits for ever, and no tile is lost."""
    model = Small(holds=1)
    asks = Batches(model, 8, progress)
    found: dict[int, list[float]] = {}
    lanes = [threading.Thread(target=lambda i=i: found.update({i: first_cells(asks.answers(tiles(9)))}))
             for i in range(4)]  # fmt: skip
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    assert found == dict.fromkeys(range(4), [2.0 * i for i in range(9)])
    assert len(said) == 1 and model.sizes.count(1) >= 36


def test_one_alone_waits_for_all_and_holds_others_back() -> None:
    turns, order = Turns(), []
    inside, leave = threading.Event(), threading.Event()

    def works() -> None:
        with turns.shared():
            inside.set()
            leave.wait(10)
            order.append("shared")

    def alone() -> None:
        with turns.alone():
            order.append("alone")

    def late() -> None:
        with turns.shared():
            order.append("late")

    threads = [threading.Thread(target=work) for work in (works, alone, late)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    while not turns._alone:
        time.sleep(0.001)
    threads[2].start()
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["shared", "alone", "late"]


def test_families_without_batches_answer_one_by_one(tiny: str, progress: Progress) -> None:
    for name in ("baseline", tiny):
        model = surface.load(card.find(name), Compute())
        rng, side = np.random.default_rng(1), 2 * model.halo_px + 8
        known = CoarseHeights(
            rng.normal(size=(side, side)), np.ones((side, side), bool), np.full(side, 30.0), np.full(side, 30.0)
        )
        at = model.halo_px + (np.arange(12) + 0.5) / 2
        queries = Queries(at, at, 0.5, 0.5)
        answers = Batches(model, 8, progress).answers([Asked(known, queries)] * 2)
        assert all(np.array_equal(a.heights, model.decode(model.encode(known), queries)) for a in answers)
        assert answers[0].error90 is None
