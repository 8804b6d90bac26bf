"""Dead ends that were meant to go on: led to the street ahead of them, to a dead end that faces them, or to the edge.

The field says where: by the way in which a street ends, and by a trace of a street ahead. A street that leads nowhere
else goes straight on to the next one even without such a trace, since no town has streets that lead nowhere. Existing
streets are never changed. Imports numpy, scipy and shapely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from . import network as net
from .network import Network

Floats = NDArray[np.float64]

SURE_M = 35.0
"""A street so near ahead is reached in any case."""
REACH_M = 75.0
"""One farther away if the field has a trace of a street in between, or if nothing else joins the two."""
TRACE = 0.08
"""So much more nearness in the mean than the streets around account for is such a trace."""
EDGE_M = 25.0
LEAST_M = 0.5
LOOK_M = 25.0
CONE, NEAR_CONE, NEAR_M = 0.82, 0.5, 22.0
"""Cosine of how far beside its direction a dead end looks for one that faces it, and for one that is near."""
LEAST_SINE = 0.45


@dataclass(frozen=True)
class Offer:
    """A line on which a dead end may go on, and the dead end or street that it leads to, by number; -1 for none."""

    line: Any
    end: int = -1
    street: int = -1

    @property
    def key(self) -> tuple[float, int, int]:
        """Shorter ones come first."""
        return round(float(self.line.length), 3), self.end, self.street


Free = Callable[[Any], bool]
Trace = Callable[[Any], float]


def led_on(network: Network, edge: Any, is_free: Free, trace: Trace) -> Network:
    """Streets whose generated dead ends go on where that is allowed.

    ``edge`` is the boundary of the area; ``trace`` says how much more nearness a line has than streets near it explain.
    """
    if not len(network):
        return network
    found = net.nodes(network)
    loose = np.argwhere((found.degree[found.ends] == 1) & (network.origin != net.EXISTING)[:, None])
    if not len(loose):
        return network
    ends = found.points[found.ends[loose[:, 0], loose[:, 1]]]
    along = np.array([_direction(network.lines[k], int(e)) for k, e in loose])
    tree, facing = shapely.STRtree(network.lines), cKDTree(ends)
    shapely.prepare(edge)
    added, rank, met = [], [], np.zeros(len(loose), bool)
    group = found.component[found.ends[:, 0]]
    for n in _by_length(network, loose):
        if met[n]:
            continue
        own = int(loose[n, 0])
        offers = [_facing(int(n), facing, along, met), _ahead(ends[n], along[n], own, network, tree)]
        offers.append(_to_edge(ends[n], along[n], edge))
        for offer in sorted((one for one in offers if one is not None), key=lambda one: one.key):
            street = offer.street if offer.end < 0 else int(loose[offer.end, 0])
            joins = street >= 0 and group[street] != group[own]
            if (joins or _is_wanted(offer.line, trace)) and is_free(offer.line):
                added.append(offer.line)
                rank.append(int(network.rank[own]))
                met[n] = True
                if offer.end >= 0:
                    met[offer.end] = True
                if joins:
                    group[group == group[street]] = group[own]
                break
    if not added:
        return network
    more = net.of_lines(np.array(added, object), np.array(rank, np.int64), net.GENERATED)
    return net.dissolved(net.planar(net.joined(network, more)))


def _by_length(network: Network, loose: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ends of long streets first."""
    length = np.round(shapely.length(network.lines[loose[:, 0]]), 3)
    return np.asarray(np.lexsort((loose[:, 1], loose[:, 0], -length)), np.int64)


def _is_wanted(line: Any, trace: Trace) -> bool:
    return line.length <= SURE_M or trace(line) >= TRACE


def _direction(line: Any, end: int) -> Floats:
    """Unit direction in which a line goes on beyond one of its ends."""
    path = shapely.get_coordinates(line)[:: -1 if end == 0 else 1]
    whole = shapely.LineString(path)
    back = shapely.get_coordinates(shapely.line_interpolate_point(whole, max(whole.length - LOOK_M, 0.0)))[0]
    along = path[-1] - back
    return np.asarray(along / max(float(np.hypot(*along)), 1e-9))


def _ahead(end: Floats, along: Floats, own: int, network: Network, tree: Any) -> Offer | None:
    """A line straight on to the first other street that is met at an open angle."""
    ray = shapely.LineString([end + along * 0.5, end + along * REACH_M])
    hits = []
    for k in tree.query(ray, predicate="intersects"):
        if k != own:
            for point in shapely.get_coordinates(shapely.intersection(ray, network.lines[k])):
                hits.append((float(np.hypot(*(point - end))), int(k), point))
    if not hits:
        return None
    _, k, point = min(hits, key=lambda hit: hit[:2])
    foot = _end_near(point, network.lines[k])
    if abs(_sine(along, network.lines[k], point)) < LEAST_SINE and foot is None:
        return None
    return _offer(end, point if foot is None else foot, street=k)


def _offer(start: Floats, stop: Floats, end: int = -1, street: int = -1) -> Offer | None:
    """A straight line from a dead end; None if it is there already."""
    line = shapely.LineString([start, stop])
    return Offer(line, end, street) if line.length > LEAST_M else None


def _end_near(point: Floats, line: Any, near_m: float = 10.0) -> Floats | None:
    """The end of a line near a point on it, so that streets meet in one junction."""
    points = shapely.get_coordinates(line)[[0, -1]]
    away = np.hypot(*(points - point).T)
    return np.asarray(points[int(away.argmin())]) if away.min() < near_m else None


def _sine(along: Floats, line: Any, point: Floats) -> float:
    """Sine of the angle at which a direction meets a line at a point of it."""
    at = line.project(shapely.Point(point))
    two = shapely.get_coordinates(
        shapely.line_interpolate_point(line, [max(at - 3.0, 0.0), min(at + 3.0, line.length)])
    )
    way = (two[1] - two[0]) / max(float(np.hypot(*(two[1] - two[0]))), 1e-9)
    return float(along[0] * way[1] - along[1] * way[0])


def _facing(n: int, ends: cKDTree, along: Floats, met: NDArray[np.bool_]) -> Offer | None:
    """A line to the nearest dead end that looks this way."""
    here = ends.data[n]
    near = np.array(ends.query_ball_point(here, REACH_M, return_sorted=True), np.int64)
    gap = ends.data[near] - here
    away = np.hypot(*gap.T)
    unit = gap / np.maximum(away, 1e-9)[:, None]
    cone = np.where(away < NEAR_M, NEAR_CONE, CONE)
    fits = (away > LEAST_M) & (unit @ along[n] > cone) & (np.sum(unit * along[near], axis=1) < -cone) & ~met[near]
    if not fits.any():
        return None
    other = int(near[np.where(fits, away, np.inf).argmin()])
    return _offer(here, ends.data[other], end=other)


def _to_edge(end: Floats, along: Floats, edge: Any) -> Offer | None:
    """A line straight on to the edge of the area, if that is near."""
    ray = shapely.LineString([end, end + along * EDGE_M])
    if not shapely.intersects(edge, ray):
        return None
    points = shapely.get_coordinates(shapely.intersection(ray, edge))
    away = np.hypot(*(points - end).T)
    return _offer(end, points[int(away.argmin())])
