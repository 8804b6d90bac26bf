"""Buildings by rule where the fields leave too little: rectangles along kerbs, then behind them (``origin`` 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..blocks.faces import Blocks
from ..streets.network import GRID_M, snap
from ..streets.obstacles import Obstacles

Floats = NDArray[np.float64]
Shapes = NDArray[Any]

ROW_M = 5.0
"""Open ground between a row of buildings and the next behind it."""
PASSES = ((1.0, 3.0), (0.7, 1.5), (0.45, 1.2))
"""Side of the rectangles, as a share of the usual one, and the gap between neighbours, in metres."""
CLEAR_M = 1.0
LEAST_M2 = 16.0
TOUCH_M, DRAWN_M = 0.5, 0.7
"""Buildings nearer than the first touch; a wall that is drawn in leaves a gap of the second."""
YARD_M, NARROW_M = 0.5, 1.5
"""What is built on last keeps so far from everything, and is nowhere narrower than twice the second."""


def filled_in(shapes: Shapes, blocks: Blocks, taken: Shapes, missing_m2: float, seed: int) -> Shapes:
    """Rectangles of the usual size that stand on free ground of blocks, until so much ground is covered."""
    side = _usual_side(shapes)
    placed: list[Any] = []
    total = 0.0
    fixed = np.concatenate([shapes, taken])
    tree = shapely.STRtree(fixed) if len(fixed) else None
    for offer in _offers(blocks.shapes, side, seed):
        lots = offer
        if tree is not None and len(lots):
            lots = lots[np.setdiff1d(np.arange(len(lots)), tree.query(lots, "dwithin", distance=CLEAR_M)[0])]
        for lot in _first_come(lots[np.argsort(chance(lots, seed), kind="stable")], placed):
            if total + 0.5 * lot.area > missing_m2:
                return np.array(placed, object)
            placed.append(lot)
            total += lot.area
    standing = np.concatenate([fixed, np.array(placed, object)])
    for lot in _leftovers(blocks.shapes, standing, side, seed):
        if total + 0.5 * lot.area > missing_m2:
            break
        placed.append(lot)
        total += lot.area
    return np.array(placed, object)


def _leftovers(blocks: Shapes, standing: Shapes, side_m: float, seed: int) -> Shapes:
    """What is still free in blocks, in pieces of a building's size: yards and gaps, the last to be built on."""
    tree = shapely.STRtree(standing) if len(standing) else None
    found = [np.zeros(0, object)]
    for block in blocks:
        inner = shapely.buffer(block, -YARD_M, join_style="mitre")
        if tree is not None and not inner.is_empty:
            near = standing[np.sort(tree.query(inner, "dwithin", distance=YARD_M))]
            yards = shapely.union_all(shapely.buffer(near, YARD_M, join_style="mitre"), grid_size=GRID_M)
            inner = shapely.difference(inner, yards, grid_size=GRID_M)
        open_m = shapely.buffer(shapely.buffer(inner, -NARROW_M, join_style="mitre"), NARROW_M, join_style="mitre")
        if not open_m.is_empty:
            open_m = shapely.make_valid(open_m, method="structure", keep_collapsed=False)
            ground = _polygons(np.array([shapely.intersection(open_m, inner, grid_size=GRID_M)], object))
            found += [_cut_up(part, block, side_m) for part in ground]
    lots = _polygons(np.concatenate(found))
    lots = lots[shapely.area(lots) >= LEAST_M2]
    return np.asarray(lots[np.argsort(chance(lots, seed), kind="stable")], object)


def _polygons(shapes: Shapes) -> Shapes:
    """The polygons among the parts of shapes."""
    parts = shapely.get_parts(shapely.get_parts(shapes))
    return np.asarray(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON], object)


def _cut_up(ground: Any, block: Any, side_m: float) -> Shapes:
    """Ground cut by a grid along a block's main direction, with alleys between its cells."""
    points = shapely.get_coordinates(shapely.oriented_envelope(block))
    along = (points[1] - points[0]) / max(float(np.hypot(*(points[1] - points[0]))), 1e-9)
    turn = np.array([along, [-along[1], along[0]]])
    turned = (shapely.get_coordinates(ground) - points[0]) @ turn.T
    low, high = np.floor(turned.min(axis=0) / side_m), np.ceil(turned.max(axis=0) / side_m)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])))
    cells = shapely.box(
        x * side_m, y * side_m, (x + 1) * side_m - 2 * YARD_M, (y + 1) * side_m - 2 * YARD_M
    )  # fmt: skip
    cells = shapely.transform(cells, lambda at: at @ turn + points[0])
    pieces = Obstacles(ground)
    cells = cells[pieces.touch(cells)]
    ground_of = np.array([pieces.near(cell) for cell in cells], object)
    return _polygons(np.asarray(shapely.intersection(cells, ground_of, grid_size=GRID_M), object))


