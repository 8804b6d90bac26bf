"""Surfaces fitted to points: exact on planes, better than a TIN, told errors hold, tiles leave no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import laspy
import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely

from neural_terrain.core.continuous import opened
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.fitting import band, fit_surface, judging, lattice, run, spline, trimming
from neural_terrain.core.jobs import superresolve
from neural_terrain.core.jobs.dem import DemSettings
from neural_terrain.core.jobs.fitsurface import Settings, classes_of
from neural_terrain.core.progress import CallbackProgress, Progress
from neural_terrain.core.querying.asking import ask
from neural_terrain.core.vector import lidar
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

UTM = "EPSG:32632"
WEST, NORTH = 600_000.0, 5_200_000.0


def scattered(count: int, side: float = 100.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions east and south of the corner."""
    x, y = np.random.default_rng(seed).uniform(0, side, (2, count))
    return x, y


def save(path: Path, x: np.ndarray, y: np.ndarray, z: np.ndarray, crs: str | None = UTM, flat: bool = False) -> str:
    """A layer of points with z, and with the attribute ``height``."""
    points = shapely.points(WEST + x, NORTH - y) if flat else shapely.points(WEST + x, NORTH - y, z)
    pyogrio.raw.write(
        path, geometry=shapely.to_wkb(points), field_data=[z], fields=["height"], layer="points", driver="GPKG",
        geometry_type="Point" if flat else "Point Z", crs=crs,
    )  # fmt: skip
    return str(path)


