"""Training a model from files: ``train RECIPE DATA FOLDER`` on the engine's command line.

Reads the fine DEMs of ``DATA/dem/train``, runs :mod:`.elevation.training` in ``FOLDER`` (a killed run goes on from its
checkpoint) and, when the steps are done, writes weights and their entry on the model card beside the recipe.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import grid as grids
from . import raster
from .elevation import training
from .elevation.degradation import Region
from .errors import TerrainError
from .progress import Progress

REPORT_STEPS = 250


def main(arguments: Sequence[str], progress: Progress) -> None:
    """Train as the recipe says; a row of figures goes to ``FOLDER/log.jsonl`` every :data:`REPORT_STEPS` steps."""
    if len(arguments) != 3:
        raise TerrainError(f"train takes RECIPE DATA FOLDER, three paths; {len(arguments)} were given.")
    recipe_path, data, folder = (Path(a) for a in arguments)
    recipe = training.Recipe.read(recipe_path)
    under_way = training.Training(recipe, read_regions(data / "dem" / "train", recipe), folder)
    log = folder / "log.jsonl"

    def report(row: dict) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        progress.info(json.dumps(row))
        progress.report(row["step"] / recipe.steps, f"Step {row['step']} of {recipe.steps}")

    under_way.run(report, REPORT_STEPS)
    _update_card(recipe_path.parent, training.export(under_way.averaged(), recipe_path.parent), recipe)


def read_regions(folder: Path, recipe: training.Recipe) -> list[Region]:
    """Every GeoTIFF of a folder, and the block averages of it that the recipe asks for."""
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        raise TerrainError(f"The folder {folder} has no .tif files; give the folder that holds dem/train/*.tif.")
    regions = []
    for path in paths:
        region = _read_region(path)
        regions.append(region)
        factors = [f for prefix, f in recipe.averaged.items() if region.name.startswith(prefix)]
        regions += [averaged(region, factor) for factor in sum(factors, [])]
    return regions


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


def _read_region(path: Path) -> Region:
    heights, valid, grid = raster.read_all(str(path))
    width_m, height_m = grids.metres_per_cell(grid)
    return Region(path.stem, heights.astype(np.float32), valid, float(np.median(width_m)), float(np.median(height_m)))


def _update_card(folder: Path, weights: dict, recipe: training.Recipe) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["weights"] = weights
    card["training"] |= {"recipe": "recipe.json", "steps": recipe.steps, "pairs": recipe.steps * recipe.batch}
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
