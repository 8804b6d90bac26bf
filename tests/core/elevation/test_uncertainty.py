"""How a field learns its error: the head alone moves, and held-back ground gives factors that hold nine tenths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neural_terrain.core import learning
from neural_terrain.core.elevation import card, uncertainty
from neural_terrain.core.elevation.calibration import FEWEST
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.degradation import PairShape, Region
from neural_terrain.core.elevation.field import FieldSettings
from neural_terrain.core.elevation.field_surface import FieldSurface
from neural_terrain.core.elevation.recipe import Recipe
from neural_terrain.core.elevation.training import Training
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems


def region(side: int, seed: int = 1, valid: np.ndarray | None = None) -> Region:
    """Ground of ``side`` x ``side`` cells of 10 m."""
    heights = surfaces.fractal((side, side), seed).astype(np.float32)
    return Region("hills", heights, np.ones(heights.shape, bool) if valid is None else valid, 10.0, 10.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FieldSurface:
    """A tiny field without calibration, on the CPU in float32."""
    folder = dems.tiny_field(tmp_path_factory.mktemp("model") / "plain", calibrated=False)
    return FieldSurface(card.read(Path(folder)), Compute())


def test_only_the_spread_head_moves_and_its_loss_falls() -> None:
    recipe = Recipe(network=FieldSettings(**dems.TINY_FIELD), shape=PairShape(28, 8, 16), batch=2)
    under_way = Training(recipe, [region(240)], None, Compute())
    network = under_way.averaged()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    losses = uncertainty.learn_spread(network, under_way, 30)
    moved = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert moved and all(name.startswith("spread.") for name in moved)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_the_band_holds_nine_tenths_of_the_ground_that_calibrated_it(
    model: FieldSurface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "WINDOW_PX", 48)
    found = uncertainty.calibrate(model, [region(260)], learning.fill_all)
    assert found is not None and found.scales == (1.0, *uncertainty.SCALES)
    assert np.shape(found.factors) == (7, 6) and np.min(found.factors[1:]) > 0
    ratios = []
    for known, truth in uncertainty._windows(region(260), 4.0, model.halo_px, np.random.default_rng(9)):
        heights = known.heights
        whole = type(known)(heights, np.ones(heights.shape, bool), known.cell_width_m, known.cell_height_m)
        expected, slope_deg, _ = uncertainty._judged(model, whole, truth, 4.0)
        factor = found.multiplier(torch.from_numpy(slope_deg), 4.0, torch.zeros(slope_deg.shape, dtype=torch.bool))
        ratios.append(expected / factor.numpy())
    assert np.mean(np.concatenate(ratios) <= 1) == pytest.approx(0.9, abs=0.03)


def test_large_windows_are_thinned_and_small_ones_are_not(model: FieldSurface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "MOST_POSITIONS", 500)
    found = np.arange(900.0), np.arange(900.0), np.zeros(900, bool)
    ratio, slope_deg, filled = uncertainty._thinned(found, np.random.default_rng(1))
    assert ratio.size == filled.size == 500 and (ratio == slope_deg).all() and np.unique(ratio).size == 500
    small = tuple(values[:10] for values in found)
    assert uncertainty._thinned(small, np.random.default_rng(1)) is small  # type: ignore[arg-type]


def test_ground_too_small_or_too_full_of_voids_gives_no_factors(model: FieldSurface) -> None:
    assert uncertainty.calibrate(model, [], learning.fill_all) is None
    assert uncertainty.calibrate(model, [region(5)], learning.fill_all) is None
    holes = np.ones((160, 160), bool)
    holes[::8, ::8] = False
    assert uncertainty.calibrate(model, [region(160, valid=holes)], learning.fill_all) is None


def test_scales_with_few_positions_are_left_out(model: FieldSurface) -> None:
    """28 x 28 cells give at most 4 x 784 positions at x1.5 to x6, and no window at x8."""
    found = uncertainty.calibrate(model, [region(28)], learning.fill_all)
    assert found is not None and 8.0 not in found.scales and FEWEST < 4 * 784
    assert len(found.factors) == len(found.filled) == len(found.scales) > 0
