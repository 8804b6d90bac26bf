"""The mesh of one tile: its border first, then greedy growth, better heights and edges, and the bound for good.

Growth with heights of the ground stops at :data:`SLACK` bounds. Free heights and diagonals that fit better then bring
almost all points under the bound, with about a quarter fewer triangles than growth to the bound itself would take and
smaller errors; what is left gets more vertices. Imports numpy, :mod:`..compiled` and :mod:`..errors` only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from . import ground
from .border import enclose, seam_points
from .curve import Curve
from .growth import grow, mend, revise, stitch, survey, tally
from .net import INSIDE, STRIDE, TRIANGLES, VERTICES, Net, X, Y, framed
from .order import arrange
from .places import MOVED, relocate
from .refit import CALM, FLIP, SETTLE, SURVEY, flips, sweep

SLACK = 1.3
"""Bounds at which growth stops. More makes fewer triangles and larger errors: 1.2, 1.3 and 1.4 take 0.84, 0.77 and 0.71
of the triangles of growth to the bound, with 0.79, 0.84 and 0.89 of its RMSE (mountains at 30 m, bound 5 m)."""

FALL = 0.8
"""Each level of growth as a part of the one before."""

LEAST_GAIN = 0.01
"""Part of the squared errors that a flip has to take off."""

LEAST_STEP = 0.02
"""Part of the squared errors around a vertex that a new place has to take off."""

GRIP = 3.0
"""Weight of squared errors beyond the bound against squared errors, where heights are chosen."""

LEEWAY = 1e-8
"""Part of the bound that is kept free for rounding, here and in the programs that check."""

UNBOUNDED = 1e30
"""In place of a bound that was not asked for."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Aim:
    """What a mesh has to keep to.

    Attributes
    ----------
    max_error
        Bound of the vertical error.
    times
        Positions per cell and axis at which the bound holds: 1, cell centres only, or more, of the bilinear surface.
    scale
        Metres per cell along columns and rows, for angles; errors are vertical.
    bounded
        Whether the bound is one. If not, ``max_error`` only says where growth stops, and heights are least squares.
    passes
        Rounds that look for better places of vertices.

    """

    max_error: float
    times: int = 1
    scale: tuple[float, float] = (1.0, 1.0)
    bounded: bool = True
    passes: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.max_error < math.inf:
            raise TerrainError(
                f"A mesh cannot be made with an error of {self.max_error:g}; the largest error is a number above 0."
            )


class Part(NamedTuple):
    """The mesh of one tile.

    Attributes
    ----------
    places
        Lattice positions (N, 2) as x, y, counted from the tile's first cell in steps of ``1 / aim.times`` cells.
    heights
        Heights of the vertices.
    faces
        Vertex numbers of triangles.
    rim
        Which vertices lie on the edge of the tile.
    squares, points
        Sum of the squared errors at lattice positions, and their number.

    """

    places: NDArray[np.int64]
    heights: Floats
    faces: NDArray[np.int32]
    rim: NDArray[np.bool_]
    squares: float = 0.0
    points: int = 0


def triangulate_tile(heights: Floats, valid: NDArray[np.bool_], aim: Aim) -> Part:
    """Mesh of the inside of a window.

    Parameters
    ----------
    heights, valid
        The cells of the tile, including those it shares with its neighbours, and one more cell on each side; not valid
        beyond the raster. Heights are anything where not valid.
    aim
        Bound and the like.

    Returns
    -------
    The part; empty where no three cells of a square are valid.

    """
    work = _begun(heights, valid, aim)
    if work is None:
        return Part(np.empty((0, 2), np.int64), np.empty(0), np.empty((0, 3), np.int32), np.empty(0, np.bool_))
    stop = aim.max_error * (SLACK if aim.bounded else 1.0)
    for level in levels(work.top(), stop, aim.bounded):
        work.grow(level)
    if aim.passes > 0 or aim.bounded:
        work.refit()
    return work.part()


def curve_of_tile(heights: Floats, valid: NDArray[np.bool_], aim: Aim) -> Curve:
    """How many triangles `triangulate_tile` would make, and with which errors, for every level down to the aim's.

    That is what the mesh with ``bounded=False`` has before its heights are refitted, which leaves the triangles as
    many.
    """
    work = _begun(heights, valid, aim)
    if work is None:
        return Curve()
    found = [(math.inf, *work.tally())]
    for level in levels(work.top(), aim.max_error, False):
        work.grow(level)
        found.append((level, *work.tally()))
    at, triangles, squares = (np.array([row[i] for row in found], float) for i in (0, 1, 3))
    return Curve(at, triangles, squares, work.points)


def levels(top: float, stop: float, anchored: bool) -> Iterator[float]:
    """Levels of growth from the largest error down to where it stops.

    They are counted from there if ``anchored``; else all but the last are the same for every tile and every stop.
    """
    base = stop if anchored else 1.0
    power = math.ceil(math.log(max(top, stop) / base) / math.log(FALL))
    while base * FALL**power > stop * (1 + 1e-12):
        yield base * FALL**power
        power += 1
    yield stop


