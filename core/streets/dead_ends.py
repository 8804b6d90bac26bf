"""Dead ends that were meant to go on: led to the street ahead of them, to a dead end that faces them, or to the edge.

Existing streets are never changed. Imports numpy and shapely.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from . import network as net
from .network import Network

Floats = NDArray[np.float64]

SURE_M = 6.0
"""A street so near ahead is reached in any case."""
REACH_M = 75.0
"""One farther away if the field has a trace of a street in between."""
TRACE = 0.08
"""So much more nearness in the mean than the streets around account for is such a trace."""
EDGE_M = 25.0
LOOK_M = 25.0
CONE, NEAR_CONE, NEAR_M = 0.82, 0.5, 22.0
"""Cosine of how far beside its direction a dead end looks for one that faces it, and for one that is near."""
LEAST_SINE = 0.45

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
    tree = shapely.STRtree(network.lines)
    added, rank, met = [], [], np.zeros(len(loose), bool)
    for n in _by_length(network, loose):
        if met[n]:
            continue
        offers = [_facing(n, ends, along, met), _ahead(ends[n], along[n], int(loose[n, 0]), network, tree)]
        offers.append((_to_edge(ends[n], along[n], edge), -1))
        lines = [(line, other) for line, other in offers if line is not None and line.length > 0.5]
        for line, other in sorted(lines, key=lambda one: (round(one[0].length, 3), one[1])):
            if _is_wanted(line, trace) and is_free(line):
                added.append(line)
                rank.append(int(network.rank[loose[n, 0]]))
                met[n] = True
                if other >= 0:
                    met[other] = True
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


def _ahead(end: Floats, along: Floats, own: int, network: Network, tree: Any) -> tuple[Any, int]:
    """A line straight on to the first other street that is met at an open angle."""
    ray = shapely.LineString([end + along * 0.5, end + along * REACH_M])
    hits = []
    for k in tree.query(ray, predicate="intersects"):
        if k != own:
            for point in shapely.get_coordinates(shapely.intersection(ray, network.lines[k])):
                hits.append((float(np.hypot(*(point - end))), int(k), point))
    if not hits:
        return None, -1
    _, k, point = min(hits, key=lambda hit: hit[:2])
    foot = _end_near(point, network.lines[k])
    if abs(_sine(along, network.lines[k], point)) < LEAST_SINE and foot is None:
        return None, -1
    return shapely.LineString([end, point if foot is None else foot]), -1


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


def _facing(n: int, ends: Floats, along: Floats, met: NDArray[np.bool_]) -> tuple[Any, int]:
    """A line to the nearest dead end that looks this way."""
    gap = ends - ends[n]
    away = np.hypot(*gap.T)
    unit = gap / np.maximum(away, 1e-9)[:, None]
    cone = np.where(away < NEAR_M, NEAR_CONE, CONE)
    fits = (away > 0.5) & (away < REACH_M) & (unit @ along[n] > cone) & (np.sum(unit * along, axis=1) < -cone) & ~met
    if not fits.any():
        return None, -1
    other = int(np.where(fits, away, np.inf).argmin())
    return shapely.LineString([ends[n], ends[other]]), other


def _to_edge(end: Floats, along: Floats, edge: Any) -> Any:
    """A line straight on to the edge of the area, if that is near."""
    ray = shapely.LineString([end, end + along * EDGE_M])
    points = shapely.get_coordinates(shapely.intersection(ray, edge))
    if not len(points):
        return None
    away = np.hypot(*(points - end).T)
    return shapely.LineString([end, points[int(away.argmin())]])
