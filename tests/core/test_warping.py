"""*Warp to any grid* on files: cells of a finer DEM, planes and smooth ground in other CRSs, seams, edges, refusals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
from rasterio.enums import Resampling
from rasterio.transform import Affine

from neural_terrain.core import refinement
from neural_terrain.core.continuous import opened
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.grid import Grid, area_of_cell, crs_of, surroundings
from neural_terrain.core.jobs import resampledem, superresolve
from neural_terrain.core.jobs.resampledem import Settings
from neural_terrain.core.querying.asking import ask
from neural_terrain.core.warping import places, sizes
from neural_terrain.core.warping.places import Places
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

NODATA = -9999.0
UTM, GEOGRAPHIC, MERCATOR = "EPSG:32611", "EPSG:4326", "EPSG:3857"


def warped(source: str, out: str, progress: Any = None, **values: Any) -> tuple[np.ndarray, dict]:
    """Heights of the result, NaN where they are no-data, and what the job told."""
    settings = Settings(**{"input": source, "output": out, "model": "baseline", "device": "cpu", **values})
    told = resampledem.run(settings, progress or dems.Heard())
    with rasterio.open(out) as file:
        found = file.read(1).astype(float)
        return np.where(found == file.nodata, np.nan, found), told


def positions(path: str, crs: str) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the centres of the cells of a raster in another CRS."""
    with rasterio.open(path) as file:
        row, col = np.mgrid[: file.height, : file.width] + 0.5
        x, y = file.transform @ (col, row)
        return pyproj.Transformer.from_crs(file.crs, crs, always_xy=True).transform(x, y)


@pytest.mark.parametrize("model", ["baseline", "field"])
@pytest.mark.parametrize("point", [False, True])
def test_on_the_cells_of_a_finer_dem_it_is_that_dem(tmp_path: Path, out: str, model: str, point: bool) -> None:
    heights = surfaces.fractal((50, 60), 4) * 2
    heights[20:23, 30:34] = NODATA
    source = dems.write(tmp_path / "dem.tif", heights, nodata=NODATA)
    fine, sampling = str(tmp_path / "fine.tif"), "point" if point else "average"
    settings = superresolve.Settings(input=source, output=fine, model=model, device="cpu", scale=2.5, sampling=sampling)
    refinement.refine(settings, dems.Heard())
    found, _ = warped(source, out, model=model, grid=fine, sampling=sampling)
    expected = dems.read(fine).astype(float)
    assert np.array_equal(np.isnan(found), expected == NODATA)
    known = expected != NODATA
    off = np.abs(found - expected)[known]
    if model == "field" and point:  # the finer DEM is told the size of its cells, points are those of the one surface
        assert np.sqrt(np.mean(off**2)) < 0.05 * np.std(np.diff(heights[heights != NODATA]))
    else:
        assert off.max() < 0.003


@pytest.mark.parametrize("cell_size", [18.0, 30.0, 55.0])
def test_heights_at_points_are_what_a_query_answers(
    tmp_path: Path, out: str, tiny_field: str, cell_size: float
) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((40, 50), 4) * 2)
    given = {"model": tiny_field, "sampling": "point"}
    found, _ = warped(source, out, target_crs=MERCATOR, cell_size=cell_size, **given)
    x, y = (at.ravel() for at in positions(out, UTM))
    with opened(Settings(input=source, output=out, device="cpu", **given), dems.Heard()) as ground:
        expected = ask(ground, x, y, 0, dems.Heard())["elevation"].reshape(found.shape)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) < 0.01


@pytest.mark.parametrize("crs", [GEOGRAPHIC, MERCATOR, "EPSG:2154"])
def test_a_plane_stays_a_plane_in_another_crs(tmp_path: Path, out: str, crs: str) -> None:
    """The average of a plane over a cell is its height at the centre, but for the bend of the projection in a cell."""
    row, col = np.mgrid[:80, :90] + 0.5
    place = {"crs": "EPSG:32631", "transform": Affine(30, 0, 450_000, 0, -30, 5_200_000)}
    found, _ = warped(dems.write(tmp_path / "dem.tif", 500 + 3.0 * col - 2.0 * row, **place), out, target_crs=crs)
    x, y = positions(out, "EPSG:32631")
    expected = 500 + 3.0 * (x - 450_000) / 30 - 2.0 * (5_200_000 - y) / 30
    inside = (np.abs(x - 451_350) < 800) & (np.abs(y - 5_198_800) < 700)  # the mirrored edge has a crease
    assert inside.sum() > 1000 and np.abs(found - expected)[inside].max() < 0.002


