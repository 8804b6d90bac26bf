"""Directed pieces that meet end to start, put in the order of the lines that they make. Imports numpy and numba.

At a place a piece ends and the next one begins, so a line is found by following; what begins nowhere is the beginning.
The same is done with pieces of squares, with the chains of a tile, and with the lines of tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Wholes = NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """Numbers of pieces line by line: line ``n`` has ``order[first[n]:first[n + 1]]``."""

    order: Wholes
    first: Wholes

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.first) - 1

    def pieces(self, line: int) -> Wholes:
        """Numbers of the pieces of a line."""
        return self.order[self.first[line] : self.first[line + 1]]

    def some(self, lines: Wholes) -> Lines:
        """Some of the lines, in this order."""
        counts = np.diff(self.first)[lines]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Lines(self.order[np.arange(first[-1]) + np.repeat(self.first[lines] - first[:-1], counts)], first)


def linked(starts: Wholes, ends: Wholes, fixed: NDArray[np.bool_] | None = None) -> Lines:
    """Lines of pieces that begin and end at places with these numbers; none goes on at ``fixed`` places.

    Open lines come first, then closed ones; each kind in the order of its first pieces. A place is the start of one
    piece at most, and the end of one at most.
    """
    by_start = np.argsort(starts, kind="stable")
    at = np.searchsorted(starts[by_start], ends)
    at_most = np.minimum(at, max(len(starts) - 1, 0))
    following = np.where(starts[by_start][at_most] == ends, by_start[at_most], -1) if len(starts) else at
    if fixed is not None:
        following = np.where(fixed[ends], -1, following)
    return Lines(*_walk(following))


@compiled
def _walk(following):
    count = len(following)
    order, first = np.empty(count, np.int64), np.zeros(count + 1, np.int64)
    followed, done = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for piece in range(count):
        if following[piece] >= 0:
            followed[following[piece]] = True
    filled, lines = 0, 0
    for closed in (False, True):
        for start in range(count):
            if done[start] or (followed[start] and not closed):
                continue
            piece = start
            while piece >= 0 and not done[piece]:
                done[piece] = True
                order[filled] = piece
                filled += 1
                piece = following[piece]
            lines += 1
            first[lines] = filled
    return order, first[: lines + 1]
