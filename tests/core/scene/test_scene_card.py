"""Weights, card and recipe: what is exported is what is loaded, and damage is said in a sentence."""

import json

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.scene import card, recipe, weights
from neural_terrain.core.scene.model import StageModel
from neural_terrain.core.scene.stages import STAGES

NARROW = {"widths": [8, 8, 8, 8], "blocks": 1, "prior_widths": [8, 8, 8, 8]}


@pytest.fixture
def folder(tmp_path):
    """A model of narrow networks as the training script leaves it."""
    about = {"name": "n", "title": "t", "version": "1", "attribution": "a", "styles": ["paris"],
             "places": {"paris": 0, "aleppo": 1}, "stages": {}}  # fmt: skip
    for stage in STAGES:
        model = StageModel(recipe.recipe(stage, **NARROW).settings)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        training = tmp_path / "trainings" / stage
        training.mkdir(parents=True)
        state = {"phase": "done", "step": 9, "seconds": 7200.0, "average": model.state_dict()}
        torch.save(state, training / "checkpoint.pt")
        about["stages"][stage] = weights.export(stage, training, model.settings, tmp_path / f"{stage}.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(about))
    return tmp_path


def test_loaded_weights_are_the_trained_ones_in_half_precision(folder):
    found = card.read(folder)
    for stage in STAGES:
        kept = torch.load(folder / "trainings" / stage / "checkpoint.pt", weights_only=True)["average"]
        loaded = weights.fitted(found, stage, Compute()).state_dict()
        assert loaded.keys() == kept.keys()
        for name, value in kept.items():
            assert loaded[name].numpy() == pytest.approx(value.half().float().numpy())
        assert found.stages[stage]["trained"]["cpu_hours"] == 2


def test_places_have_numbers_and_mixed_is_none_of_them(folder):
    found = card.read(folder)
    assert (found.place("paris"), found.place("mixed")) == (0, 2)
    with pytest.raises(TerrainError, match="no style aleppo; choose one of mixed, paris"):
        found.place("aleppo")
    assert len(found.hash) == 8


def test_damage_is_found(folder):
    path = folder / "R.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-4] + b"abcd")
    with pytest.raises(TerrainError, match="is not the one on the card"):
        weights.fitted(card.read(folder), "R", Compute())
    path.unlink()
    with pytest.raises(TerrainError, match="has no weights file"):
        weights.fitted(card.read(folder), "R", Compute())
    (folder / "card.json").write_text("{")
    with pytest.raises(TerrainError, match="is damaged"):
        card.read(folder)


def test_weights_of_other_sizes_do_not_fit(folder):
    about = json.loads((folder / "card.json").read_text())
    about["stages"]["G"]["network"]["widths"] = [8, 8, 8, 16]
    (folder / "card.json").write_text(json.dumps(about))
    with pytest.raises(TerrainError, match="do not fit the scene model's card"):
        weights.fitted(card.read(folder), "G", Compute())
    with pytest.raises(TerrainError, match="holds no training of stage G"):
        weights.export("G", folder / "trainings" / "L", recipe.recipe("G", **NARROW).settings, folder / "G.safetensors")


def test_the_shipped_recipe_is_that_of_the_shipped_card():
    shipped = card.read()
    assert list(recipe.places().values()) == sorted(shipped.places, key=shipped.places.__getitem__)
    for stage in STAGES:
        settings = recipe.recipe(stage).settings
        assert weights.settings_of(shipped.stages[stage]["network"]) == settings
    assert np.unique(list(shipped.places.values())).tolist() == list(range(len(shipped.places)))


def test_a_recipe_with_unknown_members_is_refused(tmp_path):
    with pytest.raises(TerrainError, match="does not describe stage R"):
        recipe.recipe("R", colour="red")
    with pytest.raises(TerrainError, match="cannot be read"):
        recipe.places(tmp_path / "none.json")
