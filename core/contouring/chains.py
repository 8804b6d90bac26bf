"""Chains: the contours inside a block of cells, with the vertices that the tolerance asks for. Imports numpy and numba.

Blocks are counted from the corner of the DEM, so that no vertex depends on tiles. Where a chain leaves its block, the
crossing stays a vertex; between, half of the tolerance is left to tracing and half to leaving vertices out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..compiled import compiled
from ..raster import Bools, Floats
from .linking import Wholes
from .patches import follow

TRACING, THINNING = 0.4, 0.5
"""Shares of the tolerance; what is left is for the difference between patches and the surface."""


@dataclass(frozen=True)
class Chains:
    """Vertices (v, u) of chains one after the other.

    Attributes
    ----------
    points, first
        Vertices, and where each chain begins; both ends belong to a chain.
    node
        Number of the node that a vertex is, or -1.
    good
        Whether a chain is within the tolerance of the patches.

    """

    points: Floats
    first: Wholes
    node: Wholes
    good: Bools

    def __len__(self) -> int:
        """Number of chains."""
        return len(self.good)

    def kept(self, keep: Bools) -> Chains:
        """The chains with some of their vertices."""
        before = np.concatenate([[0], np.cumsum(keep)])
        return Chains(self.points[keep], before[self.first], self.node[keep], self.good)


@compiled
def followed(sheet, blocks, lines, pieces, nodes, size):
    """Vertices of chains as in :class:`Chains`.

    Parameters
    ----------
    sheet
        Layers as in :mod:`.patches`, and which squares are known.
    blocks
        First row, first column and side of the blocks in samples.
    lines
        Pieces in order, and where each chain begins among them.
    pieces
        Start, end and square of each, ``(N, 3)``.
    nodes
        Places and heights.
    size
        Sides of a square in units of the tolerance.

    """
    (order, first), (places, heights), width = lines, nodes, sheet[0].shape[2] - 1
    points, node = [(0.0, 0.0)], [np.int64(-1)]
    starts, good = np.zeros(len(first), np.int64), np.ones(len(first) - 1, np.bool_)
    box, ends, finer = np.empty(4), np.empty(4), size / TRACING
    for chain in range(len(first) - 1):
        begin = pieces[order[first[chain]], 0]
        points.append((places[begin, 0], places[begin, 1]))
        node.append(begin)
        for at in range(first[chain], first[chain + 1]):
            start, end, square = pieces[order[at]]
            i, j = square // width, square % width
            box[0] = (i + blocks[0]) // blocks[2] * blocks[2] - blocks[0]
            box[2] = (j + blocks[1]) // blocks[2] * blocks[2] - blocks[1]
            box[1], box[3] = box[0] + blocks[2], box[2] + blocks[2]
            ends[:2], ends[2:] = places[start], places[end]
            if not follow(sheet, box, heights[start], ends, finer, points):
                good[chain] = False
            while len(node) < len(points) - 1:
                node.append(np.int64(-1))
            node.append(end)
        starts[chain + 1] = len(points) - 1
    return np.array(points)[1:], starts, np.array(node)[1:], good


@compiled
def _off(points, a, b, p, size):
    """Squared distance of a vertex from the chord between two others, in units of the tolerance."""
    dv, du = (points[b, 0] - points[a, 0]) * size[0], (points[b, 1] - points[a, 1]) * size[1]
    pv, pu = (points[p, 0] - points[a, 0]) * size[0], (points[p, 1] - points[a, 1]) * size[1]
    length = dv * dv + du * du
    along = 0.0 if length == 0.0 else min(max((pv * dv + pu * du) / length, 0.0), 1.0)
    return (pv - along * dv) ** 2 + (pu - along * du) ** 2


@compiled
def _farthest(points, a, b, size):
    worst, where = -1.0, -1
    for p in range(a + 1, b):
        off = _off(points, a, b, p, size)
        if off > worst:
            worst, where = off, p
    return worst, where


@compiled
def _on_one_side(points, a, b, blocks):
    """Whether both ends lie on the same line between blocks."""
    for axis in range(2):
        at = points[a, axis] + blocks[axis]
        if points[a, axis] == points[b, axis] and at % blocks[2] == 0:
            return True
    return False


@compiled
def thinned(points, first, blocks, size):
    """Vertices that chains need (Douglas and Peucker, 1973), as a mask.

    Rings keep three corners, and chains that return to a side of their block keep one, so that they do not collapse.
    """
    keep, stack = np.zeros(len(points), np.bool_), np.empty((len(points) + 1, 2), np.int64)
    for chain in range(len(first) - 1):
        a, b = first[chain], first[chain + 1] - 1
        keep[a] = keep[b] = True
        ring = points[a, 0] == points[b, 0] and points[a, 1] == points[b, 1]
        least = 0.0 if ring or _on_one_side(points, a, b, blocks) else THINNING * THINNING
        stack[0], waiting = (a, b), 1
        while waiting > 0:
            waiting -= 1
            low, high = stack[waiting]
            worst, where = _farthest(points, low, high, size)
            if worst > least:
                keep[where] = True
                stack[waiting], stack[waiting + 1] = (low, where), (where, high)
                waiting += 2
            least = THINNING * THINNING
        if ring and keep[a : b + 1].sum() < 4:
            keep[a : b + 1] = True
    return keep
