"""A model folder under way: old model or new model, never half of one, and never over what others made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from neural_terrain.core import model_folder
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.model_folder import ModelFolder

OURS = {"made_by": f"{model_folder.MADE_BY} 1.0"}


def version(folder: ModelFolder, number: int) -> None:
    """Keep a version."""
    draft = folder.draft()
    (draft / "card.json").write_text(json.dumps({**OURS, "number": number}), encoding="utf-8")
    folder.keep(draft)


def number(path: Path) -> int:
    """Which version lies there."""
    return int(json.loads((path / "card.json").read_text(encoding="utf-8"))["number"])


def test_the_last_version_kept_is_put_in_place_and_nothing_else_stays(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "model")
    for one in (1, 2):
        version(folder, one)
    folder.draft()
    assert not (tmp_path / "model").exists()
    folder.commit()
    folder.close()
    assert number(tmp_path / "model") == 2 and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_model_of_this_tool_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for one in (1, 2):
        folder = ModelFolder(tmp_path / "model")
        version(folder, one)
        folder.commit()
        assert number(tmp_path / "model") == one and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("names", [("notes.txt",), ("card.json",), ("card.json", "notes.txt")])
def test_other_folders_are_refused_and_stay(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "model").mkdir()
    for name in names:
        text = json.dumps(OURS) if len(names) == 2 else "{}"
        (tmp_path / "model" / name).write_text(text, encoding="utf-8")
    with pytest.raises(TerrainError, match="holds other files than a model trained here"):
        ModelFolder(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == set(names) and len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TerrainError, match="is a file; name a new folder"):
        ModelFolder(tmp_path / "file")
    with pytest.raises(TerrainError, match="does not exist; make it or choose another"):
        ModelFolder(tmp_path / "none" / "model")


@pytest.mark.parametrize("keep", [False, True])
def test_abandoning_drops_everything_unless_the_best_is_to_be_kept(tmp_path: Path, keep: bool) -> None:
    folder = ModelFolder(tmp_path / "model", keep_on_close=keep)
    version(folder, 7)
    model_folder.abandon_unfinished()
    assert (tmp_path / "model").exists() == keep and len(list(tmp_path.iterdir())) == int(keep)
    folder.close()
    folder.commit()
    assert (tmp_path / "model").exists() == keep


def test_a_folder_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "model")
    version(folder, 1)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TerrainError, match="holds other files"):
        folder.commit()
    folder.close()
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["notes.txt"] and len(list(tmp_path.iterdir())) == 1


def test_what_killed_runs_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    for name, age_s in ((".model.1.part", 2 * model_folder.STALE_S), (".model.2.part", 0), (".other.1.part", 9e9)):
        (tmp_path / name / "best").mkdir(parents=True)
        for path in (tmp_path / name / "best", tmp_path / name):
            os.utime(path, (1e9, path.stat().st_mtime - min(age_s, 1e8)))
    ModelFolder(tmp_path / "model").close()
    assert {p.name for p in tmp_path.iterdir()} == {".model.2.part", ".other.1.part"}
