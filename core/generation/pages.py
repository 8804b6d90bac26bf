"""The report of a scene: map, wishes against what came of them, the form of the town, promises, model and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import shapely

from .. import page, plots
from ..aside import Together
from ..jobs.scene import report_json
from ..scene.cascade import Fields
from ..scene.vectors import Scene
from ..scene_check.validate import RULES, Violation
from ..scene_files import section, write_report
from ..validation.pages import PROMISES
from .coarse import coarse_picture
from .picture import COLOURS, picture_of
from .site import Site

NAMES = {
    "coverage": "Coverage, %", "far": "Floor-area ratio", "mean_height": "Mean height, m",
    "green": "Green, % of the blocks", "street_km": "Streets, km", "density": "Streets, km per km2",
    "buildings": "New buildings", "existing_buildings": "Own buildings", "median_footprint_m2": "Median footprint, m2",
    "buildings_per_km2": "Buildings per km2", "roads": "Pieces of streets", "junctions": "Junctions",
    "dead_end_share": "Dead ends, share of the nodes", "three_way_share": "Three-way junctions, share of the nodes",
    "four_way_share": "Four-way junctions, share of the nodes", "components": "Components of the street net",
    "connectivity_before": "Longest component of the traced streets before repair, share of their length",
    "blocks": "Blocks", "median_block_m2": "Median block, m2", "land_km2": "Land, km2",
}  # fmt: skip
"""What figures are called on the page."""

MOST_EXCUSED = 20


def write_page(
    path: str,
    drawn: tuple[Site, Scene | Fields],
    result: Mapping[str, Any],
    excused: Sequence[Violation],
    files: Together,
) -> None:
    """Write the page and its figures, where they are wanted; ``drawn`` are a site and its scene, or coarsest fields."""
    if not path:
        return
    sections = [
        page.warnings(result["warnings"]),
        _map(*drawn, result),
        section("Asked for and delivered", ("", "Asked", "Delivered", "Off"), wishes(result["wishes"])),
        section("Form of the town", ("", ""), figures(result)),
        section("Promises, proved before writing", ("Promise", "Broken"), promises(result)),
        section("Listed, but forbidden to be otherwise", ("Rule", "Where", "", "Because of"), listed(excused)),
        section("How it was made", ("", ""), made(result)),
        section("Seconds", ("", ""), [(name.capitalize(), f"{took:.1f}") for name, took in result["phases"].items()]),
        "<p>Everything but the features that were given is made up by a model; it shows no real place.</p>",
    ]
    write_report((path, report_json(path)), "A made-up scene", sections, result, files)


def _map(site: Site, drawn: Scene | Fields, result: Mapping[str, Any]) -> str:
    if isinstance(drawn, Fields):
        picture, said = coarse_picture(site, drawn, result["finest"]), "The darker, the more is built."
    else:
        colours = ", ".join(name for name in COLOURS if name != "land")
        picture, said = picture_of(site, drawn), f"From below: {colours}."
    return page.pictures([(plots.png_image(picture, "Map of the scene"), said)])


def wishes(found: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, ...]]:
    """Rows of what was asked for and what came of it."""
    return [
        (NAMES[name], *(page.number(one[key]) for key in ("asked", "delivered", "off"))) for name, one in found.items()
    ]


def figures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of figures that are no wishes."""
    return [
        (NAMES[name], page.number(result[name])) for name in NAMES if name in result and name not in result["wishes"]
    ]


def promises(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of promises; those that are not kept never come to a page."""
    return [(PROMISES.get(rule, rule), "0") for rule in RULES] if "violations" in result else []


def listed(excused: Sequence[Violation]) -> list[tuple[str, str, str, str]]:
    """The first things that water, slope or the user's own gaps forbid."""
    rows = []
    for one in excused[:MOST_EXCUSED]:
        point = shapely.point_on_surface(one.shape)
        rows.append((one.rule, f"{point.x:.1f}, {point.y:.1f}", one.text, one.excuse))
    return rows


def made(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows on model, seed and sources."""
    names = {"model": "Model", "style": "Style", "steps": "Steps", "seed": "Seed", "device": "Device",
             "finest": "Finest cells, m", "crs": "Results in", "work_crs": "Measured in"}  # fmt: skip
    rows = [(said, str(result[name])) for name, said in names.items() if name in result]
    return [*rows, ("The model has learned from", str(result["attribution"]))]