def _begun(heights: Floats, valid: NDArray[np.bool_], aim: Aim) -> _Work | None:
    """The tile's net with the border of its ground, or None where there is no ground."""
    cover = ground.squares(valid)
    own, whole = ground.borders(cover)
    if not own.any():
        return None
    runs = ground.runs(own, ground.corners(own, whole))
    runs[:, :4] = (runs[:, :4] - 1) * aim.times
    inner = np.ascontiguousarray(heights[1:-1, 1:-1], np.float64)
    surface = inner if aim.times == 1 else ground.finer(inner, cover[1:-1, 1:-1], aim.times)
    work = _Work(surface, runs, aim)
    work.points = int(np.count_nonzero(ground.finer(np.ones_like(inner), cover[1:-1, 1:-1], aim.times)))
    return work


class _Work:
    """A net under work, with what is known of its triangles and vertices."""

    def __init__(self, surface: Floats, runs: NDArray[np.int64], aim: Aim) -> None:
        rows, cols = surface.shape
        self.surface, self.aim = surface, aim
        scale = aim.scale[0] / aim.times, aim.scale[1] / aim.times
        self.net = framed(rows, cols, rows * cols, scale)
        most = len(self.net[0]) // STRIDE
        self.worst, self.spot, self.todo = np.empty(most), np.empty(most, np.int64), np.empty(2 * most, np.int64)
        enclose(*self.net, surface, runs, self.todo)
        self.seam_places, self.seam_needs = seam_points(surface, runs)
        self.above = math.inf
        self.points = 0
        survey(*self.net, surface, self.worst, self.spot)

    def top(self) -> float:
        """Largest error of all triangles."""
        return float(self.worst[1 : self.net[0][TRIANGLES]].max())

    def grow(self, level: float) -> None:
        """Insert the worst points of triangles, and the points of seams, down to a level."""
        below = level / (SLACK if self.aim.bounded else 1.0) * (1 - LEEWAY)
        seams = self.seam_places, self.seam_needs
        stitch(*self.net, self.surface, self.worst, self.spot, seams, below, self.above)
        self.above = below
        grow(*self.net, self.surface, self.worst, self.spot, level, self.todo)

    def tally(self) -> tuple[int, int, float]:
        """Triangles, vertices, and the sum of squared errors."""
        return tally(*self.net, self.surface, self.todo)

    def refit(self) -> None:
        """Better heights, places and edges, and more vertices until all points keep to the bound."""
        net, surface, aim = self.net, self.surface, self.aim
        arrange(*net)
        survey(*net, surface, self.worst, self.spot)
        awake = np.full(len(net[2]), SETTLE | FLIP | SURVEY | MOVED, np.uint8)
        bound = aim.max_error * (1 - LEEWAY) if aim.bounded else UNBOUNDED
        calm, most = CALM * aim.max_error, aim.max_error * (1 - LEEWAY / 2)
        _polish(net, surface, bound, calm, awake)
        for _ in range(aim.passes):
            relocate(*net, surface, bound, LEAST_STEP, awake)
            flips(*net, surface, bound, LEAST_GAIN, awake)
        sweep(*net, surface, bound, GRIP, calm, awake)
        while aim.bounded:
            revise(*net, surface, self.worst, self.spot, awake)
            if mend(*net, surface, self.worst, self.spot, most, awake) == 0:
                survey(*net, surface, self.worst, self.spot)
                if mend(*net, surface, self.worst, self.spot, most, awake) == 0:
                    return
            _polish(net, surface, bound, calm, awake)
            sweep(*net, surface, bound, GRIP, calm, awake)

    def part(self) -> Part:
        """The ground's triangles, with the vertices numbered in order of their places in the net."""
        tri, node, z = self.net
        rows, cols = self.surface.shape
        _, _, squares = self.tally()
        records = tri[: STRIDE * tri[TRIANGLES]].reshape(-1, STRIDE)[1:]
        corners = records[records[:, INSIDE] == 1, :3]
        used = np.zeros(tri[VERTICES], np.bool_)
        used[corners] = True
        number = np.cumsum(used, dtype=np.int32) - 1
        vertices = node[: 4 * tri[VERTICES]].reshape(-1, 4)[used]
        x, y = vertices[:, X].astype(np.int64), vertices[:, Y].astype(np.int64)
        rim = (x == 0) | (y == 0) | (x == cols - 1) | (y == rows - 1)
        return Part(np.stack([x, y], 1), z[: tri[VERTICES]][used], number[corners], rim, squares, self.points)


def _polish(net: Net, surface: Floats, bound: float, calm: float, awake: NDArray[np.uint8]) -> None:
    """Better heights and diagonals where something changed."""
    sweep(*net, surface, bound, GRIP, calm, awake)
    flips(*net, surface, bound, LEAST_GAIN, awake)
