"""The whole run of *Generate scene*: read, grow, prove, write; nothing is written that does not keep its promises."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .. import aside
from ..grid import crs_name
from ..jobs.generatescene import Settings
from ..progress import Progress
from ..scene import generating
from ..scene.fields import FINE_M, MIDDLE_M
from ..scene.generating import Model
from ..scene.wishes import Wishes
from ..scene_check.validate import Violation
from ..scene_files import nothing, read_area, tags_of, write_tables
from .chain import Grown, Order, check_size, grow
from .coarse import coarse_tables, write_coarse_rasters
from .examples import by_example
from .figures import (
    asked_and_delivered,
    block_figures,
    built_figures,
    left_apart,
    missed,
    nothing_made,
    street_figures,
)
from .pages import write_page
from .proofs import proved
from .rasters import names_of, require_folder, write_rasters
from .site import Site, read_ground, read_heights, read_own, site_of
from .tables import tables_of, use_of
from .uses import field_figures

NONE = (nothing(), nothing())
"""No features in the area and none around it."""

LEAST_COVERAGE = 0.1
"""Per cent of the land; with less there is nothing built."""


def generate(settings: Settings, progress: Progress) -> dict:
    """Write a scene; plain values for the caller's report."""
    started_s = time.monotonic()
    _check_places(settings)
    progress.report(0, "Reading the area and what lies in it")
    site = read_site(settings, progress.step(0.0, 0.05))
    order, begun = order_of(settings), 0.05
    model = generating.load(settings.style, settings.device)
    if settings.existing == "style":
        begun = 0.3
        model, order = by_example(settings, (model, order), site, progress.step(0.05, begun))
    grown = grow(model, site, order, settings.output, progress.step(begun, 0.85))
    result = told(settings, model, site)
    if grown.scene is None:
        return _coarse(settings, (site, grown), order, result, (started_s, progress))
    excused = proved(site, grown.scene, order.limit, progress.step(0.85, 0.92))
    result |= measured(site, grown, settings, order) | {"violations": 0, "excused": len(excused)}
    _warn(settings, result, excused, progress)
    progress.report(0.92, "Writing layers and rasters")
    _write(settings, (site, grown), result, excused, (started_s, progress.step(0.92, 1.0)))
    return result


def _warn(settings: Settings, result: Mapping[str, Any], excused: Sequence[Violation], progress: Progress) -> None:
    """Say which wishes are not met, what is apart, and where nothing was made that nobody asked to leave out."""
    counts = {"streets": result["roads"]}
    if settings.finest <= FINE_M and settings.coverage != 0 and settings.far != 0:
        counts["buildings"] = result["buildings"]
    sentences = (left_apart(excused), nothing_made(counts, settings.style, settings.seed))
    for sentence in filter(None, (*missed(result["wishes"]), *sentences)):
        progress.warn(sentence)


def _write(
    settings: Settings,
    made: tuple[Site, Grown],
    result: dict[str, Any],
    excused: Sequence[Violation],
    run: tuple[float, Progress],
) -> None:
    """Layers, rasters and report; what of them there was before stays unless all of them are complete."""
    (site, grown), (started_s, progress) = made, run
    scene = grown.whole
    tags = _tags(result)
    tables = tables_of(site, scene, built=settings.finest <= FINE_M, objects=settings.finest == 1)
    result |= {"layers": [table.name for table in tables], "rasters": [], "phases": grown.seconds}
    with aside.together() as files:
        if settings.rasters:
            fields = grown.fields["R"] if settings.finest == MIDDLE_M else None
            wanted = (settings.rasters, settings.finest, tags)
            result["rasters"] = write_rasters(site, scene, wanted, fields, files, progress)
        write_tables(settings.output, tables, site.place.crs, tags, files)
        result |= {"warnings": progress.warnings, "seconds": round(time.monotonic() - started_s, 3)}
        write_page(settings.report, (site, scene), result, excused, files)


def _tags(result: Mapping[str, Any]) -> dict[str, str]:
    return tags_of(result["model"], result["style"], result["seed"], result["attribution"])


