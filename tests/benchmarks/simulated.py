"""Coarse DEMs as sensors make them, simulated: 30 m from 10 m ground, blurred, noisy, in whole metres.

*Simulated* means that no sensor was there. The fine ground of Rwanda is blurred by a Gaussian footprint, averaged over
3 x 3 cells, disturbed by noise and rounded to whole metres; models restore 10 m, with HONOUR_INPUT yes and no where a
model obeys it. The Yanze watershed is on its original grid; the blocks are partly interpolated.

Robustness asks the same of single disturbances at x4, and whether 1000 m more in give 1000 m more out. Davos is the one
real pair: a coarse sensor's DEM against another product. The error of the sensor dominates there, so it ranks nothing.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import areas
import honest
import methods
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject

from neural_terrain.core import grid as grids
from neural_terrain.core import quality, raster

SCALE = 3.0
BLUR_PX, NOISE_M, STEP_M = 0.5, 0.5, 1.0
"""Footprint's standard deviation in coarse cells, noise's in metres, and the step of rounding."""

ROBUST_SCALE = 4.0
OFFSET_M = 1000.0
PAIR = ("davos_coarse_srtm1", "davos_fine_10m")
NAME = f"simulated 30 m to 10 m (blur {BLUR_PX:g} cell, average, noise {NOISE_M:g} m, whole metres)"


def measure(area: areas.Area, models: methods.Models, most_px: int) -> list[dict]:
    """Rows of one 10 m area restored from its simulated 30 m DEM."""
    sensor = partial(sensed, seed=zlib.crc32(area.name.encode()))
    return with_both_honours(area, SCALE, models, most_px, (sensor, "simulated"))


def robustness(area: areas.Area, models: methods.Models, most_px: int) -> list[dict]:
    """Rows of one area at x4 with one disturbance each, and what an offset does."""
    rows = []
    for name, degrade in DISTURBANCES.items():
        rows += with_both_honours(area, ROBUST_SCALE, models, most_px, (degrade, f"robust: {name}"))
    return rows + offset_rows(area, models, most_px)


def with_both_honours(
    area: areas.Area, scale: float, models: methods.Models, most_px: int, kind: tuple[areas.Degrade, str]
) -> list[dict]:
    """Rows with HONOUR_INPUT yes, and those with no of the models that obey it."""
    degrade, protocol = kind
    obey = tuple(name for name in models.names if methods.loaded(name, "cpu").honours_input)
    free = replace(models, names=obey, more={**models.more, "honour_input": "no"})
    with tempfile.TemporaryDirectory() as folder:
        case = areas.prepare(area, scale, most_px, Path(folder), degrade)
        found = methods.answers(case, models)
        found |= {f"{methods.shown(name)} free": methods.super_resolved(case, name, free) for name in obey}
        return [outcome.row(protocol) for outcome in honest.judged(case, found)]


def sensed(
    heights: quality.Floats, valid: quality.Bools, scale: float, seed: int
) -> tuple[quality.Floats, quality.Bools]:
    """A simulated sensor: see the module docstring; ``seed`` belongs to the noise."""
    coarse, coarse_valid = quality.cell_average(blurred(heights, valid, BLUR_PX * scale), valid, scale)
    noise = np.random.default_rng(seed).normal(0.0, NOISE_M, coarse.shape)
    return np.round((coarse + noise) / STEP_M) * STEP_M, coarse_valid


def rounded(heights: quality.Floats, valid: quality.Bools, scale: float) -> tuple[quality.Floats, quality.Bools]:
    """Cell averages in whole metres."""
    coarse, coarse_valid = quality.cell_average(heights, valid, scale)
    return np.round(coarse), coarse_valid


def wide_footprint(heights: quality.Floats, valid: quality.Bools, scale: float) -> tuple[quality.Floats, quality.Bools]:
    """Cell averages of ground that a Gaussian footprint has blurred."""
    return quality.cell_average(blurred(heights, valid, BLUR_PX * scale), valid, scale)


DISTURBANCES: dict[str, areas.Degrade] = {
    "none": quality.cell_average, "whole metres": rounded, "Gaussian footprint": wide_footprint,
}  # fmt: skip


def blurred(heights: quality.Floats, valid: quality.Bools, sigma_px: float) -> quality.Floats:
    """Gaussian mean of the valid cells around, edges repeated."""
    reach = int(np.ceil(3 * sigma_px))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    weights = _smooth(valid.astype(np.float64), kernel)
    reference = float(heights[valid].mean())
    means = _smooth(np.where(valid, heights - reference, 0.0), kernel) / np.maximum(weights, 1e-9)
    return means + reference


def _smooth(values: quality.Floats, kernel: quality.Floats) -> quality.Floats:
    for _ in range(2):  # rows, then columns
        padded = np.pad(values, ((kernel.size // 2,) * 2, (0, 0)), mode="edge")
        values = sum(weight * padded[at : at + values.shape[0]] for at, weight in enumerate(kernel)).T
    return values


def offset_rows(area: areas.Area, models: methods.Models, most_px: int) -> list[dict]:
    """How far a result leaves the offset of its input, at most: every model with 1000 m more."""
    with tempfile.TemporaryDirectory() as low, tempfile.TemporaryDirectory() as high:
        case = areas.prepare(area, ROBUST_SCALE, most_px, Path(low), exact)
        lifted = areas.prepare(area, ROBUST_SCALE, most_px, Path(high), raised)
        rows = []
        for name in models.names:
            one, other = (methods.super_resolved(c, name, models) for c in (case, lifted))
            change = (other.heights - one.heights)[one.valid & other.valid] - OFFSET_M
            rows.append({
                "protocol": "robust: offset", "area": area.name, "scale": ROBUST_SCALE, "method": methods.shown(name),
                "cells": change.size, "offset_error_max_m": float(np.abs(change).max()),
            })  # fmt: skip
        return rows


def exact(heights: quality.Floats, valid: quality.Bools, scale: float) -> tuple[quality.Floats, quality.Bools]:
    """Cell averages in whole 1/1024 m, to which the offset can be added in float32 without rounding."""
    coarse, coarse_valid = quality.cell_average(heights, valid, scale)
    return np.round(coarse * 1024) / 1024, coarse_valid


def raised(heights: quality.Floats, valid: quality.Bools, scale: float) -> tuple[quality.Floats, quality.Bools]:
    """The same, :data:`OFFSET_M` higher."""
    coarse, coarse_valid = exact(heights, valid, scale)
    return np.where(coarse_valid, coarse + OFFSET_M, 0.0), coarse_valid


def pair(chosen: list[areas.Area], models: methods.Models) -> list[dict]:
    """Rows of the real pair: the coarse half put on 30 m cells of the fine half's CRS, then restored on its grid.

    ``bias_m`` is the sensor's; ``spread_m`` is the standard deviation of the errors, which is without it.
    """
    coarse_area, fine_area = (next(a for a in chosen if a.name == name) for name in PAIR)
    truth, valid, grid = raster.read_all(str(fine_area.path))
    with tempfile.TemporaryDirectory() as folder:
        path = projected(coarse_area.path, grid, Path(folder) / "coarse.tif")
        heights, coarse_valid, coarse_grid = raster.read_all(path)
        blank = np.zeros(truth.shape, dtype=bool)
        case = areas.Case(
            fine_area, coarse_grid.dx / grid.dx, path, str(fine_area.path), heights, coarse_valid, truth, valid, blank,
            grids.metres_per_cell(grid),
        )  # fmt: skip
        placed = replace(models, more={**models.more, "grid": str(fine_area.path)})
        found = {name: methods.reference(name, case) for name in ("gdalwarp", "lanczos")}
        found |= {methods.shown(name): methods.super_resolved(case, name, placed) for name in models.names}
    counts = np.logical_and.reduce([valid, *(answer.valid for answer in found.values())])
    return [pair_row(case, name, answer, counts) for name, answer in found.items()]


def pair_row(case: areas.Case, name: str, answer: methods.Answer, counts: quality.Bools) -> dict:
    """One line of the pair's table."""
    tally = quality.Tally()
    tally.add(answer.heights, case.truth, counts, case.cell_m)
    errors = (answer.heights - case.truth)[counts]
    scores = tally.scores()
    return {
        "protocol": "pair", "area": "davos", "scale": case.scale, "method": name, "cells": scores.cells,
        "rmse_m": scores.rmse_m, "bias_m": scores.bias_m, "spread_m": float(errors.std()), "le90_m": scores.le90_m,
        "slope_rmse_deg": scores.slope_rmse_deg, "aspect_rmse_deg": scores.aspect_rmse_deg,
    }  # fmt: skip


def projected(source: Path, grid: grids.Grid, path: Path) -> str:
    """The coarse half on 30 m cells around the fine half, by GDAL's cubic warp."""
    side = 3 * grid.dx
    west, south, east, north = grid.bounds
    rows, cols = int((north - south) / side) + 8, int((east - west) / side) + 8
    placed = grids.Grid(rows, cols, west - 4 * side, north + 4 * side, side, side, grid.crs)
    found = np.full(placed.shape, np.nan)
    with rasterio.open(source) as file:
        reproject(
            rasterio.band(file, 1), found, dst_crs=grid.crs, dst_nodata=np.nan, resampling=Resampling.cubic,
            dst_transform=from_origin(placed.x0, placed.y0, side, side),
        )  # fmt: skip
    valid = np.isfinite(found)
    areas.write(str(path), np.where(valid, found, 0.0), valid, placed)
    return str(path)
