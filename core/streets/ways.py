"""The cheapest allowed way from one component of a net to any other one.

Looked for from the component outward, in windows that grow until something is found or nothing more can be reached; so
time and memory follow the gap and not the area. Imports numpy, scipy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from . import network as net
from .ground import EDGE_M, Ground
from .network import Network
from .routing import Table, reached
from .street_field import Lattice

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

CLOSE_M = 12.0
"""Streets of two components nearer than this are joined straight."""
FINER, MOST_CELLS = 4, 2_000_000
"""Where no way is found it is looked for in cells so much finer, if there are not too many of them."""
LINK_STEP_M = 2.0
"""Links to a street may begin at points so far apart along it."""
WINDOW_M = (300.0, 900.0, 2700.0, 1e9)
"""Margins around a component within which a way to another one is looked for, one after another."""
TILE_M = 3000.0
"""Larger components are gone through in squares of the world's lattice."""
TOLERANCES_M = (8.0, 3.0, 0.0)
"""A way takes the first of its simplifications that is allowed."""


@dataclass(frozen=True)
class Way:
    """A line from one component to another, and what it costs."""

    line: Any
    other: int
    cost: float


@dataclass(frozen=True)
class Components:
    """The connected components of a net, by the number of each line's."""

    lines: NDArray[Any]
    component: Numbers

    @classmethod
    def of(cls, network: Network) -> Components:
        """Those of a network."""
        found = net.nodes(network)
        return cls(network.lines, found.component[found.ends[:, 0]] if len(network) else np.zeros(0, np.int64))

    @cached_property
    def length_m(self) -> Floats:
        """Length of each component."""
        return np.asarray(np.bincount(self.component, shapely.length(self.lines)), np.float64)

    @cached_property
    def members(self) -> list[Numbers]:
        """Numbers of each component's lines."""
        order = np.argsort(self.component, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.component))[:-1])

    @cached_property
    def tree(self) -> Any:
        """All lines by place."""
        return shapely.STRtree(self.lines)

    def __len__(self) -> int:
        """Number of components."""
        return len(self.length_m)

    def on(self, land: NDArray[Any], *, middles: bool = False) -> list[set[int]]:
        """Pieces of land that each component's lines, or their middles, touch."""
        lines = shapely.line_interpolate_point(self.lines, 0.5, normalized=True) if middles else self.lines
        piece, line = shapely.STRtree(lines).query(land, predicate="dwithin", distance=EDGE_M)
        found: list[set[int]] = [set() for _ in range(len(self))]
        for k, number in zip(self.component[line].tolist(), piece.tolist(), strict=True):
            found[k].add(number)
        return found

    def near(self, shape: Any, reach_m: float = 0.0) -> Numbers:
        """Numbers of the lines within reach of a shape."""
        return np.sort(self.tree.query(shape, predicate="dwithin", distance=reach_m))


def way_out(parts: Components, number: int, ground: Ground) -> Way | None:
    """The cheapest allowed way from a component to any other one, or None."""
    own = parts.lines[parts.members[number]]
    short = _shortest(parts, number, ground)
    if short is not None:
        return short
    boxes = _boxes(own)
    last: list[tuple[int, int, int, int]] = []
    for margin_m in WINDOW_M:
        windows = [ground.window(box, margin_m) for box in boxes]
        if windows == last:
            break
        last = windows
        ways, closed = [], True
        for window in windows:
            if window[0] < window[1] and window[2] < window[3]:
                way, shut = _in_window(parts, number, ground.part(window))
                ways += [] if way is None else [way]
                closed &= shut
        if ways:
            return min(ways, key=lambda way: (way.cost, shapely.to_wkb(way.line)))
        if closed:
            break
    return None


