"""The points that a surface is fitted to, and breaklines: read from layers and point clouds into one CRS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import grid as grids
from ..errors import TerrainError
from ..jobs.fitsurface import Settings
from ..progress import Progress
from ..raster import Bools, Floats
from ..vector import Features, Piece, of_points
from ..vector.lidar import classes_in, crs_of_las, las_points
from .tin import File, Tin

FEWEST = 10
"""Points below which no surface is fitted."""


@dataclass(frozen=True)
class Cloud:
    """Points with heights.

    Attributes
    ----------
    x, y
        Coordinates in ``crs``, ``(N,)``.
    heights
        In ``unit``, ``(N,)``.
    crs
        WKT; empty where unknown.
    unit
        One of :data:`.vertical.METRES`.

    """

    x: Floats
    y: Floats
    heights: Floats
    crs: str
    unit: str

    def __len__(self) -> int:
        """Number of points."""
        return int(self.x.size)

    def where(self, chosen: Bools | NDArray[np.int64]) -> Cloud:
        """Some of the points."""
        return replace(self, x=self.x[chosen], y=self.y[chosen], heights=self.heights[chosen])

    def stands_on(self, places: Floats) -> Bools:
        """Which of the points stand exactly on one of the places, ``(N, 2)``."""
        found: Bools = np.isin(self.x + 1j * self.y, places[:, 0] + 1j * places[:, 1])
        return found

    def with_points(self, points: Floats) -> Cloud:
        """These points and more, ``(N, 3)``, behind them."""
        x, y, heights = (np.concatenate(pair) for pair in zip((self.x, self.y, self.heights), points.T, strict=True))
        return replace(self, x=x, y=y, heights=heights)


def read(settings: Settings, progress: Progress) -> tuple[Cloud, Tin | None]:
    """All points that the settings name, with the vertices of the TIN, and the TIN.

    Each place counts once: of points at the same place the mean height.
    """
    progress.report(0, "Reading the points")
    file, tin = File.of(settings), None
    crs, points = _points(settings, file, progress)
    if not crs:
        progress.warn(
            "The points have no CRS; their horizontal unit is taken as metres. Assign one with 'Assign projection'."
        )
    unit = _unit(settings, crs, file.unit if file and not len(points) else "", progress)
    without = not len(points) and bool(settings.las or settings.input)
    if file:
        tin = file.placed(crs, unit, progress)
        points = np.concatenate([points, tin.vertices])
    points = _each_place_once(points, progress)
    if len(points) < FEWEST or without:
        raise _too_few(settings, 0 if without else len(points))
    return Cloud(points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy(), crs, unit), tin


def _points(settings: Settings, file: File | None, progress: Progress) -> tuple[str, Floats]:
    """CRS and points of the layer or the point cloud; the CRS alone where only a TIN is given."""
    if settings.las:
        return crs_of_las(settings.las), _together(las_points(settings.las, settings.classes), progress)
    if settings.input:
        features = Features(settings.input, settings.input_layer)
        return features.crs, _together(_layer_points(features, settings.field), progress)
    return file.crs if file else "", np.zeros((0, 3))


def _unit(settings: Settings, crs: str, said: str, progress: Progress) -> str:
    """Unit of the heights: what the user, a file or the vertical CRS says, else metres."""
    found = settings.z_unit if settings.z_unit != "auto" else said or grids.vertical_unit(crs)
    if not found:
        progress.info("The vertical unit of the points is not stated, so it is taken for metres.")
    return found or "metre"


def read_breaklines(settings: Settings, cloud: Cloud, step: float, spacing: float) -> tuple[Floats, Floats]:
    """Places along the breaklines, at most ``step`` apart, ``(N, 2)``, and points on them where they have heights.

    These, ``(N, 3)``, are as far apart as others, ``spacing``, lest they count more.
    """
    if not settings.breaklines:
        return np.zeros((0, 2)), np.zeros((0, 3))
    features = Features(settings.breaklines, settings.breaklines_layer)
    if cloud.crs and not features.crs:
        raise TerrainError(f"The breaklines {features.path} have no CRS; give them one with 'Assign projection'.")
    lines = shapely.get_parts(features.geometries())
    lines = lines[shapely.get_type_id(lines) == shapely.GeometryType.LINESTRING]
    if not len(lines):
        raise TerrainError(f"The layer {features.layer} of {features.path} has no lines; choose one with breaklines.")
    change = grids.change_of_crs(features.crs, cloud.crs)
    if change is not None:
        lines = shapely.transform(lines, lambda xyz: np.column_stack([*change(xyz[:, 0], xyz[:, 1]), xyz[:, 2]]),
                                  include_z=True)  # fmt: skip
    places, raised = (
        shapely.get_coordinates(shapely.segmentize(lines, apart), include_z=True) for apart in (step, spacing)
    )
    places, raised = places[np.isfinite(places[:, :2]).all(axis=1)], raised[np.isfinite(raised).all(axis=1)]
    return places[:, :2], raised


def _layer_points(features: Features, field: str) -> Iterator[Floats]:
    """Points of a layer as ``(N, 3)``; multipoints count point by point."""
    if field and field not in features.names:
        raise TerrainError(
            f"The layer {features.layer} has no attribute {field!r}; it has {', '.join(features.names) or 'none'}."
        )
    for piece in features.pieces([field] if field else []):
        coordinates, of_feature = shapely.get_coordinates(piece.geometries, include_z=True, return_index=True)
        points_only = of_points(piece.geometries)[of_feature]
        coordinates, of_feature = coordinates[points_only], of_feature[points_only]
        if field:
            coordinates[:, 2] = _numbers(piece, features, field)[of_feature]
        yield coordinates


def _numbers(piece: Piece, features: Features, field: str) -> Floats:
    """An attribute as numbers, NaN where it has no value."""
    values = piece.columns[field]
    if values.dtype.kind not in "iuf":
        raise TerrainError(f"The attribute {field} of {features.layer} holds no numbers; choose one with heights.")
    missing = piece.missing.get(field)
    numbers = values.astype(np.float64)
    return numbers if missing is None else np.where(missing, np.nan, numbers)


def _together(pieces: Iterator[Floats], progress: Progress) -> Floats:
    kept, without, count = [], 0, 0
    for piece in pieces:
        progress.check()
        known = np.isfinite(piece).all(axis=1)
        without += int(np.count_nonzero(~known))
        kept.append(piece[known])
        count += len(kept[-1])
        progress.report(0, f"Reading point {count}")
    if without:
        progress.warn(f"{without} points have no height; they are left out.")
    return np.concatenate(kept) if kept else np.zeros((0, 3))


def _too_few(settings: Settings, count: int) -> TerrainError:
    if settings.las:
        held = ", ".join(f"{number}: {count}" for number, count in sorted(classes_in(settings.las).items()))
        return TerrainError(
            f"The point cloud {settings.las} has too few points of the classes "
            f"{', '.join(map(str, settings.classes)) or 'asked for'} ({count}, at least {FEWEST} are needed); it "
            f"has (class: points) {held or 'none'}."
        )
    if not settings.input:
        return TerrainError(
            f"The TIN {settings.tin} has too few vertices ({count}, at least {FEWEST} are needed); give points as well."
        )
    return TerrainError(
        f"The layer {settings.input_layer or settings.input} has too few places with a height ({count}, at least "
        f"{FEWEST} are needed); give the points z or name the attribute with the heights (FIELD)."
    )


def _each_place_once(points: Floats, progress: Progress) -> Floats:
    """Mean heights of points at the same place; sorted by place, so that their order cannot matter."""
    points = points[np.lexsort((points[:, 2], points[:, 0], points[:, 1]))]
    new = np.ones(len(points), dtype=bool)
    new[1:] = (np.diff(points[:, :2], axis=0) != 0).any(axis=1)
    first = np.flatnonzero(new)
    if first.size == len(points):
        return points
    progress.info(f"{len(points) - first.size} points share their place with others; the mean height counts.")
    counts = np.diff(np.append(first, len(points)))
    found = points[first]
    found[:, 2] = np.add.reduceat(points[:, 2], first) / counts
    return found
