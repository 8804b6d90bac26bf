"""Reading LAS and LAZ point clouds, some points at a time. Imports laspy, the grid and errors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import laspy
import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from .reading import reason

PIECE = 1_000_000
"""Points in memory at a time."""

LAS_ERRORS = (laspy.errors.LaspyException, OSError, ValueError, RuntimeError, EOFError)
"""What laspy and its decompressor raise for files that they cannot read."""

Floats = NDArray[np.float64]


def crs_of_las(path: str) -> str:
    """The CRS that a file names, as WKT; empty where it names none."""
    with _opened(path) as file:
        try:
            found = file.header.parse_crs()
        except (*LAS_ERRORS, KeyError, AttributeError):  # damaged keys are as good as none
            return ""
    return found.to_wkt() if found is not None else ""


def las_points(path: str, classes: Collection[int]) -> Iterator[Floats]:
    """Points of these classes (none: of all) as ``(N, 3)``, without those that are flagged as withheld."""
    with _opened(path) as file:
        pieces = file.chunk_iterator(PIECE)
        while True:
            try:
                piece = next(pieces)
            except StopIteration:
                return
            except LAS_ERRORS as error:
                raise _unreadable(path, error) from error
            wanted = np.asarray(piece.withheld) == 0
            if classes:
                wanted &= np.isin(np.asarray(piece.classification), list(classes))
            yield np.column_stack([np.asarray(axis)[wanted] for axis in (piece.x, piece.y, piece.z)])


def classes_in(path: str) -> dict[int, int]:
    """How many points of each class a file holds; for messages."""
    counts: dict[int, int] = {}
    with _opened(path) as file:
        for piece in file.chunk_iterator(PIECE):
            for number, count in zip(*np.unique(np.asarray(piece.classification), return_counts=True), strict=True):
                counts[int(number)] = counts.get(int(number), 0) + int(count)
    return counts


def _opened(path: str) -> Any:
    if not Path(path).exists():
        raise TerrainError(f"The point cloud {path} does not exist; choose another.")
    try:
        return laspy.open(path)
    except LAS_ERRORS as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> TerrainError:
    return TerrainError(f"The point cloud {path} cannot be read ({reason(error)}); choose a LAS or LAZ file.")
