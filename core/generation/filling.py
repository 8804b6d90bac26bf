"""The whole run of *Fill buildings*: buildings for given roads or blocks, around those that stand already."""

from __future__ import annotations

import time
from typing import Any

import shapely

from .. import vector
from ..errors import TerrainError
from ..grid import crs_name
from ..jobs.fillbuildings import Settings
from ..progress import Progress
from ..scene import generating
from ..scene.fields import FINE_M
from ..scene.vectors import clean_area
from ..scene.wishes import Wishes
from ..scene_files import Place, UserLayer, place_of_layers, read_area, read_layer, tags_of, write_tables
from ..scene_files.classes import polygons_of
from .chain import Order, check_size, grow
from .figures import asked_and_delivered, built_figures, missed, nothing_made
from .proofs import proved
from .site import Site, read_ground, read_own, site_of
from .tables import buildings_table

HULL_M = 40.0
"""Without an area, buildings may stand so far outside of the hull of the roads."""


def fill(settings: Settings, progress: Progress) -> dict:
    """Write the buildings; plain values for the caller's report."""
    started_s = time.monotonic()
    vector.require_place(settings.output)
    progress.report(0, "Reading the area and what lies in it")
    site = read_site(settings, progress.step(0.0, 0.05))
    wishes = Wishes(settings.coverage_share, settings.far, settings.mean_height, None, settings.seed, settings.steps)
    model = generating.load(settings.style, settings.device)
    grown = grow(model, site, Order(wishes, trace=False), settings.output, progress.step(0.05, 0.9))
    scene = grown.whole
    excused = proved(site, scene, 1.0, progress.step(0.9, 0.97), streets_too=False)
    progress.report(0.97, "Writing the buildings")
    tags = tags_of(model.named, settings.style, settings.seed, model.card.attribution)
    write_tables(settings.output, [buildings_table(site, scene)], site.place.crs, tags)
    found: dict[str, Any] = built_figures(site, scene)
    found |= {"coverage": round(found["coverage"] * 100, 3), "kept": len(site.buildings)}
    asked = {"coverage": settings.coverage, "far": settings.far, "mean_height": settings.mean_height}
    wished = asked_and_delivered(asked, found)
    for sentence in missed(wished):
        progress.warn(sentence)
    if settings.coverage != 0 and settings.far != 0 and not found["buildings"]:
        progress.warn(nothing_made({"buildings": 0}, settings.style, settings.seed))
    return {
        "output": settings.output, **found, "wishes": wished, "violations": 0,
        "excused": len(excused), "model": tags["model"], "style": settings.style, "seed": settings.seed,
        "device": str(model.compute), "crs": crs_name(site.place.crs), "work_crs": crs_name(site.place.work_crs),
        "phases": grown.seconds, "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings,
    }  # fmt: skip


def read_site(settings: Settings, progress: Progress) -> Site:
    """The area to fill, roads, own buildings and water; heights of the ground do not matter."""
    area, place = _area(settings)
    check_size(area, FINE_M)
    roads = read_own((settings.roads, settings.roads_layer), "line", place, area)
    if settings.roads and not len(roads[0]):
        progress.warn("None of the roads lies in the area; buildings stand as on open ground.")
    buildings = read_own((settings.buildings, settings.buildings_layer), "polygon", place, area)
    ground = read_ground((settings.water, settings.water_layer), place, area, progress, is_water=True)
    return site_of(place, area, (roads, buildings), ground, None)


def _area(settings: Settings) -> tuple[Any, Place]:
    """Where buildings may stand: within the area, and within the blocks where they are given."""
    if settings.area:
        area, place = read_area(settings.area, settings.area_layer)
    else:
        area, place = None, _place(settings)
    blocks = _blocks(settings, place, area)
    if blocks is not None:
        area = blocks if area is None else shapely.intersection(area, blocks)
    if area is None:
        roads = _required(read_layer(settings.roads, settings.roads_layer, "line", place.work_crs), "roads")
        area = shapely.buffer(shapely.convex_hull(shapely.multilinestrings(shapely.get_parts(roads.work))), HULL_M)
    if area.is_empty:
        raise TerrainError("None of the blocks lies in the area; choose other blocks, or leave the area out.")
    return clean_area(area), place


def _blocks(settings: Settings, place: Place, area: Any) -> Any:
    """The blocks as one shape, or None where none were given."""
    if not settings.blocks:
        return None
    layer = read_layer(settings.blocks, settings.blocks_layer, "polygon", place.work_crs, area)
    return shapely.union_all(polygons_of(_required(layer, "blocks").valid))


def _place(settings: Settings) -> Place:
    """The CRS of the roads, else of the blocks, and metres there."""
    place = place_of_layers([
        (settings.roads, settings.roads_layer, "layer of roads"),
        (settings.blocks, settings.blocks_layer, "layer of blocks"),
    ])  # fmt: skip
    if place is None:
        raise TerrainError("Neither the roads nor the blocks have a feature; choose others.")
    return place


def _required(layer: UserLayer, what: str) -> UserLayer:
    if not len(layer):
        raise TerrainError(f"There are no {what} in the area; choose others, or another area.")
    return layer
