"""A mesh with a number of triangles or an RMSE in place of a bound: the level of error that leads to it.

The level follows from curves of triangles and errors (:mod:`..mesh`). A mask cuts triangles and leaves errors out that
the curves know, so with one what comes out is compared with the wish, and the level is looked for again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import mesh, mesh_check, pipeline
from ..mesh import Curve, Mesh, Part
from ..progress import Progress
from ..tiling import Tile
from . import messages
from .checking import Checked, Checks
from .ground import Ground

if TYPE_CHECKING:
    from .making import Makers

ROUNDS = 4
"""How often the level is looked for at most."""

NEAR = 0.95
"""Share of a number of triangles that is near enough."""

AIMED = 0.96
"""Share of what is wanted that further rounds aim at."""

PASS_SHARE = 0.25
"""Share of the progress that is left which a pass over all tiles takes."""


class Passes:
    """Parts of a progress for passes over the tiles, of which nobody knows how many there will be."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0.0

    def next(self) -> Progress:
        """The part of another pass."""
        start = self._done
        self._done += PASS_SHARE * (1 - start)
        return self._progress.step(start, self._done)


class Curves:
    """Curves of the whole DEM by level, each made once. Call it with a level."""

    def __init__(self, makers: Makers, passes: Passes) -> None:
        self._makers, self._passes = makers, passes
        self._known: dict[float, Curve] = {}

    def __call__(self, level: float) -> Curve:
        """The curve down to a level."""
        if level not in self._known:
            found = self._makers.curve(level, self._passes.next())
            messages.refuse_nothing(found.points, masked=self._makers.bench.region.area is not None)
            self._known[level] = found
        return self._known[level]


def mesh_for(makers: Makers, start: float, progress: Progress) -> Mesh:
    """The mesh whose triangles or RMSE come nearest to the wish of the settings, and not above it if that can be.

    ``start`` is the level of error that the search begins with.
    """
    settings, passes = makers.bench.settings, Passes(progress)
    curves = Curves(makers, passes)
    if settings.max_triangles is not None:
        return _of_budget(makers, curves, passes, settings.max_triangles, start)
    return _of_rmse(makers, curves, passes, float(settings.max_rmse or 0.0), start)


def _of_budget(makers: Makers, curves: Curves, passes: Passes, most: int, start: float) -> Mesh:
    def made(asked: float) -> Mesh:
        level = mesh.level_for_budget(curves, max(int(asked), 1), start)
        return makers.mesh(level, passes.next(), bounded=False)

    return _nearest(made, lambda found: len(found.faces), most, makers)


def _of_rmse(makers: Makers, curves: Curves, passes: Passes, wish: float, start: float) -> Mesh:
    def parts(level: float) -> list[Part]:
        return makers.parts(level, passes.next(), bounded=False)

    def made(asked: float) -> Mesh:
        found = list(mesh.meshes_for_rmse(curves, parts, asked, start)[1])
        return makers.joined(found, passes.next())

    def measured(found: Mesh) -> float:
        between = makers.bench.settings.bound_at == "BETWEEN"
        return rmse_of(found, makers.bench.ground, passes.next(), between=between)

    return _nearest(made, measured, wish, makers)


def _nearest(made: Callable[[float], Mesh], measure: Callable[[Mesh], float], wish: float, makers: Makers) -> Mesh:
    """The best of some rounds: below the wish before above it, then the nearest."""
    asked, before, masked = float(wish), math.inf, makers.bench.region.area is not None
    best: tuple[tuple[bool, float], Mesh] | None = None
    for _ in range(ROUNDS):
        found = made(asked)
        reached = measure(found)
        rank = reached > wish, abs(reached - wish)
        if best is None or rank < best[0]:
            best = rank, found
        near = NEAR * wish <= reached or not masked  # without a mask nothing is cut that was counted
        if (reached <= wish and near) or not 0 < reached != before:
            break
        before = reached
        asked *= AIMED * wish / reached
    return best[1] if best else found


def rmse_of(found: Mesh, ground: Ground, progress: Progress, *, between: bool) -> float:
    """Root mean square error of a mesh at cells, or at finer positions, measured independently."""
    times = mesh_check.BETWEEN if between else 1
    work, total = Checks(ground, found, None, None, times=times), mesh_check.Accuracy()

    def gather(_: Tile, checked: Checked) -> None:
        nonlocal total
        total += checked.measured.accuracy

    pipeline.run(work.blocks, list(work.blocks), work, gather, progress)
    return total.rmse_between if between else total.rmse
