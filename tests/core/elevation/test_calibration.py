"""Factors of the band: the conformal quantile, interpolation without steps, and cards that lack or damage them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import calibration, card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.errors import TerrainError
from neural_terrain.tests.core import dems

SLOPES = torch.linspace(0, 60, 1201, dtype=torch.float64)
NOWHERE = torch.zeros(1201, dtype=torch.bool)


@pytest.fixture
def factors(tiny_field: str) -> calibration.Calibration:
    found = calibration.read(card.find(tiny_field))
    assert found is not None
    return found


def test_the_factors_of_the_card_come_out_at_its_slopes_and_scales(factors: calibration.Calibration) -> None:
    at = torch.tensor(factors.slopes_deg, dtype=torch.float64)
    for scale, row, void in zip(factors.scales, factors.factors, factors.filled, strict=True):
        assert factors.multiplier(at, scale, torch.zeros(6, dtype=torch.bool)).tolist() == pytest.approx(row)
        assert factors.multiplier(at, scale, torch.ones(6, dtype=torch.bool)).tolist() == pytest.approx([void] * 6)


def test_factors_have_no_steps_in_slope_or_scale(factors: calibration.Calibration) -> None:
    for scale in (1.0, 2.0, 3.3, 8.0, 16.0):
        along = factors.multiplier(SLOPES, scale, NOWHERE)
        assert along.diff().abs().max() < 0.01
        near = factors.multiplier(SLOPES, scale * 1.0001, NOWHERE)
        assert (near - along).abs().max() < 1e-3
    low, high, middle = (factors.multiplier(SLOPES, s, NOWHERE) for s in (2.0, 4.0, 8**0.5))
    torch.testing.assert_close(middle, (low + high) / 2)


def test_beyond_the_ends_the_last_factors_hold(factors: calibration.Calibration) -> None:
    assert torch.equal(factors.multiplier(SLOPES, 1.0, NOWHERE), factors.multiplier(SLOPES, 2.0, NOWHERE))
    assert torch.equal(factors.multiplier(SLOPES, 16.0, NOWHERE), factors.multiplier(SLOPES, 8.0, NOWHERE))
    steep = factors.multiplier(torch.tensor([45.0, 70.0, 90.0], dtype=torch.float64), 4.0, NOWHERE[:3])
    assert steep.tolist() == pytest.approx([2.0, 2.0, 2.0])
    flat = factors.multiplier(torch.tensor([0.0, 1.0], dtype=torch.float64), 4.0, NOWHERE[:2])
    assert flat.tolist() == pytest.approx([1.0, 1.0])


def test_one_scale_is_enough() -> None:
    found = calibration.Calibration((4.0,), (0.0, 10.0), ((1.0, 2.0),), (3.0,))
    for scale in (2.0, 4.0, 8.0):
        assert found.multiplier(torch.tensor([5.0]).double(), scale, torch.tensor([False])).item() == pytest.approx(1.5)


def test_the_quantile_holds_nine_tenths_of_what_follows() -> None:
    """Over many draws of 200 ratios, a new one lies below the quantile with a chance of 0.9 or a little more."""
    rng = np.random.default_rng(1)
    held = [np.mean(rng.exponential(size=2000) <= calibration.quantile(rng.exponential(size=200))) for _ in range(300)]
    assert np.mean(held) == pytest.approx(0.9, abs=0.01)
    assert calibration.quantile(np.arange(1.0, 10.0)) == 9
    assert calibration.quantile(np.arange(1.0, 100.0)) == 90
    assert calibration.quantile(np.array([2.0])) == 2


def test_gathered_ratios_become_factors_by_stratum() -> None:
    rng, ratios = np.random.default_rng(2), calibration.Ratios((2.0, 4.0))
    slope_deg = rng.uniform(0, 40, 60_000)
    for scale in (2.0, 4.0):
        ratio = np.abs(rng.laplace(size=slope_deg.size)) * (1 + slope_deg / 10) * scale
        ratios.add(scale, ratio, slope_deg, rng.random(slope_deg.size) < 0.1)
    found = ratios.calibration()
    assert found is not None
    assert found.scales == (1.0, 2.0, 4.0) and np.shape(found.factors) == (3, len(found.slopes_deg))
    assert not any(found.factors[0]) and found.filled[0] == found.filled[1]  # at scale 1 the result is the input
    assert list(found.slopes_deg) == sorted(found.slopes_deg)
    for scale, row, void in list(zip(found.scales, found.factors, found.filled, strict=True))[1:]:
        assert list(row) == sorted(row) and void > row[0]
        assert row[2] == pytest.approx(np.log(10) * (1 + found.slopes_deg[2] / 10) * scale, rel=0.1)


def test_empty_strata_take_the_factor_of_their_scale_and_empty_scales_are_left_out() -> None:
    rng, ratios = np.random.default_rng(3), calibration.Ratios((2.0, 4.0, 8.0))
    assert ratios.calibration() is None
    for scale, count in ((2.0, 5000), (4.0, 100), (8.0, 0)):
        ratios.add(scale, np.abs(rng.laplace(size=count)), np.full(count, 12.0), np.zeros(count, bool))
    found = ratios.calibration()
    assert found is not None and found.scales == (1.0, 2.0)
    assert len(set(found.factors[1])) == 1 and found.filled == 2 * (2 * found.factors[1][0],)
    assert found.slopes_deg == (1.0, 3.5, 7.5, 12.0, 25.0, 60.0)


def test_what_is_written_on_a_card_is_read_back(factors: calibration.Calibration, tiny_field: str) -> None:
    values = factors.values()
    assert values["coverage"] == 0.9
    assert calibration.read(replace(card.find(tiny_field), calibration=values)) == factors


@pytest.mark.parametrize(
    "change", [{"colour": 1}, {"scales": None}, {"factors": [[1.0, 2.0]]}, {"filled": [1.0]}, {"slopes_deg": [1.0]}]
)
def test_a_damaged_calibration_is_refused(tiny_field: str, change: dict) -> None:
    damaged = replace(card.find(tiny_field), calibration={**dems.CALIBRATION, **change})
    with pytest.raises(TerrainError, match="calibration of model tinyfield is damaged"):
        surface.load(damaged, Compute())


def test_a_card_without_calibration_tells_no_error(tmp_path: Path) -> None:
    plain = card.find(dems.tiny_field(tmp_path / "plain", calibrated=False))
    assert calibration.read(plain) is None
    assert not surface.load(plain, Compute()).tells_error
