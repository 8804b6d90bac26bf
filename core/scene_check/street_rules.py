"""Rules of streets: one net, joined where lines meet, no stubs, no grade over the limit, none in water.

Asks GEOS' exact predicates through search trees. Imports numpy, scipy and shapely.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .findings import Floats, Heights, Ready, Shapes, Violation

Numbers = NDArray[np.int64]

TOUCH_M = 0.01
"""Line ends nearer than this to a line meet it; crossings so near to an end are junctions."""
REACH_M = 1.0
"""An end that stops nearer to another street than this, without meeting it, was meant to meet it."""
STUB_M = 3.0
"""Shorter dead ends are slivers, and so are those that end inside the carriageway of the street they leave."""
STATION_M = 5.0
"""Grades are taken over pieces so long, or shorter."""
NECK_M = 0.5
"""A street whose middle is so near to a piece of ground lies on it."""
BEYOND_M = 1000.0
"""Where the area is not known, a way round water may lead so far beyond the streets."""
MOST_CELLS = 1_000_000
"""Whether slopes keep streets apart is looked for on a lattice of at most so many cells."""


def ends_of(roads: Shapes) -> Floats:
    """First and last points, ``(N, 2, 2)``."""
    return np.stack([shapely.get_coordinates(shapely.get_point(roads, k)) for k in (0, -1)], axis=1)


def meetings(roads: Shapes) -> tuple[Numbers, Numbers]:
    """Pairs of a line's end (number ``2 line + end``) and another line that it meets."""
    points = shapely.points(ends_of(roads).reshape(-1, 2))
    end, line = shapely.STRtree(roads).query(points, predicate="dwithin", distance=TOUCH_M)
    other = end // 2 != line
    return end[other], line[other]


def components(layers: Ready) -> Numbers:
    """Number of each line's component; lines meet at ends and shared points, the user's own wherever they cross."""
    roads = layers.roads
    end, line = meetings(roads)
    own = np.flatnonzero(layers.road_kept)
    one, two = shapely.STRtree(roads[own]).query(roads[own], predicate="intersects")
    shared = _shared_points(roads)
    first = np.concatenate([end // 2, own[one], shared[0]])
    second = np.concatenate([line, own[two], shared[1]])
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(roads), len(roads)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _shared_points(roads: Shapes) -> tuple[Numbers, Numbers]:
    """Pairs of lines that have a point of theirs in the same centimetre; each point pairs neighbours in order only."""
    points, owner = shapely.get_coordinates(roads, return_index=True)
    key = np.round((points - points.min(axis=0)) / TOUCH_M).astype(np.int64)
    code = key[:, 0] * (int(key[:, 1].max()) + 1) + key[:, 1]
    order = np.argsort(code, kind="stable")
    same = (code[order][1:] == code[order][:-1]) & (owner[order][1:] != owner[order][:-1])
    return owner[order][1:][same].astype(np.int64), owner[order][:-1][same].astype(np.int64)


def apart(layers: Ready, heights: Heights | None) -> Iterator[Violation]:
    """Components of the street net other than the longest, with what forbids to join them, if anything does."""
    roads = layers.roads
    if not len(roads):
        return
    number = components(layers)
    length = np.bincount(number, shapely.length(roads))
    if len(length) < 2:
        return
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(number))[:-1])
    main = int(length.argmax())
    reasons = _Reasons(layers, heights, groups[main])
    for k in np.argsort(-length, kind="stable"):
        if k != main:
            whole = shapely.multilinestrings(roads[groups[k]])
            excuse = reasons.of(groups[k])
            because = f" {excuse}" if excuse else " Nothing in the layers forbids to join them."
            text = f"{length[k]:.0f} m of streets lead nowhere else.{because}"
            yield Violation("streets apart", whole, float(length[k]), text, excuse)


