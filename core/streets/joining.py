"""One connected net: components are joined by the cheapest paths between them, streets too steep are laid anew.

What water, gaps in the user's own layers or the slope forbid is returned as a list. Costs follow the street field, so
new streets lie where the model would rather have one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from ..progress import Progress
from . import network as net
from .network import Network
from .routing import path_to, spread
from .street_field import Lattice, StreetField
from .terrain import MARGIN, Terrain

Floats = NDArray[np.float64]

FAR = 4.0
"""A metre far from every ridge costs so much more than one on a ridge."""
EDGE_M = 0.005
BAND_ROWS = 64
CLOSE_M = 12.0
"""Streets of two components nearer than this are joined straight."""
FINER, MOST_CELLS = 4, 1_500_000
"""Where no way is found it is looked for in cells so much finer, if there are not too many of them."""
LINK_STEP_M = 2.0
"""Links to a street may begin at points so far apart along it."""
MOST_MEETINGS, APART_MEETINGS = 8, 6
"""Meetings of two components that are tried, and how many are passed over between them."""
WINDOW_M = (300.0, 900.0, 2700.0, 1e9)
"""Margins around a component within which a way to another one is looked for, one after another."""
PENALTY = 3.0
"""A metre at the limit of grade costs so much more than a level one."""


@dataclass(frozen=True)
class Ground:
    """What the cheapest paths are looked for on: the lattice of the street field.

    Attributes
    ----------
    lattice
        Cells of the street field.
    ease
        Cost of a metre on each cell if it were free.
    cost
        The same, infinite on water and beyond the area.
    height_m
        Heights of the cells' centres; all 0 without a DEM.
    forbidden
        Water and everything beyond the area as one shape; empty where all is allowed.
    blocked
        Water and existing buildings alone.
    terrain, limit
        Heights for measuring, or None, and the steepest grade allowed.

    """

    lattice: Lattice
    ease: Floats
    cost: Floats
    height_m: Floats
    forbidden: Any
    blocked: Any
    terrain: Terrain | None
    limit: float

    @property
    def facts(self) -> tuple[float, float, float]:
        """What :func:`.routing.spread` needs to know."""
        return self.lattice.cell_m, self.limit * MARGIN * 0.97, PENALTY

    def window(self, bounds: Any, margin_m: float) -> tuple[int, int, int, int]:
        """First and last rows and columns of the cells around bounds."""
        rows, cols = self.lattice.within(bounds, margin_m + self.lattice.cell_m)
        return rows.start, rows.stop, cols.start, cols.stop

    def part(self, window: tuple[int, int, int, int]) -> Ground:
        """The ground of a window."""
        top, bottom, left, right = window
        where = np.s_[top:bottom, left:right]
        lattice = self.lattice.cut(*where)
        return replace(
            self, lattice=lattice, ease=self.ease[where], cost=np.ascontiguousarray(self.cost[where]),
            height_m=np.ascontiguousarray(self.height_m[where]),
        )  # fmt: skip

    def finer(self, ratio: int) -> Ground:
        """The same ground in finer cells, so that narrower passages are free."""
        ease = self.ease.repeat(ratio, axis=0).repeat(ratio, axis=1)
        return _ground(self.lattice.finer(ratio), ease, (self.forbidden, self.blocked), self.terrain, self.limit)

    def steep(self, line: Any) -> bool:
        """Whether a line breaks the limit."""
        return self.terrain is not None and self.terrain.grade(line) > self.limit * MARGIN

    def forbids(self, line: Any) -> bool:
        """Whether a line touches forbidden ground."""
        return bool(shapely.intersects(self.forbidden, line))


def ground_of(field: StreetField, area: Any, water: Any, terrain: Terrain | None, limit: float) -> Ground:
    """The ground of a street field inside an area, less water; a cell is forbidden if any of it is."""
    lattice = field.lattice
    west, south, east, north = lattice.bounds
    frame = shapely.box(west - 50, south - 50, east + 50, north + 50)
    # lines may end on the edge itself, which is on the grid of millimetres
    forbidden = shapely.union(shapely.difference(frame, shapely.buffer(area, EDGE_M)), water)
    shapely.prepare(forbidden)
    ease = 1.0 + FAR * (1.0 - ndimage.gaussian_filter(field.nearness, 0.7))
    return _ground(lattice, ease, (forbidden, water), terrain, limit)


def _ground(
    lattice: Lattice, ease: Floats, shapes: tuple[Any, Any], terrain: Terrain | None, limit: float
) -> Ground:  # fmt: skip
    """Ground whose cells are forbidden where forbidden ground comes near their centres."""
    cost, height = ease.copy(), np.zeros(ease.shape)
    for top in range(0, lattice.rows, BAND_ROWS):
        band = slice(top, min(top + BAND_ROWS, lattice.rows))
        col, row = np.meshgrid(np.arange(lattice.cols), np.arange(band.start, band.stop))
        centres = lattice.ground(np.column_stack([col.ravel(), row.ravel()]) + 0.5)
        near = shapely.dwithin(shapely.points(centres), shapes[0], lattice.cell_m * 0.75)
        cost[band][near.reshape(col.shape)] = np.inf
        if terrain is not None:
            height[band] = terrain.heights(centres).reshape(col.shape)
    return Ground(lattice, ease, cost, np.nan_to_num(height), *shapes, terrain, limit)


def joined(network: Network, ground: Ground, progress: Progress | None = None, rounds: int = 12) -> tuple[Network, int]:
    """Join components until one is left or no more can be joined; the network and how many components it has.

    Every component but the longest looks for its cheapest way to another one (Boruvka 1926), in windows that grow; so
    memory follows the gaps and not the area.
    """
    progress = progress or Progress()
    given_up: set[bytes] = set()
    for _ in range(rounds):
        if not len(network):
            break
        found = net.nodes(network)
        component = found.component[found.ends[:, 0]]
        length = np.bincount(component, shapely.length(network.lines))
        if len(length) == 1:
            break
        order = np.lexsort((np.arange(len(length)), length))[:-1]
        paths = []
        for k in order:
            progress.check()
            name = shapely.to_wkb(shapely.multilinestrings(network.lines[component == k]))
            if name in given_up:
                continue
            path = _way_out(network, component, int(k), ground)
            if path is None:
                given_up.add(name)
            else:
                paths.append(path)
        if not paths:
            break
        more = net.of_lines(np.array(paths, object), np.ones(len(paths), np.int64), net.JOINING)
        network = net.planar(net.joined(network, more))
    return network, int(net.nodes(network).component.max()) + 1 if len(network) else 0


def _way_out(network: Network, component: NDArray[np.int64], number: int, ground: Ground) -> Any:
    """The cheapest allowed line from a component to any other one, or None."""
    own = component == number
    short = _shortest(network.lines[own], network.lines[~own], ground)
    if short is not None:
        return short
    bounds = shapely.total_bounds(network.lines[own])
    last: tuple[int, int, int, int] | None = None
    for margin_m in WINDOW_M:
        window = ground.window(bounds, margin_m)
        if window == last or window[0] >= window[1] or window[2] >= window[3]:
            break
        last = window
        part = ground.part(window)
        near = shapely.intersects(network.lines, shapely.box(*part.lattice.bounds))
        lines, numbers = network.lines[near], np.where(own[near], 0, 1)
        if len(np.unique(numbers)) < 2:
            continue
        path = _cheapest(lines, numbers, part)
        if path is None and part.cost.size * FINER**2 < MOST_CELLS:
            path = _cheapest(lines, numbers, part.finer(FINER))
        if path is not None:
            return path
    return None


def _shortest(own: NDArray[Any], others: NDArray[Any], ground: Ground) -> Any:
    """The shortest straight line between two nets that all but meet, if it is allowed; None if they do not."""
    which, number = shapely.STRtree(others).query(own, predicate="dwithin", distance=CLOSE_M)
    if not len(which):
        return None
    lines = shapely.shortest_line(own[which], others[number])
    length = np.round(shapely.length(lines), 6)
    points = shapely.get_coordinates(lines).reshape(-1, 4)
    for k in np.lexsort((*points.T, length)):
        if not ground.steep(lines[k]) and not ground.forbids(lines[k]):
            return lines[k]
    return None


def _cheapest(lines: NDArray[Any], numbers: NDArray[np.int64], ground: Ground) -> Any:
    """The cheapest allowed line between the lines of number 0 and those of number 1, or None."""
    sources = burnt(lines, numbers, ground.lattice)
    total, owner, state, before = spread(ground.cost, ground.height_m, sources, ground.facts, -1, np.inf)
    parts = [shapely.multilinestrings(list(lines[numbers == k])) for k in (0, 1)]
    for a, b in _meetings(total, owner):
        line = _line_through(parts, (state, before, a, b), owner, ground)
        if line is not None:
            return line
    return None


@dataclass(frozen=True)
class Apart:
    """A component that could not be joined to the rest: its lines, and what forbids it."""

    lines: Any
    reason: str


def apart(network: Network, area: Any, blocked: Any) -> tuple[Network, list[Apart], list[Any]]:
    """Components other than the longest one, each with its reason.

    Generated streets of those without one, on the same piece of ground as the longest, are left out of the network.

    Returns
    -------
    The network, its components apart, and what was left out.

    """
    if not len(network):
        return network, [], []
    found = net.nodes(network)
    component = found.component[found.ends[:, 0]]
    length = np.bincount(component, shapely.length(network.lines))
    main = int(length.argmax())
    land = shapely.get_parts([shapely.difference(area, blocked)])
    pieces = [_touched(network.lines[component == k], land) for k in range(len(length))]
    keep, listed = np.ones(len(network), bool), []
    for k in range(len(length)):
        own = component == k
        if k == main:
            continue
        if pieces[k] & pieces[main]:
            keep[own & (network.origin != net.EXISTING)] = False
            own &= keep
        if not own.any():
            continue
        reason = "your own gap" if pieces[k] & pieces[main] else "water, existing buildings or the area's edge"
        if not pieces[k]:
            reason = "outside the area or its free ground"
        listed.append(Apart(shapely.multilinestrings(network.lines[own]), reason))
    return network.take(keep), listed, list(network.lines[~keep])


def _touched(lines: NDArray[Any], land: NDArray[Any]) -> set[int]:
    """Pieces of land that hold the middle of a line."""
    middle = shapely.line_interpolate_point(lines, 0.5, normalized=True)
    return set(shapely.STRtree(land).query(middle, predicate="dwithin", distance=EDGE_M)[1].tolist())


def burnt(lines: NDArray[Any], numbers: NDArray[np.int64], lattice: Lattice) -> NDArray[np.int32]:
    """Number of a line that passes through each cell, -1 for none; of several the greatest."""
    cells = np.full((lattice.rows, lattice.cols), -1, np.int32)
    points, owner = shapely.get_coordinates(shapely.segmentize(lines, lattice.cell_m / 2), return_index=True)
    at = np.floor(lattice.cells(points)).astype(int)
    inside = ((at >= 0) & (at < (lattice.cols, lattice.rows))).all(axis=1)
    np.maximum.at(cells, (at[inside, 1], at[inside, 0]), numbers[owner[inside]].astype(np.int32))
    return cells


def _meetings(total: Floats, owner: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Neighbouring cells that different sources reach, cheapest first.

    Of each pair of sources some more are tried, since a link to the street at the best one may be too steep.
    """
    number = np.arange(total.size).reshape(total.shape)
    found = []
    for a, b in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        meet = (
            (owner[a] != owner[b]) & (owner[a] >= 0) & (owner[b] >= 0) & np.isfinite(total[a]) & np.isfinite(total[b])
        )
        found.append(np.column_stack([number[a][meet], number[b][meet]]))
    pairs = np.concatenate(found)
    cost = total.ravel()[pairs].sum(axis=1)
    low, high = np.sort(owner.ravel()[pairs], axis=1).T
    order = np.lexsort((pairs[:, 1], pairs[:, 0], cost))
    couple = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)[1].ravel()[order]
    by_couple = np.argsort(couple, kind="stable")
    size = np.bincount(couple)
    place = np.arange(len(couple)) - np.repeat(np.cumsum(size) - size, size)
    chosen = (place % APART_MEETINGS == 0) & (place < MOST_MEETINGS * APART_MEETINGS)
    best = order[np.sort(by_couple[chosen])]
    return [(int(a), int(b)) for a, b in pairs[best]]


