"""Ragged footprints made of rectangles and bays: walls along two directions only, as people build.

Fields of a small model draw many outlines as blobs, and several buildings as one. Where most of a footprint's wall runs
along no axis, it is laid anew along its axis: a small one as a rectangle, a large one on a grid of bays, those that it
covers most and as many as its area takes. Footprints that are several times as large as the fields' length of walls
says are parted into as many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from ..streets.network import GRID_M

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Shapes = NDArray[Any]

BAY_M = 7.0
SMALL_M2 = 450.0
"""Ragged footprints up to this size become rectangles."""
MOST_LONG = 2.4
"""Longest rectangle, as length over width."""
ALONG_DEG = 10.0
LEAST_ALONG = 0.88
"""Share of the wall that runs along the axis, or across it, in a footprint that stays as it is."""
MOST_BAYS = 4000
MOST_SCALE = 1.12
"""What bays lack of the area, or have too much, is made up for by at most so much in length."""
SEVERAL = 1.7
"""A footprint so many times as large as usual is several."""
MOST_PARTS = 64


def squared(shapes: Shapes, axis: Floats) -> Shapes:
    """Footprints (None where there is none) with ragged ones laid anew along their axes, in radians."""
    known = np.flatnonzero(~shapely.is_missing(shapes))
    if not len(known):
        return shapes
    out = np.asarray(shapes, object).copy()
    for k in known[along_axis(shapes[known], axis[known]) < LEAST_ALONG]:
        out[k] = _standing(_plain(_lying(out[k], float(axis[k]))), float(axis[k]))
    return out


def divided(shapes: Shapes, axis: Floats, usual_m2: Floats) -> tuple[Shapes, Numbers]:
    """Footprints parted where they are several times as large as usual, and the number of each part's footprint."""
    parts, owner = [np.zeros(0, object)], [np.zeros(0, np.int64)]
    area = shapely.area(shapes)
    several = np.clip(np.rint(area / np.maximum(usual_m2, 1.0)), 1, MOST_PARTS).astype(int)
    several[area < SEVERAL * usual_m2] = 1
    for k, count in enumerate(several):
        found = [shapes[k]]
        if count > 1:
            found = [_standing(_tidy(part), float(axis[k])) for part in _cut(_lying(shapes[k], float(axis[k])), count)]
        parts.append(np.array(found, object))
        owner.append(np.full(len(found), k, np.int64))
    return np.concatenate(parts), np.concatenate(owner)


def along_axis(shapes: Shapes, axis: Floats) -> Floats:
    """Share of each footprint's wall that runs along its axis or across it."""
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    wall = np.diff(points, axis=0)
    same = owner[1:] == owner[:-1]  # a step from one ring to another of the same shape is rare and counts as wall
    wall, owner = wall[same], owner[1:][same]
    size = np.hypot(*wall.T)
    turn = np.mod(np.arctan2(wall[:, 1], wall[:, 0]) - axis[owner] + np.pi / 4, np.pi / 2) - np.pi / 4
    along = np.bincount(owner, size * (np.abs(turn) < np.radians(ALONG_DEG)), len(shapes))
    return np.asarray(along / np.maximum(np.bincount(owner, size, len(shapes)), 1e-9))


def _turn(axis: float) -> Floats:
    return np.array([[np.cos(axis), -np.sin(axis)], [np.sin(axis), np.cos(axis)]])


def _lying(shape: Any, axis: float) -> Any:
    """A shape turned so that its axis is that of x."""
    return shapely.transform(shape, lambda at: at @ _turn(axis))


def _standing(shape: Any, axis: float) -> Any:
    """The largest polygon of a shape turned back, on whole millimetres."""
    there = shapely.set_precision(shapely.transform(shape, lambda at: at @ _turn(axis).T), GRID_M)
    return max(_polygons(there), key=lambda part: part.area, default=there)


def _plain(shape: Any) -> Any:
    """A rectangle or bays instead of a lying shape."""
    return _rectangle(shape) if shape.area <= SMALL_M2 else _of_bays(shape)


def _tidy(part: Any) -> Any:
    """A part that all but fills its box as that box."""
    box = shapely.box(*part.bounds)
    return box if part.area > 0.85 * box.area else part


def _rectangle(shape: Any) -> Any:
    """The rectangle of a shape's area, about its middle, as long and wide as its box is."""
    west, south, east, north = shape.bounds
    long = float(np.clip((east - west) / max(north - south, 0.1), 1 / MOST_LONG, MOST_LONG))
    x, y = shapely.get_coordinates(shape.centroid)[0]
    half = np.sqrt(shape.area) / 2
    a, b = half * np.sqrt(long), half / np.sqrt(long)
    return shapely.box(x - a, y - b, x + a, y + b)


def _of_bays(shape: Any) -> Any:
    """The bays that a shape covers most."""
    west, south, east, north = shape.bounds
    cols, rows = (max(round(side / BAY_M), 1) for side in (east - west, north - south))
    if cols * rows > MOST_BAYS:
        return shape
    x, y = np.linspace(west, east, cols + 1), np.linspace(south, north, rows + 1)
    left, low = (v.ravel() for v in np.meshgrid(x[:-1], y[:-1]))
    right, high = (v.ravel() for v in np.meshgrid(x[1:], y[1:]))
    bays = shapely.box(left, low, right, high)
    shapely.prepare(shape)
    cover = shapely.area(shapely.intersection(shape, bays))
    count = max(round(shape.area / bays[0].area), 1)
    chosen = np.zeros(len(bays), bool)
    chosen[np.argsort(-np.round(cover, 6), kind="stable")[:count]] = True
    whole = shapely.union_all(bays[_largest(chosen.reshape(rows, cols)).ravel()])
    scale = float(np.clip(np.sqrt(shape.area / whole.area), 1 / MOST_SCALE, MOST_SCALE))
    middle = shapely.get_coordinates(whole.centroid)[0]
    return shapely.transform(whole, lambda at: (at - middle) * scale + middle)


def _largest(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece of chosen bays that is joined by edges."""
    pieces, count = ndimage.label(chosen)
    if count < 2:
        return chosen
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _cut(shape: Any, count: int) -> list[Any]:
    """A lying shape in so many parts of about one size, halved across its longer side again and again."""
    if count <= 1:
        return [shape]
    west, south, east, north = shape.bounds
    across = 0 if east - west >= north - south else 1
    low, high = (west, east) if across == 0 else (south, north)
    first = count // 2
    wanted = shape.area * first / count
    near, far = low, high
    for _ in range(20):
        at = (near + far) / 2
        near, far = (at, far) if _side(shape, across, at, first=True).area < wanted else (near, at)
    at = round((near + far) / 2, 3)
    halves = [(_side(shape, across, at, first=True), first), (_side(shape, across, at, first=False), count - first)]
    found = []
    for half, number in halves:
        for part in _polygons(half):
            share = max(round(number * part.area / max(half.area, 1e-9)), 1)
            found += _cut(part, share)
    return found


def _side(shape: Any, across: int, at: float, *, first: bool) -> Any:
    """The part of a shape on one side of a line along an axis."""
    west, south, east, north = shape.bounds
    box = [west - 1, south - 1, east + 1, north + 1]
    box[across + (2 if first else 0)] = at
    return shapely.intersection(shape, shapely.box(*box))


def _polygons(shape: Any) -> list[Any]:
    """The polygons of a shape that are no crumbs."""
    parts = shapely.get_parts(shapely.get_parts([shape]))
    return [one for one in parts if one.geom_type == "Polygon" and one.area > 1.0]
