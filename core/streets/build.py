"""The street net of an area: traced, cleaned, laid gently, joined, with existing streets as they are.

``streets`` is the one front door of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..progress import Progress
from . import network as net
from .cleaning import Manners, cleaned, cleared_ends, opened_angles, tidied, without_spurs
from .dead_ends import led_on
from .ground import Ground, ground_of
from .joining import Apart, apart, gentle, joined
from .network import Network
from .obstacles import Obstacles, clipped
from .street_field import FALL_M, StreetField
from .terrain import Terrain
from .tracing import traced

EMPTY = shapely.Polygon()
BESIDE_M = 14.0
"""Generated lines that stay nearer to existing ones are those, and are left out."""
ASIDE_M = 7.0
"""They stay so far from the kerbs of existing ones too, where these are wide."""


@dataclass(frozen=True)
class StreetSettings:
    """What a net has to keep.

    Attributes
    ----------
    limit
        Steepest grade, rise over run.
    manners
        Lengths and angles of the net.

    """

    limit: float = 0.12
    manners: Manners = field(default_factory=Manners)


@dataclass(frozen=True)
class Surroundings:
    """What lies in an area already: shapes in the project's metric CRS, empty where there is nothing.

    ``parks`` are green that stays unbuilt; streets may cross it.
    """

    area: Any
    water: Any = EMPTY
    roads: Network = field(default_factory=net.empty)
    buildings: Any = EMPTY
    terrain: Terrain | None = None
    parks: Any = EMPTY


@dataclass(frozen=True)
class StreetResult:
    """The net, and its components beside the main one with what forbids to join them.

    ``raw_share`` is the share of the length in the longest component before repair: as traced and straightened, dead
    ends led straight on, stubs and scraps under 60 m left out, and led to the user's own streets; before any path was
    looked for to join components.
    """

    network: Network
    apart: tuple[Apart, ...]
    raw_share: float = 1.0

    @property
    def components(self) -> int:
        """How many components the net has."""
        return len(self.apart) + 1 if len(self.network) else 0


def streets(
    fields: StreetField, around: Surroundings, settings: StreetSettings, progress: Progress | None = None
) -> StreetResult:
    """One connected planar street net of an area; the same bytes for the same input."""
    progress = progress or Progress()
    progress.report(0.0, "Looking at the ground")
    blocked = shapely.union(around.water, around.buildings)
    ground = ground_of(fields, around.area, blocked, around.terrain, settings.limit)
    progress.report(0.1, "Tracing streets")
    free = Free(around.area, blocked)
    own = _inside(traced(fields), free)
    progress.report(0.3, "Straightening streets")
    own = _tidied(cleaned(own, settings.manners), fields, free, ground, settings.manners) if len(own) else own
    own = _apart_from(own, around.roads)
    network = net.planar(net.joined(around.roads, own))
    network = _without_crumbs(without_spurs(network, settings.manners))
    raw = connected_share(network)
    progress.report(0.6, "Laying streets gently")
    network = _without_crumbs(gentle(network, ground))
    progress.report(0.75, "Joining streets")
    network = _without_shadows(_connected(network, ground, settings.manners, progress))
    network, listed = apart(network, ground)
    network = net.with_own_widths(network, around.roads)
    progress.report(1.0, "Streets laid")
    return StreetResult(network, tuple(listed), raw)


def _connected(network: Network, ground: Ground, manners: Manners, progress: Progress) -> Network:
    """One component where that is possible, laid gently again."""
    for _ in range(3):
        network = joined(network, ground, progress)
        network = gentle(opened_angles(net.dissolved(network), manners), ground)
        network = cleared_ends(without_spurs(net.dissolved(network), manners))
        if _components(network) <= 1:
            return network
    # the last word has connection: where a slope leaves no better way, streets may meet at narrow angles
    return gentle(cleared_ends(net.dissolved(joined(network, ground, progress))), ground)


class Free:
    """Where streets may be traced: in the area, and so far from water and existing buildings."""

    def __init__(self, area: Any, blocked: Any, margin_m: float = 3.0) -> None:
        self.area = area
        self._blocked = Obstacles(shapely.buffer(blocked, margin_m))

    def part_of(self, lines: NDArray[Any]) -> NDArray[Any]:
        """The part of each line that is free."""
        return self._blocked.cut_from(clipped(lines, self.area))


def _tidied(own: Network, fields: StreetField, free: Free, ground: Ground, manners: Manners) -> Network:
    """Dead ends led on where that is allowed, and everything straight."""

    def is_free(line: Any) -> bool:
        return not ground.steep(line) and not shapely.intersects(ground.blocked, line)

    tree = shapely.STRtree(own.lines)

    def trace(line: Any) -> float:
        points = shapely.get_coordinates(shapely.segmentize(line, fields.lattice.cell_m / 2))
        centres = np.floor(fields.lattice.cells(points)) + 0.5
        away = tree.query_nearest(
            shapely.points(fields.lattice.ground(centres)), return_distance=True, all_matches=False
        )
        known = np.clip(1.0 - away[1] / FALL_M, 0.0, 1.0)
        return float((np.asarray(fields.lattice.sample(fields.nearness, points), np.float64) - known).mean())

    own = led_on(own, shapely.boundary(free.area), is_free, trace)
    return _inside(tidied(cleaned(own, manners), manners), free)


def _without_shadows(network: Network, near_m: float = 0.5) -> Network:
    """Leave out generated streets that run along existing ones within a hand's breadth, where nothing hangs on them."""
    old = network.origin == net.EXISTING
    if not old.any() or old.all():
        return network
    strip = shapely.buffer(shapely.union_all(network.lines[old]), near_m)
    shapely.prepare(strip)
    for k in np.flatnonzero(~old)[::-1]:
        if shapely.covers(strip, network.lines[k]) and shapely.length(network.lines[k]) > 2 * near_m:
            rest = network.take(np.arange(len(network)) != k)
            if _components(rest) == _components(network):
                network = rest
    return network


