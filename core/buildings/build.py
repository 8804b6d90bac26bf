"""Buildings of an area from the finest fields, with coverage, floor-area ratio and heights as asked for.

``buildings`` is the one front door of this package; it goes through the fields in tiles. Coverage is steered by moving
outer walls, then by leaving out or filling in; floors by one factor and then one by one. Everything follows from
fields, streets, targets and seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..blocks.faces import Blocks, carriageways
from ..progress import Progress
from ..streets.build import Surroundings
from ..streets.network import Network
from ..streets.obstacles import pieces_of
from ..streets.street_field import Lattice
from . import walls as straight
from .footprints import apart, closed, cut, parted
from .infill import chance, filled_in, loosened
from .instances import Squares, arcs, gaps, labelled, thresholds
from .squaring import divided, squared
from .storeys import Storeys, storeys

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Shapes = NDArray[Any]

SETBACK_M = 0.4
FREE_SHIFT_M = 0.5
MOST_SHIFT_M = 0.8
CLOSE_ENOUGH = 0.003
LEAST_GAP_M, GAPS_M = 0.4, (0.6, 2.0)
"""Neighbours with more open ground between them do not touch, but have a gap of so much."""
NEIGHBOURS, NEAR_M, ALIKE_DEG, ALIGNED = 8, 70.0, 12.0, 0.8
"""A building takes the mean direction of so many neighbours if these agree so well, and it nearly has it itself."""
KEPT_M = 50.0
ROUNDS, FACTOR, WISH, SLACK_CELLS = 2, (0.5, 2.2), (0.5, 1.6), 30.0
"""Squares of this side keep the covered ground that the fields have there; found in so many rounds."""
DECIDED, STREET_WEIGHT, OWN_STREET = 0.7, 2.0, 4.0
"""Buildings whose walls agree less on a direction take that of their quarter; each one's street counts so much beside
its walls, and one's own street that many times more."""
QUARTER, QUARTER_M = 24, 120.0
"""So many buildings, not farther away, are a quarter."""
TILE_M, TILE_MARGIN_M = 2000.0, 200.0
"""Buildings are made in squares of this size in the world's lattice; the fields are read so far beyond."""


@dataclass(frozen=True)
class FineField:
    """The finest fields, ``(rows, cols)`` each.

    Attributes
    ----------
    share
        Share of each cell that buildings cover, 0 to 1.
    wall_m
        Distance from the nearest wall, positive inside buildings.
    height_m
        Height of the nearest building; 0 where unknown.
    usual
        Ground that a building usually takes in m2, on a coarser lattice; None where that is not known.

    """

    lattice: Lattice
    share: NDArray[np.floating[Any]]
    wall_m: NDArray[np.floating[Any]]
    height_m: NDArray[np.floating[Any]]
    usual: tuple[Lattice, NDArray[np.floating[Any]]] | None = None


@dataclass(frozen=True)
class Targets:
    """What a user asks for; None leaves it to the fields. Shares of the area less water, metres.

    ``touching`` is the share of buildings that touch another one, at most.
    """

    coverage: float | None = None
    far: float | None = None
    mean_height_m: float | None = None
    seed: int = 1
    green_share: float | None = None
    touching: float | None = None


@dataclass(frozen=True)
class Buildings:
    """Footprints with heights; origin 0 from the fields, 1 filled in by rule."""

    shapes: Shapes
    height_m: Floats
    floors: Numbers
    origin: Numbers

    def __len__(self) -> int:
        """Number of buildings."""
        return len(self.shapes)


@dataclass(frozen=True)
class Site:
    """What buildings have to keep clear of: shapes and the area left for them."""

    area: Any
    land: Any
    taken: Shapes
    land_m2: float
    existing_m2: float


def site_of(network: Network, around: Surroundings) -> Site:
    """Streets with a setback, water, parks and existing buildings."""
    unbuilt = shapely.buffer([around.water, around.parks], 0.5)
    standing = [shapely.buffer(around.buildings, 0.3, join_style="mitre"), *unbuilt]
    taken = np.concatenate([carriageways(network, SETBACK_M), pieces_of(standing)])
    land = shapely.difference(around.area, around.water)
    inside = shapely.intersection(around.buildings, around.area)
    shapely.prepare(land)
    return Site(around.area, land, taken[~shapely.is_empty(taken)], float(land.area), float(inside.area))


