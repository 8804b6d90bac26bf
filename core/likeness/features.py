"""Fifteen figures of a town's form per window, on vector layers of any origin.

Windows are squares of the world's lattice, of which at least half lies in the area; figures per ground speak of that
part. Streets are cut at the window's edge and wherever they meet, and become lines between junctions; where they are
cut at the edge is no dead end. Coordinates are metres. Imports numpy, scipy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..progress import Progress

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Shapes = NDArray[Any]

BUILT = ("coverage", "count", "mean_footprint", "median_footprint", "compactness", "axis_entropy", "touching")
STREETS = (
    "road_km_per_km2", "street_entropy", "largest_component", "dead_ends", "three_way", "four_way", "junctions",
    "blocks",
)  # fmt: skip
FEATURES = (*BUILT, *STREETS)
"""Names of all figures, in the order of their columns."""

MEANINGS = {
    "coverage": "share of the ground under buildings",
    "count": "buildings per 0.25 km2",
    "mean_footprint": "mean footprint, m2",
    "median_footprint": "median footprint, m2",
    "compactness": "mean of 4 pi area / perimeter^2",
    "axis_entropy": "entropy of the buildings' directions, 0 to 1",
    "touching": "share of buildings with a neighbour within half a metre",
    "road_km_per_km2": "length of streets, km/km2",
    "street_entropy": "entropy of the streets' directions, 0 to 1",
    "largest_component": "share of length in the longest connected part",
    "dead_ends": "share of nodes with one street",
    "three_way": "share of nodes with three",
    "four_way": "share of nodes with four and more",
    "junctions": "junctions per km2",
    "blocks": "faces between streets per 0.25 km2",
}

WINDOW_M = 500.0
LEAST_INSIDE = 0.5
LEAST_FOOTPRINT_M2 = 8.0
TOUCH_M = 0.5
BINS = 90
"""Directions are counted in degrees of a quarter turn."""
BLUR_BINS = 10
"""A direction is one within so many of them: it is spread over its neighbours, evenly in both ways round."""
JOIN_M = 0.25
"""Points of streets nearer than this are one: tiles and digitising leave such gaps."""
HEAL_M = 2.5
"""A street that ends so near to another was meant to meet it: tiles of maps leave such gaps at their seams."""
EDGE_M = 1.0
"""Street ends so near to the edge of a window were cut there."""
QUARTER_KM2 = 0.25


@dataclass(frozen=True)
class Windows:
    """Figures of windows ``(W, 15)`` by :data:`FEATURES`, and the windows' bounds ``(W, 4)``."""

    figures: Floats
    bounds: Floats

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.bounds)


def features(
    roads: Shapes | None, buildings: Shapes | None, area: Any, window_m: float = WINDOW_M,
    progress: Progress | None = None,
) -> Windows:  # fmt: skip
    """Figures of all windows of an area; those of a layer that is None are not a number.

    A smaller area than a window is one window.
    """
    progress = progress or Progress()
    bounds, ground = windows_of(area, window_m)
    figures = np.full((len(bounds), len(FEATURES)), np.nan)
    if buildings is not None:
        figures[:, : len(BUILT)] = _built(np.asarray(buildings, object), ground, bounds)
    if roads is not None and len(bounds):
        lines = shapely.get_parts(shapely.force_2d(np.asarray(roads, object)))
        window, line = shapely.STRtree(lines).query(ground, predicate="intersects")
        begins = np.searchsorted(window, np.arange(len(ground) + 1))
        for k, shape in enumerate(ground):
            progress.report(k / len(ground), "Measuring streets")
            figures[k, len(BUILT) :] = street_figures(lines[line[begins[k] : begins[k + 1]]], shape)
    return Windows(figures, bounds)


def windows_of(area: Any, window_m: float = WINDOW_M) -> tuple[Floats, Shapes]:
    """Bounds of an area's windows, and the ground of each that lies in the area."""
    west, south, east, north = np.floor(np.array(area.bounds) / window_m)
    x, y = np.meshgrid(np.arange(west, east + 1), np.arange(south, north + 1))
    corner = np.column_stack([x.ravel(), y.ravel()]) * window_m
    bounds = np.column_stack([corner, corner + window_m])
    boxes = shapely.box(*bounds.T)
    shapely.prepare(area)
    near = shapely.intersects(area, boxes)
    bounds, boxes = bounds[near], boxes[near]
    ground = np.where(shapely.covers(area, boxes), boxes, shapely.intersection(area, boxes))
    much = shapely.area(ground) >= LEAST_INSIDE * window_m**2
    if not much.any():
        return np.array([area.bounds], np.float64), np.array([area], object)
    return bounds[much], ground[much]


