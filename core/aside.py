"""Files that are written beside their place and put there when they are complete. Standard library and errors only.

So an old file stays until the new one is whole, and one that could not be finished leaves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import TerrainError

STALE_S = 3600.0
"""Unfinished files of a process that is gone are removed after so long without a change, as it may have been one of
another computer."""

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says of a disk, or of the user's share of it, on which there is no room."""

_unfinished: set[Path] = set()
_owner = ["run"]


def belong_to(owner: str) -> None:
    """Name the files from now on after ``owner``, so that whoever started this process finds what it leaves."""
    _owner[:] = [owner]


def require_place(path: str | Path) -> None:
    """Refuse an output whose folder does not exist or is read-only, or which is a folder; to ask before long work."""
    target = Path(path)
    if not target.parent.is_dir():
        raise TerrainError(f"The folder {target.parent} does not exist; make it or choose another for {target.name}.")
    if target.is_dir():
        raise TerrainError(f"The output {target} is a folder; give the name of a file.")
    if not os.access(target.parent, os.W_OK):
        raise TerrainError(f"The folder {target.parent} is read-only; choose another for {target.name}.")


def free_bytes(path: str | Path) -> int:
    """Free space on the disk of a file."""
    return shutil.disk_usage(Path(path).parent).free


def require_room(path: str | Path, need_bytes: float, what: str, instead: str) -> None:
    """Refuse files beside ``path`` that its disk has no room for: what is mapped into memory ends the process there.

    ``what`` needs them while it is made; ``instead`` is what else can be done but to make room.
    """
    free = free_bytes(path)
    if free < need_bytes:
        raise TerrainError(
            f"{what} needs about {megabytes(need_bytes)} while it is made, but only {megabytes(free)} are free in "
            f"{Path(path).parent}; make room, choose another folder, {instead}."
        )


def megabytes(size_bytes: float) -> str:
    """A size in words, such as ``120 MB`` or ``0.29 MB``."""
    size_mb = size_bytes / 2**20
    return f"{size_mb:.0f} MB" if size_mb >= 10 else f"{size_mb:.2g} MB"


def abandon_unfinished() -> None:
    """Remove the files and folders under way of a job that has to stop."""
    for part in list(_unfinished):
        _remove(part)


class Together:
    """Files under way that take their places together, see :func:`together`."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._ends = contextlib.ExitStack()

    def part(self, path: str | Path, before: Callable[[], None] = lambda: None) -> Path:
        """Name of a file to write, with the ending of ``path``; ``before`` is done right before it takes its place."""
        target = Path(path)
        part = _place(target, f".part{target.suffix}")

        def put() -> None:
            before()
            part.replace(target)

        def end() -> None:
            _remove(part)
            _unfinished.discard(part)

        _unfinished.add(part)
        self.add(target, put, end)
        return part

    def add(self, target: Path, put: Callable[[], None], end: Callable[[], None]) -> None:
        """Take up a file that ``put`` brings to its place; ``end`` removes what is left, whatever came of the file."""
        self._ends.callback(end)
        self._places.append(_Place(target, put))

    def put_in_place(self) -> None:
        """Bring all files to their places, or none: where one cannot be, those before it are taken back."""
        with contextlib.ExitStack() as undone:
            for place in self._places:
                with _named(place.target):
                    if len(self._places) > 1 and not place.target.is_dir():
                        undone.callback(place.keep())
                    place.put()
            undone.pop_all()
        for place in self._places:
            _remove(place.kept)

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Name the file that was taken up last where the system fails; remove what is left in the end."""
        with self._ends:
            try:
                yield
            except OSError as error:
                if not self._places:
                    raise
                raise _unwritten(self._places[-1].target, error) from error


@dataclass(frozen=True)
class _Place:
    """A file's place, and what brings it there."""

    target: Path
    put: Callable[[], None]

    @property
    def kept(self) -> Path:
        """Name under which an old file is kept until all new ones are in their places."""
        return self.target.with_name(f".{self.target.name}.{_owner[0]}.{os.getpid()}.old")

    def keep(self) -> Callable[[], None]:
        """Keep an old file under a second name; returns what puts it back, or removes the new one where none was."""
        if not self.target.exists():
            return functools.partial(self.target.unlink, missing_ok=True)
        _remove(self.kept)
        try:
            os.link(self.target, self.kept)
        except OSError:  # a disk without second names
            self.target.replace(self.kept)
        return self._put_back

    def _put_back(self) -> None:
        if self.target.exists() and self.target.samefile(self.kept):
            _remove(self.kept)
        else:
            self.kept.replace(self.target)


@contextlib.contextmanager
def _named(target: Path) -> Iterator[None]:
    """Errors of the system say which file they are about."""
    try:
        yield
    except OSError as error:
        raise _unwritten(target, error) from error


def _unwritten(target: Path, error: OSError) -> TerrainError:
    return TerrainError(
        f"The file {target} cannot be written ({error.strerror or error}); close it in other programs, free some "
        "disk space, or choose another place."
    )


@contextlib.contextmanager
def together() -> Iterator[Together]:
    """Names of files to write, which take their places when the block is left: all of them, or none.

    Whatever ends the block early, the unfinished files are removed and the old ones are as they were. Errors of the
    system come as :class:`TerrainError`.
    """
    files = Together()
    with files.under_way():
        yield files
        files.put_in_place()


@contextlib.contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """Name of one file to write, with the ending of ``path``; like :func:`together`."""
    with together() as files:
        yield files.part(path)


@contextlib.contextmanager
def folder(path: str | Path) -> Iterator[Path]:
    """Make an empty folder beside ``path`` for files that are needed for a while; removed when the block is left.

    That the disk is full comes as :class:`TerrainError`, whatever file of the block it was.
    """
    place = _place(Path(path), ".tmp")
    _unfinished.add(place)
    try:
        _remove(place)
        place.mkdir()
    except OSError as error:
        _unfinished.discard(place)
        raise TerrainError(
            f"No folder can be made beside {path} ({error.strerror or error}); choose another place."
        ) from error
    try:
        yield place
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise TerrainError(
            f"The disk of {place.parent} is full ({megabytes(free_bytes(place))} are free); make room or choose "
            "another folder. Nothing was replaced."
        ) from error
    finally:
        _remove(place)
        _unfinished.discard(place)


def _place(target: Path, ending: str) -> Path:
    """Name beside the target for this process; what killed runs left there is removed."""
    require_place(target)
    for left in target.parent.glob(f".{glob.escape(target.stem)}.*{glob.escape(ending)}"):
        with contextlib.suppress(OSError):
            if time.time() - _last_written_s(left) > STALE_S and not _is_alive(_process_of(left.name, ending)):
                _remove(left)
    return target.with_name(f".{target.stem}.{_owner[0]}.{os.getpid()}{ending}")


def _process_of(name: str, ending: str) -> int:
    """Number of the process that made a file of this name; 0 where it has none."""
    number = name[: -len(ending)].rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


if sys.platform == "win32":
    import ctypes

    _QUERY = 0x1000  # the right to ask about a process, and no more

    def _is_alive(process: int) -> bool:
        handle = ctypes.windll.kernel32.OpenProcess(_QUERY, False, process)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)

else:

    def _is_alive(process: int) -> bool:
        try:
            os.kill(process, 0)  # asks only
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        return process > 0


def _last_written_s(path: Path) -> float:
    return max(one.stat().st_mtime for one in (path, *path.rglob("*")))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
