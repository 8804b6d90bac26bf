"""The HTML report of a fitted surface: what it was made of, how wrong it is, and how wrong others would be."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np

from .. import page, plots, table
from ..plots import Axes, Series
from ..raster import Floats
from ..vertical import NAMES
from .overview import Overview

BARS = 41
"""Bars of the histogram."""

PICTURE_PX = 450


def write(path: str, told: dict, errors: Floats, overview: Overview) -> None:
    """Write the page to ``path``."""
    name = PurePath(told["source"]).name
    sections = [
        _facts(told), page.warnings(told["warnings"]), _maps(told, overview), _scores(told),
        page.charts([_histogram(told, errors)]), METHOD,
    ]  # fmt: skip
    table.write_whole(path, page.page(f"Surface fitted to {name}", sections))


def _facts(told: dict) -> str:
    unit = told["unit"]
    rows = [
        ("Points", f"{told['points']:,} in {PurePath(told['source']).name}, {told['crs']}; heights in {NAMES[unit]}"),
        ("Mean spacing", f"{told['spacing']:.4g} in units of the CRS"),
        ("Left out as outliers", f"{told['trimmed']:,}"),
        ("Held out to judge", f"{told['held_out']:,} ({told['hold_out']:g} %, seed {told['seed']}), "
                              f"{told['judged']:,} of them on the surface"),
        ("Surface", f"{told['columns']:,} x {told['rows']:,} cells of {told['cell_size']:g}, "
                    f"{told['valid_share']:.1%} with a height; {PurePath(told['output']).name}"),
        ("Smoothing", f"{told['smoothing']:.3g}: weight of the bending energy, in cells"),
        ("Made by", f"Neural Terrain {told['software']}, in {told['seconds']:.1f} s"),
    ]  # fmt: skip
    return page.table_of((), rows)


def _scores(told: dict) -> str:
    unit = told["unit"]
    rows = [
        ("RMSE", page.number(told["rmse"]), unit), ("Bias, surface minus point", page.number(told["bias"]), unit),
        ("MAE", page.number(told["mae"]), unit),
        ("LE90: nine tenths of the points are within", page.number(told["le90"]), unit),
        ("Largest", page.number(told["largest"]), unit),
    ]  # fmt: skip
    parts = ["<h2>Errors at points that were held out</h2>", page.table_of(("", "", ""), rows)]
    if told["table"]:
        heads = ("", "points", "RMSE", "bias", "MAE", "LE90", "largest")
        lines = [
            (name, f"{one['points']:,}", *(page.number(one[k]) for k in ("rmse", "bias", "mae", "le90", "largest")))
            for name, one in told["table"].items()
        ]
        parts += [
            "<h2>Beside other ways</h2><p>From the same points at the same held-out ones, in up to 12 parts of the "
            f"area, inside of the TIN; in {unit}.</p>",
            page.table_of(heads, lines),
        ]
    return "\n".join(parts)


def _maps(told: dict, overview: Overview) -> str:
    most = max(told["le90"], 1e-9)
    pictures = overview.pictures(most)
    words = {
        "ground": "The surface",
        "points": "Points (darker: more of them)",
        "errors": f"Mean error at held-out points: blue -{page.number(most)}, white 0, red +{page.number(most)} "
                  f"{told['unit']}; grey: none there",
    }  # fmt: skip
    rows, cols = pictures["ground"].shape[:2]
    width = max(round(PICTURE_PX * min(cols / rows, 1)), 1)
    drawn = [(plots.png_image(pictures[name], text, width), text) for name, text in words.items()]
    return "<h2>Maps</h2>" + page.pictures(drawn)


def _histogram(told: dict, errors: Floats) -> str:
    end = max(3 * told["le90"], 1e-9)
    shares, edges = np.histogram(np.clip(errors, -end, end), BARS, (-end, end))
    middles = (edges[1:] + edges[:-1]) / 2
    bars = [Series("", middles.tolist(), (100 * shares / errors.size).tolist())]
    drawn = plots.chart(bars, Axes(f"Error at held-out points, {told['unit']}", "% of the points", bars=True))
    return plots.svg_image(drawn, "Histogram of errors at held-out points")


METHOD = """<h2>How this was made</h2>
<p>The surface is a bicubic B-spline: the sum of squared distances to the points plus the smoothing times the bending
energy of a thin plate is as small as can be. Points that are more than ten times as far from a plane through their
twelve neighbours as is usual there, and stand out alone, were left out before. The smoothing is that which predicts
points best that were left out for this choice. Errors are those of a surface that has not seen the held-out points; the
surface in the file has seen them, and is a little better. Cells further than about four spacings from any point are
no-data.</p>"""
