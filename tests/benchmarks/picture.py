"""The comparison picture: hillshades in the same light and on the same scale, whole and in detail. numpy and Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import machine  # noqa: F401  loads the package
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neural_terrain.core import quality
from neural_terrain.core.elevation import baseline_surface, kernels

PANEL_PX = 512
GAP_PX, EDGE_PX = 24, 48
HEAD_PX, FOOT_PX = 150, 124

PAPER, INK, QUIET, ACCENT = (255, 255, 255), (28, 32, 36), (110, 118, 126), (196, 74, 38)

LIGHTS = ((225.0, 0.14), (270.0, 0.22), (315.0, 0.42), (360.0, 0.22))
"""Azimuth of each light in degrees clockwise from north, and its share."""
LIGHT_HEIGHT_DEG = 42.0

TINT = np.array(
    [
        [118, 148, 116],
        [160, 178, 132],
        [205, 204, 158],
        [222, 200, 158],
        [205, 176, 142],
        [214, 200, 186],
        [244, 242, 240],
    ],
    dtype=np.float64,
)
"""Colours from the lowest to the highest ground."""


@dataclass(frozen=True)
class Panel:
    """One height field ``(R, C)`` in metres with its cell size, its name and what to say below it."""

    title: str
    subtitle: str
    captions: tuple[str, str]
    heights: quality.Floats
    cell_m: float


@dataclass(frozen=True)
class Detail:
    """The part that is enlarged, in metres from the upper left corner: top, left and side."""

    top_m: float
    left_m: float
    side_m: float


def draw(panels: list[Panel], detail: Detail, title: str, note: str) -> Image.Image:
    """The panels side by side: whole above, detail below, captions at the foot."""
    count = len(panels)
    width = 2 * EDGE_PX + count * PANEL_PX + (count - 1) * GAP_PX
    height = HEAD_PX + 2 * PANEL_PX + GAP_PX + FOOT_PX
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    truth = panels[-1].heights
    span = float(np.quantile(truth, 0.005)), float(np.quantile(truth, 0.995))
    side_m = truth.shape[0] * panels[-1].cell_m
    for index, panel in enumerate(panels):
        left = EDGE_PX + index * (PANEL_PX + GAP_PX)
        cells = panel.cell_m > 1.5 * panels[-1].cell_m
        sheet.paste(shaded(panel, Detail(0, 0, side_m), span, cells=cells), (left, HEAD_PX))
        sheet.paste(shaded(panel, detail, span, cells=cells), (left, HEAD_PX + PANEL_PX + GAP_PX))
        _mark(pen, left, detail, PANEL_PX / side_m)
        _label(pen, left, panel)
    _bar(pen, EDGE_PX, HEAD_PX + PANEL_PX, round_length(side_m), PANEL_PX / side_m)
    _bar(pen, EDGE_PX, HEAD_PX + 2 * PANEL_PX + GAP_PX, round_length(detail.side_m), PANEL_PX / detail.side_m)
    pen.text((EDGE_PX, 22), title, INK, font(34))
    pen.text((width - EDGE_PX, 30), note, QUIET, font(24), anchor="ra")
    return sheet


def save(sheet: Image.Image, path: Path, width_px: int | None = None) -> None:
    """Write a PNG or JPEG, at most ``width_px`` wide."""
    if width_px is not None:
        sheet = sheet.resize((width_px, round(sheet.height * width_px / sheet.width)), Image.Resampling.LANCZOS)
    sheet.save(path, optimize=True, quality=86)


def round_length(side_m: float) -> float:
    """Length of a scale bar: the longest of 1, 2, 5 times a power of ten below 15 % of a side."""
    most = 0.15 * side_m
    power = 10.0 ** math.floor(math.log10(most))
    return max(share * power for share in (1, 2, 5) if share * power <= most)


def shaded(panel: Panel, part: Detail, span: tuple[float, float], *, cells: bool) -> Image.Image:
    """Tinted hillshade of a part of a panel, ``PANEL_PX`` square; with ``cells`` its cells stay visible."""
    cell_px = PANEL_PX * panel.cell_m / part.side_m
    field = panel.heights if cells else _enlarged(panel.heights, cell_px)
    cell_m = panel.cell_m if cells else panel.cell_m / max(cell_px, 1)
    colours = tinted(field, cell_m, span)
    top, left, side = (round(value / cell_m) for value in (part.top_m, part.left_m, part.side_m))
    image = Image.fromarray(colours[top : top + side, left : left + side])
    how = Image.Resampling.NEAREST if cells else Image.Resampling.LANCZOS
    return image.resize((PANEL_PX, PANEL_PX), how)


def tinted(heights: quality.Floats, cell_m: float, span: tuple[float, float]) -> np.ndarray:
    """Colours ``(R, C, 3)`` uint8: tint by height, lit by several soft lights."""
    padded = np.pad(heights, 1, mode="edge")
    size = np.full(padded.shape[0], cell_m)
    p, q = quality.gradient(padded, (size, size))
    light = np.clip(sum(share * lit(p, q, azimuth) for azimuth, share in LIGHTS), 0, 1)
    shade = 0.20 + 1.06 * light**1.2
    place = np.clip((heights - span[0]) / (span[1] - span[0]), 0, 1) * (len(TINT) - 1)
    base = np.stack([np.interp(place, np.arange(len(TINT)), TINT[:, c]) for c in range(3)], axis=-1)
    return np.clip(base * shade[..., None], 0, 255).astype(np.uint8)


def lit(p: quality.Floats, q: quality.Floats, azimuth_deg: float) -> quality.Floats:
    """Lambert's cosine for ground of gradient ``(p, q)`` under one light; 0 where it faces away."""
    azimuth, height = np.radians(azimuth_deg), np.radians(LIGHT_HEIGHT_DEG)
    along = -(p * np.sin(azimuth) + q * np.cos(azimuth))
    return np.clip((np.sin(height) + np.cos(height) * along) / np.sqrt(1 + p**2 + q**2), 0, None)


