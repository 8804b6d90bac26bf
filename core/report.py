"""The HTML report of a comparison: one page with everything inside, no network, no script.

Takes the plain figures of :mod:`.comparison` and the pictures of :mod:`.maps`. Imports numpy, :mod:`.page`,
:mod:`.plots` and :mod:`.table`.
"""

from __future__ import annotations

import numpy as np

from . import page as pages
from . import plots, table
from .page import charts, number, share, table_of
from .plots import Axes, Series

PICTURE_PX = 450
"""Longer side of the pictures on the page."""


def write(path: str, found: dict, pictures: dict) -> None:
    """Write the page to ``path``."""
    table.write_whole(path, page(found, pictures))


def page(found: dict, pictures: dict) -> str:
    """The whole page as text."""
    about = found["about"]
    title = f"{about['input']} against {about['reference']}"
    sections = [_heading(found), _maps(pictures), _errors(found), _structure(found), _classes(found), _coarse(found)]
    return pages.page(title, [*sections, METHOD])


# ---------------------------------------------------------------------------------------------------------------------
# Sections


def _heading(found: dict) -> str:
    about, cells = found["about"], found["scores"]["cells"]
    whole = about["rows"] * about["columns"]
    area_km2 = cells * about["cell_width_m"] * about["cell_height_m"] / 1e6
    rows = [
        ("Input", _dem(about, "input")),
        ("Reference", _dem(about, "reference")),
        ("Compared on", f"the cells of the reference, {_metres(about['cell_width_m'])} x "
                        f"{_metres(about['cell_height_m'])} m on the ground, {about['reference_crs']}; {_how(about)}"),
        ("Cells compared", f"{cells:,} of {about['columns']:,} x {about['rows']:,} ({cells / whole:.1%}), "
                           f"{area_km2:,.4g} km2"),
    ]  # fmt: skip
    for name in ("coarse", "uncertainty"):
        if about[name]:
            rows.append((name.capitalize() + (" DEM" if name == "coarse" else " raster"), about[name]))
    rows.append(("Made by", f"{about['software']}; heights and errors in metres"))
    return table_of((), rows) + pages.warnings(found["warnings"])


def _dem(about: dict, which: str) -> str:
    band = f", band {about[which + '_band']}" if about[which + "_band"] != 1 else ""
    vertical = about[which + "_vertical"] or "no vertical datum named"
    return f"{about[which]}{band}; {about[which + '_crs']}; heights in {about[which + '_unit']}, {vertical}"


def _how(about: dict) -> str:
    steps = [step for step in about["cells_per_cell"] if step is not None]
    if not steps:
        return "the input was resampled to them"
    if max(steps) > 1.001:
        return f"the input is finer ({max(steps):.3g} cells per cell) and was averaged over them"
    if min(steps) < 0.999:
        return f"the input is coarser ({1 / min(steps):.3g} times) and was interpolated cubically"
    return "the input has cells of the same size"


def _maps(pictures: dict) -> str:
    one = pictures["overview"]
    shown = f"One point is {one['factor']} x {one['factor']} cells." if one["factor"] > 1 else ""
    drawn = [f"<h2>Maps</h2><p>{shown}</p>", _row_of_pictures(one)]
    if "detail" in pictures:
        one = pictures["detail"]
        drawn += [
            f"<p>Where the error is largest: {one['cells']} x {one['cells']} cells from row {one['row']}, column "
            f"{one['column']} (RMSE {number(one['rmse_m'])} m), cell by cell. Look for steps, ripples and terraces "
            "that the reference does not have.</p>",
            _row_of_pictures(one),
        ]
    return "\n".join(drawn)


def _row_of_pictures(one: dict) -> str:
    most = number(one["most_m"])
    labels = {
        "reference": "Reference",
        "input": "Input",
        "difference": f"Input minus reference: blue -{most} m, white 0, red +{most} m",
    }
    rows, cols = one["input"].shape[:2]
    width = max(round(PICTURE_PX * min(cols / rows, 1)), 1)
    return pages.pictures([(plots.png_image(one[name], label, width), label) for name, label in labels.items()])