def buildings(
    fields: FineField, network: Network, blocks: Blocks, around: Surroundings, targets: Targets,
    progress: Progress | None = None,
) -> Buildings:  # fmt: skip
    """All new buildings of an area, made tile by tile so that memory does not grow with it."""
    progress = progress or Progress()
    site = site_of(network, around)
    parts = tiles(fields.lattice, site.land)
    covered = np.array([_covered_m2(fields, tile, site.land) for tile in parts], np.float64)
    wanted_m2 = float(covered.sum())
    if targets.coverage is not None:
        wanted_m2 = max(targets.coverage * site.land_m2 - site.existing_m2, 0.0)
    share = covered / max(float(covered.sum()), 1e-9)
    most_m = FREE_SHIFT_M if targets.coverage is None else MOST_SHIFT_M
    shapes, height, missing = [np.zeros(0, object)], [np.zeros(0)], 0.0
    for number, tile in enumerate(parts):
        progress.report(0.9 * number / len(parts), "Drawing buildings")
        goal_m2 = float(share[number]) * wanted_m2 + missing
        found, heights = _of_tile(fields, tile, network, site, (goal_m2, most_m))
        missing = goal_m2 - float(shapely.area(found).sum())
        shapes.append(found)
        height.append(heights)
    progress.report(0.9, "Fitting buildings to what was asked for")
    return _finished(np.concatenate(shapes), np.concatenate(height), blocks, site, (wanted_m2, targets))


def _finished(
    shapes: Shapes, height: Floats, blocks: Blocks, site: Site, wish: tuple[float, Targets]
) -> Buildings:  # fmt: skip
    """Buildings of all tiles, apart from each other, with coverage and heights as asked for."""
    wanted_m2, targets = wish
    shapes = loosened(apart(shapes), targets.touching, targets.seed)
    keep = ~shapely.is_missing(shapes)
    shapes, height, origin = shapes[keep], height[keep], np.zeros(int(keep.sum()), np.int64)
    if targets.coverage is not None:
        shapes, height, origin = _steered(shapes, height, blocks, site, (wanted_m2, targets.seed))
    order = _order(shapes)
    made = storeys(
        shapely.area(shapes[order]), height[order], Storeys(targets.far, targets.mean_height_m, site.land_m2)
    )
    return Buildings(shapes[order], made[0], made[1], origin[order])


@dataclass(frozen=True)
class Tile:
    """A square of the world's lattice: its bounds, the cells in it, and those of the window that is looked at."""

    bounds: tuple[float, float, float, float]
    cells: tuple[slice, slice]
    window: tuple[slice, slice]


def tiles(lattice: Lattice, land: Any) -> list[Tile]:
    """Tiles of a lattice that hold land, from south-west to north-east."""
    west, south, east, north = lattice.bounds
    found = []
    for y in np.arange(np.floor(south / TILE_M), np.ceil(north / TILE_M)) * TILE_M:
        for x in np.arange(np.floor(west / TILE_M), np.ceil(east / TILE_M)) * TILE_M:
            bounds = (float(x), float(y), float(x) + TILE_M, float(y) + TILE_M)
            if shapely.intersects(land, shapely.box(*bounds)):
                found.append(Tile(bounds, lattice.within(bounds, 0.0), lattice.within(bounds, TILE_MARGIN_M)))
    return found


def _covered_m2(fields: FineField, tile: Tile, land: Any) -> float:
    """Ground of a tile's land that buildings cover in the fields."""
    share = np.asarray(fields.share[tile.cells], np.float64)
    if not share.size:
        return 0.0
    if not shapely.contains_properly(land, shapely.box(*tile.bounds)):
        rows, cols = (np.arange(one.start, one.stop) + 0.5 for one in tile.cells)
        x, y = np.meshgrid(cols, rows)
        centres = fields.lattice.ground(np.column_stack([x.ravel(), y.ravel()]))
        share = share * shapely.contains_xy(land, centres).reshape(share.shape)
    return float(share.sum()) * fields.lattice.cell_m**2