class _Reasons:
    """What keeps components from the main one; looks at slopes only when nothing else is in the way."""

    def __init__(self, layers: Ready, heights: Heights | None, main: Numbers) -> None:
        self._layers, self._heights, self._main = layers, heights, main
        self._land = _land(layers)
        self._gentle: tuple[NDArray[np.int32], tuple[float, float, float]] | None = None

    def of(self, lines: Numbers) -> str:
        """A sentence, empty where nothing forbids."""
        if self._layers.road_kept[lines].all():
            return "They are your own, and the gap to the rest is yours."
        pieces = self._pieces(lines)
        if pieces and self._main_pieces and not pieces & self._main_pieces:
            edge = "" if self._layers.area is None else " or the edge of the area"
            return f"Water{',' if edge else ' or'} existing buildings{edge} lie between."
        if self._heights is not None and not self._terraces(lines) & self._main_terraces:
            return f"Slopes over {self._heights.limit:.1%} lie between."
        return ""

    @cached_property
    def _held(self) -> list[set[int]]:
        """Pieces of land that hold the middle of each line."""
        middle = shapely.line_interpolate_point(self._layers.roads, 0.5, normalized=True)
        piece, line = shapely.STRtree(middle).query(self._land, predicate="dwithin", distance=TOUCH_M + NECK_M)
        found: list[set[int]] = [set() for _ in middle]
        for k, number in zip(line.tolist(), piece.tolist(), strict=True):
            found[k].add(number)
        return found

    def _pieces(self, lines: Numbers) -> set[int]:
        return set().union(*(self._held[k] for k in lines.tolist()))

    @cached_property
    def _main_pieces(self) -> set[int]:
        return self._pieces(self._main)

    @cached_property
    def _main_terraces(self) -> set[int]:
        return self._terraces(self._main)

    def _terraces(self, lines: Numbers) -> set[int]:
        """Parts of the ground that lines touch, between which no way is gentle enough."""
        if self._heights is None:
            return set()
        if self._gentle is None:
            self._gentle = _terraces(self._heights, self._layers.roads)
        label, (west_m, north_m, cell_m) = self._gentle
        points = shapely.get_coordinates(shapely.segmentize(self._layers.roads[lines], cell_m))
        rows = np.clip(((north_m - points[:, 1]) / cell_m).astype(int), 0, label.shape[0] - 1)
        cols = np.clip(((points[:, 0] - west_m) / cell_m).astype(int), 0, label.shape[1] - 1)
        centres = np.column_stack([west_m + (cols + 0.5) * cell_m, north_m - (rows + 0.5) * cell_m])
        # at the foot of a cliff a street may lie in a cell whose centre is halfway up
        rise = np.abs(heights_at(self._heights, points) - heights_at(self._heights, centres))
        there = np.nan_to_num(rise) <= self._heights.limit * cell_m
        return set(np.unique(label[rows, cols][there]).tolist())


def _land(layers: Ready) -> Shapes:
    """Pieces of ground for streets: the area, or all ground around the streets, less water and existing buildings.

    What is judged itself, blocks and streets, never says where ground ends. None where nothing divides it.
    """
    kept = layers.buildings[layers.building_kept]
    whole = layers.area
    if whole is None and not len(layers.water) and not len(kept):
        return np.zeros(0, object)
    if whole is None:
        whole = shapely.box(*shapely.total_bounds(layers.roads)).buffer(BEYOND_M, join_style="mitre")
    rest = shapely.difference(whole, shapely.union_all(np.concatenate([layers.water, kept])))
    parts = shapely.get_parts([rest])
    return np.asarray(parts[shapely.area(parts) > 0], object)


