"""Lines cut into positions that are at most so far apart on the ground; the lines' own vertices are all kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import TerrainError
from ..grid import lengths_m
from ..raster import Bools, Floats
from ..vector.reading import Geometries

MOST_POSITIONS = 5_000_000
"""Positions that there is memory for."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Paths:
    """Positions along lines, ``(N,)`` each, line by line.

    Attributes
    ----------
    x, y
        In the CRS of the lines.
    line, part
        Number of the feature, and of its part among all parts of all features, from 0.
    distance_m
        Metres on the ground from where the feature begins; the gaps between its parts do not count.

    """

    x: Floats
    y: Floats
    line: Ints
    part: Ints
    distance_m: Floats

    @property
    def follows(self) -> Bools:
        """Whether a position has the next one on the same part after it, ``(N - 1,)``."""
        same: Bools = self.part[1:] == self.part[:-1]
        return same


def paths_of(geometries: Geometries, crs: str, spacing_m: float) -> Paths:
    """Positions at most ``spacing_m`` apart, evenly on each edge, edges straight in the CRS of the lines.

    Lengths are those on the ellipsoid; with an empty ``crs`` a unit is a metre. Raises :class:`TerrainError` where
    there is no line, where an edge has no length on the ground, or where there would be too many positions.
    """
    points, line, part = _vertices(geometries)
    joined = part[1:] == part[:-1]
    pieces = np.ones(len(part), dtype=np.int64)
    spans = _spans(points, joined, crs) / spacing_m
    total = float(np.ceil(spans).sum()) + len(part)
    if total > MOST_POSITIONS:
        raise TerrainError(
            f"The lines would have {total:,.0f} positions {spacing_m:.6g} m apart; {MOST_POSITIONS:,} are allowed. "
            "Give a larger spacing, or fewer lines."
        )
    # A hair of a length more than whole pieces is rounding.
    pieces[:-1] = np.maximum(np.ceil(spans - 1e-9), 1)
    owner = np.repeat(np.arange(len(part)), pieces)
    share = (np.arange(owner.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[owner]
    step = np.vstack([np.diff(points, axis=0) * joined[:, None], np.zeros((1, 2))])
    x, y = (points[owner] + share[:, None] * step[owner]).T
    return Paths(x, y, line[owner], part[owner], _distances_m(x, y, line[owner], part[owner], crs))


def _vertices(geometries: Geometries) -> tuple[Floats, Ints, Ints]:
    """Vertices ``(N, 2)`` of all parts that have a length, each different from the one before, and whose they are."""
    parts, line = shapely.get_parts(geometries, return_index=True)
    kept = np.isin(shapely.get_type_id(parts), (shapely.GeometryType.LINESTRING, shapely.GeometryType.LINEARRING))
    kept &= shapely.length(parts) > 0
    if not kept.any():
        raise TerrainError("The layer has no line with a length; choose a layer of lines.")
    points, part = shapely.get_coordinates(parts[kept], return_index=True)
    moved = np.ones(len(points), dtype=bool)
    moved[1:] = (np.diff(points, axis=0) != 0).any(axis=1) | (np.diff(part) != 0)
    return points[moved], line[kept][part[moved]].astype(np.int64), part[moved].astype(np.int64)


def _spans(points: Floats, joined: Bools, crs: str) -> Floats:
    """Lengths of edges on the ground; 0 between parts."""
    spans = lengths_m(crs, points[:, 0], points[:, 1])
    lost = joined & ~np.isfinite(spans)
    if lost.any():
        x, y = points[np.flatnonzero(lost)[0]]
        raise TerrainError(
            f"The line at {x:.8g}, {y:.8g} has no place on the ground in the CRS of its layer; repair the layer, or "
            "assign the right CRS with 'Assign projection'."
        )
    return np.where(joined, spans, 0.0)


def _distances_m(x: Floats, y: Floats, line: Ints, part: Ints, crs: str) -> Floats:
    """Metres along each line, which goes on from part to part without their gaps."""
    steps = np.where(part[1:] == part[:-1], lengths_m(crs, x, y), 0.0)
    run = np.concatenate([[0.0], np.cumsum(steps)])
    _, first, count = np.unique(line, return_index=True, return_counts=True)
    begun: Floats = run - np.repeat(run[first], count)
    return begun
