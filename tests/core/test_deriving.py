"""*Terrain derivatives* on files: planes, a hill against its formula, differences, crops, voids, units, refusals."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from neural_terrain.core import attributes
from neural_terrain.core.continuous import Continuous, opened
from neural_terrain.core.deriving.layers import writing_of
from neural_terrain.core.elevation.relief import Relief
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs import derive
from neural_terrain.core.jobs.derive import OUTPUTS, Settings
from neural_terrain.core.querying.asking import ask
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

NODATA = -9999.0
STEP = 2.0**-10


def derived(tmp_path: Path, source: str, names: tuple[str, ...] = OUTPUTS, **values: Any) -> dict[str, np.ndarray]:
    """The layers by name; NaN where they are no-data."""
    paths = {name: str(tmp_path / f"{name}.tif") for name in names}
    given: dict[str, Any] = {"model": "baseline", "device": "cpu", "input": source, **paths, **values}
    derive.run(Settings(**given), dems.Heard())
    layers = {name: dems.read(path).astype(float) for name, path in paths.items()}
    return {name: np.where(layer == NODATA, np.nan, layer) for name, layer in layers.items()}


def step_of(layer: str) -> float:
    """What the numbers of a layer are multiples of, on cells of :data:`CELL` metres."""
    return 1 / writing_of(layer, Settings(input="dem.tif", slope="slope.tif"), {}, CELL).rounding


def plane(tmp_path: Path, east: float, north: float, size: int = 40, **profile: Any) -> str:
    """A DEM that rises by ``east`` and ``north`` metres per metre, 30 m cells without a CRS."""
    row, col = np.mgrid[:size, : size + 10] + 0.5
    return dems.write(tmp_path / "plane.tif", 800 + 30 * (east * col - north * row), **{"crs": None, **profile})


@pytest.mark.parametrize("model", ["baseline", "field"])
def test_a_plane_has_its_slope_its_aspect_and_no_curvature(tmp_path: Path, model: str) -> None:
    source, sun = plane(tmp_path, 0.3, -0.4, 130), {"azimuth_deg": 300.0, "altitude_deg": 50.0}
    found = derived(tmp_path, source, model=model, scale=2.0, **sun)
    inner = {name: layer[110:-110, 110:-110] for name, layer in found.items()}  # a mirrored plane has creases
    assert found["slope"].shape == (260, 280)
    assert inner["slope"] == pytest.approx(np.degrees(np.arctan(0.5)), abs=2 * STEP)
    assert inner["aspect"] == pytest.approx(360 - np.degrees(np.arctan2(0.3, 0.4)), abs=2 * STEP)
    light = attributes.hillshade(np.array(0.3), np.array(-0.4), 300.0, 50.0)
    assert inner["hillshade"] == pytest.approx(float(light), abs=0.04)
    for name in ("profile_curvature", "plan_curvature", "total_curvature"):
        assert inner[name] == pytest.approx(0, abs=1e-8), name


@pytest.mark.parametrize("name", ["baseline", "field"])
@pytest.mark.parametrize(("height", "scale"), [(512.0, 1.0), (512.3, 1.7), (8848.86, 3.0)])
def test_flat_ground_has_no_aspect_and_no_curvature(
    tmp_path: Path, tiny_field: str, name: str, height: float, scale: float
) -> None:
    """What rounding leaves of no slope has no direction either."""
    model = tiny_field if name == "field" else name
    source = dems.write(tmp_path / "flat.tif", np.full((20, 30), height))
    found = derived(tmp_path, source, model=model, scale=scale)
    for layer in ("aspect", "profile_curvature", "plan_curvature"):
        assert np.isnan(found[layer]).all(), layer
    assert (found["slope"] == 0).all() and (found["total_curvature"] == 0).all()
    assert found["hillshade"] == pytest.approx(1 + 254 * np.sqrt(0.5), abs=1 / 16)
    settings = Settings(input=source, model=model, device="cpu", slope="slope.tif")
    with opened(settings, dems.Heard()) as ground:
        answers = ask(ground, np.array([400_311.0]), np.array([3_999_777.0]), 2, dems.Heard())
    assert answers["elevation"] == pytest.approx(height) and answers["slope_deg"] == pytest.approx(0, abs=1e-6)
    assert all(np.isnan(answers[one]) for one in ("aspect_deg", "curv_profile", "curv_plan"))


def hill_of(size: int, radius: float, step: float) -> tuple[np.ndarray, ...]:
    """Derivatives of a Gaussian hill of 300 m at the centres of cells, 30 m for each cell of the DEM."""
    at = surfaces.centres(round(size / step), step)
    x, y = 30 * (at - size / 2)[None, :], -30 * (at - size / 2)[:, None]
    spread = (30 * radius) ** 2
    height = 300 * np.exp(-(x**2 + y**2) / (2 * spread))
    p, q = -x / spread * height, -y / spread * height
    r, s, t = (x**2 / spread - 1) / spread * height, x * y / spread**2 * height, (y**2 / spread - 1) / spread * height
    return p, q, r, s, t


def hill(tmp_path: Path) -> str:
    """A DEM of 64 x 64 cells with averages of a Gaussian hill of 300 m, whose standard deviation is 8 cells."""
    return dems.write(tmp_path / "hill.tif", 500 + surfaces.hill_averages(64, 32, 8.0, 300.0), crs=None)


def test_a_hill_agrees_with_its_formula(tmp_path: Path) -> None:
    found = derived(tmp_path, hill(tmp_path), scale=2.0)
    p, q, r, s, t = hill_of(64, 8.0, 1 / 2)
    assert np.abs(found["slope"] - attributes.slope_deg(p, q)).max() < 0.1
    steep = attributes.slope_deg(p, q) > 5
    turned = (found["aspect"] - attributes.aspect_deg(p, q) + 180) % 360 - 180
    assert np.abs(turned[steep]).max() < 0.25
    expected = {
        "profile_curvature": attributes.profile_curvature(p, q, r, s, t),
        "plan_curvature": attributes.plan_curvature(p, q, r, s, t),
        "total_curvature": attributes.total_curvature(r, s, t),
    }
    for name, values in expected.items():
        off = np.sqrt(np.mean((found[name] - values)[steep] ** 2))
        assert off < 0.05 * np.abs(values[steep]).max(), name


def test_a_model_of_rough_ground_leaves_a_smooth_hill_nearly_smooth(tmp_path: Path) -> None:
    slope = derived(tmp_path, hill(tmp_path), ("slope",), model="field", scale=2.0)["slope"]
    off = slope - attributes.slope_deg(*hill_of(64, 8.0, 1 / 2)[:2])
    assert np.sqrt(np.mean(off**2)) < 1.0


CELL = 30.0
ROUGH = (40, 50)


def rough(tmp_path: Path) -> str:
    return dems.write(tmp_path / "dem.tif", surfaces.fractal(ROUGH, 3) * 2, crs=None)


def some_cells(scale: float, count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of some cells of the result."""
    rng = np.random.default_rng(2)
    rows, cols = (rng.integers(0, int(size * scale), count) for size in ROUGH)
    return rows, cols


