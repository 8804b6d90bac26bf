"""A finer DEM from a coarse one, tile by tile: what *Super-resolve DEM* does in the engine.

Joins the parts that do not know each other: files (:mod:`.raster`), target grids (:mod:`.grid`), plans
(:mod:`.tiling`), models (:mod:`.elevation`) and the order of work (:mod:`.pipeline`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from . import grid as grids
from . import pipeline, provenance, raster, tiling
from .elevation import baseline_surface, card, compute, kernels, surface
from .errors import TerrainError
from .grid import Grid, Target
from .jobs.superresolve import DEFAULT_SCALE, Settings, same_file
from .progress import Progress
from .raster import Bools, Floats, Reading, Sink, Source, Writing
from .tiling import Plan, Tile

AUTOMATIC_MEMORY_MB = 640
"""Memory for tiles where the user gives none, at most an eighth of the computer's."""


@dataclass(frozen=True)
class Coarse:
    """One read window."""

    heights: Floats
    valid: Bools


@dataclass(frozen=True)
class Fine:
    """One write window; ``cubic`` is the plain cubic interpolation where a difference is wanted."""

    heights: Floats
    valid: Bools
    cubic: Floats | None


def refine(settings: Settings, progress: Progress) -> dict:
    """Write the finer DEM of ``settings``; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    reading = Reading(settings.band, settings.crs, settings.no_data, settings.z_unit, settings.voids == "fill")
    with raster.environment(), Source(settings.input, reading) as source:
        _refuse_own_members(settings, source)
        target = target_of(settings, source.grid)
        progress.report(0, "Loading the model")
        model = surface.load(card.find(settings.model), compute.choose(settings.device))
        cost = tiling.Cost(model.bytes_per_coarse, model.bytes_per_fine)
        lanes = compute.lanes(model.compute.device)
        plan = tiling.plan(target, model.halo_px, cost, budget_bytes(settings.memory_mb), lanes)
        work = Work(source, model, plan, point_sampled(settings, source), wants_cubic=bool(settings.difference))
        _say_what_matters(work, progress)
        with sinks_of(settings, work) as sinks:
            pipeline.run(plan, work.read, work.compute, sinks.write, progress.step(0, 0.99))
            progress.report(0.99, "Finishing the files")
            statistics = sinks.commit()
    if statistics.count == 0:
        progress.warn("The result has no valid cell: the chosen part of the DEM is all no-data.")
    return {
        "output": settings.output,
        "difference": settings.difference,
        "rows": target.grid.rows,
        "columns": target.grid.cols,
        "tiles": len(plan),
        "seconds": round(time.monotonic() - started_s, 3),
        "valid_share": statistics.count / (target.grid.rows * target.grid.cols),
        "min": statistics.low if statistics.count else None,
        "max": statistics.high if statistics.count else None,
        "device": str(model.compute),
        "warnings": progress.warnings,
    }


def target_of(settings: Settings, source: Grid) -> Target:
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


def point_sampled(settings: Settings, source: Source) -> bool:
    """Whether heights are samples at cell centres; ``auto`` asks the file."""
    return source.is_point if settings.sampling == "auto" else settings.sampling == "point"


def budget_bytes(memory_mb: float | None) -> float:
    """Memory for tiles."""
    if memory_mb is not None:
        return memory_mb * 2**20
    return min(AUTOMATIC_MEMORY_MB * 2**20, compute.memory_bytes() / 8)


class Work:
    """What is done with one tile: read coarse heights, compute fine ones."""

    def __init__(
        self, source: Source, model: surface.Surface, plan: Plan, point_sampled: bool, *, wants_cubic: bool
    ) -> None:
        self.source, self.model, self.plan = source, model, plan
        self.point_sampled, self._wants_cubic = point_sampled, wants_cubic
        self.cell_m = grids.metres_per_cell(source.grid)

    def read(self, tile: Tile) -> Coarse:
        """Read the tile's window of the source."""
        return Coarse(*self.source.read(tile.read))

    def compute(self, tile: Tile, coarse: Coarse) -> Fine:
        """Fine heights of the tile; a tile without a valid cell is not computed."""
        queries = self._queries(tile)
        valid = self._valid(tile, coarse)
        if not valid.any():
            nothing = np.zeros(valid.shape)
            return Fine(nothing, valid, nothing if self._wants_cubic else None)
        compute.share_cores(self.plan.lanes)
        heights = self.model.decode(self.model.encode(self._known(tile, coarse)), queries)
        return Fine(heights, valid, self._cubic(coarse, queries) if self._wants_cubic else None)

    def _known(self, tile: Tile, coarse: Coarse) -> surface.CoarseHeights:
        rows = raster.mirror(tile.read.row, tile.read.row_stop, self.source.grid.rows)
        width_m, height_m = self.cell_m
        return surface.CoarseHeights(coarse.heights, coarse.valid, width_m[rows], height_m[rows], self.point_sampled)

    def _queries(self, tile: Tile) -> kernels.Queries:
        rows, cols, write = self.plan.target.rows, self.plan.target.cols, tile.write
        return kernels.Queries(
            rows.centres(write.row, write.row_stop) - tile.read.row,
            cols.centres(write.col, write.col_stop) - tile.read.col,
            rows.step,
            cols.step,
        )

    def _valid(self, tile: Tile, coarse: Coarse) -> Bools:
        """A fine cell is valid where its centre lies in a valid source cell."""
        write, target = tile.write, self.plan.target
        rows = np.floor(target.rows.centres(write.row, write.row_stop)).astype(np.int64)
        cols = np.floor(target.cols.centres(write.col, write.col_stop)).astype(np.int64)
        return self.source.valid_mask(rows, cols, tile.read, coarse.valid)

    @staticmethod
    def _cubic(coarse: Coarse, queries: kernels.Queries) -> Floats:
        return baseline_surface.plain_cubic(coarse.heights, coarse.valid, queries)


