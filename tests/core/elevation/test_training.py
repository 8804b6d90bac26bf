"""Training: it learns, it repeats by seed, it goes on bit by bit where it was stopped, and it survives a bad step."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neural_terrain.core.elevation import card, training, weights
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.degradation import Degradations, PairShape, Region
from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings
from neural_terrain.core.elevation.field import FieldSettings
from neural_terrain.core.elevation.recipe import Recipe
from neural_terrain.core.elevation.training import Training
from neural_terrain.core.errors import TerrainError
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

RECIPE = Recipe(
    network=FieldSettings(**dems.TINY_FIELD), shape=PairShape(28, 8, 8), regions={"a": 1.0}, validation=("b",),
    steps=6, batch=2, warmup_steps=2, learning_rate=2e-3,
)  # fmt: skip
EBCF = replace(RECIPE, network=EbcfSettings(**dems.TINY))


@pytest.fixture(scope="module")
def regions() -> list[Region]:
    ground = [surfaces.fractal((260, 260), seed).astype(np.float32) for seed in (1, 2)]
    return [Region(n, z, np.ones(z.shape, bool), 30.0, 30.0) for n, z in zip("ab", ground, strict=True)]


def ended(recipe: Recipe, regions: list[Region], folder: Path, stops: list[int]) -> Training:
    """A training that was stopped after these steps, and went on from its checkpoint each time."""
    for stop in stops:
        under_way = Training(recipe, regions, folder)
        while under_way.step < stop:
            under_way.advance(recipe.rate(under_way.step))
        under_way.save()
    last = Training(recipe, regions, folder)
    last.run(lambda row: None, every=100)
    return last


@pytest.mark.parametrize(
    "recipe",
    [RECIPE, EBCF, replace(RECIPE, network=FieldSettings(blocks=1, channels=32), muon=True)],
    ids=["field", "ebcf", "field with Muon"],
)
def test_a_training_that_was_killed_ends_with_the_same_bits(
    recipe: Recipe, regions: list[Region], tmp_path: Path
) -> None:
    whole = ended(recipe, regions, tmp_path / "whole", [])
    killed = ended(recipe, regions, tmp_path / "parts", [2, 5])
    assert whole.step == killed.step == 6
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, killed.network.state_dict()[name]), name
        assert torch.equal(whole.average[name], killed.average[name]), name


def test_another_seed_gives_another_training(regions: list[Region], tmp_path: Path) -> None:
    one, same, other = (
        ended(replace(RECIPE, seed=seed, steps=2), regions, tmp_path / name, [])
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    heads = [t.network.state_dict()["trunk.head.weight"] for t in (one, same, other)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_rows_tell_of_steps_loss_and_ratios(regions: list[Region], tmp_path: Path) -> None:
    rows: list[dict] = []
    Training(RECIPE, regions, tmp_path).run(rows.append, every=3)
    assert [row["step"] for row in rows] == [3, 6]
    assert all(math.isfinite(row["loss"]) and row["skipped"] == 0 and 0.5 < row["x4"] < 2 for row in rows)


@pytest.mark.parametrize("recipe", [RECIPE, EBCF], ids=["field", "ebcf"])
def test_the_loss_falls_on_one_batch(recipe: Recipe, regions: list[Region], tmp_path: Path) -> None:
    under_way = Training(recipe, regions, tmp_path)
    pairs = under_way.draw(0)
    under_way.draw = lambda step: pairs  # type: ignore[method-assign]
    losses = [under_way.advance(3e-3) for _ in range(40)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_step_without_a_finite_loss_changes_nothing_and_many_end_the_training(
    regions: list[Region], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = Training(RECIPE, regions, tmp_path)
    under_way.advance(1e-3)
    before = {name: value.clone() for name, value in under_way.network.state_dict().items()}
    real, bad = training.loss, {"left": 2}

    def sometimes(*given: object) -> torch.Tensor:
        bad["left"] -= 1
        return real(*given) * (float("nan") if bad["left"] >= 0 else 1.0)

    monkeypatch.setattr(training, "loss", sometimes)
    assert all(math.isnan(under_way.advance(1e-3)) for _ in range(2))
    assert (under_way.step, under_way.skipped) == (3, 2)
    assert all(torch.equal(before[name], value) for name, value in under_way.network.state_dict().items())
    assert math.isfinite(under_way.advance(1e-3))
    assert not torch.equal(before["height.last.weight"], under_way.network.state_dict()["height.last.weight"])
    bad["left"] = 1000
    with pytest.raises(TerrainError, match=r"not a number in 25 steps in a row.*lower learning_rate"):
        for _ in range(30):
            under_way.advance(1e-3)


@pytest.mark.parametrize("recipe", [RECIPE, EBCF], ids=["field", "ebcf"])
def test_number_formats_agree(recipe: Recipe, regions: list[Region]) -> None:
    """What a GPU is told (device and format) is what the CPU does here: autocast on, and off."""
    losses = [Training(recipe, regions, None, Compute("cpu", dtype)).advance(1e-3) for dtype in ("float32", "bfloat16")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("recipe", [RECIPE, EBCF], ids=["field", "ebcf"])
def test_a_batch_and_a_network_can_live_on_another_device(
    recipe: Recipe, regions: list[Region], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device ``meta`` has shapes only, but refuses tensors of two devices like a GPU does; it has no autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    under_way = Training(recipe, regions, None)
    batch = training.collate(under_way.draw(0)).to("meta")
    value = training.loss(training.build(recipe, "meta"), batch, recipe)
    value.backward()
    assert value.device.type == batch.features.device.type == batch.target.device.type == "meta"


def test_a_training_starts_from_the_weights_of_a_model(regions: list[Region], tmp_path: Path) -> None:
    start = weights.read(card.read(Path(dems.tiny_field(tmp_path / "model"))))
    under_way = Training(RECIPE, regions, None, start=start)
    for name, value in under_way.averaged().state_dict().items():
        assert torch.equal(value, start[name])
    with pytest.raises(TerrainError, match="does not fit the recipe's network"):
        Training(EBCF, regions, None, start=start)


def test_a_checkpoint_that_is_damaged_or_of_another_recipe_is_refused(regions: list[Region], tmp_path: Path) -> None:
    Training(RECIPE, regions, tmp_path).save()
    with pytest.raises(TerrainError, match="belongs to another recipe"):
        Training(EBCF, regions, tmp_path)
    (tmp_path / training.CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(TerrainError, match="is damaged"):
        Training(RECIPE, regions, tmp_path)


def test_ground_without_room_or_without_names_is_refused(regions: list[Region]) -> None:
    with pytest.raises(TerrainError, match="hardly any gap-free square"):
        Training(replace(RECIPE, shape=PairShape(240, 8, 8)), regions, None).advance(1e-3)
    with pytest.raises(TerrainError, match="the recipe's regions are z"):
        Training(replace(RECIPE, regions={"z": 1.0}), regions, None)


def test_shares_follow_the_recipe_else_the_area(regions: list[Region]) -> None:
    small = replace(regions[1], name="c", heights=regions[1].heights[:130], valid=regions[1].valid[:130])
    by_area = Training(replace(RECIPE, regions={}, validation=()), [regions[0], small], None)
    assert by_area.share == pytest.approx([2 / 3, 1 / 3])
    stated = Training(replace(RECIPE, regions={"a": 1, "c": 3}), [regions[0], small], None)
    assert stated.share == pytest.approx([0.25, 0.75])


def test_exported_weights_are_those_of_the_network(tmp_path: Path) -> None:
    network = Ebcf(EbcfSettings(**dems.TINY))
    entry = training.export(network, tmp_path)
    found = load_file(tmp_path / entry["file"])
    assert (tmp_path / entry["file"]).stat().st_size == entry["bytes"]
    assert len(entry["sha256"].split()) == 8
    for name, value in network.state_dict().items():
        assert torch.equal(found[name], value.half())


def test_what_validation_looks_at_is_the_average_alone() -> None:
    settings = training.plain(4.0)
    assert {v for k, v in vars(settings).items() if k.endswith("_share")} == {0.0}
    assert (settings.scale_min, settings.scale_max, settings.relief_factor_max) == (4.0, 4.0, 1.0)
    assert isinstance(settings, Degradations)