def connected_share(network: Network) -> float:
    """Share of the length in the longest component; 1 without streets."""
    if not len(network):
        return 1.0
    found = net.nodes(network)
    length = np.bincount(found.component[found.ends[:, 0]], shapely.length(network.lines))
    return float(length.max() / length.sum())


def _components(network: Network) -> int:
    """How many connected components a net has."""
    return int(net.nodes(network).component.max()) + 1 if len(network) else 0


def _inside(network: Network, free: Free) -> Network:
    """The parts of generated lines on free ground."""
    if not len(network):
        return network
    parts, number = shapely.get_parts(free.part_of(network.lines), return_index=True)
    line = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    return net.planar(net.of_lines(parts[line], network.rank[number[line]], net.GENERATED))


def _apart_from(own: Network, existing: Network) -> Network:
    """Generated lines without the parts that run beside existing ones; their ends are led to these."""
    if not len(existing) or not len(own):
        return own
    beside_m = np.maximum(BESIDE_M, existing.width_m / 2 + ASIDE_M)
    lines = Obstacles(shapely.buffer(existing.lines, beside_m)).cut_from(own.lines)
    parts, number = shapely.get_parts(lines, return_index=True)
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING) & (shapely.length(parts) > 2 * BESIDE_M)
    tree = shapely.STRtree(existing.lines)
    led = [_led_to(part, existing.lines, tree, beside_m + 0.5) for part in parts[keep]]
    return net.planar(net.of_lines(np.array(led, object), own.rank[number[keep]], net.GENERATED))


def _led_to(line: Any, existing: NDArray[Any], tree: Any, reach_m: NDArray[np.float64]) -> Any:
    """A line whose ends beside existing streets, within the reach of each, touch the nearest."""
    points = shapely.get_coordinates(line)
    feet = []
    for end in shapely.points(points[[0, -1]]):
        near = np.sort(tree.query(end, predicate="dwithin", distance=reach_m.max()))
        near = near[shapely.dwithin(existing[near], end, reach_m[near])]
        ways = shapely.shortest_line(existing[near], end)
        order = np.lexsort((*shapely.get_coordinates(ways).reshape(-1, 4).T, np.round(shapely.length(ways), 6)))
        feet.append(shapely.get_coordinates(ways[order[0]])[:1] if len(near) else np.zeros((0, 2)))
    return shapely.LineString(np.concatenate([feet[0], points, feet[1]]))


def _without_crumbs(network: Network, least_m: float = 60.0) -> Network:
    """Drop generated components shorter than two plots; others are joined."""
    if not len(network):
        return network
    found = net.nodes(network)
    number = found.component[found.ends[:, 0]]
    length = np.bincount(number, shapely.length(network.lines))
    own = np.bincount(number, network.origin == net.EXISTING) == 0
    drop = own & (length < least_m) & (length < length.max())
    return network.take(~drop[number])
