"""Samples stacked into tensors, drawn ahead by one thread, each step's from its own seed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .model import Condition
from .towns import Sample, Sampler

CONDITION_NOISE = {"G": 0.0, "R": 0.12, "L": 0.12}
"""Largest noise added to the stage above in training, so that a stage forgives what its own parent's samples lack."""
VAGUE = {"L": (3, 5.0, 0.4)}
"""By stage: so many of the first channels above it (what is built) are made vague, by a blur of up to so many cells of
its grid and blotches of up to that height: samples of the stage above are softer and less sure than real fields are."""
VAGUE_SHARE = 0.8
"""Share of the windows of a batch that are made vague."""


@dataclass
class Batch:
    """Normalised fields, where they are known, the condition, and numbers of the step: noise and times."""

    fields: torch.Tensor
    known: torch.Tensor
    condition: Condition
    noise: torch.Tensor
    t: torch.Tensor

    def on(self, device: str) -> Batch:
        """The same on a device."""
        fields, known, noise, t = (a.to(device) for a in (self.fields, self.known, self.noise, self.t))
        return Batch(fields, known, self.condition.on(device), noise, t)


def draw_batch(sampler: Sampler, places: int, size: int, seed: tuple[int, int]) -> Batch:
    """The batch of a seed and step; times are spread evenly over the batch, a tenth of the places is withheld."""
    rng = np.random.default_rng(seed)
    batch = collate([sampler.draw(rng) for _ in range(size)])
    hidden = torch.from_numpy(rng.random(size) < 0.1)
    batch.condition.place[hidden] = places
    level = torch.from_numpy(rng.uniform(0, CONDITION_NOISE[sampler.stage.name], (size, 1, 1, 1)).astype(np.float32))
    _make_vague(batch.condition.parent.numpy(), sampler.stage.name, rng)
    shape = tuple(batch.condition.parent.shape)
    batch.condition.parent += level * torch.from_numpy(rng.standard_normal(shape, np.float32))
    batch.noise = torch.from_numpy(rng.standard_normal(tuple(batch.fields.shape), np.float32))
    order = rng.permutation(size)
    batch.t = torch.from_numpy(((order + rng.random(size)) / size).astype(np.float32))
    return batch


def _make_vague(parent: NDArray[np.float32], stage: str, rng: np.random.Generator) -> None:
    """Blur what is built in the fields of the stage above ``(B, K, h, w)``, and lay blotches over it."""
    if stage not in VAGUE:
        return
    count, most_cells, most_high = VAGUE[stage]
    for fields in parent:
        if rng.random() > VAGUE_SHARE:
            continue
        blur, grain, high = rng.uniform(0, most_cells), rng.uniform(1.5, 4.0), rng.uniform(0, most_high)
        for channel in fields[:count]:
            blotches = gaussian_filter(rng.standard_normal(channel.shape, np.float32), grain)
            open_ = np.minimum(channel + 1, 1)  # none on open ground
            channel[:] = gaussian_filter(channel, blur) + high * open_ * blotches / max(float(blotches.std()), 1e-6)


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
    """Batches of some steps, drawn by a thread while the previous one is learned from; what it raises is raised."""

    def __init__(self, sampler: Sampler, places: int, size: int, seed: int, steps: range) -> None:
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(3)
        self._stop = threading.Event()
        self._work = (sampler, places, size, seed, steps)
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()

    def _draw(self) -> None:
        sampler, places, size, seed, steps = self._work
        for step in steps:
            batch: Batch | Exception
            try:
                batch = draw_batch(sampler, places, size, (seed, step))
            except Exception as error:  # whoever waits for the batch raises it
                batch = error
            while not self._stop.is_set():
                try:
                    self._queue.put(batch, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set() or isinstance(batch, Exception):
                return

    def __iter__(self) -> Iterator[Batch]:
        for _ in self._work[-1]:
            batch = self._queue.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
