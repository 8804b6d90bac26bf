"""How many triangles which error takes: curves of tiles, which add up, and the level of error that follows from a wish.

A mesh with a budget of triangles, or with a largest RMSE, is grown to one level of error everywhere. Growth passes all
coarser levels on its way, so one pass over the tiles gives a curve, and two or three passes the level. Imports numpy
and :mod:`..errors` only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError

Floats = NDArray[np.float64]

SPARED = 0.99
"""Part of a budget that is aimed at, and the least that counts as met (`LEAST`)."""

LEAST = 0.975

REFIT = 0.66
"""RMSE of a mesh with refitted heights, places and edges as a part of the RMSE of its growth, before it is measured."""

CAREFUL = 0.995
"""Part of a wanted RMSE that is aimed at."""

STEEPEST = 4.0
"""Levels are looked for at most so many times below the finest that is known, in one step."""

GOOD = 0.95
"""Part of a wanted RMSE from which on a mesh is taken; below, one with fewer triangles is tried."""

STEP = 0.9
"""Each level as a part of the one before, below those that are known."""

NEARLY = 0.9999
"""Levels that differ by less are tried once."""

LEAST_CHANGE = 0.002
"""Part by which the next level's RMSE is to be smaller at least after a level that failed; doubled each time."""

MOST_STEPS = 12
"""Passes over the tiles after which the best that was found is taken."""


def _nothing() -> Floats:
    return np.empty(0)


@dataclass(frozen=True)
class Curve:
    """Triangles and squared errors of growth by level of error; curves with the same last level add up.

    Attributes
    ----------
    levels
        Largest errors, falling; the first is infinite.
    triangles
        Triangles at each level.
    squares
        Sum of squared errors at each level, with the heights of the ground.
    points
        Positions that were looked at.

    """

    levels: Floats = field(default_factory=_nothing)
    triangles: Floats = field(default_factory=_nothing)
    squares: Floats = field(default_factory=_nothing)
    points: int = 0

    def __add__(self, other: Curve) -> Curve:
        """The curve of both; the shorter one has nothing to do on coarser levels."""
        short, long = sorted((self, other), key=lambda curve: len(curve.levels))
        if not len(short.levels):
            return long
        if not np.array_equal(short.levels[1:], long.levels[len(long.levels) - len(short.levels) + 1 :]):
            raise ValueError("Curves add up if they were made for the same level and to the same end.")
        wide = len(long.levels) - len(short.levels), 0
        return Curve(
            long.levels,
            long.triangles + np.pad(short.triangles, wide, "edge"),
            long.squares + np.pad(short.squares, wide, "edge"),
            long.points + short.points,
        )

    @property
    def rmse(self) -> Floats:
        """Root mean square error at each level."""
        found: Floats = np.sqrt(self.squares / max(self.points, 1))
        return found


class Measured(Protocol):
    """What is asked of the mesh of a tile."""

    @property
    def squares(self) -> float:
        """Sum of squared errors."""

    @property
    def points(self) -> int:
        """Positions that were looked at."""


P = TypeVar("P", bound=Measured)
Curves = Callable[[float], Curve]
"""The sum of the curves of all tiles down to a level, `curve_of_tile` with that level as largest error."""


def level_for_budget(curves: Curves, most: int, start: float) -> float:
    """Level of error at which growth makes at most so many triangles, or up to 2.5 percent fewer.

    Where the number jumps between two levels, the coarser one; where even the border takes more triangles, a level at
    which nothing else is made.

    Parameters
    ----------
    curves
        Makes the curve down to a level.
    most
        Triangles that are allowed, above 0.
    start
        A level to begin with.

    """
    if most < 1:
        raise TerrainError(f"A mesh cannot have {most} triangles; the budget is a whole number of at least 1.")
    known = _Known()
    level = start
    for _ in range(MOST_STEPS):
        curve = curves(level)
        known.add(curve.levels, curve.triangles)
        best, enough = known.around(most)
        if enough == 0 or not len(curve.levels):
            return level
        if enough >= LEAST * most and math.isfinite(best):
            return best
        following = known.level_of(SPARED * most)
        if following >= known.coarsest() or known.narrow(most):
            return best if math.isfinite(best) else known.coarsest() * 2
        level = following
    return best if math.isfinite(best) else known.coarsest() * 2