def asked(ground: Continuous, x: np.ndarray, y: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """All layers at coordinates, from what a query answers and, where it has no such attribute, from its surface."""
    found = ask(ground, x, y, 2, dems.Heard())
    relief = surface_at(ground, (4_000_000 - y) / CELL, (x - 400_000) / CELL, 2)
    sun = settings.azimuth_deg, settings.altitude_deg, settings.z_factor
    return {
        "slope": found["slope_deg"], "aspect": found["aspect_deg"],
        "hillshade": attributes.hillshade(relief.east, relief.north, *sun),
        "profile_curvature": found["curv_profile"], "plan_curvature": found["curv_plan"],
        "total_curvature": attributes.total_curvature(relief.east_east, relief.east_north, relief.north_north),
    }  # fmt: skip


def surface_at(ground: Continuous, rows: np.ndarray, cols: np.ndarray, degree: int) -> Relief:
    """The surface at positions of a small DEM."""
    tiles = ground.tiles()
    assert len(tiles) == 1
    return ground.relief(ground.encode(tiles.tile(0)), ground.at(rows, cols), degree)


@pytest.mark.parametrize("name", ["baseline", "field"])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 8.0])
def test_layers_are_what_a_query_answers(tmp_path: Path, tiny_field: str, name: str, scale: float) -> None:
    """One surface for both tools, whatever the cells of the result."""
    model = tiny_field if name == "field" else name
    found = derived(tmp_path, rough(tmp_path), model=model, scale=scale)
    rows, cols = some_cells(scale)
    x, y = 400_000 + (cols + 0.5) * CELL / scale, 4_000_000 - (rows + 0.5) * CELL / scale
    settings = Settings(input=str(tmp_path / "dem.tif"), model=model, device="cpu", slope="slope.tif")
    with opened(settings, dems.Heard()) as ground:
        expected = asked(ground, x, y, settings)
    for layer, values in expected.items():
        off = np.abs(found[layer][rows, cols] - values)
        off = np.minimum(off, 360 - off) if layer == "aspect" else off
        assert np.isfinite(off).all()
        assert np.quantile(off, 0.95) <= step_of(layer) + 1e-4 * np.quantile(np.abs(values), 0.9), layer