def _terraces(heights: Heights, roads: Shapes) -> tuple[NDArray[np.int32], tuple[float, float, float]]:
    """Parts of a lattice within which cells are joined by steps to 16 neighbours that keep the limit, and its place."""
    west, south, east, north = shapely.total_bounds(roads) + np.array([-200.0, -200.0, 200.0, 200.0])
    cell = max(heights.cell_m, float(np.sqrt((east - west) * (north - south) / MOST_CELLS)))
    rows, cols = int(np.ceil((north - south) / cell)) + 1, int(np.ceil((east - west) / cell)) + 1
    y, x = np.mgrid[:rows, :cols]
    points = np.column_stack([west + (x.ravel() + 0.5) * cell, north - (y.ravel() + 0.5) * cell])
    height = heights_at(heights, points).reshape(rows, cols)
    number = np.arange(rows * cols).reshape(rows, cols)
    pairs = []
    for i, j in ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1)):
        a = (slice(0, rows - i), slice(max(0, -j), cols - max(0, j)))
        b = (slice(i, rows), slice(max(0, j), cols + min(0, j)))
        gentle = ~(np.abs(height[a] - height[b]) > heights.limit * np.hypot(i, j) * cell)  # unknown ground is level
        pairs.append(np.stack([number[a][gentle], number[b][gentle]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(rows * cols, rows * cols))
    label = connected_components(graph, directed=False)[1].reshape(rows, cols)
    return label, (float(west), float(north), cell)


def crossing(layers: Ready) -> Iterator[Violation]:
    """Places where the insides of two lines meet away from their ends and shared points; the user's own may cross."""
    roads, kept = layers.roads, layers.road_kept
    yield from _with_itself(roads[~kept])
    if len(roads) < 2:
        return
    one, two = shapely.STRtree(roads).query(roads, predicate="intersects")
    pair = (one < two) & ~(kept[one] & kept[two])
    one, two = one[pair], two[pair]
    inside = shapely.relate_pattern(roads[one], roads[two], "T********")
    one, two = one[inside], two[inside]
    if not len(one):
        return
    used, place = np.unique(np.concatenate([one, two]), return_inverse=True)
    points, owner = shapely.get_coordinates(roads[used], return_index=True)
    corners = shapely.multipoints(points, indices=owner)
    ends = shapely.multipoints(ends_of(roads[used]))
    a, b = place[: len(one)], place[len(one) :]
    known = shapely.union(shapely.union(ends[a], ends[b]), shapely.intersection(corners[a], corners[b]))
    meet = shapely.difference(shapely.intersection(roads[one], roads[two]), shapely.buffer(known, TOUCH_M))
    for shape in meet[~shapely.is_empty(meet)]:
        amount = max(float(shape.length), float(shapely.get_num_geometries(shape)))
        yield Violation("crossing without junction", shape, amount, "Two streets cross here without a junction.")


def _with_itself(roads: Shapes) -> Iterator[Violation]:
    """Lines that cross themselves away from their own points, or lead back over themselves."""
    for line in roads[~shapely.is_simple(roads)]:
        parts = shapely.node(line)
        new = shapely.multipoints(shapely.get_coordinates(parts))
        meet = shapely.difference(new, shapely.buffer(shapely.multipoints(shapely.get_coordinates(line)), TOUCH_M))
        count = int(shapely.get_num_geometries(shapely.union_all(meet)))
        if not meet.is_empty:
            yield Violation("crossing without junction", meet, float(count), "A street crosses itself.")
        twice = float(line.length - parts.length)
        if twice > TOUCH_M:
            yield Violation("crossing without junction", line, twice, f"A street leads {twice:.2f} m over itself.")


def unjoined(layers: Ready) -> Iterator[Violation]:
    """Generated ends that stop less than a metre short of another street."""
    roads = layers.roads
    if len(roads) < 2:
        return
    loose = _loose_ends(layers)
    points = shapely.points(ends_of(roads).reshape(-1, 2)[loose])
    end, line = shapely.STRtree(roads).query(points, predicate="dwithin", distance=REACH_M)
    other = loose[end] // 2 != line
    end, line = end[other], line[other]
    away = shapely.distance(points[end], roads[line])
    for k in np.unique(end):
        short = float(away[end == k].min())
        yield Violation("unjoined end", points[k], short, f"A street ends {short:.2f} m short of another.")


def _loose_ends(layers: Ready) -> Numbers:
    """Numbers ``2 line + end`` of generated ends that meet no other line."""
    met = np.zeros(2 * len(layers.roads), bool)
    met[meetings(layers.roads)[0]] = True
    return np.flatnonzero(~met & ~np.repeat(layers.road_kept, 2))


def slivers(layers: Ready) -> Iterator[Violation]:
    """Generated dead ends too short to be streets."""
    roads = layers.roads
    if len(roads) < 2:
        return
    loose = _loose_ends(layers)
    end, line = meetings(roads)
    wide = np.zeros(len(roads))
    np.maximum.at(wide, end // 2, layers.width_m[line] / 2)
    length, met = shapely.length(roads), np.isin(np.arange(len(roads)), end // 2)
    for k in np.unique(loose // 2):
        if met[k] and length[k] < max(STUB_M, wide[k]):
            text = f"A dead end of {length[k]:.2f} m is too short for a street."
            yield Violation("dangling sliver", roads[k], float(length[k]), text)


def heights_at(heights: Heights, points: Floats) -> Floats:
    """Heights at points, bilinear between the centres of cells; beyond the DEM those of its border."""
    rows = (heights.north_m - points[:, 1]) / heights.cell_m - 0.5
    cols = (points[:, 0] - heights.west_m) / heights.cell_m - 0.5
    return np.asarray(map_coordinates(heights.height_m, [rows, cols], order=1, mode="nearest"), np.float64)


def steep(layers: Ready, heights: Heights) -> Iterator[Violation]:
    """Generated streets with a piece steeper than the limit, at their steepest; unknown heights are level."""
    roads = layers.roads[~layers.road_kept & ~layers.bridge]
    if not len(roads):
        return
    length = shapely.length(roads)
    count = np.maximum(np.ceil(length / STATION_M), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(roads)), count + 1)
    first = np.cumsum(count + 1) - (count + 1)
    step = length / count
    at = (np.arange(len(owner)) - first[owner]) * step[owner]
    points = shapely.get_coordinates(shapely.line_interpolate_point(roads[owner], at))
    rise = np.abs(np.diff(heights_at(heights, points)))
    grade = np.nan_to_num(np.where(owner[1:] == owner[:-1], rise / step[owner[:-1]], 0.0))
    worst: Floats = np.zeros(len(roads))
    np.maximum.at(worst, owner[:-1], grade)
    for k in np.flatnonzero(worst > heights.limit):
        part = slice(first[k], first[k] + count[k])
        where = first[k] + int(grade[part].argmax())
        text = f"A grade of {worst[k]:.1%} where {heights.limit:.1%} is allowed."
        yield Violation("too steep", shapely.LineString(points[where : where + 2]), float(worst[k]), text)


def in_water(layers: Ready) -> Iterator[Violation]:
    """Generated streets that lead through water and are no bridges."""
    own = layers.roads[~layers.road_kept & ~layers.bridge]
    if not len(own) or not len(layers.water):
        return
    road, water = shapely.STRtree(layers.water).query(own, predicate="intersects")
    wet = shapely.intersection(own[road], layers.water[water])
    for k in np.unique(road[shapely.length(wet) > TOUCH_M]):
        part = shapely.union_all(wet[road == k])
        text = f"{part.length:.2f} m of a street lie in water."
        yield Violation("street in water", part, float(part.length), text)
