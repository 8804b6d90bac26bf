"""How large target cells are in cells of the DEM, and what follows: how many parts make an average, which windows.

Imports numpy and the ground of core only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import grid as grids
from ..continuous import FINEST_PX
from ..elevation.relief import WIDEST_PX
from ..errors import TerrainError
from ..grid import COARSEN_HINT, MAX_SCALE, Grid
from ..raster import Floats
from .places import Places

MOST_CELLS = 4.0
"""Largest width of a target cell in cells of the DEM."""

LOOKS = 9
"""Positions per axis where sizes are looked at."""

TOLERANCE = 1e-3
"""Parts may be larger than they should by this share: half a cell is one part."""

LARGE_SHARE = 0.9
"""Share of the target whose cells are averaged from enough parts; what projections blow up is left out."""

TILE_SIDES_PX = (512, 256, 128)
WINDOW_SIDES_PX = (32, 64, 96, 128, 192, 256, 384, 512, 768)
"""Sides of tiles of the target, and of windows of the DEM without halo; few, lest an extent change them."""

MOST_POSITIONS = 1 << 20
"""Parts of cells of a tile that are asked together."""


@dataclass(frozen=True)
class Sizes:
    """What cells of the target are in cells of the DEM.

    Attributes
    ----------
    row_size, col_size
        What a target cell covers of the DEM down and across, in the usual place.
    parts, part_sizes
        How many parts of a target cell down and across make its average, and what one covers of the DEM. Heights at
        points are those of the surface that all tools ask, whatever the cells.
    tile_px, window_px
        Sides of the tiles of the target, and of the parts of the DEM that are encoded for them, without halo.
    reach_px
        How far from its centre a target cell reaches, in cells of the DEM.

    """

    row_size: float
    col_size: float
    parts: tuple[int, int]
    part_sizes: tuple[float, float]
    tile_px: int
    window_px: int
    reach_px: int


def sizes_of(places: Places, point_sampled: bool) -> Sizes:
    """Look at the target in many places; refuses cells that are too small or too large."""
    down, across = _steps(places)
    row_size, col_size = (float(np.median(np.hypot(*axis))) for axis in zip(down, across, strict=True))
    _refuse_size(min(row_size, col_size), max(row_size, col_size))
    parts = (1, 1) if point_sampled else _parts(down, across)
    tile_px = next((side for side in TILE_SIDES_PX if side**2 * math.prod(parts) <= MOST_POSITIONS), TILE_SIDES_PX[-1])
    span = tile_px * np.quantile(np.abs(down) + np.abs(across), LARGE_SHARE, axis=1).max()
    needed = min(span, max(places.source.shape))
    window_px = next((side for side in WINDOW_SIDES_PX if side >= needed), WINDOW_SIDES_PX[-1])
    reach_px = math.ceil((np.abs(down) + np.abs(across)).max().clip(max=2 * MOST_CELLS) / 2)
    part_sizes = (FINEST_PX, FINEST_PX) if point_sampled else _part_sizes(down / parts[0], across / parts[1])
    return Sizes(row_size, col_size, parts, part_sizes, tile_px, window_px, reach_px)


def _parts(*steps: Floats) -> tuple[int, int]:
    """How many parts make a cell, by its steps down and across.

    They are rectangles along rows and columns of the DEM: larger ones would not follow the outline of a turned cell.
    """
    sizes = (min(float(np.quantile(np.hypot(*step), LARGE_SHARE)), 2 * MOST_CELLS) for step in steps)
    rows, cols = (max(1, math.ceil(size / WIDEST_PX - TOLERANCE)) for size in sizes)
    return rows, cols


def _part_sizes(down: Floats, across: Floats) -> tuple[float, float]:
    """Height and width of the rectangle that is spread along rows and columns as widely as a part is."""
    rows, cols = (
        min(max(float(np.median(np.hypot(*axis))), 1 / MAX_SCALE), 1.0) for axis in zip(down, across, strict=True)
    )
    return rows, cols


def _refuse_size(least: float, most: float) -> None:
    if most > MOST_CELLS * (1 + 1e-6):
        raise TerrainError(
            f"The target cells are {most:.3g} times as wide as the DEM's, more than {MOST_CELLS:g}; give smaller "
            f"cells, or {COARSEN_HINT}."
        )
    if least < (1 - 1e-6) / MAX_SCALE:
        raise TerrainError(
            f"The target cells are {1 / least:.3g} times finer than the DEM's, more than {MAX_SCALE:g}; give larger "
            "cells."
        )


def _steps(places: Places) -> tuple[Floats, Floats]:
    """What one target cell down and one across are in rows and columns of the DEM, ``(2, N)`` each."""
    rows, cols = _looks(places)
    down = _difference(places, (rows + 0.5, cols), (rows - 0.5, cols))
    across = _difference(places, (rows, cols + 0.5), (rows, cols - 0.5))
    known = np.isfinite(down).all(axis=0) & np.isfinite(across).all(axis=0)
    if not known.any():
        raise TerrainError("The target grid has no place on the DEM; choose another grid, extent or CRS.")
    return down[:, known], across[:, known]


def _difference(places: Places, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    steps = np.stack(places.exact(*one)) - np.stack(places.exact(*other))
    around = grids.full_turn(places.source.crs) / places.source.dx
    if around:
        steps[1] = (steps[1] + around / 2) % around - around / 2
    return steps


def _looks(places: Places) -> tuple[Floats, Floats]:
    """Positions in the target that lie on the DEM, or failing those, anywhere in the target.

    They are spread over the DEM where enough of them lie in the target, so that a part is looked at like the whole.
    """
    spread = back(places).exact(*_spread(places.source))
    if np.count_nonzero(_on(places.target, *spread)) > LOOKS:
        kept = _on(places.target, *spread)
        return spread[0][kept], spread[1][kept]
    rows, cols = _spread(places.target)
    kept = _on(places.source, *places.exact(rows, cols))
    return (rows[kept], cols[kept]) if kept.any() else (rows, cols)


def back(places: Places) -> Places:
    """The way from the cells of the DEM to those of the target."""
    return Places.of(places.target, places.source)


def _spread(grid: Grid) -> tuple[Floats, Floats]:
    shares = (np.arange(LOOKS) + 0.5) / LOOKS
    rows, cols = np.meshgrid(shares * grid.rows, shares * grid.cols, indexing="ij")
    return rows.ravel(), cols.ravel()


def _on(grid: Grid, rows: Floats, cols: Floats) -> np.ndarray:
    return (rows >= 0) & (rows <= grid.rows) & (cols >= 0) & (cols <= grid.cols)
