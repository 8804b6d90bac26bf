"""What a comparison says to its user: refusals, and warnings about what is compared, each once."""

from __future__ import annotations

from .. import grid as grids
from ..errors import TerrainError
from ..progress import Progress
from .ground import FINER, Rasters
from .work import Averages

MOST_CELLS_PER_CELL = 1000
"""Widest cells of the reference, in cells of the input."""


def refuse_far_sizes(steps: tuple[float, float]) -> None:
    """Cells of the reference that hold too many of the input; ``steps`` are those of :class:`.Resampled`."""
    if max(steps) > MOST_CELLS_PER_CELL:
        raise TerrainError(
            f"A cell of the reference is as wide as {max(steps):.0f} cells of the input, at most "
            f"{MOST_CELLS_PER_CELL} can be compared; make the input coarser with 'Warp (reproject)' first."
        )


def before(rasters: Rasters, progress: Progress) -> None:
    """Units, CRS and vertical datums."""
    dem, reference = rasters.dem, rasters.reference
    for label, source in (("input", dem), ("reference", reference)):
        if source.unknown_unit:
            progress.warn(
                f"The {label} calls its vertical unit {source.unknown_unit!r}, which is not known; its heights are "
                f"taken as {source.unit}."
            )
        elif not source.unit_known:
            progress.info(f"The {label} does not name its vertical unit; its heights are taken as metres.")
    if bool(dem.grid.crs) != bool(reference.grid.crs):
        without = "reference" if dem.grid.crs else "input"
        progress.warn(f"The {without} has no CRS; its coordinates are taken as those of the other DEM.")
    elif not dem.grid.crs:
        progress.warn("Neither DEM has a CRS; horizontal units are taken as metres.")
    _of_the_datum(grids.vertical_name(dem.grid.crs), grids.vertical_name(reference.grid.crs), progress)


def of_the_coarse_dem(work: Averages, progress: Progress) -> None:
    """A coarse DEM that the input cannot have been made from."""
    if max(work.averages.steps) * FINER < 1:
        progress.warn(
            "The coarse DEM has smaller cells than the input, which cannot have been made from it; leave COARSE empty, "
            "or check which file is which."
        )


def of_the_band(coverage: float | None, progress: Progress) -> None:
    """An uncertainty that says nothing about the cells that were compared."""
    if coverage is None:
        progress.warn(
            "The uncertainty has no value on the cells that were compared, so nothing is said about its band; "
            "check its place and CRS."
        )


def _of_the_datum(dem: str, reference: str, progress: Progress) -> None:
    if dem and reference and dem != reference:
        progress.warn(
            f"Heights of the input refer to {dem}, those of the reference to {reference}; they are compared as they "
            "are, so the bias holds the difference of the two surfaces. Convert one of them for true errors."
        )
    elif bool(dem) != bool(reference):
        stated, silent = ("input", "reference") if dem else ("reference", "input")
        progress.warn(
            f"Only the {stated} names its vertical datum ({dem or reference}); the {silent} is taken to have the same. "
            "If it has another, the bias holds the difference."
        )
