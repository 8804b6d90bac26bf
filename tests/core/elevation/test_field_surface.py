"""The field as a surface: it keeps what is known, its halo is true, tiles leave no trace, its band and slopes hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.core import grid, raster, refinement, tiling
from neural_terrain.core.elevation import card, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.field_surface import FieldSurface, Latent
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.raster import Source
from neural_terrain.core.tiling import Cost
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

HALO_PX = dems.TINY_FIELD_HALO_PX
ASKED = 12
"""Coarse cells per side that are asked for; the rest of a window is halo."""


@pytest.fixture(scope="module")
def model(tiny_field: str) -> FieldSurface:
    return FieldSurface(card.find(tiny_field), Compute())


def ground(seed: int = 3, asked: int = ASKED) -> np.ndarray:
    """Rough ground: neighbouring cells differ by tens of metres."""
    return surfaces.fractal((2 * HALO_PX + asked,) * 2, seed) * 4


def known(heights: np.ndarray, valid: np.ndarray | None = None, **values: bool) -> CoarseHeights:
    metres = np.full(heights.shape[0], 30.0)
    return CoarseHeights(heights, np.ones(heights.shape, bool) if valid is None else valid, metres, metres, **values)


def lattice(scale: float, asked: int = ASKED, col_scale: float | None = None) -> Queries:
    """Fine cells over the cells that may be asked for."""
    rows, cols = (HALO_PX + surfaces.centres(int(asked * s), 1 / s) for s in (scale, col_scale or scale))
    return Queries(rows, cols, 1 / scale, 1 / (col_scale or scale))


def refined(model: FieldSurface, what: CoarseHeights, queries: Queries) -> np.ndarray:
    return model.decode(model.encode(what), queries)


def averages(fine: np.ndarray, scale: int) -> np.ndarray:
    rows, cols = (n // scale for n in fine.shape)
    return fine.reshape(rows, scale, cols, scale).mean(axis=(1, 3))


def asked(values: np.ndarray) -> np.ndarray:
    return values[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]


# What is known


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7, 8])
def test_cell_averages_are_the_input(tiny_field: str, scale: int, dtype: str) -> None:
    model, heights = FieldSurface(card.find(tiny_field), Compute("cpu", dtype)), ground()
    fine = refined(model, known(heights), lattice(scale))
    assert np.abs(averages(fine, scale) - asked(heights)).max() < 1e-3
    free = refined(model, known(heights, honour=False), lattice(scale))
    assert np.abs(averages(free, scale) - asked(heights)).max() > 0.5


@pytest.mark.parametrize("scales", [(2, 4), (3, 5)])
def test_cells_of_unequal_sides_keep_averages_too(model: FieldSurface, scales: tuple[int, int]) -> None:
    heights = ground(4)
    fine = refined(model, known(heights), lattice(scales[0], col_scale=scales[1]))
    blocks = fine.reshape(ASKED, scales[0], ASKED, scales[1]).mean(axis=(1, 3))
    assert np.abs(blocks - asked(heights)).max() < 1e-3


def test_averages_hold_beside_voids_and_in_islands(model: FieldSurface) -> None:
    heights, valid = ground(5), np.ones((2 * HALO_PX + ASKED,) * 2, dtype=bool)
    valid[HALO_PX + 3 : HALO_PX + 8, HALO_PX + 2 : HALO_PX + 11] = False
    valid[HALO_PX + 5, HALO_PX + 6] = True
    valid[:, : HALO_PX + 1] = False
    garbage = np.where(valid, heights, 1e30)
    fine = refined(model, known(garbage, valid), lattice(4))
    assert np.isfinite(fine).all()
    assert np.abs(averages(fine, 4) - asked(heights))[asked(valid)].max() < 1e-3


def test_averages_hold_at_the_edges_of_a_raster(model: FieldSurface, tmp_path: Path) -> None:
    """There the window is mirrored; every cell of the raster counts, corners included."""
    heights = (surfaces.fractal((30, 26), 6) * 4).astype(np.float32)
    fine, _, _ = computed(dems.write(tmp_path / "dem.tif", heights), model, 4, 256)
    assert np.abs(averages(fine, 4) - heights).max() < 1e-3


@pytest.mark.parametrize("scale", [3, 5])
def test_samples_at_points_are_kept(model: FieldSurface, scale: int) -> None:
    heights, middle = ground(7), scale // 2
    fine = refined(model, known(heights, point_sampled=True), lattice(scale))
    assert np.abs(fine[middle::scale, middle::scale] - asked(heights)).max() < 1e-3
    free = refined(model, known(heights, point_sampled=True, honour=False), lattice(scale))
    assert np.abs(free[middle::scale, middle::scale] - asked(heights)).max() > 0.5


@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("scale", [2, 3.7])
def test_a_thousand_metres_more_give_a_thousand_metres_more(model: FieldSurface, scale: float, point: bool) -> None:
    """To the whole steps of coefficients, whose rounding may fall to the other side."""
    heights = np.round(ground(8) * 1024) / 1024
    low, high = (refined(model, known(heights + d, point_sampled=point), lattice(scale)) for d in (0, 1000))
    assert np.abs(high - low - 1000).max() < 2e-3


@pytest.mark.parametrize("height", [0.0, 1234.5, -428.0])
@pytest.mark.parametrize("scale", [2, 3.7])
def test_flat_ground_stays_flat_exactly(model: FieldSurface, scale: float, height: float) -> None:
    heights = np.full((2 * HALO_PX + ASKED,) * 2, height)
    assert (refined(model, known(heights), lattice(scale)) == height).all()


# Surroundings and tiles


@pytest.mark.parametrize("blocks", [1, 8])
def test_the_halo_is_that_of_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    monkeypatch.setattr(dems, "TINY_FIELD", {"blocks": blocks, "channels": 8})
    model = FieldSurface(card.find(dems.tiny_field(tmp_path / "field")), Compute())
    assert model.halo_px == {1: HALO_PX, 8: 52}[blocks]


@pytest.mark.parametrize("voids", [False, True])
@pytest.mark.parametrize("point", [False, True])
def test_the_halo_is_true(model: FieldSurface, voids: bool, point: bool) -> None:
    """Changing everything beyond the halo of a cell changes no bit there; changing a cell near it does."""
    heights = ground(9, asked=11)
    size, middle = heights.shape[0], HALO_PX + 5
    distance = np.maximum(*(np.abs(v - middle) for v in np.mgrid[:size, :size]))
    valid = np.ones(heights.shape, dtype=bool)
    if voids:
        valid[middle - 3 : middle + 5, middle + 2 : middle + 9] = False
        valid[: middle - 4] = False
    beyond = distance > HALO_PX
    shaken = heights + np.where(beyond, np.random.default_rng(1).normal(size=heights.shape) * 500, 0)
    shaken_valid = valid & (~beyond | (shaken > 700))
    at = middle + surfaces.centres(4, 0.25)
    queries = Queries(at, at, 0.25, 0.25)
    before, after = (
        model.encode(known(*pair, point_sampled=point)) for pair in ((heights, valid), (shaken, shaken_valid))
    )
    assert np.array_equal(model.decode(before, queries), model.decode(after, queries))
    assert np.array_equal(model.error90(before, queries), model.error90(after, queries))
    assert all(
        np.array_equal(*pair)
        for pair in zip(slopes(model, before, queries), slopes(model, after, queries), strict=True)
    )
    nudged = heights + np.where(distance == 1, 30.0, 0)
    changed = model.decode(model.encode(known(nudged, valid, point_sampled=point)), queries)
    assert np.abs(changed - model.decode(before, queries)).max() > 0.01


def computed(
    path: str, model: surface.Surface, scale: float, tile_px: int, read: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Unrounded heights and band of a whole raster, through tiles of a given side, and the windows' shape."""
    with Source(path, None) as source:
        target = grid.zoom(source.grid, scale)
        plan = tiling.with_tiles(target, model.halo_px, Cost(1, 1), tile_px, read)
        width_m, height_m = grid.metres_per_cell(source.grid)
        heights, band = np.full(target.grid.shape, np.nan), np.full(target.grid.shape, np.nan)
        for tile in plan:
            coarse, valid = source.read(tile.read)
            rows = raster.mirror(tile.read.row, tile.read.row_stop, source.grid.rows)
            latent = model.encode(CoarseHeights(coarse, valid, width_m[rows], height_m[rows]))
            write = tile.write
            queries = Queries(
                target.rows.centres(write.row, write.row_stop) - tile.read.row,
                target.cols.centres(write.col, write.col_stop) - tile.read.col,
                target.rows.step,
                target.cols.step,
            )
            place = np.s_[write.row : write.row_stop, write.col : write.col_stop]
            heights[place], band[place] = model.decode(latent, queries), model.error90(latent, queries)
    return heights, band, plan.read_shape


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("scale", [2, 2.5, 3.7, 4])
def test_tiled_equals_untiled_to_the_bit(tiny_field: str, tmp_path: Path, dtype: str, scale: float) -> None:
    heights = surfaces.fractal((61, 83), 10).astype(np.float32)
    heights[20:29, 30:44] = heights[40:, :9] = -9999
    path = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    model = FieldSurface(card.find(tiny_field), Compute("cpu", dtype))
    whole, band, read = computed(path, model, scale, 512)
    for tile_px in (128, 64):
        tiled, tiled_band, _ = computed(path, model, scale, tile_px, read)
        assert np.array_equal(whole, tiled), f"tiles of {tile_px}"
        assert np.array_equal(band, tiled_band), f"band in tiles of {tile_px}"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_other_windows_move_no_height_by_a_millimetre(tiny_field: str, tmp_path: Path, dtype: str) -> None:
    path = dems.write(tmp_path / "dem.tif", surfaces.fractal((61, 83), 11).astype(np.float32))
    model = FieldSurface(card.find(tiny_field), Compute("cpu", dtype))
    whole, _, _ = computed(path, model, 3.7, 512)
    tiled, _, _ = computed(path, model, 3.7, 128)
    assert np.abs(whole - tiled).max() < 1e-3


