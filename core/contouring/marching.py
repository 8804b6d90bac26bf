"""Marching squares on samples of the surface: where lattice edges are crossed, and which crossings belong together.

All decisions are made with whole numbers (:meth:`.levels.Levels.ranks`): a sample is above a level or not. A square
whose samples alternate is decided by the height in its middle. So the contours of a square, of one level or of several,
never cross, and a sample exactly at a level needs no rule of its own. Lines run with the higher ground on their right,
as those of ``gdal_contour``.

Edges between samples are numbered: those to the right of each sample ``(i, j)``, ``i * U + j``, then those below each,
``V * U + i * U + j``. A node is the crossing of one level on one edge. Imports numpy and numba.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled
from .patches import crossing_on_edge


@compiled
def _mark_edges(known, wanted):
    """Edges around squares that are known."""
    rows, cols = known.shape
    width, below = cols + 1, (rows + 1) * (cols + 1)
    for i in range(rows):
        for j in range(cols):
            if known[i, j]:
                wanted[i * width + j] = wanted[(i + 1) * width + j] = True
                wanted[below + i * width + j] = wanted[below + i * width + j + 1] = True


@compiled
def first_nodes(ranks, known):
    """Number of the first node on each edge, and at the end how many nodes there are."""
    height, width = ranks.shape
    below = height * width
    wanted = np.zeros(2 * below, np.bool_)
    _mark_edges(known, wanted)
    first = np.zeros(2 * below + 1, np.int64)
    for edge in range(2 * below):
        count = 0
        if wanted[edge]:
            i, j = (edge % below) // width, (edge % below) % width
            other = ranks[i, j + 1] if edge < below else ranks[i + 1, j]
            count = abs(ranks[i, j] - other)
        first[edge + 1] = first[edge] + count
    return first


@compiled
def nodes(layers, ranks, first, traced):
    """Edge, level and position (v, u) of each node; ``traced`` are base and step of the heights in metres."""
    height, width = ranks.shape
    below, count = height * width, first[-1]
    edges, levels, places = np.empty(count, np.int64), np.empty(count, np.int64), np.empty((count, 2))
    for edge in range(2 * below):
        if first[edge] == first[edge + 1]:
            continue
        i, j = (edge % below) // width, (edge % below) % width
        down = edge >= below
        i2, j2, layer = (i + 1, j, 1) if down else (i, j + 1, 2)
        lowest = min(ranks[i, j], ranks[i2, j2])
        for node in range(first[edge], first[edge + 1]):
            k = lowest + node - first[edge]
            t = crossing_on_edge(layers[0, i, j], layers[0, i2, j2], layers[layer, i, j], layers[layer, i2, j2],
                                 traced[0] + k * traced[1])  # fmt: skip
            edges[node], levels[node] = edge, k
            places[node, 0], places[node, 1] = (i + t, float(j)) if down else (float(i), j + t)
    return edges, levels, places


@compiled
def _around(i, j, width, below, edges):
    """Edges of a square clockwise from the upper one."""
    edges[0], edges[1] = i * width + j, below + i * width + j + 1
    edges[2], edges[3] = (i + 1) * width + j, below + i * width + j


@compiled
def _turn(corners, k, edge):
    """What the ground does on an edge of a square walked clockwise: -1 it falls below a level, 1 it rises above."""
    before, after = k < corners[edge], k < corners[(edge + 1) % 4]
    return int(after) - int(before)


@compiled
def _partner(corners, k, edge, joined):
    """The edge where a contour leaves a square that it enters at ``edge``, where the ground falls.

    Walking with the higher ground on the right leads to where it rises: the only such edge, or of two the one before
    (the higher corner between them is cut off) or the one after (the lower corner is: the higher ones are joined).
    """
    if _turn(corners, k, (edge + 2) % 4) == -1:
        return (edge + 1) % 4 if joined else (edge + 3) % 4
    for step in range(1, 4):
        if _turn(corners, k, (edge + step) % 4) == 1:
            return (edge + step) % 4
    return edge


@compiled
def pieces(ranks, middle_ranks, known, first):
    """Nodes where each piece of contour begins and ends, and the square ``i * (U - 1) + j`` that it lies in."""
    height, width = ranks.shape
    below = height * width
    starts, ends = np.empty(first[-1], np.int64), np.empty(first[-1], np.int64)
    squares = np.empty(first[-1], np.int64)
    corners, edges, count = np.empty(4, np.int64), np.empty(4, np.int64), 0
    for i in range(height - 1):
        for j in range(width - 1):
            corners[0], corners[1] = ranks[i, j], ranks[i, j + 1]
            corners[2], corners[3] = ranks[i + 1, j + 1], ranks[i + 1, j]
            if not known[i, j] or corners.min() == corners.max():
                continue
            _around(i, j, width, below, edges)
            for k in range(corners.min(), corners.max()):
                for e in range(4):
                    if _turn(corners, k, e) == -1:
                        other = _partner(corners, k, e, k < middle_ranks[i, j])
                        starts[count] = first[edges[e]] + k - min(corners[e], corners[(e + 1) % 4])
                        ends[count] = first[edges[other]] + k - min(corners[other], corners[(other + 1) % 4])
                        squares[count] = i * (width - 1) + j
                        count += 1
    return starts[:count], ends[:count], squares[:count]
