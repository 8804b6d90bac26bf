"""Charts as SVG and pictures of rasters as PNG, as text to put into a page. Imports the standard library and numpy.

Charts are pictures of their own (``data:`` addresses), so that browsers, QGIS's result viewer and its rich-text view
show them alike, without a network and without scripts.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 30, 48
COLOURS = ("#2f6f8f", "#b5562f", "#7f8a4a", "#6b4a2b")
SUN_AZIMUTH_DEG, SUN_ALTITUDE_DEG = 315.0, 45.0

DIVERGING = (
    (-1.0, (27, 79, 143)),
    (-0.6, (74, 144, 196)),
    (-0.25, (179, 211, 232)),
    (0.0, (247, 246, 243)),
    (0.25, (243, 195, 171)),
    (0.6, (211, 98, 79)),
    (1.0, (143, 19, 39)),
)
"""Blue over white to red, as QGIS shows the difference layer."""

NOTHING = (221, 219, 214)
"""Colour of cells without a value."""


@dataclass(frozen=True)
class Series:
    """One line of a chart; NaN is left out. ``dashed`` is for what is only a yardstick; no label, no legend."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True)
class Axes:
    """What stands on the axes, and whether x is logarithmic. y begins at 0 unless ``y_low`` says otherwise."""

    x_label: str
    y_label: str
    log_x: bool = False
    y_low: float = 0.0
    bars: bool = False