def test_smooth_ground_is_where_gdal_puts_it(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", (500 + surfaces.hill_averages(70, 33, 9.0, 200.0)).astype("float32"))
    found, _ = warped(source, out, target_crs=GEOGRAPHIC, cell_size=0.0002)
    expected = np.full(found.shape, np.nan)
    with rasterio.open(source) as file, rasterio.open(out) as made:
        rasterio.warp.reproject(
            rasterio.band(file, 1), expected, dst_transform=made.transform, dst_crs=made.crs, dst_nodata=np.nan,
            resampling=Resampling.cubic, tolerance=0.0,
        )  # fmt: skip
    known = np.isfinite(expected) & np.isfinite(found)
    assert known.mean() > 0.8
    off = np.abs(found - expected)[known]
    assert np.quantile(off, 0.99) < 0.6 and np.sqrt(np.mean(off**2)) < 0.2


def test_there_and_back_loses_less_than_with_gdal(tmp_path: Path, out: str) -> None:
    truth = (surfaces.fractal((90, 100), 6) * 2).astype("float32")
    source, back = dems.write(tmp_path / "dem.tif", truth), str(tmp_path / "back.tif")
    warped(source, out, target_crs=GEOGRAPHIC, cell_size=0.0003)
    found, _ = warped(out, back, grid=source)
    with rasterio.open(source) as file, rasterio.open(out) as made:
        there, again = np.full((made.height, made.width), NODATA), np.full(truth.shape, NODATA)
        how = {"src_nodata": NODATA, "dst_nodata": NODATA, "resampling": Resampling.cubic, "tolerance": 0.0}
        one, other = ({"transform": one.transform, "crs": one.crs} for one in (file, made))
        for what, into, first, second in ((file.read(1).astype(float), there, one, other), (there, again, other, one)):
            rasterio.warp.reproject(
                what, into, src_transform=first["transform"], src_crs=first["crs"], dst_transform=second["transform"],
                dst_crs=second["crs"], **how,
            )  # fmt: skip
    inner = np.s_[8:-8, 8:-8]
    ours, theirs = (np.sqrt(np.mean((a[inner] - truth[inner]) ** 2)) for a in (found, again))
    assert ours < 0.8 * theirs


@pytest.mark.parametrize("model", ["baseline", "field"])
def test_a_part_equals_the_same_part_of_the_whole(tmp_path: Path, out: str, model: str) -> None:
    """The part has other tiles and other polynomials, so neither leaves a trace."""
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((110, 120), 5) * 2)
    given = {"model": model, "target_crs": GEOGRAPHIC, "cell_size": 0.00003}
    whole, told = warped(source, out, **given)
    with rasterio.open(out) as file:
        place, (top, left) = file.transform, (400, 420)
        west, north = place @ (left, top)
        east, south = place @ (left + 201, top + 175)
    part, _ = warped(source, str(tmp_path / "part.tif"), extent=(west, south, east, north), **given)
    assert told["tiles"] > 3 and part.shape == (175, 201)
    assert np.abs(part - whole[top : top + 175, left : left + 201]).max() <= 2 / 1024


@pytest.mark.parametrize("model", ["baseline", "field"])
@pytest.mark.parametrize("share", [2, 3])
def test_coarser_cells_are_averages(tmp_path: Path, out: str, share: int, model: str) -> None:
    heights, place = surfaces.fractal((96, 96), 9) * 2, Affine(30, 0, 399_960, 0, -30, 3_999_960)
    source = dems.write(tmp_path / "dem.tif", heights, transform=place)
    found, _ = warped(source, out, cell_size=30.0 * share, model=model)
    off = found - surfaces.block_average(heights, share)
    assert np.abs(off).max() < 0.02 if model == "field" else np.sqrt(np.mean(off**2)) < 0.02 * np.std(np.diff(heights))


