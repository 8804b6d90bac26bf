"""*Terrain derivatives* on files: planes, a hill against its formula, differences, crops, voids, units, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from neural_terrain.core import attributes
from neural_terrain.core.continuous import opened
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


def test_flat_ground_has_no_aspect_and_no_curvature(tmp_path: Path) -> None:
    found = derived(tmp_path, dems.write(tmp_path / "flat.tif", np.full((20, 30), 512.0)))
    assert np.isnan(found["aspect"]).all()
    assert all((found[name] == 0).all() for name in OUTPUTS if name not in ("aspect", "hillshade"))


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


@pytest.mark.parametrize("model", ["baseline", "field"])
def test_slopes_are_differences_of_the_same_surface(tmp_path: Path, model: str) -> None:
    source = dems.write(tmp_path / "dem.tif", surfaces.fractal((40, 50), 3) * 2, crs=None)
    found = derived(tmp_path, source, ("slope", "aspect"), model=model, scale=8.0)
    rng = np.random.default_rng(2)
    rows, cols = rng.integers(0, 320, 400), rng.integers(0, 400, 400)
    x, y = 400_000 + (cols + 0.5) * 3.75, 4_000_000 - (rows + 0.5) * 3.75
    settings = Settings(input=source, model=model, device="cpu", slope="slope.tif")
    with opened(settings, dems.Heard()) as ground:
        east, west, north, south = (
            ask(ground, x + dx, y + dy, 0, dems.Heard())["elevation"] for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
    p, q = (east - west) / 2, (north - south) / 2
    known = np.isfinite(p) & np.isfinite(q)
    assert known.mean() > 0.98
    for name, values in (("slope", attributes.slope_deg(p, q)), ("aspect", attributes.aspect_deg(p, q))):
        off = (found[name][rows, cols] - values + 180) % 360 - 180
        assert np.median(np.abs(off[known])) < 0.01 * np.median(values[known]), name


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


def test_every_output_can_be_made_alone(tmp_path: Path) -> None:
    source = plane(tmp_path, 0.1, 0.2)
    together = derived(tmp_path, source)
    for name in OUTPUTS:
        alone = derived(tmp_path, source, (name,))[name]
        assert np.array_equal(alone, together[name], equal_nan=True), name
    assert len(list(itertools.chain(tmp_path.glob("*.tif")))) == len(OUTPUTS) + 1
