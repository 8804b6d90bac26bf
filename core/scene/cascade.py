"""The three stages one after another over an area: G on 50 m, R on 10 m, L on 2 m cells.

Areas are rectangles of cells of the finest stage in the world's lattice. Each stage is sampled as far beyond the area
as the windows of the next one reach, and interpolated by world position, so the area's cut leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..elevation.compute import Compute
from ..progress import Progress
from .model import Condition, StageModel
from .needs import Windows
from .sampling import LATTICES, RATIO, Rectangle, Repair, Run, sample_area, sample_strips
from .stages import Stage
from .standing import Standing
from .towns import bilinear
from .wishes import STEPS, Wishes

Array = NDArray[np.float32]
Kerb = Callable[[Rectangle], Array]
"""The kerb channel ``(1, rows, cols)`` on a rectangle of L's cells; streets are traced before it is asked."""


@dataclass(frozen=True)
class Asked:
    """What all stages are told alike: number of the place, or the last for none, wishes, and what stands.

    ``needed`` are the windows of each stage that are worth their work; None, or none given, stands for all.
    """

    place: int
    wishes: Wishes
    standing: Standing
    compute: Compute = Compute()
    progress: Progress = field(default_factory=Progress)
    needed: Mapping[str, Windows | None] = field(default_factory=dict)

    def run(self, stage: str, repair: Repair | None = None) -> Run:
        """How a stage is sampled."""
        steps = STEPS[self.wishes.steps][stage]
        lattice, needed = LATTICES[stage], self.needed.get(stage)
        return Run(self.wishes.seed, steps, lattice, self.compute, repair, self.progress, needed)


@dataclass(frozen=True)
class Fields:
    """Normalised fields of a stage over a rectangle of its cells."""

    area: Rectangle
    values: Array

    def cut(self, area: Rectangle) -> Array:
        """The values of a rectangle inside."""
        top = self.area.south + self.area.rows - area.south - area.rows
        left = area.west - self.area.west
        return self.values[:, top : top + area.rows, left : left + area.cols]


def sample_coarse(model: StageModel, area: Rectangle, asked: Asked) -> Fields:
    """Stage G over an area of its cells."""
    stage = model.settings.of_stage

    def told(window: Rectangle) -> Condition:
        return _condition(stage, window, asked, np.zeros((0, window.rows, window.cols), np.float32))

    return Fields(area, sample_area(model, told, area, asked.run("G")))


def sample_middle(model: StageModel, coarse: Fields, area: Rectangle, asked: Asked) -> Fields:
    """Stage R over an area of its cells, from G; shares agree with G's cells."""
    stage = model.settings.of_stage

    def told(window: Rectangle) -> Condition:
        return _condition(stage, window, asked, interpolated(coarse, window, float(RATIO)))

    def repair(window: Rectangle, fields: torch.Tensor) -> torch.Tensor:
        return _agreeing(fields, coarse, window)

    return Fields(area, sample_area(model, told, area, asked.run("R", repair if model.settings.follows else None)))


def sample_fine(
    model: StageModel, middle: Fields, kerb: Kerb, area: Rectangle, asked: Asked
) -> Iterator[tuple[Rectangle, Array]]:
    """Stage L from R and the kerbs of traced streets, in strips from south to north; shares agree with R's cells."""
    stage = model.settings.of_stage

    def told(window: Rectangle) -> Condition:
        fold = stage.fold
        folded = Rectangle(window.west // fold, window.south // fold, window.cols // fold, window.rows // fold)
        condition = _condition(stage, window, asked, interpolated(middle, folded, RATIO / fold))
        condition.kerb = torch.from_numpy(np.array(kerb(window), np.float32)[None])
        return condition

    def repair(window: Rectangle, fields: torch.Tensor) -> torch.Tensor:
        return _agreeing(fields, middle, window)

    return sample_strips(model, told, area, asked.run("L", repair))


def _agreeing(fields: torch.Tensor, above: Fields, window: Rectangle) -> torch.Tensor:
    parents = Rectangle(window.west // RATIO, window.south // RATIO, window.cols // RATIO, window.rows // RATIO)
    return agree(fields, torch.from_numpy(above.cut(parents)[None, :1].copy()).to(fields.device))


def agree(fields: torch.Tensor, parent: torch.Tensor, rounds: int = 2) -> torch.Tensor:
    """Fields ``(1, C, H, W)`` whose shares, the first channel, average to the parents ``(1, 1, H / 5, W / 5)``.

    What is missing is added to cells in proportion to how undecided they are, so open ground and full cells stay.
    """
    share = ((fields[:, :1] + 1) / 2).clamp(0, 1)
    wanted = ((parent + 1) / 2).clamp(0, 1)
    for _ in range(rounds):
        room = share * (1 - share) + 0.02
        missing = wanted - torch.nn.functional.avg_pool2d(share, RATIO)
        per_room = missing / torch.nn.functional.avg_pool2d(room, RATIO)
        share = (share + room * per_room.repeat_interleave(RATIO, 2).repeat_interleave(RATIO, 3)).clamp(0, 1)
    return torch.cat([2 * share - 1, fields[:, 1:]], 1)


def interpolated(parent: Fields, window: Rectangle, ratio: float) -> Array:
    """Values of the stage above at a window's cells, bilinearly by world position."""
    # rows count southward in arrays, northward in the world: measure both axes from the parent's north-west corner
    top = (parent.area.south + parent.area.rows) * ratio - (window.south + window.rows)
    left = window.west - parent.area.west * ratio
    first, last = (max(0, int(edge // ratio) - 1) for edge in (top, top + window.rows))
    near = parent.values[:, first : last + 3]
    west, east = (max(0, int(edge // ratio) - 1) for edge in (left, left + window.cols))
    near = near[:, :, west : east + 3]
    down = bilinear(window.rows, ratio, top - first * ratio, near.shape[1])
    across = bilinear(window.cols, ratio, left - west * ratio, near.shape[2])
    return np.asarray(down @ near @ across.T, np.float32)


def _condition(stage: Stage, window: Rectangle, asked: Asked, parent: Array) -> Condition:
    facts = asked.wishes.facts()
    if stage.condition:
        facts[:-3] = 0  # wishes speak to stage G; the others follow it
    told = asked.standing.told(stage, window)
    return Condition(
        torch.from_numpy(np.ascontiguousarray(parent[None])),
        torch.zeros(1, 0, window.rows, window.cols),
        torch.from_numpy(told.existing[None]),
        torch.tensor([asked.place]),
        torch.from_numpy(facts[None]),
        told.graph,
        None if told.floor is None else torch.from_numpy(told.floor[None]),
    )
