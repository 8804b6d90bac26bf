"""Whether the cost per cell stays the same from 1 to 1,600 million cells: time, memory and file of growing outputs.

``DATA=folder python tests/benchmarks/scale.py [--mpx 1 16 100 400 1600] [--folder scratch]``. The input is a mosaic of
real ground of 10,000 x 10,000 coarse cells (every usable file of the data folder, in pieces without voids; without a
folder the shipped sample, mirrored). Every output is an extent of it at x4, made in a fresh process.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import areas
import ground
import machine
import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from neural_terrain.core import raster
from neural_terrain.core.grid import Grid

SCALE = 4
SIZES_MPX = (1.0, 16.0, 100.0, 400.0, 1600.0)
COARSE_PX, PIECE_PX = 10_000, 500
CELL_M = 30.0
TARGET_SPREAD, TARGET_MB = 0.10, 1000.0


@dataclass(frozen=True)
class Outcome:
    """One output; ``begun_s`` is when its first tile was begun."""

    mpx: float
    run: machine.Run
    file_mb: float

    @property
    def tiles_s(self) -> float:
        """Time from the first tile on."""
        return self.run.job_s - self.run.begun_s


def main() -> None:
    """Make the mosaic, print a line per output, say how far the cost per cell spreads."""
    asked = arguments()
    machine.print_header("Growing outputs at x4", [*machine.describe([asked.model], asked.device), *COLUMNS])
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        side_px = min(COARSE_PX, coarse_side(max(asked.mpx)))
        path, grid, pieces = mosaic(asked.data, side_px, Path(folder))
        print(f"mosaic of {pieces} pieces of {PIECE_PX} x {PIECE_PX} cells, {side_px} x {side_px} in all\n")
        print(f"{'output':>17}{'Mpx':>8}{'begun s':>9}{'job s':>9}{'Mpx/s':>8}{'tiles Mpx/s':>13}{'tiles':>7}"
              f"{'memory MB':>11}{'file MB':>9}{'bytes/cell':>12}", flush=True)  # fmt: skip
        found = [measured(asked, path, grid, mpx) for mpx in sorted(asked.mpx)]
    print_spread("whole job", {one.mpx: one.run.job_s / one.mpx for one in found})
    print_spread("from the first tile on", {one.mpx: one.tiles_s / one.mpx for one in found})
    most_mb = max(one.run.above_mb for one in found)
    print(f"memory above the loaded runtime below {TARGET_MB:g} MB: {'yes' if most_mb < TARGET_MB else 'no'}")


COLUMNS = [
    ("columns", "begun: opening the input, loading the model and making the file; job: until the file is renamed"),
    ("", "memory: peak above the loaded runtime"),
]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("DATA"), help="folder with dem/ (or DATA)")
    parser.add_argument("--mpx", type=float, nargs="+", default=SIZES_MPX)
    parser.add_argument("--model", default="field")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=3, help="for outputs below 50 Mpx; the best counts")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (4 GB for 1,600 Mpx)")
    return parser.parse_args()


def coarse_side(mpx: float) -> int:
    """Coarse cells per side for an output."""
    return round(math.sqrt(mpx * 1e6) / SCALE)


def mosaic(data: Path | None, side_px: int, folder: Path) -> tuple[str, Grid, int]:
    """Write the coarse file, strip by strip; returns its path, its grid and how many different pieces it has."""
    pieces, path = pieces_of(data), str(folder / "mosaic.tif")
    grid = Grid(side_px, side_px, 300_000.0, 4_000_000.0, CELL_M, CELL_M, "EPSG:32611")
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "nodata": areas.NODATA, "crs": grid.crs,
        "height": side_px, "width": side_px, "transform": Affine(CELL_M, 0, grid.x0, 0, -CELL_M, grid.y0),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "DEFLATE", "predictor": 3,
        "num_threads": "ALL_CPUS",
    }  # fmt: skip
    across = math.ceil(side_px / PIECE_PX)
    with rasterio.Env(GDAL_CACHEMAX=256), rasterio.open(path, "w", **profile) as file:
        for down in range(across):
            chosen = [pieces[(down * across + n) % len(pieces)] for n in range(across)]
            strip = np.concatenate(chosen, axis=1)[: side_px - down * PIECE_PX, :side_px]
            file.write(strip, 1, window=FileWindow(0, down * PIECE_PX, side_px, len(strip)))
    return path, grid, min(len(pieces), across**2)


def pieces_of(data: Path | None) -> list[np.ndarray]:
    """Pieces of real ground without voids, in a fixed shuffled order."""
    if data is None:
        heights, _, _ = raster.read_all(str(ground.SAMPLE))
        return [heights[:PIECE_PX, :PIECE_PX].astype(np.float32)]
    found: list[np.ndarray] = []
    for area in [*areas.listed(Path(data), [], "train"), *areas.listed(Path(data), [], "test")]:
        heights, valid, grid = raster.read_all(str(area.path))
        for row in range(0, grid.rows - PIECE_PX + 1, PIECE_PX):
            for col in range(0, grid.cols - PIECE_PX + 1, PIECE_PX):
                part = np.s_[row : row + PIECE_PX, col : col + PIECE_PX]
                if valid[part].all():
                    found.append(heights[part].astype(np.float32))
    return [found[n] for n in np.random.default_rng(4).permutation(len(found))]


def measured(asked: argparse.Namespace, path: str, grid: Grid, mpx: float) -> Outcome:
    """One output, made and printed; small ones are repeated, since they last less than a second."""
    output = Path(path).with_name("fine.tif")
    width_m = min(coarse_side(mpx), grid.cols) * CELL_M
    extent = (grid.x0, grid.y0 - width_m, grid.x0 + width_m, grid.y0)
    settings = {
        "input": path, "output": str(output), "scale": SCALE, "model": asked.model, "device": asked.device,
        "extent": extent,
    }  # fmt: skip
    runs = [once(settings, output) for _ in range(asked.runs if mpx < 50 else 1)]
    best = min(runs, key=lambda one: one.run.job_s)
    run, cells = best.run, best.mpx * 1e6
    size = f"{run.result['columns']} x {run.result['rows']}"
    print(f"{size:>17}{best.mpx:8.4g}{run.begun_s:9.2f}{run.job_s:9.2f}{best.mpx / run.job_s:8.2f}"
          f"{best.mpx / best.tiles_s:13.2f}{run.result['tiles']:7}{run.above_mb:11.0f}{best.file_mb:9.0f}"
          f"{best.file_mb * 1e6 / cells:12.3f}", flush=True)  # fmt: skip
    return best


def once(settings: dict, output: Path) -> Outcome:
    """One run of the job, without its file in the end."""
    run = machine.run_in_child(settings)
    file_mb = output.stat().st_size / 1e6
    output.unlink()
    return Outcome(run.result["columns"] * run.result["rows"] / 1e6, run, file_mb)


def print_spread(label: str, costs_s: dict[float, float]) -> None:
    """Cost per Mpx by its median."""
    middle = statistics.median(costs_s.values())
    told = ", ".join(f"{mpx:.4g} Mpx {cost / middle:.3f}" for mpx, cost in costs_s.items())
    within = all(abs(cost / middle - 1) <= TARGET_SPREAD for cost in costs_s.values())
    print(f"\ncost per Mpx by its median, {label}: {told}; within {TARGET_SPREAD:.0%}: {'yes' if within else 'no'}")


if __name__ == "__main__":
    main()
