"""What a run says about itself: sizes, scale and volumes, and what a user may have meant otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..grid import crs_name
from ..jobs.terrainsolid import Settings
from ..progress import Progress
from ..vertical import METRES, SYMBOLS
from .model import Model, spoken_mm, spoken_scale

if TYPE_CHECKING:
    from .shaping import Solid

LARGE_MM = 2000.0
SMALL_MM = 5.0


def about_averaging(block: int, cell_mm: float, progress: Progress) -> None:
    """That several cells became one."""
    progress.info(
        f"A cell of the DEM is {cell_mm:.2g} mm wide on the model, finer than printers resolve; {block} x {block} "
        "cells are averaged to one."
    )


def about_model(model: Model, progress: Progress) -> None:
    """Where the model lies."""
    if model.plane.crs:
        progress.info(
            f"Lengths in {crs_name(model.plane.ground.grid.crs)} are not those on the ground; the model is made in an "
            "equal-area projection around its middle."
        )


def about_result(model: Model, solid: Solid, origin: tuple[float, float, float], progress: Progress) -> None:
    """Sizes, volumes and place of the finished model."""
    progress.info(f"{spoken_scale(model.scale)} gives {spoken_mm(solid.sizes_mm)}.")
    progress.info(
        f"Volume: {solid.volume_mm3 / 1000:.4g} cm3; the sum over the cells is {solid.cells_mm3 / 1000:.4g} cm3, the "
        f"body differs from it by {100 * (solid.body_mm3 / solid.cells_mm3 - 1):+.3f} %."
    )
    shells = solid.found.pieces
    holes = shells - solid.found.euler // 2
    if shells > 1:
        progress.info(f"The model has {shells} bodies that do not touch, in one file.")
    if holes:
        count = "One hole goes" if holes == 1 else f"{holes} holes go"
        progress.info(f"{count} through it, where the outline has one or the DEM knows no height.")
    crs = "the equal-area projection" if model.plane.crs else crs_name(model.plane.ground.grid.crs)
    if solid.is_off:
        progress.warn(
            f"The volume of the body is {100 * solid.off:.2g} % off the sum over the cells: it follows the ground "
            "between the centres of cells, which differs from them where the ground is rough along the outline; a "
            "thicker base makes the share smaller."
        )
    progress.info(
        f"The model counts from x = {origin[0]:.10g}, y = {origin[1]:.10g} in {crs}, height {origin[2]:.6g} "
        f"{SYMBOLS[model.unit]}."
    )
    largest = max(solid.sizes_mm)
    if largest > LARGE_MM:
        progress.warn(f"The model is {largest / 1000:.3g} m large; a larger MODEL_SCALE makes it smaller.")
    if max(solid.sizes_mm[:2]) < SMALL_MM:
        progress.warn(
            f"The model is only {max(solid.sizes_mm[:2]):.2g} mm wide; a smaller MODEL_SCALE makes it larger."
        )


def no_room_for_label(settings: Settings, progress: Progress) -> None:
    """That the label was left out."""
    progress.warn(
        f"The label {settings.label!r} has no room on the underside and was left out; give a shorter one, a larger "
        "model or a thicker base."
    )


def too_high(model: Model, highest_mm: float) -> str:
    """Why a base level cannot be, and which one could."""
    unit = METRES[model.unit]
    given = (model.base_m or 0.0) / unit
    most = np.floor(model.height_m(highest_mm) / unit * 100) / 100
    return (
        f"The base level is {given:g} {SYMBOLS[model.unit]}, which is not below the lowest point; give at most "
        f"{most:.10g} {SYMBOLS[model.unit]}."
    )
