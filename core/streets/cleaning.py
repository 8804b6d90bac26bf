"""From traced lines to streets: junctions merged, slivers and stubs gone, angles and spacing as in built towns.

Every step takes and returns a :class:`.network.Network`; existing streets are never moved, cut away or dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import shapely.ops
from numpy.typing import NDArray

from . import network as net
from .network import Network
from .strokes import of_one_rank, straight

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Manners:
    """What a street net may look like: lengths in metres, angles in degrees."""

    merge_m: float = 14.0
    """Junctions nearer than this along a street are one."""
    spur_m: float = 14.0
    """Shorter dead ends are dropped."""
    spacing_m: float = 12.0
    """Two streets between the same junctions that stay nearer than this are one."""
    angle_deg: float = 28.0
    """Least angle between two streets at a junction."""
    simplify_m: float = 1.6
    straight_m: float = 4.5
    """A street may leave its traced course by so much to be straight."""
    face_m2: float = 500.0
    """Least ground between streets."""


def cleaned(network: Network, manners: Manners) -> Network:
    """Until lines, junctions, stubs and small faces are in order; lines still wiggle as they were traced."""
    for _ in range(3):
        before = len(network)
        network = net.dissolved(without_spurs(merged_junctions(network, manners), manners))
        network = net.planar(without_twins(simplified(network, manners), manners))
        network = net.dissolved(without_small_faces(network, manners))
        if len(network) == before:
            break
    return network


def tidied(network: Network, manners: Manners) -> Network:
    """Straight streets that meet at open angles in few junctions."""
    network = net.dissolved(of_one_rank(net.dissolved(network)))
    network = straight(merged_junctions(network, manners), manners.straight_m)
    network = net.planar(opened_angles(net.dissolved(network), manners))
    network = merged_junctions(net.dissolved(network), manners)
    network = without_small_faces(net.planar(without_spurs(net.planar(network), manners)), manners)
    return net.dissolved(straight(net.dissolved(network), manners.straight_m))


def merged_junctions(network: Network, manners: Manners) -> Network:
    """Ends of short generated lines become one node, in the middle of them or on the existing one."""
    if not len(network):
        return network
    found = net.nodes(network)
    length = shapely.length(network.lines)
    short = np.flatnonzero((length < manners.merge_m) & (network.origin != net.EXISTING))
    if not len(short):
        return network
    fixed = np.zeros(len(found.points), bool)
    fixed[found.ends[network.origin == net.EXISTING].ravel()] = True
    parent = _clusters(found, short[np.argsort(length[short], kind="stable")], fixed, manners.merge_m)
    weight = np.where(fixed, 1e9, found.degree.astype(float))
    total = np.bincount(parent, weight, len(parent))
    total_at: Floats = np.stack(
        [np.bincount(parent, weight * axis, len(parent)).astype(np.float64) for axis in found.points.T], axis=1
    )
    centre = total_at / np.maximum(total, 1e-12)[:, None]
    has_fixed = np.bincount(parent[fixed], minlength=len(parent)) > 0
    for node in np.flatnonzero(fixed):
        centre[parent[node]] = found.points[node]
    moved = np.where(fixed[:, None], found.points, net.snap(centre[parent]))
    changed = np.any(moved != found.points, axis=1) | has_fixed[parent] & ~fixed
    return _moved(network, found, moved, changed, manners.merge_m * 0.7)


def _clusters(found: net.Nodes, short: Numbers, fixed: NDArray[np.bool_], reach_m: float) -> Numbers:
    """Cluster number of each node; a cluster is at most twice ``reach_m`` wide and holds at most one fixed node."""
    parent = np.arange(len(found.points))
    low, high = found.points.copy(), found.points.copy()
    held = fixed.astype(int)

    def root(node: int) -> int:
        while parent[node] != node:
            node = int(parent[node])
        return node

    for a, b in found.ends[short]:
        p, q = sorted((root(int(a)), root(int(b))))
        span = np.maximum(high[p], high[q]) - np.minimum(low[p], low[q])
        if p == q or held[p] + held[q] > 1 or np.hypot(*span) > 1.8 * reach_m:
            continue
        parent[q] = p
        low[p], high[p] = np.minimum(low[p], low[q]), np.maximum(high[p], high[q])
        held[p] += held[q]
    return np.array([root(node) for node in range(len(parent))], np.int64)


def _moved(network: Network, found: net.Nodes, places: Floats, changed: NDArray[np.bool_], clear_m: float) -> Network:
    """Generated lines with their ends at new places; their own points nearer than ``clear_m`` to those are dropped."""
    lines = network.lines.copy()
    for k in np.flatnonzero((network.origin != net.EXISTING) & changed[found.ends].any(axis=1)):
        points = shapely.get_coordinates(lines[k])
        a, b = places[found.ends[k]]
        inner = points[1:-1]
        for end, did in ((a, changed[found.ends[k, 0]]), (b, changed[found.ends[k, 1]])):
            if did:
                inner = inner[np.hypot(*(inner - end).T) > clear_m]
        lines[k] = shapely.LineString(np.concatenate([[a], inner, [b]]))
    keep = shapely.length(lines) > 0.0
    loop = found.ends[:, 0] == found.ends[:, 1]
    ring = np.all(places[found.ends[:, 0]] == places[found.ends[:, 1]], axis=1) & ~loop
    keep &= ~(ring & (network.origin != net.EXISTING) & (shapely.length(lines) < 6 * clear_m))
    return net.planar(Network(lines, network.rank, network.origin, network.source).take(keep))


def without_spurs(network: Network, manners: Manners, border: Any = None) -> Network:
    """Drop short generated dead ends and small rings that hang on one node, again and again."""
    while len(network):
        found = net.nodes(network)
        end = (found.degree[found.ends] == 1).any(axis=1)
        loop = found.ends[:, 0] == found.ends[:, 1]
        length = shapely.length(network.lines)
        bad = (end & (length < manners.spur_m)) | (loop & (length < 4 * manners.spur_m))
        if border is not None:
            bad &= ~shapely.dwithin(network.lines, border, 2.0)
        bad &= network.origin != net.EXISTING
        if not bad.any():
            break
        network = net.dissolved(network.take(~bad))
    return network


def simplified(network: Network, manners: Manners) -> Network:
    """Generated lines without needless points; a simpler line that would cross another stays as it was."""
    lines = network.lines.copy()
    mine = network.origin != net.EXISTING
    lines[mine] = shapely.simplify(lines[mine], manners.simplify_m)
    return Network(lines, network.rank, network.origin, network.source)


def without_twins(network: Network, manners: Manners) -> Network:
    """Of two lines between the same nodes that stay near each other, drop the generated or longer one."""
    if not len(network):
        return network
    found = net.nodes(network)
    ends = np.sort(found.ends, axis=1)
    length = shapely.length(network.lines)
    order = np.lexsort((length, -network.origin, ends[:, 1], ends[:, 0]))
    keep = np.ones(len(network), bool)
    for a, b in zip(order[:-1], order[1:], strict=True):
        if np.array_equal(ends[a], ends[b]) and network.origin[b] != net.EXISTING and keep[a]:
            keep[b] = shapely.hausdorff_distance(network.lines[a], network.lines[b]) >= manners.spacing_m
    return network.take(keep)


def without_small_faces(network: Network, manners: Manners) -> Network:
    """Open faces too small for a block: of each the generated line of the lowest rank goes, of several the longest."""
    for _ in range(4):
        if not len(network):
            break
        faces = shapely.get_parts(shapely.polygonize(network.lines))
        small = faces[shapely.area(faces) < manners.face_m2]
        if not len(small):
            break
        face, line = shapely.STRtree(network.lines).query(small, predicate="intersects")
        middle = shapely.line_interpolate_point(network.lines[line], 0.5, normalized=True)
        beside = shapely.dwithin(middle, shapely.boundary(small)[face], 2 * net.GRID_M)
        beside &= network.origin[line] != net.EXISTING
        face, line = face[beside], line[beside]
        order = np.lexsort((line, -shapely.length(network.lines[line]), -network.rank[line], face))
        first = order[np.unique(face[order], return_index=True)[1]]
        if not len(first):
            break
        keep = np.ones(len(network), bool)
        keep[line[first]] = False
        network = net.dissolved(without_spurs(network.take(keep), manners))
    return network


def opened_angles(network: Network, manners: Manners) -> Network:
    """Where two streets leave a junction in nearly one direction, the lesser joins the other farther along."""
    for _ in range(4):
        found = net.nodes(network)
        changes = _narrow(network, found, manners)
        if not changes:
            break
        lines, keep = network.lines.copy(), np.ones(len(network), bool)
        for k, shape in changes:
            if shape is None:
                keep[k] = False
            else:
                lines[k] = shape
        network = Network(lines, network.rank, network.origin, network.source).take(keep)
        network = net.planar(network)
    return network


def cleared_ends(network: Network, reach_m: float = 3.0) -> Network:
    """Cut generated dead ends back that stop just short of another street, so that no end looks unjoined."""
    while len(network):
        found = net.nodes(network)
        loose = np.argwhere((found.degree[found.ends] == 1) & (network.origin != net.EXISTING)[:, None])
        points = shapely.points(found.points[found.ends[loose[:, 0], loose[:, 1]]])
        number, other = shapely.STRtree(network.lines).query(points, predicate="dwithin", distance=reach_m)
        near = np.unique(number[loose[number, 0] != other])
        if not len(near):
            break
        network = _cut_back(network, loose[near], 2 * reach_m)
    return network


def _cut_back(network: Network, ends: Numbers, by_m: float) -> Network:
    """The network with ends of lines, given as line and end, cut back; short lines go."""
    lines, keep = network.lines.copy(), np.ones(len(network), bool)
    for k, end in ends:
        length = float(lines[k].length)
        first, last = (by_m, length) if end == 0 else (0.0, length - by_m)
        keep[k] &= length > 3 * by_m
        if keep[k]:
            lines[k] = shapely.ops.substring(lines[k], first, last)
    lines = shapely.set_precision(lines, net.GRID_M, mode="pointwise")
    return net.planar(Network(lines, network.rank, network.origin, network.source).take(keep))


def _narrow(network: Network, found: net.Nodes, manners: Manners) -> list[tuple[int, Any]]:
    """Lines to shorten, with their new shape, or None to drop them; at most one change per line and node."""
    arms: dict[int, list[tuple[float, int, int]]] = {}
    for k, line in enumerate(network.lines):
        points = shapely.get_coordinates(line)
        for end, path in enumerate((points, points[::-1])):
            node = int(found.ends[k, end])
            if found.degree[node] >= 2:
                along = _at(path, 12.0) - path[0]
                arms.setdefault(node, []).append((float(np.degrees(np.arctan2(along[1], along[0]))), k, end))
    changes: list[tuple[int, Any]] = []
    busy: set[int] = set()
    for node in sorted(arms):
        around = sorted(arms[node])
        for (a, k, e), (b, m, f) in zip(around, [*around[1:], (around[0][0] + 360, *around[0][1:])], strict=True):
            if k == m or b - a >= manners.angle_deg or busy & {k, m}:
                continue
            lesser, end, other = _lesser(network, (k, e), (m, f))
            if lesser < 0:
                continue
            changes.append((lesser, _parted(network.lines[lesser], end, network.lines[other], manners)))
            busy |= {k, m}
    return changes


def _lesser(network: Network, one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int, int]:
    """The generated line of lower rank, or the shorter one: its number, end, and the other's number."""
    length = shapely.length(network.lines[[one[0], two[0]]])
    key = [
        (network.origin[k] == net.EXISTING, -network.rank[k], float(n))
        for (k, _), n in zip((one, two), length, strict=True)
    ]
    small, big = (one, two) if key[0] <= key[1] else (two, one)
    if network.origin[small[0]] == net.EXISTING:
        return -1, 0, -1
    return small[0], small[1], big[0]


