"""The whole run: from settings to finished files, on this computer or on a cluster."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .. import grid as grids
from .. import inputs, pipeline, provenance, raster, tiling, voids
from ..elevation import card, compute, surface
from ..elevation.compute import Compute
from ..errors import TerrainError
from ..grid import Grid, Target
from ..jobs.superresolve import DEFAULT_SCALE, OUTPUTS, AsksForGrid, Settings
from ..progress import Progress
from ..raster import Source, Writing
from ..tiling import Crew, Plan
from . import messages, recipe
from .binding import binding_of, of_the_data
from .forecast import Forecast
from .outputs import Outputs, writings_of
from .work import Wanted, Work, wanted_of

if TYPE_CHECKING:
    from ..pipeline.cluster import Cluster

AUTOMATIC_MEMORY_MB = 640
"""Memory for tiles where the user gives none, at most an eighth of the computer's."""

AUTOMATIC_GPU_MEMORY_MB = 3072
"""The same for a GPU, whose tiles wait in this computer's memory before and after."""

BESIDE_BYTES_PER_CELL = 32.0
"""Memory of a layer beside the heights: while it is computed, and while two tiles wait with it."""


@dataclass(frozen=True)
class Job:
    """Everything that is known before the first tile."""

    settings: Settings
    source: Source
    model: surface.Surface
    compute: Compute
    arithmetic: str
    plan: Plan
    wanted: Wanted
    writings: dict[str, Writing]

    def work(self, progress: Progress) -> Work:
        """The steps of a tile on this computer."""
        return Work(self.source, self.model, self.plan, self.wanted, self.writings, progress)

    @property
    def recipe(self) -> recipe.Recipe:
        """The steps of a tile on another."""
        return recipe.Recipe(
            self.settings, self.plan, self.wanted, self.writings, self.compute, self.arithmetic, provenance.version(),
            self.model.card.fingerprint, recipe.sizes_of(self.settings.input),
        )  # fmt: skip

    @property
    def binding(self) -> dict:
        """What an unfinished run must have in common with this one."""
        return binding_of(self.settings, self.source, self.model.card, self.plan, f"{self.compute}, {self.arithmetic}")


