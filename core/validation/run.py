"""The whole run: layers in metres, every broken rule as a place, a table and a verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from .. import aside, raster, vector
from ..errors import TerrainError
from ..grid import Bounds, crs_name
from ..jobs.validatescene import JUDGED, Settings
from ..progress import Progress
from ..scene_check.validate import RULES, Heights, Layers, Violation, counts
from ..scene_check.validate import judged as judged_rules
from ..scene_check.validate import validate as proved
from ..scene_files import Place, Relief, Table, place_of_layers, read_area, read_relief, write_tables
from .judged import read_judged
from .pages import write_page

LAYER = "violations"
OF_RASTERS = "scales disagree"
"""The rule that no vector layer can break."""


def validate(settings: Settings, progress: Progress) -> dict:
    """Judge the layers and write what was asked for; plain values for the caller's report."""
    started_s = time.monotonic()
    if settings.output:
        vector.require_place(settings.output)
    if settings.report:
        aside.require_place(settings.report)
    progress.report(0, "Reading the layers")
    place, area = _place(settings)
    layers = read_judged(settings, place, area, progress.step(0.0, 0.3))
    relief = _relief(settings, layers, place, progress.step(0.3, 0.4))
    heights = None
    if relief is not None:
        heights = Heights(relief.height_m, relief.west_m, relief.north_m, relief.cell_m, settings.grade_limit)
    broken = proved(layers, heights, progress.step(0.4, 0.9))
    progress.report(0.9, "Writing the violations")
    asked, found = judged_rules(layers, heights), counts(broken)
    violations = sum(found.values())
    result = {
        "output": settings.output, "report": settings.report, "passed": not violations, "violations": violations,
        **{rule.replace(" ", "_"): found[rule] if rule in asked else None for rule in RULES if rule != OF_RASTERS},
        "excused": len(broken) - violations,
        **{name: int((~shapely.is_missing(getattr(layers, name))).sum()) for name in JUDGED},
        "crs": crs_name(place.work_crs), "grades_proved": relief is not None,
        "heights_known": None if relief is None else round(relief.known_share, 6),
    }  # fmt: skip
    with aside.together() as files:
        if settings.output:
            write_tables(settings.output, [table_of(broken, place)], place.crs, {}, files)
        write_page(settings, result, broken, files)
    if violations:
        progress.warn(f"{violations} times a rule is broken; see the layer of violations or the report.")
    return {**result, "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings}


def table_of(broken: Sequence[Violation], place: Place) -> Table:
    """Violations as points in the CRS of the results."""
    shapes = np.array([one.shape for one in broken], object)
    points = np.asarray(shapely.force_2d(shapely.point_on_surface(shapes)), object) if len(shapes) else shapes
    columns = {
        "rule": np.array([one.rule for one in broken], object),
        "amount": np.array([one.amount for one in broken], np.float64),
        "text": np.array([one.text for one in broken], object),
        "excuse": np.array([one.excuse for one in broken], object),
    }
    return Table(LAYER, "Point", place.results(points), columns)


def _place(settings: Settings) -> tuple[Place, Any]:
    """The CRS of the first layer that has features, metres there or in the area, and the area in them or None."""
    place = place_of_layers([
        (getattr(settings, name), getattr(settings, f"{name}_layer"), f"layer of {name}") for name in JUDGED
    ])  # fmt: skip
    if place is None:
        raise TerrainError("None of the layers to judge has a feature; choose others.")
    if not settings.area:
        return place, None
    area, there = read_area(settings.area, settings.area_layer)
    return Place(place.crs, there.work_crs), area


def _relief(settings: Settings, layers: Layers, place: Place, progress: Progress) -> Relief | None:
    """The DEM under the roads, on the lattice that those are laid out on."""
    if not settings.dem or not len(layers.roads):
        return None
    bounds: Bounds = tuple(shapely.total_bounds(layers.roads).tolist())
    reading = raster.Reading(settings.band, settings.dem_crs, settings.dem_no_data)
    return read_relief(settings.dem, reading, bounds, place.work_crs, progress)
