"""Vertices set from the patches onto the surface itself: the last step that says where a contour is. Imports numpy.

Nodes move along their edge and stay in the order of their levels, other vertices along the line of fall.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..elevation.relief import Relief
from ..raster import Bools, Floats
from .linking import Wholes
from .patches import NEAREST

ROUNDS = 4
FAR = 0.5
"""Samples that a vertex may move at most; patches are much nearer to the surface."""

ENOUGH = 2.0**-16
"""Samples of a step after which a vertex is settled."""

Ask = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]
"""Heights, rise down and rise across per sample, at positions (v, u)."""


def settled(places: Floats, heights_m: Floats, direction: Floats | None, ask: Ask) -> tuple[Floats, Bools]:
    """Places where the surface has these heights, and which were found; others stay.

    ``direction`` are the ways (v, u) that places may move, ``(N, 2)``; None: along the line of fall.
    """
    found, active = places.copy(), np.arange(len(places))
    for _ in range(ROUNDS):
        if not len(active):
            break
        height, *rise = ask(found[active, 0], found[active, 1])
        way = np.stack(rise, 1) if direction is None else direction[active]
        per_step = np.einsum("nk,nk->n", way, np.stack(rise, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = ((heights_m[active] - height) / per_step)[:, None] * way
        step = np.where(np.isfinite(step), step, np.inf)
        found[active] += step
        off = np.abs(found[active] - places[active]).max(axis=1)
        active = active[(np.abs(step).max(axis=1) > ENOUGH) & (off < FAR)]
    good = np.abs(found - places).max(axis=1) < FAR if len(places) else np.zeros(0, bool)
    return np.where(good[:, None], found, places), good


def on_edges(places: Floats, edges: Wholes, down: Bools, heights_m: Floats, ask: Ask) -> Floats:
    """Nodes settled along their edges; those of an edge where levels would change their order stay all as they are.

    ``down`` says which edges lead down; nodes of one edge follow each other.
    """
    way = np.where(down[:, None], [1.0, 0.0], [0.0, 1.0])
    found, good = settled(places, heights_m, way, ask)
    axis = np.where(down, 0, 1)
    every = np.arange(len(places))
    before, after = places[every, axis], found[every, axis]
    start = np.floor(before)
    good &= (after - start >= NEAREST) & (after - start <= 1 - NEAREST)
    same = edges[1:] == edges[:-1]
    swapped = same & (np.sign(after[1:] - after[:-1]) != np.sign(before[1:] - before[:-1]))
    good[1:] &= ~swapped
    spoilt = np.isin(edges, edges[~good])
    return np.where(spoilt[:, None], places, found)


def rises(relief: Relief, cell_m: tuple[Floats, Floats], per_cell: int) -> tuple[Floats, Floats]:
    """Rise down and across per sample from slopes per metre; ``cell_m`` are width and height of the cells."""
    if relief.east is None or relief.north is None:
        raise ValueError("The slope of the surface was not asked for.")
    return -relief.north * cell_m[1] / per_cell, relief.east * cell_m[0] / per_cell
