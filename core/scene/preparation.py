"""Two-stage preprocessing of real towns: an anomaly filter that lists what it drops, then standardisation.

Stage 1 drops what cannot be a building or a road: empty or broken shapes, duplicates, sizes and heights far outside the
robust spread of their own town. Stage 2 brings the rest to one form: metres, single parts, valid rings in one
orientation, one rank per road. Imports the door to vector files, shapely and errors; knows no rasters.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import TerrainError
from ..vector import Features, layers_of
from .anomalies import ODD_HEIGHT, odd_heights, sifted_polygons, sifted_roads
from .road_classes import MINOR, ranks

SMALLEST_BUILDING_M2 = 8.0
Z_LIMIT = 4.0
"""Robust z-score of the logarithm of size and height beyond which a feature is an anomaly."""


@dataclass(frozen=True)
class Town:
    """The cleaned features of one place, in metres of a local CRS.

    ``height_m`` is not a number where no height is known. An empty layer means *not mapped*, never *none there*.
    """

    name: str
    crs: str
    buildings: NDArray[Any]
    height_m: NDArray[np.float64]
    roads: NDArray[Any]
    rank: NDArray[np.int64]
    dropped: Counter = field(default_factory=Counter)

    @property
    def has_heights(self) -> bool:
        """Whether at least every tenth building has a height."""
        return bool(len(self.buildings)) and float(np.isfinite(self.height_m).mean()) >= 0.1


def moved(town: Town, east_m: float, north_m: float) -> Town:
    """The town elsewhere."""
    buildings, roads = (
        np.asarray(shapely.transform(shapes, lambda points: points + (east_m, north_m)), object)
        for shapes in (town.buildings, town.roads)
    )
    return replace(town, buildings=buildings, roads=roads)


def read_town(path: Path, z_limit: float = Z_LIMIT, smallest_m2: float = SMALLEST_BUILDING_M2) -> Town:
    """Read, filter and standardise the layers ``buildings`` and ``roads`` of one GeoPackage; either may lack."""
    shapes, fields, crs = _read(path, "buildings", "h_est")
    built = shapes, _column(fields, "h_est", len(shapes))
    lines, fields, road_crs = _read(path, "roads", "value")
    paved = lines, ranks(fields["value"]) if "value" in fields else np.full(len(lines), MINOR)
    town = cleaned(path.stem, crs or road_crs, built, paved, (z_limit, smallest_m2))
    if not len(town.buildings) and not len(town.roads):
        raise TerrainError(
            f"{path} has no usable buildings or roads; give a GeoPackage with layers buildings and roads."
        )
    return town


def cleaned(
    name: str, crs: str, built: tuple[NDArray[Any], NDArray[np.float64]], paved: tuple[NDArray[Any], NDArray[np.int64]],
    limits: tuple[float, float] = (Z_LIMIT, SMALLEST_BUILDING_M2),
) -> Town:  # fmt: skip
    """A town of what is credible among buildings with their heights and roads with their ranks.

    ``limits`` are the largest robust z-score and the smallest building in m2.
    """
    dropped: Counter = Counter()
    buildings, height_m = _clean_buildings(*built, dropped, limits)
    roads, rank = _clean_roads(*paved, dropped)
    return Town(name, crs, buildings, height_m, roads, rank, dropped)


def _read(path: Path, layer: str, column: str) -> tuple[NDArray[Any], dict[str, NDArray[Any]], str]:
    """Geometries of a layer, one of its columns if it has that, and its CRS; nothing where the layer lacks."""
    if layer not in layers_of(str(path)):
        return np.array([], object), {}, ""
    features = Features(str(path), layer)
    pieces = list(features.pieces([column] if column in features.names else []))
    columns = {column: np.concatenate([p.columns[column] for p in pieces])} if column in features.names else {}
    return np.concatenate([p.geometries for p in pieces]), columns, features.crs


def _column(fields: dict[str, NDArray[Any]], name: str, count: int) -> NDArray[np.float64]:
    values = fields.get(name)
    return np.full(count, np.nan) if values is None else values.astype(np.float64)


def _clean_buildings(
    shapes: NDArray[Any], height_m: NDArray[np.float64], dropped: Counter, limits: tuple[float, float]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Valid single polygons of a credible size, shells anticlockwise; incredible heights become unknown."""
    z_limit, smallest_m2 = limits
    sifted = sifted_polygons(shapes, smallest_m2, 2 * z_limit)
    dropped.update(f"building: {reason}" for reason in sifted.reason if reason)
    kept = sifted.kept
    parts, height_m = shapely.orient_polygons(sifted.shapes[kept]), height_m[sifted.number[kept]].copy()
    odd = odd_heights(height_m, 2 * z_limit)
    dropped[f"building: {ODD_HEIGHT}"] += int(odd.sum())
    height_m[odd] = np.nan
    return parts, height_m


def _clean_roads(
    lines: NDArray[Any], rank: NDArray[np.int64], dropped: Counter
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Single lines longer than a metre with their rank."""
    sifted = sifted_roads(lines)
    dropped.update(f"road: {reason}" for reason in sifted.reason if reason)
    return sifted.shapes[sifted.kept], rank[sifted.number[sifted.kept]]
