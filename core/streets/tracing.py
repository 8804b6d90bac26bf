"""From a street field to lines: topology from the thinned ridge of nearness, places from straight least squares.

Raw lines come out on the millimetre grid and planar; :mod:`.cleaning` makes streets of them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from . import network as net
from .network import Network
from .skeleton import chains, thinned
from .street_field import Lattice, StreetField, sharpened

Floats = NDArray[np.float64]

RATIO = 4
"""Cells of 2.5 m for tracing: a street of 5 m is two cells wide."""
HALF_M = 6.5
"""Ground nearer to a centreline than this belongs to its ridge."""
LEAST_FACE_M2 = 500.0
"""Smaller holes between ridges are no blocks; the streets around them are one."""
LEAST_RIDGE_M = 30.0
TOLERANCE_M = 1.5
TILE_M, MARGIN_M = 2000.0, 200.0


def traced(field: StreetField) -> Network:
    """Lines along the ridges of nearness, with the rank that the field has along them.

    The fine picture is made tile by tile; pieces of a line meet at the tiles' edges, and become one before they are
    smoothed.
    """
    found = [_pieces(field, tile) for tile in _tiles(field.lattice)]
    lines = np.concatenate([np.zeros(0, object), *found])
    if not len(lines):
        return net.empty()
    # chains of cells meet at their ends only
    whole = net.dissolved(net.of_lines(lines, np.zeros(len(lines), np.int64), net.GENERATED))
    shapes = _shapes([_smooth(shapely.get_coordinates(line)) for line in whole.lines])
    return net.planar(net.of_lines(shapes, ranks_along(field, shapes), net.GENERATED))


def _tiles(lattice: Lattice) -> list[tuple[float, float, float, float]]:
    """Bounds of the world's tiles that a lattice touches."""
    west, south, east, north = lattice.bounds
    return [
        (float(x), float(y), float(x) + TILE_M, float(y) + TILE_M)
        for y in np.arange(np.floor(south / TILE_M), np.ceil(north / TILE_M)) * TILE_M
        for x in np.arange(np.floor(west / TILE_M), np.ceil(east / TILE_M)) * TILE_M
    ]


def _pieces(field: StreetField, tile: tuple[float, float, float, float]) -> NDArray[np.object_]:
    """Chains of cells inside a tile, as lines; the field is looked at some way beyond."""
    part = field.part(tile, MARGIN_M)
    ridge = _ridge(sharpened(part, RATIO), part.lattice.cell_m / RATIO)
    if not ridge.any():
        return np.zeros(0, object)
    fine = part.lattice.finer(RATIO)
    cells, begins = chains(thinned(ridge))
    lines = [shapely.LineString(_metres(cells[a:b], fine)) for a, b in pairwise(begins.tolist()) if b - a > 1]
    inside = shapely.get_parts(shapely.intersection(np.array(lines, object), shapely.box(*tile)))
    return np.asarray(inside[shapely.length(inside) > 0], object)


def ranks_along(field: StreetField, lines: NDArray[np.object_]) -> NDArray[np.int64]:
    """Rank of each line: the mean of the field along it, weighted by nearness; 0 major, 1 minor, 2 service."""
    points, owner = shapely.get_coordinates(shapely.segmentize(lines, field.lattice.cell_m), return_index=True)
    near = np.asarray(field.lattice.sample(field.nearness, points), np.float64)
    rank = np.asarray(field.lattice.sample(field.rank, points), np.float64)
    mean = np.bincount(owner, rank, len(lines)) / np.maximum(np.bincount(owner, near, len(lines)), 1e-6)
    return np.where(mean > 0.5, 0, np.where(mean < -0.5, 2, 1)).astype(np.int64)


def _ridge(distance_m: Floats, cell_m: float) -> NDArray[np.bool_]:
    """Ground on streets: pieces too short and holes too small to be true are gone."""
    ridge = distance_m < HALF_M
    label, count = ndimage.label(~ridge)
    size = np.bincount(label.ravel(), minlength=count + 1) * cell_m**2
    ridge |= (size < LEAST_FACE_M2)[label]
    label, count = ndimage.label(ridge, np.ones((3, 3)))
    size = np.bincount(label.ravel(), minlength=count + 1) * cell_m**2
    return ridge & (size >= LEAST_RIDGE_M * 2 * HALF_M)[label]


def _metres(cells: NDArray[np.int64], lattice: Lattice) -> Floats:
    return lattice.ground(cells[:, ::-1] + 0.5)


def _smooth(points: Floats, reach: int = 3) -> Floats:
    """Moving means along a chain, narrower towards its ends, which stay."""
    count = len(points)
    total = np.concatenate([np.zeros((1, 2)), np.cumsum(points - points[0], axis=0)])
    at = np.arange(count)
    half = np.minimum(np.minimum(at, count - 1 - at), reach)
    mean = (total[at + half + 1] - total[at - half]) / (2 * half + 1)[:, None]
    return np.asarray(mean + points[0])


def _shapes(lines: list[Floats]) -> NDArray[np.object_]:
    shapes = np.array([shapely.LineString(line) for line in lines], object)
    return np.asarray(shapely.simplify(shapes, TOLERANCE_M), object)
