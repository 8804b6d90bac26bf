"""Heights along lines, and the unbroken stretches between voids with their lengths, extremes and climbs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import shapely

from ..attributes import FLAT
from ..continuous import Continuous
from ..grid import change_of_crs, places_on
from ..progress import Progress
from ..querying.asking import ask
from ..raster import Bools, Floats
from ..vector.reading import Geometries
from .paths import Ints, Paths

LINE_ZM = 3002
"""Number of lines with z and m in WKB (ISO 13249-3)."""

SAME_SHARE = 1e-6
"""Heights of flat ground that differ by less than this share of themselves differ by rounding."""


@dataclass(frozen=True)
class Profile:
    """What the surface is along lines, ``(N,)`` each; NaN where nothing is known.

    Attributes
    ----------
    paths
        The positions.
    elevation, error90
        Height and half width of the 90 % band in the vertical unit of the DEM; the band is None where the model does
        not know it.
    slope_deg
        Steepness in the direction of the line, in degrees, positive uphill: at a vertex that of the edge that begins
        there, at the end of the line that of the last edge.

    """

    paths: Paths
    elevation: Floats
    slope_deg: Floats
    error90: Floats | None

    @property
    def known(self) -> Bools:
        """Where there is a height."""
        known: Bools = np.isfinite(self.elevation)
        return known


@dataclass(frozen=True)
class Stretches:
    """Unbroken stretches of lines, ``(S,)`` each.

    Attributes
    ----------
    lines
        Geometries with z and m, the distance in metres from where the feature begins.
    line, part
        Number of the feature from 0, and of the stretch on it from 1.
    length_m
        Metres on the ground.
    low, high, ascent, descent
        Extremes and sums of all rises and falls from position to position, in the vertical unit of the DEM.

    """

    lines: Geometries
    line: Ints
    part: Ints
    length_m: Floats
    low: Floats
    high: Floats
    ascent: Floats
    descent: Floats


def profile_of(ground: Continuous, paths: Paths, crs: str, progress: Progress) -> Profile:
    """Ask the surface along lines in ``crs``."""
    change = change_of_crs(crs, ground.grid.crs)
    x, y = (paths.x, paths.y) if change is None else change(paths.x, paths.y)
    placed = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(placed, x, np.nan), np.where(placed, y, np.nan)
    found = ask(ground, x, y, 1, progress)
    azimuth_deg = _azimuth_deg(ground, paths, x, y)
    slope_deg = _along_deg(found["slope_deg"], found["aspect_deg"], azimuth_deg)
    return Profile(paths, found["elevation"], slope_deg, found.get("error90"))


def stretches_of(profile: Profile) -> Stretches:
    """Stretches of at least two positions that follow each other and have heights."""
    paths, known = profile.paths, profile.known
    joined = paths.follows & known[1:] & known[:-1]
    begins = np.flatnonzero(np.diff(joined, prepend=False).astype(bool) & joined) if joined.any() else np.empty(0, int)
    within = np.concatenate([joined, [False]]) | np.concatenate([[False], joined])
    at = np.flatnonzero(within)
    number = np.searchsorted(begins, at, side="right") - 1
    starts = np.searchsorted(number, np.arange(len(begins)))
    ends = np.append(starts[1:], at.size)[: len(begins)] - 1
    heights, along = profile.elevation[at], paths.distance_m[at]
    line = paths.line[at][starts]
    rises = np.where(np.diff(number) == 0, rises_of(heights, profile.slope_deg[at]), 0.0) if at.size else np.empty(0)
    coordinates = np.column_stack([paths.x[at], paths.y[at], heights, along])
    return Stretches(
        _lines(coordinates, starts, ends + 1),
        line,
        _counted(line),
        along[ends] - along[starts],
        np.minimum.reduceat(heights, starts) if at.size else np.empty(0),
        np.maximum.reduceat(heights, starts) if at.size else np.empty(0),
        _sums(number[1:], np.maximum(rises, 0.0), len(begins)),
        _sums(number[1:], np.maximum(-rises, 0.0), len(begins)),
    )


def rises_of(heights: Floats, slope_deg: Floats) -> Floats:
    """Rises from position to position, ``(N - 1,)``: 0 where flat ground differs by rounding only."""
    rises = np.diff(heights)
    level = (slope_deg[1:] == 0) & (slope_deg[:-1] == 0)
    return np.where(level & (np.abs(rises) < same_height(heights[1:])), 0.0, rises)


def same_height(heights: Floats) -> Floats:
    """Below what difference heights are the same but for rounding."""
    same: Floats = SAME_SHARE * np.maximum(np.abs(heights), 1.0)
    return same


def _sums(number: Ints, values: Floats, count: int) -> Floats:
    sums: Floats = np.bincount(number, values, count).astype(np.float64)
    return sums


def _lines(coordinates: Floats, starts: Ints, ends: Ints) -> Geometries:
    """Lines with z and m, by way of WKB: shapely makes no m from arrays."""
    coded = [
        struct.pack("<BII", 1, LINE_ZM, end - start) + coordinates[start:end].astype("<f8").tobytes()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    lines: Geometries = np.asarray(shapely.from_wkb(np.array(coded, dtype=object)), dtype=object)
    return lines


def _azimuth_deg(ground: Continuous, paths: Paths, x: Floats, y: Floats) -> Floats:
    """Direction of the lines on the ground at each position, clockwise from the north of the DEM."""
    grid = ground.grid
    rows, cols = places_on(grid, x, y)
    width_m, height_m = (np.interp(rows[:-1], np.arange(grid.rows) + 0.5, size) for size in ground.cell_m)
    ahead = np.arctan2(np.diff(cols) * width_m, -np.diff(rows) * height_m)
    leaves, comes = np.append(ahead, np.nan), np.append(np.nan, ahead)
    goes_on = np.append(paths.follows, False) & np.isfinite(leaves)
    azimuth: Floats = np.degrees(np.where(goes_on, leaves, comes))
    return azimuth


def _along_deg(slope_deg: Floats, aspect_deg: Floats, azimuth_deg: Floats) -> Floats:
    """Steepness in a direction of ground that falls most steeply towards ``aspect_deg`` (NaN: flat); 0 where flat."""
    off = np.radians(np.where(np.isfinite(aspect_deg), azimuth_deg - aspect_deg, 0.0))
    rise = -np.tan(np.radians(slope_deg)) * np.cos(off)
    along: Floats = np.degrees(np.arctan(np.where(np.abs(rise) < FLAT, 0.0, rise)))
    return along + 0.0


def _counted(line: Ints) -> Ints:
    """Numbers from 1 within each run of equal numbers."""
    _, first, count = np.unique(line, return_index=True, return_counts=True)
    numbers: Ints = np.arange(line.size) - np.repeat(first, count) + 1
    return numbers
