"""The plot of profiles: a page with a panel for each line, or a picture of all panels one below the other.

A panel shows the height along the line, and shaded the band that holds the true height nine times in ten.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import page, plots, table
from ..page import number
from ..raster import Floats
from ..vertical import METRES, SYMBOLS
from .stretches import Profile, rises_of, same_height

MOST_PANELS = 20
WIDTH, HEIGHT = 1040, 270
LEFT, RIGHT, TOP, BOTTOM = 84, 16, 30, 42
COLUMNS = 2 * (WIDTH - LEFT - RIGHT)
"""Positions across a panel that can be told apart; more are drawn as the lowest and highest of each column."""

LINE, BAND, HAIR, INK = plots.COLOURS[3], plots.COLOURS[0], "#e7e3dc", "#77736c"
KILOMETRES_FROM_M = 5000.0
EMPTY_SHARE = 0.08
"""Of the range of heights, what is left free below and above."""

FLAT_SPAN = 1.0
"""Range of heights, in their unit, that is drawn of ground without any."""

LETTERS_PX, LETTER_SHARE, TEXT_PX = LEFT - 28, 0.64, 12
"""Room for the heights beside the axis; width of a digit by its height, and how large texts are."""


@dataclass(frozen=True)
class Panel:
    """One line: what it is called, and what is drawn, in metres along and in the vertical unit up."""

    title: str
    along_m: Floats
    heights: Floats
    band: Floats | None
    slope_deg: Floats


def panels_of(profile: Profile, names: Sequence[str]) -> list[Panel]:
    """The first lines that have any heights."""
    lines = np.unique(profile.paths.line[profile.known])[:MOST_PANELS]
    panels = []
    for line in lines.tolist():
        mine = profile.paths.line == line
        # Between two parts the pen is lifted.
        new = np.flatnonzero(np.diff(profile.paths.part[mine])) + 1

        def broken(values: Floats, mine: np.ndarray = mine, new: np.ndarray = new) -> Floats:
            return np.insert(values[mine], new, np.nan)

        band = None if profile.error90 is None else broken(profile.error90)
        title = names[line] or f"Line {line + 1}"
        panels.append(Panel(title, broken(profile.paths.distance_m), broken(profile.elevation), band,
                            broken(profile.slope_deg)))  # fmt: skip
    return panels


def write(path: str, panels: Sequence[Panel], title: str, unit: str, notes: Sequence[str]) -> None:
    """Write the plot; the ending decides whether it is a page or a picture."""
    if Path(path).suffix.lower() == ".svg":
        table.write_whole(path, picture(panels, unit))
    else:
        table.write_whole(path, sheet(panels, title, unit, notes))


def sheet(panels: Sequence[Panel], title: str, unit: str, notes: Sequence[str]) -> str:
    """The whole page as text."""
    sections = [page.warnings(notes), _overview(panels, unit)]
    for panel in panels:
        drawn = plots.svg_image(_svg(draw(panel, unit), HEIGHT), f"Profile of {panel.title}", (HEIGHT, WIDTH))
        sections.append(f"<p class='charts'>{drawn}</p>")
    return page.page(f"Profiles on {title}", [*sections, METHOD])


def picture(panels: Sequence[Panel], unit: str) -> str:
    """All panels as one SVG."""
    drawn = [f'<g transform="translate(0 {at * HEIGHT})">{draw(one, unit)}</g>' for at, one in enumerate(panels)]
    return _svg("".join(drawn), HEIGHT * max(len(panels), 1)) + "\n"


def draw(panel: Panel, unit: str) -> str:
    """The inside of one panel."""
    frame = _Frame.of(panel)
    band = "" if panel.band is None else _band(frame, panel)
    title = f'<text x="{LEFT}" y="19" font-weight="bold">{html.escape(panel.title)}</text>'
    facts = f'<text x="{WIDTH - RIGHT}" y="19" text-anchor="end" fill="{INK}">{_facts(frame, panel, unit)}</text>'
    return _axes(frame, unit) + band + _line(frame, panel) + title + facts


@dataclass(frozen=True)
class _Frame:
    """From metres along and heights to places in a panel."""

    end_m: float
    low: float
    high: float

    @classmethod
    def of(cls, panel: Panel) -> _Frame:
        spread = 0.0 if panel.band is None else np.nan_to_num(panel.band)
        low, high = float(np.nanmin(panel.heights - spread)), float(np.nanmax(panel.heights + spread))
        middle = (low + high) / 2
        if high - low < float(same_height(np.asarray(middle))):
            low, high = middle - FLAT_SPAN / 2, middle + FLAT_SPAN / 2
        free = EMPTY_SHARE * (high - low)
        # A line that turns on a pole has no length.
        return cls(float(np.nanmax(panel.along_m)) or 1.0, low - free, high + free)

    def across(self, along_m: Floats | float) -> Floats:
        return LEFT + np.asarray(along_m, float) / self.end_m * (WIDTH - LEFT - RIGHT)

    def down(self, height: Floats | float) -> Floats:
        share = (np.asarray(height, float) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def exaggeration(self, unit: str) -> float:
        """How many times steeper the panel shows the ground."""
        up = (HEIGHT - TOP - BOTTOM) / ((self.high - self.low) * METRES[unit])
        return up / ((WIDTH - LEFT - RIGHT) / self.end_m)


def _axes(frame: _Frame, unit: str) -> str:
    floor, wall = HEIGHT - BOTTOM, WIDTH - RIGHT
    far = frame.end_m >= KILOMETRES_FROM_M
    size, word = (1000.0, "km") if far else (1.0, "m")
    drawn = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fffdf8"/>']
    for tick in plots.ticks(frame.low, frame.high, 5):
        y = float(frame.down(tick))
        drawn.append(f'<path d="M{LEFT} {y:.1f}H{wall}" stroke="{HAIR}"/>')
        text = f"{tick + 0.0:.10g}"
        size_px = min(TEXT_PX, LETTERS_PX / (LETTER_SHARE * len(text)))
        drawn.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" font-size="{size_px:.3g}">{text}</text>')
    for tick in plots.ticks(0.0, frame.end_m / size, 10):
        x = float(frame.across(tick * size))
        drawn.append(f'<path d="M{x:.1f} {floor}v4" stroke="{INK}" stroke-width="0.6"/>')
        drawn.append(f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    drawn.append(f'<path d="M{LEFT} {TOP}V{floor}H{wall}" fill="none" stroke="{INK}" stroke-width="0.6"/>')
    drawn.append(f'<text x="{(LEFT + wall) / 2}" y="{HEIGHT - 8}" text-anchor="middle">Distance, {word}</text>')
    turned = f'transform="translate(14 {(TOP + floor) / 2}) rotate(-90)" text-anchor="middle"'
    drawn.append(f"<text {turned}>Elevation, {SYMBOLS[unit]}</text>")
    return "".join(drawn)


def _facts(frame: _Frame, panel: Panel, unit: str) -> str:
    shown = "90 % band shaded" if panel.band is not None else ""
    times = float(f"{frame.exaggeration(unit):.2g}")
    drawn = f"heights drawn {times:.10g} times as large as distances"
    return html.escape(", ".join(filter(None, [shown, drawn])))


def _line(frame: _Frame, panel: Panel) -> str:
    runs = [_thinned(frame, panel.along_m[run], panel.heights[run]) for run in _runs(panel.heights)]
    paths = "".join(f"M{_text(*run)}" for run in runs)
    return f'<path d="{paths}" fill="none" stroke="{LINE}" stroke-width="1.5" stroke-linejoin="round"/>'


def _band(frame: _Frame, panel: Panel) -> str:
    if panel.band is None:
        return ""
    drawn = []
    for run in _runs(panel.heights + panel.band):
        along, middle, half = panel.along_m[run], panel.heights[run], panel.band[run]
        upper, lower = (_thinned(frame, along, middle + sign * half) for sign in (1, -1))
        drawn.append(f"M{_text(*upper)} {_text(lower[0][::-1], lower[1][::-1])}Z")
    return f'<path d="{"".join(drawn)}" fill="{BAND}" fill-opacity="0.28"/>'


def _runs(values: Floats) -> list[slice]:
    """Stretches of at least two known values."""
    edges = np.flatnonzero(np.diff(np.isfinite(values).astype(np.int8), prepend=0, append=0))
    return [slice(a, b) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if b - a > 1]


def _thinned(frame: _Frame, along_m: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Places in the panel: all, or the ends and extremes of each column where there are too many."""
    x, y = frame.across(along_m), frame.down(values)
    if x.size <= COLUMNS:
        return x, y
    _, first = np.unique(np.floor(2 * x), return_index=True)
    last = np.append(first[1:], x.size)
    spans = list(zip(first.tolist(), last.tolist(), strict=True))
    extremes = [at + int(pick(y[at:to])) for at, to in spans for pick in (np.argmin, np.argmax)]
    kept = np.unique([0, x.size - 1, *extremes])
    return x[kept], y[kept]