def test_it_runs_through_the_job(tiny_field: str, tmp_path: Path, out: str) -> None:
    heights = surfaces.fractal((24, 30), 12).astype(np.float32)
    source = dems.write(tmp_path / "dem.tif", heights)
    settings = Settings(source, out, model=tiny_field, device="cpu", scale=4)
    assert refinement.refine(settings, dems.Heard())["valid_share"] == 1
    assert np.abs(averages(dems.read(out).astype(float), 4) - heights).max() < 2e-3


# The band


def test_the_band_is_positive_and_grows_with_relief(model: FieldSurface) -> None:
    heights = ground(13)
    band = model.error90(model.encode(known(heights)), lattice(4))
    assert band.shape == (4 * ASKED, 4 * ASKED) and (band > 0).all()
    steeper = model.error90(model.encode(known(heights * 3)), lattice(4))
    assert 2 < np.median(steeper) / np.median(band) < 6
    assert (model.error90(model.encode(known(np.full_like(heights, 7.0))), lattice(4)) == 0).all()


def test_the_band_is_wider_where_nothing_is_known(model: FieldSurface) -> None:
    heights, valid = ground(14), np.ones((2 * HALO_PX + ASKED,) * 2, dtype=bool)
    valid[HALO_PX + 4 : HALO_PX + 8, HALO_PX + 4 : HALO_PX + 8] = False
    latent = model.encode(known(heights, valid))
    inside = np.s_[4 * 4 : 8 * 4, 4 * 4 : 8 * 4]
    expected, _, filled = model.estimate(latent, lattice(4))
    assert filled[inside].all() and filled.sum() == 16 * 16
    ratio = model.error90(latent, lattice(4)) / expected
    assert np.allclose(ratio[inside], 3.5) and ratio[filled == 0].max() <= 2.0


