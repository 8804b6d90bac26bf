"""How triangles hang together: directed edges, which of them meet, and the fans of triangles around each vertex.

A *half-edge* is one side of one triangle, with the direction that the triangle gives it: number ``i`` of triangle ``f``
runs from corner ``i`` to the next and has the number ``3 * f + i``. A *fan* is the triangles around a vertex that reach
each other over shared edges; a vertex of a surface has one. Imports numpy and scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """What :func:`links` has found.

    Attributes
    ----------
    starts, ends
        Vertices of every half-edge.
    edges
        Number of different edges.
    pairs
        (P, 2): half-edges that two triangles share, running in opposite directions.
    borders
        Half-edges of edges with one triangle.
    crowded
        Edges with more than two triangles, or with two that run the same way.

    """

    starts: Ints
    ends: Ints
    edges: int
    pairs: Ints
    borders: Ints
    crowded: int


def links(faces: NDArray[np.int32]) -> Links:
    """Sort the half-edges of triangles and find those that meet."""
    starts = faces.astype(np.int64).ravel()
    ends = np.roll(faces, -1, axis=1).astype(np.int64).ravel()
    keys = np.minimum(starts, ends) * (int(faces.max(initial=0)) + 1) + np.maximum(starts, ends)
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    counts = np.diff(firsts, append=len(keys))
    twice = firsts[counts == 2]
    pairs = np.stack([order[twice], order[twice + 1]], axis=1)
    opposite = starts[pairs[:, 0]] == ends[pairs[:, 1]]
    crowded = int(np.count_nonzero(counts > 2) + np.count_nonzero(~opposite))
    return Links(starts, ends, len(firsts), pairs[opposite], order[firsts[counts == 1]], crowded)


def pieces(found: Links, count: int) -> int:
    """Number of parts of ``count`` triangles that do not share an edge with another part."""
    return _components(count, found.pairs // 3)[0]


def fans(found: Links) -> Ints:
    """Number of the fan of every corner, corners in the order of half-edges that start there."""
    one, other = found.pairs[:, 0], found.pairs[:, 1]
    both = np.concatenate([np.stack([one, _next(other)], axis=1), np.stack([_next(one), other], axis=1)])
    return _components(len(found.starts), both)[1]


def pinched(found: Links, fan_of: Ints) -> int:
    """Vertices with more than one fan: places where parts of the surface touch at a point only."""
    vertex_of = np.zeros(int(fan_of.max(initial=-1)) + 1, np.int64)
    vertex_of[fan_of] = found.starts
    return int(np.count_nonzero(np.bincount(vertex_of) > 1))


def loops(found: Links, fan_of: Ints) -> int:
    """Closed lines that the borders form; two that touch at a vertex count as two."""
    one, other = fan_of[found.borders], fan_of[_next(found.borders)]
    names, numbers = np.unique(np.concatenate([one, other]), return_inverse=True)
    return _components(len(names), numbers.reshape(2, -1).T)[0] if len(names) else 0


def _next(half_edges: Ints) -> Ints:
    """The half-edges that follow in the same triangles."""
    following: Ints = half_edges + np.where(half_edges % 3 == 2, -2, 1)
    return following


def _components(count: int, joined: Ints) -> tuple[int, Ints]:
    ones = np.ones(len(joined), np.int8)
    graph = coo_matrix((ones, (joined[:, 0], joined[:, 1])), shape=(count, count))
    number, labels = connected_components(graph, directed=False)
    return int(number), labels.astype(np.int64)
