"""*Train or fine-tune a DEM model* in the engine: a model that can be used at once, and a card that tells all of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neural_terrain.core import model_training
from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.traindem import Settings
from neural_terrain.core.model_folder import FILES
from neural_terrain.core.model_training import Clock, train
from neural_terrain.core.progress import CallbackProgress, Progress
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

TINY = {"network": dems.TINY_FIELD, "shape": {"coarse_px": 32, "queries": 16}, "batch": 2, "steps": 8,
        "warmup_steps": 2, "muon": False}  # fmt: skip


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DEM of 300 x 160 cells with a hole."""
    heights = surfaces.fractal((160, 300), 4).astype(np.float32)
    heights[100:110, 20:40] = -9999
    return dems.write(tmp_path_factory.mktemp("dem") / "hills.tif", heights, nodata=-9999)


def recipe(folder: Path, **changes: object) -> str:
    """A recipe file for a quick training."""
    path = folder / "own.json"
    path.write_text(json.dumps({**TINY, **changes}), encoding="utf-8")
    return str(path)


def settings(fine: str, place: Path, values: dict | None = None, **changes: object) -> Settings:
    """Settings of a quick training."""
    plain = {"input": (fine,), "output": str(place / "model"), "minutes": 5.0, "licence": "CC0", "credit": "me"}
    if "recipe" not in changes:
        plain["recipe"] = recipe(place, **(values or {}))
    return Settings(**{**plain, **changes})  # type: ignore[arg-type]


def test_a_new_model_has_a_full_card_and_restores_heights(fine: str, tmp_path: Path) -> None:
    heard = dems.Heard()
    report = tmp_path / "report.html"
    result = train(settings(fine, tmp_path, title="My hills", report=str(report)), heard)
    folder = tmp_path / "model"
    assert {p.name for p in folder.iterdir()} == FILES
    assert 0 < result["best_step"] <= result["steps"] <= 8 and result["device"].startswith("cpu")
    told = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (told["name"], told["title"], told["family"], told["licence"]) == ("model", "My hills", "field", "CC0")
    assert told["input"]["cell_size_m"] == [45.0, 149.0] and told["input"]["scale"] == [1, 4.97]
    assert told["training"]["data"][0] | {"cells": 0} == {
        "name": "hills", "licence": "CC0", "credit": "me", "cells": 0, "cell_size_m": 30.0
    }  # fmt: skip
    assert told["training"]["started_from"] is None and told["calibration"]["coverage"] == 0.9
    assert {row["scale"] for row in told["results"]} == {2.0, 4.0} and "x8" in told["beware"][-1]
    ratios = [row["rmse_m"] / row["baseline_rmse_m"] for row in told["results"]]
    assert [result["ratio_x2"], result["ratio_x4"]] == pytest.approx(ratios, rel=1e-3) and result["ratio_x8"] is None
    found = card.read(folder)
    model = surface.load(found, Compute())
    assert model.halo_px == found.halo_px > 20 and model.tells_error
    page = report.read_text(encoding="utf-8")
    assert "My hills" in page and "Validation on held-back ground" in page and page.count("data:image/svg") == 2


