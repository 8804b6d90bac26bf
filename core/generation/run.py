"""The whole run of *Generate scene*: read, grow, prove, write; nothing is written that does not keep its promises."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .. import aside
from ..grid import crs_name
from ..jobs.generatescene import Settings
from ..progress import Progress
from ..scene import generating
from ..scene.generating import Model
from ..scene.wishes import Wishes
from ..scene_files import UserLayer, nothing, read_area, tags_of, write_tables
from .chain import MIDDLE_M, Grown, Order, check_size, grow
from .coarse import coarse_tables, write_coarse_rasters
from .examples import as_wishes
from .figures import asked_and_delivered, block_figures, built_figures, missed, street_figures
from .pages import write_page
from .proofs import proved
from .rasters import write_rasters
from .site import Site, read_ground, read_heights, read_own, site_of
from .tables import tables_of, use_of
from .uses import field_figures

NONE = (nothing(), nothing())
"""No features in the area and none around it."""


def generate(settings: Settings, progress: Progress) -> dict:
    """Write a scene; plain values for the caller's report."""
    started_s = time.monotonic()
    _check_places(settings)
    progress.report(0, "Reading the area and what lies in it")
    site, example = read_site(settings, progress.step(0.0, 0.05))
    order = order_of(settings, example, site)
    model = generating.load(settings.style, settings.device)
    grown = grow(model, site, order, settings.output, progress.step(0.05, 0.85))
    result = told(settings, model, site)
    if grown.scene is None:
        return _coarse(settings, site, grown, result, (started_s, progress))
    excused = proved(site, grown.scene, order.limit, progress.step(0.85, 0.92))
    result |= measured(site, grown, settings, order) | {"violations": 0, "excused": len(excused)}
    for sentence in missed(result["wishes"]):
        progress.warn(sentence)
    if not result["roads"]:
        progress.warn("No street was made: the model sees none here, or the ground leaves no room for one.")
    tags = tags_of(result["model"], settings.style, settings.seed)
    progress.report(0.92, "Writing layers and rasters")
    built, objects = settings.finest <= 2, settings.finest == 1
    tables = tables_of(site, grown.scene, built=built, objects=objects)
    result["rasters"] = []
    if settings.rasters:
        fields = grown.fields["R"] if settings.finest == MIDDLE_M else None
        result["rasters"] = write_rasters(
            site, grown.scene, (settings.rasters, settings.finest, tags), fields, progress.step(0.92, 0.99)
        )
    write_tables(settings.output, tables, site.place.crs, tags)
    result |= {"layers": [table.name for table in tables], "phases": grown.seconds, "warnings": progress.warnings}
    result["seconds"] = round(time.monotonic() - started_s, 3)
    write_page(settings.report, site, grown.scene, result, excused)
    return result


def _check_places(settings: Settings) -> None:
    for path in (settings.output, settings.report):
        if path:
            aside.require_place(path)


def read_site(settings: Settings, progress: Progress) -> tuple[Site, tuple[UserLayer, UserLayer]]:
    """What lies on the ground, and the layers that are an example of style only."""
    area, place = read_area(settings.area, settings.area_layer)
    check_size(area, settings.finest)
    roads = read_own((settings.roads, settings.roads_layer), "line", place, area)
    progress.report(0.3, "Reading the buildings")
    buildings = read_own((settings.buildings, settings.buildings_layer), "polygon", place, area)
    ground = read_ground((settings.landcover, settings.landcover_layer), place, area, progress, is_water=False)
    relief = read_heights(settings, place, area, progress.step(0.6, 1.0))
    own = {
        "keep": (roads, buildings),
        "roads": (roads, NONE),
        "style": (NONE, NONE),
    }[settings.existing]
    return site_of(place, area, own, ground, relief), (roads[0], buildings[0])


def order_of(settings: Settings, example: tuple[UserLayer, UserLayer], site: Site) -> Order:
    """What is to be made; where existing features only show the style, wishes that are not given come from them."""
    wishes = Wishes(settings.coverage_share, settings.far, settings.mean_height, None, settings.seed, settings.steps)
    if settings.existing == "style":
        wishes = as_wishes(wishes, example, site)
    return Order(wishes, settings.green_share, settings.finest, settings.grade_limit)


def told(settings: Settings, model: Model, site: Site) -> dict[str, Any]:
    """What is known before anything is made."""
    return {
        "output": settings.output, "report": settings.report,
        "model": f"{model.name} {model.version} {model.hash}", "style": settings.style, "steps": settings.steps,
        "seed": settings.seed, "device": str(model.compute), "finest": settings.finest,
        "crs": crs_name(site.place.crs), "work_crs": crs_name(site.place.work_crs),
    }  # fmt: skip


def measured(site: Site, grown: Grown, settings: Settings, order: Order) -> dict[str, Any]:
    """All figures of a scene, shares in per cent where the settings have them so."""
    scene = grown.scene
    if scene is None:
        raise ValueError("Only a whole scene has such figures.")
    use, _ = use_of(site, scene)
    found: dict[str, Any] = built_figures(site, scene) | street_figures(site, scene.net.network)
    found |= block_figures(site, scene, use == "green")
    found["connectivity_before"] = round(float(scene.net.raw_share), 5)
    found["coverage"], found["green"] = round(found["coverage"] * 100, 3), round(found["green"] * 100, 3)
    if settings.finest == MIDDLE_M:
        found |= field_figures(site, grown.fields["R"])
    coverage = None if order.wishes.coverage is None else order.wishes.coverage * 100
    asked = {"coverage": coverage, "far": order.wishes.far, "mean_height": order.wishes.mean_height_m,
             "green": settings.green}  # fmt: skip
    return {**found, "wishes": asked_and_delivered(asked, found)}


def _coarse(
    settings: Settings, site: Site, grown: Grown, result: dict[str, Any], run: tuple[float, Progress]
) -> dict[str, Any]:
    """Scenes that end at cells of 50 or 100 m."""
    started_s, progress = run
    tags = tags_of(result["model"], settings.style, settings.seed)
    tables, figures = coarse_tables(site, grown.fields["G"], settings.finest)
    rasters = write_coarse_rasters(site, grown.fields["G"], settings.rasters, settings.finest, tags)
    write_tables(settings.output, tables, site.place.crs, tags)
    result |= {
        **figures,
        "rasters": rasters,
        "layers": [table.name for table in tables],
        "wishes": _wishes(settings, figures),
    }
    result |= {"phases": grown.seconds, "warnings": progress.warnings}
    result["seconds"] = round(time.monotonic() - started_s, 3)
    write_page(settings.report, site, grown.fields["G"], result, [])
    return result


def _wishes(settings: Settings, figures: Mapping[str, Any]) -> dict[str, Any]:
    return asked_and_delivered({"coverage": settings.coverage, "far": settings.far}, dict(figures))