@pytest.mark.parametrize("cell_m", [2.0, 250.0, 10_000.0])
def test_bends_keep_their_digits_on_cells_of_any_size(tmp_path: Path, cell_m: float) -> None:
    """Hills of the same slopes, large and small: curvatures fall with their size, the squared one with its square."""
    row, col = np.mgrid[:48, :48] + 0.5
    hills = cell_m * 0.01 * np.sin(col / 3) * np.cos(row / 4)
    place = Affine(cell_m, 0, 0, 0, -cell_m, 0)
    source = dems.write(tmp_path / "hills.tif", hills.astype(np.float64), crs=None, transform=place, dtype="float64")
    found = derived(tmp_path, source, sampling="point")
    for name, power in (("profile_curvature", 1), ("plan_curvature", 1), ("total_curvature", 2)):
        inner = found[name][8:-8, 8:-8]
        assert np.unique(inner).size > 900, name
        assert 1e-9 < np.nanmedian(np.abs(inner)) * cell_m**power < 1, name


@pytest.mark.parametrize("model", ["baseline", "field"])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_derivatives_are_differences_of_the_same_surface(tmp_path: Path, model: str, scale: float) -> None:
    """Central differences of heights that were asked, over a 256th of a cell of the DEM."""
    found = derived(tmp_path, rough(tmp_path), model=model, scale=scale)
    rows, cols = some_cells(scale)
    at_rows, at_cols, step = (rows + 0.5) / scale, (cols + 0.5) / scale, 1 / 512
    settings = Settings(input=str(tmp_path / "dem.tif"), model=model, device="cpu", slope="slope.tif")
    with opened(settings, dems.Heard()) as ground:
        moves = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        places = (np.stack([at_rows - i * step for i, _ in moves]), np.stack([at_cols + j * step for _, j in moves]))
        heights = surface_at(ground, *(at.ravel() for at in places), 0).heights.reshape(9, -1)
        z = dict(zip(moves, heights, strict=True))
    base = CELL * step
    p, q = (z[0, 1] - z[0, -1]) / (2 * base), (z[1, 0] - z[-1, 0]) / (2 * base)
    r, t = (z[0, 1] - 2 * z[0, 0] + z[0, -1]) / base**2, (z[1, 0] - 2 * z[0, 0] + z[-1, 0]) / base**2
    s = (z[1, 1] - z[1, -1] - z[-1, 1] + z[-1, -1]) / (4 * base**2)
    expected = {
        "slope": attributes.slope_deg(p, q), "aspect": attributes.aspect_deg(p, q),
        "hillshade": attributes.hillshade(p, q), "profile_curvature": attributes.profile_curvature(p, q, r, s, t),
        "plan_curvature": attributes.plan_curvature(p, q, r, s, t),
        "total_curvature": attributes.total_curvature(r, s, t),
    }  # fmt: skip
    for name, values in expected.items():
        off = np.abs(found[name][rows, cols] - values)
        off = np.minimum(off, 360 - off) if name == "aspect" else off
        assert np.median(off) < 0.01 * np.median(np.abs(values)) + step_of(name), name


