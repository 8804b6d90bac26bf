"""Training: it learns, it goes on where it was stopped, and it writes what can be loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neural_terrain.core.elevation import training
from neural_terrain.core.elevation.degradation import PairShape, Region
from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings
from neural_terrain.core.elevation.training import Recipe, Training
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

RECIPE = Recipe(
    network=EbcfSettings(**dems.TINY), shape=PairShape(28, 8, 8), regions={"a": 1.0}, validation=("b",),
    steps=6, batch=2, warmup_steps=2, learning_rate=2e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def regions() -> list[Region]:
    ground = [surfaces.fractal((260, 260), seed).astype(np.float32) for seed in (1, 2)]
    return [Region(n, z, np.ones(z.shape, bool), 30.0, 30.0) for n, z in zip("ab", ground, strict=True)]


def test_a_training_that_was_stopped_ends_like_an_unbroken_one(tmp_path: Path, regions: list[Region]) -> None:
    rows: list[dict] = []
    whole = Training(RECIPE, regions, tmp_path / "whole")
    whole.run(rows.append, every=3)
    assert [row["step"] for row in rows] == [3, 6]
    stopped = Training(RECIPE, regions, tmp_path / "parts")
    while stopped.step < 3:
        stopped._advance()
    stopped._save()
    goes_on = Training(RECIPE, regions, tmp_path / "parts")
    assert goes_on.step == 3
    goes_on.run(rows.append, every=3)
    for name, value in whole.network.state_dict().items():
        assert torch.allclose(value, goes_on.network.state_dict()[name], atol=1e-6), name


def test_the_loss_falls_on_one_batch(regions: list[Region], tmp_path: Path) -> None:
    under_way = Training(RECIPE, regions, tmp_path)
    batch = training.collate(under_way._draw())
    optimiser = torch.optim.Adam(under_way.network.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        value = training.loss(under_way.network, batch, 0.5)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_exported_weights_are_those_of_the_network(tmp_path: Path) -> None:
    network = Ebcf(EbcfSettings(**dems.TINY))
    entry = training.export(network, tmp_path)
    found = load_file(tmp_path / entry["file"])
    assert (tmp_path / entry["file"]).stat().st_size == entry["bytes"]
    assert len(entry["sha256"].split()) == 8
    for name, value in network.state_dict().items():
        assert torch.equal(found[name], value.half())


def test_the_learning_rate_warms_up_and_cools_down() -> None:
    recipe = replace(RECIPE, steps=1000, warmup_steps=100)
    rates = [recipe.rate(step) for step in range(1001)]
    assert max(rates) == recipe.learning_rate and rates[0] < rates[50] < rates[100]
    assert rates[699] == recipe.learning_rate > rates[850] > rates[1000] == 0
