"""Points that cannot be ground: far above or below what their neighbours say, measured by how well neighbours agree.

Each point is compared with a plane through its neighbours, which a robust fit keeps from following other bad points.
What stands out together with neighbours, the crest of a dike say, is ground. Imports numpy and scipy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 12
"""Neighbours that a point is compared with."""

LIMIT = 10.0
"""Deviations from the neighbours' plane beyond so many times the usual one are trimmed."""

COMPANY = 3
"""So many neighbours that stand out on the same side make a form of the ground; fewer may be bad points themselves."""

ALONE = 3.0
"""Points are trimmed that stand out so many times as far as these neighbours."""

ROUNDS = 4
"""Fits of a plane, each with weights from the deviations of the one before."""

TO_DEVIATION = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""

AT_ONCE = 50_000
"""Points whose planes are fitted together."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def outliers(places: Floats, heights: Floats, least: float = 0.0) -> Bools:
    """Which heights do not belong to their places, ``(N, 2)``; none where there are too few points to tell.

    Usual deviations smaller than ``least`` count as this: on made ground, all planes, the usual one is a rounding.
    """
    if len(places) <= NEIGHBOURS:
        return np.zeros(len(places), dtype=bool)
    near = cKDTree(places).query(places, k=NEIGHBOURS + 1)[1][:, 1:]
    off = np.concatenate([
        _deviations(places, heights, near, slice(start, start + AT_ONCE)) for start in range(0, len(places), AT_ONCE)
    ])  # fmt: skip
    size = np.abs(off)
    here = TO_DEVIATION * np.median(size[near], axis=1)
    everywhere = max(TO_DEVIATION * float(np.median(size)), least)
    together = np.partition(off[near] * np.sign(off)[:, None], NEIGHBOURS - COMPANY, axis=1)[:, NEIGHBOURS - COMPANY]
    return (size > LIMIT * np.maximum(here, everywhere)) & (size > ALONE * together)


def _deviations(places: Floats, heights: Floats, near: NDArray[np.int64], some: slice) -> Floats:
    """Heights above the plane of the neighbours."""
    away = places[near[some]] - places[some][:, None]
    columns = np.concatenate([np.ones((*away.shape[:2], 1)), away], axis=2)  # (N, neighbours, 3)
    rise = heights[near[some]] - heights[some][:, None]
    middle = np.median(rise, axis=1)
    weight = _weights(rise - middle[:, None])
    plane = np.zeros((len(rise), 3))
    for _ in range(ROUNDS):
        plane = _planes(columns, rise, weight)
        weight = _weights(rise - np.einsum("nkc,nc->nk", columns, plane))
    return -plane[:, 0]


def _planes(columns: Floats, rise: Floats, weight: Floats) -> Floats:
    """Weighted planes; a trace of stiffness keeps neighbours in a line from tilting theirs."""
    heavy = columns * weight[:, :, None]
    left = np.einsum("nki,nkj->nij", heavy, columns)
    right = np.einsum("nki,nk->ni", heavy, rise)
    left[:, [0, 1, 2], [0, 1, 2]] += 1e-9 * np.trace(left, axis1=1, axis2=2)[:, None]
    found: Floats = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    return found


def _weights(off: Floats) -> Floats:
    """Less for neighbours that are further off than most (Cauchy's weights)."""
    usual = np.median(np.abs(off), axis=1, keepdims=True)
    return 1 / (1 + (off / np.maximum(2 * usual, 1e-9)) ** 2)