def test_the_log_and_the_recipe_tell_how_to_repeat_it(fine: str, tmp_path: Path) -> None:
    """The recipe that is written gives, with the same DEM, the same bits again."""
    result = train(settings(fine, tmp_path, seed=3), Progress())
    rows = [json.loads(line) for line in (tmp_path / "model" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in rows] == list(range(result["steps"] + 1)) and rows[0]["loss"] is None
    assert rows[0]["minutes"] == 0 and all(a["minutes"] <= b["minutes"] for a, b in pairwise(rows))
    assert {"minutes", "x2", "x4", "skipped"} <= set(rows[-1])
    again = tmp_path / "again"
    again.mkdir()
    train(settings(fine, again, recipe=str(tmp_path / "model" / "recipe.json")), Progress())
    one, two = (load_file(folder / "model" / "weights.safetensors") for folder in (tmp_path, again))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("family", ["field", "ebcf"])
def test_fine_tuning_keeps_the_network_and_names_the_origin(fine: str, tmp_path: Path, family: str) -> None:
    base = (dems.tiny_field if family == "field" else dems.tiny_ebcf)(tmp_path / "base")
    values = {name: value for name, value in TINY.items() if name != "network"}
    (tmp_path / "own.json").write_text(json.dumps({**values, "steps": 3}), encoding="utf-8")
    heard = dems.Heard()
    train(settings(fine, tmp_path, model=base, recipe=str(tmp_path / "own.json")), heard)
    told = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    origin = card.read(Path(base))
    assert told["network"].items() >= origin.network.items() and told["family"] == family
    assert told["training"]["started_from"]["weights"] == origin.short_hash
    used = json.loads((tmp_path / "model" / "recipe.json").read_text(encoding="utf-8"))
    default = json.loads((model_training.RECIPES / f"{family}.json").read_text(encoding="utf-8"))
    assert used["learning_rate"] == pytest.approx(default["learning_rate"] / 4)
    assert used["batch"] == 2 and used["gradient_loss"] == default["gradient_loss"]
    assert surface.load(card.read(tmp_path / "model"), Compute()).halo_px > 0
    assert any("no better than the baseline" in text for text in heard.texts("warning")), "its weights are random"


def test_a_base_that_cannot_be_improved_is_given_back_with_a_warning(fine: str, tmp_path: Path) -> None:
    train(settings(fine, tmp_path, {"steps": 30, "learning_rate": 0.003}, output=str(tmp_path / "base")), Progress())
    heard = dems.Heard()
    train(settings(fine, tmp_path, {"steps": 2, "learning_rate": 30.0}, model=str(tmp_path / "base")), heard)
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("base", "model"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any("did not improve the model base" in text for text in heard.texts("warning"))


def test_what_is_not_known_of_the_data_is_warned_about(fine: str, tmp_path: Path) -> None:
    heard = dems.Heard()
    train(settings(fine, tmp_path, {"steps": 1}, licence="", credit=""), heard)
    assert [text.split(" of")[0] for text in heard.texts("warning")][:2] == ["The licence", "The credit"]
    told = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert told["licence"] == told["training"]["data"][0]["credit"] == "unknown"


def test_a_folder_of_dems_is_read_and_useless_ones_are_left_out(fine: str, tmp_path: Path) -> None:
    places = tmp_path / "dems"
    places.mkdir()
    dems.write(places / "good.tif", surfaces.fractal((140, 140), 1).astype(np.float32))
    dems.write(places / "small.tif", surfaces.fractal((90, 400), 1).astype(np.float32))
    dems.write(places / "void.tif", np.full((200, 200), -9999, np.float32), nodata=-9999)
    heard = dems.Heard()
    train(settings(fine, tmp_path, {"steps": 1}, input=(), folder=str(places)), heard)
    told = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in told["training"]["data"]] == ["good"]
    warned = " ".join(heard.texts("warning"))
    assert (
        "small.tif is left out: it has 400 x 90 cells" in warned and "void.tif is left out: it has no valid" in warned
    )


def test_layers_override_the_crs_and_no_data_of_their_files(tmp_path: Path) -> None:
    plain = dems.write(tmp_path / "plain.tif", surfaces.fractal((200, 200), 1).astype(np.float32), crs=None)
    height = float(np.median(dems.read(plain)))
    values = {"crs": ("EPSG:4326",), "no_data": (((height, 9e9),),)}
    ground = model_training.read_ground(settings(plain, tmp_path, **values), model_training.Recipe(), Progress())
    assert ground.dems[0].region.cell_height_m > 1e6 and ground.dems[0].region.valid.mean() == pytest.approx(
        0.5, abs=0.01
    )


BAD = {
    "The recipe has the unknown name depth": ({"depth": 3}, {}),
    "The recipe is for family ebcf, but the model tiny-field is of family field": (
        {"family": "ebcf", "network": {}}, {"model": "tiny-field"}),
    "The recipe asks for another network than that of the model tinyfield": (
        {"network": {"blocks": 5}}, {"model": "tinyfield"}),
    "The model baseline is of family baseline, which cannot be trained": ({}, {"model": "baseline"}),
    "There is no model 'unheard-of'; installed are": ({}, {"model": "unheard-of"}),
    "does not exist; make it or choose another for the report.": ({}, {"report": "none/such/report.html"}),
    "The name ebcf is that of a shipped model": ({}, {"name": "ebcf"}),
    "holds back valley, which is no DEM here; the DEMs are hills.": ({"validation": ["valley"]}, {}),
    "The training came to no usable model": ({"learning_rate": 1e25, "steps": 2}, {}),
}  # fmt: skip


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing(fine: str, tmp_path: Path, sentence: str) -> None:
    values, changes = BAD[sentence]
    if str(changes.get("model", "")).startswith("tiny"):
        base = dems.tiny_field(tmp_path / "base")
        changes, sentence = {"model": base}, sentence.replace("tiny-field", "tinyfield")
    with pytest.raises(TerrainError) as refusal:
        train(settings(fine, tmp_path, values, **changes), Progress())
    assert sentence in str(refusal.value) and str(refusal.value).endswith(".")
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("heights", "sentence"), [
    (np.zeros((300, 300), np.float32), "too flat, too small or too full of voids to judge"),
    (np.full((300, 300), -9999, np.float32), "one needs at least 100 x 100 cells"),
    (np.ones((90, 300), np.float32), "one needs at least 100 x 100 cells"),
    (np.where(np.indices((300, 300)).sum(0) % 40, 1, -9999).astype(np.float32), "The largest square without a void"),
], ids=["flat", "void", "small", "holes"])  # fmt: skip
def test_ground_that_teaches_nothing_is_refused(tmp_path: Path, heights: np.ndarray, sentence: str) -> None:
    useless = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    with pytest.raises(TerrainError, match=sentence):
        train(settings(useless, tmp_path), Progress())
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".*"))


