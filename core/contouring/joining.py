"""Lines of tiles joined to whole contours. Vertices wait on the disk; in memory are only a few numbers for each line.

Imports numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..raster import Bools, Floats
from .linking import Wholes, linked
from .tracing import Traced

AT_ONCE = 1_000_000
"""Vertices of lines that are handed on together."""

BYTES = 16


class Store:
    """Lines of tiles in a file of a folder; :meth:`add` them, then ask for :meth:`contours`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "vertices"
        self._file = self._path.open("wb")
        self._counts: list[Wholes] = []
        self._ends: list[Wholes] = []
        self.unsure = 0

    def add(self, traced: Traced) -> None:
        """Keep the lines of a tile."""
        self._file.write(np.ascontiguousarray(traced.points, np.float64).tobytes())
        self._counts.append(np.diff(traced.first))
        self._ends.append(np.stack([traced.level, traced.start, traced.end], axis=1))
        self.unsure += traced.unsure

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def contours(self) -> Iterator[tuple[Wholes, Wholes, Floats]]:
        """Whole contours from the lowest level up, some at a time: level and first vertex of each, and vertices."""
        self._file.close()
        if not self._counts:
            return
        counts, ends = np.concatenate(self._counts), np.concatenate(self._ends)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        order = np.argsort(ends[:, 0], kind="stable")
        lines = linked(*_places(ends[order]))
        level = ends[order[lines.order[lines.first[:-1]]], 0]
        vertices = np.memmap(self._path, np.float64, "r").reshape(-1, 2)
        ready: list[Floats] = []
        levels: list[int] = []
        for line in np.argsort(level, kind="stable"):
            parts = order[lines.pieces(line)]
            ready.append(np.concatenate([vertices[offsets[part] + (n > 0) : offsets[part + 1]]
                                         for n, part in enumerate(parts)]))  # fmt: skip
            levels.append(level[line])
            if sum(map(len, ready)) >= AT_ONCE:
                yield _together(levels, ready)
                ready, levels = [], []
        if ready:
            yield _together(levels, ready)


def _places(ends: Wholes) -> tuple[Wholes, Wholes]:
    """One number for each place where a line of a level begins or ends, from level, edge and edge."""
    both = np.concatenate([ends[:, [0, 1]], ends[:, [0, 2]]])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.reshape(-1).astype(np.int64)
    return number[: len(ends)], number[len(ends) :]


def _together(levels: list[int], lines: list[Floats]) -> tuple[Wholes, Wholes, Floats]:
    first = np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64)
    return np.array(levels, np.int64), first, np.concatenate(lines)


def is_ring(points: Floats, first: Wholes) -> Bools:
    """Which lines end where they begin."""
    same: Bools = (points[first[:-1]] == points[first[1:] - 1]).all(axis=1)
    return same
