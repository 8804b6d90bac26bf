"""How fast heights become a file: ZSTD level 1, predictor 3, rounded to 1/1024 m, beside GDAL's own writer.

``python tests/benchmarks/write.py [--mpx 67]``. The heights are those that the default model makes of the shipped
sample at x4. Ours rounds, gathers statistics and encodes on all cores and appends in one thread; GDAL's writer gets
float32 that are rounded already. Both end when the file is on the disk.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import ground
import machine
import numpy as np
import rasterio

from neural_terrain.core import raster
from neural_terrain.core.grid import Grid
from neural_terrain.core.jobs import superresolve
from neural_terrain.core.progress import Progress
from neural_terrain.core.tiling import Window

TILE_PX = 1024
TARGET_MPX_S = 70.0
WAITING = 2
"""Encoded tiles per core that wait for the writer."""


def main() -> None:
    """Print a line per writer."""
    asked = arguments()
    side_px = round(math.sqrt(asked.mpx * 1e6) / TILE_PX) * TILE_PX
    grid = Grid(side_px, side_px, 4e5, 38e5, 7.5, 7.5, "EPSG:32611")
    machine.print_header(f"Writing alone, {side_px} x {side_px} cells", machine.describe([asked.model], "cpu"))
    print(f"{'writer':34}{'s':>8}{'Mpx/s':>8}{'bytes per cell':>16}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        tiles = real_tiles(asked.model, folder)
        path = str(Path(folder) / "written.tif")
        ours = line(f"core/raster, {machine.cores()} cores", lambda: write_ours(path, grid, tiles), path, asked.runs)
        one = line("core/raster, one core", lambda: write_ours(path, grid, tiles, 1), path, asked.runs)
        gdal = line("GDAL, NUM_THREADS=ALL_CPUS", lambda: write_gdal(path, grid, tiles), path, asked.runs)
    print(f"\nall cores by one core: {ours / one:.2f}, by GDAL: {ours / gdal:.2f}; "
          f"at least {TARGET_MPX_S:g} Mpx/s: {'yes' if ours >= TARGET_MPX_S else 'no'}")  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpx", type=float, default=67.0)
    parser.add_argument("--runs", type=int, default=3, help="the best counts")
    parser.add_argument("--model", default="field")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    return parser.parse_args()


def line(label: str, write: Callable[[], float], path: str, runs: int) -> float:
    """Mpx/s of the best of a few runs, printed."""
    with rasterio.Env(GDAL_CACHEMAX=64):
        spent_s = min(write() for _ in range(runs))
    with rasterio.open(path) as file:
        cells = file.width * file.height
    print(f"{label:34}{spent_s:8.2f}{cells / 1e6 / spent_s:8.1f}{os.path.getsize(path) / cells:16.3f}", flush=True)
    return cells / 1e6 / spent_s


def real_tiles(model: str, folder: str) -> list[np.ndarray]:
    """Tiles of float64 metres as the job hands them to the writer."""
    path = str(Path(folder) / "fine.tif")
    superresolve.run(superresolve.Settings(str(ground.SAMPLE), path, scale=4.0, model=model, device="cpu"), Progress())
    heights, _, grid = raster.read_all(path)
    starts = itertools.product(range(0, grid.rows, TILE_PX), range(0, grid.cols, TILE_PX))
    return [np.ascontiguousarray(heights[r : r + TILE_PX, c : c + TILE_PX]) for r, c in starts]


def windows(grid: Grid) -> Iterator[Window]:
    """All tiles of a grid."""
    for row in range(0, grid.rows, TILE_PX):
        for col in range(0, grid.cols, TILE_PX):
            yield Window(row, col, TILE_PX, TILE_PX)


def write_ours(path: str, grid: Grid, tiles: list[np.ndarray], threads: int | None = None) -> float:
    """Seconds of :class:`.raster.Sink`: tiles encoded in threads, appended in order by this one."""
    writing, valid = raster.Writing(), np.ones((TILE_PX, TILE_PX), bool)
    threads = threads or machine.cores()
    began_s = time.perf_counter()
    sink = raster.Sink(path, grid, writing)
    under_way: deque[tuple[int, Window, Future]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for index, window in enumerate(windows(grid)):
            if len(under_way) == threads * WAITING:
                append(sink, under_way)
            future = pool.submit(raster.encode, writing, tiles[index % len(tiles)], valid)
            under_way.append((index, window, future))
        while under_way:
            append(sink, under_way)
    sink.commit()
    return time.perf_counter() - began_s


def append(sink: raster.Sink, under_way: deque[tuple[int, Window, Future]]) -> None:
    """Write the tile that was begun first."""
    index, window, future = under_way.popleft()
    sink.append(index, window, future.result())


def write_gdal(path: str, grid: Grid, tiles: list[np.ndarray]) -> float:
    """Seconds of GDAL, with threads that compress."""
    rounded = [(np.round(tile * raster.ROUNDING) / raster.ROUNDING).astype(np.float32) for tile in tiles]
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "nodata": -9999.0, "crs": grid.crs,
        "height": grid.rows, "width": grid.cols,
        "transform": rasterio.Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "ZSTD", "zstd_level": 1, "predictor": 3,
        "num_threads": "ALL_CPUS",
    }  # fmt: skip
    began_s = time.perf_counter()
    with rasterio.open(path, "w", **profile) as file:
        for index, window in enumerate(windows(grid)):
            place = rasterio.windows.Window(window.col, window.row, window.cols, window.rows)
            file.write(rounded[index % len(rounded)], 1, window=place)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