def _built(buildings: Shapes, ground: Shapes, bounds: Floats) -> Floats:
    """The seven figures of buildings of each window; a building belongs to the window of its centroid.

    Ground under several footprints counts once.
    """
    shapes = _footprints(buildings)
    out = np.full((len(ground), len(BUILT)), np.nan)
    km2 = shapely.area(ground) / 1e6
    count = len(ground)
    window, building = shapely.STRtree(shapes).query(ground, predicate="intersects")
    begins = np.searchsorted(window, np.arange(count + 1))
    for k, shape in enumerate(ground):
        under = shapely.union_all(shapes[building[begins[k] : begins[k + 1]]])
        out[k, 0] = shapely.intersection(under, shape).area / (km2[k] * 1e6)
    home = _at_home(shapely.centroid(shapes)[building], ground[window], bounds[window])
    window, building = window[home], building[home]
    number = np.bincount(window, minlength=count)
    out[:, 1] = number / km2 * QUARTER_KM2
    area = shapely.area(shapes)
    compact = 4 * np.pi * area / np.maximum(shapely.length(shapes), 1e-9) ** 2
    out[:, 2] = _means(window, area[building], number)
    out[:, 3] = _medians(window, area[building], number)
    out[:, 4] = _means(window, compact[building], number)
    out[:, 5] = entropies(window, directions(shapes)[building] / (np.pi / 2), np.ones(len(window)), count)
    out[:, 6] = np.nan_to_num(_means(window, _touching(shapes)[building].astype(np.float64), number))
    return out


def _at_home(points: Shapes, ground: Shapes, bounds: Floats) -> NDArray[np.bool_]:
    """Whether points lie on the ground of windows; those between two windows are in the eastern or northern one."""
    x, y = shapely.get_x(points), shapely.get_y(points)
    return np.asarray(shapely.intersects(ground, points) & (x < bounds[:, 2]) & (y < bounds[:, 3]))


def _footprints(buildings: Shapes) -> Shapes:
    """Single valid polygons of some size; crumbs are no buildings."""
    parts = shapely.get_parts(shapely.force_2d(buildings))
    broken = ~shapely.is_valid(parts)
    if broken.any():
        parts[broken] = shapely.make_valid(parts[broken], method="structure", keep_collapsed=False)
        parts = shapely.get_parts(parts)
    return np.asarray(parts[shapely.area(parts) >= LEAST_FOOTPRINT_M2], object)


def directions(shapes: Shapes) -> Floats:
    """Direction of each shape's smallest rectangle, modulo a quarter turn."""
    boxes = shapely.oriented_envelope(shapes)
    flat = shapely.get_type_id(boxes) != shapely.GeometryType.POLYGON
    rings = shapely.get_exterior_ring(np.where(flat, shapely.box(0, 0, 1, 1), boxes))
    ends = [shapely.get_coordinates(shapely.get_point(rings, k)) for k in (0, 1)]
    along = ends[1] - ends[0]
    return np.asarray(np.mod(np.arctan2(along[:, 1], along[:, 0]), np.pi / 2))


def _touching(shapes: Shapes) -> NDArray[np.bool_]:
    """Whether each building has a neighbour within :data:`TOUCH_M`."""
    one, two = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=TOUCH_M)
    out = np.zeros(len(shapes), bool)
    out[one[one != two]] = True
    return out


