"""A raster on another grid: exact averages, registered cubic interpolation, other CRS, voids, edges, small reads."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from rasterio.transform import Affine

from neural_terrain.core import resampling
from neural_terrain.core.elevation.degradation import area_weights
from neural_terrain.core.grid import Grid
from neural_terrain.core.raster import Reading, Source
from neural_terrain.core.resampling import Resampled
from neural_terrain.core.tiling import Window
from neural_terrain.tests.core import dems

X0, Y0 = 400_000.0, 4_000_000.0


def plane(grid: Grid) -> np.ndarray:
    """Heights at the cells' centres of a plane in coordinates."""
    x = grid.x0 + (np.arange(grid.cols) + 0.5) * grid.dx
    y = grid.y0 - (np.arange(grid.rows) + 0.5) * grid.dy
    return 100 + 0.3 * (x[None, :] - X0) - 0.2 * (y[:, None] - Y0)


def grid_of(rows: int, cols: int, size: float, x0: float = X0, y0: float = Y0, crs: str = dems.UTM) -> Grid:
    return Grid(rows, cols, x0, y0, size, size, crs)


def opened(tmp_path, grid: Grid, heights: np.ndarray, **more) -> Source:
    place = Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0)
    path = dems.write(tmp_path / "dem.tif", heights, transform=place, crs=grid.crs, **more)
    return Source(path, Reading())


def all_of(source: Source, grid: Grid, **more) -> tuple[np.ndarray, np.ndarray]:
    return Resampled(source, grid, **more).read(Window(0, 0, *grid.shape))


@pytest.mark.parametrize("size", [10.0, 25.0, 30.0, 37.0, 90.0])
@pytest.mark.parametrize("shift", [0.0, 13.7])
def test_a_plane_stays_that_plane_at_any_cell_size_and_phase(tmp_path, size, shift):
    own = grid_of(40, 50, 30.0)
    target = grid_of(int(1000 / size), int(1200 / size), size, X0 + shift, Y0 - shift)
    with opened(tmp_path, own, plane(own)) as source:
        heights, valid = all_of(source, target)
    reach = 0 if shift == 0 and size in (30.0, 90.0) else int(60 / size) + 1  # what lies beyond the edge is not known
    assert valid[reach:, reach:].all()
    assert np.allclose(heights[valid], plane(target)[valid], atol=1e-6)


def test_the_same_cells_come_through_untouched(tmp_path):
    own = grid_of(20, 30, 30.0)
    values = np.random.default_rng(1).normal(size=(20, 30)) * 100
    values[4, 5] = -9999
    with opened(tmp_path, own, values, nodata=-9999) as source:
        heights, valid = all_of(source, own)
    assert np.array_equal(valid, values != -9999)
    assert np.array_equal(heights[valid], values[valid])


@pytest.mark.parametrize("scale", [2.0, 3.0, 10.0])
def test_whole_cells_are_averaged_exactly(tmp_path, scale):
    own = grid_of(61, 50, 10.0)
    values = np.random.default_rng(2).normal(size=(61, 50))
    rows, cols = int(61 / scale), int(50 / scale)
    with opened(tmp_path, own, values) as source:
        heights, valid = all_of(source, grid_of(rows, cols, 10 * scale))
    assert valid.all()
    assert np.allclose(heights, area_weights(61, rows, scale) @ values @ area_weights(50, cols, scale).T, atol=1e-9)


@pytest.mark.parametrize(("scale", "count"), [(1.1, 70), (2.5, 30), (3.7, 20)])
def test_cut_cells_are_shared_without_loss(tmp_path, scale, count):
    """The cells cover a whole number of source cells, whose mean they keep; each is close to its plain average."""
    whole = round(count * scale)
    values = np.random.default_rng(2).normal(size=(whole, whole))
    with opened(tmp_path, grid_of(whole, whole, 10.0), values) as source:
        heights, valid = all_of(source, grid_of(count, count, 10 * scale))
    share = area_weights(whole, count, scale)
    assert valid.all() and heights.mean() == pytest.approx(values.mean(), abs=1e-9)
    assert np.corrcoef(heights.ravel(), (share @ values @ share.T).ravel())[0, 1] > 0.9


def test_a_void_makes_every_cell_unknown_that_it_enters(tmp_path):
    values = np.ones((40, 40))
    values[20, 20] = -9999
    with opened(tmp_path, grid_of(40, 40, 30.0), values, nodata=-9999) as source:
        _, averaged = all_of(source, grid_of(20, 20, 60.0))
        _, interpolated = all_of(source, grid_of(120, 120, 10.0))
    assert np.argwhere(~averaged).tolist() == [[10, 10]]
    lost = np.argwhere(~interpolated[5:-5, 5:-5]) + 5
    # Cubic taps reach two cells; fine cells at the centres of known cells need only these.
    assert lost.min(axis=0).tolist() == [56, 56] and lost.max(axis=0).tolist() == [66, 66]
    assert interpolated[58, 58] and not interpolated[61, 61]


