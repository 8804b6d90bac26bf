"""Land use and objects by stated rules, each tagged ``method=rule``; nothing here is learned.

Land use of a block, first rule that fits: ``green`` if the wish for green chose it or it is nearly unbuilt;
``industry`` if a third is built with footprints of 800 m2 in the median; ``centre`` from 5 floors or 45 % built;
``mixed`` from 3 floors or 30 %; else ``housing``. Trees line major and minor streets every 12 m and stand in green
blocks on a shaken grid of 14 m; lamps stand every 30 m on one kerb. No object stands in a building or street, or
beyond the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..blocks.faces import Blocks, carriageways
from ..buildings.build import Buildings
from ..buildings.infill import chance
from ..streets.network import Network, snap
from ..streets.obstacles import pieces_of

Floats = NDArray[np.float64]
Shapes = NDArray[Any]

UNBUILT_SHARE = 0.02
TREE_M, LAMP_M, GROVE_M = 12.0, 30.0, 14.0
KERB_M = 0.8
"""Objects stand so far behind the kerb."""
CLEAR_M = 1.2
LEAST_GREEN_M2 = 400.0


@dataclass(frozen=True)
class LandUse:
    """One class per block, and the share of each that is built."""

    shapes: Shapes
    kind: NDArray[np.str_]
    coverage: Floats


@dataclass(frozen=True)
class Objects:
    """Points and their kinds, ``tree`` or ``lamp``."""

    points: Shapes
    kind: NDArray[np.str_]


def land_use(blocks: Blocks, built: Buildings, green_share: float | None) -> LandUse:
    """Class of every block; with a wish for green the least built blocks become green until it is met."""
    return classed(blocks.shapes, built_up(blocks.shapes, built.shapes, built.floors), green_share)


def built_up(blocks: Shapes, buildings: Shapes, floors: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Share of each block that is built, mean floors there weighted by footprint, and the median footprint in m2."""
    count = len(blocks)
    covered: Floats = np.zeros(count)
    floor_area: Floats = np.zeros(count)
    median: Floats = np.zeros(count)
    if count and len(buildings):
        where = shapely.point_on_surface(buildings)
        block, number = shapely.STRtree(where).query(blocks, predicate="intersects")
        size = shapely.area(buildings)[number]
        covered = np.asarray(np.bincount(block, size, count), np.float64)
        floor_area = np.asarray(np.bincount(block, size * floors[number], count), np.float64)
        median = _upper_medians(block, size, count)
    coverage = covered / np.maximum(shapely.area(blocks), 1.0)
    return coverage, floor_area / np.maximum(covered, 1.0), median


def classed(blocks: Shapes, facts: tuple[Floats, Floats, Floats], green_share: float | None) -> LandUse:
    """Class of every block from coverage, mean floors and median footprint."""
    coverage, floors, median = facts
    area = shapely.area(blocks)
    kind = np.select(
        [(coverage > 0.33) & (median > 800), (floors >= 5) | (coverage > 0.45), (floors >= 3) | (coverage > 0.3)],
        ["industry", "centre", "mixed"],
        "housing",
    )
    kind = np.where((coverage < UNBUILT_SHARE) & (area > LEAST_GREEN_M2), "green", kind)
    if green_share is not None and len(blocks):
        kind = _greened(kind, area, coverage, green_share)
    return LandUse(blocks, kind, coverage)


def _upper_medians(group: NDArray[np.int64], values: Floats, count: int) -> Floats:
    """Upper median of each group's values; 0 for empty ones."""
    order = np.lexsort((values, group))
    size = np.bincount(group, minlength=count)
    first = np.cumsum(size) - size
    at = np.minimum(first + size // 2, max(len(values) - 1, 0))
    return np.asarray(np.where(size > 0, values[order][at], 0.0))


def _greened(kind: NDArray[np.str_], area: Floats, coverage: Floats, share: float) -> NDArray[np.str_]:
    """The least built blocks as green, as many as come nearest to the wish; others lose the class."""
    order = np.lexsort((-area, np.round(coverage, 3)))
    total = np.cumsum(area[order]) / max(float(area.sum()), 1.0)
    chosen = int(np.abs(np.concatenate([[0.0], total]) - share).argmin())
    out = np.where(kind == "green", "housing", kind)
    out[order[:chosen]] = "green"
    return out


def no_objects() -> Objects:
    """Neither trees nor lamps."""
    return Objects(np.zeros(0, object), np.zeros(0, str))


def objects(network: Network, use: LandUse, built: Buildings, ground: tuple[Any, Any], seed: int) -> Objects:
    """Trees and lamps; ``ground`` is the area, and what stands in it already."""
    area, standing = ground
    rows = [(_along(network, TREE_M, side, 2), "tree") for side in (1, -1)]
    rows.append((_along(network, LAMP_M, 1, 3, LAMP_M / 2 + TREE_M / 4), "lamp"))
    green = use.shapes[use.kind == "green"]
    rows.append((_groves(green, seed), "tree"))
    points = shapely.points(snap(np.concatenate([row for row, _ in rows])))
    kind = np.concatenate([np.full(len(row), name) for row, name in rows])
    shapely.prepare(area)
    inside = shapely.contains(area, points)
    points, kind = points[inside], kind[inside]
    taken = np.concatenate([built.shapes, carriageways(network), pieces_of(standing)])
    if len(taken) and len(points):
        clear = np.where(np.arange(len(taken)) < len(built), CLEAR_M, 0.3)
        number, other = shapely.STRtree(taken).query(points, predicate="dwithin", distance=CLEAR_M)
        bad = shapely.distance(points[number], taken[other]) < clear[other]
        keep = np.ones(len(points), bool)
        keep[number[bad]] = False
        points, kind = points[keep], kind[keep]
    return Objects(points, kind)


def _along(network: Network, step_m: float, side: int, ranks: int, first_m: float | None = None) -> Floats:
    """Points behind one kerb of streets of the first so many ranks, away from junctions."""
    found = [np.zeros((0, 2))]
    for line, width, rank in zip(network.lines, network.width_m, network.rank, strict=True):
        start = step_m if first_m is None else first_m
        at = np.arange(start, line.length - step_m * 0.75, step_m)
        if rank >= ranks or not len(at):
            continue
        here, ahead = (shapely.get_coordinates(shapely.line_interpolate_point(line, at + d)) for d in (0.0, 0.5))
        along = (ahead - here) / np.maximum(np.hypot(*(ahead - here).T), 1e-9)[:, None]
        across = np.column_stack([-along[:, 1], along[:, 0]]) * side
        found.append(here + across * (width / 2 + KERB_M))
    return np.concatenate(found)


def _groves(green: Shapes, seed: int) -> Floats:
    """Points of a shaken world grid inside green blocks."""
    found = [np.zeros((0, 2))]
    for shape in green:
        west, south, east, north = np.floor(np.array(shape.bounds) / GROVE_M)
        x, y = np.meshgrid(np.arange(west, east + 1), np.arange(south, north + 1))
        points = np.column_stack([x.ravel(), y.ravel()]) * GROVE_M
        shake = np.column_stack([chance(shapely.points(points), seed + k) for k in (1, 2)])
        points += (0.2 + 0.6 * shake) * GROVE_M
        inside = shapely.contains_xy(shapely.buffer(shape, -1.0), points)
        found.append(points[inside & (shake.sum(axis=1) > 0.5)])
    return np.concatenate(found)
