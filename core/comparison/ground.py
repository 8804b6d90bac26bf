"""What is compared: the open rasters, and both DEMs on the cells of the reference."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import evaluation
from .. import grid as grids
from ..errors import TerrainError
from ..grid import Bounds, Grid
from ..jobs.comparedem import Settings
from ..quality import Block
from ..raster import Floats, Reading, Source
from ..resampling import Resampled
from ..tiling import Window

FINER = 1.05
"""An input whose cells are this much wider than the reference's has known cells to be near to or far from."""


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


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Rasters]:
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


class Ground:
    """Both DEMs, and what is known beside them, on the cells of ``grid``. Reading is safe from several threads."""

    def __init__(self, rasters: Rasters, grid: Grid) -> None:
        self.rasters, self.grid = rasters, grid
        self.dem, self.reference = Resampled(rasters.dem, grid), Resampled(rasters.reference, grid)
        self.uncertainty = Resampled(rasters.uncertainty, grid) if rasters.uncertainty else None
        self.known = self._known_cells()
        self.cell_m = grids.metres_per_cell(grid)

    @property
    def cell_size_m(self) -> tuple[float, float]:
        """Width and height of a cell on the ground, in the middle."""
        middle = self.grid.rows // 2
        return float(self.cell_m[0][middle]), float(self.cell_m[1][middle])

    @property
    def known_cell_m(self) -> float | None:
        """Side of the known cells on the ground; None where there are none, or where that cannot be said."""
        if self.known is None:
            return None
        (width_m, height_m), (down, across) = self.cell_size_m, self.known.steps
        side_m = math.sqrt(height_m / down * width_m / across) if down * across > 0 else math.nan
        return side_m if math.isfinite(side_m) else None

    def block(self, window: Window) -> Block:
        """Both DEMs on a window, which may reach beyond the grid."""
        found, found_valid = self.dem.read(window)
        truth, truth_valid = self.reference.read(window)
        rows = np.arange(window.row, window.row_stop).clip(0, self.grid.rows - 1)
        return Block(found, truth, found_valid & truth_valid, (self.cell_m[0][rows], self.cell_m[1][rows]))

    def band_m(self, window: Window) -> Floats | None:
        """Half width of the stated band, NaN where there is none; None where no band was given."""
        if self.uncertainty is None:
            return None
        band, valid = self.uncertainty.read(window)
        return np.where(valid, np.abs(band), np.nan)

    def distance_px(self, window: Window) -> Floats | None:
        """Distance to the centre of the known cell around; NaN where that cell is a void."""
        if self.known is None:
            return None
        rows, cols = self.known.positions(window)
        distance = np.broadcast_to(evaluation.distance_to_centres_px(rows, cols), (window.rows, window.cols))
        return np.where(self.known.read(window)[1], distance, np.nan)

    def _known_cells(self) -> Resampled | None:
        """The cells that the input was made from: those of COARSE, else its own where they are coarser."""
        source = self.rasters.coarse
        if source is None:
            source = self.rasters.dem if max(self.dem.steps) * FINER < 1 else None
        return Resampled(source, self.grid, point=True) if source else None


def name_of(path: str) -> str:
    """File name for people: the folders of its maker need not be published."""
    return Path(path.rsplit(":", 1)[-1]).name if path else ""


def _place(bounds: Bounds) -> str:
    return "west {:.8g}, south {:.8g}, east {:.8g}, north {:.8g}".format(*bounds)
