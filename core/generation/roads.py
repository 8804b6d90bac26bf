"""The whole run of *Generate roads*: one connected street net on its ground, joined to the user's own roads."""

from __future__ import annotations

import time

import numpy as np

from .. import aside, vector
from ..errors import TerrainError
from ..grid import crs_name
from ..jobs.generateroads import Settings
from ..progress import Progress
from ..scene import generating
from ..scene.fields import MIDDLE_M
from ..scene.wishes import Wishes
from ..scene_check.validate import Layers, Violation, validate
from ..scene_files import nothing, read_area, tags_of, write_tables
from ..streets import network as net
from ..streets.build import StreetResult
from .chain import Order, check_size, lay
from .figures import asked_and_delivered, components, left_apart, missed, street_figures
from .proofs import refuse
from .site import Site, read_ground, read_heights, read_own, site_of
from .tables import Roads, junctions_table, roads_table


def lay_roads(settings: Settings, progress: Progress) -> dict:
    """Write the roads; plain values for the caller's report."""
    started_s = time.monotonic()
    for path in filter(None, (settings.output, settings.junctions)):
        vector.require_place(path)
    progress.report(0, "Reading the area and what lies in it")
    site = read_site(settings, progress.step(0.0, 0.08))
    wishes = Wishes(None, None, None, settings.street_density, settings.seed, settings.steps)
    order = Order(wishes, None, MIDDLE_M, settings.grade_limit)
    model = generating.load(settings.style, settings.device)
    grown = lay(model, site, order, progress.step(0.08, 0.9))
    if grown.laid is None or not len(grown.laid.network):
        raise TerrainError("No street finds room in the area; draw a larger one, or choose another style or seed.")
    roads = _all_roads(site, grown.laid)
    excused = _proved(site, roads, order.limit, progress.step(0.9, 0.96))
    found = street_figures(site, grown.laid.network)
    wished = asked_and_delivered({"density": settings.street_density}, found)
    for sentence in filter(None, (*missed(wished), left_apart(excused))):
        progress.warn(sentence)
    progress.report(0.96, "Writing the roads")
    tags = tags_of(model.named, settings.style, settings.seed, model.card.attribution)
    _write(settings, site, (roads, grown.laid), tags)
    return {
        "output": settings.output, "junctions_layer": settings.junctions, **found, "wishes": wished,
        "components_before": components(site, site.surroundings.roads), "excused": len(excused), "violations": 0,
        "model": tags["model"], "style": settings.style, "seed": settings.seed, "device": str(model.compute),
        "crs": crs_name(site.place.crs), "work_crs": crs_name(site.place.work_crs), "phases": grown.seconds,
        "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings,
    }  # fmt: skip


def read_site(settings: Settings, progress: Progress) -> Site:
    """The area, own roads, water and heights."""
    area, place = read_area(settings.area, settings.area_layer)
    check_size(area, MIDDLE_M)
    roads = read_own((settings.roads, settings.roads_layer), "line", place, area)
    ground = read_ground((settings.water, settings.water_layer), place, area, progress, is_water=True)
    relief = read_heights(settings, place, area, progress.step(0.3, 1.0))
    return site_of(place, area, (roads, (nothing(), nothing())), ground, relief)


def _all_roads(site: Site, laid: StreetResult) -> Roads:
    """The user's roads as they are, then the generated pieces of the net."""
    new = laid.network.take(laid.network.origin != net.EXISTING)
    lines, rank = np.concatenate([site.roads.work, new.lines]), np.concatenate([site.rank, new.rank])
    return lines, rank, np.concatenate([site.width_m, new.width_m])


def _proved(site: Site, roads: Roads, limit: float, progress: Progress) -> list[Violation]:
    """Where rules are broken for a reason outside of us; raises where there is none."""
    lines, _, width_m = roads
    kept = np.arange(len(lines)) < len(site.roads)
    layers = Layers(lines, width_m, kept, water=site.ground.water, before=site.roads.work, area=site.surroundings.area)
    found = validate(layers, site.heights(limit), progress)
    refuse(found)
    return found


def _write(settings: Settings, site: Site, made: tuple[Roads, StreetResult], tags: dict[str, str]) -> None:
    """The roads, and the junctions where they are wanted."""
    roads, laid = made
    tables = {settings.output: roads_table(site, roads, laid)}
    if settings.junctions:
        tables[settings.junctions] = junctions_table(site, laid.network)
    with aside.together() as files:
        for path, table in tables.items():
            write_tables(path, [table], site.place.crs, tags, files)
