"""The network: shapes, receptive field, continuity over cell borders, and a training that learns and resumes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import card, training
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.degradation import Degradations, PairShape, Region, draw_pair
from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings, encode_positions
from neural_terrain.core.elevation.ebcf_surface import GPU_BLOCK_PX, EbcfSurface
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.normaliser import CHANNELS
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.tests import surfaces

SMALL = EbcfSettings(blocks=2, channels=8, width=16)
RECIPE = training.Recipe(
    network=SMALL,
    shape=PairShape(coarse_px=24, margin_px=8, queries=12),
    regions={"learn": 1.0},
    validation=("judge",),
    steps=12,
    batch=2,
    warmup_steps=2,
)


def network(settings: EbcfSettings = SMALL) -> Ebcf:
    """A network whose bias is not zero."""
    torch.manual_seed(3)
    made = Ebcf(settings)
    torch.nn.init.normal_(made.bias.weight, std=0.3)
    return made.eval()


def regions() -> list[Region]:
    """Two pieces of fractal ground."""
    return [
        Region(name, surfaces.fractal((260, 260), seed).astype(np.float32), np.ones((260, 260), bool), 30.0, 30.0)
        for name, seed in (("learn", 1), ("judge", 2))
    ]


def test_the_default_is_edsr_baseline_and_the_decoder_of_the_paper() -> None:
    """EDSR-baseline has 16 blocks of 64 channels and a receptive radius of 34; the decoder four layers of 256."""
    made = Ebcf(EbcfSettings())
    assert made.settings.trunk_radius_px == 34
    trunk = sum(p.numel() for name, p in made.named_parameters() if name.startswith(("blocks", "tail")))
    assert trunk == 33 * (64 * 64 * 9 + 64)
    assert [layer.weight.shape[:2] for layer in made.hidden] == [(256, 256)] * 3


def test_valid_convolutions_give_what_padded_ones_give_inside() -> None:
    features = torch.randn(1, CHANNELS, 40, 44)
    made, radius = network(), SMALL.trunk_radius_px
    with torch.no_grad():
        valid, padded = made.encode(features), made.encode(features, pad=1)
    assert valid.shape == (1, 8, 40 - 2 * radius, 44 - 2 * radius)
    inner = padded[..., 2 * radius : -2 * radius, 2 * radius : -2 * radius]
    torch.testing.assert_close(valid[..., radius:-radius, radius:-radius], inner, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", ["rows", "cols"])
def test_there_is_no_step_at_a_cell_border(axis: str) -> None:
    """The bias a millionth of a cell before and after a border is the same; the thesis' nearest anchor has steps."""
    latents = torch.randn(1, 8, 12, 12)
    border = np.array([5 - 1e-6, 5 + 1e-6])
    elsewhere = np.array([6.3, 7.9])
    rows, cols = (border, elsewhere) if axis == "rows" else (elsewhere, border)
    with torch.no_grad():
        bias = network().decode(latents, Queries(rows, cols, 0.25, 0.25))[0]
    step = bias.diff(dim=0 if axis == "rows" else 1).abs().max()
    assert step < 1e-3 * bias.abs().max()


def test_the_encoding_is_separable_and_periodic() -> None:
    encoded = encode_positions(np.array([3.2, 8.2, 3.7]), SMALL)
    assert encoded.shape == (3, 2 * SMALL.frequencies)
    torch.testing.assert_close(encoded[0], encoded[1], rtol=0, atol=1e-4)
    assert not torch.allclose(encoded[0], encoded[2])


@pytest.mark.parametrize("scale", [2.0, 3.7, 8.0])
def test_a_pair_is_registered(scale: float) -> None:
    """On a plane the truth at a query is the plane there, and the coarse cells are its averages: no shift anywhere."""
    rows = np.arange(500.0) + 0.5
    plane = surfaces.lattice(surfaces.plane(2.0, -3.0), rows, rows).astype(np.float32)
    region = Region("plane", plane, np.ones_like(plane, dtype=bool), 10.0, 10.0)
    plain = dict.fromkeys(("point_share", "gaussian_share", "noise_share", "rounding_share", "void_share"), 0.0)
    settings = Degradations(
        scale_min=scale, scale_max=scale, integer_scale_share=0, unequal_scale_share=0, **plain,
        relief_factor_min=1, relief_factor_max=1,
    )  # fmt: skip
    for seed in range(8):
        pair = draw_pair(region, settings, PairShape(24, 4, 16), np.random.default_rng(seed))
        assert pair is not None
        down, across = (np.diff(pair.coarse, axis=axis).mean() for axis in (0, 1))
        middle = (pair.coarse[0, 0], 0.5)
        expected = middle[0] + down * (pair.rows[:, None] - 0.5) + across * (pair.cols[None, :] - 0.5)
        np.testing.assert_allclose(pair.truth, expected, atol=1e-3 * abs(down) * 24)


def test_training_learns_and_a_killed_one_goes_on_alike(tmp_path: Path) -> None:
    rows: list[dict] = []
    whole = training.Training(RECIPE, regions(), tmp_path / "whole")
    whole.run(rows.append, every=6)
    training.Training(replace(RECIPE, steps=6, cooldown_share=1e-9), regions(), tmp_path / "parts").run(rows.append, 6)
    resumed = training.Training(RECIPE, regions(), tmp_path / "parts")
    assert resumed.step == 6
    resumed.run(rows.append, 6)
    assert rows[1]["step"] == rows[-1]["step"] == 12
    assert rows[-1]["loss"] == pytest.approx(rows[1]["loss"], rel=0.02)
    assert 0.5 < rows[1]["x4"] < 1.5


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    recipe = replace(RECIPE, steps=100, warmup_steps=10, cooldown_share=0.3)
    rates = [recipe.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(recipe.learning_rate / 10)
    assert rates[10:70] == [recipe.learning_rate] * 60
    assert rates[70:] == sorted(rates[70:], reverse=True)
    assert rates[100] == 0


def test_exported_weights_are_those_of_the_card(tmp_path: Path) -> None:
    entry = training.export(network(), tmp_path)
    shipped = json.loads((card.SHIPPED / "baseline" / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps({**shipped, "family": "ebcf", "weights": entry}), encoding="utf-8")
    assert card.read(tmp_path).weights_path() == tmp_path / "weights.safetensors"
    assert len(entry["sha256"].replace(" ", "")) == 64


def test_the_shipped_recipe_is_read() -> None:
    recipe = training.Recipe.read(card.SHIPPED / "ebcf" / "recipe.json")
    assert recipe.network == EbcfSettings()
    assert len(recipe.validation) == 6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_for_a_gpu_move_no_height_by_a_millimetre(tiny: str, dtype: str) -> None:
    """They are larger, so that a GPU has enough to do at a time."""
    model = EbcfSurface(card.find(tiny), Compute("cpu", dtype))
    side = 2 * model.halo_px + 20
    ones = np.ones(side)
    latent = model.encode(CoarseHeights(surfaces.fractal((side, side), 3), np.ones((side, side), bool), ones, ones))
    at = model.halo_px + (np.arange(70) + 0.5) / 4
    queries = Queries(at, at[:66], 0.25, 0.25)
    expected = model.decode(latent, queries)
    model._block_px = GPU_BLOCK_PX
    assert np.abs(model.decode(latent, queries) - expected).max() < 1e-3