@pytest.mark.parametrize("name", ["baseline", "field"])
@pytest.mark.parametrize(("top", "left"), [(-3, -3), (-3, 8), (8, -3), (8, 8), (-3, 300)])
def test_a_grid_may_reach_beyond_the_dem_on_every_side(
    tmp_path: Path, tiny_field: str, name: str, top: int, left: int
) -> None:
    model = tiny_field if name == "field" else name
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((12, 310), 3) * 2)
    whole = derived(tmp_path, source, ("slope",), model=model)["slope"]
    place = Affine(CELL, 0, 400_000 + left * CELL, 0, -CELL, 4_000_000 - top * CELL)
    grid = dems.write(tmp_path / "grid.tif", np.zeros((7, 400 if left < 300 else 250)), transform=place)
    found = derived(tmp_path, source, ("slope",), model=model, grid=grid)["slope"]
    expected = np.full((40, 1000), np.nan)
    expected[10:22, 10:320] = whole
    expected = expected[10 + top : 17 + top, 10 + left : 10 + left + found.shape[1]]
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) <= 2 * STEP


@pytest.mark.parametrize(("model", "names"), [("baseline", OUTPUTS), ("field", ("slope",))])
def test_a_part_equals_the_same_part_of_the_whole(tmp_path: Path, model: str, names: tuple) -> None:
    """The part has other tiles, so tiles leave no trace."""
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((140, 132), 5) * 2)
    whole = derived(tmp_path, source, names, model=model, scale=8.0)
    top, left = 900, 930
    bounds = (400_000 + left * 3.75, 4_000_000 - 1100 * 3.75, 400_000 + 1050 * 3.75, 4_000_000 - top * 3.75)
    part = derived(tmp_path, source, names, model=model, scale=8.0, extent=bounds)
    for name in names:
        there = whole[name][top:1100, left:1050]
        assert part[name].shape == there.shape
        share = np.nanmax(np.abs(there)) * 1e-4 + 2.0**-9
        assert np.nanquantile(np.abs(part[name] - there), 0.999) <= share, name


def test_voids_stay_no_data_and_their_surroundings_are_known(tmp_path: Path) -> None:
    heights = surfaces.fractal((40, 50), 7)
    heights[10:14, 20:26] = NODATA
    found = derived(tmp_path, dems.write(tmp_path / "dem.tif", heights, nodata=NODATA), scale=3.0)
    hole = np.zeros((120, 150), bool)
    hole[30:42, 60:78] = True
    for name in OUTPUTS:
        assert np.array_equal(np.isnan(found[name]), hole), name


def test_without_scale_cells_are_those_of_the_dem(tmp_path: Path) -> None:
    assert derived(tmp_path, plane(tmp_path, 0.1, 0.2), ("slope",))["slope"].shape == (40, 50)


def test_feet_and_degrees_are_true_metres(tmp_path: Path) -> None:
    row, col = np.mgrid[:40, :50] + 0.5
    rise = 30 * 0.2 * col / 0.3048
    feet = dems.write(tmp_path / "feet.tif", rise, crs=None, units="foot")
    assert derived(tmp_path, feet, ("slope",))["slope"][8:-8, 8:-8] == pytest.approx(
        np.degrees(np.arctan(0.2)), abs=0.01
    )
    second = 1 / 3600
    metres = 30.922 * np.cos(np.radians(60)) * (1 + 0.75 * 0.00669438)  # about, on the ellipsoid at 60 degrees
    degrees = dems.write(
        tmp_path / "degrees.tif",
        0.2 * metres * col,
        crs="EPSG:4326",
        transform=Affine(second, 0, 10, 0, -second, 60.0055),
    )
    slope = derived(tmp_path, degrees, ("slope",))["slope"][8:-8, 8:-8]
    assert slope == pytest.approx(np.degrees(np.arctan(0.2)), abs=0.05)


def test_files_say_what_they_hold(tmp_path: Path) -> None:
    derived(tmp_path, plane(tmp_path, 0.1, 0.2, crs="EPSG:32611"), scale=2.0)
    told = {}
    for name in OUTPUTS:
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            told[name] = file.descriptions[0], file.units[0]
            assert file.nodata == NODATA and file.crs.to_epsg() == 32611 and file.res == (15, 15)
            assert file.tags()["NEURAL_TERRAIN_MODEL"].startswith("baseline")
    assert told["slope"] == ("Slope", "degree") and told["plan_curvature"] == ("Plan curvature", "rad/m")
    assert told["total_curvature"] == ("Total curvature", "rad2/m2")