def test_beyond_the_raster_nothing_is_known(tmp_path):
    own = grid_of(10, 10, 30.0)
    with opened(tmp_path, own, plane(own)) as source:
        _, valid = Resampled(source, own).read(Window(-2, -3, 14, 15))
        _, cut = all_of(source, grid_of(6, 6, 60.0))
        _, away = all_of(source, grid_of(6, 6, 60.0, X0 + 5000))
    assert np.array_equal(np.argwhere(valid).min(axis=0), [2, 3]) and valid.sum() == 100
    assert cut[:5, :5].all() and cut.sum() == 25 and not away.any()


def test_windows_and_small_reads_give_what_one_large_read_gives(tmp_path, monkeypatch):
    own, target = grid_of(90, 90, 10.0), grid_of(41, 39, 21.0, X0 + 4)
    values = np.random.default_rng(3).normal(size=(90, 90))
    with opened(tmp_path, own, values) as source:
        whole, valid = all_of(source, target)
        monkeypatch.setattr(resampling, "MOST_CELLS", 500)
        read = []
        keep = source.read
        source.read = lambda window: read.append(window.rows * window.cols) or keep(window)
        pieces, pieces_valid = all_of(source, target)
    assert len(read) > 10 and max(read) <= 500
    assert np.array_equal(valid, pieces_valid) and np.allclose(whole, pieces, atol=1e-12)


@pytest.mark.parametrize(("size_deg", "tolerance_m"), [(0.0001, 0.02), (0.0003, 0.02), (0.0009, 0.05)])
def test_another_crs_is_met_where_its_cells_lie(tmp_path, size_deg, tolerance_m):
    """A plane in degrees, seen from UTM, at source cells of about 10, 30 and 90 m and grid cells of 30 m."""
    change = pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True)
    longitude, latitude = change.transform(X0 + 600, Y0 - 600)
    count = int(0.02 / size_deg)
    own = grid_of(count, count, size_deg, longitude - 0.01, latitude + 0.01, "EPSG:4326")
    lon = own.x0 + (np.arange(count) + 0.5) * size_deg - longitude
    lat = own.y0 - (np.arange(count) + 0.5) * size_deg - latitude
    target = grid_of(20, 20, 30.0, X0 + 300, Y0 - 300)
    x, y = np.meshgrid(target.x0 + (np.arange(20) + 0.5) * 30, target.y0 - (np.arange(20) + 0.5) * 30)
    where = change.transform(x, y)
    with opened(tmp_path, own, 3e4 * lon[None, :] + 2e4 * lat[:, None]) as source:
        seen = Resampled(source, target)
        heights, valid = seen.read(Window(0, 0, 20, 20))
        assert seen.steps == pytest.approx((30 / 111_000 / size_deg, 30 / 90_000 / size_deg), rel=0.05)
    assert valid.all()
    assert np.abs(heights - (3e4 * (where[0] - longitude) + 2e4 * (where[1] - latitude))).max() < tolerance_m


def test_averages_in_another_crs_keep_the_mean_and_voids(tmp_path):
    change = pyproj.Transformer.from_crs("EPSG:32612", dems.UTM, always_xy=True)
    own = grid_of(400, 400, 10.0)
    values = np.random.default_rng(4).normal(500, 5, size=(400, 400))
    values[:, :40] = np.nan
    back = change.transform(X0 + 2000, Y0 - 2000, direction="INVERSE")
    target = grid_of(30, 30, 80.0, back[0] - 1200, back[1] + 1200, "EPSG:32612")
    with opened(tmp_path, own, values) as source:
        heights, valid = all_of(source, target)
    assert valid.all()
    assert heights.mean() == pytest.approx(500, abs=0.1) and heights.std() == pytest.approx(5 / 8, rel=0.3)


def test_a_place_that_the_crs_does_not_have_is_unknown(tmp_path):
    own = grid_of(20, 20, 30.0)
    target = Grid(2, 4, -180, 90, 90, 90, "EPSG:4326")
    with opened(tmp_path, own, plane(own)) as source:
        _, valid = all_of(source, target)
    assert not valid.any()


def test_point_heights_are_read_at_centres_not_averaged(tmp_path):
    own = grid_of(12, 12, 10.0)
    values = np.random.default_rng(5).normal(size=(12, 12))
    with opened(tmp_path, own, values) as source:
        heights, valid = all_of(source, grid_of(4, 4, 30.0), point=True)
    assert valid.all() and np.allclose(heights, values[1::3, 1::3])


def test_the_kernel_is_that_of_keys():
    assert np.allclose(resampling.cubic_kernel(np.array([0, 0.5, 1, 1.5, 2, 3])), [1, 0.5625, 0, -0.0625, 0, 0])