def _parted(line: Any, end: int, other: Any, manners: Manners) -> Any:
    """A line cut off where it leaves the other's reach, and led there at a right angle; None if nothing remains."""
    path = shapely.get_coordinates(line)[:: 1 if end == 0 else -1]
    whole = shapely.LineString(path)
    steps = np.arange(2.0, whole.length, 2.0)
    away = shapely.distance(shapely.line_interpolate_point(whole, steps), other) if len(steps) else np.zeros(0)
    far = np.flatnonzero(away > manners.spacing_m)
    if not len(far) or whole.length - steps[far[0]] < manners.spacing_m:
        return None
    rest = shapely.ops.substring(whole, steps[far[0]], whole.length)
    points = shapely.get_coordinates(rest)
    foot = shapely.get_coordinates(
        shapely.line_interpolate_point(other, shapely.line_locate_point(other, shapely.Point(points[0])))
    )
    foot = _end_if_near(foot[0], other, manners.merge_m)
    return shapely.LineString(np.concatenate([[foot], points]))


def _end_if_near(foot: Floats, line: Any, reach_m: float) -> Floats:
    """The end of a line if a point on it is near, else that point."""
    points = shapely.get_coordinates(line)[[0, -1]]
    away = np.hypot(*(points - foot).T)
    return points[int(away.argmin())] if away.min() < 0.5 * reach_m else foot


def _at(path: Floats, reach_m: float) -> Floats:
    """The point so far along a path, or its end."""
    point = shapely.line_interpolate_point(shapely.LineString(path), reach_m)
    return np.asarray(shapely.get_coordinates(point)[0])