def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Hills of several sizes with a narrow valley."""
    hills = 8 * np.sin(x / 17) * np.cos(y / 13) + 2 * np.sin(x / 5 + y / 7) + 0.05 * x
    return 400 + hills - 6 * np.exp(-(((x - 50 - 8 * np.sin(y / 20)) / 5) ** 2))


@pytest.fixture
def points(tmp_path: Path) -> str:
    x, y = scattered(3000)
    return save(tmp_path / "points.gpkg", x, y, ground(x, y))


@pytest.fixture
def settings(points: str, tmp_path: Path) -> Settings:
    return Settings(output=str(tmp_path / "surface.tif"), input=points)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict]:
    """A surface that is only read: what was asked for, and what was told."""
    folder = tmp_path_factory.mktemp("fitted")
    x, y = scattered(3000)
    path = save(folder / "points.gpkg", x, y, ground(x, y))
    settings = Settings(output=str(folder / "surface.tif"), input=path, report=str(folder / "r.html"))
    return settings, fit_surface(settings, Progress())


def asked(path: str, x: np.ndarray, y: np.ndarray, degree: int = 0) -> dict[str, np.ndarray]:
    with opened(DemSettings(path), Progress()) as ground_of_file:
        return ask(ground_of_file, WEST + x, NORTH - y, degree, Progress())


# --- the spline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aspect", [1.0, 0.7])
def test_the_energy_of_a_quadratic_surface_is_exact(aspect: float) -> None:
    high = np.sqrt(aspect)
    rows, cols = np.mgrid[:4, :4] * 1.0
    # Coefficients of x^2 on unit steps are i^2 - 1/3; the constant does not bend.
    for values, bends in ((rows**2, 2 / high**2), (cols**2, 2 * high**2), (rows * cols, np.sqrt(2))):
        found = np.einsum("ij,ijkl,kl->", values, spline.energy(aspect), values)
        assert found == pytest.approx(bends**2, rel=1e-9)


def test_a_plane_costs_nothing_and_comes_back_as_it_is() -> None:
    rows, cols = np.random.default_rng(0).uniform(3, 27, (2, 200))
    plane = spline.Samples(rows, cols, 3000 + 0.4 * rows - 7 * cols, np.ones(200))
    for smoothing in (1e-3, 1e3):
        found = spline.fit(plane, np.ones((29, 29)), spline.Plate(smoothing))
        down, across = np.mgrid[:30, :30]
        assert found == pytest.approx(3000 + 0.4 * down - 7 * across, abs=1e-7)


def test_the_solution_is_that_of_a_direct_solver() -> None:
    rng = np.random.default_rng(4)
    rows, cols = rng.uniform(2, 26, (2, 300))
    samples = spline.Samples(rows, cols, rng.normal(0, 3, 300), rng.uniform(0.5, 2, 300))
    stiffness = rng.uniform(0.1, 1, (28, 28))
    left, right = spline._equations(samples, stiffness, spline.Plate(0.1))
    whole = np.zeros((29, 29, 35, 35))
    for i, j in np.ndindex(29, 29):
        whole[i, j, i : i + 7, j : j + 7] = left[i, j]
    matrix = whole[:, :, 3:-3, 3:-3].reshape(29 * 29, -1)
    assert matrix == pytest.approx(matrix.T, abs=1e-12)
    best = np.linalg.solve(matrix, right.ravel()).reshape(29, 29)
    found = spline.fit(samples, stiffness, spline.Plate(0.1))
    assert found[3:-3, 3:-3] == pytest.approx(best[3:-3, 3:-3], abs=1e-5)


def test_half_the_step_holds_the_same_surface() -> None:
    coefficients = np.random.default_rng(5).normal(size=(9, 9))
    fine = spline.refined(coefficients)
    assert fine.shape == (17, 17)
    at = np.array([3.2, 4.0, 4.75])
    from neural_terrain.core.elevation.scattered import bspline_at

    one = bspline_at(coefficients, at + 0.5, at[::-1] + 0.5)
    other = bspline_at(fine, 2 * at + 0.5, 2 * at[::-1] + 0.5)
    assert one == pytest.approx(other, abs=1e-12)


def test_the_surface_does_not_depend_on_the_datum() -> None:
    rows, cols = np.random.default_rng(6).uniform(3, 60, (2, 2000))
    heights = ground(rows, cols)
    one, other = (
        spline.fit(spline.Samples(rows, cols, heights + up, np.ones(2000)), np.ones((63, 63)), spline.Plate(0.01))
        for up in (0.0, 5000.0)
    )
    assert other - 5000 == pytest.approx(one, abs=1e-5)


# --- trimming, spacing, band -----------------------------------------------------------------------------------------


def test_birds_and_holes_are_trimmed_and_ridges_are_not() -> None:
    x, y = scattered(4000)
    heights = ground(x, y) + np.random.default_rng(7).normal(0, 0.05, 4000)
    bad = np.random.default_rng(8).random(4000) < 0.01
    found = trimming.outliers(np.column_stack([x, y]), np.where(bad, heights + 6, heights))
    assert found[bad].mean() > 0.9 and found[~bad].mean() < 0.002
    assert not trimming.outliers(np.column_stack([x, y])[:5], heights[:5]).any()


def test_made_ground_without_noise_loses_no_point(tmp_path: Path) -> None:
    """On planes neighbours agree up to a rounding, which must not make outliers of others' roundings."""
    x, y = scattered(1500)
    slopes = 60 - 0.02 * np.abs(x - 40)
    told = fit_surface(
        Settings(output=str(tmp_path / "s.tif"), input=save(tmp_path / "p.gpkg", x, y, slopes)), Progress()
    )
    assert told["trimmed"] == 0
    bad = slopes.copy()
    bad[::200] += 1.0
    told = fit_surface(Settings(output=str(tmp_path / "s.tif"), input=save(tmp_path / "b.gpkg", x, y, bad)), Progress())
    assert told["trimmed"] == 8


@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_the_spacing_is_that_of_a_lattice(jitter: float) -> None:
    down, across = (np.mgrid[:40, :40] * 3.0).reshape(2, -1)
    moved = np.random.default_rng(9).uniform(-jitter, jitter, (2, 1600)) * 3
    assert lattice._spacing(np.column_stack([across + moved[0], down + moved[1]])) == pytest.approx(3, rel=0.15)


def test_the_band_follows_errors_and_distances() -> None:
    rng = np.random.default_rng(10)
    places, away = rng.uniform(0, 100, (4000, 2)), rng.uniform(0.1, 2, 4000)
    rough = np.where(places[:, 0] > 50, 1.0, 0.1)
    errors = rng.normal(size=4000) * rough * (0.25 + away)
    half = rng.random(4000) < 0.5
    found = band.Band.of(places[half], errors[half], away[half])
    held = np.abs(errors[~half]) <= found.at(places[~half], away[~half])
    assert held.mean() == pytest.approx(0.9, abs=0.03)
    for side in (places[~half][:, 0] > 55, places[~half][:, 0] < 45):
        assert held[side].mean() == pytest.approx(0.9, abs=0.07)
    assert found.power == pytest.approx(1, abs=0.2)