def _errors(found: dict) -> str:
    scores, band = found["scores"], found["band"]
    rows = [
        ("Elevation RMSE", number(scores["rmse_m"]), "m"),
        ("Elevation MAE", number(scores["mae_m"]), "m"),
        ("Bias, input minus reference", number(scores["bias_m"]), "m"),
        ("LE90: nine tenths of the cells are within", number(scores["le90_m"]), "m"),
        ("Slope RMSE", number(scores["slope_rmse_deg"]), "degrees"),
        ("Mean angle between surface normals", number(scores["normal_angle_deg"]), "degrees"),
        ("Aspect RMSE, where the slope is above 2 degrees", number(scores["aspect_rmse_deg"]), "degrees"),
        ("Aspect MAE, where the slope is above 2 degrees", number(scores["aspect_mae_deg"]), "degrees"),
        ("Profile curvature RMSE, same cells", number(scores["curvature_rmse_per_100m"]), "radians per 100 m"),
    ]
    if band["coverage"] is not None:
        rows.append(("Stated 90 % band holds the reference in", f"{band['coverage']:.1%}", "of the cells"))
        rows.append(("Mean half width of that band", number(band["mean_half_width_m"]), "m"))
    return "<h2>Errors</h2>" + table_of(("", "", ""), rows) + charts([_histogram(found), _slope_errors(found)])


def _structure(found: dict) -> str:
    one = found["structure"]
    rows = [
        ("Mean slope, degrees", *map(number, one["mean_slope_deg"])),
        ("Roughness (deviation from the mean of 3 x 3 cells), m", *map(number, one["roughness_m"])),
        ("Pits per km2", *map(number, one["pits_per_km2"])),
        ("Pit volume, m3 per km2", *map(number, one["pit_volume_m3_per_km2"])),
    ]
    text = (
        f"<p>The slope distributions are {number(one['slope_distance_deg'])} degrees apart (first Wasserstein "
        f"distance); roughness is {number(one['roughness_ratio'])} times that of the reference.</p>"
    )
    drawn = charts([_slope_distribution(found), _spectrum(found)])
    return "<h2>Texture</h2>" + table_of(("", "input", "reference"), rows) + text + drawn


def _classes(found: dict) -> str:
    heads = ("Slope, degrees", "cells", "RMSE m", "MAE m", "bias m", "LE90 m", "slope RMSE")
    slopes = {row["low"]: row["rmse"] for row in found["slope_error_by_slope_deg"]}
    banded = found["band"]["coverage"] is not None
    rows = []
    for row in found["by_slope_deg"]:
        line = [*_class_cells(row), number(slopes.get(row["low"]))]
        rows.append(line + ([share(row["coverage"]), number(row["band"])] if banded else []))
    parts = [
        "<h2>By slope of the reference</h2>",
        table_of((*heads, *(("in band", "half width m") if banded else ())), rows),
    ]
    relief = [_class_cells(row) for row in found["by_relief_m"]]
    parts += ["<h2>By local relief</h2><p>Standard deviation of the reference in patches of 16 x 16 cells.</p>"]
    parts += [table_of(("Relief, m", *heads[1:6]), relief), charts([_relief_errors(found), _distance_errors(found)])]
    return "\n".join(parts)


def _class_cells(row: dict) -> list[str]:
    high = "more" if row["high"] >= 10_000 else f"{row['high']:g}"
    measures = (number(row[name]) for name in ("rmse", "mae", "bias", "le90"))
    return [f"{row['low']:g} to {high}", f"{row['cells']:,}", *measures]


def _coarse(found: dict) -> str:
    one = found["consistency"]
    if not one["cells"]:
        return ""
    rows = [
        ("Largest difference", number(one["max_m"]), "m"),
        ("RMSE", number(one["rmse_m"]), "m"),
        ("Coarse cells", f"{one['cells']:,}", ""),
    ]
    return "<h2>Averages of the input against the coarse DEM</h2>" + table_of(("", "", ""), rows)


# ---------------------------------------------------------------------------------------------------------------------
# Charts


