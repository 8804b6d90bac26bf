"""A small run of tiles through sink and journal, for tests that break it: ``write(path, ...)``, also as a process.

As a program it forks a child that does the run, kills it at a random moment, and repeats until one comes to its end.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from neural_terrain.core import journal, raster
from neural_terrain.core.grid import Grid
from neural_terrain.core.raster import Sink, Writing
from neural_terrain.core.tiling import Window
from neural_terrain.tests import surfaces

SIDE_PX = 128
GRID = Grid(1200, 1000, 400_000, 4_000_000, 10, 10, "EPSG:32611")
HEIGHTS = surfaces.fractal(GRID.shape, 2)
VALID = np.quantile(HEIGHTS, 0.2) < HEIGHTS
BINDING = {"version": 1, "input": ["dem.tif", 42]}
WRITING = Writing(block_px=SIDE_PX, tags={"MADE": "by a test"})


def environment() -> dict[str, str]:
    """Variables with which another Python finds the package under its name."""
    import neural_terrain

    return {**os.environ, "PYTHONPATH": str(Path(neural_terrain.__path__[0]).parent)}


def windows(grid: Grid = GRID, side_px: int = SIDE_PX) -> list[Window]:
    """Tiles of a grid, row by row."""
    rows, cols = grid.shape
    return [
        Window(row, col, min(side_px, rows - row), min(side_px, cols - col))
        for row in range(0, rows, side_px)
        for col in range(0, cols, side_px)
    ]


def part(array: np.ndarray, window: Window) -> np.ndarray:
    """Cells of a window."""
    return array[window.row : window.row_stop, window.col : window.col_stop]


def append(sink: Sink, index: int, window: Window) -> dict:
    """Encode and append one tile of the test's heights."""
    return sink.append(index, window, raster.encode(sink.writing, part(HEIGHTS, window), part(VALID, window)))


def write(path: Path, order: Iterable[int] | None = None, stop: int | None = None) -> int:
    """Write what is missing of the output, ``stop`` tiles at most and then leave it; returns how many were kept."""
    notes = journal.Journal.open(journal.beside(path), BINDING, resume=True)
    sink = Sink(str(path), GRID, WRITING, {index: entry["output"] for index, entry in notes.entries.items()})
    tiles = windows()
    missing = [index for index in order or range(len(tiles)) if index not in sink.kept]
    for index in missing[:stop]:
        notes.add(index, {"output": append(sink, index, tiles[index])})
    if stop is None:
        sink.commit()
        notes.remove()
    else:
        sink.suspend()
        notes.close()
    return len(sink.kept)


def main(path: Path, seed: int, kills: int) -> None:
    """Kill up to ``kills`` runs, then let one end; prints how many tiles the journal had after each kill."""
    draw = random.Random(seed)
    write(path, stop=1)  # also loads what the children then need not
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            write(path)
            os._exit(0)
        time.sleep(draw.uniform(0.0, 0.04))
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return
        notes = journal.beside(path)
        print(notes.read_bytes().count(b"\n") - 1 if notes.exists() else -1)
    write(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
