"""Lanes of a device: plain on a CPU, and what they would do on a GPU with its parts replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import lanes
from neural_terrain.core.elevation.lanes import Lane, Lanes
from neural_terrain.core.progress import CallbackProgress, Progress


class Graph:
    """A CUDA graph: what was done inside :func:`recording` is done again on replay, into the same answers."""

    made: list[Graph] = []

    def __init__(self) -> None:
        Graph.made.append(self)
        self.pool: object = None
        self.again: Callable[[], object] = lambda: None
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        self.again()


@contextlib.contextmanager
def recording(graph: Graph, pool: object, **_: object) -> Iterator[None]:
    graph.pool = pool
    yield


@pytest.fixture
def gpu_lane(monkeypatch: pytest.MonkeyPatch) -> Lane:
    """A lane on the CPU that records as one on a GPU does."""
    Graph.made.clear()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    record = lanes.Recording.__init__

    def recorded(self: Any, function: Callable[..., Any], inputs: lanes.Tensors, *rest: object) -> None:
        record(self, function, inputs, *rest)
        self._graph.again = lambda: [a.copy_(b) for a, b in zip(self._answers, function(*self._inputs), strict=True)]

    monkeypatch.setattr(lanes.Recording, "__init__", recorded)
    lane = Lane("cpu")
    lane._records = True
    return lane


def doubled(values: torch.Tensor) -> lanes.Tensors:
    return values * 2, values + 1


def test_a_lane_on_a_cpu_computes_plainly() -> None:
    lane, values = Lane("cpu"), torch.arange(4.0)
    with lane.current():
        answers = lane.run("key", doubled, (values,), Progress())
    lane.wait()
    assert torch.equal(answers[0], values * 2) and torch.equal(lane.fetched(answers[1]), values + 1)


def test_any_array_is_sent() -> None:
    for array in (np.arange(6.0).reshape(2, 3)[:, ::-1], np.broadcast_to(np.float64(4), (2, 3))):
        assert torch.equal(Lane("cpu").sent(array), torch.from_numpy(array[None].copy()))
    assert Lane("cpu").sent(np.array([True, False])).dtype == torch.bool


def test_as_many_lanes_are_made_as_are_taken_at_a_time() -> None:
    pool = Lanes("cpu")
    with pool.taken() as one:
        with pool.taken() as two:
            assert one is not two
        with pool.taken() as three:
            assert three is two
    with pool.taken() as four, pool.taken() as five:
        assert {id(four), id(five)} == {id(one), id(two)}


def test_recorded_kernels_answer_for_other_inputs(gpu_lane: Lane) -> None:
    for _ in range(3):
        values = torch.rand(5)
        answers = gpu_lane.run("key", doubled, (values,), Progress())
        assert torch.equal(answers[0], values * 2) and torch.equal(answers[1], values + 1)
    assert len(Graph.made) == 1 and Graph.made[0].replays == 3


def test_each_key_has_a_recording_and_another_shape_drops_the_old(gpu_lane: Lane) -> None:
    for shape, key in (((8,), "a"), ((8,), "b"), ((8,), "a"), ((4,), "a"), ((4,), "b"), ((8,), "a")):
        gpu_lane.run(key, doubled, (torch.ones(shape),), Progress())
    assert len(Graph.made) == 5 and len(gpu_lane._recordings) == 1


def test_recordings_of_a_lane_share_their_memory(gpu_lane: Lane) -> None:
    """A handle that no recording uses any more must not be taken again: torch may have dropped its memory."""
    for shape, key in (((8,), "a"), ((8,), "b"), ((4,), "a"), ((4,), "b")):
        gpu_lane.run(key, doubled, (torch.ones(shape),), Progress())
    gpu_lane.forget()
    gpu_lane.run("b", doubled, (torch.ones(4),), Progress())
    pools = [graph.pool for graph in Graph.made]
    assert pools[0] is pools[1] and pools[2] is pools[3] and len({id(pool) for pool in pools}) == 3
    assert None not in pools


def test_what_cannot_be_recorded_is_computed_plainly_and_said_once(
    gpu_lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def refuses(graph: Graph, **_: object) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "graph", refuses)
    said: list[str] = []
    progress = CallbackProgress(lambda event: said.append(event["text"]))
    for _ in range(3):
        values = torch.rand(5)
        assert torch.equal(gpu_lane.run("key", doubled, (values,), progress)[0], values * 2)
    assert len(Graph.made) == 1 and len(said) == 1
    assert said[0].endswith("(CUDA error: operation not permitted when stream is capturing).")


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    ],
)
def test_no_room_while_recording_is_not_hidden(gpu_lane: Lane, failure: Exception) -> None:
    def greedy(values: torch.Tensor) -> lanes.Tensors:
        raise failure

    with pytest.raises(type(failure)):
        gpu_lane.run("key", greedy, (torch.ones(2),), Progress())
    assert gpu_lane._records


def test_a_lane_that_failed_forgets_what_holds_memory() -> None:
    pool = Lanes("cpu")
    with pytest.raises(torch.OutOfMemoryError), pool.taken() as lane:
        assert lane.constant("axis", lambda: 1) == 1
        raise torch.OutOfMemoryError("CUDA out of memory.")
    with pool.taken() as again:
        assert again is lane and again.constant("axis", lambda: 2) == 2
    pool.forget()
    assert lane.constant("axis", lambda: 3) == 3


def test_constants_are_kept_in_bounds() -> None:
    lane = Lane("cpu")
    for number in range(lanes.MOST_CONSTANTS + 5):
        assert lane.constant(number, lambda number=number: number) == number
    assert lane.constant(number, lambda: -1) == number
    assert lane.constant(0, lambda: -1) == -1


def test_pinned_memory_is_a_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without CUDA has none, and a system may run out of it."""
    lane = Lane("cpu")
    lane._pins = True
    asked = []
    plain = torch.empty

    def empty(*shape: Any, **how: Any) -> torch.Tensor:
        asked.append(how.pop("pin_memory", False))
        if asked[-1]:
            raise RuntimeError("CUDA error: out of memory")
        return plain(*shape, **how)

    monkeypatch.setattr(torch, "empty", empty)
    assert lane.room((2, 3), torch.float64).shape == lane.room((2, 3), torch.float64).shape == (2, 3)
    assert asked == [True, False, False]