def _histogram(found: dict) -> str:
    edges = np.array(found["error_histogram"]["edges_m"])
    shares = [100 * share for share in found["error_histogram"]["shares"]]
    middles = (edges[1:] + edges[:-1]) / 2
    drawn = plots.chart([Series("", middles.tolist(), shares)], Axes("Error, m", "% of the cells", bars=True))
    return plots.svg_image(drawn, "Histogram of elevation errors")


def _slope_errors(found: dict) -> str:
    rows = found["by_slope_deg"]
    x = [(row["low"] + min(row["high"], 60)) / 2 for row in rows]
    series = [Series("RMSE", x, _column(rows, "rmse")), Series("LE90", x, _column(rows, "le90"))]
    if found["band"]["coverage"] is not None:
        series.append(Series("stated 90 % band", x, _column(rows, "band"), dashed=True))
    return plots.svg_image(plots.chart(series, Axes("Slope of the reference, degrees", "Error, m")), "Error by slope")


def _relief_errors(found: dict) -> str:
    rows = found["by_relief_m"]
    x = [max((max(row["low"], row["high"] / 4) * min(row["high"], 400)) ** 0.5, 0.1) for row in rows]
    series = [Series("RMSE", x, _column(rows, "rmse")), Series("MAE", x, _column(rows, "mae"))]
    axes = Axes("Local relief, m", "Error, m", log_x=True)
    return plots.svg_image(plots.chart(series, axes), "Error by local relief")


def _distance_errors(found: dict) -> str:
    """Error against the distance to the nearest known cell (Yao 2024, fig. 3.11); empty where nothing is coarser."""
    rows, side_m = found["by_distance_px"], found["about"]["known_cell_m"]
    if not rows or side_m is None:
        return ""
    x = [(row["low"] + row["high"]) / 2 * side_m for row in rows]
    series = [Series("RMSE", x, _column(rows, "rmse")), Series("MAE", x, _column(rows, "mae"))]
    label = f"Distance to the centre of the nearest cell of the {found['about']['known_cells']}, m"
    return plots.svg_image(plots.chart(series, Axes(label, "Error, m")), "Error by distance to the nearest known cell")


def _slope_distribution(found: dict) -> str:
    one = found["slope_histogram"]
    last = max([at for name in ("input", "reference") for at, v in enumerate(one[name]) if v and v > 2e-4], default=0)
    series = [
        Series(name, one["middles_deg"][: last + 1], [100 * (v or 0) for v in one[name][: last + 1]], dashed=dashed)
        for name, dashed in (("input", False), ("reference", True))
    ]
    return plots.svg_image(plots.chart(series, Axes("Slope, degrees", "% per degree")), "Slope distributions")


def _spectrum(found: dict) -> str:
    rows = [row for row in found["spectrum"] if row["power_ratio"] is not None]
    if not rows:
        return ""
    about = found["about"]
    cell_m = (about["cell_width_m"] * about["cell_height_m"]) ** 0.5
    x = [(row["low_px"] * row["high_px"]) ** 0.5 * cell_m for row in rows]
    series = [
        Series("power of input / reference", x, [min(row["power_ratio"], 3.0) for row in rows]),
        Series("power of error / reference", x, [min(row["error_share"], 3.0) for row in rows]),
        Series("", [x[0], x[-1]], [1.0, 1.0], dashed=True),
    ]
    axes = Axes("Wavelength, m (values above 3 are shown as 3)", "Ratio", log_x=True)
    return plots.svg_image(plots.chart(series, axes), "Power by wavelength")


def _column(rows: list[dict], name: str) -> list[float]:
    return [float("nan") if row[name] is None else row[name] for row in rows]


# ---------------------------------------------------------------------------------------------------------------------
# Text


def _metres(value: float) -> str:
    return f"{value:.4g}"


METHOD = """<h2>How this was measured</h2>
<p>Only cells with a height in both DEMs count. Slope, aspect and curvature use the true size of the cells on the
ground: slope and aspect after Horn, as gdaldem does, and curvature after Evans. Aspects are compared the short way
round. A pit is a cell lower than its eight neighbours. Power is that of windows of up to 128 x 128 cells without
their plane, tapered; at wavelengths where the power of the error reaches that of the reference, detail is not where it
should be. The distance to the nearest known cell is counted in cells with a height only.</p>"""
