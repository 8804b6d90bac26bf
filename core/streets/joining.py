"""One connected net: components are joined by the cheapest paths between them, streets too steep are laid anew.

What water, gaps in the user's own layers or the slope forbid is returned as a list.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..progress import Progress
from . import network as net
from .ground import Ground
from .network import Network
from .ways import Components, Way, laid_anew, way_out

ROUNDS = 12
WORTH = 1.0
"""Generated streets of a component are left out where the way to it would be longer than so much of them."""


def joined(network: Network, ground: Ground, progress: Progress | None = None) -> Network:
    """Join components until one is left or no more can be joined; streets not worth a way to them are left out.

    Every component but the longest looks for its cheapest way to another one (Boruvka 1926).
    """
    progress = progress or Progress()
    given_up: set[bytes] = set()
    for _ in range(ROUNDS):
        parts = Components.of(network)
        if len(parts) < 2:
            break
        ways, alone = _ways(parts, network.origin == net.EXISTING, ground, given_up, progress)
        if not ways and not alone:
            break
        stays = ~np.isin(parts.component, alone)
        lines = np.array([way.line for way in ways], object)
        more = net.of_lines(lines, np.ones(len(ways), np.int64), net.JOINING)
        network = net.planar(net.joined(network.take(stays), more))
    return network


def _ways(
    parts: Components, existing: NDArray[np.bool_], ground: Ground, given_up: set[bytes], progress: Progress
) -> tuple[list[Way], list[int]]:
    """The cheapest way out of each component but the longest, the shortest ones first, and components not worth one.

    No way closes a ring. Only components that share a piece of ground with another one look for a way; names of those
    that found none are kept.
    """
    order = np.lexsort((np.arange(len(parts)), parts.length_m))[:-1]
    shared = _share_ground(parts, ground)
    group, found, alone = np.arange(len(parts)), [], list[int]()
    for k in order.tolist():
        progress.check()
        members = parts.members[k]
        name = shapely.to_wkb(shapely.multilinestrings(parts.lines[members]))
        if name in given_up:
            continue
        way = way_out(parts, k, ground) if shared[k] else None
        if way is None:
            given_up.add(name)
        elif (
            way.line.length > WORTH * parts.length_m[k]
            and (group == group[k]).sum() == 1
            and not existing[members].any()
        ):
            alone.append(k)
        elif group[k] != group[way.other] and way.other not in alone:
            group[group == group[k]] = group[way.other]
            found.append(way)
    return found, alone


def _share_ground(parts: Components, ground: Ground) -> NDArray[np.bool_]:
    """Which components touch a piece of ground that another one touches."""
    pieces = parts.on(ground.forbidden.land)
    holders = Counter(piece for own in pieces for piece in own)
    return np.array([any(holders[piece] > 1 for piece in own) for own in pieces], bool)


@dataclass(frozen=True)
class Apart:
    """A component that could not be joined to the rest: its lines, and what forbids it."""

    lines: Any
    reason: str


def apart(network: Network, ground: Ground) -> tuple[Network, list[Apart]]:
    """The network and its components other than the longest one, each with its reason.

    Generated streets of those without one, on the same piece of ground as the longest, are left out of the network.
    """
    if not len(network):
        return network, []
    parts = Components.of(network)
    main = int(parts.length_m.argmax())
    pieces = parts.on(ground.forbidden.land, middles=True)
    keep, listed = np.ones(len(network), bool), []
    for k, members in enumerate(parts.members):
        if k == main:
            continue
        if pieces[k] & pieces[main]:
            keep[members[network.origin[members] != net.EXISTING]] = False
        own = members[keep[members]]
        if not len(own):
            continue
        reason = "your own gap" if pieces[k] & pieces[main] else "water, existing buildings or the area's edge"
        if not pieces[k]:
            reason = "outside the area or its free ground"
        listed.append(Apart(shapely.multilinestrings(network.lines[own]), reason))
    return network.take(keep), listed


def gentle(network: Network, ground: Ground) -> Network:
    """Lay generated streets that are too steep, or on forbidden ground, anew; what remains too steep is left out."""
    for _ in range(4):
        bad = _breaking(network, ground)
        if not bad.any():
            break
        fresh = [
            (laid_anew(line, ground), rank) for line, rank in zip(network.lines[bad], network.rank[bad], strict=True)
        ]
        kept = [(new, rank) for new, rank in fresh if new is not None]
        network = network.take(~bad)
        if kept:
            ranks = np.array([rank for _, rank in kept], np.int64)
            network = net.joined(
                network, net.of_lines(np.array([line for line, _ in kept], object), ranks, net.GENERATED)
            )
        network = net.dissolved(net.planar(network))
    return network.take(~_breaking(network, ground))


def _breaking(network: Network, ground: Ground) -> NDArray[np.bool_]:
    """Which generated streets are too steep or on forbidden ground."""
    own = network.origin != net.EXISTING
    bad = own & shapely.intersects(ground.forbidden.shape, network.lines)
    for k in np.flatnonzero(own & ~bad):
        bad[k] = ground.steep(network.lines[k])
    return np.asarray(bad, bool)
