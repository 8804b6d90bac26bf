"""Tables and verdicts of the accuracy benchmark, made of its rows: plain dictionaries, one per area and method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import honest
import numpy as np
from methods import REFERENCES

from neural_terrain.core.strata import SLOPE_EDGES_DEG

Row = dict

RATIOS = (("ebcf", "bicubic"), ("ebcf", "baseline"), ("field", "bicubic"), ("field", "baseline"), ("field", "ebcf"))
"""Which methods are divided by which in the summary, where both were run."""

POOLED = (
    ("RMSE m", "rmse_m", 3), ("MAE m", "mae_m", 3), ("bias m", "bias_m", 3), ("LE90 m", "le90_m", 3),
    ("slope", "slope_rmse_deg", 3), ("aspect", "aspect_rmse_deg", 2), ("normal", "normal_angle_deg", 3),
    ("prof.c.", "curvature_rmse_per_100m", 3), ("rough.", "roughness_ratio", 3), ("slopeW1", "slope_distance_deg", 3),
    ("pits", "pits_per_km2", 2), ("P long", "power_longer", 3), ("P short", "power_shorter", 3),
    ("cons.max", "consistency_max_m", 4), ("cons.rms", "consistency_rmse_m", 4),
)  # fmt: skip
"""Columns of the pooled tables: head, measure, digits."""

LEGEND = """\
RMSE, MAE, bias, LE90 of elevation; slope, aspect: RMSE in degrees, aspect circular where the true slope is above
2 degrees; normal: mean angle between normals, degrees; prof.c.: RMSE of profile curvature there, radians per 100 m;
rough.: roughness over the truth's; slopeW1: distance of the slope distributions, degrees; pits per km2 (the truth's
in the head of the table); P long, P short: power over the truth's in the half octaves beside the coarse Nyquist
wavelength, longer and shorter; cons.: averages of the result over the coarse cells against the coarse DEM, metres,
largest and root mean square, edges and voids included (at scales that are not whole, fine cells cut by a coarse edge
count in parts, so not even an exact surface reaches 0)."""

THESIS_LEGEND = """\
The coarse raster is declared with its samples where they were taken (SAMPLING = point). Bicubic is shown registered
alike (corner-aligned, right for nearest decimation) and with its samples at block centres (centre-aligned).
Slope and aspect "thesis": cells of 30 m whatever they are, raw differences of aspect, zeros around the tile; then
corrected. At x2.5 and x3.7 nearest decimation jitters by up to a fine cell, which no surface can undo."""

TARGETS = (
    ("ebcf", "bicubic", "mountains", "rmse_m", {2.0: 0.77, 4.0: 0.77, 8.0: 0.83}),
    ("field", "ebcf", "all", "rmse_m", {2.0: 0.92, 4.0: 0.92, 8.0: 0.92}),
    ("field", "baseline", "mountains", "rmse_m", {2.0: 0.76, 4.0: 0.79, 8.0: 0.83}),
    ("field", "baseline", "all", "rmse_m", {2.0: 0.88, 4.0: 0.84, 8.0: 0.83}),
    ("field", "ebcf", "all", "slope_rmse_deg", {2.0: 0.92, 4.0: 0.92, 8.0: 0.92}),
    ("field", "baseline", "all", "slope_rmse_deg", {2.0: 0.88, 4.0: 0.88, 8.0: 0.88}),
)
"""What the project asks of itself: geometric mean over the areas of a group, at most this."""

LABELS = {"rmse_m": "elevation RMSE", "slope_rmse_deg": "slope RMSE"}
COVERAGE = {"seen": (0.88, 0.92, 0.85, 0.95), "unseen": (0.85, 1.0, 0.0, 1.0)}
"""Least and most coverage of the 90 % band: pooled, then per slope class."""
SMALLEST_CLASS = 500
"""Slope classes with fewer cells are shown and not judged."""
CONSISTENT_M = 0.01


def number(value: float | None, width: int = 9, digits: int = 3) -> str:
    """Right-aligned; a dash where there is none."""
    missing = value is None or not np.isfinite(value)
    return f"{'-':>{width}}" if missing else f"{value:{width}.{digits}f}"


def by_method(rows: Iterable[Row], **wanted: object) -> dict[str, Row]:
    """Rows by method, of those that have all these values."""
    return {row["method"]: row for row in rows if all(row.get(k) == v for k, v in wanted.items())}


def areas_of(rows: Iterable[Row]) -> list[str]:
    """Names in the order of their first row."""
    return list(dict.fromkeys(row["area"] for row in rows))


def print_areas(rows: Sequence[Row], scale: float, methods: Sequence[str], marked: Sequence[str]) -> None:
    """Elevation and slope RMSE of every area and pool; ``marked`` areas are outside the range of a model."""
    heads = "".join(f"{name:>9.9}" for name in methods)
    width = 9 * len(methods)
    print(f"{f'x{scale:g}':34}{'coarse':>8}  {'  elevation RMSE, m':<{width}}  {'  slope RMSE, degrees':<{width}}")
    print(f"{'area':34}{'cell m':>8}  {heads}  {heads}")
    for area in areas_of(rows):
        found = by_method(rows, area=area)
        cell = next(iter(found.values()))["coarse_cell_m"]
        text = "" if cell is None else f"{cell:.3g}{'*' if area in marked else ' '}"
        lines = ("".join(number(found[m][key]) for m in methods) for key in ("rmse_m", "slope_rmse_deg"))
        print(f"{area:34}{text:>8}  {'  '.join(lines)}", flush=True)
    print(flush=True)


def print_pooled(rows: Sequence[Row], scale: float, area: str, methods: Sequence[str]) -> None:
    """All measures of one pool, a line per method."""
    found = by_method(rows, area=area)
    if not found:
        return
    one = next(iter(found.values()))
    pits = number(one["true_pits_per_km2"], 0, 2)
    print(f"x{scale:g}, {area}: {one['cells'] / 1e6:.2f} million cells, {pits} pits per km2 in truth")
    print(f"{'':12}" + "".join(f"{head:>9}" for head, _, _ in POOLED))
    for name in methods:
        print(f"{name:12.12}" + "".join(number(found[name][key], 9, digits) for _, key, digits in POOLED), flush=True)
    print(flush=True)


def print_bands(rows: Sequence[Row], details: dict, scale: float, model: str) -> None:
    """Coverage and mean half width of the 90 % band beside LE90, pooled and per class of true slope."""
    for group in ("seen", "unseen"):
        area = honest.POOLS[group]
        row = by_method(rows, area=area).get(model)
        if row is None or row["coverage"] is None:
            continue
        classes = [c for c in details[area, model]["by_slope_deg"] if c["coverage"] is not None]
        heads = "".join(f"{span(c['low'], c['high']):>12}" for c in classes)
        print(f"x{scale:g}, {model}, 90 % band, {area[8:]}\n{'':22}{'pooled':>12}{heads}")
        lines = {
            "coverage": [row["coverage"], *(c["coverage"] for c in classes)],
            "mean half width, m": [row["band_m"], *(c["band"] for c in classes)],
            "LE90, m": [row["le90_m"], *(c["le90"] for c in classes)],
            "million cells": [row["cells"] / 1e6, *(c["cells"] / 1e6 for c in classes)],
        }
        for name, values in lines.items():
            print(f"{name:22}" + "".join(number(value, 12) for value in values), flush=True)
        print(flush=True)


def span(low: float, high: float) -> str:
    """A class of slope in words."""
    return f"above {low:g}" if high == SLOPE_EDGES_DEG[-1] else f"{low:g} to {high:g}"


def mean_ratio(rows: Sequence[Row], group: str, pair: tuple[str, str], scale: float, key: str) -> float:
    """Geometric mean over the areas of a group of one method's figure over another's; NaN without areas."""
    logs = []
    for area in areas_of(row for row in rows if group in row["groups"].split()):
        found = by_method(rows, area=area, scale=scale)
        if set(pair) <= set(found):
            logs.append(np.log(found[pair[0]][key] / found[pair[1]][key]))
    return float(np.exp(np.mean(logs))) if logs else float("nan")


def print_ratios(rows: Sequence[Row], methods: Sequence[str], scales: Sequence[float]) -> None:
    """Geometric means of ratios, mountains and all areas, elevation and slope."""
    for group in ("mountains", "all"):
        members = areas_of(row for row in rows if group in row["groups"].split())
        if not members:
            continue
        print(f"Geometric means of ratios over {len(members)} areas, {group}: {', '.join(members)}")
        print(f"{'':40}" + "".join(f"{f'x{scale:g}':>9}" for scale in scales))
        for one, other in (pair for pair in pairs(methods)):
            for key, label in LABELS.items():
                line = "".join(number(mean_ratio(rows, group, (one, other), s, key)) for s in scales)
                print(f"{f'{one} / {other}, {label}':40}{line}", flush=True)
        print(flush=True)


def pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """The ratios that can be made; models of other names are divided by bicubic and the baseline."""
    known = {name for pair in RATIOS for name in pair}
    more = [(name, other) for name in methods if name not in {*known, *REFERENCES} for other in ("bicubic", "baseline")]
    return [pair for pair in (*RATIOS, *more) if set(pair) <= set(methods)]


def print_targets(rows: Sequence[Row], methods: Sequence[str], scales: Sequence[float]) -> None:
    """Each target with what was found."""
    for one, other, group, key, limits in TARGETS:
        if not {one, other} <= set(methods):
            continue
        said = []
        for scale, limit in limits.items():
            if scale in scales:
                found = mean_ratio(rows, group, (one, other), scale, key)
                said.append(f"x{scale:g} {found:.3f} (<= {limit:g}: {'yes' if found <= limit else 'NO'})")
        print(f"target {one} / {other}, {LABELS[key]}, {group}: {', '.join(said)}", flush=True)


def print_never_worse(rows: Sequence[Row], model: str, other: str) -> None:
    """Whether a model beats ``other`` on every area at every scale; names the exceptions."""
    for key, label in LABELS.items():
        worse = []
        for row in rows:
            if row["method"] == model and row["groups"]:
                rival = by_method(rows, area=row["area"], scale=row["scale"])[other]
                if not row[key] <= rival[key]:
                    worse.append(f"{row['area']} x{row['scale']:g} {row[key]:.4g} to {rival[key]:.4g}")
        say(f"{model} never worse than {other}, {label}", worse)


def print_consistent(rows: Sequence[Row], model: str) -> None:
    """Whether cell averages of the result are those of the input, at whole scales."""
    told = [row for row in rows if row["method"] == model and row["groups"] and row["scale"] == int(row["scale"])]
    beyond = [
        f"{row['area']} x{row['scale']:g} {row['consistency_max_m']:.3f} m"
        for row in told
        if not row["consistency_max_m"] < CONSISTENT_M
    ]
    say(f"{model} keeps the input's cell averages to {CONSISTENT_M:g} m at whole scales", beyond)


def print_covered(rows: Sequence[Row], details: dict, model: str) -> None:
    """Whether the band holds what it should, per scale and class of slope."""
    for group, (least, most, least_class, most_class) in COVERAGE.items():
        area = honest.POOLS[group]
        told = [row for row in rows if row["area"] == area and row["method"] == model and row["coverage"] is not None]
        if not told:
            continue
        beyond = [f"x{r['scale']:g} pooled {r['coverage']:.3f}" for r in told if not least <= r["coverage"] <= most]
        for row in told:
            for c in details[row["scale"]][area, model]["by_slope_deg"]:
                inside = c["coverage"] is None or least_class <= c["coverage"] <= most_class
                if not inside and c["cells"] >= SMALLEST_CLASS:
                    beyond.append(f"x{row['scale']:g} {span(c['low'], c['high'])} degrees {c['coverage']:.3f}")
        say(f"{model} band covers {least:g} to {most:g} pooled, {area[8:]}", beyond)


def print_thesis(rows: Sequence[Row], methods: Sequence[str]) -> None:
    """Means and deviations over tiles; bicubic in both registrations."""
    heads = ("RMSE m", "slope thesis", "aspect thesis", "slope", "aspect")
    keys = ("rmse_m", "thesis_slope_deg", "thesis_aspect_deg", "slope_rmse_deg", "aspect_rmse_deg")
    shown = {
        "corner": "bicubic, corner-aligned",
        "centre": "bicubic, centre-aligned",
        "lanczos": "Lanczos, corner-aligned",
    }
    for row in rows:
        if row["method"] == "corner":
            print(f"{row['area']}, tiles of {row['tile_px']}, x{row['scale']:g}, {row['tiles']} tiles")
            print(f"{'':26}" + "".join(f"{head:>18}" for head in heads) + f"{'/ corner':>10}")
            found = by_method(rows, area=row["area"], tile_px=row["tile_px"], scale=row["scale"])
            for name in ("corner", "centre", "lanczos", *methods):
                one = found[name]
                values = "".join(f"{plus(one, k):>18}" for k in keys)
                print(f"{shown.get(name, name):26}{values}{one['rmse_m'] / row['rmse_m']:10.3f}", flush=True)
            print(flush=True)


def plus(row: Row, key: str) -> str:
    """Mean and deviation."""
    return f"{row[key]:.3f} +- {row[key + '_std']:.3f}"


def print_simulated(rows: Sequence[Row], title: str) -> None:
    """Rows of one protocol: errors and their ratio to the baseline's."""
    columns = [POOLED[at] for at in (0, 2, 3, 4, 5, 8, 10)]
    print(
        f"{title}\n{'':34}{'':14}" + "".join(f"{head:>9}" for head, _, _ in columns) + f"{'/ baseline':>12}{'slope':>9}"
    )
    for area in areas_of(rows):
        found = by_method(rows, area=area)
        for name, row in found.items():
            line = "".join(number(row[key], 9, digits) for _, key, digits in columns)
            base = found.get("baseline", row)
            ratios = f"{row['rmse_m'] / base['rmse_m']:12.3f}{row['slope_rmse_deg'] / base['slope_rmse_deg']:9.3f}"
            print(f"{area:34}{name:14.14}{line}{ratios}", flush=True)
    print(flush=True)


