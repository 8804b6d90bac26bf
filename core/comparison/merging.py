"""Many partial sums as one, to the last bit the same in whatever order they come. Standard library only."""

from __future__ import annotations

import math
from typing import Any, Generic, Protocol, TypeVar


class Mergeable(Protocol):
    """Sums that take in others of their kind."""

    def merge(self, other: Any) -> None:
        """Take in other sums."""


S = TypeVar("S", bound=Mergeable)


class Merging(Generic[S]):
    """Sums of numbered parts, merged in a fixed tree: part 0 with 1, 2 with 3, then 0-1 with 2-3, and so on.

    A part that comes late so holds up one branch only: of a million parts that come in order about twenty sums are
    kept at a time, and as many for each part that is far behind.

    Parameters
    ----------
    count
        How many parts there will be.

    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: dict[tuple[int, int], S | None] = {}

    @property
    def waiting(self) -> int:
        """Sums that are kept until their neighbour comes."""
        return len(self._waiting)

    @property
    def whole(self) -> S | None:
        """The sums of all parts, once all are there; None where no part had any."""
        if (self._levels, 0) not in self._waiting:
            raise ValueError("Some parts are missing.")
        return self._waiting[self._levels, 0]

    def add(self, number: int, part: S | None) -> None:
        """Take in part ``number``, once; None adds nothing. What is given now belongs to the tree."""
        for level in range(self._levels):
            neighbour = number ^ 1
            if neighbour < math.ceil(self._count / 2**level):
                if (level, neighbour) not in self._waiting:
                    self._waiting[level, number] = part
                    return
                other = self._waiting.pop((level, neighbour))
                part = _merged(other, part) if neighbour < number else _merged(part, other)
            number //= 2
        self._waiting[self._levels, 0] = part

    @property
    def _levels(self) -> int:
        return max(self._count - 1, 0).bit_length()


def _merged(first: S | None, second: S | None) -> S | None:
    if first is None or second is None:
        return second if first is None else first
    first.merge(second)
    return first
