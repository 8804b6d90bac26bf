"""Existing roads as a graph that the adapter reads: nodes at most a step apart, edges between neighbours.

Vertices that round to the same half metre are one node. The graph is in metres and cut to a window by its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

STEP_M = 20.0
SNAP_M = 0.5
NODE_FEATURES = 8


@dataclass(frozen=True)
class RoadGraph:
    """Nodes and undirected edges.

    Attributes
    ----------
    easting_northing
        ``(N, 2)``, metres.
    edges
        ``(E, 2)``, numbers of nodes.
    rank
        Rank of each edge's road, ``(E,)``.

    """

    easting_northing: NDArray[np.float64]
    edges: NDArray[np.int64]
    rank: NDArray[np.int64]

    def within(self, west: float, south: float, side_m: float, keep: NDArray[np.bool_] | None = None) -> RoadGraph:
        """The part whose edges (of those to keep) have a node in a square; a road leaves it by one node."""
        at = self.easting_northing - (west, south)
        inside = np.all((at >= 0) & (at < side_m), axis=1)
        chosen = inside[self.edges].any(axis=1)
        if keep is not None:
            chosen &= keep
        nodes, edges = np.unique(self.edges[chosen], return_inverse=True)
        return RoadGraph(self.easting_northing[nodes], edges.reshape(-1, 2), self.rank[chosen])

    def features(self, west: float, south: float, side_m: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Node features ``(N, 8)`` and edge features ``(E, 4)`` for a square window.

        Nodes: column and row in the window 0 to 1, degree / 4, height (0 where unknown), whether the road ends here,
        share of major, minor and service edges. Edges: length / step, cos 2a, sin 2a, rank.
        """
        at = (self.easting_northing - (west, south)) / side_m
        count = len(at)
        degree = np.bincount(self.edges.ravel(), minlength=count)
        ranks = np.stack([np.bincount(self.edges[self.rank == r].ravel(), minlength=count) for r in range(3)], axis=1)
        share = ranks / np.maximum(degree, 1)[:, None]
        nodes = np.column_stack([at[:, 0], 1 - at[:, 1], degree / 4, np.zeros(count), degree == 1, share])
        across = self.easting_northing[self.edges[:, 1]] - self.easting_northing[self.edges[:, 0]]
        angle = 2 * np.arctan2(across[:, 1], across[:, 0])
        length = np.hypot(*across.T) / STEP_M
        return nodes.astype(np.float32), np.column_stack([length, np.cos(angle), np.sin(angle), self.rank / 2]).astype(
            np.float32
        )


def road_graph(lines: NDArray[Any], rank: NDArray[np.int64]) -> RoadGraph:
    """The graph of lines: their vertices, with more in between wherever two are farther apart than a step."""
    if not len(lines):
        return RoadGraph(np.zeros((0, 2)), np.zeros((0, 2), np.int64), np.zeros(0, np.int64))
    dense = shapely.segmentize(lines, STEP_M)
    points, owner = shapely.get_coordinates(dense, return_index=True)
    cell, number = np.unique(np.round(points / SNAP_M).astype(np.int64), axis=0, return_inverse=True)
    number = number.ravel()
    follows = owner[1:] == owner[:-1]
    edges = np.column_stack([number[:-1], number[1:]])[follows]
    kind = np.minimum(rank, 2)[owner[1:][follows]]
    proper = edges[:, 0] != edges[:, 1]
    return RoadGraph(cell * SNAP_M, edges[proper], kind[proper])
