"""The run of *Compare scenes*: two scenes read into metres, their windows measured, distances and a page."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import numpy as np
import shapely

from .. import aside, page, scene_files
from ..errors import TerrainError
from ..grid import crs_name
from ..jobs.comparescenes import Settings
from ..jobs.scene import report_json
from ..progress import Progress
from ..scene_files import Place
from .distances import FEWEST, frechet, w1_over_sd
from .features import FEATURES, MEANINGS, Windows, features

FEW = 20
"""With fewer windows distances say little."""
MOST_WINDOWS = 200_000
"""So many take some 200 MB."""
KINDS = {"roads": "line", "buildings": "polygon"}
"""Layers of a scene, and what they hold."""


def compare(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measure both scenes and write what was asked for; plain values for the caller's report."""
    started_s = time.monotonic()
    for path in (settings.output, settings.report):
        if path:
            aside.require_place(path)
    measured = {}
    for number, scene in enumerate("ab"):
        step = progress.step(0.48 * number, 0.48 * (number + 1))
        measured[scene] = _measured(settings, scene, step)
    found = figures_of(measured["a"][0], measured["b"][0])
    result = {
        "w1_sd": found["w1_sd"], "fd15": found["fd15"], "windows_a": len(measured["a"][0]),
        "windows_b": len(measured["b"][0]), "crs_a": measured["a"][1], "crs_b": measured["b"][1],
        "window_m": settings.window, "features": found["features"],
    }  # fmt: skip
    _warn(result, progress)
    progress.report(0.97, "Writing the figures")
    report = (settings.report, report_json(settings.report))
    with aside.together() as files:
        if settings.output:
            files.part(settings.output).write_text(_table(settings.output, result), encoding="utf-8", newline="")
        scene_files.write_report(report, "Two scenes compared", _sections(settings, result), result, files)
    seconds = round(time.monotonic() - started_s, 3)
    return {**result, "output": settings.output, "report": settings.report, "seconds": seconds,
            "warnings": progress.warnings}  # fmt: skip


def figures_of(one: Windows, two: Windows) -> dict[str, Any]:
    """Distances, in all and for each feature, with medians; None for what cannot be known. ``one`` is the measure."""
    each = w1_over_sd(one.figures, two.figures)
    known = each[np.isfinite(each)]
    rows = [
        {
            "feature": name,
            "meaning": MEANINGS[name],
            "median_a": _plain(_median(one.figures[:, k])),
            "median_b": _plain(_median(two.figures[:, k])),
            "w1_sd": _plain(float(each[k])),
        }
        for k, name in enumerate(FEATURES)
    ]
    mean = float(known.mean()) if len(known) else float("nan")
    return {"w1_sd": _plain(mean), "fd15": _plain(frechet(one.figures, two.figures)), "features": rows}


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _plain(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _measured(settings: Settings, scene: str, progress: Progress) -> tuple[Windows, str]:
    """Windows of one scene, and the name of the CRS they were measured in."""
    files = {what: (getattr(settings, f"{what}_{scene}"), getattr(settings, f"{what}_{scene}_layer"))
             for what in ("roads", "buildings", "area")}  # fmt: skip
    progress.report(0.0, f"Reading scene {scene.upper()}")
    area, place = None, None
    if files["area"][0]:
        area, place = scene_files.read_area(*files["area"])
    place = place or _place(files, scene)
    layers: dict[str, Any] = {}
    for what, kind in KINDS.items():
        path, layer = files[what]
        layers[what] = scene_files.read_layer(path, layer, kind, place.work_crs, area).work if path else None
        progress.check()
    if area is None:
        every = np.concatenate([shapes for shapes in layers.values() if shapes is not None])
        area = shapely.box(*shapely.total_bounds(every))
    _require_windows(area, settings.window, scene)
    windows = features(layers["roads"], layers["buildings"], area, settings.window, progress.step(0.3, 1.0))
    return windows, crs_name(place.work_crs)


def _place(files: dict[str, tuple[str, str]], scene: str) -> Place:
    """Metres where the features of a scene lie."""
    named = [(*files[what], f"layer of {what} of scene {scene.upper()}") for what in ("buildings", "roads")]
    place = scene_files.place_of_layers(named)
    if place is None:
        raise TerrainError(f"Scene {scene.upper()} has no feature; choose other layers.")
    return place


def _require_windows(area: Any, window_m: float, scene: str) -> None:
    """Refuse an area that would take hours and gigabytes."""
    west, south, east, north = area.bounds
    count = ((east - west) / window_m + 1) * ((north - south) / window_m + 1)
    if count > MOST_WINDOWS:
        raise TerrainError(
            f"Scene {scene.upper()} reaches over {(east - west) / 1000:,.0f} x {(north - south) / 1000:,.0f} km, some "
            f"{count:,.0f} windows of {window_m:g} m; at most {MOST_WINDOWS:,} can be compared. Choose a larger window "
            "or a smaller area."
        )


def _warn(result: dict[str, Any], progress: Progress) -> None:
    fewest = min(result["windows_a"], result["windows_b"])
    if fewest < FEWEST:
        progress.warn(
            f"One of the scenes has {fewest} windows; distances need at least {FEWEST}, so only medians are given. "
            "Choose larger areas or a smaller window."
        )
    elif fewest < FEW:
        progress.warn(f"One of the scenes has only {fewest} windows; distances of so few say little.")


def _table(path: str, result: dict[str, Any]) -> str:
    """Figures as JSON, or the features as lines where CSV."""
    if path.lower().endswith(".json"):
        return json.dumps(result, indent=1) + "\n"
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(result["features"][0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(result["features"])
    writer.writerow({"feature": "all", "meaning": "mean of the distances", "w1_sd": result["w1_sd"]})
    writer.writerow({"feature": "fd15", "meaning": "Frechet distance of all features", "w1_sd": result["fd15"]})
    return stream.getvalue()


def _sections(settings: Settings, result: dict[str, Any]) -> list[str]:
    rows = [
        ("Windows of scene A", f"{result['windows_a']} of {settings.window:g} m, in {result['crs_a']}"),
        ("Windows of scene B", f"{result['windows_b']} of {settings.window:g} m, in {result['crs_b']}"),
        ("W1/SD, mean of all features", page.number(result["w1_sd"])),
        ("FD15", page.number(result["fd15"])),
    ]
    each = [
        (row["meaning"], page.number(row["median_a"]), page.number(row["median_b"]), page.number(row["w1_sd"]))
        for row in result["features"]
    ]
    return [
        page.table_of((), rows),
        scene_files.section("Features", ("", "median of A", "median of B", "W1/SD"), each),
        METHOD,
    ]


METHOD = """<h2>How it was measured</h2><p>Every figure is taken per window. W1/SD is the 1-Wasserstein distance between
the two distributions of a figure over its standard deviation in scene A; FD15 is the Frechet distance of normal fits to
all figures together, standardised by scene A. Two halves of the same real towns are about 0.1 and 0.7 apart, one real
town from others 0.5 to 1.3 and 9 to 78, and a plain grid city 1.2 and 63 from real towns.</p>"""
"""What stands at the end of a page."""
