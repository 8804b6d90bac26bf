"""Placed cell grids as values: shape, edges, cell size, CRS; finer grids over coarser ones; metres per cell.

A :class:`Grid` is north-up: row 0 is the northernmost. ``x`` and ``y`` are the horizontal coordinates of the CRS, ``x``
to the east; a cell ``(row, col)`` covers ``x0 + col * dx`` to ``x0 + (col + 1) * dx`` and ``y0 - row * dy`` downward.
The only module that imports pyproj.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion
from pyproj.exceptions import CRSError, ProjError

from .errors import TerrainError
from .vertical import unit_of

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

MAX_SCALE = 16.0
TOLERANCE_PX = 1e-6
"""Cell counts and extents within this share of a cell of a whole number are taken as whole."""

TRUE_LENGTHS = 1e-3
"""Lengths of a projected CRS that are off by less than this share are taken as they are."""

LARGEST_MAP = 1e9
"""Coordinates beyond this lie on no map of the Earth, in whatever unit: a projection has run off to infinity."""

POSITION_PARTS = 2.0**30
"""Positions are whole multiples of this part of a cell, so that counting them from any other cell stays exact."""

COARSEN_HINT = "use 'Warp (reproject)' with average resampling to make a DEM coarser"
WARP_HINT = "reproject with 'Warp (reproject)' first"


@dataclass(frozen=True)
class Grid:
    """A north-up raster plane.

    Attributes
    ----------
    rows, cols
        Number of cells.
    x0, y0
        Outer corner of the upper left cell (west edge, north edge), in CRS units.
    dx, dy
        Cell width and height, both positive, in CRS units.
    crs
        WKT, or empty where unknown.

    """

    rows: int
    cols: int
    x0: float
    y0: float
    dx: float
    dy: float
    crs: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.rows, self.cols

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of the outer edges."""
        return self.x0, self.y0 - self.rows * self.dy, self.x0 + self.cols * self.dx, self.y0


@dataclass(frozen=True)
class Axis:
    """Fine cells along one axis, in coarse cells: cell ``i`` is centred at ``origin + (first + i + 0.5) * step``.

    ``first`` counts from the uncropped target, so that a crop computes the very same positions.
    """

    origin: float
    step: float
    first: int
    count: int

    def centres(self, start: int, stop: int) -> NDArray[np.float64]:
        """Centres of fine cells ``start`` to ``stop``, in coarse cells; multiples of ``1 / POSITION_PARTS``."""
        exact = self.origin + (np.arange(self.first + start, self.first + stop) + 0.5) * self.step
        return np.round(exact * POSITION_PARTS) / POSITION_PARTS

    @property
    def scale(self) -> float:
        """How many fine cells make a coarse one."""
        return 1 / self.step


@dataclass(frozen=True)
class Target:
    """A finer grid over a source: where its cells are on the ground, and where in the source."""

    grid: Grid
    rows: Axis
    cols: Axis


def zoom(source: Grid, scale: float) -> Target:
    """Divide each cell side exactly by ``scale``; the upper left cell edge stays, the last cell may stick out."""
    return _finer(source, (source.dx / scale, 1 / scale), (source.dy / scale, 1 / scale))


def of_cell_size(source: Grid, size: float) -> Target:
    """Square cells of ``size`` CRS units from the same corner."""
    return _finer(source, (size, size / source.dx), (size, size / source.dy))


def like(source: Grid, other: Grid) -> Target:
    """The cells of ``other``, which must be in the same CRS."""
    if not same_crs(source.crs, other.crs):
        raise TerrainError(
            f"The target grid is in {crs_name(other.crs)}, the DEM in {crs_name(source.crs)}; {WARP_HINT}."
        )
    rows = Axis((source.y0 - other.y0) / source.dy, other.dy / source.dy, 0, other.rows)
    cols = Axis((other.x0 - source.x0) / source.dx, other.dx / source.dx, 0, other.cols)
    if not overlap(source.bounds, other.bounds):
        raise TerrainError(f"The target grid {_text(other.bounds)} does not touch the DEM {_text(source.bounds)}.")
    return _checked(Target(replace(other, crs=source.crs), rows, cols))