def print_best(rows: Sequence[Row], model: str) -> None:
    """Whether a model is better than every reference and the baseline, area by area."""
    worse = []
    for area in areas_of(rows):
        found = by_method(rows, area=area)
        for other in (*REFERENCES, "baseline"):
            if other in found and not found[model]["rmse_m"] < found[other]["rmse_m"]:
                worse.append(f"{area} {found[model]['rmse_m']:.3f} to {found[other]['rmse_m']:.3f} of {other}")
    say(f"{model} better than every baseline on the simulated sensor", worse)


def print_offset(rows: Sequence[Row]) -> None:
    """What 1000 m more in the input change beyond 1000 m in the result, at most."""
    print("1000 m more in the input: largest deviation of the result from 1000 m more, in millimetres")
    for area in areas_of(rows):
        found = by_method(rows, area=area)
        print(
            f"{area:34}"
            + "".join(f"{name:>12.10} {1000 * row['offset_error_max_m']:7.3f}" for name, row in found.items())
        )
    print(flush=True)


def print_pair(rows: Sequence[Row]) -> None:
    """The real pair, for the record."""
    print("Davos, a real pair (SRTM against another 10 m DEM): the sensor's error dominates, nothing is ranked by it")
    print(f"{'':14}{'RMSE m':>9}{'bias m':>9}{'spread m':>10}{'LE90 m':>9}{'slope':>9}{'aspect':>9}")
    for row in rows:
        print(f"{row['method']:14.14}" + number(row["rmse_m"], 9, 2) + number(row["bias_m"], 9, 2)
              + number(row["spread_m"], 10, 2) + number(row["le90_m"], 9, 2) + number(row["slope_rmse_deg"], 9, 2)
              + number(row["aspect_rmse_deg"], 9, 1), flush=True)  # fmt: skip
    print(flush=True)


def say(claim: str, exceptions: list[str]) -> None:
    """Print a claim with yes or no."""
    print(f"{claim}: {'NO: ' + '; '.join(exceptions) if exceptions else 'yes'}", flush=True)