def test_peers_are_what_they_are_called() -> None:
    x, y = scattered(200)
    places = np.column_stack([x, y])
    middle = np.array([[50.0, 50.0], [500.0, 500.0]])
    found = judging.peers(places, 2 * x - y, middle)
    assert found[:2, 0] == pytest.approx(50, abs=0.01) and np.isnan(found[:2, 1]).all()
    nearest = np.argmin(np.hypot(x - 50, y - 50))
    assert found[2, 0] == pytest.approx((2 * x - y)[nearest])
    line = np.column_stack([x, x])
    assert np.isnan(judging.peers(line, x, middle)[0]).all()


# --- the whole run ---------------------------------------------------------------------------------------------------


def test_a_surface_is_better_than_a_tin_and_says_so(fitted: tuple[Settings, dict]) -> None:
    settings, told = fitted
    assert told["rmse"] < 0.6 * told["tin_rmse"] and abs(told["bias"]) < 0.1 * told["rmse"] + 0.01
    rows = told["table"]
    assert rows["this surface"]["rmse"] < rows["cubic TIN (Clough-Tocher)"]["rmse"] < rows["nearest point"]["rmse"]
    x, y = scattered(2000, seed=99)
    inside = (np.abs(x - 50) < 45) & (np.abs(y - 50) < 45)
    found = asked(settings.output, x[inside], y[inside], 2)
    errors = np.abs(found["elevation"] - ground(x, y)[inside])
    assert np.quantile(errors, 0.9) < 1.3 * told["le90"]
    assert np.mean(errors <= found["error90"]) > 0.8
    step = 0.01
    rise = (ground(x + step, y) - ground(x - step, y)) / (2 * step)
    fall = (ground(x, y + step) - ground(x, y - step)) / (2 * step)
    slope = np.degrees(np.arctan(np.hypot(rise, fall)))[inside]
    assert np.sqrt(np.mean((found["slope_deg"] - slope) ** 2)) < 1.0
    page = Path(told["report"]).read_text("utf-8")
    assert "linear TIN" in page and page.count("<img") == 4 and "http" not in page


def test_a_plane_is_exact_and_cells_are_its_averages(tmp_path: Path) -> None:
    x, y = scattered(500)
    path = save(tmp_path / "p.gpkg", x, y, 100 + 0.3 * x - 0.2 * y)
    out = str(tmp_path / "s.tif")
    told = fit_surface(Settings(output=out, input=path), Progress())
    assert told["largest"] < 1e-5
    at = np.array([20.0, 50.0, 77.7]), np.array([30.0, 50.0, 12.2])
    assert asked(out, *at)["elevation"] == pytest.approx(100 + 0.3 * at[0] - 0.2 * at[1], abs=1e-4)
    with rasterio.open(out) as file:
        band_1 = file.read(1, masked=True)
        place = file.transform
        assert file.count == 3 and file.units == ("metre",) * 3 and file.crs.to_epsg() == 32632
        tags = file.tags()
    cols, rows = np.meshgrid(np.arange(band_1.shape[1]) + 0.5, np.arange(band_1.shape[0]) + 0.5)
    truth = 100 + 0.3 * (place.c + cols * place.a - WEST) - 0.2 * (NORTH - place.f - rows * place.e)
    assert np.abs(band_1 - truth).max() < 1e-4
    assert float(tags["FIT_RMSE"]) < 1e-5 and json.loads(tags["NEURAL_TERRAIN_FITTED"])["version"] == 1


def test_gaps_are_bridged_or_left_and_nothing_lies_far_outside(tmp_path: Path) -> None:
    x, y = scattered(4000)
    spacing = 100 / np.sqrt(4000)
    wide, narrow = np.hypot(x - 30, y - 50) < 9 * spacing, np.hypot(x - 70, y - 50) < 2.5 * spacing
    kept = ~(wide | narrow)
    path, out = save(tmp_path / "p.gpkg", x[kept], y[kept], ground(x, y)[kept]), str(tmp_path / "s.tif")
    fit_surface(Settings(output=out, input=path), Progress())
    found = asked(out, np.array([30.0, 70, 50, -5 * spacing, 50]), np.array([50.0, 50, 20, 50, 100 + 5 * spacing]))
    assert np.isnan(found["elevation"]).tolist() == [True, False, False, True, True]
    assert found["error90"][1] > found["error90"][2]


