"""Samples stacked into tensors, drawn ahead by one thread, each step's from its own seed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .model import Condition
from .towns import Sample, Sampler

CONDITION_NOISE = {"G": 0.0, "R": 0.12, "L": 0.12}
"""Largest noise added to the stage above in training, so that a stage forgives what its own parent's samples lack."""


@dataclass
class Batch:
    """Normalised fields, where they are known, the condition, and numbers of the step: noise and times."""

    fields: torch.Tensor
    known: torch.Tensor
    condition: Condition
    noise: torch.Tensor
    t: torch.Tensor


def draw_batch(sampler: Sampler, places: int, size: int, seed: tuple[int, int]) -> Batch:
    """The batch of a seed and step; times are spread evenly over the batch, a tenth of the places is withheld."""
    rng = np.random.default_rng(seed)
    batch = collate([sampler.draw(rng) for _ in range(size)])
    hidden = torch.from_numpy(rng.random(size) < 0.1)
    batch.condition.place[hidden] = places
    level = torch.from_numpy(rng.uniform(0, CONDITION_NOISE[sampler.stage.name], (size, 1, 1, 1)).astype(np.float32))
    shape = tuple(batch.condition.parent.shape)
    batch.condition.parent += level * torch.from_numpy(rng.standard_normal(shape, np.float32))
    batch.noise = torch.from_numpy(rng.standard_normal(tuple(batch.fields.shape), np.float32))
    order = rng.permutation(size)
    batch.t = torch.from_numpy(((order + rng.random(size)) / size).astype(np.float32))
    return batch


def collate(samples: list[Sample]) -> Batch:
    """Samples of one stage as one batch, without noise."""

    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in samples]))

    facts = torch.from_numpy(np.stack([np.concatenate([s.targets, s.flags]) for s in samples]))
    place = torch.tensor([s.place for s in samples])
    condition = Condition(stack("parent"), stack("kerb"), stack("existing"), place, facts, _join_graphs(samples))
    fields = stack("fields")
    return Batch(fields, stack("known"), condition, torch.zeros(0), torch.zeros(0))


def _join_graphs(samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor] | None:
    counts = [len(s.graph[0]) for s in samples]
    if not sum(counts):
        return None
    first = np.cumsum([0, *counts])
    nodes = np.concatenate([s.graph[0] for s in samples])
    edges = np.concatenate([s.graph[1] + f for s, f in zip(samples, first, strict=False)])
    facts = np.concatenate([s.graph[2] for s in samples])
    owner = np.repeat(np.arange(len(samples)), counts)
    return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in (nodes, edges, facts, owner))  # type: ignore[return-value]


class Ahead:
    """Batches from ``first`` on, drawn by a thread while the previous one is learned from."""

    def __init__(self, sampler: Sampler, places: int, size: int, seed: int, steps: range) -> None:
        self._queue: queue.Queue[Batch] = queue.Queue(3)
        self._stop = threading.Event()
        self._work = (sampler, places, size, seed, steps)
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()

    def _draw(self) -> None:
        sampler, places, size, seed, steps = self._work
        for step in steps:
            batch = draw_batch(sampler, places, size, (seed, step))
            while not self._stop.is_set():
                try:
                    self._queue.put(batch, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set():
                return

    def __iter__(self) -> Iterator[Batch]:
        for _ in self._work[-1]:
            yield self._queue.get()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
