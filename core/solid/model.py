"""From the ground to the model: the scale, and where a place of the DEM is in millimetres.

Imports numpy and shapely, and the ground of core.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import MultiPolygon

from ..errors import TerrainError
from ..grid import WARP_HINT, Change, true_plane
from . import outline
from .ground import Floats, Ground

LARGEST_MM = 180.0
"""Models whose scale nobody chose are at most as large, which fits common printers."""

STRAIGHT_CELLS = 8.0
"""Where the plane bends straight lines of the DEM, outlines get vertices at this distance."""

BENDING_TILE = 64
"""Where the plane bends lines, edges of triangles are at most about as many cells long."""


@dataclass(frozen=True)
class Relief:
    """Heights in metres that decide how high a model is: the lowest and highest, and the base plane if it is given."""

    lowest_m: float
    highest_m: float
    base_m: float | None


@dataclass(frozen=True)
class Plane:
    """A plane of true lengths around a piece of ground.

    Attributes
    ----------
    ground
        The cells that lie in it.
    change
        Takes x and y of the CRS to metres in the plane.
    crs
        Of the plane; empty where it is that of the DEM, or none.

    """

    ground: Ground
    change: Change
    crs: str

    def metres(self, cells: Floats) -> Floats:
        """Places in the plane (N, 2) of cell coordinates (N, 2)."""
        places = self.ground.to_crs(cells)
        x, y = self.change(places[:, 0], places[:, 1])
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise TerrainError(f"Parts of the DEM lie outside its CRS; cut them off, or {WARP_HINT}.")
        return np.column_stack([x, y])

    def outline_m(self, area: MultiPolygon) -> MultiPolygon:
        """An area in cell coordinates as one in metres."""
        dense = shapely.segmentize(area, STRAIGHT_CELLS) if self.crs else area
        return outline.moved(dense, self.metres)

    def named(self, place_m: tuple[float, float]) -> tuple[float, float]:
        """A place of the plane in its CRS: that of the DEM where the plane has none of its own."""
        if self.crs:
            return place_m
        unit_m = float(self.change(np.ones(1), np.ones(1))[0][0])
        return place_m[0] / unit_m, place_m[1] / unit_m

    def cell_m(self) -> tuple[float, float]:
        """Width and height of the middle cell."""
        rows, cols = self.ground.grid.shape
        centre, right, below = self.metres(np.array([[cols, rows], [cols + 2, rows], [cols, rows + 2]]) / 2)
        return math.dist(centre, right), math.dist(centre, below)

    def cell_areas_m2(self) -> Floats:
        """Areas of the cells by row, (rows, 1), those of the middle column."""
        rows, cols = self.ground.grid.shape
        corners = [self.metres(np.column_stack([np.full(rows + 1, cols / 2 + side), np.arange(rows + 1.0)]))
                   for side in (-0.5, 0.5)]  # fmt: skip
        across, other = corners[1][1:] - corners[0][:-1], corners[1][:-1] - corners[0][1:]
        areas: Floats = np.abs(across[:, 0] * other[:, 1] - across[:, 1] * other[:, 0])[:, None] / 2
        return areas


@dataclass(frozen=True)
class Model:
    """How metres become millimetres.

    Attributes
    ----------
    plane
        Where the ground lies.
    scale
        The N of 1:N.
    z_factor
        Vertical exaggeration.
    origin_m
        The place in the plane that is x = y = 0, the lower left corner of the outline's bounds.
    datum_m
        The height that is z = 0 until the base is known.
    unit
        That of the DEM's heights, a name of ``vertical.METRES``.
    base_m
        Height of the base plane where the user has given one.

    """

    plane: Plane
    scale: float
    z_factor: float
    origin_m: tuple[float, float]
    datum_m: float
    unit: str = "metre"
    base_m: float | None = None

    @property
    def mm_per_m(self) -> float:
        """Millimetres of the model for a metre on the ground."""
        return 1000.0 / self.scale

    @property
    def z_mm_per_m(self) -> float:
        """Millimetres of the model for a metre of height."""
        return self.mm_per_m * self.z_factor

    def places_mm(self, cells: Floats) -> Floats:
        """Places on the model (N, 2) of cell coordinates (N, 2)."""
        return self.flat_mm(self.plane.metres(cells))

    def flat_mm(self, places_m: Floats) -> Floats:
        """Places on the model (N, 2) of those in the plane (N, 2)."""
        placed: Floats = (places_m - self.origin_m) * self.mm_per_m
        return placed

    def heights_mm(self, heights_m: Floats) -> Floats:
        """Heights on the model, counted from the datum."""
        return (heights_m - self.datum_m) * self.z_mm_per_m

    def height_m(self, z_mm: float) -> float:
        """The height that a z of the model stands for, as long as z counts from the datum."""
        return self.datum_m + z_mm / self.z_mm_per_m


def plane_of(ground: Ground) -> Plane:
    """A plane around a piece of ground."""
    return Plane(ground, *true_plane(ground.grid))


def scale_for(size_m: tuple[float, float], relief: Relief, z_factor: float, base_mm: float) -> float:
    """The smallest N of 1, 2, 5, 10, 20, 50 ... whose model 1:N fits :data:`LARGEST_MM` each way."""
    low_m = relief.lowest_m if relief.base_m is None else relief.base_m
    base_mm = base_mm if relief.base_m is None else 0.0
    for scale in _round_scales():
        height_mm = (relief.highest_m - low_m) * 1000 / scale * z_factor + base_mm
        if max(size_m) * 1000 / scale <= LARGEST_MM and height_mm <= LARGEST_MM:
            break
        if scale > 1e10:
            raise TerrainError(f"A base of {base_mm:g} mm fits no model of {LARGEST_MM:g} mm; give MODEL_SCALE.")
    return scale


def _round_scales() -> Iterator[float]:
    return (step * 10.0**power for power in itertools.count(-3) for step in (1, 2, 5))


def spoken_scale(scale: float) -> str:
    """``1:25 000``."""
    digits = f"{scale:,.0f}" if scale >= 100 else f"{scale:g}"
    return f"1:{digits.replace(',', ' ')}"


def spoken_mm(sizes: tuple[float, float, float]) -> str:
    """``152 x 98 x 34.1 mm``, with three digits each."""
    return f"{' x '.join(_digits(size) for size in sizes)} mm"


def _digits(value: float) -> str:
    places = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{min(places, 4)}f}"