def _boxes(lines: NDArray[Any]) -> list[tuple[float, ...]]:
    """Bounds of lines; of many, those in each tile of the world."""
    west, south, east, north = (float(edge) for edge in shapely.total_bounds(lines))
    if max(east - west, north - south) <= TILE_M:
        return [(west, south, east, north)]
    x, y = np.meshgrid(np.arange(west // TILE_M, east // TILE_M + 1), np.arange(south // TILE_M, north // TILE_M + 1))
    tiles = shapely.box(*(each.ravel() * TILE_M for each in (x, y, x + 1, y + 1)))
    held = np.unique(shapely.STRtree(lines).query(tiles, predicate="intersects")[0])
    return [tuple(bounds) for bounds in shapely.bounds(tiles[held]).tolist()]


def _shortest(parts: Components, number: int, ground: Ground) -> Way | None:
    """The shortest straight way between two components that all but meet, if it is allowed; None if they do not."""
    own = parts.members[number]
    which, other = parts.tree.query(parts.lines[own], predicate="dwithin", distance=CLOSE_M)
    apart = parts.component[other] != number
    which, other = which[apart], other[apart]
    if not len(which):
        return None
    lines = shapely.shortest_line(parts.lines[own[which]], parts.lines[other])
    length = np.round(shapely.length(lines), 6)
    points = shapely.get_coordinates(lines).reshape(-1, 4)
    for k in np.lexsort((*points.T, length)):
        if not ground.steep(lines[k]) and not ground.forbids(lines[k]):
            return Way(lines[k], int(parts.component[other[k]]), float(length[k]))
    return None


def _in_window(parts: Components, number: int, ground: Ground) -> tuple[Way | None, bool]:
    """The cheapest way in a window, and whether no larger window would help."""
    way, closed = _cheapest(parts, number, ground)
    if way is None and ground.cost.size * FINER**2 < MOST_CELLS:
        way, closed = _cheapest(parts, number, ground.finer(FINER))
    return way, closed


def _cheapest(parts: Components, number: int, ground: Ground) -> tuple[Way | None, bool]:
    """The cheapest allowed way on the cells of a ground, and whether all that can be reached lies within them."""
    near = parts.near(shapely.box(*ground.lattice.bounds))
    component = parts.component[near]
    marks = burnt(parts.lines[near], np.where(component == number, 0, component + 1), ground)
    if marks.max(initial=-1) < 1:
        return None, False
    ends, table, closed = reached(ground.cost, ground.height_m, marks, ground.facts)
    for state in ends.tolist():
        cells = table.path_to(state, ground.lattice.cols)
        other = int(marks[tuple(cells[-1])]) - 1
        line = _line_along(cells, (parts, number, other), ground)
        if line is not None:
            return Way(line, other, float(table.total[state])), closed
    return None, closed


def burnt(lines: NDArray[Any], numbers: Numbers, ground: Ground) -> NDArray[np.int32]:
    """Number of a line that passes through each cell, -1 for none; of several the greatest.

    Lines through forbidden cells, such as those beside a shore, are reached by the free cells around.
    """
    lattice: Lattice = ground.lattice
    cells = np.full((lattice.rows, lattice.cols), -1, np.int32)
    points, owner = shapely.get_coordinates(shapely.segmentize(lines, lattice.cell_m / 2), return_index=True)
    at = np.floor(lattice.cells(points)).astype(int)
    inside = ((at >= 0) & (at < (lattice.cols, lattice.rows))).all(axis=1)
    np.maximum.at(cells, (at[inside, 1], at[inside, 0]), numbers[owner[inside]].astype(np.int32))
    free = np.isfinite(ground.cost)
    around = ndimage.maximum_filter(np.where(free, -1, cells), 3, mode="constant", cval=-1)
    return np.where(free & (cells < 0), around, cells).astype(np.int32)


def _line_along(cells: Numbers, between: tuple[Components, int, int], ground: Ground) -> Any:
    """A line from one component to another along cells, simpler where that is allowed; None if none is."""
    parts, *ends = between
    points = ground.lattice.ground(cells[:, ::-1] + 0.5)
    links = []
    for number, way in zip(ends, (points, points[::-1]), strict=True):
        near = parts.near(shapely.LineString(way[:4]) if len(way) > 1 else shapely.Point(way[0]), 30.0)
        links.append(linked(shapely.multilinestrings(parts.lines[near[parts.component[near] == number]]), way, ground))
    one, other = links
    if one is None or other is None or one[1] + other[1] >= len(points):
        return None
    raw = np.concatenate([one[0][None], points[one[1] : len(points) - other[1]], other[0][None]])
    return simplest(raw, TOLERANCES_M, ground)


def simplest(raw: Floats, tolerances_m: tuple[float, ...], ground: Ground) -> Any:
    """The simplest of a path's simplifications that is allowed, or None."""
    for tolerance in tolerances_m:
        line = shapely.simplify(shapely.LineString(raw), tolerance)
        if not ground.steep(line) and not ground.forbids(line):
            return line
    return None


def linked(part: Any, way: Floats, ground: Ground) -> tuple[Floats, int] | None:
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


def laid_anew(line: Any, ground: Ground) -> Any:
    """The cheapest path between a line's ends that keeps the limit, or None."""
    ends = shapely.get_coordinates(line)[[0, -1]]
    ground = ground.part(ground.window(line.bounds, 4.0 * float(line.length) + 100.0))
    at = np.floor(ground.lattice.cells(ends)).astype(int)
    inside = ((at >= 0) & (at < (ground.lattice.cols, ground.lattice.rows))).all()
    if not inside or shapely.length(line) < 30.0 or (at[0] == at[1]).all():
        return None
    marks = np.full(ground.cost.shape, -1, np.int32)
    marks[at[0, 1], at[0, 0]], marks[at[1, 1], at[1, 0]] = 0, 1
    most = 8.0 * float(shapely.length(line)) + 200.0
    found, table, _ = reached(ground.cost, ground.height_m, marks, ground.facts, most)
    return _between(ends, found, table, ground) if len(found) else None


def _between(ends: Floats, found: Numbers, table: Table, ground: Ground) -> Any:
    """The line from one point to another along the cheapest way between their cells, or None."""
    points = ground.lattice.ground(table.path_to(int(found[0]), ground.lattice.cols)[:, ::-1] + 0.5)
    one, other = (
        linked(shapely.Point(end), way, ground) for end, way in zip(ends, (points, points[::-1]), strict=True)
    )
    if one is None or other is None or one[1] + other[1] >= len(points):
        return None
    raw = np.concatenate([ends[:1], points[one[1] : len(points) - other[1]], ends[1:]])
    return simplest(raw, (6.0, 2.0, 0.0), ground)
