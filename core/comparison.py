"""Any DEM against a reference, block by block: what *Compare DEMs* does in the engine.

Everything is compared on the cells of the reference: where the input is finer it is averaged over them, where it is
coarser it is interpolated cubically, in whatever CRS it comes (:mod:`.resampling`). So every figure speaks of the
ground at the reference's cell size, and what a coarse input lacks counts as its error. All heights are metres.

Joins the parts that do not know each other: files (:mod:`.raster`), grids (:mod:`.grid`), measures
(:mod:`.evaluation`) and the report (:mod:`.report`).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import evaluation, provenance, raster, report, table
from . import grid as grids
from .errors import TerrainError
from .evaluation import ALIGN_PX, Consistency, Evaluation
from .grid import Bounds, Grid
from .jobs.comparedem import Settings
from .jobs.superresolve import same_file
from .maps import Maps
from .progress import Progress
from .quality import Block
from .raster import Bools, Floats, Reading, Sink, Source, Writing
from .resampling import Resampled
from .tiling import Window

BLOCK_PX = 4 * ALIGN_PX
"""Side of the inner part of blocks, which overlap by one cell around."""

COARSE_BLOCK_PX = 256
FINER = 1.05
"""An input whose cells are this much wider than the reference's has known cells to be near to or far from."""

SMALLEST_SPECTRUM_PX = 16
MOST_CELLS_PER_CELL = 1000
"""Widest cells of the reference, in cells of the input."""


@dataclass(frozen=True)
class Rasters:
    """The open files of a run; those that were not given are None."""

    dem: Source
    reference: Source
    coarse: Source | None
    uncertainty: Source | None

    def all(self) -> list[Source]:
        """Those that are open."""
        return [source for source in (self.dem, self.reference, self.coarse, self.uncertainty) if source is not None]


def compare(settings: Settings, progress: Progress) -> dict:
    """Do the whole comparison; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the DEMs do not overlap or share no known cell.
    """
    started_s = time.monotonic()
    progress.report(0, "Opening the DEMs")
    with raster.environment(), _opened(settings) as rasters:
        _refuse_own_members(settings, rasters)
        work = Work(rasters, common_grid(rasters.dem.grid, rasters.reference.grid))
        _refuse_far_sizes(work.dem.steps)
        if rasters.coarse is not None:
            common_grid(rasters.dem.grid, rasters.coarse.grid, "coarse DEM")  # refuses now what it would refuse later
        _say_what_matters(rasters, progress)
        with _sinks(settings, work) as sinks:
            _measure(work, sinks, progress.step(0, 0.9))
            if rasters.coarse is not None:
                _check_coarse(work, rasters.coarse, progress.step(0.9, 0.97))
            progress.report(0.97, "Writing the report")
            for sink in sinks.values():
                sink.finish()
            found = work.found(settings, progress)
            if settings.table:
                table.write(settings.table, found)
            if settings.output:
                report.write(settings.output, found, work.maps.pictures(work.cell_size_m))
            for sink in sinks.values():
                sink.commit()
    return {**_answers(found), **settings.outputs(), "seconds": round(time.monotonic() - started_s, 3)}


def common_grid(dem: Grid, reference: Grid, label: str = "reference") -> Grid:
    """The cells of ``reference`` that ``dem`` touches; where there are none, ``label`` names it in the refusal."""
    try:
        bounds: Bounds | None = grids.transform_bounds(dem.bounds, dem.crs, reference.crs)
    except TerrainError:  # the DEM reaches beyond what the reference's CRS can hold: see cell by cell
        bounds = None
    if bounds is None:
        return reference
    if not grids.overlap(reference.bounds, bounds):
        raise TerrainError(
            f"The input lies at {_place(bounds)}, the {label} at {_place(reference.bounds)} "
            f"({grids.crs_name(reference.crs)}), so they do not overlap; choose DEMs of the same ground, and check the "
            "CRS of both."
        )
    return grids.crop(grids.zoom(reference, 1.0), bounds).grid