def test_degrees_over_the_antimeridian_and_south_up(tmp_path: Path, out: str) -> None:
    row, col = np.mgrid[:60, :80] + 0.5
    degrees = Affine(0.001, 0, 179.96, 0, 0.001, -17.06)  # rows run north, columns over 180
    source = dems.write(tmp_path / "dem.tif", 100.0 + col + row, crs=GEOGRAPHIC, transform=degrees)
    found, told = warped(source, out, target_crs="EPSG:32701", cell_size=120.0)
    lon, lat = positions(out, GEOGRAPHIC)
    expected = 100 + (lon % 360 - 179.96) / 0.001 + (lat + 17.06) / 0.001
    inside = np.abs(expected - 170) < 25
    assert told["valid_share"] > 0.9 and inside.sum() > 500
    assert np.nanmax(np.abs(found - expected)[inside]) < 0.5 and np.isfinite(found[inside]).mean() > 0.9
    back, _ = warped(out, str(tmp_path / "back.tif"), target_crs=GEOGRAPHIC, cell_size=0.001)
    with rasterio.open(tmp_path / "back.tif") as file:
        assert 179.9 < file.bounds.left < 180 < file.bounds.right < 180.1
    assert np.isfinite(back).mean() > 0.85


def test_a_polar_grid_sees_the_dem_all_around(tmp_path: Path, out: str) -> None:
    lat = 89.95 - 0.1 * np.arange(60)
    heights = np.repeat(lat[:, None], 360, 1).astype("float32")
    source = dems.write(tmp_path / "dem.tif", heights, crs=GEOGRAPHIC, transform=Affine(1, 0, -180, 0, -0.1, 90))
    place = Affine(10_000, 0, -400_000, 0, -10_000, 400_000)
    grid = dems.write(tmp_path / "grid.tif", np.zeros((80, 80), "float32"), crs="EPSG:3995", transform=place)
    found, _ = warped(source, out, grid=grid)
    _, expected = positions(out, GEOGRAPHIC)
    away = np.hypot(*(np.mgrid[:80, :80] - 39.5)) > 6
    inside = away & (expected > 84.2)
    assert np.abs(found - expected)[inside].max() < 0.02 and np.isfinite(found)[~away].mean() > 0.95


def test_places_beyond_the_world_have_no_height(tmp_path: Path, out: str) -> None:
    source = dems.write(
        tmp_path / "world.tif", np.full((90, 180), 5.0), crs=GEOGRAPHIC, transform=Affine(2, 0, -180, 0, -2, 90)
    )
    place = Affine(200_000, 0, -7_000_000, 0, -200_000, 7_000_000)
    grid = dems.write(tmp_path / "grid.tif", np.zeros((70, 70)), crs="+proj=ortho +lat_0=40", transform=place)
    found, _ = warped(source, out, grid=grid)
    away_km = 200 * np.hypot(*(np.mgrid[:70, :70] - 34.5))
    assert (found[away_km < 6200] == 5).all() and np.isnan(found[away_km > 6500]).all()


def test_a_void_is_as_large_as_before(tmp_path: Path, out: str) -> None:
    heights = surfaces.fractal((60, 60), 2)
    heights[20:30, 25:40] = NODATA
    source = dems.write(tmp_path / "dem.tif", heights, nodata=NODATA)
    found, _ = warped(source, out, target_crs=GEOGRAPHIC, cell_size=0.0001)
    x, y = positions(out, UTM)
    row, col = np.floor((4_000_000 - y) / 30), np.floor((x - 400_000) / 30)
    outside = (row < 0) | (row >= 60) | (col < 0) | (col >= 60)
    void = (row >= 20) & (row < 30) & (col >= 25) & (col < 40)
    assert np.array_equal(np.isnan(found), outside | void)


def test_cells_are_aligned_and_what_was_chosen_is_said(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((40, 50), 1), units="foot", nodata=-1.0)
    progress = dems.Heard()
    _, told = warped(source, out, progress, target_crs=MERCATOR)
    with rasterio.open(out) as file:
        size = file.transform.a
        assert size == 37 == told["cell_width"] and file.nodata == -1 and file.units == ("foot",)
        assert (file.transform.c / size) % 1 == 0 and (file.transform.f / size) % 1 == 0
        assert file.crs.to_epsg() == 3857
        assert '"target_crs": "EPSG:3857"' in file.tags()["NEURAL_TERRAIN_SETTINGS"]
    assert any(text.startswith("Cell size: 37 in units of EPSG:3857") for text in progress.texts("info"))


def test_nothing_asked_for_is_the_grid_of_the_dem(tmp_path: Path, out: str) -> None:
    heights = surfaces.fractal((40, 50), 1)
    found, _ = warped(dems.write(tmp_path / "dem.tif", heights), out, model="field", nodata=-5.0)
    with rasterio.open(out) as file, rasterio.open(tmp_path / "dem.tif") as given:
        assert file.transform == given.transform and file.crs == given.crs and file.nodata == -5
    assert np.abs(found - heights).max() < 0.01