def test_without_calibration_the_band_is_refused(tmp_path: Path) -> None:
    model = FieldSurface(card.find(dems.tiny_field(tmp_path / "plain", calibrated=False)), Compute())
    with pytest.raises(TerrainError, match=r"card of model tinyfield has no calibration .* without UNCERTAINTY\."):
        model.error90(model.encode(known(ground())), lattice(2))


# Slopes


def slopes(model: FieldSurface, latent: Latent, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
    """Rise per metre to the east and to the north."""
    found = model.relief(latent, queries, 1)
    return found.east, found.north


@pytest.mark.parametrize("scale", [2, 4])
def test_slopes_are_the_derivative_of_the_heights_at_points(model: FieldSurface, scale: int) -> None:
    """With samples at points, the heights that decode gives are the surface itself."""
    latent, queries, step = model.encode(known(ground(15), point_sampled=True)), lattice(scale), 1 / 256
    east, north = slopes(model, latent, queries)
    shifted = {
        (i, j): model.decode(latent, replace(queries, rows=queries.rows + i * step, cols=queries.cols + j * step))
        for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))
    }
    run_m = 2 * step * 30
    for found, rise in ((east, shifted[0, 1] - shifted[0, -1]), (north, shifted[-1, 0] - shifted[1, 0])):
        assert np.abs(found - rise / run_m).max() < 0.01 * np.abs(found).max()


