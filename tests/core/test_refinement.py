"""The project's main tests: tiled equals untiled to the bit, no-data stays where it is, heights are right."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from neural_terrain.core import grid, raster, refinement, tiling
from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.raster import Reading, Source
from neural_terrain.core.tiling import Cost
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems


def job(source: str, out: str, **values: object) -> dict:
    """Run the job on the CPU with the baseline unless told otherwise."""
    return refinement.refine(Settings(source, out, **{"model": "baseline", "device": "cpu", **values}), dems.Heard())


def layers(
    path: str, model: surface.Surface, scale: float, tile_px: int, read: tuple[int, int] | None = None,
    wanted: refinement.Wanted | None = None,
) -> dict:  # fmt: skip
    """Unrounded layers of a whole raster, NaN where not valid, and the read shape, by tiles of a given side."""
    with Source(path) as source:
        target = grid.zoom(source.grid, scale)
        plan = tiling.with_tiles(target, model.halo_px, Cost(1, 1), tile_px, read)
        work = refinement.Work(source, model, plan, wanted or refinement.Wanted())
        made = {name: np.full(target.grid.shape, np.nan) for name in ("heights", "error90")}
        made |= {"valid": np.zeros(target.grid.shape, dtype=bool), "classes": np.zeros(target.grid.shape, np.uint8)}
        for tile in plan:
            fine, write = work.compute([tile], [work.read(tile)])[0], tile.write
            place = np.s_[write.row : write.row_stop, write.col : write.col_stop]
            made["heights"][place] = np.where(fine.valid, fine.heights, np.nan)
            if fine.error90 is not None:
                made["error90"][place] = np.where(fine.valid, fine.error90, np.nan)
            made["valid"][place], made["classes"][place] = fine.valid, refinement.classes_of(fine)
    return {**made, "read": plan.read_shape}


def computed(
    path: str, model: surface.Surface, scale: float, tile_px: int, read: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Unrounded heights, validity and read shape, see :func:`layers`."""
    found = layers(path, model, scale, tile_px, read)
    return found["heights"], found["valid"], found["read"]


