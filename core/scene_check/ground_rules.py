"""Rules of buildings and blocks: what shares ground that must not, and blocks that are not closed.

Asks GEOS' exact predicates through search trees. Imports numpy and shapely.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .findings import Floats, Ready, Shapes, Violation

Numbers = NDArray[np.int64]

SHARED_M2 = 0.01
"""Two shapes that share no more ground than this are apart."""
NEAR_M = 0.1
"""An edge of a block nearer to a kerb than this follows it."""
OPEN_M = 1.0
"""So much of a block's edge may lead along nothing: crumbs left out at a corner."""


def shared(a: Shapes, b: Shapes) -> tuple[Numbers, Numbers, Shapes]:
    """Pairs of polygons of two layers that share more than :data:`SHARED_M2`, and the ground that they share."""
    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, object)
    one, two = shapely.STRtree(b).query(a, predicate="intersects")
    if a is b:
        one, two = one[one < two], two[one < two]
    meet = shapely.relate_pattern(a[one], b[two], "T********")
    one, two = one[meet], two[meet]
    ground = shapely.intersection(a[one], b[two])
    much = shapely.area(ground) > SHARED_M2
    return one[much], two[much], ground[much]


def buildings_overlap(layers: Ready) -> Iterator[Violation]:
    """Buildings that share ground, unless both are the user's own."""
    kept = layers.building_kept
    one, two, ground = shared(layers.buildings, layers.buildings)
    for a, b, both in zip(one, two, ground, strict=True):
        if kept[a] and kept[b]:
            continue
        if kept[a] or kept[b]:
            text = f"A building stands on {both.area:.2f} m2 of an existing one."
            yield Violation("building on existing building", both, float(both.area), text)
        else:
            yield Violation("buildings overlap", both, float(both.area), f"Two buildings share {both.area:.2f} m2.")


def on_street(layers: Ready) -> Iterator[Violation]:
    """Generated buildings that reach into a carriageway, or over a street without width."""
    own, roads = layers.buildings[~layers.building_kept], layers.roads
    if not len(own) or not len(roads):
        return
    half = layers.width_m / 2
    building, road = shapely.STRtree(roads).query(own, predicate="dwithin", distance=float(half.max()))
    away = shapely.distance(own[building], roads[road])
    near = (away < half[road]) | (away == 0.0)
    building, road, away = building[near], road[near], away[near]
    way = shapely.buffer(roads[road], np.maximum(half[road], SHARED_M2), cap_style="flat")
    ground = shapely.intersection(own[building], way)
    much = (shapely.area(ground) > SHARED_M2) | (shapely.length(shapely.intersection(own[building], roads[road])) > 0.1)
    for k, m, off, part in zip(building[much], road[much], away[much], ground[much], strict=True):
        short = float(half[m] - off)
        text = f"A building stands on {part.area:.2f} m2 of a street, {short:.2f} m beyond its kerb."
        yield Violation("building on street", own[k], float(part.area), text)


def in_water(layers: Ready) -> Iterator[Violation]:
    """Generated buildings that reach into water."""
    own = layers.buildings[~layers.building_kept]
    building, _, ground = shared(own, layers.water)
    wet = np.bincount(building, shapely.area(ground), len(own))
    for k in np.unique(building):
        text = f"A building stands on {wet[k]:.2f} m2 of water."
        yield Violation("building in water", own[k], float(wet[k]), text)


def through_block(layers: Ready) -> Iterator[Violation]:
    """Centrelines inside blocks."""
    if not len(layers.blocks) or not len(layers.roads):
        return
    block, road = shapely.STRtree(layers.roads).query(layers.blocks, predicate="intersects")
    inside = shapely.relate_pattern(layers.blocks[block], layers.roads[road], "T********")
    parts = shapely.intersection(layers.blocks[block[inside]], layers.roads[road[inside]])
    for part in parts[shapely.length(parts) > NEAR_M]:
        text = f"{part.length:.2f} m of a street lie in a block."
        yield Violation("street through block", part, float(part.length), text)


def blocks_overlap(layers: Ready) -> Iterator[Violation]:
    """Blocks that share ground."""
    for ground in shared(layers.blocks, layers.blocks)[2]:
        yield Violation("blocks overlap", ground, float(ground.area), f"Two blocks share {ground.area:.2f} m2.")


def not_closed(layers: Ready) -> Iterator[Violation]:
    """Blocks with an edge that follows no kerb, no water and not the edge of the area.

    Where the area is not known, the outer edge of blocks and streets is taken for it.
    """
    blocks = layers.blocks
    if not len(blocks) or not len(layers.roads):
        return
    ways = shapely.buffer(layers.roads, layers.width_m / 2 + NEAR_M, quad_segs=16)
    area = _covered(blocks, ways) if layers.area is None else layers.area
    rest = _less(shapely.boundary(blocks), np.concatenate([ways, shapely.buffer(layers.water, NEAR_M), _edge(area)]))
    open_m = shapely.length(rest)
    for k in np.flatnonzero(open_m > OPEN_M):
        text = f"{open_m[k]:.1f} m of a block's edge follow no street, water or edge of the area."
        yield Violation("block not closed", rest[k], float(open_m[k]), text)


def _covered(blocks: Shapes, ways: Shapes) -> Any:
    """Ground that blocks and carriageways cover together, without holes and without blocks that no street reaches."""
    parts = shapely.get_parts([shapely.union_all(np.concatenate([blocks, ways]))])
    reached = np.unique(shapely.STRtree(ways).query(parts, predicate="intersects")[0])
    return shapely.union_all(shapely.polygons(shapely.get_exterior_ring(parts[reached])))


def _edge(area: Any) -> Shapes:
    """Strips along the straight pieces of the edge of an area."""
    points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts([area])), return_index=True)
    pairs: Floats = np.stack([points[:-1], points[1:]], axis=1)[ring[1:] == ring[:-1]]
    return np.asarray(shapely.buffer(shapely.linestrings(pairs), NEAR_M), object)


def _less(lines: Shapes, fences: Shapes) -> Shapes:
    """What is left of each line outside of all fences."""
    line, fence = shapely.STRtree(fences).query(lines, predicate="intersects")
    order = np.argsort(line, kind="stable")
    fence = fence[order]
    begins = np.searchsorted(line[order], np.arange(len(lines) + 1))
    near = [shapely.union_all(fences[fence[a:b]]) for a, b in zip(begins[:-1], begins[1:], strict=True)]
    return np.asarray(shapely.difference(lines, np.array(near, object)), object)