def meshes_for_rmse(
    curves: Curves, meshes: Callable[[float], Sequence[P]], wish: float, start: float
) -> tuple[float, Sequence[P]]:
    """Level of error whose mesh, with refitted heights, has at most an RMSE, and the meshes of the tiles.

    Parameters
    ----------
    curves
        Makes the curve down to a level.
    meshes
        Makes the meshes of all tiles with ``bounded=False`` and a level as largest error.
    wish
        Largest RMSE.
    start
        A level to begin with.

    """
    if not 0 < wish < math.inf:
        raise TerrainError(f"A mesh cannot be made with an RMSE of {wish:g}; it is a number above 0.")
    known, level, ratio = _Known(), start, REFIT
    for _ in range(MOST_STEPS):
        curve = curves(level)
        known.add(curve.levels, -curve.rmse)
        if not len(curve.levels):
            return level, meshes(level)
        if curve.rmse[-1] * ratio <= wish:
            break
        level = min(known.level_of(-wish * CAREFUL / ratio), level * STEP)
    found = _meshes_below(known, meshes, wish, ratio)
    if found is None:
        curve = curves(wish)  # no error is larger than its level, and no RMSE larger than the errors
        known.add(curve.levels, -curve.rmse)
        level = known.around(-wish)[0]
        found = level, meshes(level)
    return found


def _meshes_below(
    known: _Known, meshes: Callable[[float], Sequence[P]], wish: float, ratio: float
) -> tuple[float, Sequence[P]] | None:
    """The coarsest meshes that were found below an RMSE, beginning with an idea of what refitting does to it.

    Where errors jump, as those of whole metres do, a level that failed is followed by the next finer one that is known.
    """
    best: tuple[float, Sequence[P]] | None = None
    failed = math.inf
    for step in range(MOST_STEPS):
        level = known.level_of(-wish * CAREFUL / ratio)
        if level > failed * NEARLY:
            level = known.below(failed)
        if best is not None and level <= best[0]:
            break
        parts = meshes(level)
        rmse = math.sqrt(sum(part.squares for part in parts) / max(sum(part.points for part in parts), 1))
        if rmse > wish and best is not None:
            break
        best = (level, parts) if rmse <= wish else None
        if wish * GOOD <= rmse <= wish or rmse == 0:
            break
        failed = level if rmse > wish else failed
        change = rmse / (wish * CAREFUL)
        ratio *= max(change, 1 + LEAST_CHANGE * 2**step) if rmse > wish else max(change, 0.7)
    return best


class _Known:
    """What is known of a quantity that grows as the level of error falls."""

    def __init__(self) -> None:
        self.values: dict[float, float] = {}

    def add(self, levels: Floats, values: Floats) -> None:
        """Learn more."""
        self.values.update((float(level), float(value)) for level, value in zip(levels, values, strict=True))

    def coarsest(self) -> float:
        """Coarsest level that is a number."""
        return max((level for level in self.values if math.isfinite(level)), default=1.0)

    def below(self, level: float) -> float:
        """The next finer level that is known; one finer than all where there is none."""
        finer = [one for one in self.values if one < level * NEARLY]
        return max(finer, default=level * STEP)

    def around(self, most: float) -> tuple[float, float]:
        """The level with the largest value up to a number, the coarsest of these, and that value; 0 where there is
        none.
        """
        allowed = [(value, level) for level, value in self.values.items() if value <= most]
        return (max(allowed)[1], max(allowed)[0]) if allowed else (math.inf, -math.inf)

    def narrow(self, value: float) -> bool:
        """Whether the levels around a value are so close that nothing lies between them."""
        below, above = self._neighbours(value)
        return below is not None and above is not None and below < above * 1.0005

    def _neighbours(self, value: float) -> tuple[float | None, float | None]:
        """The finest level with at most a value, and the coarsest with more; finite ones."""
        finite = sorted(level for level in self.values if math.isfinite(level))
        below = min((level for level in finite if self.values[level] <= value), default=None)
        above = max((level for level in finite if self.values[level] > value), default=None)
        return below, above

    def level_of(self, value: float) -> float:
        """Level at which the quantity is likely to have a value: along lines between logarithms."""
        below, above = self._neighbours(value)
        if above is None:
            return self._beyond(value)
        if below is None:
            return self.coarsest() * 2
        share = _share(self.values[below], value, self.values[above])
        return below * (above / below) ** min(max(share, 0.02), 0.98)

    def _beyond(self, value: float) -> float:
        """Level below the finest that is known, along the line of the last two."""
        finite = sorted(level for level in self.values if math.isfinite(level))
        finest, low = finite[0], self.values[finite[0]]
        for level in finite[1:]:
            if abs(self.values[level]) != abs(low) and level > finest * 1.1:
                slope = math.log(abs(low) / max(abs(self.values[level]), 1e-300)) / math.log(level / finest)
                step = math.log(abs(value) / abs(low)) / slope if slope else math.inf
                return finest / min(max(math.exp(min(step, 5.0)), 1.05), STEEPEST)
        return finest / STEEPEST


def _share(low: float, value: float, high: float) -> float:
    """Where a value lies between two others on a logarithmic scale, 0 to 1."""
    low, value, high = max(abs(low), 1e-300), max(abs(value), 1e-300), max(abs(high), 1e-300)
    return 0.5 if low == high else math.log(value / low) / math.log(high / low)
