"""Which windows of each stage are worth their work: whose fields are looked at, or told to the stage below.

An area may fill little of its box, as two towns far apart or a strip along a river do. Windows are independent, so
leaving some out changes no bit of the others; what is left out is open ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..streets.obstacles import pieces_of
from .sampling import LATTICES, Rectangle, parents, reach
from .stages import STAGES, G, L, R, Stage

EDGE_M = 6.0
"""The finest fields are looked at so far beyond the edge of the area."""
MARGIN_CELLS = 3
"""Cells of stage R around those that the area touches on which streets are traced."""
LOOKED_AT_M = {"G": 3 * G.cell_m, "R": (MARGIN_CELLS + 1) * R.cell_m, "L": EDGE_M}
"""How far beyond the edge of the area the fields of each stage are looked at, at most."""

Shapes = NDArray[Any]
Windows = frozenset[Rectangle]


def areas_of(area: Rectangle) -> dict[str, Rectangle]:
    """The cells of each stage above that windows of the next one over an area of L's cells are told of."""
    middle = parents(reach(LATTICES["L"], area))
    return {"L": area, "R": middle, "G": parents(reach(LATTICES["R"], middle))}


def needed(extent: Any, area: Rectangle, finest_m: float) -> dict[str, Windows | None]:
    """Windows of each stage for an extent in metres, down to cells of a size; None stands for all.

    ``area`` are the cells of stage L around the extent.
    """
    if extent is None:
        return dict.fromkeys(STAGES)
    ground, areas = pieces_of(extent), areas_of(area)
    found: dict[str, Windows | None] = {}
    told: Shapes = np.zeros(0, object)
    for stage in (L, R, G):
        if stage.cell_m < finest_m and stage is not G:
            continue
        chosen = _chosen(stage, areas[stage.name], [(ground, LOOKED_AT_M[stage.name]), (told, 0.9 * stage.cell_m)])
        found[stage.name] = frozenset(chosen)
        told = _boxes(chosen, stage.cell_m)
    return found


def _chosen(stage: Stage, area: Rectangle, grounds: Sequence[tuple[Shapes, float]]) -> list[Rectangle]:
    """Windows of an area that have a share in any ground, or come so near to it in metres."""
    lattice = LATTICES[stage.name]
    windows = list(lattice.windows(area))
    shares = [window.grown(lattice.blend - lattice.halo) for window in windows]
    keep = np.zeros(len(windows), bool)
    for shapes, near_m in grounds:
        boxes = _boxes(shares, stage.cell_m, near_m)
        keep[shapely.STRtree(shapes).query(boxes, predicate="intersects")[0]] = True
    return [windows[k] for k in np.flatnonzero(keep)]


def _boxes(windows: Sequence[Rectangle], cell_m: float, by_m: float = 0.0) -> Shapes:
    """Windows in metres, grown on each side."""
    at = np.array([(w.west, w.south, w.west + w.cols, w.south + w.rows) for w in windows], float).reshape(-1, 4)
    west, south, east, north = at.T * cell_m
    return np.asarray(shapely.box(west - by_m, south - by_m, east + by_m, north + by_m), object)
