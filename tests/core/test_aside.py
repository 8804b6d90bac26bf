"""Files of one run take their places together: all of them, or none, and nothing is left beside them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from neural_terrain.core import aside
from neural_terrain.core.errors import TerrainError

NAMES = ("town.gpkg", "town.html", "town.json")


def state(folder: Path) -> dict[str, str]:
    return {one.name: one.read_text() if one.is_file() else "folder" for one in folder.iterdir()}


def write(folder: Path, text: str) -> None:
    with aside.together() as files:
        for part in [files.part(folder / name) for name in NAMES]:
            part.write_text(text)
        assert not any(state(folder).get(name) == text for name in NAMES)


def test_a_disk_without_room_is_refused(tmp_path, monkeypatch):
    aside.require_room(tmp_path / "x", 1000, "The town", "or a village")
    monkeypatch.setattr(aside, "free_bytes", lambda path: 20_000)
    with pytest.raises(TerrainError, match=r"The town needs about 0\.95 MB while .* only 0\.019 MB .*, or a village\."):
        aside.require_room(tmp_path / "x", 1e6, "The town", "or a village")


def test_all_appear_when_the_block_is_left(tmp_path):
    for text in ("first", "second"):
        write(tmp_path, text)
        assert state(tmp_path) == dict.fromkeys(NAMES, text)


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("refused", NAMES)
@pytest.mark.parametrize("there", [NAMES, NAMES[:1], ()])
def test_where_one_cannot_be_replaced_all_stay_as_they_were(tmp_path, monkeypatch, linked, refused, there):
    """As on Windows for a file that another program has open; some disks have no second names for files."""
    for name in there:
        (tmp_path / name).write_text("old")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == refused and ".part" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return replace(self, target)

    def no_link(*_) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    if not linked:
        monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(TerrainError, match=rf"{refused} cannot be written \(Permission denied\); close it"):
        write(tmp_path, "new")
    assert state(tmp_path) == dict.fromkeys(there, "old")


def test_a_folder_that_has_come_into_the_way_is_left_alone(tmp_path):
    (tmp_path / NAMES[0]).write_text("old")
    with pytest.raises(TerrainError, match=r"town\.json cannot be written"), aside.together() as files:
        for part in [files.part(tmp_path / name) for name in NAMES]:
            part.write_text("new")
        (tmp_path / NAMES[2]).mkdir()
        (tmp_path / NAMES[2] / "kept").write_text("a")
    assert state(tmp_path) == {NAMES[0]: "old", NAMES[2]: "folder"} and (tmp_path / NAMES[2] / "kept").exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    write(tmp_path, "old")
    with pytest.raises(TerrainError, match=r"town\.html cannot be written \(No space left"), aside.together() as files:
        files.part(tmp_path / NAMES[0]).write_text("new")
        files.part(tmp_path / NAMES[1]).write_text("n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert state(tmp_path) == dict.fromkeys(NAMES, "old")
