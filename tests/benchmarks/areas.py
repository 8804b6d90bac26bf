"""Test areas from the manifest, and what a benchmark makes of one: truth, honest coarse DEM, the cells that count."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
import rasterio
from rasterio.transform import Affine

from neural_terrain.core import attributes, quality, raster
from neural_terrain.core import grid as grids
from neural_terrain.core.grid import Grid

MANIFEST = machine.ROOT / "resources" / "dem-data.csv"

NODATA = -9999.0
MARGIN_PX = 2
"""Coarse cells along the edges that are not compared: a resampling tool has no surroundings there."""

MOUNTAIN_RELIEF_M, MOUNTAIN_SLOPE_DEG = 1000.0, 20.0

Degrade = Callable[[quality.Floats, quality.Bools, float], tuple[quality.Floats, quality.Bools]]
"""Makes coarse heights and their validity of fine ones, like :func:`.quality.cell_average`."""


@dataclass(frozen=True)
class Area:
    """A row of the manifest whose file is there; ``seen``: models were trained on other ground of its product."""

    name: str
    path: Path
    truth: str
    product: str
    seen: bool = True


@dataclass(frozen=True)
class Case:
    """An area at one scale: files to work on, and what the result is compared with.

    ``counts`` marks the fine cells that are compared; ``cell_m`` is the size of fine cells on the ground, per row.
    """

    area: Area
    scale: float
    coarse_path: str
    truth_path: str
    coarse: quality.Floats
    coarse_valid: quality.Bools
    truth: quality.Floats
    truth_valid: quality.Bools
    counts: quality.Bools
    cell_m: tuple[quality.Floats, quality.Floats]

    @property
    def place(self) -> dict:
        """The parameter of *Super-resolve DEM* that gives the truth's cells."""
        return {"scale": self.scale} if self.scale == int(self.scale) else {"grid": self.truth_path}

    @property
    def coarse_cell_m(self) -> float:
        """Typical size of the coarse cells on the ground."""
        return float(np.sqrt(np.median(self.cell_m[0]) * np.median(self.cell_m[1]))) * self.scale


def listed(data: Path, names: list[str], split: str = "test") -> list[Area]:
    """Areas of a split in the order of the manifest, all or those whose names begin with one of ``names``."""
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        manifest = list(csv.DictReader(file))
    makers = {maker(row) for row in manifest if row["split"] == "train"}
    areas = [
        Area(Path(r["file"]).stem, found_in(data, r["file"]), r["truth"], r["product"], maker(r) in makers)
        for r in manifest
        if r["split"] == split
    ]
    chosen = [a for a in areas if not names or any(a.name.startswith(name) for name in names)]
    missing = [str(a.path) for a in chosen if not a.path.exists()]
    if not chosen:
        raise SystemExit(f"No {split} area in {MANIFEST.name} has a name that begins with {' or '.join(names)}.")
    if missing:
        raise SystemExit(f"These {split} areas of {MANIFEST.name} are not there: {', '.join(missing)}.")
    return chosen


def maker(row: dict[str, str]) -> str:
    """What tells products apart: the first word of their name, as in *SRTM 1 arc-second*."""
    return row["product"].split()[0]


@functools.cache
def is_mountain(area: Area) -> bool:
    """Whether the whole file has a relief of :data:`MOUNTAIN_RELIEF_M` and a tenth of it is steep."""
    heights, valid, grid = raster.read_all(str(area.path))
    slopes_deg = attributes.slope_deg(*quality.gradient(heights, grids.metres_per_cell(grid)))
    steep_deg = np.quantile(slopes_deg[quality.whole_neighbourhood(valid)], 0.9)
    return bool(np.ptp(heights[valid]) >= MOUNTAIN_RELIEF_M and steep_deg >= MOUNTAIN_SLOPE_DEG)


def found_in(data: Path, file: str) -> Path:
    """``data`` may be the folder that holds ``dem`` or ``dem`` itself."""
    return data / file if (data / "dem").is_dir() else data / Path(file).relative_to("dem")


def prepare(area: Area, scale: float, most_px: int, folder: Path, degrade: Degrade = quality.cell_average) -> Case:
    """Write the truth (at most its central ``most_px`` cells per side) and the coarse DEM made of it at ``scale``."""
    heights, valid, grid = centre(*raster.read_all(str(area.path)), most_px)
    coarse, coarse_valid = degrade(heights, valid, scale)
    coarse_grid = Grid(*coarse.shape, grid.x0, grid.y0, grid.dx * scale, grid.dy * scale, grid.crs)
    truth_path, coarse_path = (str(folder / f"{name}.tif") for name in ("truth", "coarse"))
    write(truth_path, heights, valid, grid)
    write(coarse_path, coarse, coarse_valid, coarse_grid)
    counts = valid & compared(coarse_valid, scale, heights.shape)
    return Case(
        area, scale, coarse_path, truth_path, coarse, coarse_valid, heights, valid, counts, grids.metres_per_cell(grid)
    )


def centre(
    heights: quality.Floats, valid: quality.Bools, grid: Grid, most_px: int
) -> tuple[quality.Floats, quality.Bools, Grid]:
    """The central window of at most ``most_px`` cells per side."""
    rows, cols = min(grid.rows, most_px), min(grid.cols, most_px)
    top, left = (grid.rows - rows) // 2, (grid.cols - cols) // 2
    part = np.s_[top : top + rows, left : left + cols]
    placed = Grid(rows, cols, grid.x0 + left * grid.dx, grid.y0 - top * grid.dy, grid.dx, grid.dy, grid.crs)
    return heights[part], valid[part], placed


def compared(coarse_valid: quality.Bools, scale: float, shape: tuple[int, int]) -> quality.Bools:
    """Fine cells whose centre lies in a valid coarse cell, :data:`MARGIN_PX` coarse cells or more from the edges."""
    inside = np.zeros_like(coarse_valid)
    inside[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = True
    rows, cols = (np.floor((np.arange(count) + 0.5) / scale).astype(np.int64) for count in shape)
    in_rows, in_cols = rows < coarse_valid.shape[0], cols < coarse_valid.shape[1]
    counts = np.zeros(shape, dtype=bool)
    counts[np.ix_(in_rows, in_cols)] = (coarse_valid & inside)[np.ix_(rows[in_rows], cols[in_cols])]
    return counts


def write(path: str, heights: quality.Floats, valid: quality.Bools, grid: Grid) -> None:
    """A plain float32 GeoTIFF."""
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": grid.rows, "width": grid.cols, "crs": grid.crs,
        "transform": Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0), "nodata": NODATA, "tiled": True,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.where(valid, heights, NODATA).astype(np.float32), 1)
