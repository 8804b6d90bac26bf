"""The lock of a file: what the system answers, and the moments between opening and locking."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from neural_terrain.core import lock
from neural_terrain.core.errors import TerrainError


def test_a_file_is_made_and_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    lock.open_locked(path, path).close()
    path.write_bytes(b"content")
    with lock.open_locked(path, path) as file:
        assert file.read() == b"content"
        with pytest.raises(TerrainError, match=r"output .*b\.tif is being written by another run"):
            lock.open_locked(path, tmp_path / "b.tif")
    assert path.read_bytes() == b"content"


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "unlocked", set())
    with lock.open_locked(tmp_path / "a", tmp_path / "a") as file:
        assert file.write(b"x") == 1
    assert lock.unlocked == {tmp_path}


def test_a_disk_that_numbers_its_files_at_random_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems never give the same number twice, so that the name seems to be another file's."""
    asked: list[int] = []

    def never(*_: object) -> bool:
        asked.append(1)
        if len(asked) > 1000:
            raise RuntimeError("asked for ever")
        return False

    monkeypatch.setattr(os.path, "samestat", never)
    with lock.open_locked(tmp_path / "a", tmp_path / "a") as file:
        assert file.write(b"x") == 1
        with pytest.raises(TerrainError, match="another run"):
            lock.open_locked(tmp_path / "a", tmp_path / "a")


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
def test_a_file_that_its_owner_takes_away_in_between_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The other run commits after we have opened its file and before we lock it."""
    path, result, plain, calls = tmp_path / "part", tmp_path / "result", fcntl.flock, []
    path.write_bytes(b"finished")

    def late(descriptor: int, operation: int) -> None:
        if not calls:
            path.unlink() if how == "removed" else path.rename(result)
            if how == "replaced":
                path.write_bytes(b"next")
        calls.append(descriptor)
        plain(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock.open_locked(path, path) as file:
        assert file.read() == (b"next" if how == "replaced" else b"")
        file.write(b"ours")
    assert len(calls) == 2
    if how != "removed":
        assert result.read_bytes() == b"finished"


def test_a_folder_that_cannot_be_written_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock.open_locked(tmp_path / "none" / "a", tmp_path / "a")
