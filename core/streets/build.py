"""The street net of an area: traced, cleaned, laid gently, joined, with existing streets as they are.

``streets`` is the one front door of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from ..progress import Progress
from . import network as net
from .cleaning import Manners, cleaned, cleared_ends, opened_angles, tidied, without_spurs
from .dead_ends import led_on
from .joining import Apart, Ground, apart, gentle, ground_of, joined
from .network import Network
from .street_field import FALL_M, StreetField
from .terrain import Terrain
from .tracing import traced

EMPTY = shapely.Polygon()
BESIDE_M = 14.0
"""Generated lines that stay nearer to existing ones are those, and are left out."""


@dataclass(frozen=True)
class StreetSettings:
    """What a net has to keep.

    Attributes
    ----------
    limit
        Steepest grade, rise over run.
    manners
        Lengths and angles of the net.
    trace
        Whether the street field is traced at all; without it existing streets are only joined.

    """

    limit: float = 0.12
    manners: Manners = field(default_factory=Manners)
    trace: bool = True


@dataclass(frozen=True)
class Surroundings:
    """What lies in an area already: shapes in the project's metric CRS, empty where there is nothing."""

    area: Any
    water: Any = EMPTY
    roads: Network = field(default_factory=net.empty)
    buildings: Any = EMPTY
    terrain: Terrain | None = None


@dataclass(frozen=True)
class StreetResult:
    """The net, its components beside the main one with what forbids to join them, and streets that were left out.

    ``raw_share`` is the share of the longest component before any were joined.
    """

    network: Network
    apart: tuple[Apart, ...]
    lost: tuple[Any, ...]
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
    blocked = shapely.union(around.water, around.buildings)
    progress.report(0.0, "Looking at the ground")
    ground = ground_of(fields, around.area, blocked, around.terrain, settings.limit)
    progress.report(0.1, "Tracing streets")
    own = _inside(traced(fields), around.area, blocked) if settings.trace else net.empty()
    progress.report(0.3, "Straightening streets")
    if len(own):
        own = _tidied(cleaned(own, settings.manners), fields, around.area, ground, settings.manners)
    own = _apart_from(own, around.roads)
    network = net.planar(net.joined(around.roads, own))
    network = without_spurs(network, settings.manners)
    raw = connected_share(network)
    progress.report(0.6, "Laying streets gently")
    network, lost = gentle(network, ground)
    network = _without_crumbs(network)
    progress.report(0.75, "Joining streets")
    network, more = _connected(network, ground, settings.manners, progress)
    network = _without_shadows(network)
    network, listed, strays = apart(network, around.area, blocked)
    progress.report(1.0, "Streets laid")
    return StreetResult(network, tuple(listed), tuple(lost + more + strays), raw)


def _connected(
    network: Network, ground: Ground, manners: Manners, progress: Progress
) -> tuple[Network, list[Any]]:  # fmt: skip
    """One component where that is possible, laid gently again, and the streets left out for that."""
    lost: list[Any] = []
    for _ in range(3):
        network, _ = joined(network, ground, progress)
        network = opened_angles(net.dissolved(network), manners)
        network, more = gentle(network, ground)
        network = cleared_ends(without_spurs(net.dissolved(network), manners))
        lost += more
        if _components(network) <= 1:
            return network, lost
    # the last word has connection: where a slope leaves no better way, streets may meet at narrow angles
    network, _ = joined(network, ground, progress)
    network, more = gentle(cleared_ends(net.dissolved(network)), ground)
    return network, lost + more


def _tidied(own: Network, fields: StreetField, area: Any, ground: Ground, manners: Manners) -> Network:
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

    own = led_on(own, shapely.boundary(area), is_free, trace)
    return _inside(tidied(cleaned(own, manners), manners), area, ground.blocked)


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


def _inside(network: Network, area: Any, blocked: Any) -> Network:
    """The parts of generated lines inside an area and off blocked ground."""
    if not len(network):
        return network
    free = shapely.difference(area, shapely.buffer(blocked, 3.0))
    lines = shapely.intersection(network.lines, free)
    parts, number = shapely.get_parts(lines, return_index=True)
    line = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    return net.planar(net.of_lines(parts[line], network.rank[number[line]], net.GENERATED))


def _apart_from(own: Network, existing: Network) -> Network:
    """Generated lines without the parts that run beside existing ones; their ends are led to these."""
    if not len(existing) or not len(own):
        return own
    whole = shapely.union_all(existing.lines)
    lines = shapely.difference(own.lines, shapely.buffer(whole, BESIDE_M))
    parts, number = shapely.get_parts(lines, return_index=True)
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING) & (shapely.length(parts) > 2 * BESIDE_M)
    led = [_led_to(part, whole) for part in parts[keep]]
    return net.planar(net.of_lines(np.array(led, object), own.rank[number[keep]], net.GENERATED))


def _led_to(line: Any, whole: Any) -> Any:
    """A line whose ends beside existing streets reach them."""
    points = shapely.get_coordinates(line)
    parts = [points]
    for k, place in ((0, 0), (-1, len(parts))):
        end = shapely.Point(points[k])
        if shapely.distance(end, whole) < BESIDE_M + 0.5:
            foot = shapely.get_coordinates(shapely.shortest_line(whole, end))[:1]
            parts.insert(place, foot) if place == 0 else parts.append(foot)
    return shapely.LineString(np.concatenate(parts))


def _without_crumbs(network: Network, least_m: float = 60.0) -> Network:
    """Drop generated components shorter than a house's frontage or two; others are joined."""
    if not len(network):
        return network
    found = net.nodes(network)
    number = found.component[found.ends[:, 0]]
    length = np.bincount(number, shapely.length(network.lines))
    own = np.bincount(number, network.origin == net.EXISTING) == 0
    drop = own & (length < least_m) & (length < length.max())
    return network.take(~drop[number])
