"""A model folder under way: written beside its place, put there in one piece, never over what others made.

Imports the standard library only; what the files hold is decided by :mod:`.model_training`.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import threading
import time
from pathlib import Path

from .errors import TerrainError

CARD = "card.json"
FILES = {CARD, "weights.safetensors", "recipe.json", "log.jsonl", "loss.svg", "validation.svg"}
"""Everything that a trained model folder holds."""

MADE_BY = "neuralterrain:traindem"
STALE_S = 3600.0
"""Unfinished folders that nothing was written to for so long belong to runs that were killed."""

_unfinished: set[ModelFolder] = set()


def abandon_unfinished() -> None:
    """End the folders of a job that has to stop: see :meth:`ModelFolder.close`."""
    for folder in list(_unfinished):
        folder.close()


class ModelFolder:
    """A model on its way to ``path``. Put versions in with :meth:`keep`, finish with :meth:`commit` or :meth:`close`.

    ``keep_on_close`` says what :meth:`close` does with a version that was kept: commit it, or drop it.
    """

    def __init__(self, path: Path, *, keep_on_close: bool = False) -> None:
        self.path, self.keep_on_close = path, keep_on_close
        self._lock = threading.RLock()
        check_place(path)
        _remove_stale(path)
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._best = self._part / "best"
        _unfinished.add(self)
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir()
        except OSError as error:
            self.close()
            raise TerrainError(
                f"No folder can be made beside {path} ({error.strerror}); choose another place."
            ) from error

    @property
    def kept(self) -> Path:
        """Where the version that counts lies before it is committed."""
        return self._best

    def draft(self) -> Path:
        """An empty folder for the next version."""
        draft = self._part / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        return draft

    def keep(self, draft: Path) -> Path:
        """Make a complete draft the version that counts; returns where it lies."""
        with self._lock:
            shutil.rmtree(self._best, ignore_errors=True)
            draft.rename(self._best)
        return self._best

    def commit(self) -> None:
        """Put the kept version in its place; an older model there is replaced."""
        with self._lock:
            if self not in _unfinished:
                return
            check_place(self.path)
            try:
                if self.path.exists():
                    self.path.rename(self._part / "old")
                self._best.rename(self.path)
            except OSError as error:
                self._put_back()
                raise TerrainError(
                    f"The model folder {self.path} cannot be written ({error.strerror}); close programs that use it, "
                    "or choose another folder."
                ) from error
            self._drop()

    def close(self) -> None:
        """Leave nothing unfinished: commit what is to be kept on closing, drop the rest; harmless when done."""
        with self._lock:
            if self.keep_on_close and self._best.is_dir():
                with contextlib.suppress(TerrainError):
                    self.commit()
            self._drop()

    def _put_back(self) -> None:
        old = self._part / "old"
        if old.exists() and not self.path.exists():
            old.rename(self.path)

    def _drop(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
        _unfinished.discard(self)


def check_place(path: Path) -> None:
    """Refuse a place where a model folder cannot be put, or where it would destroy what this tool has not made."""
    if not path.parent.is_dir():
        raise TerrainError(
            f"The folder {path.parent} does not exist; make it or choose another for the model {path.name}."
        )
    if not path.exists():
        return
    if not path.is_dir():
        raise TerrainError(f"The output {path} is a file; name a new folder for the model.")
    names = {entry.name for entry in path.iterdir()}
    if names and not (names <= FILES and _is_ours(path / CARD)):
        raise TerrainError(f"The folder {path} holds other files than a model trained here; name a new folder.")


def _is_ours(card: Path) -> bool:
    try:
        values = json.loads(card.read_text(encoding="utf-8"))
        return str(values["made_by"]).startswith(MADE_BY)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remove_stale(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            latest = max(p.stat().st_mtime for p in [part, *part.rglob("*")])
            if time.time() - latest > STALE_S:
                shutil.rmtree(part, ignore_errors=True)
