"""Target grids and metres on the ground: what the geotransform of a result says, to the last bit."""

from __future__ import annotations

import math
import time

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_terrain.core import grid
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.grid import Grid

UTM = Grid(40, 50, 400_000, 4_000_000, 30, 30, "EPSG:32611")
DEGREES = Grid(36, 50, 10.0, 47.0, 1 / 3600, 1 / 3600, "EPSG:4326")
LOCAL = 'LOCAL_CS["Mine",UNIT["metre",1],AXIS["East",EAST],AXIS["North",NORTH]]'


@given(st.integers(1, 3000), st.floats(1, 16), st.sampled_from([30.0, 0.1, 1 / 3600, 27.3]))
def test_scale_divides_the_cell_and_keeps_the_corner(rows: int, scale: float, size: float) -> None:
    source = Grid(rows, 7, 12.3, 45.6, size, size * 1.5)
    found = grid.zoom(source, scale).grid
    assert (found.x0, found.y0) == (source.x0, source.y0)
    assert (found.dx, found.dy) == (source.dx / scale, source.dy / scale)
    assert found.rows == math.ceil(rows * scale - 1e-6)
    assert found.bounds[1] <= source.bounds[1] + 1e-6 * source.dy


@pytest.mark.parametrize(("scale", "rows"), [(4, 160), (2.5, 100), (3.7, 148), (3.71, 149), (1, 40)])
def test_rows_are_rounded_up(scale: float, rows: int) -> None:
    assert grid.zoom(UTM, scale).grid.rows == rows


@pytest.mark.parametrize("size", [10.0, 7.3, 0.1 * 25])
def test_cell_size_is_taken_as_given(size: float) -> None:
    found = grid.of_cell_size(Grid(9, 9, 1, 2, 30.0, 24.0), size).grid
    assert (found.dx, found.dy, found.x0, found.y0) == (size, size, 1, 2)
    assert (found.cols, found.rows) == (math.ceil(270 / size - 1e-6), math.ceil(216 / size - 1e-6))


def test_cell_size_is_in_degrees_where_the_crs_is() -> None:
    found = grid.of_cell_size(DEGREES, 1 / 10_800)
    assert found.cols.scale == pytest.approx(3)
    assert found.grid.shape == (108, 150)


def test_another_raster_gives_its_edges_whatever_its_offset() -> None:
    other = Grid(31, 33, 400_007, 4_000_111, 7.5, 9, "EPSG:32611")
    target = grid.like(UTM, other)
    assert target.grid == other
    x = other.x0 + (np.arange(33) + 0.5) * other.dx
    assert target.cols.centres(0, 33) == pytest.approx((x - UTM.x0) / UTM.dx, abs=1e-9)
    y = other.y0 - (np.arange(31) + 0.5) * other.dy
    assert target.rows.centres(0, 31) == pytest.approx((UTM.y0 - y) / UTM.dy, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: grid.of_cell_size(UTM, 60), r"coarser.*'Warp \(reproject\)' with average"),
        (lambda: grid.of_cell_size(Grid(5, 5, 0, 0, 30, 20), 25), r"coarser.*north-south"),
        (lambda: grid.of_cell_size(UTM, 1), r"30 times finer.*from 1 to 16"),
        (lambda: grid.like(UTM, Grid(5, 5, 400_000, 4_000_000, 5, 5, "EPSG:32612")), r"EPSG:32612.*EPSG:32611; repro"),
        (lambda: grid.like(UTM, Grid(5, 5, 0, 0, 5, 5, "EPSG:32611")), "does not touch"),
        (lambda: grid.crop(grid.zoom(UTM, 2), (0, 0, 1, 1)), "does not touch"),
        (lambda: grid.crs_of("nonsense"), "cannot be read"),
        (lambda: grid.transform_bounds((0, 0, 1, 1), "EPSG:9999999", "EPSG:4326"), "cannot be read"),
    ],
)
def test_refusals_name_the_way_out(call, says: str) -> None:
    with pytest.raises(TerrainError, match=says) as caught:
        call()
    assert str(caught.value).endswith(".")


