"""Validation on held-back ground: the surface that users run, judged on whole pieces against the weight-less one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.core.elevation import card, surface, validation
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.degradation import Region
from neural_terrain.core.elevation.validation import Judgement, Validation
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

CPU = Compute()


def region(shape: tuple[int, int] = (130, 110), name: str = "a") -> Region:
    heights = surfaces.fractal(shape, 5).astype(np.float32)
    return Region(name, heights, np.ones(shape, bool), 30.0, 30.0)


def test_the_baseline_is_as_good_as_itself() -> None:
    found = Validation([region()]).judge(surface.load(card.find("baseline"), CPU))
    assert [one.scale for one in found] == [2, 4, 8]
    assert validation.ratios(found) == {2: 1.0, 4: 1.0, 8: 1.0} and validation.score(found) == 1.0
    assert 0 < found[0].rmse_m < found[1].rmse_m < found[2].rmse_m


def test_a_model_with_random_weights_is_judged_by_its_own_surface(tmp_path: Path) -> None:
    model = surface.load(card.read(Path(dems.tiny_field(tmp_path))), CPU)
    found = Validation([region()], [2]).judge(model)
    assert found[0].ratio > 1.0 and math.isfinite(found[0].ratio)
    assert found[0].data == "a"


def test_voids_and_edges_are_not_judged() -> None:
    """Heights in voids may be anything, and a spoilt edge changes nothing."""
    clean = region()
    spoilt = Region("a", clean.heights.copy(), clean.valid.copy(), 30.0, 30.0)
    spoilt.valid[60:70, 40:50] = False
    other = Region("a", spoilt.heights.copy(), spoilt.valid, 30.0, 30.0)
    other.heights[60:70, 40:50] = 1e6
    model = surface.load(card.find("baseline"), CPU)
    one, two = (Validation([r], [2]).judge(model)[0].rmse_m for r in (spoilt, other))
    assert one == two != Validation([clean], [2]).judge(model)[0].rmse_m


@pytest.mark.parametrize(
    ("shape", "scales"), [((96, 96), [2, 4, 8]), ((95, 200), [2, 4]), ((24, 60), [2]), ((20, 90), [])]
)
def test_small_pieces_are_judged_at_small_scales(shape: tuple[int, int], scales: list[int]) -> None:
    found = Validation([region(shape)]).judge(surface.load(card.find("baseline"), CPU))
    assert [one.scale for one in found] == scales


def test_flat_ground_cannot_judge() -> None:
    flat = Region("sea", np.zeros((120, 120), np.float32), np.ones((120, 120), bool), 30.0, 30.0)
    found = Validation([flat]).judge(surface.load(card.find("baseline"), CPU))
    assert found == [] and validation.score(found) == math.inf


def test_large_ground_is_judged_in_a_few_pieces() -> None:
    ground = Region("a", np.zeros((1500, 1030), np.float32), np.ones((1500, 1030), bool), 30.0, 30.0)
    ground.valid[:500, :400] = False
    pieces = Validation([ground]).pieces
    assert len(pieces) == validation.MOST_PIECES
    assert all(max(p.heights.shape) <= validation.PIECE_PX and p.valid.mean() > 0.5 for p in pieces)


def test_ratios_are_geometric_means() -> None:
    found = [Judgement("a", 2, 1.0, 2.0), Judgement("b", 2, 2.0, 1.0), Judgement("a", 4, 1.0, 4.0)]
    assert validation.ratios(found) == pytest.approx({2: 1.0, 4: 0.25})
    assert validation.score(found) == pytest.approx(0.5)
    assert validation.score([Judgement("a", 2, math.nan, 1.0)]) == math.inf
