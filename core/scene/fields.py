"""Fields of a square block of a town: what its buildings and roads are on lattices of 2 and 10 m, exactly.

The lattice is the world's: cell ``(i, j)`` of size ``s`` lies where it does because of its coordinates alone, and
blocks are squares of 2 km in the same lattice. Shares, lengths and volumes add up, so coarser scales are plain sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..streets.network import WIDTH_M
from . import rasterising
from .preparation import Town

BLOCK_M = 2000
FINE_M = 2
MIDDLE_M = 10
COARSE_M = 50
WALL_REACH_M = 16.0
ROAD_REACH_M = 64.0

KERB_REACH_M = 48.0

FINE_FIELDS = ("share", "wall_distance", "height", "kerb_distance")
MIDDLE_FIELDS = (
    "share",  # area of buildings, m2/m2
    "wall",  # length of walls, each building's own, m/m2
    "wall_cos4",  # the same times cos 4a of the wall's direction: buildings have axes, not directions
    "wall_sin4",
    "volume",  # m3/m2, 0 where heights are unknown
    "known_share",  # area of buildings with a known height, m2/m2
    "count",  # buildings by their point on surface, 1/cell
    "road_distance",  # from the cell's centre to the nearest centreline, m, at most ROAD_REACH_M
    "road_rank",  # rank of that road, -1 beyond reach
    "road_cos2",  # cos 2a and sin 2a of its direction, 0 beyond reach
    "road_sin2",
    "major",  # lengths of centrelines by rank, m/m2
    "minor",
    "service",
    "road_cos4",  # length times cos 4a, m/m2: a grid's two directions are one
    "road_sin4",
)
"""Bands of :attr:`Block.middle` in order."""


@dataclass(frozen=True)
class Block:
    """One block: north-up arrays, first row in the north.

    Attributes
    ----------
    column, row
        Place in the world's lattice of blocks: west edge ``column * BLOCK_M``, south edge ``row * BLOCK_M``.
    fine
        ``(4, 1000, 1000)``, uint8: share of buildings in 1/255; wall distance in 1/8 m plus 128 (positive inside a
        building, negative outside); height of the nearest building in half metres, 0 unknown; distance from the kerb
        in 1/4 m plus 40 (negative on the carriageway), 255 without a road in reach.
    middle
        ``(len(MIDDLE_FIELDS), 200, 200)``, float32.

    """

    column: int
    row: int
    fine: NDArray[np.uint8]
    middle: NDArray[np.float32]


def block_places(town: Town) -> list[tuple[int, int]]:
    """Columns and rows of all blocks that hold a feature of the town, south-west first."""
    boxes = [shapely.bounds(shapes) for shapes in (town.buildings, town.roads) if len(shapes)]
    first = np.floor(np.concatenate(boxes)[:, :2] / BLOCK_M).astype(int)
    last = np.floor(np.concatenate(boxes)[:, 2:] / BLOCK_M).astype(int)
    places = set()
    for (c0, r0), (c1, r1) in zip(first, last, strict=True):
        places |= {(c, r) for c in range(c0, c1 + 1) for r in range(r0, r1 + 1)}
    return sorted(places)


def rasterise_block(town: Town, column: int, row: int) -> Block:
    """All fields of one block of a town."""
    frame = Frame(column * BLOCK_M, (row + 1) * BLOCK_M, BLOCK_M, BLOCK_M)
    area = shapely.box(*frame.bounds).buffer(ROAD_REACH_M, join_style="mitre")
    near = np.flatnonzero(shapely.intersects(town.buildings, area)) if len(town.buildings) else np.array([], int)
    fine, middle_buildings = building_fields(town.buildings[near], town.height_m[near], frame)
    near = np.flatnonzero(shapely.intersects(town.roads, area)) if len(town.roads) else np.array([], int)
    middle_roads = road_fields(town.roads[near], town.rank[near], frame)
    kerb = kerb_distance(town.roads[near], np.asarray(WIDTH_M)[town.rank[near]], frame, FINE_M)
    return Block(column, row, np.concatenate([fine, kerb[None]]), np.concatenate([middle_buildings, middle_roads]))


@dataclass(frozen=True)
class Frame:
    """A rectangle of the world, in metres, whose north-west corner turns metres into cells."""

    west_m: float
    north_m: float
    width_m: float
    height_m: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return self.west_m, self.north_m - self.height_m, self.west_m + self.width_m, self.north_m

    def cells(self, points: NDArray[np.float64], cell_m: float) -> NDArray[np.float64]:
        """Points ``(N, 2)`` in cells: x eastward, y southward."""
        return np.column_stack([points[:, 0] - self.west_m, self.north_m - points[:, 1]]) / cell_m

    def shape(self, cell_m: float) -> tuple[int, int]:
        """Rows and columns of cells."""
        return round(self.height_m / cell_m), round(self.width_m / cell_m)


def shares(shapes: NDArray[Any], frame: Frame, cell_m: float) -> NDArray[np.float32]:
    """Share of each cell that polygons cover."""
    points, rings, polygons = polygon_arrays(shapes)
    nothing = np.full(len(shapes), np.nan)
    share, _, _ = rasterising.area_shares(frame.cells(points, cell_m), rings, polygons, nothing, frame.shape(cell_m))
    return np.asarray(share)


def building_fields(
    shapes: NDArray[Any], height_m: NDArray[np.float64], frame: Frame
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Fine bands and the first seven middle bands; shells anticlockwise, as :mod:`.preparation` orients them."""
    side, mid = frame.shape(FINE_M), frame.shape(MIDDLE_M)
    points, rings, polygons = polygon_arrays(shapes)
    cells = frame.cells(points, FINE_M)
    share, volume, owner = rasterising.area_shares(cells, rings, polygons, height_m, side)
    distance, _, _ = rasterising.nearest_line(cells, rings, WALL_REACH_M / FINE_M, side)
    signed_m = np.where(share >= 0.5, distance, -distance) * FINE_M
    of_owner = np.append(height_m, np.nan)[owner]  # -1 takes the last: unknown
    fine = np.stack([
        np.rint(share * 255), np.clip(np.rint(signed_m * 8) + 128, 0, 255), _nearest_height(owner, of_owner)
    ])  # fmt: skip
    length, moment = rasterising.line_moments(
        frame.cells(points, MIDDLE_M), rings, np.zeros(len(rings), np.int64), 1, 4.0, mid
    )
    known = _aggregate(share * np.isfinite(of_owner))
    middle = [_aggregate(share), *(length / MIDDLE_M), *(moment / MIDDLE_M), _aggregate(volume), known]
    return fine.astype(np.uint8), np.stack([*middle, _counts(shapes, frame)]).astype(np.float32)