def _check_places(settings: Settings) -> None:
    for path in filter(None, (settings.output, settings.report)):
        aside.require_place(path)
    if settings.rasters:
        inputs = (settings.dem, settings.area, settings.roads, settings.buildings, settings.landcover)
        require_folder(settings.rasters, names_of(settings.finest), [path for path in inputs if path])


def read_site(settings: Settings, progress: Progress) -> Site:
    """What lies on the ground and stays."""
    area, place = read_area(settings.area, settings.area_layer)
    check_size(area, settings.finest)
    roads = buildings = NONE
    if settings.existing != "style":
        roads = read_own((settings.roads, settings.roads_layer), "line", place, area)
    progress.report(0.3, "Reading the buildings")
    if settings.existing == "keep":
        buildings = read_own((settings.buildings, settings.buildings_layer), "polygon", place, area)
    ground = read_ground((settings.landcover, settings.landcover_layer), place, area, progress, is_water=False)
    relief = read_heights(settings, place, area, progress.step(0.6, 1.0))
    return site_of(place, area, (roads, buildings), ground, relief)


def order_of(settings: Settings) -> Order:
    """What is to be made."""
    wishes = Wishes(settings.coverage_share, settings.far, settings.mean_height, None, settings.seed, settings.steps)
    return Order(wishes, settings.green_share, settings.finest, settings.grade_limit)


def told(settings: Settings, model: Model, site: Site) -> dict[str, Any]:
    """What is known before anything is made."""
    return {
        "output": settings.output, "report": settings.report,
        "model": model.named, "attribution": model.card.attribution, "style": model.called, "steps": settings.steps,
        "seed": settings.seed, "device": str(model.compute), "finest": settings.finest,
        "crs": crs_name(site.place.crs), "work_crs": crs_name(site.place.work_crs),
    }  # fmt: skip


def measured(site: Site, grown: Grown, settings: Settings, order: Order) -> dict[str, Any]:
    """All figures of a scene, shares in per cent where the settings have them so."""
    scene = grown.whole
    use, _ = use_of(site, scene)
    found: dict[str, Any] = built_figures(site, scene) | street_figures(site, scene.net.network)
    found |= block_figures(site, scene, use == "green")
    found["connectivity_before"] = round(float(scene.net.raw_share), 5)
    found["coverage"], found["green"] = round(found["coverage"] * 100, 3), round(found["green"] * 100, 3)
    if settings.finest == MIDDLE_M:
        found |= field_figures(site, grown.fields["R"])
    return {**found, "wishes": asked_and_delivered(_asked(settings, order), found)}


def _asked(settings: Settings, order: Order) -> dict[str, float | None]:
    """All wishes, shares in per cent."""
    wishes = order.wishes
    coverage = None if wishes.coverage is None else wishes.coverage * 100
    return {"coverage": coverage, "far": wishes.far, "mean_height": wishes.mean_height_m, "green": settings.green}


def _coarse(
    settings: Settings, made: tuple[Site, Grown], order: Order, result: dict[str, Any], run: tuple[float, Progress]
) -> dict[str, Any]:
    """Scenes that end at cells of 50 or 100 m."""
    (site, grown), (started_s, progress) = made, run
    fields = grown.fields["G"]
    tags = _tags(result)
    tables, figures = coarse_tables(site, fields, settings.finest, order.green_share)
    wished = asked_and_delivered(_asked(settings, order), figures)
    result |= {**figures, "wishes": wished, "rasters": [], "phases": grown.seconds}
    for sentence in missed(wished):
        progress.warn(sentence)
    if figures["coverage"] < LEAST_COVERAGE and not (settings.coverage == 0 or settings.far == 0):
        progress.warn(nothing_made({"buildings": 0}, settings.style, settings.seed))
    result |= {"layers": [table.name for table in tables], "warnings": progress.warnings}
    with aside.together() as files:
        if settings.rasters:
            wanted = (settings.rasters, settings.finest, tags)
            result["rasters"] = write_coarse_rasters(site, fields, wanted, files)
        write_tables(settings.output, tables, site.place.crs, tags, files)
        result["seconds"] = round(time.monotonic() - started_s, 3)
        write_page(settings.report, (site, fields), result, [], files)
    return result