class Work:
    """What is compared, and the sums so far."""

    def __init__(self, rasters: Rasters, grid: Grid) -> None:
        self.rasters, self.grid = rasters, grid
        self.dem, self.reference = Resampled(rasters.dem, grid), Resampled(rasters.reference, grid)
        self.uncertainty = Resampled(rasters.uncertainty, grid) if rasters.uncertainty else None
        self.known = self._known_cells()
        self.cell_m = grids.metres_per_cell(grid)
        side = 2 ** int(math.log2(max(min(grid.rows, grid.cols), SMALLEST_SPECTRUM_PX)))
        self.evaluation = Evaluation(min(side, ALIGN_PX))
        self.consistency = Consistency()
        self.maps = Maps(grid.shape)

    @property
    def cell_size_m(self) -> tuple[float, float]:
        """Width and height of a cell on the ground, in the middle."""
        middle = self.grid.rows // 2
        return float(self.cell_m[0][middle]), float(self.cell_m[1][middle])

    def blocks(self) -> list[Window]:
        """Inner parts of all blocks, row by row."""
        rows, cols = self.grid.shape
        return [
            Window(row, col, min(BLOCK_PX, rows - row), min(BLOCK_PX, cols - col))
            for row in range(0, rows, BLOCK_PX)
            for col in range(0, cols, BLOCK_PX)
        ]

    def read(self, inner: Window) -> Block:
        """Both DEMs on the inner part and one cell around."""
        window = Window(inner.row - 1, inner.col - 1, inner.rows + 2, inner.cols + 2)
        found, found_valid = self.dem.read(window)
        truth, truth_valid = self.reference.read(window)
        rows = np.arange(window.row, window.row_stop).clip(0, self.grid.rows - 1)
        return Block(found, truth, found_valid & truth_valid, (self.cell_m[0][rows], self.cell_m[1][rows]))

    def add(self, inner: Window, block: Block) -> None:
        """Take in a block."""
        window = Window(inner.row - 1, inner.col - 1, inner.rows + 2, inner.cols + 2)
        self.evaluation.add(block, self._band_m(window), self._distance_px(window))
        self.maps.add(inner, block)

    def found(self, settings: Settings, progress: Progress) -> dict:
        """Everything that table and report tell."""
        if self.evaluation.tally.cells == 0:
            raise TerrainError(
                "Input and reference share no cell with a height in both; check no-data, extents and CRS of both."
            )
        figures = evaluation.figures(self.evaluation)
        if self.uncertainty is not None and figures["band"]["coverage"] is None:
            progress.warn(
                "The uncertainty has no value on the cells that were compared, so nothing is said about its band; "
                "check its place and CRS."
            )
        return {
            **figures,
            "consistency": evaluation.plain(
                {"cells": self.consistency.cells, "rmse_m": self.consistency.rmse_m, "max_m": self.consistency.max_m}
            ),
            "error_histogram": self._histogram(),
            "slope_histogram": self._slopes(),
            "about": self._about(settings),
            "warnings": list(progress.warnings),
        }

    def _known_cells(self) -> Resampled | None:
        """The cells that the input was made from: those of COARSE, else its own where they are coarser."""
        source = self.rasters.coarse
        if source is None:
            steps = self.dem.steps
            source = self.rasters.dem if max(steps) * FINER < 1 else None
        return Resampled(source, self.grid, point=True) if source else None

    def _band_m(self, window: Window) -> Floats | None:
        if self.uncertainty is None:
            return None
        band, valid = self.uncertainty.read(window)
        return np.where(valid, np.abs(band), np.nan)

    def _distance_px(self, window: Window) -> Floats | None:
        """Distance to the centre of the known cell around; NaN where that cell is a void."""
        if self.known is None:
            return None
        rows, cols = self.known.positions(window)
        distance = np.broadcast_to(evaluation.distance_to_centres_px(rows, cols), (window.rows, window.cols))
        return np.where(self.known.read(window)[1], distance, np.nan)

    def _histogram(self) -> dict:
        """Shares of signed errors in 60 classes that hold at least 98 % of the cells."""
        scores = self.evaluation.scores()
        most = max(1.7 * scores.le90_m, 1e-3)
        edges = np.linspace(-most, most, 61)
        shares = self.evaluation.tally.error_shares(edges)
        return {"edges_m": edges.tolist(), "shares": shares.tolist()}

    def _slopes(self) -> dict:
        middles, found, truth = self.evaluation.texture.slope_shares(1.0)
        return {"middles_deg": middles.tolist(), "input": found.tolist(), "reference": truth.tolist()}

    def _about(self, settings: Settings) -> dict:
        dem, reference, grid = self.rasters.dem, self.rasters.reference, self.grid
        width_m, height_m = self.cell_size_m
        return {
            "software": f"Neural Terrain {provenance.version()}",
            "input": name_of(settings.input),
            "input_band": settings.band,
            "input_unit": dem.unit,
            "input_crs": grids.crs_name(dem.grid.crs),
            "input_vertical": grids.vertical_name(dem.grid.crs),
            "reference": name_of(settings.reference),
            "reference_band": settings.reference_band,
            "reference_unit": reference.unit,
            "reference_crs": grids.crs_name(reference.grid.crs),
            "reference_vertical": grids.vertical_name(reference.grid.crs),
            "coarse": name_of(settings.coarse),
            "uncertainty": name_of(settings.uncertainty),
            "rows": grid.rows,
            "columns": grid.cols,
            "cell_width_m": width_m,
            "cell_height_m": height_m,
            "cells_per_cell": evaluation.plain({"steps": self.dem.steps})["steps"],
            "known_cell_m": None if self.known is None else _known_cell_m(self.known, width_m, height_m),
            "known_cells": "coarse DEM" if self.rasters.coarse else "input",
        }