def _of_tile(
    fields: FineField, tile: Tile, network: Network, site: Site, goal: tuple[float, float]
) -> tuple[Shapes, Floats]:
    """Footprints and heights of the buildings whose middle lies in a tile."""
    lattice = fields.lattice.cut(*tile.window)
    share, wall_m, height_m = (
        np.asarray(values[tile.window], np.float64) for values in (fields.share, fields.wall_m, fields.height_m)
    )
    window = FineField(lattice, share, wall_m, height_m, fields.usual)
    around = shapely.box(*tile.bounds).buffer(2 * TILE_MARGIN_M, join_style="mitre")
    near = network.take(shapely.intersects(network.lines, around))
    taken = site.taken[shapely.intersects(site.taken, around)]
    return _kept(window, near, replace(site, taken=taken), (*goal, tile.bounds))


Goal = tuple[float, float, tuple[float, float, float, float]]
"""Ground to be covered in m2, the most that walls are moved in metres, and the bounds of a tile."""


def _kept(fields: FineField, network: Network, site: Site, goal: Goal) -> tuple[Shapes, Floats]:
    """Footprints and heights; what is built is outlined wider or closer, square by square, until each square has about
    the covered ground that it is to have.
    """
    wanted_m2, most_m, bounds = goal
    share, wall_m, height_m = (
        np.asarray(values, np.float64) for values in (fields.share, fields.wall_m, fields.height_m)
    )
    cell_m = fields.lattice.cell_m
    first = round(-fields.lattice.north_m / cell_m), round(fields.lattice.west_m / cell_m)
    squares = Squares((fields.lattice.rows, fields.lattice.cols), round(KEPT_M / cell_m), first)
    covered = squares.sums(share)
    wish = float(np.clip(wanted_m2 / max(float(_inside(fields, bounds).sum()) * cell_m**2, 1.0), *WISH))
    factor = np.full(covered.shape, wish)
    for turn in range(ROUNDS + 1):
        label = labelled(share, wall_m, thresholds(share, squares, factor))
        if not label.any():
            break
        inside = _middles_in(label, fields.lattice, bounds)
        if turn == ROUNDS:
            shapes, axis = _shaped(label, fields, network, site, (wanted_m2, most_m, inside))
            keep = ~shapely.is_missing(shapes)
            return _divided(shapes[keep], axis[keep], _median_heights(label, height_m)[keep], (fields, site))
        shapes, _ = _shaped(label, fields, network, site, (wanted_m2, 0.0, np.ones_like(inside)))
        made = squares.sums(_spread(shapes, label))
        missing = (wish * covered + SLACK_CELLS) / (made / cell_m**2 + SLACK_CELLS)
        factor = np.clip(factor * missing, *FACTOR)
    return np.zeros(0, object), np.zeros(0)


def _divided(shapes: Shapes, axis: Floats, height: Floats, place: tuple[FineField, Site]) -> tuple[Shapes, Floats]:
    """Footprints that are several buildings as such, where the fields say how large one is."""
    fields, site = place
    if fields.usual is None or not len(shapes):
        return shapes, height
    lattice, usual = fields.usual
    at = shapely.get_coordinates(shapely.centroid(shapes))
    parts, owner = divided(shapes, axis, np.asarray(lattice.sample(usual, at), np.float64))
    parts = apart(cut(parts, site.taken, site.area))
    keep = ~shapely.is_missing(parts)
    return parts[keep], height[owner[keep]]


def _inside(fields: FineField, bounds: tuple[float, float, float, float]) -> NDArray[np.floating[Any]]:
    return fields.share[fields.lattice.within(bounds, 0.0)]


def _spread(shapes: Shapes, label: NDArray[np.int32]) -> Floats:
    """Ground of footprints in m2, spread evenly over the cells of their labels."""
    area = np.concatenate([[0.0], np.nan_to_num(shapely.area(shapes))])
    return np.asarray((area / np.maximum(np.bincount(label.ravel(), minlength=len(area)), 1))[label])