def crop(target: Target, bounds: Bounds) -> Target:
    """The cells of ``target`` that ``bounds`` touches: the extent grows outward to whole cells."""
    grid = target.grid
    if not overlap(grid.bounds, bounds):
        raise TerrainError(f"The extent {_text(bounds)} does not touch the DEM {_text(grid.bounds)}; choose another.")
    west, south, east, north = bounds
    left, right = _whole((west - grid.x0) / grid.dx, (east - grid.x0) / grid.dx, grid.cols)
    top, bottom = _whole((grid.y0 - north) / grid.dy, (grid.y0 - south) / grid.dy, grid.rows)
    return Target(
        replace(
            grid,
            rows=bottom - top,
            cols=right - left,
            x0=grid.x0 + left * grid.dx,
            y0=grid.y0 - top * grid.dy,
        ),
        replace(target.rows, first=target.rows.first + top, count=bottom - top),
        replace(target.cols, first=target.cols.first + left, count=right - left),
    )


def overlap(one: Bounds, other: Bounds) -> bool:
    """Whether two bounds share an area."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def transform_bounds(bounds: Bounds, source_crs: str, target_crs: str) -> Bounds:
    """Bounds around ``bounds`` in another CRS, its edges densified; unchanged where either CRS is unknown or equal."""
    if not source_crs or not target_crs or same_crs(source_crs, target_crs):
        return bounds
    try:
        ends = _horizontal(crs_of(source_crs)), _horizontal(crs_of(target_crs))
        transformer = pyproj.Transformer.from_crs(*ends, always_xy=True)
        west, south, east, north = transformer.transform_bounds(*bounds, densify_pts=21)
    except ProjError as error:
        raise TerrainError(
            f"The extent {_text(bounds)} cannot be put into {crs_name(target_crs)}; give it in the DEM's CRS."
        ) from error
    if not all(map(math.isfinite, (west, south, east, north))):
        raise TerrainError(f"The extent {_text(bounds)} lies outside {crs_name(target_crs)}; give it in the DEM's CRS.")
    return west, south, east, north


Change = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Takes x and y of one CRS to those of another; infinite where there is no such place."""


def change_of_crs(source_crs: str, target_crs: str) -> Change | None:
    """How horizontal coordinates change from one CRS to another; None where either is unknown or both are equal."""
    if not source_crs or not target_crs or same_crs(source_crs, target_crs):
        return None
    ends = _horizontal(crs_of(source_crs)), _horizontal(crs_of(target_crs))
    change: Change = pyproj.Transformer.from_crs(*ends, always_xy=True).transform
    return change


