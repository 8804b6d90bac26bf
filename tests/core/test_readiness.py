"""The machine code of meshes is made once, by one process, and anew after a change of what it is made from."""

from __future__ import annotations

import threading

import pytest

from neural_terrain.core import compiled, lock, readiness
from neural_terrain.tests.core import dems


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """What was prepared so far; nothing is there yet."""
    done: list[str] = []
    monkeypatch.setattr(readiness, "kept_folder", lambda _: tmp_path)
    monkeypatch.setattr(readiness, "STEPS", {name: lambda name=name: done.append(name) for name in readiness.STEPS})
    return done


def test_what_is_there_is_not_made_again(steps):
    heard = dems.Heard()
    readiness.prepare(heard, "check")
    readiness.prepare(heard)
    readiness.prepare(heard)
    assert steps == ["check", "cut", "make"]
    assert sum("once" in text for text in heard.texts("info")) == 2


def test_one_prepares_while_the_others_wait(steps, tmp_path):
    held = lock.open_locked(tmp_path / "making.lock", tmp_path)
    heard = [dems.Heard() for _ in range(3)]
    threads = [threading.Thread(target=readiness.prepare, args=(one,)) for one in heard]
    for thread in threads:
        thread.start()
    while not all(any("waiting for it" in text for text in one.texts("info")) for one in heard):
        assert not steps
    held.close()
    for thread in threads:
        thread.join()
    assert sorted(steps) == ["check", "cut", "make"]


@pytest.mark.parametrize("module", ["mesh.drawing", "mesh.cutting", "mesh.locating", "mesh_check.facets", "mesh.net"])
def test_a_change_of_any_kernel_asks_for_new_code(module):
    place = compiled.CORE.joinpath(*module.split(".")).with_suffix(".py")
    assert place in compiled._sources(compiled.CORE / "readiness.py")
