"""Ground to measure speed on: the shipped sample, mirrored until it is large enough, and its cell average as a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import areas
import machine
import numpy as np
import rasterio
from rasterio.windows import Window as FileWindow

from neural_terrain.core import quality, raster
from neural_terrain.core.grid import Grid
from neural_terrain.core.tiling import Window

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"


@dataclass(frozen=True)
class Ground:
    """A coarse file and the fine truth that it is the cell average of, given by its one repeated piece."""

    path: str
    piece: quality.Floats
    scale: float
    grid: Grid

    def truth(self, window: Window) -> quality.Floats:
        """True heights of fine cells."""
        side = self.piece.shape[0]
        rows = raster.mirror(window.row, window.row_stop, side)
        cols = raster.mirror(window.col, window.col_stop, side)
        return self.piece[np.ix_(rows, cols)]


def mirrored(side_px: int, scale: int, folder: Path) -> Ground:
    """The mirrored sample with ``side_px`` fine cells per side; ``scale`` must divide the sample's side."""
    piece, valid, grid = raster.read_all(str(SAMPLE))
    small, _ = quality.cell_average(piece, valid, scale)
    index = raster.mirror(0, side_px // scale, small.shape[0])
    coarse = small[np.ix_(index, index)]
    fine = Grid(side_px, side_px, grid.x0, grid.y0, grid.dx, grid.dy, grid.crs)
    path = str(folder / f"coarse_{side_px}_{scale}.tif")
    placed = Grid(*coarse.shape, grid.x0, grid.y0, grid.dx * scale, grid.dy * scale, grid.crs)
    areas.write(path, coarse, np.ones(coarse.shape, dtype=bool), placed)
    return Ground(path, piece, scale, fine)


def rmse_m(path: str, known: Ground, side_px: int = 1024) -> float:
    """RMSE over the middle of a result whose first cell is that of the whole target."""
    with rasterio.open(path) as file:
        rows, cols = min(side_px, file.height), min(side_px, file.width)
        top, left = (file.height - rows) // 2, (file.width - cols) // 2
        found = file.read(1, window=FileWindow(left, top, cols, rows)).astype(np.float64)
    truth = known.truth(Window(top, left, rows, cols))
    return float(np.sqrt(np.mean((found - truth) ** 2)))