def places_on(
    grid: Grid, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of coordinates in the CRS of a grid, in cells from its upper left corner, of any one shape.

    Longitudes are taken round the globe to the grid. NaN where either coordinate is not finite.
    """
    turn = full_turn(grid.crs)
    if turn:
        middle = grid.x0 + grid.cols * grid.dx / 2
        x = x - turn * np.round((np.where(np.isfinite(x), x, middle) - middle) / turn)
    rows, cols = (grid.y0 - y) / grid.dy, (x - grid.x0) / grid.dx
    known = np.isfinite(rows) & np.isfinite(cols)
    return np.where(known, rows, np.nan), np.where(known, cols, np.nan)


def bounds_on(grid: Grid, bounds: Bounds, crs: str) -> Bounds:
    """``bounds`` in the CRS of ``grid``, cut to its surroundings first: the whole world has no bounds in a UTM zone."""
    around = transform_bounds(grid.bounds, grid.crs, crs)
    if crs and overlap(around, bounds):
        spare = (around[2] - around[0]) / 100, (around[3] - around[1]) / 100
        low = (max(bounds[0], around[0] - spare[0]), max(bounds[1], around[1] - spare[1]))
        bounds = (*low, min(bounds[2], around[2] + spare[0]), min(bounds[3], around[3] + spare[1]))
    return transform_bounds(bounds, crs, grid.crs)


def cropped(grid: Grid, bounds: Bounds) -> Grid:
    """The cells of ``grid`` that ``bounds`` touches, see :func:`crop`."""
    return crop(Target(grid, Axis(0.0, 1.0, 0, grid.rows), Axis(0.0, 1.0, 0, grid.cols)), bounds).grid


def surroundings(grid: Grid, crs: str) -> Bounds | None:
    """Bounds around a grid in another CRS; None where that cannot show all of it.

    In degrees, a grid that crosses the antimeridian ends east of 180.
    """
    try:
        west, south, east, north = transform_bounds(grid.bounds, grid.crs, crs)
    except TerrainError:
        return None
    if max(map(abs, (west, south, east, north))) > LARGEST_MAP:
        return None
    return west, south, east + 360 if east < west and is_geographic(crs) else east, north


def area_of_cell(grid: Grid, crs: str) -> float:
    """Area of the cell in the middle of a grid in squared units of another CRS; not finite where it has no place."""
    change = change_of_crs(grid.crs, crs)
    if change is None:
        return grid.dx * grid.dy
    x, y = grid.x0 + grid.cols / 2 * grid.dx, grid.y0 - grid.rows / 2 * grid.dy
    east, north = np.array([0.5, -0.5, 0, 0]), np.array([0, 0, 0.5, -0.5])
    found = np.stack(change(x + east * grid.dx, y + north * grid.dy))
    sides = found[:, ::2] - found[:, 1::2]
    if is_geographic(crs):
        sides[0] = (sides[0] + 180) % 360 - 180
    return abs(float(sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0]))


def metres_per_cell(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width and height of the cells on the ground in metres, per row, at the middle column.

    Measured on the ellipsoid between the edges of each cell, for every CRS: degrees shrink toward the poles and
    EPSG:3857 doubles lengths at 60 degrees. Rows that the CRS cannot place, such as one on a pole, take the size of the
    next that it can. Without a CRS one unit is one metre.

    Returns
    -------
    width_m, height_m
        Each of shape ``(rows,)``, positive and finite.

    """
    crs = crs_of(grid.crs) if grid.crs else None
    plain = _unit_m(crs)
    flat = np.full(grid.rows, grid.dx * plain), np.full(grid.rows, grid.dy * plain)
    geodetic = crs.geodetic_crs if crs is not None else None
    if crs is None or geodetic is None:
        return flat
    x = grid.x0 + grid.cols / 2 * grid.dx
    y = grid.y0 - (np.arange(grid.rows) + 0.5) * grid.dy
    transformer = pyproj.Transformer.from_crs(crs, geodetic, always_xy=True)
    geod = crs.get_geod() or pyproj.Geod(ellps="WGS84")

    def distance(dx: float, dy: float) -> NDArray[np.float64]:
        one = transformer.transform(np.full_like(y, x - dx / 2), y - dy / 2)
        other = transformer.transform(np.full_like(y, x + dx / 2), y + dy / 2)
        known = np.all([np.isfinite(v) for v in (*one, *other)], axis=0)
        lengths = np.full_like(y, np.nan)
        lengths[known] = geod.inv(*(v[known] for v in (*one, *other)))[2]
        return lengths

    width_m, height_m = distance(grid.dx, 0.0), distance(0.0, grid.dy)
    good = np.flatnonzero(np.isfinite(width_m) & np.isfinite(height_m) & (width_m > 0) & (height_m > 0))
    if good.size == 0:
        return flat
    next_good = good[np.searchsorted(good, np.arange(grid.rows)).clip(max=good.size - 1)]
    return width_m[next_good], height_m[next_good]


def typical_m(cell_m: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    """Side in metres of a square as large as the usual cell, of what :func:`metres_per_cell` gives."""
    return float(np.sqrt(np.median(cell_m[0]) * np.median(cell_m[1])))


def lengths_m(crs: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres on the ground between each position and the next, ``(N - 1,)``; not finite where one has no place.

    Measured on the ellipsoid as by :func:`metres_per_cell`. Without a CRS one unit is one metre.
    """
    known = _horizontal(crs_of(crs)) if crs else None
    geodetic = known.geodetic_crs if known is not None else None
    if known is None or geodetic is None:
        return np.hypot(np.diff(x), np.diff(y)) * _unit_m(known)
    longitude, latitude = pyproj.Transformer.from_crs(known, geodetic, always_xy=True).transform(x, y)
    lengths = np.full(max(x.size - 1, 0), np.nan)
    placed = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) <= 90)
    both = placed[1:] & placed[:-1]
    geod = known.get_geod() or pyproj.Geod(ellps="WGS84")
    lengths[both] = geod.inv(longitude[:-1][both], latitude[:-1][both], longitude[1:][both], latitude[1:][both])[2]
    return lengths


def true_plane(grid: Grid) -> tuple[Change, str]:
    """How coordinates of a grid become metres in a plane where lengths are true, and the CRS of that plane.

    A projected CRS whose lengths are right (:data:`TRUE_LENGTHS`, in the grid's middle column) keeps its axes, in
    metres; so does an unknown one. Degrees, and projections that stretch, are taken to a Lambert azimuthal equal-area
    projection around the grid's centre.

    Returns
    -------
    change, crs
        The change of coordinates, and the WKT of the equal-area CRS; empty where the axes are kept.

    """
    crs = _horizontal(crs_of(grid.crs)) if grid.crs else None
    unit_m = _unit_m(crs)
    width_m, height_m = metres_per_cell(grid)
    off = max(np.abs(width_m / (grid.dx * unit_m) - 1).max(), np.abs(height_m / (grid.dy * unit_m) - 1).max())
    if crs is None or crs.geodetic_crs is None or (not crs.is_geographic and off <= TRUE_LENGTHS):
        return lambda x, y: (x * unit_m, y * unit_m), ""
    x, y = grid.x0 + grid.cols / 2 * grid.dx, grid.y0 - grid.rows / 2 * grid.dy
    longitude, latitude = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    if not (math.isfinite(longitude) and abs(latitude) <= 90):
        raise TerrainError(
            f"The middle of the DEM, {x:.8g}, {y:.8g}, is no place in {crs_name(grid.crs)}; {WARP_HINT}."
        )
    local = ProjectedCRS(LambertAzimuthalEqualAreaConversion(latitude, longitude), geodetic_crs=crs.geodetic_crs)
    change: Change = pyproj.Transformer.from_crs(crs, local, always_xy=True).transform
    return change, local.to_wkt()


def local_metric(crs: str, bounds: Bounds) -> str:
    """The CRS in which distances within ``bounds`` of ``crs`` may be taken as metres, as WKT.

    A projected CRS in metres whose lengths are right (:data:`TRUE_LENGTHS`, in the middle and at the corners) is that
    itself; for all others it is the UTM zone of the middle, near a pole a Lambert azimuthal equal-area projection.
    Raises :class:`TerrainError` where the middle is no place on Earth.
    """
    known = _horizontal(crs_of(crs))
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    places = [(x, y), (west, south), (west, north), (east, south), (east, north)]
    if known.is_projected and _unit_m(known) == 1.0 and all(_is_true(crs, *place) for place in places):
        return known.to_wkt()
    longitude, latitude = pyproj.Transformer.from_crs(known, "EPSG:4326", always_xy=True).transform(x, y)
    if not (math.isfinite(longitude) and abs(latitude) <= 90):
        raise TerrainError(f"The point {x:.8g}, {y:.8g} is no place in {crs_name(crs)}; check the CRS of the layer.")
    longitude = (longitude + 180) % 360 - 180
    if not -80 <= latitude <= 84:
        return ProjectedCRS(LambertAzimuthalEqualAreaConversion(latitude, longitude)).to_wkt()
    zone = min(int((longitude + 180) // 6) + 1, 60)
    return pyproj.CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone).to_wkt()


def _is_true(crs: str, x: float, y: float) -> bool:
    """Whether lengths about a place of a CRS in metres are right."""
    sides = metres_per_cell(Grid(1, 1, x - 50, y + 50, 100, 100, crs))
    return bool(max(abs(side[0] / 100 - 1) for side in sides) <= TRUE_LENGTHS)


def vertical_unit(crs: str) -> str | None:
    """Unit of the vertical axis of a compound or 3-D CRS, as in :data:`.vertical.METRES`; None where there is none."""
    if not crs:
        return None
    for part in [*crs_of(crs).sub_crs_list, crs_of(crs)]:
        for axis in part.axis_info:
            if axis.direction.lower() == "up":
                return unit_of(axis.unit_name)
    return None


def vertical_name(crs: str) -> str:
    """Name of what heights refer to: the vertical part of a compound CRS, or the ellipsoid of a 3-D one; else empty."""
    if not crs:
        return ""
    found = crs_of(crs)
    vertical = [part.name for part in found.sub_crs_list if part.is_vertical]
    if not vertical and len(found.axis_info) == 3 and found.ellipsoid is not None:
        vertical = [f"height above the ellipsoid {found.ellipsoid.name}"]
    return " and ".join(vertical)


def horizontal_part(crs: str) -> str:
    """The CRS without its heights."""
    return _horizontal(crs_of(crs)).to_2d().to_wkt()


def is_map(crs: str) -> bool:
    """Whether horizontal coordinates are those of a map: a plane, or degrees."""
    flat = _horizontal(crs_of(crs))
    return bool(flat.is_projected or flat.is_geographic or flat.is_engineering)


def crs_of(text: str) -> pyproj.CRS:
    """The CRS of a WKT or ``EPSG:n``; refused where PROJ cannot read it."""
    try:
        return pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise TerrainError(f"The CRS {text[:60]!r} cannot be read; assign another with 'Assign projection'.") from error


def same_crs(one: str, other: str) -> bool:
    """Whether two CRS place horizontal coordinates alike; an unknown one only equals an unknown one."""
    if not one or not other:
        return one == other
    first, second = (_horizontal(crs_of(text)) for text in (one, other))
    return bool(first.equals(second, ignore_axis_order=True) or _axes_dropped(first).equals(_axes_dropped(second)))


def crs_name(crs: str) -> str:
    """Short name for messages, such as ``EPSG:32611``."""
    if not crs:
        return "an unknown CRS"
    found = crs_of(crs)
    authority = found.to_authority()
    return ":".join(authority) if authority else found.name


def is_geographic(crs: str) -> bool:
    """Whether coordinates are degrees."""
    return bool(crs) and bool(crs_of(crs).is_geographic)


def unit_m(crs: str) -> float:
    """Metres of a unit of a CRS, of degrees on the equator; 1 without a CRS."""
    return _unit_m(_horizontal(crs_of(crs))) if crs else 1.0


@functools.lru_cache(maxsize=16)
def full_turn(crs: str) -> float:
    """Once round the globe in the units of a geographic CRS, 360 for degrees; 0 for all others."""
    flat = _horizontal(crs_of(crs)) if crs else None
    if flat is None or not flat.is_geographic:
        return 0.0
    return round(2 * math.pi / flat.axis_info[0].unit_conversion_factor, 9)


def _horizontal(crs: pyproj.CRS) -> pyproj.CRS:
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    return flat.source_crs if flat.is_bound and flat.source_crs else flat


def _axes_dropped(crs: pyproj.CRS) -> pyproj.CRS:
    """Rasters are always east, north; files say so by leaving the axes out, EPSG lists northing first for some."""
    try:
        return pyproj.CRS.from_wkt(crs.to_wkt("WKT1_GDAL", output_axis_rule=False))
    except CRSError:
        return crs


def _unit_m(crs: pyproj.CRS | None) -> float:
    if crs is None or not crs.axis_info or crs.is_geographic:
        return 1.0 if crs is None or not crs.is_geographic else 111_320.0
    return float(crs.axis_info[0].unit_conversion_factor) or 1.0


def _finer(source: Grid, across: tuple[float, float], down: tuple[float, float]) -> Target:
    """Cells of a given size, each in CRS units and in coarse cells, so that neither is a rounded product."""
    (dx, col_step), (dy, row_step) = across, down
    rows = math.ceil(source.rows / row_step - TOLERANCE_PX)
    cols = math.ceil(source.cols / col_step - TOLERANCE_PX)
    grid = replace(source, rows=max(rows, 1), cols=max(cols, 1), dx=dx, dy=dy)
    return _checked(Target(grid, Axis(0.0, row_step, 0, grid.rows), Axis(0.0, col_step, 0, grid.cols)))


def _checked(target: Target) -> Target:
    """Refuse scales outside 1 to 16, on either axis."""
    for axis, name in ((target.rows, "north-south"), (target.cols, "east-west")):
        if axis.scale < 1 - 1e-9:
            raise TerrainError(
                f"The target cells are coarser than the DEM's ({name} scale {axis.scale:.3g}); "
                f"the scale must be from 1 to {MAX_SCALE:g}; {COARSEN_HINT}."
            )
        if axis.scale > MAX_SCALE * (1 + 1e-9):
            raise TerrainError(
                f"The target cells are {axis.scale:.3g} times finer than the DEM's ({name}); "
                f"the scale must be from 1 to {MAX_SCALE:g}; choose larger cells."
            )
    return target


def _whole(low: float, high: float, count: int) -> tuple[int, int]:
    """Whole cells from ``low`` to ``high``, at least one, inside ``0 .. count``."""
    first = min(max(math.floor(low + TOLERANCE_PX), 0), count - 1)
    return first, max(min(math.ceil(high - TOLERANCE_PX), count), first + 1)


def _text(bounds: Bounds) -> str:
    return "(west {:.8g}, south {:.8g}, east {:.8g}, north {:.8g})".format(*bounds)