def test_runs_are_the_same_and_the_order_of_points_does_not_matter(fitted: tuple, tmp_path: Path) -> None:
    settings, _ = fitted
    x, y = scattered(3000)
    order = np.random.default_rng(11).permutation(3000)
    shuffled = save(tmp_path / "other.gpkg", x[order], y[order], ground(x, y)[order])
    other = replace(settings, input=shuffled, output=str(tmp_path / "other.tif"), report="")
    fit_surface(other, Progress())
    assert [read(settings.output).tobytes()] == [read(other.output).tobytes()]


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as file:
        bands: np.ndarray = file.read()
    return bands


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiles of 40 cells instead of 256."""
    plan = lattice.plan

    def planned(*arguments):  # type: ignore[no-untyped-def]
        found = plan(*arguments)
        return replace(found, tiles=replace(found.tiles, side_px=40))

    monkeypatch.setattr(run.lattices, "plan", planned)
    yield


@pytest.mark.usefixtures("small_tiles")
def test_tiles_leave_no_trace(fitted: tuple[Settings, dict], tmp_path: Path) -> None:
    settings, told = fitted
    tiled = replace(settings, output=str(tmp_path / "tiled.tif"), report="")
    other = fit_surface(tiled, Progress())
    assert other["smoothing"] == pytest.approx(told["smoothing"], rel=4)
    one, two = read(settings.output), read(tiled.output)
    known = one[0] != -9999
    assert (known == (two[0] != -9999)).all()
    moved = np.abs(one[0] - two[0])[known]
    assert np.sqrt(np.mean(moved**2)) < 0.05 * told["le90"] and moved.max() < told["le90"]
    # Second differences of the coefficients at the borders of tiles are as elsewhere.
    bends = np.abs(np.diff(np.where(known, two[1], np.nan), 2, axis=0))
    borders = (np.arange(bends.shape[0]) + 1) % 40 < 2
    assert np.nanmean(bends[borders]) == pytest.approx(np.nanmean(bends[~borders]), rel=0.1)


def test_noise_is_smoothed_and_outliers_do_no_harm(settings: Settings, tmp_path: Path) -> None:
    x, y = scattered(4000)
    rng = np.random.default_rng(12)
    noisy = ground(x, y) + rng.normal(0, 0.3, 4000)
    noisy[rng.random(4000) < 0.005] += 15
    told = fit_surface(replace(settings, input=save(tmp_path / "n.gpkg", x, y, noisy)), Progress())
    found = asked(settings.output, x, y)["elevation"] - ground(x, y)
    assert np.sqrt(np.nanmean(found**2)) < 0.2 and 10 <= told["trimmed"] <= 40 and told["rmse"] < 0.4


def test_breaklines_let_the_surface_bend(settings: Settings, tmp_path: Path) -> None:
    """A dike: a crest whose height the points do not show."""
    x, y = scattered(1500, 70)
    heights = 10 - 0.5 * np.abs(0.95 * (x - 35) + 0.31 * (y - 35))
    path = save(tmp_path / "dike.gpkg", x, y, heights)
    crest = shapely.linestrings([[WEST + 46, NORTH - 1.3, 10], [WEST + 24, NORTH - 68.7, 10]])
    lines = str(tmp_path / "crest.gpkg")
    pyogrio.raw.write(lines, geometry=shapely.to_wkb(np.array([crest])), field_data=[], fields=[], layer="crest",
                      driver="GPKG", geometry_type="LineString Z", crs=UTM)  # fmt: skip
    along = np.linspace(0.1, 0.9, 50)
    at = 46 - 22 * along, 1.3 + 67.4 * along
    fit_surface(replace(settings, input=path), Progress())
    without = np.abs(asked(settings.output, *at)["elevation"] - 10).mean()
    told = fit_surface(replace(settings, input=path, breaklines=lines), Progress())
    assert np.abs(asked(settings.output, *at)["elevation"] - 10).mean() < 0.5 * without
    assert told["trimmed"] < 15  # beside the line none is
    with pytest.raises(TerrainError, match="has no lines; choose one with breaklines"):
        fit_surface(replace(settings, input=path, breaklines=path), Progress())


def test_all_that_read_a_dem_take_the_surface(fitted: tuple[Settings, dict], tmp_path: Path) -> None:
    settings, _ = fitted
    fine, error = str(tmp_path / "fine.tif"), str(tmp_path / "error.tif")
    wanted = superresolve.Settings(settings.output, fine, scale=4, uncertainty=error, voids="fill")
    told = superresolve.run(wanted, Progress())
    assert told["device"] == "cpu (float64)"
    heights, with_error = read(fine)[0], read(error)[0]
    coarse = read(settings.output)
    known = coarse[0] != -9999
    averages = heights.reshape(known.shape[0], 4, known.shape[1], 4).mean(axis=(1, 3))
    assert averages[known] == pytest.approx(coarse[0][known], abs=1e-3)
    middle = with_error.reshape(known.shape[0], 4, known.shape[1], 4).mean(axis=(1, 3))[known]
    assert np.median(middle / coarse[2][known]) == pytest.approx(1, abs=0.1)


def test_a_changed_file_is_a_plain_dem(fitted: tuple[Settings, dict], tmp_path: Path) -> None:
    settings, _ = fitted
    cut = str(tmp_path / "cut.tif")
    with rasterio.open(settings.output) as file:
        window = rasterio.windows.Window(10, 10, 30, 30)
        profile = {
            **file.profile,
            "width": 30,
            "height": 30,
            "transform": file.transform @ rasterio.Affine.translation(10, 10),
        }
        with rasterio.open(cut, "w", **profile) as other:
            other.write(file.read(window=window))
            other.update_tags(**file.tags())
    for path, name in ((cut, "field"), (settings.output, "fitted")):
        with opened(DemSettings(path), Progress()) as there:
            assert there.model.card.name == name
    for number, words in (
        (2, "Band 2 of .* holds B-spline coefficients, not heights; choose band 1."),
        (3, "90 % err"),
    ):
        with pytest.raises(TerrainError, match=words), opened(DemSettings(settings.output, band=number), Progress()):
            pass
    listening = dems.Heard()
    with opened(DemSettings(cut), listening):
        said = listening.texts("info")
    assert "The DEM was cut, warped or converted from a fitted surface; it is a plain DEM, and a model is used." in said


def test_heights_may_be_an_attribute_feet_and_degrees(tmp_path: Path) -> None:
    x, y = scattered(800)
    z = 300 + 0.2 * x
    path, out = save(tmp_path / "flat.gpkg", x, y, z, flat=True), str(tmp_path / "s.tif")
    with pytest.raises(TerrainError, match=r"too few places with a height \(0, at least 10"):
        fit_surface(Settings(output=out, input=path), Progress())
    with pytest.raises(TerrainError, match="has no attribute 'z'; it has height"):
        fit_surface(Settings(output=out, input=path, field="z"), Progress())
    fit_surface(Settings(output=out, input=path, field="height", z_unit="foot"), Progress())
    assert asked(out, np.array([50.0]), np.array([50.0]))["elevation"] == pytest.approx(310, abs=1e-3)
    degrees = str(tmp_path / "degrees.gpkg")
    pyogrio.raw.write(
        degrees, geometry=shapely.to_wkb(shapely.points(10 + x / 5e4, 60 + y / 1e5, z)), field_data=[], fields=[],
        layer="p", driver="GPKG", geometry_type="Point Z", crs="EPSG:4326",
    )  # fmt: skip
    told = fit_surface(Settings(output=out, input=degrees), Progress())
    assert told["largest"] < 1e-4 and told["rows"] != told["columns"]


def test_an_extent_is_that_part_of_all(fitted: tuple[Settings, dict], tmp_path: Path) -> None:
    settings, _ = fitted
    part = replace(
        settings,
        output=str(tmp_path / "part.tif"),
        extent=(WEST, NORTH - 40, WEST + 40, NORTH),
        report="",
    )
    told = fit_surface(part, Progress())
    x, y = np.random.default_rng(13).uniform(1, 39, (2, 200))
    one, two = (asked(path, x, y)["elevation"] for path in (settings.output, part.output))
    assert np.abs(one - two).max() < told["le90"]
    inside = (np.array(scattered(3000)) <= 40).all(axis=0)
    assert np.count_nonzero(inside) < told["points"] < 3000 and told["valid_share"] > 0.95
    assert np.isnan(asked(part.output, np.array([60.0]), np.array([20.0]))["elevation"]).all()
    with pytest.raises(TerrainError, match="holds none of the points; choose another"):
        fit_surface(replace(part, extent=(0, 0, 1, 1)), Progress())


def test_points_without_a_crs_and_units_are_told(tmp_path: Path) -> None:
    x, y = scattered(300)
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        path = save(tmp_path / "p.gpkg", x, y, 300 + 0.2 * x, crs=None)
    report = tmp_path / "r.html"
    wanted = Settings(output=str(tmp_path / "s.tif"), input=path, z_unit="us-foot", report=str(report))
    told = fit_surface(wanted, Progress())
    assert told["warnings"][0].startswith("The points have no CRS; their horizontal unit is taken as metres.")
    assert "heights in US survey feet" in report.read_text("utf-8")


def test_a_disk_without_room_is_refused_before_anything_is_fitted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("neural_terrain.core.aside.free_bytes", lambda path: 20_000)
    with pytest.raises(
        TerrainError, match=r"The surface needs about .* MB while it is made, but only 0.019 MB are free"
    ):
        fit_surface(settings, Progress())
    assert [path.name for path in tmp_path.iterdir()] == ["points.gpkg"]


@pytest.mark.parametrize(("cell_size", "breaklines", "words"), [
    (1.0, False, "look in the report where it is off."), (3.0, False, "give smaller cells, 2 or less."),
    (1.0, True, "leave out breaklines where the ground does not bend: points beside them are believed, outliers too."),
])  # fmt: skip
def test_what_may_help_against_a_better_tin_is_said(cell_size: float, breaklines: bool, words: str) -> None:
    told = {"trimmed": 0, "far_share": 0.0, "tin_rmse": 1.0, "rmse": 2.0, "cell_size": cell_size, "spacing": 2.0}
    progress = Progress()
    run._say(told, breaklines, progress)
    assert progress.warnings[0].endswith(words)


def test_what_cannot_be_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match=r"The cell size is 0.1, but the points are .* apart on average; give at"):
        fit_surface(replace(settings, cell_size=0.1), Progress())
    with pytest.raises(
        TerrainError, match=r"is 1e\+06, but the ground to be covered is 9.* x .*; give a smaller one, s"
    ):
        fit_surface(replace(settings, cell_size=1e6), Progress())
    x, y = scattered(5)
    few = save(tmp_path / "few.gpkg", x, y, x)
    with pytest.raises(TerrainError, match=r"too few places with a height \(5, at least 10 are needed\)"):
        fit_surface(replace(settings, input=few), Progress())
    same = save(tmp_path / "same.gpkg", np.full(30, 5.0), np.full(30, 5.0), np.arange(30.0))
    with pytest.raises(TerrainError, match=r"too few places with a height \(1,"):
        fit_surface(replace(settings, input=same), Progress())
    for wrong, words in (
        ({"las": "x.las"}, "Both a point layer and a point cloud"), ({"input": ""}, "No points were given"),
        ({"hold_out": 0.5}, "Points to hold out is 0.5 %; it must be a number"), ({"seed": -1}, "Seed is -1"),
        ({"classes": (300,)}, "The class 300 is no whole number"), ({"output": "x.png"}, "must end in .tif"),
        ({"output": ""}, "No output was given"), ({"report": "x.txt"}, "must end in .html or .htm"),
        ({"z_unit": "yard"}, "Vertical unit is 'yard'"), ({"extent": (1, 1, 0, 0)}, "is empty"),
        ({"output": settings.input[:-4] + "tif", "breaklines": settings.input[:-4] + "tif"}, "is also an input"),
    ):  # fmt: skip
        with pytest.raises(TerrainError, match=words):
            replace(settings, **wrong)
    with pytest.raises(TerrainError, match="give numbers with commas"):
        classes_of("ground")
    assert classes_of("2, 9") == (2, 9) and classes_of("") == ()


def test_points_in_lines_are_warned_of(settings: Settings, tmp_path: Path) -> None:
    """Points held out on a line say nothing of the ground between the lines."""
    along, line = np.tile(np.linspace(0, 60, 121), 4), np.repeat(np.arange(4) * 8.0, 121)
    told = fit_surface(replace(settings, input=save(tmp_path / "l.gpkg", line, along, ground(line, along))), Progress())
    assert told["far_share"] > 0.5 and "The points stand in lines or groups: " in told["warnings"][0]
    x, y = scattered(800)
    told = fit_surface(replace(settings, input=save(tmp_path / "s.gpkg", x, y, ground(x, y))), Progress())
    assert told["far_share"] < 0.05 and not any(" in " in text for text in told["warnings"])
    one = np.linspace(0, 60, 121)
    told = fit_surface(
        replace(settings, input=save(tmp_path / "o.gpkg", one, one / 2, ground(one, one / 2))), Progress()
    )
    assert told["warnings"][0] == "The points stand in one straight line; beside it the surface is a guess."


def test_cells_that_are_too_large_are_told(settings: Settings) -> None:
    told = fit_surface(replace(settings, cell_size=15.0), Progress())
    assert told["warnings"][0].startswith("A linear TIN has a smaller error than the surface (0.")


def test_a_cancel_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    from neural_terrain.core.errors import Cancelled

    told: list[dict] = []
    progress = CallbackProgress(told.append, lambda: any("Fitting" in event.get("text", "") for event in told))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        fit_surface(settings, progress)
    assert sorted(tmp_path.iterdir()) == before


# --- LAS -------------------------------------------------------------------------------------------------------------


def cloud(path: Path) -> str:
    """A LAS or LAZ file: ground (2), plants (5) ten metres higher, and a few withheld points."""
    x, y = scattered(3000)
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = np.full(3, 0.001), np.array([WEST, NORTH, 0])
    import pyproj

    header.add_crs(pyproj.CRS(UTM))
    file = laspy.LasData(header)
    file.x, file.y = WEST + x, NORTH - y
    plants, withheld = np.arange(3000) % 3 == 0, np.arange(3000) % 50 == 1
    file.z = ground(x, y) + np.where(plants, 10, 0) + np.where(withheld, 500, 0)
    file.classification = np.where(plants, 5, 2).astype(np.uint8)
    file.withheld = withheld.astype(np.uint8)
    file.write(str(path))
    return str(path)


@pytest.mark.parametrize("name", ["cloud.las", "cloud.laz"])
def test_ground_points_of_a_point_cloud_count(tmp_path: Path, name: str) -> None:
    path, out = cloud(tmp_path / name), str(tmp_path / "s.tif")
    told = fit_surface(Settings(output=out, las=path), Progress())
    assert told["points"] == 2000 - 40 and told["crs"] == UTM and told["rmse"] < told["tin_rmse"] < 0.6
    assert lidar.classes_in(path) == {2: 2000, 5: 1000}
    with pytest.raises(
        TerrainError, match=r"too few points of the classes 9 \(0, .* it has \(class: points\) 2: 2000, 5:"
    ):
        fit_surface(Settings(output=out, las=path, classes=(9,)), Progress())
    (tmp_path / "bad.las").write_bytes(b"LASF and then nothing")
    with pytest.raises(TerrainError, match=r"bad.las cannot be read .*; choose a LAS or LAZ file."):
        fit_surface(Settings(output=out, las=str(tmp_path / "bad.las")), Progress())
    with pytest.raises(TerrainError, match="does not exist"):
        fit_surface(Settings(output=out, las="nothing.las"), Progress())


def test_fractal_ground_is_better_than_a_tin(tmp_path: Path) -> None:
    heights = surfaces.fractal((160, 160), 3) / 20
    x, y = np.random.default_rng(14).uniform(5, 155, (2, 5000))
    from neural_terrain.core.elevation.scattered import cubic_at

    path = save(tmp_path / "p.gpkg", x, y, cubic_at(heights, y, x, 0)[0])
    told = fit_surface(Settings(output=str(tmp_path / "s.tif"), input=path), Progress())
    assert told["rmse"] < 0.85 * told["tin_rmse"]
