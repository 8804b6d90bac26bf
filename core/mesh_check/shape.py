"""Areas and angles of triangles. Imports numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Faces = NDArray[np.int32]

AT_ONCE = 1 << 18
"""Triangles whose corners are in memory at a time."""


def signed_areas(places: Floats, faces: Faces) -> Floats:
    """Area of every triangle seen from above, positive where it runs anticlockwise with y to the north.

    ``places`` are ``(V, 2)``; differences are taken first, so that large coordinates cost no digits.
    """
    one, other = _sides(places, faces, 1, 0), _sides(places, faces, 2, 0)
    area: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return area


def areas(vertices: Floats, faces: Faces) -> Floats:
    """Area of every triangle in space."""
    return np.linalg.norm(np.cross(_sides(vertices, faces, 1, 0), _sides(vertices, faces, 2, 0)), axis=1) / 2


def volume(vertices: Floats, faces: Faces) -> float:
    """Volume that closed triangles enclose, positive where they are anticlockwise seen from outside."""
    local = vertices - vertices.mean(axis=0)
    a, b, c = (local[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def smallest_angles_deg(places: Floats, faces: Faces, metres: tuple[float, float] = (1.0, 1.0)) -> Floats:
    """Smallest angle of every triangle in degrees, 0 to 60, seen from above, or in space for ``(V, 3)``.

    ``metres`` are those in one unit of x and of y: angles in degrees of longitude and latitude mean nothing.
    """
    scaled = places * np.array([*metres, 1.0][: places.shape[1]])
    found = [_smallest(scaled, faces[first : first + AT_ONCE]) for first in range(0, len(faces), AT_ONCE)]
    return np.concatenate(found) if found else np.empty(0)


def _smallest(places: Floats, faces: Faces) -> Floats:
    """The angle opposite to the shortest side, from twice the area and the two longer sides."""
    sides = [_sides(places, faces, i, j) for i, j in ((2, 1), (0, 2), (1, 0))]
    squares = np.sort(np.stack([np.einsum("ij,ij->i", side, side) for side in sides]), axis=0)
    one, other = sides[0], sides[1]
    flat = places.shape[1] == 2
    normal = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0] if flat else np.linalg.norm(np.cross(one, other), axis=1)
    cosine = (squares[1] + squares[2] - squares[0]) / 2
    return np.degrees(np.arctan2(np.abs(normal), cosine))


def _sides(places: Floats, faces: Faces, to: int, start: int) -> Floats:
    difference: Floats = places[faces[:, to]] - places[faces[:, start]]
    return difference
