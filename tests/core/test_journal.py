"""The journal: whatever stands in the file, what is loaded is true, and two runs never share one."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neural_terrain.core import journal
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.journal import Journal
from neural_terrain.tests.core import store

BINDING = {"version": "0.2", "input": ["dem.tif", 42], "nodata": float("nan")}
ENTRIES = {n: {"output": {"offset": n * 100, "statistics": [1, 0.1 + n, 1e-300, -0.0, 7.25]}} for n in (3, 0, 8)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return journal.beside(tmp_path / "fine.tif")


def written(path: Path, binding: dict = BINDING) -> bytes:
    notes = Journal.open(path, binding, resume=True)
    for index, entry in ENTRIES.items():
        notes.add(index, entry)
    notes.close()
    return path.read_bytes()


def opened(path: Path, binding: dict = BINDING, resume: bool = True) -> tuple[dict, list[str]]:
    notes = Journal.open(path, binding, resume)
    notes.close()
    return notes.entries, notes.differs


def test_a_journal_gives_back_what_was_noted(path: Path) -> None:
    assert path.name == ".fine.tif.journal"
    data = written(path)
    assert opened(path) == (ENTRIES, [])
    assert list(opened(path)[0]) == [3, 0, 8] and path.read_bytes() == data


def test_a_journal_of_another_binding_is_begun_anew_and_says_what_differs(path: Path) -> None:
    written(path)
    other = {**BINDING, "input": ["dem.tif", 43], "plan": 1}
    for _ in range(2):  # a look changes nothing
        notes = Journal.open(path, other, resume=True)
        assert (notes.entries, notes.differs, notes.former) == ({}, ["input", "plan"], ENTRIES)
        notes.close()
    assert opened(path) == (ENTRIES, [])
    notes = Journal.open(path, other, resume=True)
    notes.add(1, {"output": {}})
    notes.close()
    assert opened(path, other) == ({1: {"output": {}}}, [])
    assert opened(path, {"version": "0.2"})[1] == ["input", "nodata", "plan"]


def test_without_resume_nothing_is_loaded(path: Path) -> None:
    written(path)
    assert opened(path, resume=False) == ({}, [])
    assert opened(path) == ({}, [])


def test_wherever_a_kill_cuts_the_file_what_is_left_is_true_and_can_be_gone_on_with(path: Path) -> None:
    data = written(path)
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for stop in range(len(data) + 1):
        path.write_bytes(data[:stop])
        notes = Journal.open(path, BINDING, resume=True)
        whole = sum(end <= stop for end in ends[1:])
        assert notes.entries == dict(list(ENTRIES.items())[:whole])
        notes.add(9, {"output": {}})
        notes.close()
        assert list(opened(path)[0]) == [*list(ENTRIES)[:whole], 9]


@pytest.mark.parametrize("garbage", [b"\0" * 50, b"[1]\n", b'{"tile":"1","entry":{}}\n', b'{"tile":true,"entry":1}\n'])
def test_garbage_ends_what_is_believed(path: Path, garbage: bytes) -> None:
    data = written(path)
    lines = data.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], garbage, *lines[2:]]))
    assert opened(path)[0] == {3: ENTRIES[3]}
    assert path.read_bytes() == b"".join(lines[:2])


@pytest.mark.parametrize("head", [b"\xff\xfe garbage", b"{}\n", b'{"format":0,"binding":{}}\n', b"[]\n", b"7"])
def test_a_file_that_is_no_journal_is_begun_anew(path: Path, head: bytes) -> None:
    path.write_bytes(head)
    assert opened(path) == ({}, ["format"])
    notes = Journal.open(path, BINDING, resume=True)
    notes.begin()
    notes.close()
    assert json.loads(path.read_bytes().splitlines()[0])["format"] == journal.FORMAT


def test_a_journal_has_one_owner(path: Path) -> None:
    notes = Journal.open(path, BINDING, resume=True)
    with pytest.raises(TerrainError, match=r"fine\.tif is being written by another run of Neural Terrain; wait for it"):
        Journal.open(path, BINDING, resume=False)
    notes.add(1, {})
    notes.close()
    assert opened(path)[0] == {1: {}}


HOLDING = """
import sys, time
from pathlib import Path
from neural_terrain.core.journal import Journal
notes = Journal.open(Path(sys.argv[1]), {}, True)
notes.add(4, {})
print("held", flush=True)
time.sleep(60)
"""


def test_another_process_keeps_its_journal_until_it_is_killed(path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, env=store.environment(), stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(TerrainError, match="another run"):
            Journal.open(path, {}, resume=True)
        owner.send_signal(signal.SIGKILL)
    assert opened(path, {})[0] == {4: {}}


def test_a_journal_that_is_removed_is_gone_and_makes_room_for_a_new_one(path: Path) -> None:
    written(path)
    notes = Journal.open(path, BINDING, resume=True)
    notes.remove()
    notes.remove()
    assert not path.exists()
    assert opened(path) == ({}, [])


def test_a_run_that_is_abandoned_keeps_only_what_is_worth_it(tmp_path: Path) -> None:
    first = Journal.open(journal.beside(tmp_path / "a.tif"), {}, True)
    second = Journal.open(journal.beside(tmp_path / "b.tif"), {}, True)
    second.keep = True
    journal.abandon_unfinished()
    assert os.listdir(tmp_path) == [".b.tif.journal"]
    first.close()
    second.close()


def test_a_full_disk_leaves_whole_lines(path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    written(path)
    notes = Journal.open(path, BINDING, resume=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, limits[1]))
        with pytest.raises(TerrainError, match=r"journal .* cannot be written .*make room"):
            notes.add(11, {"output": {"offset": 123456789}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    notes.add(12, {})
    notes.close()
    assert list(opened(path)[0]) == [3, 0, 8, 12]


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match="cannot be written"):
        Journal.open(tmp_path / "none" / ".a.tif.journal", {}, True)
