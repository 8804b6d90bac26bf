"""The whole of a comparison: open, measure every block here or on a cluster, write what was asked for."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import pipeline, provenance, raster, report, table
from ..evaluation import Consistency, Evaluation
from ..grid import Grid
from ..inputs import refuse_own_members
from ..jobs.comparedem import Settings
from ..maps import Maps
from ..pipeline import agreement
from ..progress import Progress
from ..raster import Sink, Writing
from ..tiling import Tile
from . import messages, recipe
from .findings import answers, findings
from .ground import Rasters, common_grid, name_of, opened
from .merging import Merging
from .work import Averages, Heights, Made

if TYPE_CHECKING:
    from ..pipeline.cluster import Cluster

RASTERS = {
    "difference": Writing(description="Input minus reference"),
    "slope_difference": Writing(description="Slope of input minus slope of reference", label="degree"),
}
"""What the rasters that can be wanted look like."""


@dataclass(frozen=True)
class Job:
    """What both parts of a comparison need."""

    settings: Settings
    rasters: Rasters
    writings: Mapping[str, Writing]
    workers: Cluster | None

    def recipe(self, work: Heights | Averages) -> recipe.Recipe:
        """How other machines make the same work."""
        sizes = {path: agreement.size_of(path) for path in recipe.paths_of(self.settings)}
        return recipe.Recipe(type(work), self.settings, work.grid, self.writings, provenance.version(), sizes)


def compare(settings: Settings, progress: Progress) -> dict:
    """Do the whole comparison; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the DEMs do not overlap or share no known cell.
    """
    started_s = time.monotonic()
    progress.report(0, "Opening the DEMs")
    with raster.environment(), opened(settings) as rasters, _workers(settings, progress) as workers:
        refuse_own_members(settings.outputs().values(), *rasters.all())
        job = Job(settings, rasters, _writings(settings), workers)
        heights = Heights(rasters, common_grid(rasters.dem.grid, rasters.reference.grid), job.writings)
        messages.refuse_far_sizes(heights.ground.dem.steps)
        averages = _averages(rasters)
        messages.before(rasters, progress)
        found = _write(job, heights, averages, progress)
    return {**answers(found), **settings.outputs(), "seconds": round(time.monotonic() - started_s, 3)}


class Gathered:
    """What was found so far. Call it with the blocks, in any order; what comes out is the same."""

    def __init__(self, count: int, shape: tuple[int, int], sinks: Mapping[str, Sink]) -> None:
        self.sums: Merging = Merging(count)
        self.maps, self._sinks = Maps(shape), sinks

    def __call__(self, tile: Tile, made: Made) -> None:
        """Take in a block."""
        self.sums.add(tile.index, made.sums)
        if made.piece is not None:
            self.maps.add(made.piece)
        for name, encoded in made.encoded.items():
            self._sinks[name].append(tile.index, tile.write, encoded)


def _write(job: Job, heights: Heights, averages: Averages | None, progress: Progress) -> dict:
    """Measure, and write rasters, table and report; all of them appear at the end, or none."""
    settings, ground = job.settings, heights.ground
    with _sinks(job, ground.grid) as sinks:
        gathered = Gathered(len(heights.blocks), ground.grid.shape, sinks)
        _do(job, heights, gathered, progress.step(0, 0.9))
        consistency = _check(job, averages, progress.step(0.9, 0.97))
        progress.report(0.97, "Writing the report")
        for sink in sinks.values():
            sink.finish()
        whole: Evaluation | None = gathered.sums.whole
        found = findings(settings, ground, whole, consistency, progress)
        if settings.table:
            table.write(settings.table, found)
        if settings.output:
            report.write(settings.output, found, gathered.maps.pictures(ground.cell_size_m))
        for sink in sinks.values():
            sink.commit()
    return found


def _check(job: Job, averages: Averages | None, progress: Progress) -> Consistency | None:
    """Compare with the coarse DEM, where one was given."""
    if averages is None:
        return None
    messages.of_the_coarse_dem(averages, progress)
    gathered = Gathered(len(averages.blocks), averages.grid.shape, {})
    _do(job, averages, gathered, progress)
    return gathered.sums.whole


def _do(job: Job, work: Heights | Averages, gathered: Gathered, progress: Progress) -> None:
    """Every block, here or on the workers."""
    blocks = work.blocks
    if job.workers is None:
        pipeline.run(blocks, list(blocks), work, gathered, progress)
        return
    threads, count = job.workers.threads, len(job.workers.facts)
    progress.info(f"Dask workers: {count}, threads: {threads}, blocks to do: {len(blocks)}.")
    job.workers.run(list(blocks), job.recipe(work), gathered, progress)


def _averages(rasters: Rasters) -> Averages | None:
    if rasters.coarse is None:
        return None
    return Averages(rasters, common_grid(rasters.dem.grid, rasters.coarse.grid, "coarse DEM"), {})


@contextlib.contextmanager
def _workers(settings: Settings, progress: Progress) -> Iterator[Cluster | None]:
    """The cluster, or None for this computer."""
    if not settings.scheduler:
        yield None
        return
    from ..pipeline import cluster

    ask = functools.partial(recipe.facts_here, recipe.paths_of(settings))
    with cluster.connect(settings.scheduler, ask, progress) as workers:
        yield workers


def _writings(settings: Settings) -> dict[str, Writing]:
    """The rasters that are wanted."""
    tags = {
        "NEURAL_TERRAIN_VERSION": provenance.version(),
        "NEURAL_TERRAIN_COMPARED": f"{name_of(settings.input)} minus {name_of(settings.reference)}",
    }
    return {name: replace(writing, tags=tags) for name, writing in RASTERS.items() if getattr(settings, name)}


@contextlib.contextmanager
def _sinks(job: Job, grid: Grid) -> Iterator[dict[str, Sink]]:
    """The rasters to write; whatever was not committed when the block ends is dropped."""
    sinks: dict[str, Sink] = {}
    try:
        for name, writing in job.writings.items():
            sinks[name] = Sink(getattr(job.settings, name), grid, writing)
        yield sinks
    finally:
        for sink in sinks.values():
            sink.discard()