@pytest.mark.parametrize("rows", [1, 2])
def test_targets_and_dems_may_be_tiny(tmp_path: Path, out: str, rows: int) -> None:
    source = dems.write(tmp_path / "dem.tif", np.full((rows, 3), 7.0))
    found, _ = warped(source, out, cell_size=15.0, extent=(400_031, 3_999_981, 400_032, 3_999_982))
    assert found.shape == (1, 1) and found[0, 0] == 7


def test_heights_are_not_changed_by_a_vertical_datum_and_that_is_said(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", np.full((20, 20), 7.0), crs="EPSG:32611+5703")
    progress = dems.Heard()
    found, _ = warped(source, out, progress, target_crs="EPSG:4326+3855", cell_size=0.0003)
    assert np.nanmax(np.abs(found - 7)) == 0
    assert "Heights are not changed" in progress.texts("warning")[0]
    with rasterio.open(out) as file:
        assert not crs_of(file.crs.to_wkt()).is_compound
    progress = dems.Heard()
    warped(source, out, progress, target_crs=GEOGRAPHIC, cell_size=0.0003)
    assert any("Heights still refer to NAVD88 height" in text for text in progress.texts("info"))


BAD = {
    "Both a target grid and a target CRS": {"grid": "INPUT", "target_crs": GEOGRAPHIC},
    "Both a target grid and a cell size": {"grid": "INPUT", "cell_size": 3.0},
    "is 'EPSG:0'|The CRS 'EPSG:0' cannot be read": {"target_crs": "EPSG:0"},
    "has no plane": {"target_crs": "EPSG:4978"},
    "more than 4; give smaller cells": {"cell_size": 150.0},
    "more than 16; give larger cells": {"cell_size": 1.0},
    "No output was given": {"output": ""},
    "must end in .tif": {"output": "dem.png"},
    "is also an input": {"output": "INPUT"},
    "west must be below east": {"extent": (4.0, 1.0, 3.0, 2.0)},
    "does not touch the DEM": {"extent": (0.0, 0.0, 1.0, 1.0)},
    "Cell size is -3": {"cell_size": -3.0},
    "does not fit the float32 output": {"nodata": 1e39},
    "The no-data value is True; it must be a number": {"nodata": True},
    "Compression is 'JPEG'": {"compression": "JPEG"},
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_cannot_be_is_refused(tmp_path: Path, out: str, sentence: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 1))
    values = {name: source if value == "INPUT" else value for name, value in BAD[sentence].items()}
    with pytest.raises(TerrainError, match=sentence):
        resampledem.run(Settings(**{"input": source, "output": out, "model": "baseline", **values}), dems.Heard())
    assert not os.listdir(os.path.dirname(out))


def test_without_a_crs_only_grids_without_one_fit(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 1), crs=None)
    other = dems.write(tmp_path / "other.tif", surfaces.fractal((20, 20), 1))
    with pytest.raises(TerrainError, match="The DEM has no CRS, so it cannot be put into another"):
        warped(source, out, target_crs=GEOGRAPHIC)
    with pytest.raises(TerrainError, match="The DEM has no CRS; give it one"):
        warped(source, out, grid=other)
    with pytest.raises(TerrainError, match="The target grid has no CRS; give it one"):
        warped(other, out, grid=source)
    assert warped(source, out, cell_size=20.0)[0].shape == (30, 30)


def test_a_grid_elsewhere_and_a_dem_that_is_too_large_are_refused(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 1))
    away = dems.write(tmp_path / "away.tif", np.zeros((9, 9)), transform=Affine(30, 0, 500_000, 0, -30, 4_000_000))
    with pytest.raises(TerrainError, match="does not touch the DEM; choose one that does"):
        warped(source, out, grid=away)
    world = dems.write(
        tmp_path / "world.tif", np.zeros((18, 36)), crs=GEOGRAPHIC, transform=Affine(10, 0, -180, 0, -10, 90)
    )
    with pytest.raises(TerrainError, match="The DEM is larger than EPSG:3995 can show; give an extent"):
        warped(world, out, target_crs="EPSG:3995")


def test_a_dem_that_changes_on_the_way_is_refused(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 1))

    class Meddling(dems.Heard):
        def emit(self, event: dict) -> None:
            super().emit(event)
            os.utime(source, ns=(0, len(self.events)))

    with pytest.raises(TerrainError, match="was changed during the run, so nothing was written"):
        warped(source, out, Meddling(), cell_size=20.0)
    assert not os.listdir(os.path.dirname(out))


