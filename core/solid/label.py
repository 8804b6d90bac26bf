"""A label on the underside: where its letters have room, and how large they can be. Imports numpy and shapely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon

from . import outline

LARGEST_MM = 12.0
SMALLEST_MM = 2.0
"""Height of the text: letters lower than this do not print."""

RIM_MM = 1.5
"""Distance from the walls."""

SHRINK = 0.9
DEPTH_MM = 0.6
LEAST_DEPTH_MM = 0.2

Floats = NDArray[np.float64]
Rings = Sequence[Sequence[Sequence[float]]]


def depth_for(thickness_mm: float) -> float:
    """How deep to engrave into a body of this least thickness; half of it at most."""
    return min(DEPTH_MM, thickness_mm / 2)


def placed(rings: Rings, area: MultiPolygon, step: float) -> MultiPolygon | None:
    """Letters as an area on the underside, mirrored so that they read from below; None where there is no room.

    The text is as large as fits, in the middle of the bounds or where the area is widest.
    """
    letters = _area(rings)
    if letters.is_empty:
        return None
    low_x, low_y, high_x, high_y = letters.bounds
    centre, height = np.array([low_x + high_x, low_y + high_y]) / 2, high_y - low_y
    place = _place(area, (high_x - low_x) / height)
    if place is None:
        return None
    middle, size = place
    put = outline.moved(letters, lambda corners: (corners - centre) / height * [-size, size] + middle)
    return outline.printable(put, step)


def _place(area: MultiPolygon, ratio: float) -> tuple[Floats, float] | None:
    """Middle and height of the largest text whose bounds fit; ``ratio`` is its width by its height."""
    room = shapely.buffer(area, -RIM_MM)
    west, _, east, _ = area.bounds
    size = min(LARGEST_MM, (east - west) / ratio)
    while size >= SMALLEST_MM and not room.is_empty:
        half = np.array([size * ratio, size]) / 2
        for middle in _middles(area):
            if room.contains(shapely.box(*(middle - half), *(middle + half))):
                return middle, size
        size *= SHRINK
    return None


def _middles(area: MultiPolygon) -> list[Floats]:
    """Candidates for the middle of the text."""
    west, south, east, north = area.bounds
    widest = max(area.geoms, key=lambda part: part.area)
    inner = shapely.get_coordinates(shapely.maximum_inscribed_circle(widest, tolerance=0.01 * (east - west)))[0]
    return [np.array([(west + east) / 2, (south + north) / 2]), inner]


def _area(rings: Rings) -> MultiPolygon:
    """Letters of rings by the even-odd rule."""
    parts = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings]
    letters: shapely.Geometry = MultiPolygon()
    for part in sorted(parts, key=lambda part: -part.area):
        letters = shapely.symmetric_difference(letters, part)
    return outline.areas_of(letters)