def test_an_extent_grows_outward_to_whole_cells() -> None:
    whole = grid.zoom(UTM, 4)
    part = grid.crop(whole, (400_010, 3_999_900, 400_020.1, 3_999_985))
    assert (part.cols.first, part.cols.count) == (1, 2)
    assert (part.rows.first, part.rows.count) == (2, 12)
    assert part.grid.bounds == (400_007.5, 3_999_895, 400_022.5, 3_999_985)


def test_an_extent_on_cell_edges_takes_no_further_cell_and_one_outside_is_cut() -> None:
    whole = grid.zoom(UTM, 3)
    assert grid.crop(whole, whole.grid.bounds) == whole
    assert grid.crop(whole, (0, 0, 1e7, 1e7)) == whole
    assert grid.crop(whole, (400_100, 3_999_900, 400_110, 3_999_910)).grid.shape == (1, 1)


def test_a_point_like_extent_is_one_cell() -> None:
    assert grid.crop(grid.zoom(UTM, 4), (400_011, 3_999_900.5, 400_011.5, 3_999_901)).grid.shape == (1, 1)


def test_an_extent_in_another_crs_encloses_the_same_ground() -> None:
    west, south, east, north = grid.transform_bounds(UTM.bounds, "EPSG:32611", "EPSG:4326")
    back = grid.transform_bounds((west, south, east, north), "EPSG:4326", "EPSG:32611")
    assert back[0] <= UTM.bounds[0] and back[1] <= UTM.bounds[1]
    assert back[2] >= UTM.bounds[2] and back[3] >= UTM.bounds[3]
    assert back == pytest.approx(UTM.bounds, abs=40)
    assert grid.transform_bounds(UTM.bounds, "", "EPSG:4326") == UTM.bounds


def test_an_extent_larger_than_a_zone_cuts_nothing() -> None:
    """A whole world in degrees, put into a UTM zone edge by edge, would end at the zone's middle."""
    whole = grid.zoom(Grid(2000, 4000, 480_000, 3_800_000, 30, 30, "EPSG:32611"), 2)
    for extent in ((-180, -90, 180, 90), (-125, 30, -110, 40)):
        assert grid.crop(whole, grid.bounds_on(whole.grid, extent, "EPSG:4326")) == whole
    assert grid.bounds_on(whole.grid, (1, 2, 3, 4), "") == (1, 2, 3, 4)
    with pytest.raises(TerrainError, match="does not touch"):
        grid.crop(whole, grid.bounds_on(whole.grid, (10, 40, 11, 41), "EPSG:4326"))


def test_an_extent_that_the_crs_cannot_hold_is_refused() -> None:
    with pytest.raises(TerrainError, match="give it in the DEM's CRS"):
        grid.transform_bounds((170, -60, 180, -50), "EPSG:4326", "+proj=ortho +lat_0=45 +lon_0=0 +type=crs")


@pytest.mark.parametrize(
    ("placed", "width_m", "height_m", "share"),
    [
        (UTM, 30 / 0.9997, 30 / 0.9997, 1e-3),
        (Grid(4, 4, 0, 8_399_738, 100, 100, "EPSG:3857"), 50.0, 50.0, 5e-3),
        (Grid(2, 2, 20, 60, 1 / 3600, 1 / 3600, "EPSG:4326"), 30.92 * 0.5014, 30.95, 3e-3),
        (Grid(2, 2, 6_500_000, 1_800_000, 100, 100, "EPSG:2229"), 30.4801, 30.4801, 1e-3),
        (Grid(2, 2, 0, 0, 3, 2, ""), 3, 2, 0),
        (Grid(2, 2, 0, 0, 3, 2, LOCAL), 3, 2, 0),
    ],
)
def test_metres_per_cell(placed: Grid, width_m: float, height_m: float, share: float) -> None:
    width, height = grid.metres_per_cell(placed)
    assert width.shape == height.shape == (placed.rows,)
    assert width == pytest.approx(width_m, rel=share)
    assert height == pytest.approx(height_m, rel=share)