def name_of(path: str) -> str:
    """File name for people: the folders of its maker need not be published."""
    return Path(path.rsplit(":", 1)[-1]).name if path else ""


def _known_cell_m(known: Resampled, width_m: float, height_m: float) -> float | None:
    down, across = known.steps
    side_m = math.sqrt(height_m / down * width_m / across) if down * across > 0 else math.nan
    return side_m if math.isfinite(side_m) else None


def _measure(work: Work, sinks: dict[str, Sink], progress: Progress) -> None:
    """Compare every block, and write differences."""
    blocks = work.blocks()
    for number, inner in enumerate(blocks):
        progress.report(number / len(blocks), f"Block {number + 1} of {len(blocks)}")
        block = work.read(inner)
        if block.inner.any():
            work.add(inner, block)
        _write(sinks, inner, block)


def _write(sinks: dict[str, Sink], inner: Window, block: Block) -> None:
    if "difference" in sinks:
        sinks["difference"].write(inner, block.errors, block.inner)
    if "slope_difference" in sinks:
        found, truth = block.slopes_deg
        sinks["slope_difference"].write(inner, found - truth, block.known)


def _check_coarse(work: Work, coarse: Source, progress: Progress) -> None:
    """Compare the input's averages over coarse cells, or its heights at their centres, with the coarse DEM."""
    dem = work.rasters.dem
    grid = common_grid(dem.grid, coarse.grid, "coarse DEM")
    point = coarse.is_point or dem.is_point
    averages, known = Resampled(dem, grid, point), Resampled(coarse, grid, point=True)
    if max(averages.steps) * FINER < 1:
        progress.warn(
            "The coarse DEM has smaller cells than the input, which cannot have been made from it; leave COARSE empty, "
            "or check which file is which."
        )
    for row in range(0, grid.rows, COARSE_BLOCK_PX):
        progress.report(row / grid.rows, "Comparing with the coarse DEM")
        for col in range(0, grid.cols, COARSE_BLOCK_PX):
            rows, cols = min(COARSE_BLOCK_PX, grid.rows - row), min(COARSE_BLOCK_PX, grid.cols - col)
            window = Window(row, col, rows, cols)
            (found, found_valid), (given, given_valid) = averages.read(window), known.read(window)
            counts: Bools = found_valid & given_valid
            work.consistency.add(found, given, counts)


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[Rasters]:
    """Open what was given, and close it."""
    with contextlib.ExitStack() as stack:

        def opened(path: str, reading: Reading) -> Source | None:
            return stack.enter_context(Source(path, reading)) if path else None

        dem = stack.enter_context(
            Source(settings.input, Reading(settings.band, settings.crs, settings.no_data, settings.z_unit))
        )
        reference = stack.enter_context(
            Source(
                settings.reference,
                Reading(settings.reference_band, settings.reference_crs, settings.reference_no_data),
            )
        )

        def like_input(path: str) -> Source | None:
            source = opened(path, Reading())
            if source is None or source.unit_known or dem.unit == "metre":
                return source
            return opened(path, Reading(z_unit=dem.unit))

        yield Rasters(dem, reference, like_input(settings.coarse), like_input(settings.uncertainty))


