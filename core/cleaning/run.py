"""The whole run: layers in metres, anomalies out with a reason each, the rest in one form, to a GeoPackage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from .. import aside, page, vector
from ..errors import TerrainError
from ..grid import crs_name
from ..jobs.preparescenedata import LAYERS, Settings
from ..jobs.scene import report_json
from ..progress import Progress
from ..scene.anomalies import CHANGED
from ..scene_files import Place, Table, UserLayer, place_of_layers, read_every, section, write_report, write_tables
from .standard import KINDS, Cleaned, cleaned

DROPPED = "dropped"
RESULT_NAMES = {"roads": "roads", "buildings": "buildings", "landcover": "land cover"}


def prepare(settings: Settings, progress: Progress) -> dict:
    """Write the cleaned layers and what was dropped; plain values for the caller's report."""
    started_s = time.monotonic()
    vector.require_place(settings.output)
    if settings.report:
        aside.require_place(settings.report)
    progress.report(0, "Reading the layers")
    place = _place(settings)
    given = _read(settings, place, progress.step(0.0, 0.4))
    found: dict[str, Cleaned] = {}
    for number, (name, layer) in enumerate(given.items()):
        progress.report(0.4 + 0.4 * number / len(given), f"Looking for anomalies among the {RESULT_NAMES[name]}")
        found[name] = cleaned(name, layer, settings)
    progress.report(0.8, "Writing the layers")
    tables = [one.table for one in found.values()] + [dropped_table(found, place)]
    result = _result(settings, found, place)
    with aside.together() as files:
        write_tables(settings.output, tables, place.work_crs, {}, files)
        _write_page(settings, result, found, files)
    if not result["kept"]:
        progress.warn("Every feature was dropped; see the layer of dropped features for the reasons.")
    return {**result, "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings}


def _given(settings: Settings) -> dict[str, tuple[str, str]]:
    pairs = {name: (getattr(settings, name), getattr(settings, f"{name}_layer")) for name in LAYERS}
    return {name: pair for name, pair in pairs.items() if pair[0]}


def _place(settings: Settings) -> Place:
    """Metres where the first layer with features lies."""
    given = _given(settings)
    place = place_of_layers([(*pair, f"layer of {RESULT_NAMES[name]}") for name, pair in given.items()])
    if place is None:
        raise TerrainError("None of the layers has a feature; choose others.")
    return place


def _read(settings: Settings, place: Place, progress: Progress) -> dict[str, UserLayer]:
    found = {}
    for number, (name, (path, layer)) in enumerate(_given(settings).items()):
        progress.report(number / 3, f"Reading the {RESULT_NAMES[name]}")
        found[name] = read_every(path, layer, place.work_crs)
    return found


def dropped_table(found: Mapping[str, Cleaned], place: Place) -> Table:
    """Everything that was dropped or changed, as points: of which layer, which feature, why, and how large it was."""
    shapes = np.concatenate([one.lost for one in found.values()])
    points = np.asarray(shapely.point_on_surface(shapes), object) if len(shapes) else shapes
    points[shapely.is_empty(points)] = None
    columns: dict[str, np.ndarray[Any, Any]] = {
        "layer": np.concatenate([np.full(len(one.lost), name, object) for name, one in found.items()]),
        "feature": np.concatenate([one.feature for one in found.values()]),
        "reason": np.concatenate([one.reason for one in found.values()]),
        "size": np.concatenate([one.size for one in found.values()]),
    }
    return Table(DROPPED, "Point", points, columns)


def _result(settings: Settings, found: Mapping[str, Cleaned], place: Place) -> dict:
    reasons = {name: dict(sorted(Counter(one.reason.tolist()).items())) for name, one in found.items()}
    lost = sum(number for one in reasons.values() for reason, number in one.items() if reason not in CHANGED)
    return {
        "output": settings.output, "report": settings.report, "layers": [*found, DROPPED],
        "crs": crs_name(place.work_crs), "kept": sum(len(one.table.shapes) for one in found.values()), "dropped": lost,
        "read": {name: one.read for name, one in found.items()},
        "written": {name: len(one.table.shapes) for name, one in found.items()}, "reasons": reasons,
    }  # fmt: skip


def _write_page(
    settings: Settings, result: Mapping[str, Any], found: Mapping[str, Cleaned], files: aside.Together
) -> None:
    counts = [
        (RESULT_NAMES[name].capitalize(), str(result["read"][name]), str(result["written"][name]), KINDS[name])
        for name in found
    ]
    why = [
        (reason.capitalize(), RESULT_NAMES[name], str(number))
        for name, reasons in result["reasons"].items()
        for reason, number in reasons.items()
    ]
    limits = [
        ("Limit of anomalies", f"{settings.z_limit:g} robust standard deviations of the logarithm of size and height"),
        ("Smallest building", f"{settings.min_building:g} m2"),
        ("Results are in", result["crs"]),
    ]
    sections = [
        page.table_of(("", ""), limits),
        section("Layers", ("", "Features read", "Single parts kept", ""), counts),
        section("Dropped or changed", ("Reason", "Layer", "Parts"), why),
    ]
    write_report((settings.report, report_json(settings.report)), "Scene data, prepared", sections, result, files)
