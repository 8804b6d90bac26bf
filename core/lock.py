"""Files that one run at a time may write. Standard library and errors only.

The lock belongs to the open file: the system releases it when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO

from .errors import TerrainError

TRIES = 20
"""How often a file is opened anew whose name seems to belong to another; some network disks number files at random."""

unlocked: set[Path] = set()
"""Folders met so far whose file system has no locks: there nothing keeps two runs from the same file."""

FAR = 1 << 40
"""Where Windows locks a byte; far beyond what is stored, since others cannot even read a locked byte there."""


def open_locked(path: Path, output: Path) -> BinaryIO:
    """Open a file for reading and writing without a buffer, made if it is missing, and keep others from doing so.

    Raises :class:`TerrainError` where another run holds the file, in terms of the ``output`` that it belongs to; other
    errors of the system come as they are. On a file system without locks the file is opened all the same.
    """
    tries = 0
    while True:
        tries += 1
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)
        if not _is_free(file.fileno(), path):
            file.close()
            raise TerrainError(
                f"The output {output} is being written by another run of Neural Terrain; "
                "wait for it or choose another name."
            )
        if tries == TRIES or _is_at(file.fileno(), path):
            return file
        file.close()  # its owner renamed or removed it between the two steps


def _is_free(descriptor: int, path: Path) -> bool:
    """Lock an open file; False where another holds it. Where there are no locks, every file is free."""
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in HELD:
            return False
        unlocked.add(path.parent)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    HELD = (errno.EACCES, errno.EDEADLK)

    def _lock(descriptor: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)

else:
    import fcntl

    HELD = (errno.EWOULDBLOCK, errno.EACCES)

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
