"""Layers of a scene as tables: the user's features first, as they were, then the new ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..buildings.storeys import floors_of
from ..scene.vectors import Scene
from ..scene_files import Table
from ..scene_files.layers import joined
from ..streets import network as net
from ..streets.build import StreetResult
from ..streets.network import Network
from .figures import green_in, standing_m2
from .site import Site

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

EXISTING, GENERATED, FILLED = "existing", "generated", "filled"
GREEN_SHARE = 0.5
"""A block is green where the land cover says so of this share of it, if it is hardly built."""
HARDLY_BUILT = 0.1


Roads = tuple[NDArray[Any], Numbers, Floats]
"""Lines, ranks and widths; the user's own first."""


def roads_table(site: Site, roads: Roads, laid: StreetResult) -> Table:
    """Streets, the user's own first, with class, width, length, steepest grade and what keeps them apart."""
    lines, rank, width_m = roads
    count, total = len(site.roads), len(lines)
    terrain = site.surroundings.terrain
    grade = np.full(total, np.nan)
    if terrain is not None:
        grade = np.array([round(max(map(terrain.grade, shapely.get_parts(line))), 4) for line in lines])
    columns: dict[str, NDArray[Any]] = {
        "class": np.array(net.RANKS, object)[rank],
        "width_m": width_m,
        "length_m": np.round(shapely.length(lines), 2),
        "grade_max": grade,
        "origin": np.array([EXISTING] * count + [GENERATED] * (total - count), object),
        "apart": reasons_of(site, laid),
        "synthetic": (np.arange(total) >= count).astype(np.int32),
    }
    return joined(site.roads, lines[count:], Table("roads", "LineString", lines, columns), site.place)


def reasons_of(site: Site, laid: StreetResult) -> NDArray[np.object_]:
    """What keeps each street away from the longest part of the net, the user's own first; None for the others."""
    known = {line.wkb: one.reason for one in laid.apart for line in shapely.get_parts(one.lines)}
    network, found = laid.network, np.full(len(site.roads) + len(laid.network), None, object)
    own = network.origin == net.EXISTING
    place = np.where(own, network.source, len(site.roads) + np.cumsum(~own) - 1)
    for line, at in zip(network.lines, place, strict=True):
        found[at] = known.get(line.wkb) or found[at]
    return found[: len(site.roads) + int((~own).sum())]


def junctions_table(site: Site, network: Network) -> Table:
    """Where streets meet or end; places where one street merely goes on are left out."""
    nodes = net.nodes(network)
    own = np.ones(len(nodes.points), bool)
    own[nodes.ends[network.origin != net.EXISTING].ravel()] = False
    keep = nodes.degree != 2
    columns = {
        "degree": nodes.degree[keep].astype(np.int32),
        "origin": np.where(own[keep], EXISTING, GENERATED).astype(object),
        "synthetic": (~own[keep]).astype(np.int32),
    }
    points = np.asarray(shapely.points(nodes.points[keep]), object)
    return Table("junctions", "Point", site.place.results(points), columns)


def block_of(site: Site, scene: Scene) -> Numbers:
    """Number from 1 of the block that each building stands in, own ones first; 0 for none."""
    shapes = np.concatenate([site.buildings.valid, scene.buildings.shapes])
    found = np.zeros(len(shapes), np.int64)
    if len(shapes) and len(scene.blocks.shapes):
        where = shapely.point_on_surface(shapes)
        building, block = shapely.STRtree(scene.blocks.shapes).query(where, predicate="intersects")
        found[building] = block + 1
    return found


def blocks_table(site: Site, scene: Scene) -> Table:
    """Blocks with coverage and floor-area ratio of all buildings in them."""
    number = block_of(site, scene)
    size = np.concatenate([standing_m2(site), shapely.area(scene.buildings.shapes)])
    floors = np.concatenate([floors_of(site.likely_height_m), scene.buildings.floors])
    area = shapely.area(scene.blocks.shapes)
    count = len(area)
    covered, floor_area = (np.bincount(number, values, count + 1)[1:] for values in (size, size * floors))
    columns = {
        "block": np.arange(1, count + 1),
        "area_m2": np.round(area, 2),
        "coverage": np.round(covered / np.maximum(area, 1e-9), 4),
        "far": np.round(floor_area / np.maximum(area, 1e-9), 4),
        "synthetic": np.ones(count, np.int32),
    }
    return Table("blocks", "Polygon", site.place.results(scene.blocks.shapes), columns)


def buildings_table(site: Site, scene: Scene) -> Table:
    """Buildings with height, floors, ground and block."""
    own, new = len(site.buildings), len(scene.buildings)
    height = site.height_m
    unknown = np.concatenate([~np.isfinite(height), np.zeros(new, bool)])
    columns: dict[str, NDArray[Any]] = {
        "height_m": np.concatenate([height, scene.buildings.height_m]),
        "floors": np.concatenate([floors_of(np.nan_to_num(height)), scene.buildings.floors]),
        "area_m2": np.round(shapely.area(np.concatenate([site.buildings.valid, scene.buildings.shapes])), 2),
        "block": block_of(site, scene),
        "origin": np.concatenate([
            np.full(own, EXISTING, object), np.where(scene.buildings.origin == 1, FILLED, GENERATED).astype(object)
        ]),
        "synthetic": np.concatenate([np.zeros(own, np.int32), np.ones(new, np.int32)]),
    }  # fmt: skip
    table = Table("buildings", "Polygon", scene.buildings.shapes, columns, {"floors": unknown})
    return joined(site.buildings, scene.buildings.shapes, table, site.place)


def use_of(site: Site, scene: Scene) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Land use of each block, and how it is known: by rule, or from the land cover where that says it is green."""
    use = scene.land_use.kind.astype(object)
    method = np.full(len(use), "rule", object)
    if len(site.ground.green) and len(use):
        share = green_in(site, scene.land_use.shapes) / shapely.area(scene.land_use.shapes)
        said = (share >= GREEN_SHARE) & (scene.land_use.coverage < HARDLY_BUILT)
        use[said], method[said] = "green", "land cover"
    return use, method


def land_use_table(site: Site, scene: Scene) -> Table:
    """Land use, block by block."""
    use, method = use_of(site, scene)
    columns = {
        "use": use,
        "method": method,
        "block": np.arange(1, len(use) + 1),
        "area_m2": np.round(shapely.area(scene.land_use.shapes), 2),
        "synthetic": np.ones(len(use), np.int32),
    }
    return Table("landuse", "Polygon", site.place.results(scene.land_use.shapes), columns)


def objects_table(site: Site, scene: Scene) -> Table:
    """Trees and lamps."""
    columns = {
        "kind": scene.objects.kind.astype(object),
        "method": np.full(len(scene.objects.points), "rule", object),
        "synthetic": np.ones(len(scene.objects.points), np.int32),
    }
    return Table("objects", "Point", site.place.results(np.asarray(scene.objects.points, object)), columns)


def tables_of(site: Site, scene: Scene, *, built: bool = True, objects: bool = False) -> list[Table]:
    """All layers of a scene; without buildings where they were not ``built``."""
    roads = roads_table(site, (scene.roads, scene.road_rank, scene.width_m), scene.net)
    tables = [land_use_table(site, scene), blocks_table(site, scene), roads]
    if built:
        tables.append(buildings_table(site, scene))
    tables.append(junctions_table(site, scene.net.network))
    return [*tables, objects_table(site, scene)] if objects else tables
