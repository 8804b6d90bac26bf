"""Lines of tiles joined to whole contours. Vertices wait on the disk; in memory are only a few numbers for each line.

Imports numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..raster import Bools, Floats
from .linking import Lines, Wholes, linked
from .tracing import Traced, concatenated

AT_ONCE = 1_000_000
"""Vertices of lines that are handed on together, or a single longer line."""


class Store:
    """Lines of tiles in a file of a folder; :meth:`add` them, then ask for :meth:`contours`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "vertices"
        self._file = self._path.open("wb")
        self._counts: list[Wholes] = []
        self._ends: list[Wholes] = []
        self.unsure, self.vertices = 0, 0

    def add(self, traced: Traced) -> None:
        """Keep the lines of a tile."""
        self._file.write(np.ascontiguousarray(traced.points, np.float64).tobytes())
        self._counts.append(np.diff(traced.first))
        self._ends.append(np.stack([traced.level, traced.start, traced.end], axis=1))
        self.unsure += traced.unsure
        self.vertices += len(traced.points)

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
        found = linked(*_places(ends[order]))
        lines = Lines(order[found.order], found.first)
        level = ends[lines.order[lines.first[:-1]], 0]
        vertices = np.memmap(self._path, np.float64, "r").reshape(-1, 2)
        by_level = np.argsort(level, kind="stable")
        for some in _batches(by_level, np.add.reduceat(counts[lines.order], lines.first[:-1])[by_level]):
            points, first = concatenated(vertices, offsets, lines.some(some))
            yield level[some], first, points


def _batches(lines: Wholes, counts: Wholes) -> list[Wholes]:
    """Lines in groups of :data:`AT_ONCE` vertices or little more."""
    groups = (np.cumsum(counts) - counts) // AT_ONCE
    return np.split(lines, np.flatnonzero(np.diff(groups)) + 1)


def _places(ends: Wholes) -> tuple[Wholes, Wholes]:
    """One number for each place where a line of a level begins or ends, from level, edge and edge."""
    edges, edge = np.unique(ends[:, 1:], return_inverse=True)
    _, level = np.unique(ends[:, 0], return_inverse=True)
    number = level[:, None] * len(edges) + edge.reshape(-1, 2)
    return number[:, 0], number[:, 1]


def is_ring(points: Floats, first: Wholes) -> Bools:
    """Which lines end where they begin."""
    same: Bools = (points[first[:-1]] == points[first[1:] - 1]).all(axis=1)
    return same