def test_the_mean_slope_of_a_fine_cell_is_the_derivative_of_its_average(model: FieldSurface) -> None:
    """With cell averages, decode moves a window over the surface whose slopes are told."""
    latent, size, step, count = model.encode(known(ground(16))), 0.25, 1 / 256, 64
    rows, cols = (HALO_PX + np.array(at) for at in ([2.3, 5.125, 9.9], [1.0, 4.4, 7.875]))
    inside = (surfaces.centres(count, 1 / count) - 0.5) * size
    dense = Queries((rows[:, None] + inside).ravel(), (cols[:, None] + inside).ravel(), size, size)
    means = [values.reshape(3, count, 3, count).mean(axis=(1, 3)) for values in slopes(model, latent, dense)]
    rise_east = model.decode(latent, Queries(rows, cols + step, size, size))
    rise_east = rise_east - model.decode(latent, Queries(rows, cols - step, size, size))
    rise_north = model.decode(latent, Queries(rows - step, cols, size, size))
    rise_north = rise_north - model.decode(latent, Queries(rows + step, cols, size, size))
    for found, rise in zip(means, (rise_east, rise_north), strict=True):
        assert np.abs(found - rise / (2 * step * 30)).max() < 0.01 * np.abs(found).max()


def test_a_plane_has_its_slope_everywhere(model: FieldSurface) -> None:
    """Rows run south: a plane that falls with the row rises to the north. Cells may have unequal sides."""
    row, col = np.mgrid[: 2 * HALO_PX + ASKED, : 2 * HALO_PX + ASKED] + 0.5
    heights = 500 + 3.0 * col - 2.0 * row
    count = heights.shape[0]
    plane = CoarseHeights(heights, np.ones(heights.shape, bool), np.full(count, 20.0), np.full(count, 40.0))
    untrained = FieldSurface(model.card, Compute())
    for weight in untrained._network.height.last.parameters():
        weight.zero_()
    east, north = slopes(untrained, untrained.encode(plane), lattice(4))
    assert east == pytest.approx(0.15, abs=1e-4) and north == pytest.approx(0.05, abs=1e-4)


def test_cells_that_narrow_towards_the_pole_are_steeper(model: FieldSurface) -> None:
    heights = ground(17)
    count = heights.shape[0]
    metres = np.linspace(30.0, 20.0, count)
    latent = model.encode(CoarseHeights(heights, np.ones(heights.shape, bool), metres, np.full(count, 30.0)))
    same = replace(latent, cell_width_m=np.full(count, 30.0))
    ratio = slopes(model, latent, lattice(2))[0] / slopes(model, same, lattice(2))[0]
    expected = 30 / np.interp(lattice(2).rows, np.arange(count) + 0.5, metres)
    np.testing.assert_allclose(ratio, np.broadcast_to(expected[:, None], ratio.shape))