def test_metres_per_cell_agree_with_geodesics_at_each_row() -> None:
    placed = Grid(60, 90, 10.0, 75.0, 1.0, 1.0, "EPSG:4326")
    width, height = grid.metres_per_cell(placed)
    geod = pyproj.Geod(ellps="WGS84")
    for row in (0, 17, 59):
        lat = 75 - row - 0.5
        assert width[row] == pytest.approx(geod.inv(10, lat, 11, lat)[2], rel=1e-6)
        assert height[row] == pytest.approx(geod.inv(10, lat - 0.5, 10, lat + 0.5)[2], rel=1e-9)
    assert (np.diff(width) > 0).all()


def test_rows_on_a_pole_take_the_size_of_their_neighbour_and_spoil_no_other() -> None:
    whole_world = Grid(181, 360, -180.5, 90.5, 1, 1, "EPSG:4326")
    width, height = grid.metres_per_cell(whole_world)
    assert np.isfinite(width).all() and (width > 0).all() and (height > 0).all()
    assert width[90] == pytest.approx(111_319.5, rel=1e-4)
    assert width[30] == pytest.approx(55_800, rel=1e-3)


def test_rows_outside_the_area_of_a_crs_stay_finite() -> None:
    for placed in (
        Grid(50, 50, -4e7, 4e7, 1e6, 1e6, "EPSG:3035"),
        Grid(3, 3, 1e12, 1e12, 30, 30, "EPSG:32611"),
        Grid(40, 40, -2e7, 2e7, 1e6, 1e6, "EPSG:3413"),
    ):
        width, height = grid.metres_per_cell(placed)
        assert np.isfinite(width).all() and np.isfinite(height).all() and (width > 0).all() and (height > 0).all()


def test_forty_thousand_rows_are_measured_at_once() -> None:
    started_s = time.perf_counter()
    grid.metres_per_cell(Grid(40_000, 100, 400_000, 6_000_000, 30, 30, "EPSG:32611"))
    assert time.perf_counter() - started_s < 3


@pytest.mark.parametrize(
    ("crs", "unit"),
    [
        ("EPSG:32611", None), ("EPSG:32611+5703", "metre"), ("EPSG:2229+6360", "us-foot"), ("EPSG:4979", "metre"),
        ("EPSG:32611+8228", "foot"), ("", None), ("EPSG:4326+5773", "metre"),
    ],
)  # fmt: skip
def test_vertical_unit_of_a_crs(crs: str, unit: str | None) -> None:
    assert grid.vertical_unit(crs) == unit


def test_one_crs_in_two_spellings_is_the_same() -> None:
    for code in ("EPSG:32611", "EPSG:4326", "EPSG:3826", "EPSG:31287", "EPSG:21781", "EPSG:2229", "EPSG:3035"):
        crs = pyproj.CRS.from_user_input(code)
        for wkt in ("WKT2_2019", "WKT1_GDAL"):
            assert grid.same_crs(code, crs.to_wkt(wkt)), (code, wkt)
    assert grid.same_crs("EPSG:32611+5703", "EPSG:32611")
    assert not grid.same_crs("EPSG:32611", "EPSG:32612")
    assert not grid.same_crs("EPSG:32611", "")
    shifted = pyproj.crs.BoundCRS("EPSG:21781", "EPSG:4326", pyproj.crs.coordinate_operation.ToWGS84Transformation(
        "EPSG:21781", 674.374, 15.056, 405.346))  # fmt: skip
    assert grid.same_crs("EPSG:21781", shifted.to_wkt())
