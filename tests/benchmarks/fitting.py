"""Surfaces fitted to points beside TINs: points drawn from fine lidar DEMs, clean, noisy, clustered, with bad ones.

``python tests/benchmarks/fitting.py DEM.tif ...`` prints a table in Markdown. Heights at the points are those of the
cubic interpolation of the DEM's middle; a tenth of the points is held out and judges all methods alike (RMSE and LE90
at the same points, inside of the TIN). *Truth* is the RMSE at fresh places without noise, also in gaps that the surface
bridges, and *in band* the share of them within the stated 90 % band.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine  # noqa: F401  # loads the package
import numpy as np
import pyogrio.raw
import shapely

from neural_terrain.core import raster
from neural_terrain.core.continuous import opened
from neural_terrain.core.elevation.scattered import cubic_at
from neural_terrain.core.fitting import fit_surface
from neural_terrain.core.grid import Grid
from neural_terrain.core.jobs.dem import DemSettings
from neural_terrain.core.jobs.fitsurface import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.core.querying.asking import ask

SIDE_PX = 300
FRESH = 20_000
BAD_SHARE, BAD_CELLS = 0.003, 4.0
"""Share of bad points, and how far off they are in cells of the DEM."""


@dataclass(frozen=True)
class Kind:
    """How points are drawn: cells of the DEM per point, in clusters or not, noise and whether some are bad."""

    name: str
    cells: int
    clustered: bool = False
    noise_m: float = 0.0
    bad: bool = False


KINDS = (
    Kind("even", 4), Kind("clusters, 5 cm noise", 4, True, 0.05), Kind("clusters, sparse", 16, True),
    Kind("clusters, 5 cm noise, bad points", 4, True, 0.05, True),
)  # fmt: skip


def drawn(kind: Kind, heights: raster.Floats, seed: int = 3) -> tuple[raster.Floats, raster.Floats, raster.Floats]:
    """Rows, columns and heights of points on a piece of ground."""
    rng, side = np.random.default_rng(seed), heights.shape[0]
    count = side**2 // kind.cells
    rows, cols = rng.uniform(2, side - 2, (2, 2 * count))
    waves = np.sin(cols / 23) + np.sin(rows / 31) + np.sin((rows + cols) / 17)
    kept = rng.random(2 * count) < 1 / (1 + np.exp(-2.5 * waves)) if kind.clustered else np.arange(2 * count) < count
    rows, cols = rows[kept], cols[kept]
    found = cubic_at(heights, rows, cols, 0)[0] + kind.noise_m * rng.standard_normal(rows.size)
    return rows, cols, found


def measured(kind: Kind, heights: raster.Floats, grid: Grid, folder: Path) -> list[str]:
    """One line of the table."""
    rows, cols, found = drawn(kind, heights)
    if kind.bad:
        rng = np.random.default_rng(2)
        off = rng.choice([-BAD_CELLS, BAD_CELLS], found.size) * grid.dx
        found = np.where(rng.random(found.size) < BAD_SHARE, found + off, found)
    points, out = str(folder / "points.gpkg"), str(folder / "surface.tif")
    places = shapely.points(grid.x0 + cols * grid.dx, grid.y0 - rows * grid.dy, found)
    pyogrio.raw.write(points, geometry=shapely.to_wkb(places), field_data=[], fields=[], layer="points",
                      driver="GPKG", geometry_type="Point Z", crs=grid.crs)  # fmt: skip
    started_s = time.monotonic()
    told = fit_surface(Settings(output=out, input=points), Progress())
    seconds = time.monotonic() - started_s
    scores = [f"{one['rmse']:.3f} / {one['le90']:.3f}" for one in told["table"].values()]
    return [
        kind.name,
        str(told["points"]),
        *scores,
        *_truth(out, heights, grid),
        str(told["trimmed"]),
        f"{seconds:.0f}",
    ]


def _truth(out: str, heights: raster.Floats, grid: Grid) -> list[str]:
    rows, cols = np.random.default_rng(9).uniform(5, heights.shape[0] - 5, (2, FRESH))
    with opened(DemSettings(out), Progress()) as ground:
        found = ask(ground, grid.x0 + cols * grid.dx, grid.y0 - rows * grid.dy, 0, Progress())
    errors = found["elevation"] - cubic_at(heights, rows, cols, 0)[0]
    known = np.isfinite(errors)
    within = np.abs(errors[known]) <= found["error90"][known]
    return [f"{np.sqrt(np.mean(errors[known] ** 2)):.3f}", f"{within.mean():.3f}"]


def piece_of(path: str) -> tuple[raster.Floats, Grid]:
    """The middle of a DEM, which must have no voids there."""
    heights, valid, grid = raster.read_all(path)
    top, left = ((size - SIDE_PX) // 2 for size in heights.shape)
    piece = slice(top, top + SIDE_PX), slice(left, left + SIDE_PX)
    if not valid[piece].all():
        raise SystemExit(f"{path} has voids in its middle; choose another.")
    place = Grid(
        SIDE_PX, SIDE_PX, grid.x0 + left * grid.dx, grid.y0 - top * grid.dy, grid.dx, grid.dy, grid.crs
    )  # fmt: skip
    return heights[piece], place


def main(paths: list[str]) -> None:
    """Print the table."""
    heads = ["DEM", "points drawn", "points", "this surface", "linear TIN", "cubic TIN", "nearest", "truth", "in band",
             "trimmed", "s"]  # fmt: skip
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for path in paths:
        heights, grid = piece_of(path)
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                line = [Path(path).stem, *measured(kind, heights, grid, Path(folder))]
            print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
