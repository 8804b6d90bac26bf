"""What attributes of the user's layers say: classes of roads, heights of buildings, water and green of land cover.

Words are those of OpenStreetMap, of its common extracts, of CORINE Land Cover and of the layers that scenes have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .user_layers import UserLayer

Floats = NDArray[np.float64]

ROAD_COLUMNS = ("highway", "fclass", "class", "road_class", "type", "kind", "value", "rank")
"""Attributes that may say what a road is, the likeliest first."""

HEIGHT_COLUMNS = ("height_m", "height", "building_height", "measuredheight", "h_est", "hoehe", "hauteur")
FLOOR_COLUMNS = ("floors", "levels", "building:levels", "building_levels", "building_l", "storeys", "num_floors")
FLOOR_M = 3.1
WIDTH_COLUMN = "width_m"
MOST_WIDTH_M = 100.0
"""Roads that are said to be wider are not believed."""

WATER = frozenset(
    "water river riverbank stream canal lake reservoir basin pond sea ocean bay strait lagoon coastline dock "
    "water_body waterbody wetland glacier harbour marina".split()
)
PARKS = frozenset(
    "park forest wood garden cemetery recreation_ground village_green nature_reserve golf_course pitch playground "
    "common".split()
)
GREEN = PARKS | frozenset("green grass meadow orchard scrub heath grassland allotments farmland vineyard".split())
CORINE = re.compile(r"[1-5]\d\d")
SIZE = re.compile(r"""\s*(?P<number>\d+(?:[.,]\d+)?)\s*(?P<feet>ft\b|feet\b|foot\b|')?\s*(?P<inches>\d+)?""", re.I)
FOOT_M = 0.3048
CODED = re.compile(r"code|.*(clc|corine)", re.IGNORECASE)
"""Names of attributes whose numbers are CORINE's."""


def text_columns(layer: UserLayer) -> dict[str, list[str]]:
    """Attributes that are text, or whole numbers named like a code, as lower-case words."""
    found = {}
    for name, values in layer.columns.items():
        if values.dtype.kind == "O" or (values.dtype.kind in "iu" and CODED.match(name)):
            found[name] = ["" if value is None else str(value).strip().lower() for value in values]
    return found


def road_classes(layer: UserLayer, known: Iterable[str]) -> list[str]:
    """The class of each road by the first attribute that holds a known one; empty where none does."""
    words, texts = set(known), text_columns(layer)
    by_name = {name.lower(): values for name, values in texts.items()}
    ordered = [by_name[name] for name in ROAD_COLUMNS if name in by_name]
    for values in ordered:
        if any(value in words for value in values):
            return values
    return [""] * len(layer)


def road_widths_m(layer: UserLayer, usual_m: Floats) -> Floats:
    """Width between kerbs of each road: what its attribute says in metres, else the usual one."""
    said = next((name for name in layer.columns if name.lower() == WIDTH_COLUMN), None)
    if said is None:
        return usual_m
    values = _numbers(layer, said)
    return np.where((values > 0) & (values <= MOST_WIDTH_M), values, usual_m)


def heights_m(layer: UserLayer) -> Floats:
    """Height of each building, not a number where neither a height nor floors are known."""
    found = np.full(len(layer), np.nan)
    by_name = {name.lower(): name for name in layer.columns}
    for names, factor in ((HEIGHT_COLUMNS, 1.0), (FLOOR_COLUMNS, FLOOR_M)):
        for name in names:
            if name in by_name:
                values = _numbers(layer, by_name[name]) * factor
                found = np.where(np.isfinite(found), found, np.where(values > 0, values, np.nan))
    return found


def _numbers(layer: UserLayer, name: str) -> Floats:
    values: NDArray[Any] = layer.columns[name]
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        numbers[layer.missing.get(name, np.zeros(len(layer), bool))] = np.nan
        return numbers
    return np.array([_number(value) for value in values], np.float64)


def _number(value: object) -> float:
    """The number that a text begins with, such as 12 of ``12 m``; feet and inches (``30 ft``, ``5'6"``) in metres."""
    match = SIZE.match("" if value is None else str(value))
    if match is None:
        return float("nan")
    number = float(match["number"].replace(",", "."))
    return FOOT_M * (number + float(match["inches"] or 0) / 12) if match["feet"] else number


def water_of(layer: UserLayer, *, all_if_unsaid: bool) -> NDArray[np.bool_]:
    """Which polygons are water; of a layer that names neither water nor green, all or none."""
    said = _classed(layer, WATER, ("51", "52"))
    unsaid = not (said.any() or green_of(layer).any())
    return np.ones(len(layer), bool) if all_if_unsaid and unsaid else said


def green_of(layer: UserLayer) -> NDArray[np.bool_]:
    """Which polygons are parks, woods, fields and the like."""
    return _classed(layer, GREEN, ("141", "142", "2", "3"))


def parks_of(layer: UserLayer) -> NDArray[np.bool_]:
    """Which polygons are green that nobody builds on: parks, woods, cemeteries, playgrounds."""
    return _classed(layer, PARKS, ("141", "142", "31"))


def _classed(layer: UserLayer, words: frozenset[str], corine: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which polygons an attribute gives one of some words, or CORINE codes that begin so."""
    said = np.zeros(len(layer), bool)
    for name, values in text_columns(layer).items():
        codes = corine if CODED.match(name) else ()
        said |= np.array([v in words or bool(CORINE.fullmatch(v)) and v.startswith(codes) for v in values], bool)
    return said


def polygons_of(shapes: NDArray[Any]) -> NDArray[Any]:
    """The single polygons of mended shapes."""
    parts = shapely.get_parts(shapely.get_parts(shapes))
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
    return np.asarray(parts[keep], object)
