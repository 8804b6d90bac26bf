"""Model cards: found by name or folder, complete, and true to their weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neural_terrain.core.elevation import card, compute, surface
from neural_terrain.core.errors import TerrainError


def test_the_shipped_models_are_complete() -> None:
    cards = card.installed()
    assert set(cards) >= {"baseline", "ebcf"}
    for found in cards.values():
        assert found.summary
        assert found.licence
        assert found.beware
        assert not found.weights or found.weights_path().stat().st_size == found.weights["bytes"]


def test_the_default_model_says_what_it_learned_from_and_what_it_was_measured_at() -> None:
    found = card.find("")
    assert found.name == card.DEFAULT_MODEL
    assert all({"name", "licence", "credit"} <= set(source) for source in found.training["data"])
    assert {row["scale"] for row in found.results} >= {2.0, 3.7, 4.0, 8.0}
    assert all(row["rmse_m"] < row["bicubic_rmse_m"] for row in found.results)


def test_further_folders_are_searched(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(card.FOLDERS_VARIABLE, str(Path(tiny).parent))
    assert card.find("tiny").folder == Path(tiny)
    assert card.find(tiny).name == "tiny"


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(TerrainError, match=r"no model 'bold'; installed are baseline, ebcf"):
        card.find("bold")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "card.json").unlink(), "no model"),
        (lambda f: (f / "card.json").write_text("{", encoding="utf-8"), "damaged"),
        (lambda f: (f / "card.json").write_text('{"name": "x"}', encoding="utf-8"), "damaged"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"other"), "not the one on the model card"),
        (lambda f: (f / "weights.safetensors").unlink(), "no weights file"),
    ],
)
def test_a_damaged_model_is_one_sentence(tiny: str, tmp_path: Path, damage, says: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("card.json", "weights.safetensors"):
        (folder / name).write_bytes((Path(tiny) / name).read_bytes())
    damage(folder)
    with pytest.raises(TerrainError, match=says):
        card.find(str(folder)).weights_path()


def test_hashes_are_not_taken_for_secrets() -> None:
    for path in card.SHIPPED.glob("*/card.json"):
        weights = json.loads(path.read_text(encoding="utf-8")).get("weights", {})
        assert all(len(group) == 8 for group in weights.get("sha256", "").split())


@pytest.mark.parametrize("asked", ["cuda", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.torch.cuda, "is_available", lambda: False)
    with pytest.raises(TerrainError, match="finds no CUDA device; choose auto or cpu"):
        compute.choose(asked)


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.torch.cuda, "is_available", lambda: False)
    assert compute.choose("auto").device == "cpu"
    assert compute.choose("cpu") == compute.choose("auto")
    assert compute.devices() == ["cpu"]
    assert compute.memory_bytes() > 2**28


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": {}}, "names no weights"),
        ({"weights": {"file": "weights.safetensors"}}, "names no weights"),
        ({"network": {"blocks": 3}}, "do not fit its card"),
        ({"network": {"colour": 1}}, "do not fit its card"),
        ({"family": "dreams"}, "is of family 'dreams'.*it runs baseline, ebcf"),
    ],
)
def test_a_card_that_tells_of_another_network_is_refused(tiny: str, tmp_path: Path, change: dict, says: str) -> None:
    values = json.loads((Path(tiny) / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps(values | change), encoding="utf-8")
    (tmp_path / "weights.safetensors").write_bytes((Path(tiny) / "weights.safetensors").read_bytes())
    with pytest.raises(TerrainError, match=says):
        surface.load(card.find(str(tmp_path)), compute.Compute())


@pytest.mark.parametrize("change", [{"network": {"blocks": 3, "channels": 8}}, {"network": {"colour": 1}}])
def test_a_field_card_that_tells_of_another_network_is_refused(tiny_field: str, change: dict) -> None:
    other = replace(card.find(tiny_field), **change)
    with pytest.raises(TerrainError, match="weights of model tinyfield do not fit its card"):
        surface.load(other, compute.Compute())


def test_every_family_says_what_it_can_do(tiny: str, tiny_field: str) -> None:
    models = [surface.load(card.find(name), compute.Compute()) for name in ("baseline", tiny, tiny_field)]
    assert [m.honours_input for m in models] == [False, False, True]
    assert [m.tells_error for m in models] == [False, False, True]
    for model in models[:2]:
        with pytest.raises(TerrainError, match="does not estimate its error"):
            model.error90(None, None)


def test_a_damaged_card_keeps_no_other_model_from_being_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "card.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv(card.FOLDERS_VARIABLE, str(tmp_path))
    assert card.find("").name == card.DEFAULT_MODEL
