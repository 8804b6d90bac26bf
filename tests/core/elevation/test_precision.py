"""What bfloat16 costs: the shipped models on the shipped sample, against the truth and against float32."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio

from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.tests import surfaces

SAMPLE = Path(__file__).parents[3] / "resources" / "samples" / "big_tujunga_30m.tif"
SCALE, CELLS = 4, 64
"""Fine cells per coarse one, and coarse cells per side that are asked for."""


@cache
def truth() -> np.ndarray:
    with rasterio.open(SAMPLE) as file:
        return file.read(1).astype(np.float64)[: SCALE * CELLS, : SCALE * CELLS]


def refined(model: str, dtype: str) -> np.ndarray:
    made = surface.load(card.find(model), Compute("cpu", dtype))
    coarse = truth().reshape(CELLS, SCALE, CELLS, SCALE).mean(axis=(1, 3))
    window = np.pad(coarse, made.halo_px, mode="symmetric")
    cell_m = np.full(len(window), 30.0 * SCALE)
    positions = made.halo_px + surfaces.centres(SCALE * CELLS, 1 / SCALE)
    known = CoarseHeights(window, np.ones(window.shape, bool), cell_m, cell_m)
    return made.decode(made.encode(known), Queries(positions, positions, 1 / SCALE, 1 / SCALE))


@pytest.mark.parametrize("model", ["field", "field-small", "ebcf"])
def test_bfloat16_costs_less_than_a_hundredth_of_the_error(model: str) -> None:
    """Rounding lies far below what the model leaves of the truth."""
    half, full = refined(model, "bfloat16"), refined(model, "float32")
    error_m, same_m = (float(np.sqrt(np.mean((heights - truth()) ** 2))) for heights in (half, full))
    assert error_m < 1.01 * same_m
    assert 0 < np.sqrt(np.mean((half - full) ** 2)) < 0.1 * same_m
