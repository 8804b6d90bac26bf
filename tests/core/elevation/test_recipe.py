"""Recipes: data that comes back as it was, and every mistake in it gets one sentence with its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neural_terrain.core import model_training
from neural_terrain.core.elevation import card, recipe
from neural_terrain.core.elevation.ebcf import EbcfSettings
from neural_terrain.core.elevation.field import FieldSettings
from neural_terrain.core.elevation.recipe import Recipe
from neural_terrain.core.errors import TerrainError

FIELD = {"family": "field"}
BAD = [
    ({}, "The recipe's family is None; it can be ebcf, field."),
    ({"family": "gan"}, "The recipe's family is 'gan'; it can be ebcf, field."),
    ({"family": ["field"]}, "The recipe's family is ['field']; it can be ebcf, field."),
    ({**FIELD, "stepps": 3}, "unknown name stepps; the names beside family are network, degradations"),
    ({**FIELD, "network": {"width": 3}}, "unknown name network.width; the names there are blocks, channels"),
    ({**FIELD, "degradations": {"haze": 1}}, "unknown name degradations.haze"),
    ({**FIELD, "steps": "many"}, "steps of the recipe is 'many'; it must be a whole number."),
    ({**FIELD, "steps": True}, "steps of the recipe is True; it must be a whole number."),
    ({**FIELD, "steps": 0}, "steps of the recipe is 0; it must be above 0."),
    ({**FIELD, "learning_rate": None}, "learning_rate of the recipe is None; it must be a number."),
    ({**FIELD, "learning_rate": float("nan")}, "learning_rate of the recipe is nan; it must be a number."),
    ({**FIELD, "muon": 1}, "muon of the recipe is 1; it must be true or false."),
    ({**FIELD, "validation": "a"}, "validation of the recipe is 'a'; it must be a list of texts."),
    ({**FIELD, "regions": {"a": "b"}}, "regions of the recipe is {'a': 'b'}; it must be an object of numbers."),
    ({**FIELD, "averaged": {"a": [1.5]}}, "it must be an object of lists of whole numbers."),
    ({**FIELD, "shape": 3}, "shape of the recipe is 3; it must be an object with names."),
    ({**FIELD, "shape": {"coarse_px": 20, "margin_px": 10}}, "leave at least 4 cells between the margins."),
    ({**FIELD, "shape": {"queries": 7}}, "shape.queries of the recipe is 7; it must be even and above 0."),
    ({**FIELD, "cooldown_share": 2}, "cooldown_share of the recipe is 2.0; it must be from 0 to 1."),
    ({**FIELD, "degradations": {"noise_share": -1}}, "degradations.noise_share of the recipe is -1.0"),
    ({**FIELD, "degradations": {"point_share": 0.9, "gaussian_share": 0.2}}, "at most 1 is allowed."),
    ({**FIELD, "degradations": {"rounding_steps_m": []}}, "rounding_steps_m of the recipe is []; name steps above 0."),
    ({**FIELD, "degradations": {"scale_max": 99}}, "both must be above 1 and at most 16"),
    ({**FIELD, "degradations": {"blur_min_px": 2}}, "degradations.blur range of the recipe is 2 to 0.6"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "sentence"), BAD)
def test_a_mistake_is_named_in_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(TerrainError) as refusal:
        Recipe.from_values(values)
    assert sentence in str(refusal.value) and str(refusal.value).endswith(".")


@pytest.mark.parametrize("text", ["no json", "[1]", ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text, encoding="utf-8")
    with pytest.raises(TerrainError, match="The recipe .* is no JSON"):
        Recipe.read(tmp_path / "recipe.json")
    with pytest.raises(TerrainError, match="cannot be read"):
        Recipe.read(tmp_path / "none.json")


@pytest.mark.parametrize("path", [*card.SHIPPED.glob("*/recipe.json"), *model_training.RECIPES.glob("*.json")], ids=str)
def test_every_recipe_that_is_shipped_comes_back_as_it_was(path: Path) -> None:
    found = Recipe.read(path)
    assert Recipe.from_values(json.loads(json.dumps(found.values()))) == found
    assert isinstance(found.network, {"ebcf": EbcfSettings, "field": FieldSettings}[found.family])


@pytest.mark.parametrize("family", recipe.FAMILIES)
def test_the_default_recipes_name_every_degradation(family: str) -> None:
    values = json.loads((model_training.RECIPES / f"{family}.json").read_text(encoding="utf-8"))
    found = Recipe.from_values(values)
    assert set(values["degradations"]) == set(found.values()["degradations"])
    assert all(value > 0 for name, value in values["degradations"].items() if name.endswith("_share"))


def test_a_users_recipe_changes_single_members() -> None:
    merged = recipe.merged(
        {**FIELD, "batch": 6, "degradations": {"void_share": 0.1, "scale_max": 8.0}},
        {"degradations": {"void_share": 0}},
    )
    assert merged == {**FIELD, "batch": 6, "degradations": {"void_share": 0, "scale_max": 8.0}}


def test_the_rate_warms_up_and_cools_down_by_steps_and_by_budget() -> None:
    made = Recipe(steps=1000, warmup_steps=100, cooldown_share=0.3)
    rates = [made.rate(step) for step in range(1001)]
    assert max(rates) == made.learning_rate and rates[0] < rates[50] < rates[100]
    assert rates[699] == made.learning_rate > rates[850] > rates[1000] == 0
    budget = [made.rate_of_budget(step, step / 1000) for step in range(1001)]
    assert budget == pytest.approx(rates, rel=1e-2, abs=1e-9)
    short = [made.rate_of_budget(step, step / 20) for step in range(21)]
    assert short[3] == made.learning_rate and short[20] == 0, "a short budget is not all warm-up"