def chart(series: Sequence[Series], axes: Axes) -> str:
    """Lines (or bars of the first series) as an SVG picture."""
    lines = [(np.asarray(s.x, float), np.asarray(s.y, float)) for s in series]
    known_x = np.concatenate([x[np.isfinite(y)] for x, y in lines])
    known_y = np.concatenate([y[np.isfinite(y)] for _, y in lines])
    if known_x.size == 0:
        known_x, known_y = np.array([1.0, 2.0]), np.array([0.0, 1.0])
    frame = _Frame((float(known_x.min()), float(known_x.max())), (axes.y_low, float(known_y.max()) * 1.06), axes.log_x)
    drawn = [_axis_marks(frame, axes)]
    for number, (one, (x, y)) in enumerate(zip(series, lines, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(_bars(frame, x, y, colour) if axes.bars and number == 0 else _line(frame, x, y, one, colour))
    if len(series) > 1:
        drawn.append(_legend(series))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#2b2a28">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fffdf8"/>{"".join(drawn)}</svg>'
    )


class _Frame:
    """From values to places in the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], log_x: bool) -> None:
        self.log_x = log_x
        self.x = x if x[1] > x[0] else (x[0] * 0.9 - 0.5 * (not log_x), x[0] * 1.1 + 0.5)
        self.y = y if y[1] > y[0] else (y[0], y[0] + 1)

    def across(self, value: Floats | float) -> Floats:
        low, high = self.x
        if self.log_x:
            value, low, high = np.log(value), math.log(low), math.log(high)
        share: Floats = (np.asarray(value, float) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, value: Floats | float) -> Floats:
        share: Floats = (np.asarray(value, float) - self.y[0]) / (self.y[1] - self.y[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two, at steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * (1 - 1e-9)) if raw > 0 else 1.0
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def _axis_marks(frame: _Frame, axes: Axes) -> str:
    floor, wall = HEIGHT - BOTTOM, WIDTH - RIGHT
    drawn = []
    for tick in ticks(*frame.y):
        y = float(frame.down(tick))
        drawn.append(f'<path d="M{LEFT} {y:.1f}H{wall}" stroke="#e7e3dc"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in log_ticks(*frame.x) if axes.log_x else ticks(*frame.x):
        x = float(frame.across(tick))
        drawn.append(f'<path d="M{x:.1f} {floor}v5" stroke="#77736c"/>')
        drawn.append(f'<text x="{x:.1f}" y="{floor + 18}" text-anchor="middle">{tick:g}</text>')
    drawn.append(f'<path d="M{LEFT} {TOP}V{floor}H{wall}" fill="none" stroke="#77736c"/>')
    middle_x, middle_y = (LEFT + wall) / 2, (TOP + floor) / 2
    drawn.append(f'<text x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{html.escape(axes.x_label)}</text>')
    turned = f'transform="translate(14 {middle_y}) rotate(-90)" text-anchor="middle"'
    drawn.append(f"<text {turned}>{html.escape(axes.y_label)}</text>")
    return "".join(drawn)


def _line(frame: _Frame, x: Floats, y: Floats, one: Series, colour: str) -> str:
    known = np.isfinite(y)
    places = zip(frame.across(x[known]), frame.down(y[known]), strict=True)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dots = (
        ""
        if one.dashed or known.sum() > 40
        else "".join(
            f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="2.6" fill="{colour}"/>' for p in points.split()
        )
    )
    dash = ' stroke-dasharray="5 4"' if one.dashed else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>{dots}'


def _bars(frame: _Frame, x: Floats, y: Floats, colour: str) -> str:
    """Bars about ``x``, which are equally far apart."""
    floor = HEIGHT - BOTTOM
    half = 0.5 * (x[1] - x[0]) if x.size > 1 else 0.5
    drawn = []
    for middle, value in zip(x, y, strict=True):
        left, right = (float(v) for v in frame.across(np.array([middle - half, middle + half])))
        left, right, top = max(left, LEFT), min(right, WIDTH - RIGHT), float(frame.down(value))
        drawn.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{floor - top:.1f}"/>')
    return f'<g fill="{colour}" stroke="#fffdf8" stroke-width="0.5">{"".join(drawn)}</g>'


def _legend(series: Sequence[Series]) -> str:
    """Names of the lines in one row above the plot."""
    drawn, x = [], LEFT
    for number, one in enumerate(series):
        if not one.label:
            continue
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        drawn.append(f'<path d="M{x} 14h24" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"{dash}/>')
        drawn.append(f'<text x="{x + 30}" y="18">{html.escape(one.label)}</text>')
        x += 48 + 7 * len(one.label)
    return "".join(drawn)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def hillshade(heights: Floats, known: NDArray[np.bool_], cell_m: tuple[float, float]) -> Bytes:
    """Ground lit from the upper left in a warm grey, ``(R, C, 3)``; slopes by central differences.

    ``cell_m`` is the width and height of the cells in metres.
    """
    filled = np.where(known, heights, heights[known].mean() if known.any() else 0.0)
    # A single row or column has no neighbours: it is lit as if it went on.
    rows, cols = filled.shape
    filled = np.pad(filled, ((0, int(rows == 1)), (0, int(cols == 1))), mode="edge")
    south, east = (slopes[:rows, :cols] for slopes in np.gradient(filled, cell_m[1], cell_m[0]))
    zenith, azimuth = math.radians(90 - SUN_ALTITUDE_DEG), math.radians(SUN_AZIMUTH_DEG)
    toward_sun = -east * math.sin(azimuth) + south * math.cos(azimuth)
    light = (math.cos(zenith) + math.sin(zenith) * toward_sun) / np.sqrt(1 + east**2 + south**2)
    tone = np.clip(light, 0, 1)[..., None] * np.array([255.0, 250.0, 240.0])
    return _painted(tone, known)


def diverging(values: Floats, known: NDArray[np.bool_], most: float) -> Bytes:
    """Blue, white and red from ``-most`` to ``most``, ``(R, C, 3)``."""
    stops, colours = zip(*DIVERGING, strict=True)
    shares = np.clip(np.where(known, values, 0.0) / most, -1, 1)
    channels = [np.interp(shares, stops, [colour[at] for colour in colours]) for at in range(3)]
    return _painted(np.stack(channels, axis=-1), known)


def _painted(colours: Floats, known: NDArray[np.bool_]) -> Bytes:
    return np.where(known[..., None], np.round(colours), np.array(NOTHING)).astype(np.uint8)


def enlarged(picture: Bytes, factor: int) -> Bytes:
    """Every cell as ``factor`` x ``factor`` pixels."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def png(picture: Bytes) -> bytes:
    """A picture ``(R, C, 3)`` as a PNG file (RFC 2083), rows unfiltered."""
    rows, cols, _ = picture.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), picture.reshape(rows, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", cols, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)), chunk(b"IEND", b"")]
    )


def svg_image(svg: str, text: str, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    """An ``img`` element that holds a chart, or another drawing of ``shape`` (height, width)."""
    return _image("image/svg+xml", svg.encode("utf-8"), text, shape)


def png_image(picture: Bytes, text: str, width: int = 0) -> str:
    """An ``img`` element that holds a picture, drawn ``width`` pixels wide; 0: as it is."""
    rows, cols = picture.shape[:2]
    shown = (round(rows * width / cols), width) if width else (rows, cols)
    return _image("image/png", png(picture), text, shown)


def _image(kind: str, data: bytes, text: str, shape: tuple[int, int]) -> str:
    coded = base64.b64encode(data).decode("ascii")
    return f'<img width="{shape[1]}" height="{shape[0]}" alt="{html.escape(text)}" src="data:{kind};base64,{coded}">'
