"""Sampling of one stage over an area, window by window on the world's lattice.

Windows are independent: each covers its core and a halo, starts from world-locked noise and solves its own way; near
the cores' borders two or four of them are blended. A cell's value thus depends on its surroundings in the world only,
never on the order of windows or on the cut of the area.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..elevation.compute import GPU_LANES, Compute, cores, share_cores
from ..progress import Progress
from .diffusion import solve
from .model import Condition, StageModel
from .noise import world_noise
from .stages import Stage, open_ground

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rectangle:
    """Cells of a stage in the world: west column, south row (counted northward), columns, rows."""

    west: int
    south: int
    cols: int
    rows: int

    def grown(self, cells: int) -> Rectangle:
        """With so many cells more on each side."""
        return Rectangle(self.west - cells, self.south - cells, self.cols + 2 * cells, self.rows + 2 * cells)


@dataclass(frozen=True)
class Lattice:
    """Cores and halos of a stage's windows, in cells; a core begins where column and row are multiples of its side."""

    core: int
    halo: int
    blend: int

    @property
    def side(self) -> int:
        """Cells per side of a whole window."""
        return self.core + 2 * self.halo

    def windows(self, area: Rectangle) -> Iterator[Rectangle]:
        """All windows that an area needs, blending included, each as its full square, from south-west to north-east."""
        need = area.grown(self.blend)
        for row in range(need.south // self.core, (need.south + need.rows - 1) // self.core + 1):
            for col in range(need.west // self.core, (need.west + need.cols - 1) // self.core + 1):
                yield Rectangle(col * self.core - self.halo, row * self.core - self.halo, self.side, self.side)

    def band(self, window: Rectangle, area: Rectangle) -> Rectangle:
        """The part of an area whose rows a window has a share in."""
        south = window.south + self.halo - self.blend
        rows = self.core + 2 * self.blend
        return Rectangle(area.west, south, area.cols, rows)

    def weight(self) -> Array:
        """A window's share in the blend, ``(S, S)``: 1 in the core, a ramp across its border, else 0."""
        at = np.minimum(np.arange(self.side), np.arange(self.side)[::-1]) + 0.5 - self.halo
        ramp = np.clip(0.5 + at / (2 * self.blend), 0, 1)
        return (ramp[:, None] * ramp[None]).astype(np.float32)


RATIO = 5
"""Cells of R per cell of G, and of L per cell of R, in one direction."""

LATTICES = {"G": Lattice(16, 8, 3), "R": Lattice(40, 20, 6), "L": Lattice(120, 20, 8)}
STAGE_NUMBER = {"G": 1, "R": 2, "L": 3}

ADDED = {"G": 5, "R": 3, "L": 2}
"""So many of a stage's first channels can only grow where more is built."""

Told = Callable[[Rectangle], Condition]
Repair = Callable[[Rectangle, torch.Tensor], torch.Tensor]


def reach(lattice: Lattice, area: Rectangle) -> Rectangle:
    """The rectangle that all windows of an area cover together."""
    windows = list(lattice.windows(area))
    west, south = min(w.west for w in windows), min(w.south for w in windows)
    east, north = max(w.west + w.cols for w in windows), max(w.south + w.rows for w in windows)
    return Rectangle(west, south, east - west, north - south)


def parents(area: Rectangle, ratio: int = RATIO, margin: int = 1) -> Rectangle:
    """The cells of the stage above that an area touches, and some more around."""
    west, south = area.west // ratio, area.south // ratio
    east, north = -(-(area.west + area.cols) // ratio), -(-(area.south + area.rows) // ratio)
    return Rectangle(west, south, east - west, north - south).grown(margin)


@dataclass(frozen=True)
class Run:
    """How a stage is sampled.

    Attributes
    ----------
    repair
        Puts what is known into a window's estimate of the fields ``(1, C, H, W)``, in every step.
    progress
        Hears of each window, and is asked in every step whether to stop.
    needed
        Windows that are worth their work, or None for all.

    """

    seed: int
    steps: int
    lattice: Lattice
    compute: Compute = Compute()
    repair: Repair | None = None
    progress: Progress = field(default_factory=Progress)
    needed: frozenset[Rectangle] | None = None

    def needs(self, window: Rectangle) -> bool:
        """Whether a window is worth its work."""
        return self.needed is None or window in self.needed


def sample_area(model: StageModel, told: Told, area: Rectangle, run: Run) -> Array:
    """Normalised fields of an area, ``(C, rows, cols)``, first row in the north."""
    whole = np.zeros((len(model.settings.of_stage.channels), area.rows, area.cols), np.float32)
    for strip, values in sample_strips(model, told, area, run):
        here, _ = _overlap(strip, area)
        whole[:, here[0], here[1]] = values
    return whole


def sample_strips(model: StageModel, told: Told, area: Rectangle, run: Run) -> Iterator[tuple[Rectangle, Array]]:
    """Normalised fields of an area in strips of its full width from south to north, each cell once.

    A strip is as high as a window's core; besides it only the windows under work are in memory. Where no window is
    needed is open ground.
    """
    lattice, none = run.lattice, open_ground(model.settings.of_stage)
    windows, top = list(lattice.windows(area)), area.south + area.rows
    solved = _solved(model, told, [window for window in windows if run.needs(window)], run)
    blend: _Blend | None = None
    for window in windows:
        band = lattice.band(window, area)
        if blend is None or band != blend.band:
            if blend is not None:
                yield from blend.finished(area, band.south, none)
            blend = _Blend(band, len(none), blend)
        if run.needs(window):
            blend.add(window, next(solved), lattice.weight())
    next(solved, None)  # says that all is done
    if blend is not None:
        yield from blend.finished(area, top, none)


class _Blend:
    """Weighted sums of windows over the rows that one row of windows reaches, begun with what the row before left."""

    def __init__(self, band: Rectangle, count: int, before: _Blend | None) -> None:
        self.band = band
        self.total = np.zeros((count, band.rows, band.cols), np.float32)
        self.weights = np.zeros((band.rows, band.cols), np.float32)
        if before is not None:
            here, there = _overlap(before.band, band)
            self.total[:, here[0], here[1]] = before.total[:, there[0], there[1]]
            self.weights[here] = before.weights[there]

    def add(self, window: Rectangle, fields: Array, weight: Array) -> None:
        """Add a window's fields by its weights."""
        here, there = _overlap(window, self.band)
        self.total[:, here[0], here[1]] += fields[:, there[0], there[1]] * weight[there]
        self.weights[here] += weight[there]

    def finished(self, area: Rectangle, north: int, none: Array) -> Iterator[tuple[Rectangle, Array]]:
        """The rows of the area south of ``north`` and not handed out by the row before; ``none`` without windows."""
        south = max(self.band.south, area.south)
        rows = min(north, area.south + area.rows) - south
        if rows > 0:
            strip = Rectangle(area.west, south, area.cols, rows)
            here, _ = _overlap(strip, self.band)
            total, weights = self.total[:, here[0], here[1]], self.weights[here]
            yield strip, np.divide(total, weights, out=np.broadcast_to(none, total.shape).copy(), where=weights > 0)


def _solved(model: StageModel, told: Told, windows: Sequence[Rectangle], run: Run) -> Iterator[Array]:
    """Fields of windows in their order; as many are under work as the device has lanes.

    On a CPU every window is computed by one thread, so that its bits do not hang on the number of cores.
    """
    lanes = cores() if run.compute.device == "cpu" else GPU_LANES
    waiting: deque[Future[Array]] = deque()
    said = [f"Sketching the town at {model.settings.of_stage.cell_m:g} m{strip}" for strip in _strips(windows)]
    run.progress.report(0.0, said[0] if said else "")
    pool = ThreadPoolExecutor(lanes, initializer=share_cores, initargs=(cores(),))
    try:
        for number, window in enumerate(windows):
            waiting.append(pool.submit(sample_window, model, told(window), window, run))
            if len(waiting) > lanes:
                yield waiting.popleft().result()
                run.progress.report((number + 1 - lanes) / len(windows), said[number])
        while waiting:
            yield waiting.popleft().result()
            run.progress.report(1 - len(waiting) / len(windows), said[-1])
    finally:
        pool.shutdown(cancel_futures=True)


def _strips(windows: Sequence[Rectangle]) -> list[str]:
    """For each window in which row of windows it lies, where there are several."""
    rows = [window.south for window in windows]
    number = {south: k for k, south in enumerate(dict.fromkeys(rows), 1)}
    return [f", strip {number[south]} of {len(number)}" if len(number) > 1 else "" for south in rows]


def _overlap(window: Rectangle, area: Rectangle) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns that both have, in the area's array and in the window's."""
    west, east = max(window.west, area.west), min(window.west + window.cols, area.west + area.cols)
    south, north = max(window.south, area.south), min(window.south + window.rows, area.south + area.rows)

    def part(of: Rectangle) -> tuple[slice, slice]:
        top = of.south + of.rows
        return slice(top - north, top - south), slice(west - of.west, east - of.west)

    return part(area), part(window)


@torch.no_grad()
def sample_window(model: StageModel, condition: Condition, window: Rectangle, run: Run) -> Array:
    """Normalised fields of one window, ``(C, rows, cols)``."""
    stage, compute = model.settings.of_stage, run.compute
    key = (run.seed, STAGE_NUMBER[stage.name], 0)
    first = (window.south + window.rows - 1, window.west)
    noise = torch.from_numpy(world_noise(key, first, (len(stage.channels), window.rows, window.cols)))[None]
    condition = condition.on(compute.device)
    kind = compute.device.split(":")[0]
    with torch.autocast(kind, torch.bfloat16, enabled=compute.dtype == "bfloat16"):
        mean = model.mean(condition)
        if not model.settings.use_prior:
            mean = torch.zeros_like(mean)
        context = model.context(condition, mean)
        spread = model.spread[:, None, None]

        def velocity(field: torch.Tensor, t: float) -> torch.Tensor:
            run.progress.check()
            return model.velocity(field, torch.full((1,), t, device=field.device), context)

        def repair(clean: torch.Tensor) -> torch.Tensor:
            known = keep_existing(clean * spread + mean, condition.existing, stage)
            if run.repair is not None:
                known = run.repair(window, known)
            if condition.floor is not None:
                known = raised(known, condition.floor, stage)
            return (keep_existing(known, condition.existing, stage) - mean) / spread

        clean = solve(velocity, noise.to(compute.device), run.steps, repair)
    return (clean * spread + mean)[0].float().cpu().numpy()


def keep_existing(fields: torch.Tensor, existing: torch.Tensor, stage: Stage) -> torch.Tensor:
    """Fields ``(1, C, H, W)`` with existing buildings and roads in place of what the net made of them.

    Heights are kept where they are known, and are none where nothing is built; unknown ones are 0 in ``existing``.
    """
    kept, built, roads = existing[:, :-2].clone(), existing[:, -2:-1] > 0.5, existing[:, -1:] > 0.5
    mask = torch.zeros_like(fields, dtype=torch.bool)
    for channels, area in ((stage.built, built), (stage.roads, roads)):
        for channel in channels:
            mask[:, channel : channel + 1] = area
    empty = kept[:, :1] <= -1
    for channel in stage.heights:
        height, none = kept[:, channel : channel + 1], float(open_ground(stage)[channel, 0, 0])
        mask[:, channel : channel + 1] = built & (empty | (height != 0))
        kept[:, channel : channel + 1] = torch.where(empty, none, height)
    return torch.where(mask, kept, fields)


def raised(fields: torch.Tensor, floor: torch.Tensor, stage: Stage) -> torch.Tensor:
    """Fields ``(1, C, H, W)`` that hold at least what stands; a nearer road brings its direction."""
    count = ADDED[stage.name]
    grown = torch.maximum(fields[:, :count], floor[:, :count])
    rest = fields[:, count:]
    if stage.name == "R":
        rest = torch.where(floor[:, 3:4] > rest[:, :1], floor[:, count:], rest)
    return torch.cat([grown, rest], 1)