class Sinks:
    """The result's file and, where wanted, the difference's, written and finished together."""

    def __init__(self, settings: Settings, work: Work) -> None:
        writing = _writing(settings, work)
        grid = work.plan.target.grid
        self._result = Sink(settings.output, grid, writing)
        self._difference = None
        if settings.difference:
            # The input's no-data number may be 0, which is the commonest difference.
            nodata = raster.DEFAULT_NODATA if settings.nodata is None else settings.nodata
            about = replace(writing, nodata=nodata, description="Elevation minus cubic interpolation")
            try:
                self._difference = Sink(settings.difference, grid, about)
            except TerrainError:
                self._result.discard()
                raise

    def write(self, tile: Tile, fine: Fine) -> None:
        """Write one tile to every file."""
        self._result.write(tile.write, fine.heights, fine.valid)
        if self._difference is not None and fine.cubic is not None:
            self._difference.write(tile.write, fine.heights - fine.cubic, fine.valid)

    def commit(self) -> raster.Statistics:
        """Put the files in place once all of them are complete."""
        for sink in filter(None, (self._difference, self._result)):
            sink.finish()
        if self._difference is not None:
            self._difference.commit()
        self._result.commit()
        return self._result.statistics

    def discard(self) -> None:
        """Drop what is not committed."""
        for sink in (self._result, self._difference):
            if sink is not None:
                sink.discard()


@contextlib.contextmanager
def sinks_of(settings: Settings, work: Work) -> Iterator[Sinks]:
    """The sinks of a run; whatever was not committed when the block ends is dropped."""
    sinks = Sinks(settings, work)
    try:
        yield sinks
    finally:
        sinks.discard()


def _writing(settings: Settings, work: Work) -> Writing:
    source, model = work.source, work.model
    nodata = settings.nodata if settings.nodata is not None else source.nodata
    return Writing(
        unit=source.unit,
        nodata=nodata if nodata is not None and _fits_float32(nodata) else raster.DEFAULT_NODATA,
        compression=settings.compression,
        options=tuple(filter(None, settings.options.split("|"))),
        is_point=work.point_sampled,
        tags=provenance.tags(model.card, str(model.compute), asdict(settings)),
    )


def _fits_float32(value: float) -> bool:
    return bool(np.isnan(value) or abs(value) <= float(np.finfo(np.float32).max))


def _refuse_own_members(settings: Settings, source: Source) -> None:
    """The Settings compare names; a VRT can also read the output as one of its tiles."""
    for path in filter(None, (settings.output, settings.difference)):
        if any(same_file(path, member) for member in source.files):
            raise TerrainError(f"The output {path} is read by the input {source.path}; choose another name.")


def _say_what_matters(work: Work, progress: Progress) -> None:
    """Warnings about the result, each once, and what the run will do."""
    source, model, target = work.source, work.model, work.plan.target
    if not source.grid.crs:
        progress.warn(
            "The DEM has no CRS; its horizontal unit is taken as metres. Assign one with 'Assign projection'."
        )
    if source.unknown_unit:
        progress.warn(
            f"The band calls its vertical unit {source.unknown_unit!r}, which is not known; heights are taken as "
            f"{source.unit}. Convert them, or say the unit with Z_UNIT."
        )
    elif not source.unit_known:
        progress.info("Neither the band nor the CRS names a vertical unit; heights are taken as metres.")
    cell_m = float(np.sqrt(np.median(work.cell_m[0]) * np.median(work.cell_m[1])))
    low, high = model.card.cell_size_m
    if not low <= cell_m <= high:
        progress.warn(
            f"Cells of about {cell_m:.3g} m are outside the range of model {model.card.name} ({low:g} to {high:g} m); "
            "compare the result with the model 'baseline'."
        )
    scale = max(target.rows.scale, target.cols.scale)
    if scale > model.card.scale[1] + 1e-9:
        progress.warn(
            f"Scale {scale:.3g} is beyond what model {model.card.name} was trained for (up to "
            f"{model.card.scale[1]:g}); the result is smoother than real ground."
        )
    progress.info(
        f"Model {model.card.name} {model.card.version} on {model.compute}: {target.grid.cols} x {target.grid.rows} "
        f"cells in {len(work.plan)} tiles, about {work.plan.peak_bytes / 2**20:.0f} MB for tiles."
    )
