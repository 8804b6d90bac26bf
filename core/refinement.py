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
from numpy.typing import NDArray

from . import grid as grids
from . import pipeline, provenance, raster, tiling, voids
from .elevation import baseline_surface, card, compute, kernels, surface
from .errors import TerrainError
from .grid import Grid, Target
from .jobs.superresolve import CLASSES, DEFAULT_SCALE, OUTPUTS, Settings, same_file
from .progress import Progress
from .raster import Bools, Floats, Reading, Sink, Source, Writing
from .tiling import Plan, Tile

AUTOMATIC_MEMORY_MB = 640
"""Memory for tiles where the user gives none, at most an eighth of the computer's."""

BESIDE_BYTES_PER_CELL = 32.0
"""Memory of a layer beside the heights: while it is computed, and while two tiles wait with it."""

ERROR_TAGS = {
    "NEURAL_TERRAIN_COVERAGE": "0.9",
    "NEURAL_TERRAIN_ERROR": "Half width of the band around the elevation that holds the true height nine times in ten, "
    "for a perfect coarse DEM; add the error of the coarse DEM in quadrature.",
}
"""What the file of the uncertainty says about itself."""


@dataclass(frozen=True)
class Coarse:
    """One read window; ``filled`` says which cells are not valid but hold heights that were laid over a void."""

    heights: Floats
    valid: Bools
    filled: Bools


@dataclass(frozen=True)
class Fine:
    """One write window.

    Attributes
    ----------
    heights, valid
        Metres, and where they mean something.
    filled
        Where they were laid over a void.
    cubic, error90
        Plain cubic interpolation and half width of the 90 % band, both in metres, where they are wanted.

    """

    heights: Floats
    valid: Bools
    filled: Bools
    cubic: Floats | None = None
    error90: Floats | None = None