def _enlarged(heights: quality.Floats, factor: float) -> quality.Floats:
    """Registered cubic enlargement, so that the light falls on a smooth surface instead of on enlarged pixels."""
    scale = max(int(round(factor)), 1)
    if scale == 1:
        return heights
    rows, cols = ((np.arange(n * scale) + 0.5) / scale for n in heights.shape)
    queries = kernels.Queries(rows, cols, 1 / scale, 1 / scale)
    return baseline_surface.plain_cubic(heights, np.ones(heights.shape, dtype=bool), queries)


def _mark(pen: ImageDraw.ImageDraw, left: int, detail: Detail, px_per_m: float) -> None:
    """The frame of the detail in the whole."""
    x, y = left + detail.left_m * px_per_m, HEAD_PX + detail.top_m * px_per_m
    side = detail.side_m * px_per_m
    pen.rectangle((x, y, x + side, y + side), outline=(255, 255, 255), width=2)


def _label(pen: ImageDraw.ImageDraw, left: int, panel: Panel) -> None:
    """Name above, figures below."""
    pen.text((left, HEAD_PX - 62), panel.title, INK, font(30))
    pen.text((left + PANEL_PX, HEAD_PX - 58), panel.subtitle, QUIET, font(24), anchor="ra")
    foot = HEAD_PX + 2 * PANEL_PX + GAP_PX
    pen.text((left, foot + 18), panel.captions[0], INK, font(32))
    pen.text((left, foot + 66), panel.captions[1], QUIET, font(26))


def _bar(pen: ImageDraw.ImageDraw, left: int, bottom: int, length_m: float, px_per_m: float) -> None:
    """A scale bar in the lower left corner of a panel."""
    x, y, long = left + 18, bottom - 22, length_m * px_per_m
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    pen.rectangle((x - 10, y - 38, x + max(long, 72) + 10, y + 12), fill=(255, 255, 255))
    pen.line((x, y, x + long, y), fill=INK, width=4)
    pen.text((x, y - 6), text, INK, font(22), anchor="ls")


def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface that comes with Pillow, so that the picture is the same on every machine."""
    return ImageFont.load_default(size)
