"""A style from a user's own features: the code of 32 numbers is fitted to them, the networks stay as they are.

The example is made into fields as the training towns were. Every place that the model has learned is tried on the same
windows, noise and times; from the best one the code of prior and denoiser goes down the loss that trained them. The
result takes the seat of *no place* in the model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from ..elevation.compute import cores, share_cores
from ..errors import TerrainError
from ..progress import Progress
from .batches import Batch, draw_batch
from .card import MIXED
from .fields import BLOCK_M, block_places, rasterise_block
from .generating import Model
from .losses import prior_loss, residual_loss
from .model import StageModel
from .preparation import Town, moved
from .recipe import recipe
from .road_graph import road_graph
from .stages import STAGES, Stage
from .towns import Sampler, TownBlocks, blocks_of

MOST_BLOCKS = 6
"""So many of the fullest blocks of 2 km are learned from."""
TRIES = 200
"""Places that are tried for a window that is mapped well enough, since an example may be small."""
LEAST_MAPPED = 0.004
"""Share of a block that an example has to fill: 100 m by 160 m."""
LEAST_BUILDINGS = 50
LEAST_STREETS_M = 2000.0
BATCH = 8
TRIED_BATCHES = 3
STEPS = {"G": 60, "R": 30, "L": 30}
RATE = 0.03
"""Largest step of a number of the code; learned codes differ by about one."""

Loss = Callable[[StageModel, Batch], torch.Tensor]


@dataclass(frozen=True)
class Fit:
    """A fitted style.

    Attributes
    ----------
    model
        The model in that style.
    nearest
        The learned place that came nearest, by stage; a stage that the example says nothing of is left out.
    loss
        Loss of the denoiser without a place, in the nearest one, and fitted, by stage.

    """

    model: Model
    nearest: dict[str, str]
    loss: dict[str, tuple[float, float, float]]


def tells(town: Town) -> bool:
    """Whether a town is large enough for its style to be learned: about 50 buildings or 2 km of streets."""
    return len(town.buildings) >= LEAST_BUILDINGS or float(shapely.length(town.roads).sum()) >= LEAST_STREETS_M


def fitted(model: Model, town: Town, seed: int, progress: Progress) -> Fit:
    """The model in the style of a town's buildings and roads; either may lack.

    Only the seat of *no place* changes, in copies of the networks. Each stage is computed by one thread, so that its
    bits do not hang on the number of cores.
    """
    blocks = _material(town, progress.step(0.0, 0.2))
    names = [name for name in STAGES if _tells(blocks, STAGES[name])]
    if not names:
        raise TerrainError(
            f"The {town.name} shows too little of a town for its style to be learned; give streets and "
            "buildings that lie together."
        )
    lanes = min(cores(), len(names)) if model.compute.device == "cpu" else 1
    fits: dict[str, _Stage] = {}
    with ThreadPoolExecutor(max(lanes, 1), initializer=share_cores, initargs=(cores(),)) as pool:
        under_way = {name: pool.submit(_fit, model, name, blocks, (seed, progress)) for name in names[::-1]}
        for number, (name, one) in enumerate(under_way.items()):
            fits[name] = one.result()
            progress.report(0.2 + 0.8 * (number + 1) / len(names), "Model: learning the style of the example")
    stages = model.stages | {name: one.model for name, one in fits.items()}
    styled = replace(model, stages=stages, style=MIXED)
    return Fit(styled, {n: one.nearest for n, one in fits.items()}, {n: one.loss for n, one in fits.items()})


@dataclass(frozen=True)
class _Stage:
    model: StageModel
    nearest: str
    loss: tuple[float, float, float]


def _material(town: Town, progress: Progress) -> TownBlocks:
    """The fullest blocks of a town, whose middle lies in the middle of a block."""
    town = _centred(town)
    places = _fullest(town)
    found = []
    for number, place in enumerate(places):
        progress.report(number / len(places), "Measuring the example")
        found.append(rasterise_block(town, *place))
    graph = road_graph(town.roads, town.rank)
    return blocks_of(town.name, found, np.array(places), graph, heights=town.has_heights)


def _centred(town: Town) -> Town:
    """The town moved so that a small one lies in one block."""
    centres = _points(town)
    west, south = np.median(centres, axis=0)
    return moved(town, BLOCK_M / 2 - west, BLOCK_M / 2 - south)


def _points(town: Town) -> NDArray[np.float64]:
    """A point of each feature."""
    return np.asarray(shapely.get_coordinates(shapely.centroid(np.concatenate([town.buildings, town.roads]))))


def _fullest(town: Town) -> list[tuple[int, int]]:
    """Blocks with most features, south-west first."""
    at = np.floor(_points(town) / BLOCK_M).astype(int)
    places, count = np.unique(at, axis=0, return_counts=True)
    most = np.argsort(-count, kind="stable")[:MOST_BLOCKS]
    chosen = {(int(col), int(row)) for col, row in places[most]}
    return sorted(chosen & set(block_places(town))) or sorted(chosen)


def _tells(blocks: TownBlocks, stage: Stage) -> bool:
    """Whether enough of the blocks is mapped to show this stage anything."""
    mapped = blocks.mapped[:, 0] if stage.name == "L" else blocks.mapped[:, :2].any(axis=1)
    return bool(mapped.mean(axis=(1, 2)).max() > LEAST_MAPPED)


def _fit(model: Model, name: str, blocks: TownBlocks, run: tuple[int, Progress]) -> _Stage:
    """One stage: the nearest place, then the code from there."""
    net = copy.deepcopy(model.stages[name])
    sampler = Sampler([blocks], STAGES[name], recipe(name).side, None, least=LEAST_MAPPED, tries=TRIES)
    seat = net.settings.places
    mixed = _tried(model, net, sampler, run, residual_loss, [seat])[0]
    for loss, table in ((prior_loss, net.prior_style.place), (residual_loss, net.style.place)):
        losses = _tried(model, net, sampler, run, loss, list(range(seat + 1)))
        nearest = int(np.argmin(losses))
        with torch.no_grad():
            table.weight[seat] = table.weight[nearest]
        _descend(model, net, _batches(sampler, seat, run[0] + 1, STEPS[name]), loss, (table.weight, run[1]))
    after = _tried(model, net, sampler, run, residual_loss, [seat])[0]
    names = {number: place for place, number in model.card.places.items()} | {seat: MIXED}
    return _Stage(net, names[nearest], (mixed, losses[nearest], after))


def _batches(sampler: Sampler, place: int, seed: int, count: int) -> Iterator[Batch]:
    for step in range(count):
        batch = draw_batch(sampler, place, BATCH, (seed, step))
        batch.condition.place[:] = place
        yield batch


def _tried(
    model: Model, net: StageModel, sampler: Sampler, run: tuple[int, Progress], loss: Loss, places: list[int]
) -> list[float]:
    """Loss in the style of each place, on the same windows, noise and times."""
    total = np.zeros(len(places))
    for batch in _batches(sampler, 0, run[0], TRIED_BATCHES):
        on = batch.on(model.compute.device)
        for number, place in enumerate(places):
            run[1].check()
            on.condition.place[:] = place
            with torch.no_grad(), _arithmetic(model):
                total[number] += float(loss(net, on))
    return [float(value) for value in total / TRIED_BATCHES]


def _descend(
    model: Model, net: StageModel, batches: Iterator[Batch], loss: Loss, what: tuple[torch.Tensor, Progress]
) -> None:
    """Move one seat's code down the loss; all other weights, other seats' codes too, stay."""
    weight, progress = what
    weight.requires_grad_(True)
    mover = torch.optim.Adam([weight], lr=RATE, betas=(0.8, 0.95))
    found = list(batches)
    for step, batch in enumerate(found):
        progress.check()
        mover.param_groups[0]["lr"] = RATE * math.cos(math.pi / 2 * step / len(found))
        with _arithmetic(model):
            value = loss(net, batch.on(model.compute.device))
        mover.zero_grad()
        value.backward()
        mover.step()
    weight.requires_grad_(False)


def _arithmetic(model: Model) -> torch.autocast:
    kind = model.compute.device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=model.compute.dtype == "bfloat16")