def test_more_than_the_memory_holds_is_refused(fine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_training.compute, "memory_bytes", lambda: 1_000_000)
    with pytest.raises(TerrainError, match="Give fewer or smaller ones, clipped for instance."):
        train(settings(fine, tmp_path), Progress())


@pytest.mark.parametrize("keep", [False, True])
def test_a_cancel_leaves_nothing_or_the_best_model(fine: str, tmp_path: Path, keep: bool) -> None:
    seen: list[dict] = []
    told = CallbackProgress(seen.append, lambda: sum("step" in e.get("text", "") for e in seen) == 5)
    with pytest.raises(Cancelled):
        train(settings(fine, tmp_path, keep=keep), told)
    assert (tmp_path / "model").exists() == keep and not list(tmp_path.glob(".*"))
    if keep:
        assert {p.name for p in (tmp_path / "model").iterdir()} == FILES
        assert surface.load(card.read(tmp_path / "model"), Compute()).halo_px > 0


def test_a_training_without_gain_ends_early(fine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_training, "PATIENCE", 2)
    scores = iter([9, *range(1, 99)])
    monkeypatch.setattr(model_training.validation, "score", lambda found: next(scores))
    heard = dems.Heard()
    result = train(settings(fine, tmp_path, {"steps": 24}), heard)
    said = " ".join(heard.texts("info"))
    assert "the learning rate begins to fall now" in said and "the training ends at step" in said
    assert result["best_step"] == 1 and result["steps"] < 10


def test_minutes_end_a_training(fine: str, tmp_path: Path) -> None:
    result = train(settings(fine, tmp_path, {"steps": 10**6}, minutes=0.03), Progress())
    assert 0.03 <= result["minutes"] < 0.3 and result["steps"] < 10**5


def test_the_clock_goes_by_what_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(model_training.time, "monotonic", lambda: now[0])
    clock = Clock(minutes=10, steps=100)
    now[0] += 60
    assert clock.used(5) == pytest.approx(0.1) and clock.used(30) == pytest.approx(0.3) and clock.used(500) == 1
    clock.bring_forward(5, 0.6)
    assert clock.used(5) == pytest.approx(0.6)
    now[0] += 50
    assert clock.used(5) == 1
    clock.bring_forward(5, 0.6)
    assert clock.used(5) == 1, "a budget does not grow"


def test_settings_travel_as_json(fine: str, tmp_path: Path) -> None:
    from neural_terrain.core.jobs.settings import from_json

    made = settings(fine, tmp_path, crs=("",), no_data=(((1.0, 2.0),),))
    assert asdict(from_json(Settings, json.loads(json.dumps(asdict(made)))))["input"] == (fine,)