def refine(settings: Settings, progress: Progress) -> dict:
    """Write the finer DEM of ``settings``; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    with (
        raster.environment(),
        Source(settings.input, recipe.reading_of(settings)) as source,
        _workers(settings, progress) as workers,
    ):
        inputs.refuse_own_members(settings.outputs.values(), source)
        job = _prepared(settings, source, workers, progress)
        messages.before(job.work(progress), str(job.compute), progress)
        with Outputs(settings, job.plan, job.writings, job.binding, progress) as outputs:
            messages.of_the_journal(outputs, job.plan, progress)
            before = inputs.identity(source)
            _do(job, outputs, workers, progress.step(0, outputs.share_of_tiles))
            inputs.refuse_changed(source, before)
            statistics = outputs.commit(progress.step(outputs.share_of_tiles, 1))
    messages.of_filling(outputs.counts, job.plan, progress, wanted=job.wanted.fill)
    if statistics.count == 0:
        progress.warn("The result has no valid cell: the chosen part of the DEM is all no-data.")
    grid = job.plan.target.grid
    return {
        **{name: getattr(settings, name) for name in OUTPUTS},
        "rows": grid.rows,
        "columns": grid.cols,
        "tiles": len(job.plan),
        "tiles_kept": len(outputs.done),
        "seconds": round(time.monotonic() - started_s, 3),
        "valid_share": statistics.count / (grid.rows * grid.cols),
        "filled_share": outputs.counts.filled / (grid.rows * grid.cols),
        "min": statistics.low if statistics.count else None,
        "max": statistics.high if statistics.count else None,
        "device": str(job.compute),
        "warnings": progress.warnings,
    }


def target_of(settings: AsksForGrid, source: Grid) -> Target:
    """The target grid: GRID before CELL_SIZE before SCALE, then cut to EXTENT."""
    if settings.grid:
        target = grids.like(source, raster.read_grid(settings.grid))
    elif settings.cell_size is not None:
        target = grids.of_cell_size(source, settings.cell_size)
    else:
        target = grids.zoom(source, settings.scale or DEFAULT_SCALE)
    if settings.extent is None:
        return target
    return grids.crop(target, grids.bounds_on(target.grid, settings.extent, settings.extent_crs))


def budget_bytes(memory_mb: float | None, automatic_mb: float = AUTOMATIC_MEMORY_MB) -> float:
    """Memory for tiles."""
    if memory_mb is not None:
        return memory_mb * 2**20
    return min(automatic_mb * 2**20, compute.memory_bytes() / 8)


def cost_of(settings: Settings, model: surface.Surface) -> tiling.Cost:
    """Memory of the model, and of what is wanted beside the heights."""
    coarse, fine = model.bytes_per_coarse, model.bytes_per_fine
    if settings.voids == "fill":
        coarse += voids.BYTES_PER_CELL
    if settings.difference:
        fine += BESIDE_BYTES_PER_CELL
    if settings.uncertainty:
        fine += BESIDE_BYTES_PER_CELL
    return tiling.Cost(coarse, fine)


@contextlib.contextmanager
def _workers(settings: Settings, progress: Progress) -> Iterator[Cluster | None]:
    """The cluster, or None for this computer."""
    if not settings.scheduler:
        yield None
        return
    from ..pipeline import cluster

    ask = functools.partial(recipe.facts_here, settings.model, settings.input, settings.band)
    with cluster.connect(settings.scheduler, ask, progress) as workers:
        yield workers


def _prepared(settings: Settings, source: Source, workers: Cluster | None, progress: Progress) -> Job:
    target = target_of(settings, source.grid)
    progress.report(0, "Loading the model")
    found = card.for_input(settings.model, source.is_fitted)
    if workers is None:
        where = compute.choose(settings.device, settings.precision)
        model = surface.load(found, where)
        crew = Crew(**asdict(compute.crew(model.compute.device)))
    else:
        where = recipe.settle(settings, workers.facts, progress)
        model = surface.load(found, Compute("cpu", where.dtype))  # here too, to know its halo and memory
        crew = Crew()
    if model.compute.dtype != where.dtype:  # it computes in one format only, on the CPU
        where = model.compute
    arithmetic = compute.arithmetic(where) if workers is None else recipe.arithmetic_of(workers.facts, where)
    _refuse_unknown_error(settings, model)
    plan = _planned(settings, target, model, crew)
    wanted = wanted_of(settings, source)
    tags = provenance.tags(found, str(where), of_the_data(settings))
    writings = writings_of(settings, source, wanted, tags, plan)
    return Job(settings, source, model, where, arithmetic, plan, wanted, writings)


def _planned(settings: Settings, target: Target, model: surface.Surface, crew: Crew) -> Plan:
    """The plan for the device of the model."""
    cost = cost_of(settings, model)
    if model.compute.device == "cpu":
        budget, sides = budget_bytes(settings.memory_mb), tiling.sides_of(target)
        return tiling.plan(target, model.halo_px, cost, budget, crew, sides)
    budget = budget_bytes(settings.memory_mb, AUTOMATIC_GPU_MEMORY_MB)
    return tiling.plan(target, model.halo_px, cost, budget, crew, (tiling.WIDE_PX, *tiling.TILE_SIDES_PX))


def _do(job: Job, outputs: Outputs, workers: Cluster | None, progress: Progress) -> None:
    """Every tile that is not finished."""
    tiles = [tile for tile in job.plan if tile.index not in outputs.done]
    at_a_time = job.plan.crew.lanes * job.plan.crew.batch if workers is None else workers.threads
    write = Forecast(outputs, tiles, at_a_time, job.plan.target.grid, progress)
    if workers is None:
        pipeline.run(job.plan, write.tiles, job.work(progress), write, progress)
    else:
        progress.info(f"Dask workers: {len(workers.facts)}, threads: {workers.threads}, tiles to do: {len(tiles)}.")
        workers.run(write.tiles, job.recipe, write, progress, total=len(job.plan))


def _refuse_unknown_error(settings: Settings, model: surface.Surface) -> None:
    if settings.uncertainty and not model.tells_error:
        raise TerrainError(
            f"The model {model.card.name} does not know its error; leave the uncertainty empty or choose a model whose "
            "card has a calibration."
        )
