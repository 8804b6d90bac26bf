"""Pictures of a mesh: its relief as a whole, where its errors are, and its triangles up close."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import plots
from ..grid import Grid
from ..maps import OVERVIEW_PX, SHOWN_SHARE
from ..mesh_check import Facets, Soundness
from ..plots import Bytes
from ..tiling import Tile, Window
from ..triangles import Floats
from .against import Compared
from .surface import Surface

DETAIL_TRIANGLES = 900
DETAIL_PX = 460
LIGHT = np.array([-0.5, 0.5, math.sqrt(0.5)])
"""Toward the sun: from the upper left, as hillshades are lit."""


@dataclass(frozen=True)
class Pictures:
    """What the page shows; ``errors`` is None where there was no DEM.

    Attributes
    ----------
    relief, errors
        Pictures of the whole.
    most
        Error at the ends of the colours of ``errors``.
    detail, detail_text
        SVG of some triangles, and what it shows.

    """

    relief: Bytes
    errors: Bytes | None
    most: float
    detail: str
    detail_text: str


def pictures(surface: Surface, sound: Soundness, compared: Compared | None) -> Pictures:
    """Draw them; with a DEM on its cells, else on cells of the picture."""
    relief = _relief(surface, compared)
    errors, most = (None, 0.0) if compared is None else _errors(compared)
    middle, text = _middle(surface, compared)
    return Pictures(relief, errors, most, _detail(surface, sound, middle), text)


def _relief(surface: Surface, compared: Compared | None) -> Bytes:
    grid, zoom = _cells(surface, compared)
    facets = Facets(surface.over(grid), surface.faces, grid.shape, max(grid.shape))
    whole = Window(0, 0, *grid.shape)
    heights = facets.highest(Tile(0, whole, whole))
    known = ~np.isnan(heights)
    across_m, down_m = surface.metres
    cell_m = grid.dx * across_m, grid.dy * down_m
    picture = plots.hillshade(np.where(known, heights, 0.0) * (surface.unit_m or 1.0), known, cell_m)
    return plots.enlarged(picture, zoom)


def _cells(surface: Surface, compared: Compared | None) -> tuple[Grid, int]:
    """Cells of the relief, and how many pixels wide each is drawn."""
    if compared is not None:
        grid, (rows, cols) = compared.grid, compared.shown.shape
        return Grid(rows, cols, grid.x0, grid.y0, grid.dx * compared.factor, grid.dy * compared.factor), _zoom(
            rows, cols
        )
    west, south, east, north = surface.bounds
    across_m, down_m = surface.metres
    side_m = max((east - west) * across_m, (north - south) * down_m) / OVERVIEW_PX or 1.0
    dx, dy = side_m / across_m, side_m / down_m
    rows, cols = max(round((north - south) / dy), 1), max(round((east - west) / dx), 1)
    return Grid(rows, cols, west, north, dx, dy), 1


def _zoom(rows: int, cols: int) -> int:
    return max(OVERVIEW_PX // max(rows, cols), 1)


def _errors(compared: Compared) -> tuple[Bytes, float]:
    known = ~np.isnan(compared.shown)
    most = max(float(np.quantile(np.abs(compared.shown[known]), SHOWN_SHARE)) if known.any() else 0.0, 1e-9)
    return plots.enlarged(plots.diverging(compared.shown, known, most), _zoom(*known.shape)), most


def _middle(surface: Surface, compared: Compared | None) -> tuple[tuple[float, float], str]:
    """Where to look closely: at the largest error, or else in the middle."""
    if compared is not None:
        row, col = compared.accuracy.place
        place = compared.grid.x0 + (col + 0.5) * compared.grid.dx, compared.grid.y0 - (row + 0.5) * compared.grid.dy
        return place, f"Triangles where the error is largest, around {place[0]:.9g}, {place[1]:.9g}"
    west, south, east, north = surface.bounds
    place = (west + east) / 2, (south + north) / 2
    return place, f"Triangles around the middle, {place[0]:.9g}, {place[1]:.9g}"


def _detail(surface: Surface, sound: Soundness, middle: tuple[float, float]) -> str:
    """Triangles near a place as an SVG, lit from the upper left, with their edges."""
    scale = np.array(surface.metres) if not sound.solid else np.ones(2)
    flat = (surface.vertices[:, :2] - np.array(middle)) * scale
    corners = flat[surface.faces]
    far = np.abs(corners.mean(axis=1)).max(axis=1)
    count = min(DETAIL_TRIANGLES, len(far))
    near = np.argpartition(far, count - 1)[:count]
    reach = float(far[near].max()) or 1.0
    heights = surface.vertices[surface.faces[near], 2] * (surface.unit_m or 1.0)
    order = np.argsort(heights.mean(axis=1), kind="stable")
    points = np.concatenate([corners[near], heights[..., None]], axis=2)[order]
    drawn = [_polygon(one, tone) for one, tone in zip(_placed(points, reach), _tones(points), strict=True)]
    size = f'width="{DETAIL_PX}" height="{DETAIL_PX}"'
    lines = 'stroke="#4a3a2c" stroke-width="0.6" stroke-linejoin="round"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {DETAIL_PX} {DETAIL_PX}">'
        f'<rect {size} fill="rgb{plots.NOTHING}"/><g {lines}>{"".join(drawn)}</g></svg>'
    )


def _placed(points: Floats, reach: float) -> Floats:
    """Pixels of corners, y downward."""
    pixels: Floats = (points[..., :2] * np.array([1.0, -1.0]) / reach + 1) * (DETAIL_PX / 2)
    return pixels


def _tones(points: Floats) -> Floats:
    """Brightness of each triangle, 0 to 1."""
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normals *= np.where(normals[:, 2:] < 0, -1.0, 1.0)
    lengths = np.linalg.norm(normals, axis=1)
    tones: Floats = np.clip(normals @ LIGHT / np.maximum(lengths, 1e-300), 0.15, 1.0)
    return tones


def _polygon(corners: Floats, tone: float) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    red, green, blue = (round(tone * full) for full in (255, 250, 240))
    return f'<polygon points="{text}" fill="rgb({red},{green},{blue})"/>'
