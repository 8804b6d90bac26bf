"""How fast a model computes alone: coarse heights in memory to fine ones in memory, by the job's own steps and crew."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import machine  # noqa: F401  loads the package
import numpy as np

from neural_terrain.core import grid as grids
from neural_terrain.core import pipeline, raster, tiling
from neural_terrain.core.elevation import compute, surface
from neural_terrain.core.progress import Progress
from neural_terrain.core.refinement.run import budget_bytes
from neural_terrain.core.refinement.work import Wanted, Work
from neural_terrain.core.tiling import Crew, Plan, Tile

ROUNDS = 8
"""Batches that a lane computes at most; they are taken evenly from the whole plan."""

REPEATS = 2
"""The best of them counts."""


@dataclass(frozen=True)
class Pace:
    """Cells per second without files, for the plan that the job makes."""

    mpx_s: float
    plan: Plan


class Alone:
    """The steps of a job of which only computing is left: windows are read before, results dropped."""

    def __init__(self, work: Work, tiles: Sequence[Tile]) -> None:
        self._work = work
        self._known = {tile.index: work.read(tile) for tile in tiles}

    def read(self, tile: Tile) -> Any:
        return self._known[tile.index]

    def compute(self, tiles: Sequence[Tile], data: Sequence[Any]) -> Sequence[Any]:
        return self._work.compute(tiles, data)

    def encode(self, tile: Tile, result: Any) -> int:
        return tile.write.rows * tile.write.cols


def measure(path: str, scale: float, model: surface.Surface, most_s: float) -> Pace:
    """The pace for ``SCALE`` of a coarse file; fewer tiles where those of :data:`ROUNDS` would take ``most_s``."""
    with raster.environment(), raster.Source(path) as source:
        plan = planned(grids.zoom(source.grid, scale), model)
        work = Work(source, model, plan, Wanted())
        tiles = some_of(plan, ROUNDS)
        alone = Alone(work, tiles)
        first = through(plan, tiles[: at_a_time(plan)], alone)  # allocates, and chooses kernels
        expected_s = sum(alone.encode(tile, None) for tile in tiles) / 1e6 / first
        if expected_s > most_s:
            tiles = some_of(plan, max(1, int(ROUNDS * most_s / expected_s)))
            alone = Alone(work, tiles)
        return Pace(max(through(plan, tiles, alone) for _ in range(REPEATS)), plan)


def planned(target: grids.Target, model: surface.Surface) -> Plan:
    """The plan that the job makes with automatic memory."""
    cost = tiling.Cost(model.bytes_per_coarse, model.bytes_per_fine)
    crew = Crew(**asdict(compute.crew(model.compute.device)))
    return tiling.plan(target, model.halo_px, cost, budget_bytes(None), crew)


def at_a_time(plan: Plan) -> int:
    """Tiles that are computed at the same time."""
    return plan.crew.lanes * plan.crew.batch


def some_of(plan: Plan, rounds: int) -> list[Tile]:
    """Tiles of a plan for so many rounds of its lanes."""
    chosen = np.linspace(0, len(plan) - 1, at_a_time(plan) * rounds).astype(int)
    return [plan.tile(int(index)) for index in np.unique(chosen)]


def through(plan: Plan, tiles: Sequence[Tile], alone: Alone) -> float:
    """Mpx/s of these tiles, from the end of the first round on where there are several."""
    ends_s, cells = [time.perf_counter()], [0]

    def write(_: Tile, count: int) -> None:
        ends_s.append(time.perf_counter())
        cells.append(count)

    pipeline.run(plan, tiles, alone, write, Progress())
    first = at_a_time(plan) if len(tiles) >= 4 * at_a_time(plan) else 0
    return sum(cells[first + 1 :]) / (ends_s[-1] - ends_s[first]) / 1e6