def test_the_output_may_not_be_a_member_of_the_input(tmp_path: Path) -> None:
    member = dems.write(tmp_path / "member.tif", surfaces.fractal((20, 20), 5).astype("float32"))
    before = Path(member).read_bytes()
    with pytest.raises(TerrainError, match="is read by the input"):
        warped(dems.virtual(tmp_path / "dem.vrt", member), member)
    assert Path(member).read_bytes() == before


def test_a_cancel_leaves_nothing(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((80, 80), 5))
    with pytest.raises(Cancelled):
        warped(source, out, dems.Heard(stop_at=1), target_crs=MERCATOR, cell_size=3.0)
    assert not os.listdir(os.path.dirname(out))


def test_positions_are_exact_within_the_bound() -> None:
    source = Grid(4000, 4000, 400_000, 4_000_000, 30, 30, crs_of(UTM).to_wkt())
    target = Grid(4000, 5000, -118.2, 36.2, 0.0003, 0.0003, crs_of(GEOGRAPHIC).to_wkt())
    here = Places.of(source, target)
    rows, cols = np.arange(700, 1212) + 0.5, np.arange(1000, 1512) + 0.5
    found = np.stack(here.lattice(rows, cols))
    exact = np.stack(here.exact(*np.meshgrid(rows, cols, indexing="ij")))
    assert np.abs(found - exact).max() < 2e-6 < places.BOUND_PX


def test_positions_at_the_border_of_a_projection_are_exact_too() -> None:
    """A patch that no polynomial follows is divided, down to single positions."""
    source = Grid(1800, 3600, -180, 90, 0.1, 0.1, crs_of(GEOGRAPHIC).to_wkt())
    target = Grid(130, 140, -7_000_000, 7_000_000, 100_000, 100_000, crs_of("+proj=ortho +lat_0=40").to_wkt())
    here = Places.of(source, target)
    rows, cols = np.arange(130) + 0.5, np.arange(140) + 0.5
    found = np.stack(here.lattice(rows, cols))
    exact = np.stack(here.exact(*np.meshgrid(rows, cols, indexing="ij")))
    assert np.array_equal(np.isnan(found), np.isnan(exact)) and np.isnan(exact).any()
    assert np.nanmax(np.abs(found - exact)) <= places.BOUND_PX


def test_sizes_follow_the_projection() -> None:
    source = Grid(400, 400, 400_000, 4_000_000, 30, 30, crs_of(UTM).to_wkt())
    bounds = surroundings(source, crs_of(MERCATOR).to_wkt())
    assert bounds is not None
    target = Grid(900, 900, bounds[0], bounds[3], 20, 20, crs_of(MERCATOR).to_wkt())
    found = sizes.sizes_of(Places.of(source, target), False)
    cosine = np.cos(np.radians(36))
    assert found.row_size == pytest.approx(cosine * 2 / 3, rel=0.01) == found.col_size
    assert found.parts == (2, 2) and found.part_sizes[0] == found.row_size / 2
    assert sizes.sizes_of(Places.of(source, target), True).parts == (1, 1)
    assert area_of_cell(source, target.crs) == pytest.approx((30 / cosine) ** 2, rel=0.01)


def test_averages_of_a_turned_grid_are_averages(tmp_path: Path, out: str) -> None:
    """Against many heights of the same surface inside each cell, turned by 30 degrees."""
    turned = "+proj=omerc +lat_0=36 +lonc=-118 +alpha=30 +gamma=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    heights = surfaces.fractal((60, 60), 8) * 3
    source = dems.write(tmp_path / "dem.tif", heights)
    whole, _ = warped(source, out, target_crs=turned, cell_size=30.0)
    top, left = (size // 2 - 10 for size in whole.shape)
    with rasterio.open(out) as file:
        (west, north), (east, south) = file.transform @ (left, top), file.transform @ (left + 20, top + 20)
    fine = str(tmp_path / "fine.tif")
    parts, _ = warped(source, fine, target_crs=turned, cell_size=3.0, extent=(west, south, east, north))
    found = whole[top : top + 20, left : left + 20]
    assert parts.shape == (200, 200) and np.isfinite(parts).all()
    assert np.sqrt(np.mean((found - surfaces.block_average(parts, 10)) ** 2)) < 0.01 * np.std(np.diff(heights))