def refine(settings: Settings, progress: Progress) -> dict:
    """Write the finer DEM of ``settings``; returns plain values for the caller's report."""
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    reading = Reading(settings.band, settings.crs, settings.no_data, settings.z_unit)
    with raster.environment(), Source(settings.input, reading) as source:
        _refuse_own_members(settings, source)
        target = target_of(settings, source.grid)
        progress.report(0, "Loading the model")
        model = surface.load(card.find(settings.model), compute.choose(settings.device))
        _refuse_unknown_error(settings, model)
        lanes = compute.lanes(model.compute.device)
        budget = budget_bytes(settings.memory_mb)
        plan = tiling.plan(target, model.halo_px, cost_of(settings, model), budget, lanes)
        work = Work(source, model, plan, wanted_of(settings, source))
        _say_what_matters(work, progress)
        with sinks_of(settings, work) as sinks:
            pipeline.run(plan, work.read, work.compute, sinks.write, progress.step(0, 0.99))
            progress.report(0.99, "Finishing the files")
            statistics = sinks.commit()
    _say_what_was_filled(sinks.counts, work, progress)
    if statistics.count == 0:
        progress.warn("The result has no valid cell: the chosen part of the DEM is all no-data.")
    return {
        **{name: getattr(settings, name) for name in OUTPUTS},
        "rows": target.grid.rows,
        "columns": target.grid.cols,
        "tiles": len(plan),
        "seconds": round(time.monotonic() - started_s, 3),
        "valid_share": statistics.count / (target.grid.rows * target.grid.cols),
        "filled_share": sinks.counts.filled / (target.grid.rows * target.grid.cols),
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


@dataclass(frozen=True)
class Wanted:
    """What is to be computed from each window, and how the heights are to be taken."""

    point_sampled: bool = False
    honour: bool = True
    fill: bool = False
    cubic: bool = False
    error90: bool = False


def wanted_of(settings: Settings, source: Source) -> Wanted:
    """What the settings ask for."""
    return Wanted(
        point_sampled=point_sampled(settings, source),
        honour=settings.honour_input == "yes",
        fill=settings.voids == "fill",
        cubic=bool(settings.difference),
        error90=bool(settings.uncertainty),
    )


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


class Work:
    """What is done with one tile: read coarse heights, compute fine ones."""

    def __init__(self, source: Source, model: surface.Surface, plan: Plan, wanted: Wanted) -> None:
        self.source, self.model, self.plan, self.wanted = source, model, plan, wanted
        self.cell_m = grids.metres_per_cell(source.grid)

    def read(self, tile: Tile) -> Coarse:
        """Read the tile's window of the source."""
        if self.wanted.fill:
            return Coarse(*self.source.read_filled(tile.read))
        heights, valid = self.source.read(tile.read)
        return Coarse(heights, valid, np.zeros_like(valid))

    def compute(self, tile: Tile, coarse: Coarse) -> Fine:
        """Fine heights of the tile, and what is wanted beside them; a tile without a valid cell is not computed."""
        queries, wanted = self._queries(tile), self.wanted
        filled = self._over(tile, coarse.filled)
        valid = self._over(tile, coarse.valid) | filled
        if not valid.any():
            nothing = np.zeros(valid.shape)
            return Fine(nothing, valid, filled, nothing if wanted.cubic else None, nothing if wanted.error90 else None)
        compute.share_cores(self.plan.lanes)
        latent = self.model.encode(self._known(tile, coarse))
        return Fine(
            self.model.decode(latent, queries),
            valid,
            filled,
            self._cubic(coarse, queries) if wanted.cubic else None,
            self.model.error90(latent, queries) if wanted.error90 else None,
        )

    def _known(self, tile: Tile, coarse: Coarse) -> surface.CoarseHeights:
        rows = raster.mirror(tile.read.row, tile.read.row_stop, self.source.grid.rows)
        width_m, height_m = self.cell_m
        wanted, filled = self.wanted, coarse.filled if coarse.filled.any() else None
        return surface.CoarseHeights(
            coarse.heights, coarse.valid, width_m[rows], height_m[rows], wanted.point_sampled, wanted.honour, filled
        )

    def _queries(self, tile: Tile) -> kernels.Queries:
        rows, cols, write = self.plan.target.rows, self.plan.target.cols, tile.write
        return kernels.Queries(
            rows.centres(write.row, write.row_stop) - tile.read.row,
            cols.centres(write.col, write.col_stop) - tile.read.col,
            rows.step,
            cols.step,
        )

    def _over(self, tile: Tile, coarse: Bools) -> Bools:
        """Fine cells whose centre lies in one of these source cells."""
        write, target = tile.write, self.plan.target
        rows = np.floor(target.rows.centres(write.row, write.row_stop)).astype(np.int64)
        cols = np.floor(target.cols.centres(write.col, write.col_stop)).astype(np.int64)
        return self.source.valid_mask(rows, cols, tile.read, coarse)

    @staticmethod
    def _cubic(coarse: Coarse, queries: kernels.Queries) -> Floats:
        return baseline_surface.plain_cubic(coarse.heights, coarse.valid | coarse.filled, queries)


@dataclass
class Counts:
    """Cells of the result written so far."""

    filled: int = 0
    without: int = 0

    def add(self, fine: Fine) -> None:
        """Count one tile."""
        self.filled += int(np.count_nonzero(fine.filled))
        self.without += int(fine.valid.size - np.count_nonzero(fine.valid))


class Sinks:
    """The result's file and those wanted beside it, written and finished together."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self.counts = Counts()
        self._sinks: dict[str, Sink] = {}
        writings = _writings(settings, work)
        try:
            for name, path in settings.outputs.items():
                self._sinks[name] = Sink(path, work.plan.target.grid, writings[name])
        except TerrainError:
            self.discard()
            raise

    def write(self, tile: Tile, fine: Fine) -> None:
        """Write one tile to every file."""
        self.counts.add(fine)
        for name, sink in self._sinks.items():
            if name == "provenance":
                sink.write_classes(tile.write, classes_of(fine))
            else:
                sink.write(tile.write, _layer(name, fine), fine.valid)

    def commit(self) -> raster.Statistics:
        """Put the files in place once all of them are complete; one that is locked does not keep the others back."""
        for sink in self._sinks.values():
            sink.finish()
        refusals = []
        for sink in self._sinks.values():
            try:
                sink.commit()
            except TerrainError as refusal:
                refusals.append(str(refusal))
        if refusals:
            raise TerrainError(" ".join(refusals))
        return self._sinks["output"].statistics

    def discard(self) -> None:
        """Drop what is not committed."""
        for sink in self._sinks.values():
            sink.discard()


def classes_of(fine: Fine) -> NDArray[np.uint8]:
    """Numbers of :data:`CLASSES`."""
    return np.where(fine.filled, 1, np.where(fine.valid, 0, 2)).astype(np.uint8)


def _layer(name: str, fine: Fine) -> Floats:
    """Metres that belong into an output."""
    if name == "difference" and fine.cubic is not None:
        return fine.heights - fine.cubic
    if name == "uncertainty" and fine.error90 is not None:
        return fine.error90
    return fine.heights


@contextlib.contextmanager
def sinks_of(settings: Settings, work: Work) -> Iterator[Sinks]:
    """The sinks of a run; whatever was not committed when the block ends is dropped."""
    sinks = Sinks(settings, work)
    try:
        yield sinks
    finally:
        sinks.discard()


def _writings(settings: Settings, work: Work) -> dict[str, Writing]:
    """What each output's file looks like."""
    source, model = work.source, work.model
    nodata = settings.nodata if settings.nodata is not None else source.nodata
    heights = Writing(
        unit=source.unit,
        nodata=nodata if nodata is not None and _fits_float32(nodata) else raster.DEFAULT_NODATA,
        compression=settings.compression,
        options=tuple(filter(None, settings.options.split("|"))),
        is_point=work.wanted.point_sampled,
        tags=provenance.tags(model.card, str(model.compute), asdict(settings)),
    )
    # The input's no-data number may be 0, which is the commonest difference.
    beside = replace(heights, nodata=raster.DEFAULT_NODATA if settings.nodata is None else settings.nodata)
    return {
        "output": heights,
        "difference": replace(beside, description="Elevation minus cubic interpolation"),
        "uncertainty": replace(beside, description="Uncertainty (90 % error)", tags=heights.tags | ERROR_TAGS),
        "provenance": replace(heights, description="Provenance", classes=CLASSES),
    }


def _fits_float32(value: float) -> bool:
    return bool(np.isnan(value) or abs(value) <= float(np.finfo(np.float32).max))


def _refuse_own_members(settings: Settings, source: Source) -> None:
    """The Settings compare names; a VRT can also read the output as one of its tiles."""
    for path in settings.outputs.values():
        if any(same_file(path, member) for member in source.files):
            raise TerrainError(f"The output {path} is read by the input {source.path}; choose another name.")


def _refuse_unknown_error(settings: Settings, model: surface.Surface) -> None:
    if settings.uncertainty and not model.tells_error:
        raise TerrainError(
            f"The model {model.card.name} does not know its error; leave the uncertainty empty or choose a model whose "
            "card has a calibration."
        )


def _say_what_was_filled(counts: Counts, work: Work, progress: Progress) -> None:
    if not work.wanted.fill or not (counts.filled or counts.without):
        return
    cells = work.plan.target.grid.rows * work.plan.target.grid.cols
    progress.info(
        f"Voids: {counts.filled} cells of the result ({counts.filled / cells:.2%}) were filled, {counts.without} "
        f"({counts.without / cells:.2%}) stay no-data. Voids that reach the edge of the DEM, are wider than "
        f"{voids.WIDEST_PX} or longer than {voids.LONGEST_PX} of its cells, or have more than {voids.MOST_CELLS} cells "
        "are not filled."
    )


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
    if not work.wanted.honour and not model.honours_input:
        progress.info(
            f"The model {model.card.name} keeps the averages of coarse cells only nearly, whatever HONOUR_INPUT says."
        )
    progress.info(
        f"Model {model.card.name} {model.card.version} on {model.compute}: {target.grid.cols} x {target.grid.rows} "
        f"cells in {len(work.plan)} tiles, about {work.plan.peak_bytes / 2**20:.0f} MB for tiles."
    )
