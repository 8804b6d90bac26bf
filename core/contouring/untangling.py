"""Contours that would touch each other get more of their vertices back, until none does. Imports numpy and shapely.

The straight pieces between crossings of lattice edges never cross (:mod:`.marching`), so the last version of all chains
is one without any crossing, and the search ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from ..raster import Bools
from .chains import Chains


def untangled(versions: Sequence[Chains]) -> tuple[Chains, Bools]:
    """Chains of which no two touch but where one goes on with the other, and which are of the last version.

    ``versions`` are the same chains, from few vertices to those that cannot cross.
    """
    drawn = [_lines(version) for version in versions]
    ends = np.stack([versions[0].node[versions[0].first[:-1]], versions[0].node[versions[0].first[1:] - 1]], axis=1)
    chosen = np.zeros(len(versions[0]), np.int64)
    while len(chosen):
        lines = np.choose(chosen, drawn)
        tangled = _tangled(lines, ends) & (chosen < len(versions) - 1)
        if not tangled.any():
            break
        chosen[tangled] += 1
    return _together(versions, chosen), chosen == len(versions) - 1


def _lines(chains: Chains) -> NDArray[np.object_]:
    counts = np.diff(chains.first)
    found: NDArray[np.object_] = shapely.linestrings(chains.points, indices=np.repeat(np.arange(len(chains)), counts))
    return found


def _tangled(lines: NDArray[np.object_], ends: NDArray[np.int64]) -> Bools:
    """Which chains touch themselves or others elsewhere than at a node that they share."""
    bad: Bools = ~shapely.is_simple(lines)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    one, other = one[one < other], other[one < other]
    shared = (ends[one][:, :, None] == ends[other][:, None, :]).sum(axis=(1, 2))
    wrong = shared == 0
    near = np.flatnonzero(~wrong)
    meeting = shapely.intersection(lines[one[near]], lines[other[near]])
    points = shapely.get_dimensions(meeting) == 0
    wrong[near] = ~points | (shapely.get_num_coordinates(meeting) > shared[near])
    bad[one[wrong]] = bad[other[wrong]] = True
    return bad


def _together(versions: Sequence[Chains], chosen: NDArray[np.int64]) -> Chains:
    """The chosen version of each chain."""
    counts = np.stack([np.diff(version.first) for version in versions])[chosen, np.arange(len(chosen))]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    points, node = np.empty((first[-1], 2)), np.empty(first[-1], np.int64)
    for number, version in enumerate(versions):
        taken = np.repeat(chosen == number, np.diff(version.first))
        places = np.repeat(chosen == number, counts)
        points[places], node[places] = version.points[taken], version.node[taken]
    return Chains(points, first, node, versions[0].good)