def _line_through(
    parts: list[Any], meeting: tuple[NDArray[np.int64], NDArray[np.int64], int, int], owner: NDArray[np.int32],
    ground: Ground,
) -> Any:  # fmt: skip
    """A line from one part to the other through a meeting, simpler where that is allowed; None if none is."""
    state, before, a, b = meeting
    cols = ground.lattice.cols
    ways = [path_to(before, int(state.flat[cell]), cols) for cell in (a, b)]
    cells = np.concatenate([ways[0], ways[1][::-1]])
    points = ground.lattice.ground(cells[:, ::-1] + 0.5)
    sides = [parts[owner.flat[cell]] for cell in (a, b)]
    one, other = (_links(part, way, ground) for part, way in zip(sides, (points, points[::-1]), strict=True))
    if one is None or other is None or one[1] + other[1] >= len(points):
        return None
    raw = np.concatenate([one[0][None], points[one[1] : len(points) - other[1]], other[0][None]])
    return _simplest(raw, (8.0, 3.0, 0.0), ground)


def _simplest(raw: Floats, tolerances_m: tuple[float, ...], ground: Ground) -> Any:
    """The simplest of a path's simplifications that is allowed, or None."""
    for tolerance in tolerances_m:
        line = shapely.simplify(shapely.LineString(raw), tolerance)
        if not ground.steep(line) and not ground.forbids(line):
            return line
    return None


