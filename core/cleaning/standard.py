"""One form for all: single valid parts in metres, classes of roads and land cover, heights and floors of buildings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import vector
from ..jobs.preparescenedata import Settings
from ..scene.anomalies import MENDED, ODD_HEIGHT, Sifted, odd_heights, sifted_polygons, sifted_roads
from ..scene.road_classes import known_words, ranks
from ..scene_files import Table, UserLayer
from ..scene_files.classes import FLOOR_M, green_of, heights_m, road_classes, water_of
from ..scene_files.layers import RESERVED, is_said
from ..scene_files.place import Shapes
from ..streets.network import RANKS, WIDTH_M

KINDS = {
    "roads": "class major, minor, service or foot, and the usual width of that class",
    "buildings": "height and floors where the layer knows either, area",
    "landcover": "class water, green or other, area",
}
"""What each layer says afterwards, for the report."""

LEAST_COVER_M2 = 1.0


@dataclass(frozen=True)
class Cleaned:
    """A layer in one form, and what is not in it.

    Attributes
    ----------
    table
        Parts that are kept, in metres, with the user's attributes after the standard ones.
    read
        Features that were read.
    lost, feature, reason, size
        Each part that was dropped or changed: its shape, the number of its feature from 1, why, and its area or length.

    """

    table: Table
    read: int
    lost: Shapes
    feature: NDArray[np.int64]
    reason: NDArray[np.object_]
    size: NDArray[np.float64]


def cleaned(name: str, layer: UserLayer, settings: Settings) -> Cleaned:
    """One layer through both stages."""
    if name == "roads":
        return _roads(layer)
    return _buildings(layer, settings) if name == "buildings" else _land_cover(layer)


def _roads(layer: UserLayer) -> Cleaned:
    sifted = sifted_roads(layer.work)
    kept = sifted.number[sifted.kept]
    rank = ranks(road_classes(layer, known_words()))[kept]
    shapes = sifted.shapes[sifted.kept]
    columns = {
        "class": np.array(RANKS, object)[rank],
        "width_m": np.asarray(WIDTH_M)[rank],
        "length_m": np.round(shapely.length(shapes), 2),
    }
    return _cleaned(Table("roads", "LineString", shapes, columns), layer, sifted, kept)


def _buildings(layer: UserLayer, settings: Settings) -> Cleaned:
    sifted = sifted_polygons(layer.work, settings.min_building, settings.z_limit)
    kept = sifted.number[sifted.kept]
    shapes = np.asarray(shapely.orient_polygons(sifted.shapes[sifted.kept]), object)
    height = heights_m(layer)[kept]
    odd = odd_heights(height, settings.z_limit)
    height[odd] = np.nan
    unknown = ~np.isfinite(height)
    floors = np.maximum(np.floor(np.where(unknown, 0.0, height) / FLOOR_M + 0.5), 1).astype(np.int64)
    columns = {"height_m": height, "floors": floors, "area_m2": np.round(shapely.area(shapes), 2)}
    table = Table("buildings", "Polygon", shapes, columns, {"floors": unknown})
    out = _cleaned(table, layer, sifted, kept)
    return Cleaned(
        out.table, out.read, np.concatenate([out.lost, shapes[odd]]), np.concatenate([out.feature, kept[odd] + 1]),
        np.concatenate([out.reason, np.full(int(odd.sum()), ODD_HEIGHT, object)]),
        np.concatenate([out.size, shapely.area(shapes[odd])]),
    )  # fmt: skip


def _land_cover(layer: UserLayer) -> Cleaned:
    sifted = sifted_polygons(layer.work, LEAST_COVER_M2, None)
    kept = sifted.number[sifted.kept]
    shapes = np.asarray(shapely.orient_polygons(sifted.shapes[sifted.kept]), object)
    wet, green = water_of(layer, all_if_unsaid=False)[kept], green_of(layer)[kept]
    words: NDArray[Any] = np.select([wet, green], ["water", "green"], "other").astype(object)
    columns = {"class": words, "area_m2": np.round(shapely.area(shapes), 2)}
    return _cleaned(Table("landcover", "Polygon", shapes, columns), layer, sifted, kept)


def _cleaned(table: Table, layer: UserLayer, sifted: Sifted, kept: NDArray[np.int64]) -> Cleaned:
    """The table with the user's attributes, and the list of what was dropped."""
    columns, missing = dict(table.columns), dict(table.missing)
    for name, values in layer.columns.items():
        gaps = layer.missing.get(name, np.zeros(len(layer), bool))[kept]
        if name in columns and is_said(values[kept], gaps, columns[name]):
            continue
        free = vector.free_name(name, [*columns, *RESERVED])
        columns[free] = values[kept]
        if name in layer.missing:
            missing[free] = gaps
    listed = ~sifted.kept | sifted.mended
    lost = sifted.shapes[listed]
    reason = np.where(sifted.kept, MENDED, sifted.reason)[listed].astype(object)
    size = shapely.length(lost) if table.kind == "LineString" else shapely.area(lost)
    whole = Table(table.name, table.kind, table.shapes, columns, missing)
    return Cleaned(whole, len(layer), lost, sifted.number[listed] + 1, reason, np.nan_to_num(size))
