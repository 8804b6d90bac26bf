"""Machine code is kept outside of the plugin, and never survives a change of what it was made from."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.core import compiled, lock


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: ``outer`` is built from ``inner``, which nothing else is."""
    monkeypatch.setattr(compiled, "CORE", tmp_path)
    part = tmp_path / "part"
    part.mkdir()
    (part / "__init__.py").write_text("")
    (part / "inner.py").write_text("STEP = 1\n")
    (part / "middle.py").write_text("from .inner import STEP\n")
    (part / "outer.py").write_text("from . import middle\n")
    (part / "other.py").write_text("import os\n")
    return part


def test_a_change_of_an_imported_module_asks_for_other_code(package):
    outer, other = (compiled.folder_of(package / name) for name in ("outer.py", "other.py"))
    (package / "inner.py").write_text("STEP = 2\n")
    assert compiled.folder_of(package / "outer.py") != outer
    assert compiled.folder_of(package / "other.py") == other


def test_another_numba_asks_for_other_code(package, monkeypatch):
    before = compiled.folder_of(package / "outer.py")
    monkeypatch.setattr(compiled.numba, "__version__", "0.1")
    assert compiled.folder_of(package / "outer.py") != before


def test_nothing_is_kept_in_the_plugin():
    root = Path(compiled.__file__).resolve().parents[1]
    for name in ("mesh/net.py", "mesh/places.py", "mesh_check/facets.py"):
        folder = compiled.folder_of(root / "core" / name)
        assert not folder.is_relative_to(root / "core")
    assert not list((root / "core").rglob("*.nbi"))


def test_where_no_folder_can_be_written_a_temporary_one_will_do(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(compiled.sys, "prefix", str(blocked))
    monkeypatch.setattr(compiled, "_user_cache", lambda: blocked)
    found = compiled._root.__wrapped__()
    assert found.is_dir()
    found.rmdir()


def test_a_compiled_function_keeps_the_settings_of_other_users_of_numba():
    before = compiled.numba.config.CACHE_DIR

    @compiled.compiled
    def twice(values):
        return 2 * values

    assert before == compiled.numba.config.CACHE_DIR
    assert np.array_equal(twice(np.arange(3)), [0, 2, 4])
    assert isinstance(twice._cache._cache_file, compiled._Shared)


class Numbered:
    """A file of codes as numba has it: what is there is read, and some time later it is written with one more."""

    def __init__(self, path):
        self._path = path

    def codes(self):
        return self._path.read_text().split() if self._path.exists() else []

    def save(self, key, data):
        before = self.codes()
        time.sleep(0.02)
        self._path.write_text(" ".join([*before, f"{key}:{data}"]))


def test_codes_that_are_saved_at_once_are_all_kept(tmp_path):
    """Without a lock two processes number different codes alike: one is lost, or run in place of the other."""
    files = [compiled._Shared(Numbered(tmp_path / "codes"), tmp_path / "codes.lock") for _ in range(8)]
    threads = [threading.Thread(target=file.save, args=(i, i * i)) for i, file in enumerate(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Numbered(tmp_path / "codes").codes()) == [f"{i}:{i * i}" for i in range(8)]


def test_a_code_is_not_read_while_another_process_has_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "PATIENCE_S", 0.05)
    held = lock.open_locked(tmp_path / "codes.lock", tmp_path)
    shared = compiled._Shared({}, tmp_path / "codes.lock")
    assert shared.load("key") is None
    shared.save("key", b"")  # nothing happens: without the lock the file is left alone
    held.close()


def test_a_folder_that_vanishes_is_as_old_as_can_be(tmp_path):
    assert compiled._age_s(tmp_path / "gone") == np.inf