def test_files_say_how_they_were_made(tmp_path: Path) -> None:
    derived(tmp_path, plane(tmp_path, 0.1, 0.2), ("hillshade",), azimuth_deg=0.0, altitude_deg=30.0, scale=2.0)
    with rasterio.open(tmp_path / "hillshade.tif") as file:
        told = json.loads(file.tags()["NEURAL_TERRAIN_SETTINGS"])
    assert told["input"] == "plane.tif" and told["model"] == "baseline" and told["z_factor"] == 1.0
    assert (told["azimuth_deg"], told["altitude_deg"], told["scale"]) == (0.0, 30.0, 2.0)
    assert not told.keys() & {"hillshade", "slope", "device"}


BAD = {
    "No output was given": {"slope": ""},
    "must end in .tif": {"slope": "slope.png"},
    "is also an input": {"slope": "INPUT"},
    "The slope and the hillshade are the same file": {"hillshade": "OUT"},
    "Altitude is 120 degrees": {"altitude_deg": 120},
    "Azimuth is 400 degrees": {"azimuth_deg": 400},
    "Vertical exaggeration is 0": {"z_factor": 0},
    "which makes the DEM coarser": {"scale": 0.5},
    "coarser than the DEM's": {"cell_size": 60.0},
    "Both a target grid and a cell size": {"cell_size": 20.0, "grid": "INPUT"},
    "Compression is 'JPEG'": {"compression": "JPEG"},
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_cannot_be_is_refused(tmp_path: Path, sentence: str) -> None:
    source, output = plane(tmp_path, 0.1, 0.2), str(tmp_path / "slope.tif")
    places = {"INPUT": source, "OUT": output}
    values = {name: places.get(value, value) for name, value in BAD[sentence].items()}
    with pytest.raises(TerrainError, match=sentence):
        derive.run(Settings(**{"input": source, "model": "baseline", "slope": output, **values}), dems.Heard())
    assert not (tmp_path / "slope.tif").exists()


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((140, 140), 5))
    settings = Settings(input=source, model="baseline", device="cpu", scale=8.0, slope=str(tmp_path / "slope.tif"))
    with pytest.raises(Cancelled):
        derive.run(settings, dems.Heard(stop_at=1))
    assert [path.name for path in tmp_path.iterdir()] == ["dem.tif"]


def test_what_matters_about_the_dem_is_said(tmp_path: Path) -> None:
    transform = Affine(3000, 0, 400_000, 0, -3000, 4_000_000)
    source = dems.write(
        tmp_path / "dem.tif", surfaces.fractal((20, 20), 5), crs=None, units="m.ü.M.", transform=transform
    )
    heard = dems.Heard()
    settings = Settings(input=source, model="field", device="cpu", slope=str(tmp_path / "slope.tif"))
    told = derive.run(settings, heard)
    starts = ["The DEM has no CRS", "The band calls its vertical unit 'm.ü.M.'", "Cells of about 3e+03 m are outside"]
    warnings = heard.texts("warning")
    assert all(text.startswith(start) for text, start in zip(warnings, starts, strict=True)), warnings
    assert told["warnings"] == warnings


def test_a_dem_that_changes_on_the_way_is_refused(tmp_path: Path) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 5))

    class Meddling(dems.Heard):
        def emit(self, event: dict) -> None:
            super().emit(event)
            os.utime(source, ns=(0, len(self.events)))

    with pytest.raises(TerrainError, match="was changed during the run, so nothing was written"):
        derive.run(Settings(input=source, model="baseline", slope=str(tmp_path / "slope.tif")), Meddling())
    assert [path.name for path in tmp_path.iterdir()] == ["dem.tif"]


def test_an_output_may_not_be_a_member_of_the_input(tmp_path: Path) -> None:
    member = dems.write(tmp_path / "member.tif", surfaces.fractal((20, 20), 5).astype("float32"))
    dem = dems.virtual(tmp_path / "dem.vrt", member)
    before = Path(member).read_bytes()
    with pytest.raises(TerrainError, match="is read by the input"):
        derive.run(Settings(input=dem, model="baseline", slope=member), dems.Heard())
    assert Path(member).read_bytes() == before


def test_every_output_can_be_made_alone(tmp_path: Path) -> None:
    source = plane(tmp_path, 0.1, 0.2)
    together = derived(tmp_path, source)
    for name in OUTPUTS:
        alone = derived(tmp_path, source, (name,))[name]
        assert np.array_equal(alone, together[name], equal_nan=True), name
    assert len(list(itertools.chain(tmp_path.glob("*.tif")))) == len(OUTPUTS) + 1
