"""Streets that run on through junctions as one line: traced wiggles become straight pieces that meet where lines cross.

A stroke is a chain of lines that leave their common junctions in nearly opposite directions. Every stroke is fitted by
the polyline of least squares with as few corners as a tolerance allows; a junction lies where the polylines of its two
longest strokes cross, so both stay straight. Existing streets are never moved. Imports numpy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from . import network as net
from .network import Network, Nodes

Floats = NDArray[np.float64]
Arm = tuple[int, int]
"""A line and which of its ends."""

RUNS_ON_DEG = 38.0
"""Streets that turn less than this at a junction are one."""
LOOK_M = 22.0
"""Directions at junctions are looked at over so much of a street."""
STEP_M = 4.0
JUNCTION_M = 8.0
"""So near to junctions traced lines are drawn towards each other: such points hardly count."""
LEAST_TURN_DEG = 10.0
"""Corners that turn less than this are none."""
MOST_MOVE_M = 14.0
LEAST_ANGLE_SINE = 0.42
CURVE_M = 24.0
"""Corners are rounded so far from their tip, or less."""
ROUNDED_DEG = (14.0, 75.0)


@dataclass(frozen=True)
class Stroke:
    """Lines of one street in order, whether each runs backwards, and the polyline fitted to them."""

    lines: list[int]
    back: list[bool]
    shape: Any
    length_m: float


def straight(network: Network, tolerance_m: float) -> Network:
    """The same streets along fitted polylines, planar; streets that would lose their length stay as they were."""
    if not len(network):
        return network
    found = net.nodes(network)
    strokes = [_stroke(network, found, chain, tolerance_m) for chain in chains(network, found)]
    places = _places(network, found, strokes)
    lines = network.lines.copy()
    for stroke in strokes:
        for k, back in zip(stroke.lines, stroke.back, strict=True):
            line = _between(stroke.shape, places[found.ends[k][:: -1 if back else 1]])
            if line is not None:
                lines[k] = shapely.reverse(line) if back else line
            else:
                lines[k] = _moved_ends(network.lines[k], places[found.ends[k]])
    keep = shapely.length(lines) > 0
    return net.planar(Network(lines, network.rank, network.origin, network.source).take(keep))


def of_one_rank(network: Network) -> Network:
    """Every stroke gets the rank that most of its length has."""
    if not len(network):
        return network
    rank, length = network.rank.copy(), shapely.length(network.lines)
    for chain in chains(network, net.nodes(network)):
        lines = [k for k, _ in chain]
        rank[lines] = int(np.bincount(network.rank[lines], np.round(length[lines], 3)).argmax())
    return Network(network.lines, rank, network.origin, network.source)


def chains(network: Network, found: Nodes) -> list[list[Arm]]:
    """Chains of generated lines; each line once, named with the end at which it is entered."""
    ahead = _continuations(network, found)
    mine = np.flatnonzero(network.origin != net.EXISTING)
    used: set[int] = set()
    starts = [(int(k), e) for k in mine for e in (0, 1) if (int(k), e) not in ahead]
    out = []
    for start in [*starts, *((int(k), 0) for k in mine)]:
        if start[0] in used:
            continue
        chain, arm = [], start
        while arm[0] not in used:
            used.add(arm[0])
            chain.append(arm)
            step = ahead.get((arm[0], 1 - arm[1]))
            if step is None:
                break
            arm = step
        out.append(chain)
    return out


def _continuations(network: Network, found: Nodes) -> dict[Arm, Arm]:
    """Which arm runs on as which other, both ways; the straightest pairs of each junction first."""
    arms: dict[int, list[tuple[Arm, Floats]]] = {}
    for k in np.flatnonzero(network.origin != net.EXISTING):
        points = shapely.get_coordinates(network.lines[k])
        for end, path in enumerate((points, points[::-1])):
            arms.setdefault(int(found.ends[k, end]), []).append(((int(k), end), _direction(path)))
    ahead: dict[Arm, Arm] = {}
    least = np.cos(np.radians(RUNS_ON_DEG))
    for node in sorted(arms):
        around = arms[node]
        pairs = [
            (-float(u @ v), a, b)
            for i, (a, u) in enumerate(around)
            for b, v in around[i + 1 :]
            if a[0] != b[0] and -float(u @ v) > least
        ]
        for _, a, b in sorted(pairs, key=lambda pair: (-round(pair[0], 6), pair[1], pair[2])):
            if a not in ahead and b not in ahead:
                ahead[a], ahead[b] = b, a
    return ahead


def _direction(path: Floats) -> Floats:
    """Unit direction in which a path leaves the surroundings of its first point."""
    line = shapely.LineString(path)
    near, far = (shapely.get_coordinates(shapely.line_interpolate_point(line, d))[0] for d in (4.0, LOOK_M))
    along = far - near if line.length > 10.0 else path[-1] - path[0]
    return np.asarray(along / max(float(np.hypot(*along)), 1e-9))


def _stroke(network: Network, found: Nodes, chain: list[Arm], tolerance_m: float) -> Stroke:
    parts = [shapely.get_coordinates(network.lines[k])[:: 1 if e == 0 else -1] for k, e in chain]
    points = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    junctions = np.array([parts[0][0], *(part[-1] for part in parts)])
    shape = fitted(points, junctions, tolerance_m)
    return Stroke([k for k, _ in chain], [e == 1 for _, e in chain], shape, float(shapely.length(shape)))


def fitted(points: Floats, junctions: Floats, tolerance_m: float) -> Any:
    """The polyline of least squares through points, with the corners of their simplification (Douglas and Peucker)."""
    whole = shapely.LineString(points)
    count = max(int(np.ceil(whole.length / STEP_M)), 2)
    at = np.linspace(0.0, whole.length, count + 1)
    dense = shapely.get_coordinates(shapely.line_interpolate_point(whole, at))
    away = np.min(np.hypot(*(dense[:, None] - junctions[None]).transpose(2, 0, 1)), axis=1)
    weight = np.where(away < JUNCTION_M, 0.1, 1.0)
    corners = _corner_numbers(dense, tolerance_m)
    for _ in range(3):
        shape = _least_squares(dense, weight, corners)
        keep = np.append(np.insert(_turns_deg(shape) > LEAST_TURN_DEG, 0, True), True)
        if keep.all():
            break
        corners = corners[keep]
    return shapely.LineString(shape)


def _corner_numbers(dense: Floats, tolerance_m: float) -> NDArray[np.int64]:
    """Numbers of the points that a simplification keeps."""
    kept = shapely.get_coordinates(shapely.simplify(shapely.LineString(dense), tolerance_m))
    numbers, k = [], 0
    for point in kept:
        while k < len(dense) - 1 and (dense[k, 0] != point[0] or dense[k, 1] != point[1]):
            k += 1
        numbers.append(k)
    numbers[-1] = len(dense) - 1
    return np.unique(np.array(numbers, np.int64))


def _least_squares(dense: Floats, weight: Floats, corners: NDArray[np.int64]) -> Floats:
    """Places of corners such that the polyline through them is nearest to the points at equal shares of its pieces."""
    number = np.arange(len(dense))
    piece = np.clip(np.searchsorted(corners, number, side="right") - 1, 0, len(corners) - 2)
    share = (number - corners[piece]) / (corners[piece + 1] - corners[piece])
    table = np.zeros((len(dense), len(corners)))
    table[number, piece], table[number, piece + 1] = 1 - share, share
    weighted = table * weight[:, None]
    hold = np.eye(len(corners)) * 1e-3
    return np.asarray(np.linalg.solve(table.T @ weighted + hold, weighted.T @ dense + hold @ dense[corners]))


def _turns_deg(points: Floats) -> Floats:
    """How much a polyline turns at each of its inner points."""
    along = np.diff(points, axis=0)
    angle = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    return np.abs((np.diff(angle) + 180.0) % 360.0 - 180.0)


def _places(network: Network, found: Nodes, strokes: list[Stroke]) -> Floats:
    """New places of junctions and ends, ``(N, 2)``; those of existing streets stay."""
    fixed = np.zeros(len(found.points), bool)
    fixed[found.ends[network.origin == net.EXISTING].ravel()] = True
    at: dict[int, dict[int, bool]] = {}
    for number, stroke in enumerate(strokes):
        for place, (k, back) in enumerate(zip(stroke.lines, stroke.back, strict=True)):
            first, last = (int(v) for v in found.ends[k][:: -1 if back else 1])
            here = at.setdefault(first, {})
            here[number] = here.get(number, False) or place > 0
            there = at.setdefault(last, {})
            there[number] = there.get(number, False) or place < len(stroke.lines) - 1
    places = found.points.copy()
    for node in sorted(at):
        if not fixed[node]:
            ranked = sorted(at[node], key=lambda n: (not at[node][n], -round(strokes[n].length_m, 3), n))
            places[node] = _meeting(found.points[node], [strokes[n].shape for n in ranked[:2]])
    return net.snap(places)


def _meeting(point: Floats, shapes: list[Any]) -> Floats:
    """Where two polylines cross near a point; else the place of the first one nearest to it."""
    (a, u), *others = (_piece(shape, point) for shape in shapes)
    foot = a + u * float(np.clip((point - a) @ u, 0.0, None))
    if others:
        b, v = others[0]
        sine = float(u[0] * v[1] - u[1] * v[0])
        if abs(sine) > LEAST_ANGLE_SINE:
            c = b - a
            cross = a + u * ((c[0] * v[1] - c[1] * v[0]) / sine)
            if np.hypot(*(cross - point)) < MOST_MOVE_M:
                return np.asarray(cross)
    if not others:
        foot = shapely.get_coordinates(
            shapely.line_interpolate_point(shapes[0], shapes[0].project(shapely.Point(point)))
        )[0]
    return foot if np.hypot(*(foot - point)) < MOST_MOVE_M else point


def _piece(shape: Any, point: Floats) -> tuple[Floats, Floats]:
    """First point and unit direction of the straight piece of a polyline that is nearest to a point."""
    points = shapely.get_coordinates(shape)
    pieces = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1))
    k = int(shapely.distance(pieces, shapely.Point(point)).argmin())
    along = points[k + 1] - points[k]
    return points[k], along / max(float(np.hypot(*along)), 1e-9)


def _between(shape: Any, ends: Floats) -> Any:
    """The part of a polyline between two junctions, which become its ends, corners rounded; None if it turns back."""
    first, last = (float(shape.project(shapely.Point(end))) for end in ends)
    if last - first < 1.0 or np.hypot(*(ends[1] - ends[0])) < 1.0:
        return None
    corners = shapely.get_coordinates(shape)[1:-1]
    along = np.array([shape.project(shapely.Point(corner)) for corner in corners])
    inner = corners[(along > first + 6.0) & (along < last - 6.0)] if len(corners) else corners
    return shapely.LineString(net.snap(rounded(np.concatenate([ends[:1], inner, ends[1:]]))))


def _moved_ends(line: Any, ends: Floats) -> Any:
    """A line as it was but for its ends."""
    points = shapely.get_coordinates(line)
    return shapely.LineString(np.concatenate([ends[:1], points[1:-1], ends[1:]]))


def rounded(points: Floats) -> Floats:
    """A polyline with its middling corners as parabolas; slight turns and right angles stay."""
    if len(points) < 3:
        return points
    size = np.hypot(*np.diff(points, axis=0).T)
    turn = _turns_deg(points)
    out = [points[0]]
    for k in range(1, len(points) - 1):
        a, b, c = points[k - 1 : k + 2]
        if not ROUNDED_DEG[0] < turn[k - 1] < ROUNDED_DEG[1]:
            out.append(b)
            continue
        cut = min(CURVE_M, 0.45 * size[k - 1], 0.45 * size[k])
        p, q = b + (a - b) * (cut / size[k - 1]), b + (c - b) * (cut / size[k])
        for t in np.linspace(0.0, 1.0, 2 + int(turn[k - 1] // 12)):
            out.append((1 - t) ** 2 * p + 2 * t * (1 - t) * b + t**2 * q)
    out.append(points[-1])
    return np.array(out)