@contextlib.contextmanager
def _sinks(settings: Settings, work: Work) -> Iterator[dict[str, Sink]]:
    """The rasters to write; whatever was not committed when the block ends is dropped."""
    about = {
        "difference": Writing(description="Input minus reference"),
        "slope_difference": Writing(description="Slope of input minus slope of reference", label="degree"),
    }
    tags = {
        "NEURAL_TERRAIN_VERSION": provenance.version(),
        "NEURAL_TERRAIN_COMPARED": f"{name_of(settings.input)} minus {name_of(settings.reference)}",
    }
    sinks: dict[str, Sink] = {}
    try:
        for name, writing in about.items():
            if getattr(settings, name):
                sinks[name] = Sink(getattr(settings, name), work.grid, replace(writing, tags=tags))
        yield sinks
    finally:
        for sink in sinks.values():
            sink.discard()


def _refuse_own_members(settings: Settings, rasters: Rasters) -> None:
    """The Settings compare names; a VRT can also read an output as one of its tiles."""
    members = [member for source in rasters.all() for member in source.files]
    for path in settings.outputs().values():
        if any(same_file(path, member) for member in members):
            raise TerrainError(f"The output {path} is read by one of the DEMs; choose another name.")


def _refuse_far_sizes(steps: tuple[float, float]) -> None:
    if max(steps) > MOST_CELLS_PER_CELL:
        raise TerrainError(
            f"A cell of the reference is as wide as {max(steps):.0f} cells of the input, at most "
            f"{MOST_CELLS_PER_CELL} can be compared; make the input coarser with 'Warp (reproject)' first."
        )


def _say_what_matters(rasters: Rasters, progress: Progress) -> None:
    """Warnings about what is compared, each once."""
    dem, reference = rasters.dem, rasters.reference
    for label, source in (("input", dem), ("reference", reference)):
        if source.unknown_unit:
            progress.warn(
                f"The {label} calls its vertical unit {source.unknown_unit!r}, which is not known; its heights are "
                f"taken as {source.unit}."
            )
        elif not source.unit_known:
            progress.info(f"The {label} does not name its vertical unit; its heights are taken as metres.")
    if bool(dem.grid.crs) != bool(reference.grid.crs):
        without = "reference" if dem.grid.crs else "input"
        progress.warn(f"The {without} has no CRS; its coordinates are taken as those of the other DEM.")
    elif not dem.grid.crs:
        progress.warn("Neither DEM has a CRS; horizontal units are taken as metres.")
    _say_datum(grids.vertical_name(dem.grid.crs), grids.vertical_name(reference.grid.crs), progress)


def _say_datum(dem: str, reference: str, progress: Progress) -> None:
    if dem and reference and dem != reference:
        progress.warn(
            f"Heights of the input refer to {dem}, those of the reference to {reference}; they are compared as they "
            "are, so the bias holds the difference of the two surfaces. Convert one of them for true errors."
        )
    elif bool(dem) != bool(reference):
        stated, silent = ("input", "reference") if dem else ("reference", "input")
        progress.warn(
            f"Only the {stated} names its vertical datum ({dem or reference}); the {silent} is taken to have the same. "
            "If it has another, the bias holds the difference."
        )


def _answers(found: dict) -> dict:
    """The figures that the tool returns as numbers."""
    scores, structure = found["scores"], found["structure"]
    return {
        **scores,
        "roughness_ratio": structure["roughness_ratio"],
        "slope_distance_deg": structure["slope_distance_deg"],
        "pits_per_km2": structure["pits_per_km2"][0],
        "reference_pits_per_km2": structure["pits_per_km2"][1],
        "coverage": found["band"]["coverage"],
        "band_m": found["band"]["mean_half_width_m"],
        "consistency_rmse_m": found["consistency"]["rmse_m"],
        "consistency_max_m": found["consistency"]["max_m"],
        "warnings": found["warnings"],
    }


def _place(bounds: Bounds) -> str:
    return "west {:.8g}, south {:.8g}, east {:.8g}, north {:.8g}".format(*bounds)