def _links(part: Any, way: Floats, ground: Ground) -> tuple[Floats, int] | None:
    """Where a path leaves a component: a point of it, and how many of the path's first points are left out for that.

    Of the points within two cells the nearest one with an allowed straight link; corners of lines come before others.
    """
    corners = shapely.get_coordinates(part)
    between = shapely.get_coordinates(shapely.segmentize(part, LINK_STEP_M))
    reach_m = 2.0 * ground.lattice.cell_m
    for skipped in range(min(3, len(way) - 1)):
        for choice, most in ((corners, 8.0), (between, reach_m)):
            away = np.hypot(*(choice - way[skipped]).T)
            for k in np.argsort(away, kind="stable")[: int((away < most).sum())]:
                if away[k] == 0.0:
                    return np.asarray(choice[k]), skipped
                line = shapely.LineString([choice[k], way[skipped]])
                if not ground.steep(line) and not ground.forbids(line):
                    return np.asarray(choice[k]), skipped
    return None


def gentle(network: Network, ground: Ground) -> tuple[Network, list[Any]]:
    """Lay generated streets that are too steep, or on forbidden ground, anew; what remains too steep is cut out.

    Returns
    -------
    The network, and the streets that had to be left out.

    """
    lost: list[Any] = []
    for _ in range(4):
        bad = np.array([
            origin != net.EXISTING and (ground.steep(line) or ground.forbids(line))
            for line, origin in zip(network.lines, network.origin, strict=True)
        ], bool)  # fmt: skip
        if not bad.any():
            break
        fresh = [
            (_laid_anew(line, ground), rank) for line, rank in zip(network.lines[bad], network.rank[bad], strict=True)
        ]
        lost += [line for line, (new, _) in zip(network.lines[bad], fresh, strict=True) if new is None]
        kept = [(new, rank) for new, rank in fresh if new is not None]
        network = network.take(~bad)
        if kept:
            ranks = np.array([rank for _, rank in kept], np.int64)
            network = net.joined(
                network, net.of_lines(np.array([line for line, _ in kept], object), ranks, net.GENERATED)
            )
        network = net.dissolved(net.planar(network))
    return _only_gentle(network, ground, lost)


