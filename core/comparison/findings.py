"""What a comparison has found, as plain values for table, report and caller."""

from __future__ import annotations

import numpy as np

from .. import evaluation, provenance
from .. import grid as grids
from ..errors import TerrainError
from ..evaluation import Consistency, Evaluation
from ..jobs.comparedem import Settings
from ..progress import Progress
from . import messages
from .ground import Ground, name_of


def findings(
    settings: Settings, ground: Ground, heights: Evaluation | None, averages: Consistency | None, progress: Progress
) -> dict:
    """Everything that table and report tell; refuses DEMs that share no known cell."""
    if heights is None or heights.tally.cells == 0:
        raise TerrainError(
            "Input and reference share no cell with a height in both; check no-data, extents and CRS of both."
        )
    figures, averages = evaluation.figures(heights), averages or Consistency()
    if ground.uncertainty is not None:
        messages.of_the_band(figures["band"]["coverage"], progress)
    return {
        **figures,
        "consistency": evaluation.plain({"cells": averages.cells, "rmse_m": averages.rmse_m, "max_m": averages.max_m}),
        "error_histogram": _histogram(heights),
        "slope_histogram": _slopes(heights),
        "about": _about(settings, ground),
        "warnings": list(progress.warnings),
    }


def answers(found: dict) -> dict:
    """The figures that the tool returns as numbers."""
    scores, structure = found["scores"], found["structure"]
    return {
        **scores,
        "roughness_ratio": structure["roughness_ratio"],
        "slope_distance_deg": structure["slope_distance_deg"],
        "pits_per_km2": structure["pits_per_km2"][0],
        "reference_pits_per_km2": structure["pits_per_km2"][1],
        "coverage": found["band"]["coverage"],
        "band_m": found["band"]["mean_half_width_m"],
        "consistency_rmse_m": found["consistency"]["rmse_m"],
        "consistency_max_m": found["consistency"]["max_m"],
        "warnings": found["warnings"],
    }


def _histogram(heights: Evaluation) -> dict:
    """Shares of signed errors in 60 classes that hold at least 98 % of the cells."""
    most = max(1.7 * heights.scores().le90_m, 1e-3)
    edges = np.linspace(-most, most, 61)
    shares = heights.tally.error_shares(edges)
    return {"edges_m": edges.tolist(), "shares": shares.tolist()}


def _slopes(heights: Evaluation) -> dict:
    middles, found, truth = heights.texture.slope_shares(1.0)
    return {"middles_deg": middles.tolist(), "input": found.tolist(), "reference": truth.tolist()}


def _about(settings: Settings, ground: Ground) -> dict:
    dem, reference, grid = ground.rasters.dem, ground.rasters.reference, ground.grid
    width_m, height_m = ground.cell_size_m
    return {
        "software": f"Neural Terrain {provenance.version()}",
        "input": name_of(settings.input),
        "input_band": settings.band,
        "input_unit": dem.unit,
        "input_crs": grids.crs_name(dem.grid.crs),
        "input_vertical": grids.vertical_name(dem.grid.crs),
        "reference": name_of(settings.reference),
        "reference_band": settings.reference_band,
        "reference_unit": reference.unit,
        "reference_crs": grids.crs_name(reference.grid.crs),
        "reference_vertical": grids.vertical_name(reference.grid.crs),
        "coarse": name_of(settings.coarse),
        "uncertainty": name_of(settings.uncertainty),
        "rows": grid.rows,
        "columns": grid.cols,
        "cell_width_m": width_m,
        "cell_height_m": height_m,
        "cells_per_cell": evaluation.plain({"steps": ground.dem.steps})["steps"],
        "known_cell_m": ground.known_cell_m,
        "known_cells": "coarse DEM" if ground.rasters.coarse else "input",
    }
