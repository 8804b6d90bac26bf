"""Fine DEMs as ground to learn from: read from files, cut into what is learned and what is held back.

Also ``train RECIPE DATA FOLDER`` on the engine's command line: reads the DEMs of ``DATA/dem/train``, runs
:mod:`.elevation.training` in ``FOLDER`` (a killed run goes on from its checkpoint) and, when the steps are done, writes
weights and their entry on the model card beside the recipe.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import grid as grids
from . import raster, voids
from .elevation import card as cards
from .elevation import compute, training, uncertainty
from .elevation.degradation import Bools, Region
from .elevation.field_surface import FieldSurface
from .elevation.recipe import Recipe
from .errors import TerrainError
from .grid import Grid
from .progress import Progress
from .raster import Floats, Reading

REPORT_STEPS = 1000

MANY = 5
"""From so many DEMs on, every fifth is held back whole; of fewer, the last fifth of each."""

HELD_PX = 96
"""Cells that the held-back end of a small DEM should have, as long as that is at most a third of it."""

TOO_SMALL_TO_CALIBRATE = (
    "The held-back ground is too small, or too full of voids, to calibrate an estimate of the error by; the model can "
    "be used without UNCERTAINTY."
)

LEAST_PX = 100
"""Cells per side without which a DEM can neither teach nor judge."""


@dataclass(frozen=True)
class Dem:
    """A fine DEM, or a part of one, with its place."""

    region: Region
    grid: Grid

    def part(self, rows: slice, cols: slice) -> Dem:
        """Some rows and columns of it."""
        region, grid = self.region, self.grid
        (top, bottom, _), (left, right, _) = rows.indices(grid.rows), cols.indices(grid.cols)
        x0, y0 = grid.x0 + left * grid.dx, grid.y0 - top * grid.dy
        place = replace(grid, rows=bottom - top, cols=right - left, x0=x0, y0=y0)
        return Dem(replace(region, heights=region.heights[rows, cols], valid=region.valid[rows, cols]), place)

    def without(self, other: Dem) -> Dem:
        """It with the ground that ``other`` covers made no-data, where both have the same CRS."""
        if not self.grid.crs or self.grid.crs != other.grid.crs:
            return self
        west, south, east, north = other.grid.bounds
        grid, slack = self.grid, 1e-6
        rows = np.floor((grid.y0 - north) / grid.dy + slack), np.ceil((grid.y0 - south) / grid.dy - slack)
        cols = np.floor((west - grid.x0) / grid.dx + slack), np.ceil((east - grid.x0) / grid.dx - slack)
        (top, bottom), (left, right) = (np.clip(ends, 0, None).astype(int) for ends in (rows, cols))
        if not self.region.valid[top:bottom, left:right].any():
            return self
        valid = self.region.valid.copy()
        valid[top:bottom, left:right] = False
        return replace(self, region=replace(self.region, valid=valid))


@dataclass(frozen=True)
class Ground:
    """DEMs: all of them, what is learned from, and what is judged by."""

    dems: Sequence[Dem]
    learn: Sequence[Dem]
    judge: Sequence[Dem]


def main(arguments: Sequence[str], progress: Progress) -> None:
    """Train as the recipe says; a row of figures goes to ``FOLDER/log.jsonl`` every :data:`REPORT_STEPS` steps."""
    if len(arguments) != 3:
        raise TerrainError(f"train takes RECIPE DATA FOLDER, three paths; {len(arguments)} were given.")
    recipe_path, data, folder = (Path(a) for a in arguments)
    recipe = Recipe.read(recipe_path)
    where = compute.choose("auto")
    progress.info(f"Training on {where}.")
    under_way = training.Training(recipe, read_regions(data / "dem" / "train", recipe), folder, where)
    log = folder / "log.jsonl"

    def report(row: dict) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        progress.info(json.dumps(row))
        progress.report(row["step"] / recipe.steps, f"Step {row['step']} of {recipe.steps}")

    under_way.run(report, REPORT_STEPS)
    finish(under_way, recipe_path.parent, progress)


def finish(trained: training.Training, folder: Path, progress: Progress) -> None:
    """Write weights and their entry on the card of ``folder``; a field also learns and calibrates its uncertainty."""
    network = trained.averaged()
    if trained.recipe.family == "field":
        progress.info(f"Learning the uncertainty in {uncertainty.SPREAD_STEPS} steps.")
        uncertainty.learn_spread(network, trained, uncertainty.SPREAD_STEPS)
    _update_card(folder, {"weights": training.export(network, folder), "calibration": {}}, trained.recipe)
    if trained.recipe.family == "field" and (folder / "card.json").is_file():
        progress.info("Calibrating the uncertainty on the held-back regions.")
        surface = FieldSurface(cards.read(folder), trained.compute)
        found = uncertainty.calibrate(surface, trained.judge, fill_all)
        if found is None:
            progress.warn(TOO_SMALL_TO_CALIBRATE)
        else:
            _update_card(folder, {"calibration": found.values()}, trained.recipe)


def fill_all(heights: Floats, valid: Bools) -> tuple[Floats, Bools]:
    """Fill the voids of a whole array as *Super-resolve DEM* does."""
    return voids.fill(heights, valid, voids.Part(0, 0, *valid.shape))


def read_regions(folder: Path, recipe: Recipe) -> list[Region]:
    """Every GeoTIFF of a folder, and the block averages of it that the recipe asks for."""
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        raise TerrainError(f"The folder {folder} has no .tif files; give the folder that holds dem/train/*.tif.")
    regions = []
    for path in paths:
        region = read_dem(str(path)).region
        regions += [region, *coarser(region, recipe)]
    return regions


def read_dem(path: str, reading: Reading | None = None) -> Dem:
    """A whole DEM file in metres; its region is named after the file."""
    heights, valid, grid = raster.read_all(path, reading)
    width_m, height_m = (float(np.median(sizes)) for sizes in grids.metres_per_cell(grid))
    return Dem(Region(Path(path).stem, heights.astype(np.float32), valid, width_m, height_m), grid)


def hold_back(dems: Sequence[Dem], names: Sequence[str] = ()) -> Ground:
    """What to learn from and what to judge by: whole blocks, and no ground in both.

    Held back are the DEMs with these ``names``; else every fifth where there are :data:`MANY`; else the last fifth
    of the longer side of each. Ground of other DEMs that a held-back block covers is not learned from.
    """
    unknown = sorted(set(names) - {dem.region.name for dem in dems})
    if unknown:
        known = ", ".join(dem.region.name for dem in dems)
        raise TerrainError(f"The recipe holds back {unknown[0]}, which is no DEM here; the DEMs are {known}.")
    if names:
        judge = [dem for dem in dems if dem.region.name in names]
    else:
        judge = list(dems[MANY - 1 :: MANY])
    learn = [dem for dem in dems if all(dem is not one for one in judge)]
    if not judge:
        learn, judge = ([_end(dem, last) for dem in dems] for last in (False, True))
    for block in judge:
        learn = [dem.without(block) for dem in learn]
    if not learn:
        raise TerrainError("The recipe holds every DEM back; leave at least one to learn from.")
    return Ground(dems, learn, judge)


def _end(dem: Dem, last: bool) -> Dem:
    """The last fifth of the longer side, or the rest."""
    rows, cols = dem.grid.shape
    side = max(rows, cols)
    held = max(side // 5, min(HELD_PX, side // 3))
    cut = slice(side - held, side) if last else slice(0, side - held)
    return dem.part(cut, slice(None)) if rows >= cols else dem.part(slice(None), cut)


def largest_square_px(valid: Bools) -> int:
    """Side of the largest square without a void."""
    total = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = valid.cumsum(0, dtype=np.int64).cumsum(1)
    low, high = 0, min(valid.shape)
    while low < high:
        side = (low + high + 1) // 2
        inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
        low, high = (side, high) if bool((inside == side * side).any()) else (low, side - 1)
    return low


def gap_free_px(valid: Bools, enough: int) -> int:
    """Side of the largest square without a void, at most ``enough``; searches large DEMs by parts."""
    best = 0
    for top in range(0, valid.shape[0], enough):
        for left in range(0, valid.shape[1], enough):
            part = valid[top : top + 2 * enough, left : left + 2 * enough]
            best = max(best, min(enough, largest_square_px(part)))
            if best == enough:
                return best
    return best


def coarser(region: Region, recipe: Recipe) -> list[Region]:
    """The block averages of a region that the recipe asks for."""
    factors = [f for prefix, some in recipe.averaged.items() if region.name.startswith(prefix) for f in some]
    return [averaged(region, factor) for factor in factors]


def averaged(region: Region, factor: int) -> Region:
    """Blocks of ``factor`` x ``factor`` cells averaged: a coarser DEM with less rounding noise."""
    rows, cols = (size // factor for size in region.heights.shape)

    def blocks(values: np.ndarray) -> np.ndarray:
        return values[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)

    return Region(
        f"coarse{factor}_{region.name}",
        blocks(region.heights).mean((1, 3)),
        np.asarray(blocks(region.valid).all((1, 3))),
        region.cell_width_m * factor,
        region.cell_height_m * factor,
    )


def _update_card(folder: Path, values: dict, recipe: Recipe) -> None:
    """Note new values on the card beside the recipe, if there is one."""
    path = folder / "card.json"
    if not path.is_file():
        return
    card = json.loads(path.read_text(encoding="utf-8"))
    card.update(values)
    about = {"recipe": "recipe.json", "steps": recipe.steps, "pairs": recipe.steps * recipe.batch}
    card["training"] = {**card.get("training", {}), **about}
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