def _only_gentle(network: Network, ground: Ground, lost: list[Any]) -> tuple[Network, list[Any]]:
    """Leave out what is still too steep or on forbidden ground."""
    bad = np.array([
        origin != net.EXISTING and (ground.steep(line) or ground.forbids(line))
        for line, origin in zip(network.lines, network.origin, strict=True)
    ], bool)  # fmt: skip
    return network.take(~bad), lost + list(network.lines[bad])


def _laid_anew(line: Any, ground: Ground) -> Any:
    """The cheapest path between a line's ends that keeps the limit, or None."""
    ends = shapely.get_coordinates(line)[[0, -1]]
    ground = ground.part(ground.window(line.bounds, 4.0 * float(line.length) + 100.0))
    at = np.floor(ground.lattice.cells(ends)).astype(int)
    inside = ((at >= 0) & (at < (ground.lattice.cols, ground.lattice.rows))).all()
    if not inside or shapely.length(line) < 30.0:
        return None
    sources = np.full(ground.cost.shape, -1, np.int32)
    sources[at[0, 1], at[0, 0]] = 0
    most = 8.0 * float(shapely.length(line)) + 200.0
    target = int(at[1, 1] * ground.lattice.cols + at[1, 0])
    _, owner, state, before = spread(ground.cost, ground.height_m, sources, ground.facts, target, most)
    if owner.flat[target] < 0:
        return None
    cells = path_to(before, int(state.flat[target]), ground.lattice.cols)
    points = ground.lattice.ground(cells[:, ::-1] + 0.5)
    one, other = (
        _links(shapely.Point(end), way, ground) for end, way in zip(ends, (points, points[::-1]), strict=True)
    )
    if one is None or other is None or one[1] + other[1] >= len(points):
        return None
    raw = np.concatenate([ends[:1], points[one[1] : len(points) - other[1]], ends[1:]])
    return _simplest(raw, (6.0, 2.0, 0.0), ground)