def _text(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _svg(inside: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="{TEXT_PX}" fill="#2b2a28">{inside}</svg>'
    )


def _overview(panels: Sequence[Panel], unit: str) -> str:
    unit = SYMBOLS[unit]
    heads = ("", "length, m", f"lowest, {unit}", f"highest, {unit}", f"ascent, {unit}", f"descent, {unit}",
             "steepest up, degrees", "steepest down, degrees")  # fmt: skip
    return page.table_of(heads, [_row(panel) for panel in panels])


def _row(panel: Panel) -> list[str]:
    steps = rises_of(panel.heights, panel.slope_deg)
    figures = [np.nanmax(panel.along_m), np.nanmin(panel.heights), np.nanmax(panel.heights),
               np.nansum(np.maximum(steps, 0)), np.nansum(np.maximum(-steps, 0)),
               max(np.nanmax(panel.slope_deg), 0.0), max(-np.nanmin(panel.slope_deg), 0.0) + 0.0]  # fmt: skip
    return [panel.title, *(number(float(figure)) for figure in figures)]


METHOD = """<h2>How to read this</h2>
<p>The line is the continuous surface of the model at every position along the line. The band holds the true height nine
times in ten; it takes the DEM for perfect. Distances are metres on the ellipsoid. Ascent and descent are the sums of
all rises and falls between positions; what flat ground differs by from rounding is none. Gaps are no-data, or outside
of the DEM.</p>"""
