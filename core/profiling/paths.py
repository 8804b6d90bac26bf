"""Lines cut into positions that are at most so far apart on the ground; the lines' own vertices are all kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import TerrainError
from ..grid import lengths_m, unit_m
from ..raster import Bools, Floats
from ..vector.reading import Geometries

MOST_POSITIONS = 5_000_000
"""Positions that there is memory for."""

PIECE_M, MOST_PIECES = 20_000.0, 256
"""Edges are measured in pieces of about this length, and in no more of them."""

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
    _, widest_m = _on_the_ground(points, joined, crs)
    _require_places(points, joined, widest_m)
    # A hair of a length more than whole pieces is rounding.
    wanted = np.ceil(np.where(joined, widest_m, 0.0) / spacing_m - 1e-9)
    if wanted.sum() + len(part) > MOST_POSITIONS:
        raise TerrainError(
            f"The lines would have {wanted.sum() + len(part):,.0f} positions {spacing_m:.6g} m apart; "
            f"{MOST_POSITIONS:,} are allowed. Give a larger spacing, or fewer lines."
        )
    places, owner = _cut(points, joined, wanted)
    steps_m, _ = _on_the_ground(places, np.diff(part[owner]) == 0, crs)
    return Paths(places[:, 0], places[:, 1], line[owner], part[owner], _distances_m(steps_m, line[owner]))


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


def _on_the_ground(points: Floats, joined: Bools, crs: str) -> tuple[Floats, Floats]:
    """Lengths of edges in metres, ``(N - 1,)``, 0 where points are not ``joined``; and what their pieces have to be.

    A geodesic between the ends would leave an edge that is straight in its CRS, so long edges are measured in pieces.
    The second length is that of as many pieces as there are, all as long as the longest. Not finite where an edge has
    no place.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.hypot(*np.diff(points, axis=0).T) * unit_m(crs) / PIECE_M
    pieces = np.minimum(np.ceil(np.where(joined & np.isfinite(reach), reach, 1.0)), MOST_PIECES)
    places, owner = _cut(points, joined, pieces)
    lengths = np.append(lengths_m(crs, *places.T), 0.0)
    lengths[np.append(np.diff(owner) != 0, True)] *= np.append(joined, False)
    first = np.searchsorted(owner, np.arange(len(points) - 1))
    total, longest = (gather.reduceat(lengths, first) for gather in (np.add, np.maximum))
    return total, longest * np.maximum(pieces, 1)


def _cut(points: Floats, joined: Bools, pieces: Floats) -> tuple[Floats, Ints]:
    """Points with others evenly between them that cut each edge into ``pieces`` (at least one), and whose they are."""
    counts = np.append(np.where(joined, np.maximum(pieces, 1), 1), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(points)), counts)
    share = (np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[owner]
    step = np.vstack([np.where(joined[:, None], np.diff(points, axis=0), 0.0), np.zeros((1, 2))])
    return points[owner] + share[:, None] * step[owner], owner


def _require_places(points: Floats, joined: Bools, lengths: Floats) -> None:
    lost = joined & ~np.isfinite(lengths)
    if lost.any():
        x, y = points[np.flatnonzero(lost)[0]]
        raise TerrainError(
            f"The line at {x:.8g}, {y:.8g} has no place on the ground in the CRS of its layer; repair the layer, or "
            "assign the right CRS with 'Assign projection'."
        )


def _distances_m(steps_m: Floats, line: Ints) -> Floats:
    """Metres along each line, which goes on from part to part without their gaps."""
    run = np.concatenate([[0.0], np.cumsum(steps_m)])
    _, first, count = np.unique(line, return_index=True, return_counts=True)
    begun: Floats = run - np.repeat(run[first], count)
    return begun