def ragged(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Fractal ground with a slanted edge, islands of no-data and one island of ground."""
    heights = surfaces.fractal(shape, seed).astype(np.float32)
    row, col = np.mgrid[: shape[0], : shape[1]]
    void = row * 0.6 + col < 25
    for centre, radius in (((60, 70), 9), ((30, 120), 3), ((100, 100), 1)):
        void |= np.hypot(row - centre[0], col - centre[1]) < radius
    void &= np.hypot(row - 10, col - 6) > 2
    heights[void] = -9999
    return heights


@pytest.fixture(scope="module")
def terrain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return dems.write(tmp_path_factory.mktemp("dem") / "terrain.tif", ragged((130, 150), 3), nodata=-9999)


def models(tiny: str) -> dict[str, surface.Surface]:
    return {
        "baseline": surface.load(card.find("baseline"), Compute()),
        "fp32": surface.load(card.find(tiny), Compute("cpu", "float32")),
        "bf16": surface.load(card.find(tiny), Compute("cpu", "bfloat16")),
    }


@pytest.mark.parametrize("name", ["baseline", "fp32", "bf16"])
@pytest.mark.parametrize("scale", [2, 2.5, 3.7, 4])
def test_tiled_equals_untiled_to_the_bit(terrain: str, tiny: str, name: str, scale: float) -> None:
    model = models(tiny)[name]
    whole, valid, read = computed(terrain, model, scale, 1024)
    for tile_px in (512, 256, 128) if scale == 4 else (128,):
        tiled, tiled_valid, _ = computed(terrain, model, scale, tile_px, read)
        assert np.array_equal(valid, tiled_valid)
        assert np.array_equal(whole, tiled, equal_nan=True), f"tiles of {tile_px}"


@pytest.mark.parametrize("name", ["baseline", "fp32", "bf16"])
def test_memory_moves_no_height_by_a_millimetre(terrain: str, tiny: str, name: str) -> None:
    """Other budgets give other tensor shapes; then the same bits cannot be promised."""
    model = models(tiny)[name]
    whole, _, _ = computed(terrain, model, 3.7, 1024)
    for tile_px in (128, 256):
        tiled, _, _ = computed(terrain, model, 3.7, tile_px)
        assert np.nanmax(np.abs(whole - tiled)) < 1e-3


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_shipped_model_is_seamless_too(tmp_path: Path, dtype: str) -> None:
    path = dems.write(tmp_path / "dem.tif", surfaces.fractal((70, 64), 5).astype(np.float32))
    model = surface.load(card.find("ebcf"), Compute("cpu", dtype))
    whole, _, read = computed(path, model, 4, 512)
    tiled, _, _ = computed(path, model, 4, 128, read)
    assert np.array_equal(whole, tiled)
    other_shape, _, _ = computed(path, model, 4, 128)
    assert np.abs(whole - other_shape).max() < 1e-3


@pytest.mark.parametrize("scale", [4, 3.7])
@pytest.mark.parametrize("model", ["baseline", "tiny"])
def test_a_run_with_extent_is_the_crop_of_the_full_run(
    terrain: str, tiny: str, tmp_path: Path, scale: float, model: str
) -> None:
    name = tiny if model == "tiny" else model
    full, part = str(tmp_path / "full.tif"), str(tmp_path / "part.tif")
    job(terrain, full, scale=scale, model=name)
    extent = (401_000.0, 3_996_500.0, 403_777.0, 3_998_888.0)
    found = job(terrain, part, scale=scale, model=name, extent=extent)
    with rasterio.open(full) as one, rasterio.open(part) as other:
        col, row = (round(v) for v in ~one.transform @ (other.transform.c, other.transform.f))
        place = np.s_[row : row + other.height, col : col + other.width]
        assert np.array_equal(one.read(1)[place], other.read(1))
        assert other.bounds.left <= extent[0] and other.bounds.right >= extent[2]
        assert other.bounds.bottom <= extent[1] and other.bounds.top >= extent[3]
        assert other.bounds.left == pytest.approx(one.transform.c + col * one.transform.a)
    assert (found["rows"], found["columns"]) == (other.height, other.width)


@pytest.mark.parametrize("name", ["baseline", "fp32"])
@pytest.mark.parametrize("voids", [False, True])
def test_the_halo_is_true(tmp_path: Path, tiny: str, name: str, voids: bool) -> None:
    """Changing everything beyond the halo of a cell changes nothing there; changing a cell near it does."""
    model = models(tiny)[name]
    size = 2 * model.halo_px + 21
    middle = size // 2
    heights = surfaces.fractal((size, size), 8)
    valid = np.ones((size, size), dtype=bool)
    if voids:
        valid[middle - 3 : middle + 5, middle + 2 : middle + 9] = False
        valid[: middle - 4, :] = False
    distance = np.maximum(*(np.abs(v - middle) for v in np.mgrid[:size, :size]))
    before = _at_cell(model, heights, valid, middle)
    beyond = distance > model.halo_px
    shaken = heights + np.where(beyond, np.random.default_rng(1).normal(size=heights.shape) * 500, 0)
    assert np.array_equal(before, _at_cell(model, shaken, valid & (~beyond | (shaken > 700)), middle))
    nudged = heights + np.where(distance == 1, 30.0, 0)
    assert np.abs(before - _at_cell(model, nudged, valid, middle)).max() > 0.01


def _at_cell(model: surface.Surface, heights: np.ndarray, valid: np.ndarray, cell: int) -> np.ndarray:
    metres = np.full(heights.shape[0], 30.0)
    known = surface.CoarseHeights(heights, valid, metres, metres)
    positions = cell + surfaces.centres(4, 0.25)
    return model.decode(model.encode(known), surface.Queries(positions, positions, 0.25, 0.25))


def test_cards_state_the_halo_of_their_code(tiny: str) -> None:
    for model in [*card.installed().values(), card.find(tiny)]:
        assert model.halo_px == surface.load(model, Compute()).halo_px, model.name


# No-data


def test_a_fine_cell_is_valid_exactly_where_its_centre_lies_in_a_valid_cell(terrain: str, out: str, tiny: str) -> None:
    coarse = dems.read(terrain)
    for scale in (4, 3.7):
        for name in ("baseline", tiny):
            found = job(terrain, out, scale=scale, model=name)
            fine = dems.read(out)
            cells = [np.floor(surfaces.centres(n) / scale + 1e-9).astype(int) for n in fine.shape]
            around = np.pad(coarse != -9999, (0, 1))
            expected = around[np.ix_(*cells)]
            assert np.array_equal(fine != -9999, expected)
            assert found["valid_share"] == pytest.approx(expected.mean())
            assert fine[expected].min() > coarse[coarse != -9999].min() - 60
            assert fine[expected].max() < coarse.max() + 60


@pytest.mark.parametrize("kind", ["number", "nan", "mask", "interval", "huge"])
def test_every_way_to_say_no_data_gives_the_same_heights(tmp_path: Path, out: str, kind: str, tiny: str) -> None:
    heights = ragged((70, 80), 4)
    void = heights == -9999
    plain = dems.write(tmp_path / "plain.tif", heights, nodata=-9999)
    job(plain, out, model=tiny)
    expected = dems.read(out)
    made = heights.copy()
    made[void] = {"number": -32768, "nan": np.nan, "mask": 4321, "interval": -5, "huge": -3.4028235e38}[kind]
    profile = {
        "number": {"nodata": -32768}, "nan": {"nodata": np.nan}, "mask": {"mask": ~void}, "interval": {},
        "huge": {"nodata": float(np.float32(-3.4028235e38))},
    }[kind]  # fmt: skip
    path = dems.write(tmp_path / f"{kind}.tif", made, **profile)
    job(path, out, model=tiny, no_data=((-10.0, 0.0),) if kind == "interval" else (), nodata=-9999.0)
    assert np.array_equal(dems.read(out), expected)


def test_nan_without_a_no_data_value_is_a_void(tmp_path: Path, out: str) -> None:
    heights = np.full((20, 20), 700, np.float32)
    heights[3, 4] = np.nan
    found = job(dems.write(tmp_path / "dem.tif", heights), out, scale=2)
    assert found["valid_share"] == pytest.approx(1 - 1 / 400)
    assert set(np.unique(dems.read(out))) == {-9999, 700}


def test_everything_void_is_a_result_with_a_warning(tmp_path: Path, out: str) -> None:
    path = dems.write(tmp_path / "dem.tif", np.full((9, 9), -9999, np.float32), nodata=-9999)
    found = job(path, out)
    assert found["valid_share"] == 0 and found["min"] is None
    assert "no valid cell" in found["warnings"][0]


def pitted(seed: int = 5) -> np.ndarray:
    """Ground of 180 x 150 cells with a collar, two pits, a ragged strip and a void that is too wide."""
    heights = ragged((180, 150), seed) + np.arange(180, dtype=np.float32)[:, None]
    heights[[10, 20, 15], [40, 60, 30]] = -9999
    heights[125:170, 10:60] = -9999
    heights[70:73, 80:140] = -9999
    heights[heights < 0] = -9999
    return heights


def test_voids_are_filled_on_request_and_the_file_and_the_log_say_so(terrain: str, out: str) -> None:
    heard = dems.Heard()
    settings = Settings(terrain, out, scale=4, voids="fill", model="baseline", device="cpu")
    found = refinement.refine(settings, heard)
    void = dems.read(terrain) == -9999
    row, col = np.mgrid[:130, :150]
    collar = void & (row * 0.6 + col < 25)
    assert np.array_equal(dems.read(out)[2::4, 2::4] == -9999, collar)
    assert found["filled_share"] == pytest.approx((void & ~collar).mean())
    assert found["valid_share"] == pytest.approx(1 - collar.mean())
    pits = 16 * (void & ~collar).sum()
    assert any(f"{pits} cells of the result" in t and "wider than 24" in t for t in heard.texts("info"))
    with rasterio.open(out) as file:
        assert '"voids": "fill"' in file.tags()["NEURAL_TERRAIN_SETTINGS"]


@pytest.mark.parametrize("name", ["baseline", "ebcf", "field"])
def test_every_layer_is_alike_in_every_layout(tmp_path: Path, tiny: str, tiny_field: str, name: str) -> None:
    path = dems.write(tmp_path / "dem.tif", pitted(), nodata=-9999)
    folder = {"baseline": "baseline", "ebcf": tiny, "field": tiny_field}[name]
    model = surface.load(card.find(folder), Compute("cpu", "float32"))
    wanted = refinement.Wanted(fill=True, error90=model.tells_error)
    whole = layers(path, model, 2.5, 512, wanted=wanted)
    tiled = layers(path, model, 2.5, 128, whole["read"], wanted=wanted)
    for layer in ("heights", "valid", "classes", "error90"):
        assert np.array_equal(whole[layer], tiled[layer], equal_nan=layer in ("heights", "error90")), layer
    assert set(np.unique(whole["classes"])) == {0, 1, 2}
    assert np.isfinite(whole["error90"][whole["valid"]]).all() == model.tells_error


def test_filled_voids_follow_the_ground(tmp_path: Path, out: str) -> None:
    """A plane is continued through a void, by the baseline to rounding."""
    plane = surfaces.lattice(surfaces.plane(1.5, -2.25, 900), *[surfaces.centres(60)] * 2)
    holed = plane.copy()
    holed[20:31, 24:40] = -9999
    job(dems.write(tmp_path / "dem.tif", holed, nodata=-9999), out, scale=4, voids="fill")
    holed_result = dems.read(out)
    job(dems.write(tmp_path / "whole.tif", plane), out, scale=4)
    assert holed_result == pytest.approx(dems.read(out), abs=1.01 / raster.ROUNDING)


# Honoured input


def kept_cells(result: str, scale: int, point: bool) -> np.ndarray:
    """What the result makes of the coarse cells: averages, or heights at the centres."""
    fine = dems.read(result).astype(np.float64)
    return fine[scale // 2 :: scale, scale // 2 :: scale] if point else surfaces.block_average(fine, scale)


@pytest.mark.parametrize(("scale", "sampling"), [(2, "average"), (4, "average"), (7, "average"), (3, "point")])
@pytest.mark.parametrize("voids", ["keep", "fill"])
def test_the_field_keeps_what_is_known(
    tmp_path: Path, out: str, tiny_field: str, scale: int, sampling: str, voids: str
) -> None:
    """To a centimetre at the edges of the raster and beside voids too; and not at all if it is told not to."""
    heights = ragged((75, 70), 7)
    path = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    known = heights != -9999
    misses = []
    for honour in ("yes", "no"):
        job(path, out, model=tiny_field, scale=scale, sampling=sampling, voids=voids, honour_input=honour)
        misses.append(np.abs(kept_cells(out, scale, sampling == "point") - heights)[known].max())
    assert misses[0] < 0.01
    assert misses[1] > 0.1


def test_models_that_only_nearly_keep_cells_say_so_once(terrain: str, out: str, tiny: str, tiny_field: str) -> None:
    for model, said in (("baseline", 1), (tiny, 1), (tiny_field, 0)):
        heard = dems.Heard()
        small = (401_000.0, 3_996_500.0, 401_300.0, 3_996_800.0)
        given = Settings(terrain, out, scale=2, model=model, device="cpu", honour_input="no", extent=small)
        refinement.refine(given, heard)
        assert sum("HONOUR_INPUT" in text for text in heard.texts("info")) == said


# Uncertainty and provenance


def test_the_uncertainty_is_a_height_in_the_unit_of_the_dem(tmp_path: Path, tiny_field: str) -> None:
    heights = surfaces.fractal((40, 40), 9)
    heights[18:23, 10:16] = -9999
    bands = []
    for unit, factor in (("m", 1.0), ("ft", 0.3048)):
        stored = np.where(heights == -9999, -9999, heights / factor)
        path = dems.write(tmp_path / "dem.tif", stored, units=unit, nodata=-9999)
        error = str(tmp_path / f"{unit}.error.tif")
        job(path, str(tmp_path / "out.tif"), model=tiny_field, voids="fill", uncertainty=error)
        with rasterio.open(error) as file:
            assert file.descriptions == ("Uncertainty (90 % error)",)
            assert file.units == ({"m": "metre", "ft": "foot"}[unit],)
            assert (
                file.tags()["NEURAL_TERRAIN_COVERAGE"] == "0.9" and "quadrature" in file.tags()["NEURAL_TERRAIN_ERROR"]
            )
            assert float(file.tags(1)["STATISTICS_MINIMUM"]) >= 0
            bands.append(file.read(1) * factor)
    assert bands[1] == pytest.approx(bands[0], abs=2e-3, rel=1e-3)
    assert (bands[0] > 0).all()


def test_an_uncertainty_is_refused_where_the_model_has_none(terrain: str, out: str, tiny: str) -> None:
    Path(out).write_bytes(b"old")
    for model in ("baseline", tiny):
        with pytest.raises(TerrainError, match="does not know its error") as caught:
            job(terrain, out, model=model, uncertainty=out.replace("fine", "error"))
        assert str(caught.value).endswith(".")
    assert os.listdir(os.path.dirname(out)) == ["fine.tif"] and Path(out).read_bytes() == b"old"


@pytest.mark.parametrize("voids", ["keep", "fill"])
def test_provenance_is_told_for_every_cell(tmp_path: Path, out: str, voids: str) -> None:
    heights = pitted()
    classes = str(tmp_path / "provenance.tif")
    job(dems.write(tmp_path / "dem.tif", heights, nodata=-9999), out, scale=2, voids=voids, provenance=classes)
    found, missing = dems.read(classes), dems.read(out) == -9999
    known = np.kron(heights != -9999, np.ones((2, 2), bool))
    assert np.array_equal(found == 0, known)
    assert np.array_equal(found == 2, missing)
    assert (found == 1).any() == (voids == "fill")
    with rasterio.open(classes) as file:
        assert file.nodata is None and file.tags(1)["CLASS_1"] == "filled"
        assert file.colormap(1)[2] == (74, 84, 99, 255)


def test_a_wish_for_more_layers_asks_for_more_memory(tiny_field: str) -> None:
    model = surface.load(card.find(tiny_field), Compute())
    plain = refinement.cost_of(Settings("a.tif", "b.tif"), model)
    more = refinement.cost_of(Settings("a.tif", "b.tif", uncertainty="c.tif", voids="fill"), model)
    assert more.bytes_per_fine > plain.bytes_per_fine and more.bytes_per_coarse > plain.bytes_per_coarse


# Values


@pytest.mark.parametrize("height", [0.0, 1000.0, -12.5, 8848.0, 1234.56787109375])
@pytest.mark.parametrize("model", ["baseline", "ebcf"])
def test_constant_terrain_stays_constant(tmp_path: Path, out: str, height: float, model: str) -> None:
    path = dems.write(tmp_path / "dem.tif", np.full((10, 20), height, np.float64))
    job(path, out, scale=3.7, model=model, difference=str(tmp_path / "difference.tif"))
    assert set(np.unique(dems.read(out))) == {np.float32(np.floor(height * 1024 + 0.5) / 1024)}
    assert set(np.unique(dems.read(tmp_path / "difference.tif"))) == {0}


@pytest.mark.parametrize("offset", [1000.0, -500.0, 0.25])
@pytest.mark.parametrize("model", ["baseline", "tiny", "ebcf"])
def test_an_offset_comes_out_as_it_went_in(tmp_path: Path, tiny: str, offset: float, model: str) -> None:
    heights = np.round(surfaces.fractal((60, 50), 6) * 8) / 8
    heights[20:30, 30:33] = -32768
    results = []
    for i, values in enumerate((heights, np.where(heights == -32768, heights, heights + offset))):
        path = dems.write(tmp_path / f"in{i}.tif", values.astype(np.float32), nodata=-32768)
        job(path, str(tmp_path / f"out{i}.tif"), model=tiny if model == "tiny" else model)
        results.append(dems.read(tmp_path / f"out{i}.tif").astype(np.float64))
    known = results[0] != -32768
    assert np.array_equal(results[0][known] + offset, results[1][known])


def test_the_baseline_reproduces_a_plane(tmp_path: Path, out: str) -> None:
    plane = surfaces.plane(1.5, -2.25, 900)
    path = dems.write(tmp_path / "dem.tif", surfaces.lattice(plane, *[surfaces.centres(60)] * 2))
    for scale in (2, 2.5, 3.7, 4, 16):
        job(path, out, scale=scale)
        fine = dems.read(out)
        inner = np.s_[round(14 * scale) : round(46 * scale), round(14 * scale) : round(46 * scale)]
        expected = surfaces.lattice(plane, *[surfaces.centres(n, 1 / scale) for n in fine.shape])
        assert fine[inner] == pytest.approx(expected[inner], abs=0.5001 / raster.ROUNDING)


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.rot90, np.transpose])
def test_the_baseline_has_no_preferred_direction(tmp_path: Path, turn) -> None:
    heights = surfaces.fractal((41, 33), 2)
    results = []
    for i, values in enumerate((heights, turn(heights))):
        path = dems.write(tmp_path / f"in{i}.tif", np.ascontiguousarray(values))
        job(path, str(tmp_path / f"out{i}.tif"), scale=4)
        results.append(dems.read(tmp_path / f"out{i}.tif"))
    assert turn(results[0]) == pytest.approx(results[1], abs=1.01 / raster.ROUNDING)


@pytest.mark.parametrize("unit", ["ft", "US survey foot"])
@pytest.mark.parametrize("model", ["baseline", "tiny"])
def test_feet_and_metres_give_the_same_ground(tmp_path: Path, tiny: str, unit: str, model: str) -> None:
    factor = {"ft": 0.3048, "US survey foot": 1200 / 3937}[unit]
    heights = surfaces.fractal((40, 40), 9)
    model = tiny if model == "tiny" else model
    job(dems.write(tmp_path / "m.tif", heights, units="m"), str(tmp_path / "om.tif"), model=model)
    job(dems.write(tmp_path / "f.tif", heights / factor, units=unit), str(tmp_path / "of.tif"), model=model)
    metres, feet = dems.read(tmp_path / "om.tif"), dems.read(tmp_path / "of.tif")
    assert feet * factor == pytest.approx(metres, abs=2e-3)
    job(dems.write(tmp_path / "n.tif", heights / factor), str(tmp_path / "on.tif"), model=model,
        z_unit="foot" if unit == "ft" else "us-foot")  # fmt: skip
    assert np.array_equal(dems.read(tmp_path / "on.tif"), feet)
    with rasterio.open(tmp_path / "on.tif") as file:
        assert file.units == ("foot" if unit == "ft" else "us-foot",)


def test_bf16_and_fp32_agree_within_a_hundredth_of_the_relief(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", surfaces.fractal((60, 60), 12).astype(np.float32))
    found = [computed(path, surface.load(card.find("ebcf"), Compute("cpu", dtype)), 4, 256)[0]
             for dtype in ("bfloat16", "float32")]  # fmt: skip
    relief = np.percentile(dems.read(path), 95) - np.percentile(dems.read(path), 5)
    assert np.abs(found[0] - found[1]).max() < 0.01 * relief


def test_the_difference_is_the_result_minus_plain_cubic(tmp_path: Path, out: str) -> None:
    heights = surfaces.fractal((40, 40), 1)
    path, difference = dems.write(tmp_path / "dem.tif", heights, nodata=0), str(tmp_path / "difference.tif")
    job(path, out, scale=4, difference=difference)
    with rasterio.open(difference) as file:
        assert file.descriptions == ("Elevation minus cubic interpolation",)
        made = file.read(1)
    cubic = _gdal_cubic(path, dems.read(out).shape, 4)
    inner = np.s_[16:-16, 16:-16]
    assert made[inner] == pytest.approx((dems.read(out) - cubic)[inner], abs=2e-3)
    assert np.abs(made).max() > 0.1


def _gdal_cubic(path: str, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Cubic resampling by GDAL's warper onto cells ``1 / scale`` wide; not at a raster's edge, where it reweights."""
    with rasterio.open(path) as file:
        made = np.zeros(shape)
        place = file.transform @ Affine.scale(1 / scale)
        rasterio.warp.reproject(
            file.read(1), made, src_transform=file.transform, dst_transform=place, src_crs=file.crs,
            dst_crs=file.crs, resampling=Resampling.cubic,
        )  # fmt: skip
    return made


@pytest.mark.parametrize("scale", [2, 3.7, 4])
def test_point_samples_are_interpolated_as_gdal_does_it(tmp_path: Path, out: str, scale: float) -> None:
    path = dems.write(tmp_path / "dem.tif", surfaces.fractal((50, 50), 7))
    job(path, out, scale=scale, sampling="point")
    made = dems.read(out)
    inner = np.s_[round(4 * scale) : round(46 * scale), round(4 * scale) : round(46 * scale)]
    assert made[inner] == pytest.approx(_gdal_cubic(path, made.shape, scale)[inner], abs=1e-3)


def test_the_error_on_a_hill_falls_with_the_cell_size_to_the_third_power_or_faster(tmp_path: Path, out: str) -> None:
    errors = []
    for count in (20, 40, 80):
        coarse = surfaces.hill_averages(count, 10, 2.5, 100, 20 / count)
        job(dems.write(tmp_path / "dem.tif", coarse), out, scale=2)
        truth = surfaces.hill_averages(2 * count, 10, 2.5, 100, 10 / count)
        errors.append(np.abs(dems.read(out) - truth).max())
    assert errors[0] / errors[1] > 6 and errors[1] / errors[2] > 6
    assert errors[2] < 0.05


def test_the_baseline_keeps_cell_averages_better_than_cubic(tmp_path: Path, out: str) -> None:
    heights = surfaces.fractal((48, 48), 10)
    path = dems.write(tmp_path / "dem.tif", heights)
    job(path, out, scale=4)
    kept = surfaces.block_average(dems.read(out).astype(float), 4) - heights
    job(path, out, scale=4, sampling="point")
    plain = surfaces.block_average(dems.read(out).astype(float), 4) - heights
    assert np.sqrt((kept**2).mean()) < 0.05 * np.sqrt((plain**2).mean())


# Target grids


def test_a_target_raster_with_an_offset_and_beyond_the_dem(tmp_path: Path, out: str) -> None:
    plane = surfaces.plane(2, 1, 500)
    path = dems.write(tmp_path / "dem.tif", surfaces.lattice(plane, surfaces.centres(60), surfaces.centres(60)))
    place = Affine(10, 0, 400_904, 0, -10, 3_999_207)
    like = dems.write(tmp_path / "like.tif", np.zeros((150, 130), np.uint8), transform=place)
    found = job(path, out, grid=like)
    with rasterio.open(out) as file:
        assert file.transform == place
        made = file.read(1)
    rows = (4_000_000 - 3_999_207 + surfaces.centres(150, 10)) / 30
    cols = (400_904 - 400_000 + surfaces.centres(130, 10)) / 30
    inside = (rows < 60)[:, None] & (cols < 60)
    assert np.array_equal(made != -9999, inside)
    assert found["valid_share"] == pytest.approx(inside.mean())
    inner = ((rows < 46)[:, None] & (cols < 46)) & ((rows > 14)[:, None] & (cols > 14))
    assert made[inner] == pytest.approx(surfaces.lattice(plane, rows, cols)[inner], abs=1e-3)


def test_sources_of_any_shape(tmp_path: Path, out: str, tiny: str) -> None:
    for shape in ((1, 1), (1, 40), (40, 1), (3, 5), (12, 90)):
        heights = surfaces.fractal((max(shape[0], 8), max(shape[1], 8)), 1)[: shape[0], : shape[1]]
        path = dems.write(tmp_path / "dem.tif", np.ascontiguousarray(heights))
        for model in ("baseline", tiny):
            found = job(path, out, scale=2.5, model=model)
            assert (found["rows"], found["columns"]) == tuple(int(np.ceil(n * 2.5)) for n in shape)
            made = dems.read(out)
            kept = made[made != -9999]
            assert kept.size and abs(kept.mean() - heights.mean()) < 60


def test_nearly_square_scale_one_is_allowed(terrain: str, out: str) -> None:
    found = job(terrain, out, scale=1)
    assert (found["rows"], found["columns"]) == (130, 150)


# Refusals, warnings, and what a failed run leaves behind


def test_what_matters_is_said_once(tmp_path: Path, out: str) -> None:
    path = dems.write(tmp_path / "dem.tif", surfaces.fractal((9, 9), 1), crs=None, transform=Affine(1, 0, 5, 0, -1, 5))
    heard = dems.Heard()
    found = refinement.refine(Settings(path, out, model="ebcf", scale=10, device="cpu"), heard)
    said = "\n".join(found["warnings"])
    assert "no CRS" in said and "outside the range" in said and "Scale 10 is beyond" in said
    assert len(found["warnings"]) == len(set(found["warnings"])) == len(heard.texts("warning"))
    assert any("vertical unit" in text for text in heard.texts("info"))
    assert heard.events[-1]["fraction"] == pytest.approx(0.97)


@pytest.mark.parametrize("values", [{"model": "none such"}, {"device": "cuda:77"}, {"memory_mb": 64, "scale": 1.0}])
def test_what_cannot_be_done_is_refused_and_leaves_nothing(terrain: str, out: str, values: dict, tiny: str) -> None:
    with pytest.raises(TerrainError) as caught:
        job(terrain, out, **{"model": "ebcf", **values})
    assert str(caught.value).endswith(".")
    assert os.listdir(os.path.dirname(out)) == []


def test_the_memory_that_a_refusal_names_is_enough(terrain: str, out: str) -> None:
    with pytest.raises(TerrainError, match="set Memory to at least") as caught:
        job(terrain, out, model="ebcf", memory_mb=64, scale=1, extent=(400_300, 3_999_000, 400_400, 3_999_100))
    memory_mb = int(str(caught.value).rstrip(".").split()[-1])
    job(terrain, out, model="ebcf", memory_mb=memory_mb, scale=1, extent=(400_300, 3_999_000, 400_400, 3_999_100))


def test_a_cancelled_run_leaves_the_old_output_and_nothing_else(terrain: str, out: str) -> None:
    Path(out).write_bytes(b"old")
    with pytest.raises(Cancelled):
        refinement.refine(Settings(terrain, out, scale=4, model="baseline", memory_mb=64), dems.Heard(stop_at=2))
    assert os.listdir(os.path.dirname(out)) == ["fine.tif"]
    assert Path(out).read_bytes() == b"old"


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, TerrainError])
def test_an_error_in_mid_run_leaves_the_old_output_and_nothing_else(
    terrain: str, out: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(out).write_bytes(b"old")
    plain = refinement.Work.compute

    def failing(self: refinement.Work, tiles: list[tiling.Tile], coarse: list) -> list[refinement.Fine]:
        if tiles[0].index == 3:
            raise error("in mid-run")
        return plain(self, tiles, coarse)

    monkeypatch.setattr(refinement.Work, "compute", failing)
    with pytest.raises(error, match="in mid-run"):
        job(terrain, out, memory_mb=64, difference=out.replace("fine", "difference"))
    assert os.listdir(os.path.dirname(out)) == ["fine.tif"]
    assert Path(out).read_bytes() == b"old"


def test_a_difference_that_cannot_be_made_takes_nothing_with_it(terrain: str, out: str) -> None:
    Path(out).write_bytes(b"old")
    with pytest.raises(TerrainError, match="does not exist"):
        job(terrain, out, difference=os.path.join(os.path.dirname(out), "none", "d.tif"))
    assert os.listdir(os.path.dirname(out)) == ["fine.tif"]


def test_a_result_that_cannot_be_finished_leaves_the_old_difference_too(
    terrain: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    difference = out.replace("fine", "difference")
    for path in (out, difference):
        Path(path).write_bytes(b"old")
    plain = raster.Sink._refuse_missing_blocks

    def failing(self: raster.Sink) -> None:
        if str(self.path) == out:
            raise OSError("the disk is full")
        plain(self)

    monkeypatch.setattr(raster.Sink, "_refuse_missing_blocks", failing)
    with pytest.raises(TerrainError, match="Nothing was replaced"):
        job(terrain, out, difference=difference)
    assert sorted(os.listdir(os.path.dirname(out))) == ["difference.tif", "fine.tif"]
    assert all(Path(path).read_bytes() == b"old" for path in (out, difference))


def test_a_locked_output_does_not_keep_the_others_back(terrain: str, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, classes = out.replace("fine", "difference"), out.replace("fine", "provenance")
    for path in (out, locked, classes):
        Path(path).write_bytes(b"old")
    replace = os.replace

    def refusing(source: str, target: str) -> None:
        if str(target) == locked:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(TerrainError, match=r"difference\.tif is in use.*difference\.new\.tif"):
        job(terrain, out, scale=2, difference=locked, provenance=classes)
    names = ["difference.new.tif", "difference.tif", "fine.tif", "provenance.tif"]
    assert sorted(os.listdir(os.path.dirname(out))) == names
    assert Path(locked).read_bytes() == b"old"
    assert dems.read(out).shape == dems.read(classes).shape == dems.read(out.replace("fine", "difference.new")).shape


def test_outputs_that_differ_only_in_their_suffix_do_not_meet(terrain: str, out: str) -> None:
    job(terrain, out, difference=out + "f")
    assert np.median(dems.read(out)[dems.read(out) != -9999]) > 500
    assert np.abs(np.median(dems.read(out + "f")[dems.read(out) != -9999])) < 10


def test_the_output_may_not_be_a_member_of_the_input(tmp_path: Path) -> None:
    first = dems.write(tmp_path / "a.tif", np.ones((5, 5), np.float32))
    vrt = tmp_path / "all.vrt"
    with rasterio.open(first) as file, WarpedVRT(file) as warped:
        rasterio.shutil.copy(warped, vrt, driver="VRT")
    before = Path(first).read_bytes()
    with pytest.raises(TerrainError, match="is read by the input"):
        job(str(vrt), first)
    with pytest.raises(TerrainError, match="is read by the input"):
        job(str(vrt), str(tmp_path / "out.tif"), provenance=first)
    assert Path(first).read_bytes() == before


def test_provenance_tells_how_but_not_where(terrain: str, out: str, tiny: str) -> None:
    job(terrain, out, model=tiny, difference=out.replace("fine", "difference"))
    with rasterio.open(out) as file:
        tags = file.tags()
    assert tags["NEURAL_TERRAIN_MODEL"].startswith("tiny 1 ")
    assert tags["NEURAL_TERRAIN_COMPUTE"].startswith("cpu")
    assert os.path.dirname(terrain) not in str(tags) and os.path.dirname(out) not in str(tags)
    assert '"input": "terrain.tif"' in tags["NEURAL_TERRAIN_SETTINGS"]


def test_heights_are_read_with_scale_offset_and_user_intervals(tmp_path: Path, out: str) -> None:
    stored = np.full((20, 20), 100, np.int16)
    stored[5, 5], stored[9, 9] = -32768, 900
    path = dems.write(tmp_path / "dem.tif", stored, nodata=-32768, scales=0.5, offsets=1000.0)
    found = job(path, out, scale=2, no_data=((1400.0, 1500.0),))
    assert found["valid_share"] == pytest.approx(1 - 2 / 400)
    assert found["min"] == found["max"] == 1050


def test_reading_is_a_value() -> None:
    assert Reading() == Reading(1, "", (), "auto")


def test_an_unknown_unit_of_the_band_is_said(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "cm.tif", surfaces.fractal((12, 12), 1).astype(np.float32), units="cm")
    assert any("'cm'" in warning for warning in job(source, out, scale=2)["warnings"])
    assert not job(source, out, scale=2, z_unit="metre")["warnings"]


def test_a_difference_of_nothing_stays_nothing_where_0_is_no_data(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "flat.tif", np.full((12, 12), 7.0, np.float32), nodata=0.0)
    difference = str(tmp_path / "difference.tif")
    job(source, out, scale=2, difference=difference)
    assert (dems.read(difference) == 0).all()