def loosened(shapes: Shapes, touching: float | None, seed: int) -> Shapes:
    """Footprints (None where there is none) of which at most such a share touch another: some draw in their walls."""
    known = np.flatnonzero(~shapely.is_missing(shapes))
    if touching is None or len(known) < 2:
        return shapes
    one, two = shapely.STRtree(shapes[known]).query(shapes[known], "dwithin", distance=TOUCH_M)
    close = known[np.unique(one[one != two])]
    excess = 1.0 - touching * len(known) / max(len(close), 1)
    drawn = close[chance(shapes[close], seed) < excess]
    out = np.asarray(shapes, object).copy()
    smaller = shapely.set_precision(shapely.buffer(out[drawn], -DRAWN_M, join_style="mitre"), GRID_M)
    for k, shape in zip(drawn, smaller, strict=True):
        out[k] = max(_polygons(np.array([shape], object)), key=lambda part: part.area, default=None)
        if out[k] is not None and out[k].area < LEAST_M2:
            out[k] = None
    return out


def chance(shapes: Shapes, seed: int) -> Floats:
    """A number from 0 to 1 for each shape that depends on its place in millimetres and the seed alone."""
    if not len(shapes):
        return np.zeros(0)
    corner = np.round(shapely.bounds(shapes)[:, :2] * 1000).astype(np.int64).astype(np.uint64)
    mixed = corner[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ (corner[:, 1] + np.uint64(seed)) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _offers(blocks: Shapes, side_m: float, seed: int) -> Iterator[Shapes]:
    """Rows of lots from kerbs inward until no ground is left, then again with smaller ones in between."""
    for factor, gap_m in PASSES:
        side, distance, wide = factor * side_m, 2.0 if factor == 1.0 else 1.0, blocks
        while True:
            inner = shapely.buffer(wide, -distance, join_style="mitre")
            left = ~shapely.is_empty(inner)
            if not left.any():
                break
            wide = wide[left]
            yield _lots(wide, shapely.simplify(inner[left], 0.5), (side, gap_m), seed)
            distance += side + ROW_M * factor


def _usual_side(shapes: Shapes) -> float:
    """Side of a square of the median footprint, 9 to 16 m."""
    return float(np.clip(np.sqrt(np.median(shapely.area(shapes))), 9.0, 16.0)) if len(shapes) else 11.0


def _lots(blocks: Shapes, inner: Shapes, sizes_m: tuple[float, float], seed: int) -> Shapes:
    """Rectangles of a side and with a gap, fronts on the edges of blocks' inner parts, in rows."""
    parts = shapely.orient_polygons(shapely.get_parts(inner))
    rings = shapely.get_rings(parts)
    corners: list[Floats] = []
    for ring in rings:
        points = shapely.get_coordinates(ring)
        for a, b in zip(points[:-1], points[1:], strict=True):
            corners += _row(a, b, sizes_m, seed)
    if not corners:
        return np.zeros(0, object)
    lots = shapely.polygons(snap(np.array(corners)))
    keep = shapely.area(lots) >= LEAST_M2
    lots = lots[keep]
    number, _ = shapely.STRtree(blocks).query(lots, predicate="within")
    return np.asarray(lots[np.unique(number)], object)


def _row(a: Floats, b: Floats, sizes_m: tuple[float, float], seed: int) -> list[Floats]:
    """Rectangles on the left of one straight front."""
    size = float(np.hypot(*(b - a)))
    side_m, gap_m = sizes_m
    pitch = side_m + gap_m * (1.0 + (seed % 7) * 0.06)
    count = int((size + gap_m) // pitch)
    if count < 1:
        return []
    along = (b - a) / size
    inward = np.array([-along[1], along[0]])
    first = (size - count * pitch + gap_m) / 2
    out = []
    for k in range(count):
        start = a + along * (first + k * pitch)
        depth = side_m * 0.95
        out.append(
            np.array([start, start + along * side_m, start + along * side_m + inward * depth, start + inward * depth])
        )
    return out


def _first_come(lots: Shapes, placed: list[Any]) -> list[Any]:
    """Lots in order, without those too near to an earlier one."""
    if not len(lots):
        return []
    whole = np.array([*placed, *lots], object)
    lot, other = shapely.STRtree(whole).query(lots, "dwithin", distance=CLEAR_M)
    lot += len(placed)
    earlier = other < lot
    lot, other = lot[earlier], other[earlier]
    order = np.lexsort((other, lot))
    gone = np.zeros(len(whole), bool)
    for a, b in zip(other[order].tolist(), lot[order].tolist(), strict=True):
        if not gone[a]:
            gone[b] = True
    return [each for each, out in zip(lots, gone[len(placed) :], strict=True) if not out]