def road_fields(shapes: NDArray[Any], rank: NDArray[np.int64], frame: Frame) -> NDArray[np.float32]:
    """The nine middle bands of roads; footways count as service roads."""
    mid = frame.shape(MIDDLE_M)
    points, lines = _line_arrays(shapes)
    cells, kind = frame.cells(points, MIDDLE_M), np.minimum(rank, 2)
    distance, number, angle = rasterising.nearest_line(cells, lines, ROAD_REACH_M / MIDDLE_M, mid)
    near = number >= 0
    nearest_rank = np.append(kind, -1)[number]
    length, moment = rasterising.line_moments(cells, lines, kind, 3, 4.0, mid)
    direction = [np.where(near, np.cos(2 * angle), 0), np.where(near, np.sin(2 * angle), 0)]
    bands = [distance * MIDDLE_M, nearest_rank, *direction, *(length / MIDDLE_M), *(moment / MIDDLE_M)]
    return np.stack(bands).astype(np.float32)


def kerb_distance(shapes: NDArray[Any], width_m: NDArray[np.float64], frame: Frame, cell_m: float) -> NDArray[np.uint8]:
    """Distance of each cell centre from the nearest kerb, coded as in :class:`Block`."""
    nearest_m = np.full(frame.shape(cell_m), np.inf)
    for width in np.unique(width_m):
        points, lines = _line_arrays(shapes[width_m == width])
        reach_m = KERB_REACH_M + width / 2
        distance, number, _ = rasterising.nearest_line(
            frame.cells(points, cell_m), lines, reach_m / cell_m, frame.shape(cell_m)
        )
        kerb_m = np.where(number >= 0, distance * cell_m - width / 2, np.inf)
        nearest_m = np.minimum(nearest_m, kerb_m)
    return np.clip(np.rint(np.minimum(nearest_m, 1e3) * 4 + 40), 0, 255).astype(np.uint8)


def _aggregate(values: NDArray[Any]) -> NDArray[Any]:
    """Means of fine cells over middle cells: exact, since five of them make one."""
    ratio = MIDDLE_M // FINE_M
    rows, cols = values.shape
    return values.reshape(rows // ratio, ratio, cols // ratio, ratio).mean(axis=(1, 3))


def _nearest_height(owner: NDArray[np.int32], of_owner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of the nearest building of known height, in half metres up to 127; 0 where none is in the block."""
    unknown = ~np.isfinite(of_owner)
    if unknown.all():
        return np.zeros(owner.shape)
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.clip(np.rint(of_owner[tuple(nearest)] * 2), 1, 255)


def _counts(shapes: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    """Buildings per middle cell, each counted where its centroid lies."""
    counts = np.zeros(frame.shape(MIDDLE_M), np.float32)
    centre = shapely.get_coordinates(shapely.centroid(shapes)) if len(shapes) else np.zeros((0, 2))
    at = np.floor(frame.cells(centre, MIDDLE_M)).astype(int)
    inside = ((at >= 0) & (at < counts.shape[::-1])).all(axis=1)
    np.add.at(counts, (at[inside, 1], at[inside, 0]), 1)
    return counts


def polygon_arrays(shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Points, offsets of rings in points, offsets of polygons in rings."""
    if not len(shapes):
        return np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64)
    _, points, (rings, polygons) = shapely.to_ragged_array(shapes, include_z=False)
    return points, rings.astype(np.int64), polygons.astype(np.int64)


def _line_arrays(shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points and offsets of lines in points."""
    if not len(shapes):
        return np.zeros((0, 2)), np.zeros(1, np.int64)
    _, points, (lines,) = shapely.to_ragged_array(shapes, include_z=False)
    return points, lines.astype(np.int64)