def _middles_in(
    label: NDArray[np.int32], lattice: Lattice, bounds: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """Whether the middle of each label lies within bounds, ``(count - 1,)``."""
    at = _middles(label, lattice)
    west, south, east, north = bounds
    return np.asarray((at[:, 0] >= west) & (at[:, 0] < east) & (at[:, 1] >= south) & (at[:, 1] < north))


def _middles(label: NDArray[np.int32], lattice: Lattice) -> Floats:
    """Mean place of each label's cells in metres, ``(count - 1, 2)``."""
    rows, cols = np.nonzero(label)
    who = label[rows, cols]
    count = int(label.max()) + 1
    size = np.maximum(np.bincount(who, minlength=count), 1)
    return lattice.ground(np.column_stack([np.bincount(who, v + 0.5, count) / size for v in (cols, rows)])[1:])


def _shaped(
    label: NDArray[np.int32], fields: FineField, network: Network, site: Site,
    goal: tuple[float, float, NDArray[np.bool_]],
) -> tuple[Shapes, Floats]:  # fmt: skip
    """Footprints of chosen labels, whose area comes nearest to a goal by moving outer walls, and their axes."""
    wanted_m2, most_m, inside = goal
    count = int(label.max()) + 1
    points, begins, sides, ends = arcs(label, np.asarray(fields.wall_m, np.float64))
    drawn = straight.straight_walls(fields.lattice.ground(points), begins, sides, ends)
    middles, street = _middles(label, fields.lattice), _street_axes(label, fields.lattice, network)
    axis, agreed = straight.axes(drawn, count)
    axis = _with_neighbours(_decided(axis, agreed, middles, street), middles)
    axis = straight.to_street(axis, street)
    corners = straight.corners_of(straight.snapped(drawn, axis))
    pairs, gap_m = gaps(label, fields.share, fields.lattice.cell_m)
    wide = gap_m > LEAST_GAP_M
    between = (pairs[wide] - 1, np.clip(gap_m[wide], *GAPS_M))
    own = np.isin(corners.walls.sides, 1 + np.flatnonzero(inside)).any(axis=1)
    outer_m = float(corners.walls.length[(corners.outward != 0) & own].sum())
    shift, best = 0.0, (np.inf, np.zeros(count - 1, object))
    for _ in range(3 if most_m else 1):
        drawn_shapes = parted(closed(corners.walls, corners.places(shift), count), *between)
        drawn_shapes[~inside] = None
        drawn_shapes = squared(drawn_shapes, axis[1:])
        shapes = apart(cut(drawn_shapes, site.taken, site.area))
        missing = wanted_m2 - float(np.nansum(shapely.area(shapes)))
        if abs(missing) < best[0]:
            best = (abs(missing), shapes)
        if abs(missing) < CLOSE_ENOUGH * site.land_m2:
            break
        shift = float(np.clip(shift + missing / max(outer_m, 1.0), -most_m, most_m))
    return best[1], axis[1:]


def _decided(axis: Floats, agreed: Floats, middles: Floats, street: Floats) -> Floats:
    """Axes of buildings whose walls do not agree on one: those of the quarter around, of its walls and its streets."""
    if len(middles) < 2:
        return axis
    count = min(QUARTER, len(middles))
    away, near = cKDTree(middles).query(middles, k=count, distance_upper_bound=QUARTER_M)
    along = np.where(np.isfinite(street[1:]), STREET_WEIGHT * np.exp(4j * np.nan_to_num(street[1:])), 0.0)
    four = np.append(agreed[1:] ** 2 * np.exp(4j * axis[1:]) + along, 0.0)
    mean = four[np.where(np.isfinite(away), near, len(middles))].sum(axis=1) + OWN_STREET * along
    out = axis.copy()
    out[1:] = np.where(agreed[1:] < DECIDED, np.angle(mean) / 4, axis[1:])
    return out


def _with_neighbours(axis: Floats, middles: Floats) -> Floats:
    """Axes of buildings in line with those of their neighbours where these agree, modulo a quarter turn."""
    if len(middles) < 3:
        return axis
    away, near = cKDTree(middles).query(middles, k=min(NEIGHBOURS, len(middles)), distance_upper_bound=NEAR_M)
    known = np.isfinite(away)
    four = np.append(np.exp(4j * axis[1:]), 0.0)
    mean = four[np.where(known, near, len(middles))].sum(axis=1) / known.sum(axis=1)
    turn = np.angle(mean * np.conj(four[:-1])) / 4
    alike = (np.abs(mean) > ALIGNED) & (np.abs(turn) < np.radians(ALIKE_DEG))
    out = axis.copy()
    out[1:] += np.where(alike, turn, 0.0)
    return out


def _street_axes(label: NDArray[np.int32], lattice: Lattice, network: Network) -> Floats:
    """Direction of the street nearest to each label, not a number without streets, ``(count,)``."""
    count = int(label.max()) + 1
    axis = np.full(count, np.nan)
    if not len(network):
        return axis
    points = shapely.points(_middles(label, lattice))
    pieces = _pieces(network)
    number, nearest = shapely.STRtree(pieces).query_nearest(points, max_distance=120.0, all_matches=False)
    along = shapely.get_coordinates(pieces[nearest]).reshape(-1, 2, 2)
    across = along[:, 1] - along[:, 0]
    axis[1 + number] = np.arctan2(across[:, 1], across[:, 0])
    return axis


def _pieces(network: Network) -> Shapes:
    """Straight pieces of all streets that are long enough to have a direction."""
    points, owner = shapely.get_coordinates(network.lines, return_index=True)
    same = owner[1:] == owner[:-1]
    pairs = np.stack([points[:-1], points[1:]], axis=1)[same]
    long = np.hypot(*(pairs[:, 1] - pairs[:, 0]).T) > 4.0
    return np.asarray(shapely.linestrings(pairs[long] if long.any() else pairs), object)


def _median_heights(label: NDArray[np.int32], height_m: Floats) -> Floats:
    """Median height of each label's cells; the town's median where unknown, 6.2 m where nothing is known."""
    rows, cols = np.nonzero(label)
    who, value = label[rows, cols], height_m[rows, cols]
    known = value > 0
    usual = float(np.median(value[known])) if known.any() else 6.2
    value = np.where(known, value, usual)
    order = np.lexsort((value, who))
    size = np.bincount(who, minlength=int(label.max()) + 1)[1:]
    first = np.cumsum(size) - size
    return np.asarray(value[order][first + size // 2], np.float64)


def _steered(
    shapes: Shapes, height: Floats, blocks: Blocks, site: Site, wish: tuple[float, int]
) -> tuple[Shapes, Floats, Numbers]:
    """Leave buildings out, or fill in, until so many m2 are covered, by a seed."""
    wanted, seed = wish
    origin = np.zeros(len(shapes), np.int64)
    area = shapely.area(shapes)
    if area.sum() > wanted + CLOSE_ENOUGH * site.land_m2:
        keep = _fitting(area, np.argsort(chance(shapes, seed), kind="stable"), wanted)
        shapes, height, origin, area = shapes[keep], height[keep], origin[keep], area[keep]
    if area.sum() < wanted - CLOSE_ENOUGH * site.land_m2:
        more = filled_in(shapes, blocks, site.taken, wanted - float(area.sum()), seed)
        usual = float(np.median(height)) if len(height) else 6.2
        shapes = np.concatenate([shapes, more])
        height = np.concatenate([height, np.full(len(more), usual)])
        origin = np.concatenate([origin, np.ones(len(more), np.int64)])
    return shapes, height, origin


def _fitting(area: Floats, order: Numbers, wanted_m2: float) -> NDArray[np.bool_]:
    """Which buildings stay, taken in an order, each that still fits."""
    keep, total = np.zeros(len(area), bool), 0.0
    for k in order:
        if total + area[k] <= wanted_m2:
            keep[k] = True
            total += float(area[k])
    return keep


def _order(shapes: Shapes) -> Numbers:
    """Footprints from south-west to north-east by their bounds."""
    if not len(shapes):
        return np.zeros(0, np.int64)
    return np.asarray(np.lexsort(shapely.bounds(shapes).T[::-1]), np.int64)