def _means(group: Numbers, values: Floats, number: Numbers) -> Floats:
    """Mean of each group's values, not a number for empty ones."""
    total = np.bincount(group, values, len(number))
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _medians(group: Numbers, values: Floats, number: Numbers) -> Floats:
    """Median of each group's values, not a number for empty ones."""
    ordered = values[np.lexsort((values, group))]
    if not len(ordered):
        return np.full(len(number), np.nan)
    first = np.cumsum(number) - number
    low = np.minimum(first + np.maximum(number - 1, 0) // 2, len(ordered) - 1)
    high = np.minimum(first + number // 2, len(ordered) - 1)
    return np.where(number > 0, (ordered[low] + ordered[high]) / 2, np.nan)


def entropies(group: Numbers, turns: Floats, weight: Floats, count: int) -> Floats:
    """Entropy of each group's directions (0 to 1 of their period): 0 for one direction, 1 for all alike.

    Directions are blurred first, so that a town turned by a few degrees has the entropy that it had. Not a number for
    empty groups.
    """
    bins = np.minimum((turns * BINS).astype(np.int64), BINS - 1)
    table = np.bincount(group * BINS + bins, weight, count * BINS).reshape(count, BINS)
    whole = table.sum(axis=1)
    share = uniform_filter1d(table / np.maximum(whole, 1e-12)[:, None], BLUR_BINS, axis=1, mode="wrap")
    entropy = -np.sum(share * np.log(np.maximum(share, 1e-12)), axis=1)
    least = np.log(BLUR_BINS)
    return np.where(whole > 0, np.clip((entropy - least) / (np.log(BINS) - least), 0, 1), np.nan)


def street_figures(lines: Shapes, ground: Any) -> Floats:
    """The eight figures of the streets in one window."""
    km2 = ground.area / 1e6
    net = _noded(lines, ground)
    if not len(net):
        return np.array([0.0, *[np.nan] * 5, 0.0, QUARTER_KM2 / km2])
    length = shapely.length(net)
    ends = np.stack([shapely.get_coordinates(shapely.get_point(net, k)) for k in (0, -1)], axis=1)
    points, number = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    number = number.reshape(-1, 2)
    degree = np.bincount(number.ravel(), minlength=len(points))
    graph = coo_array((np.ones(len(number)), (number[:, 0], number[:, 1])), shape=(len(points), len(points)))
    component = connected_components(graph, directed=False)[1][number[:, 0]]
    largest = float(np.bincount(component, length).max() / length.sum())
    cut = shapely.distance(shapely.points(points), ground.boundary) < EDGE_M
    ends_, three, four = (int((~cut & kind).sum()) for kind in (degree == 1, degree == 3, degree >= 4))
    nodes = max(ends_ + three + four, 1)
    shares = [ends_ / nodes, three / nodes, four / nodes] if ends_ + three + four else [np.nan] * 3
    entropy = _street_entropy(net)
    faces = _faces(net, ground)
    dense = float(length.sum()) / 1000 / km2
    return np.array([dense, entropy, largest, *shares, (three + four) / km2, faces / km2 * QUARTER_KM2])


def _noded(lines: Shapes, ground: Any) -> Shapes:
    """Streets inside a window as lines between junctions and ends."""
    inside = shapely.get_parts(shapely.intersection(lines, ground))
    inside = inside[shapely.length(inside) > 0]
    if not len(inside):
        return np.zeros(0, object)
    parts = _merged(inside)
    links = _links(parts)
    return _merged(np.concatenate([parts, links])) if len(links) else parts


def _merged(lines: Shapes) -> Shapes:
    """Lines cut where they meet, and joined where only two do."""
    parts = shapely.get_parts([shapely.line_merge(shapely.union_all(lines, grid_size=JOIN_M))])
    return np.asarray(parts[shapely.length(parts) > 0], object)


def _links(net: Shapes) -> Shapes:
    """Short lines from ends of streets to other streets that they all but reach."""
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(net, k)) for k in (0, -1)])
    points, first, count = np.unique(ends, axis=0, return_index=True, return_counts=True)
    loose, own = shapely.points(points[count == 1]), first[count == 1] % len(net)
    end, line = shapely.STRtree(net).query(loose, predicate="dwithin", distance=HEAL_M)
    other = line != own[end]
    return np.asarray(shapely.shortest_line(loose[end[other]], net[line[other]]), object)


def _street_entropy(net: Shapes) -> float:
    """Entropy of directions modulo a quarter turn, weighted by length: low for any grid."""
    points, owner = shapely.get_coordinates(net, return_index=True)
    along = np.diff(points, axis=0)[owner[1:] == owner[:-1]]
    turns = np.mod(np.arctan2(along[:, 1], along[:, 0]), np.pi / 2) / (np.pi / 2)
    return float(entropies(np.zeros(len(along), np.int64), turns, np.hypot(*along.T), 1)[0])


def _faces(net: Shapes, ground: Any) -> int:
    """Faces between streets and the window's edge."""
    whole = shapely.union_all(np.append(net, ground.boundary), grid_size=JOIN_M)
    return len(shapely.get_parts(shapely.polygonize(shapely.get_parts([whole]))))
