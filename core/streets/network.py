"""A planar net of streets: lines that meet only at shared ends, on a grid of millimetres.

A :class:`Network` is a value; functions return new ones. Two lines of one network share at most end points, and ends
that are the same node have the same coordinates to the bit. Imports numpy, scipy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Lines = NDArray[Any]

GRID_M = 0.001
"""All coordinates are whole multiples of this; equal places are equal bits."""

PER_M = 1000.0

GENERATED, JOINING, EXISTING = 0, 1, 2
WIDTH_M = (14.0, 8.0, 5.0, 3.0)
"""Usual width between kerbs by rank: major, minor, service, foot."""
RANKS = ("major", "minor", "service", "foot")


@dataclass(frozen=True)
class Network:
    """Lines of streets with rank, origin and, for existing ones, the number of their feature.

    ``fitted_m`` are widths that fit between buildings; without it every street has the usual width of its rank.
    """

    lines: Lines
    rank: Numbers
    origin: Numbers
    source: Numbers
    fitted_m: Floats | None = None

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.lines)

    def take(self, which: NDArray[Any]) -> Network:
        """The lines that a mask or numbers choose."""
        fitted_m = None if self.fitted_m is None else self.fitted_m[which]
        return Network(self.lines[which], self.rank[which], self.origin[which], self.source[which], fitted_m)

    @property
    def width_m(self) -> Floats:
        """Width between kerbs of each line."""
        return np.asarray(WIDTH_M)[self.rank] if self.fitted_m is None else self.fitted_m


@dataclass(frozen=True)
class Nodes:
    """Where lines end.

    Attributes
    ----------
    points
        ``(N, 2)`` in the order of their coordinates.
    ends
        ``(E, 2)``, node numbers of each line's first and last point.
    degree
        Line ends at each node, ``(N,)``.

    """

    points: Floats
    ends: Numbers
    degree: Numbers

    @property
    def component(self) -> Numbers:
        """Number of the connected component of each node, ``(N,)``."""
        count = len(self.points)
        graph = coo_array((np.ones(len(self.ends)), (self.ends[:, 0], self.ends[:, 1])), shape=(count, count))
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def snap(points: Floats) -> Floats:
    """Coordinates on the grid of millimetres, to the bit as GEOS rounds them."""
    return np.asarray(np.floor(points * PER_M + 0.5) / PER_M)


def empty() -> Network:
    """No street at all."""
    none = np.zeros(0, np.int64)
    return Network(np.zeros(0, object), none, none, none)


def of_lines(lines: Lines, rank: Numbers, origin: int, source: Numbers | None = None) -> Network:
    """Lines that need not be planar yet, without repeated or missing points."""
    lines = shapely.set_precision(shapely.force_2d(np.asarray(lines, object)), GRID_M, mode="pointwise")
    lines = np.asarray(shapely.remove_repeated_points(lines), object)
    keep = ~shapely.is_empty(lines) & (shapely.length(lines) > 0)
    number = np.arange(len(lines)) if source is None else source
    whole = np.full(len(lines), origin, np.int64)
    return Network(lines[keep], np.asarray(rank, np.int64)[keep], whole[keep], number[keep])


def with_own_widths(network: Network, own: Network) -> Network:
    """The network whose existing streets are as wide as in ``own``, by the feature that they are of."""
    if own.fitted_m is None or not len(own):
        return network
    by_source = np.zeros(int(own.source.max()) + 1)
    by_source[own.source] = own.fitted_m
    existing = network.origin == EXISTING
    width_m = network.width_m.copy()
    width_m[existing] = by_source[network.source[existing]]
    return replace(network, fitted_m=width_m)


def joined(*parts: Network) -> Network:
    """All lines of several networks; they need not be planar together."""
    names = ("lines", "rank", "origin", "source")
    return Network(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def nodes(network: Network) -> Nodes:
    """Where the lines of a network end."""
    if not len(network):
        return Nodes(np.zeros((0, 2)), np.zeros((0, 2), np.int64), np.zeros(0, np.int64))
    ends = np.stack([shapely.get_coordinates(shapely.get_point(network.lines, k)) for k in (0, -1)], axis=1)
    points, number = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    number = number.reshape(-1, 2)
    return Nodes(points, number, np.bincount(number.ravel(), minlength=len(points)))


def planar(network: Network) -> Network:
    """Cut all lines wherever they meet, on the grid of millimetres, and drop what lies twice.

    Snap rounding (Hobby 1999, as in GEOS' overlay) makes the result planar to the bit. A piece takes rank, origin and
    source of the line that it came from; of several, the existing one, then the one of the highest rank.
    """
    if not len(network):
        return network
    noded = shapely.get_parts(shapely.node(shapely.union_all(network.lines, grid_size=GRID_M)))
    noded = _ordered(noded)
    middle = shapely.line_interpolate_point(noded, 0.5, normalized=True)
    tree = shapely.STRtree(network.lines)
    piece, line = tree.query(middle, predicate="dwithin", distance=5 * GRID_M)
    order = np.lexsort((line, network.rank[line], -network.origin[line], piece))
    piece, line = piece[order], line[order]
    first = np.unique(piece, return_index=True)[1]
    return Network(noded[piece[first]], *(v[line[first]] for v in (network.rank, network.origin, network.source)))


def _ordered(lines: Lines) -> Lines:
    """Lines in the order of their coordinates, each running from its lesser end; so input order leaves no trace."""
    ends = [shapely.get_coordinates(shapely.get_point(lines, k)) for k in (0, -1)]
    turn = (ends[0][:, 0] > ends[1][:, 0]) | ((ends[0][:, 0] == ends[1][:, 0]) & (ends[0][:, 1] > ends[1][:, 1]))
    lines = np.where(turn, shapely.reverse(lines), lines)
    ends = [shapely.get_coordinates(shapely.get_point(lines, k)) for k in (0, -1)]
    middle = shapely.get_coordinates(shapely.line_interpolate_point(lines, 0.5, normalized=True))
    keys = [middle[:, 1], middle[:, 0], ends[1][:, 1], ends[1][:, 0], ends[0][:, 1], ends[0][:, 0]]
    return np.asarray(lines[np.lexsort(keys)], object)


def dissolved(network: Network) -> Network:
    """Lines that meet where no third does become one, if both are generated and of one rank."""
    while len(network):
        found = nodes(network)
        lines, gone, touched = network.lines.copy(), np.zeros(len(network), bool), np.zeros(len(network), bool)
        for a, b, node in _continuations(network, found):
            if not (touched[a] or touched[b]):  # each line grows once per round, since its ends change
                lines[a] = _spliced(lines[a], lines[b], found.points[node])
                gone[b] = touched[a] = touched[b] = True
        if not gone.any():
            break
        network = Network(lines, network.rank, network.origin, network.source).take(~gone)
    return network


def _continuations(network: Network, found: Nodes) -> Numbers:
    """Pairs of lines that may be spliced and their node, ``(P, 3)``."""
    line = np.repeat(np.arange(len(network)), 2)
    order = np.argsort(found.ends.ravel(), kind="stable")
    start = np.concatenate([[0], np.cumsum(found.degree)])[:-1]
    two = np.flatnonzero(found.degree == 2)
    a, b = line[order[start[two]]], line[order[start[two] + 1]]
    same = (a != b) & (network.rank[a] == network.rank[b])
    same &= (network.origin[a] == GENERATED) & (network.origin[b] == GENERATED)
    return np.column_stack([a, b, two])[same]


def _spliced(a: Any, b: Any, at: Floats) -> Any:
    """One line from two that meet at a point."""
    first, second = shapely.get_coordinates(a), shapely.get_coordinates(b)
    if not np.array_equal(first[-1], at):
        first = first[::-1]
    if not np.array_equal(second[0], at):
        second = second[::-1]
    return shapely.linestrings(np.concatenate([first, second[1:]]))
