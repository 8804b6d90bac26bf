"""The journal of a run: which tiles are finished, and where they lie. Standard library, errors and the lock only.

A text file of JSON lines. The first names the format and the *binding*: everything that decides what the tiles hold.
Each further line is one finished tile. A run with the same binding goes on where a killed one ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import BinaryIO

from .errors import TerrainError
from .lock import open_locked

FORMAT = 1

_open: set[Journal] = set()


def abandon_unfinished() -> None:
    """Remove the journals under way that are not to be kept."""
    for journal in list(_open):
        if not journal.keep:
            journal.remove()


def beside(output: str | Path) -> Path:
    """Where the journal of an output lies."""
    path = Path(output)
    return path.with_name(f".{path.name}.journal")


class Journal:
    """An open journal, locked for this process. Make it with :meth:`open`.

    Attributes
    ----------
    entries
        Entry of each finished tile by its number: those of an earlier run at first.
    differs
        Names of what differs where there was a journal of another binding; else empty.
    former
        Entries of that other journal; they stay in the file until :meth:`begin`.
    keep
        Whether the file outlives a run that is ended from outside (:func:`abandon_unfinished`).

    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self._binding: dict = {}
        self.entries: dict[int, dict] = {}
        self.differs: list[str] = []
        self.former: dict[int, dict] = {}
        self.keep = False

    @classmethod
    def open(cls, path: Path, binding: dict, resume: bool) -> Journal:
        """Open or make the journal at ``path``; with ``resume``, load its entries if its binding is the same.

        One of another binding is kept until :meth:`begin`. A line that was torn by a kill is cut off with what follows
        it. Raises :class:`TerrainError` where another run holds the journal or the place cannot be written.
        """
        output = path.with_name(path.name.removeprefix(".").removesuffix(".journal"))
        try:
            journal = cls(path, open_locked(path, output))
        except OSError as error:
            raise TerrainError(_refusal(path, error)) from error
        try:
            journal._load(binding, resume)
        except BaseException:
            journal.close()
            raise
        _open.add(journal)
        return journal

    def begin(self) -> None:
        """Begin anew with the binding that the journal was opened with."""
        self._cut(0)
        self._append({"format": FORMAT, "binding": self._binding})
        self.entries, self.former, self.keep = {}, {}, False

    def add(self, index: int, entry: dict) -> None:
        """Note that a tile is finished; ``entry`` is plain JSON. Call it after the tile's blocks are written."""
        if self.differs and not self.entries:
            self.begin()
        self._append({"tile": index, "entry": entry})
        self.entries[index] = entry

    def close(self) -> None:
        """Close the file and leave it for a later run."""
        _open.discard(self)
        self._file.close()

    def remove(self) -> None:
        """Remove the file: the run is complete, or its work is not wanted."""
        if os.name == "nt":
            self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def _load(self, binding: dict, resume: bool) -> None:
        self._binding = binding
        lines = self._lines() if resume else []
        if not lines:
            self.begin()
            return
        self.differs = _differences(lines[0][1], binding)
        found, good = {}, lines[0][0]
        for end, line in lines[1:]:
            if not _is_entry(line):
                break
            found[line["tile"]], good = line["entry"], end
        self.keep = bool(found)
        if self.differs:
            self.former = found
        else:
            self.entries = found
            self._cut(good)

    def _lines(self) -> list[tuple[int, dict]]:
        """Leading lines that are whole, each with the position of its end; the first is ``{}`` if it is none."""
        found: list[tuple[int, dict]] = []
        end = 0
        for line in self._file.read().splitlines(keepends=True):
            end += len(line)
            value = _parsed(line)
            if value is None and found:
                break
            found.append((end, value or {}))
        return found

    def _append(self, line: dict) -> None:
        """Write a line with one call of the system; one that does not fit on the disk leaves nothing behind."""
        text, start = json.dumps(line, separators=(",", ":")).encode() + b"\n", self._file.tell()
        try:
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut(start)
            raise TerrainError(_refusal(self.path, error)) from error

    def _cut(self, end: int) -> None:
        self._file.truncate(end)
        self._file.seek(end)


def _parsed(line: bytes) -> dict | None:
    """A whole line as JSON, or None."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_entry(line: dict) -> bool:
    return type(line.get("tile")) is int and isinstance(line.get("entry"), dict)


def _differences(header: dict, binding: dict) -> list[str]:
    """Names of the binding's parts that are not the same; compared as JSON text, where NaN equals itself."""
    if header.get("format") != FORMAT or not isinstance(header.get("binding"), dict):
        return ["format"]
    before, missing = header["binding"], object()
    names = [*binding, *(name for name in before if name not in binding)]
    return [name for name in names if _text(before.get(name, missing)) != _text(binding.get(name, missing))]


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=lambda _: "missing")


def _refusal(path: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The folder {path.parent} cannot be written to ({error.strerror}); choose another one."
    return f"The journal {path} cannot be written ({error.strerror or error}); make room or choose another folder."
