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

FAR = 1 << 40
"""Where Windows locks a byte; far beyond what is stored, since others cannot even read a locked byte there."""


def open_locked(path: Path, output: Path) -> BinaryIO:
    """Open a file for reading and writing without a buffer, made if it is missing, and keep others from doing so.

    Raises :class:`TerrainError` where another run holds the file, in terms of the ``output`` that it belongs to; other
    errors of the system come as they are. On a file system without locks the file is opened all the same.
    """
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)
        if not _lock(file.fileno()):
            file.close()
            raise TerrainError(
                f"The output {output} is being written by another run of Neural Terrain; "
                "wait for it or choose another name."
            )
        if _is_at(file.fileno(), path):
            return file
        file.close()  # its owner renamed or removed it between the two steps


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True
