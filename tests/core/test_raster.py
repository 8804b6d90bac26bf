"""The raster door: every kind of file gives the same heights, and a result is complete or not there at all."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from neural_terrain.core import grid as grids
from neural_terrain.core import raster
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.grid import Grid
from neural_terrain.core.raster import Reading, Sink, Source, Writing
from neural_terrain.core.tiling import Window
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems, store

HEIGHTS = np.round(surfaces.fractal((30, 40), 2))
GRID = Grid(30, 40, 400_000, 4_000_000, 30, 30, dems.UTM)
EVERYTHING = Window(0, 0, 30, 40)


LARGEST = float(np.finfo(np.float32).max)


def sink(path: str, **writing: object) -> Sink:
    return Sink(path, GRID, Writing(**writing))


def written(path: str, heights: np.ndarray = HEIGHTS, valid: np.ndarray | None = None, **writing: object) -> Sink:
    made = sink(path, **writing)
    made.write(EVERYTHING, heights, np.ones(heights.shape, bool) if valid is None else valid)
    made.commit()
    return made


# Reading


def test_filled_cells_are_told_apart_and_alike_in_every_window(tmp_path: Path) -> None:
    heights = surfaces.fractal((200, 180), 4)
    row, col = np.mgrid[:200, :180]
    pit = np.hypot(row - 90, col - 100) < 8
    collar = row * 0.6 + col < 60
    heights[pit | collar] = -9999
    with Source(dems.write(tmp_path / "dem.tif", heights, nodata=-9999)) as source:
        whole, valid, filled = source.read_filled(Window(0, 0, 200, 180))
        assert np.array_equal(filled, pit) and np.array_equal(valid, ~(pit | collar))
        assert (whole[collar] == 0).all()
        part = source.read_filled(Window(85, 95, 60, 110))  # beyond the right edge, through the pit
        columns = raster.mirror(95, 205, 180)
        for one, other in zip((whole, valid, filled), part, strict=True):
            assert np.array_equal(one[85:145][:, columns], other)


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint8", "float32", "float64"])
def test_every_type_of_number(tmp_path: Path, kind: str) -> None:
    stored = (HEIGHTS % 250).astype(kind)
    heights, valid, placed = raster.read_all(dems.write(tmp_path / "dem.tif", stored))
    assert heights.dtype == np.float64
    assert np.array_equal(heights, stored) and valid.all()
    assert placed.bounds == GRID.bounds


def test_scale_and_offset_come_before_units(tmp_path: Path) -> None:
    stored = HEIGHTS.astype(np.int16)
    path = dems.write(tmp_path / "dem.tif", stored, scales=0.1, offsets=100.0, units="ft")
    assert raster.read_all(path)[0] == pytest.approx((stored * 0.1 + 100) * 0.3048)


@pytest.mark.parametrize(
    ("crs", "band_unit", "asked", "unit"),
    [
        (dems.UTM, None, "auto", "metre"), (dems.UTM, "ft", "auto", "foot"), (dems.UTM, "ft", "metre", "metre"),
        ("EPSG:2229+6360", None, "auto", "us-foot"), (dems.UTM, "US survey foot", "auto", "us-foot"),
        ("EPSG:2229", None, "auto", "metre"), ("EPSG:2229+6360", "m", "auto", "metre"),
    ],
)  # fmt: skip
def test_the_unit_is_stated_never_guessed(
    tmp_path: Path, crs: str, band_unit: str | None, asked: str, unit: str
) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS, crs=crs, **({"units": band_unit} if band_unit else {}))
    with Source(path, Reading(z_unit=asked)) as source:
        assert source.unit == unit
        assert source.unit_known == (asked != "auto" or unit != "metre" or band_unit == "m")


def test_windows_beyond_the_raster_are_mirrored(tmp_path: Path) -> None:
    with Source(dems.write(tmp_path / "dem.tif", HEIGHTS)) as source:
        found, valid = source.read(Window(-5, -7, 90, 100))
    expected = np.pad(HEIGHTS, ((5, 55), (7, 53)), mode="symmetric")
    assert np.array_equal(found, expected) and valid.all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_mirrors_of_the_smallest_rasters(tmp_path: Path, shape: tuple[int, int]) -> None:
    with Source(dems.write(tmp_path / "dem.tif", np.full(shape, 7.0))) as source:
        assert (source.read(Window(-30, -30, 64, 64))[0] == 7).all()


def test_a_south_up_raster_is_turned(tmp_path: Path) -> None:
    place = Affine(30, 0, 400_000, 0, 30, 4_000_000 - 900)
    path = dems.write(tmp_path / "dem.tif", HEIGHTS[::-1].copy(), transform=place)
    with Source(path) as source:
        assert source.grid.bounds == pytest.approx(GRID.bounds)
        assert np.array_equal(source.read(EVERYTHING)[0], HEIGHTS)
        assert np.array_equal(source.read(Window(3, 4, 5, 6))[0], HEIGHTS[3:8, 4:10])
        assert np.array_equal(source.read(Window(-2, 0, 4, 2))[0], HEIGHTS[[1, 0, 0, 1], :2])


def test_a_raster_without_a_place_is_read_as_it_is_drawn(tmp_path: Path) -> None:
    with pytest.warns(NotGeoreferencedWarning):
        path = dems.write(tmp_path / "dem.png", (HEIGHTS % 250).astype(np.uint8), driver="PNG", crs=None,
                          transform=Affine.identity())  # fmt: skip
    with Source(path) as source:
        assert (source.grid.x0, source.grid.y0, source.grid.dx, source.grid.dy, source.grid.crs) == (0, 0, 1, 1, "")
        assert np.array_equal(source.read(EVERYTHING)[0], HEIGHTS % 250)


def test_point_rasters_keep_their_cell_edges(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS, tags={"AREA_OR_POINT": "Point"})
    with Source(path) as source:
        assert source.is_point
        assert source.grid.bounds == GRID.bounds
    with Source(dems.write(tmp_path / "area.tif", HEIGHTS)) as source:
        assert not source.is_point


def test_non_square_cells(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS, transform=Affine(20, 0, 5, 0, -45, 7))
    with Source(path) as source:
        assert (source.grid.dx, source.grid.dy) == (20, 45)


def test_a_layers_crs_goes_before_the_files(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS)
    with Source(path, Reading(crs="EPSG:32612")) as source:
        assert "32612" in source.grid.crs
    with pytest.raises(TerrainError, match="cannot be read"):
        Source(path, Reading(crs="EPSG:nothing"))


@pytest.mark.parametrize("value", [-9999, 0, 255, np.nan, -3.4028234663852886e38, 1e20])
def test_no_data_numbers(tmp_path: Path, value: float) -> None:
    stored = HEIGHTS.astype(np.float32)
    stored[3:5, 6] = value
    _, valid, _ = raster.read_all(dems.write(tmp_path / "dem.tif", stored, nodata=value))
    assert np.argwhere(~valid).tolist() == [[3, 6], [4, 6]]


def test_ranges_of_the_user_are_closed_and_count_in_stored_heights(tmp_path: Path) -> None:
    stored = np.array([[1, 2, 3, 4, 5, 6]], np.float32)
    path = dems.write(tmp_path / "dem.tif", stored, units="ft")
    heights, valid, _ = raster.read_all(path, Reading(no_data=((2, 3), (6, 6), (float("-inf"), 0))))
    assert valid.tolist() == [[True, False, False, True, True, False]]
    assert (heights[~valid] == 0).all()


def test_infinity_is_no_height(tmp_path: Path) -> None:
    stored = np.array([[np.inf, -np.inf, np.nan, 5]], np.float32)
    heights, valid, _ = raster.read_all(dems.write(tmp_path / "dem.tif", stored))
    assert valid.tolist() == [[False, False, False, True]]
    assert np.isfinite(heights).all()


def _mosaic(path: Path, parts: list[tuple[str, int]], cols: int) -> str:
    sources = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="0">{part}</SourceFilename><SourceBand>1</SourceBand>'
        f'<SrcRect xOff="0" yOff="0" xSize="20" ySize="30"/><DstRect xOff="{col}" yOff="0" xSize="20" ySize="30"/>'
        "</SimpleSource>" for part, col in parts
    )  # fmt: skip
    path.write_text(
        f'<VRTDataset rasterXSize="{cols}" rasterYSize="30"><SRS>{dems.UTM}</SRS>'
        "<GeoTransform>400000,30,0,4000000,0,-30</GeoTransform>"
        f'<VRTRasterBand dataType="Float32" band="1"><NoDataValue>-9999</NoDataValue>{sources}</VRTRasterBand>'
        "</VRTDataset>"
    )
    return str(path)


def test_a_mosaic_of_neighbours_is_one_raster_and_its_gaps_are_voids(tmp_path: Path) -> None:
    parts = [dems.write(tmp_path / f"{i}.tif", HEIGHTS[:, 20 * i : 20 * i + 20].astype(np.float32)) for i in (0, 1)]
    whole = raster.read_all(_mosaic(tmp_path / "a.vrt", [(parts[0], 0), (parts[1], 20)], 40))
    assert np.array_equal(whole[0], HEIGHTS) and whole[1].all()
    with Source(str(tmp_path / "a.vrt")) as source:
        assert {Path(f).name for f in source.files} >= {"a.vrt", "0.tif", "1.tif"}
    _, valid, _ = raster.read_all(_mosaic(tmp_path / "b.vrt", [(parts[0], 0), (parts[1], 30)], 50))
    assert valid[:, :20].all() and not valid[:, 20:30].any() and valid[:, 30:].all()


def test_files_of_a_vrt_of_vrts_are_those_of_all_of_them(tmp_path: Path) -> None:
    leaf = dems.write(tmp_path / "leaf.tif", HEIGHTS[:, :20].astype(np.float32))
    other = dems.write(tmp_path / "other.tif", HEIGHTS[:, :20].astype(np.float32))
    inner = _mosaic(tmp_path / "inner.vrt", [(leaf, 0), (other, 20)], 40)
    middle = _mosaic(tmp_path / "middle", [(inner, 0), (leaf, 20)], 40)  # known by its content, not by its name
    (tmp_path / "broken.vrt").write_text("<VRTDataset")
    outer = _mosaic(tmp_path / "outer.vrt", [(middle, 0), (inner, 20), (str(tmp_path / "broken.vrt"), 40)], 60)
    with Source(outer) as source:
        names = [Path(path).name for path in source.files]
    assert names[0] == "outer.vrt"
    assert sorted(names) == ["broken.vrt", "inner.vrt", "leaf.tif", "middle", "other.tif", "outer.vrt"]
    with Source(str(_mosaic(tmp_path / "self.vrt", [(str(tmp_path / "self.vrt"), 0)], 40))) as source:
        assert [Path(path).name for path in source.files] == ["self.vrt"]


def test_statistics_and_overviews_hold_no_heights(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS.astype(np.float32))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset/>")
    with Source(path) as source:
        assert {Path(f).name for f in source.files} == {"dem.tif", "dem.tif.ovr", "dem.tif.aux.xml"}
        assert source.data_files == [path]
    with Source(f"{path}.ovr") as source:
        assert source.data_files == [f"{path}.ovr"]


def test_a_lost_member_of_a_mosaic_is_an_error_not_a_void(tmp_path: Path) -> None:
    vrt = _mosaic(tmp_path / "a.vrt", [(str(tmp_path / "none.tif"), 0)], 40)
    with pytest.raises(TerrainError, match=r"a\.vrt"):
        raster.read_all(vrt)


def test_rasters_inside_other_files(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS.astype(np.float32))
    with zipfile.ZipFile(tmp_path / "dem.zip", "w") as archive:
        archive.write(path, "folder/dem.tif")
    inside = f"/vsizip/{tmp_path}/dem.zip/folder/dem.tif"
    assert np.array_equal(raster.read_all(inside)[0], HEIGHTS)
    package = tmp_path / "dem.gpkg"
    dems.write(package, HEIGHTS.astype(np.float32), driver="GPKG", raster_table="relief", nodata=-9999.0)
    found, _, placed = raster.read_all(f"GPKG:{package}:relief")
    assert placed.shape == (30, 40) and found == pytest.approx(HEIGHTS, abs=0.01)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: dems.write(p, HEIGHTS, transform=Affine(30, 5, 0, 5, -30, 0)), "rotated or mirrored; reproject"),
        (lambda p: dems.write(p, HEIGHTS, transform=Affine(-30, 0, 0, 0, -30, 0)), "rotated or mirrored; reproject"),
        (lambda p: dems.write(p, HEIGHTS.astype(np.complex64)), "complex64 values; heights are real"),
        (str, "cannot be opened.*choose a raster that GDAL reads"),
        (lambda p: p.write_text("no raster") and str(p), "cannot be opened"),
    ],
)
def test_what_is_no_dem_is_refused(tmp_path: Path, make, says: str) -> None:
    path = make(tmp_path / "dem.tif")
    with pytest.raises(TerrainError, match=says) as caught:
        Source(path)
    assert str(caught.value).endswith(".")


def test_a_band_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = dems.write(tmp_path / "dem.tif", HEIGHTS)
    with pytest.raises(TerrainError, match="has 1 band; band 3 was asked for"):
        Source(path, Reading(band=3))


def test_control_points_are_refused(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, 10 * c, -10 * r) for r, c in ((0, 0), (0, 30), (20, 0))]
    path = dems.write(tmp_path / "dem.tif", HEIGHTS, gcps=points, transform=None)
    with pytest.raises(TerrainError, match="control points; reproject"):
        Source(path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = Path(dems.write(tmp_path / "dem.tif", surfaces.fractal((300, 300), 1), tiled=True, blockxsize=128,
                           blockysize=128, compress="DEFLATE"))  # fmt: skip
    with path.open("rb+") as file:
        file.seek(4000)
        file.write(b"\xff" * 40_000)
    with pytest.raises(TerrainError, match=r"dem\.tif cannot be (opened|read)"):
        raster.read_all(str(path))


# Writing


def test_a_result_as_gdal_sees_it(tmp_path: Path) -> None:
    path = str(tmp_path / "fine.tif")
    valid = HEIGHTS > 600
    written(path, HEIGHTS + 1 / 3, valid, unit="foot", tags={"MADE": "by a test"})
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32611
        assert file.transform == Affine(30, 0, 400_000, 0, -30, 4_000_000)
        assert (file.units, file.descriptions, file.nodata) == (("foot",), ("Elevation",), -9999)
        assert file.tags()["MADE"] == "by a test" and file.tags()["AREA_OR_POINT"] == "Area"
        structure, statistics = file.tags(ns="IMAGE_STRUCTURE"), file.tags(1)
        assert structure["COMPRESSION"] == "ZSTD" and structure["PREDICTOR"] == "3"
        assert file.block_shapes == [(512, 512)] and file.dtypes == ("float32",)
        made = file.read(1, masked=True)
    assert np.array_equal(~np.ma.getmaskarray(made), valid)
    assert made[valid].data == pytest.approx(((HEIGHTS + 1 / 3) / 0.3048)[valid], abs=0.51 / 1024)
    assert np.array_equal(made[valid].data * 1024 % 1, np.zeros(valid.sum()))
    cells = made[valid].data.astype(float)
    for name, value in (("MINIMUM", cells.min()), ("MAXIMUM", cells.max()), ("MEAN", cells.mean())):
        assert float(statistics[f"STATISTICS_{name}"]) == pytest.approx(value, rel=1e-12)
    assert float(statistics["STATISTICS_STDDEV"]) == pytest.approx(cells.std(), rel=1e-9)


@pytest.mark.parametrize("compression", ["ZSTD", "LERC", "NONE"])
def test_classes_are_bytes_with_names_and_colours(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "classes.tif"
    classes = (("rock", (10, 20, 30)), ("water", (0, 0, 255)))
    made = sink(str(path), classes=classes, compression=compression, options=("PREDICTOR=3", "NBITS=16"), nodata=0.0)
    numbers = (HEIGHTS > 600).astype(np.uint8)
    made.write_classes(EVERYTHING, numbers)
    made.commit()
    with rasterio.open(path) as file:
        assert file.dtypes == ("uint8",) and file.nodata is None
        assert np.array_equal(file.read(1), numbers)
        assert file.colormap(1)[1] == (0, 0, 255, 255)
        assert file.tags(1)["CLASS_1"] == "water"


def test_statistics_of_blocks_are_those_of_all_cells() -> None:
    values = surfaces.fractal((64, 64), 3).astype(np.float32)
    running = raster.Statistics()
    for block in (values[:10], values[10:11], values[:0], values[11:]):
        running.add(block.ravel())
    assert running.count == 4096
    assert float(running.tags()["STATISTICS_STDDEV"]) == pytest.approx(values.astype(float).std(), rel=1e-9)
    assert raster.Statistics().tags() == {}


@pytest.mark.parametrize(("compression", "tag"), [("ZSTD", "ZSTD"), ("DEFLATE", "DEFLATE"), ("LERC", "LERC")])
def test_compressions(tmp_path: Path, compression: str, tag: str) -> None:
    written(str(tmp_path / "a.tif"), HEIGHTS + 0.25, compression=compression)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == tag
        assert np.abs(file.read(1) - HEIGHTS - 0.25).max() <= (1 / 1024 if compression == "LERC" else 0)


def test_uncompressed_and_options_that_win(tmp_path: Path) -> None:
    written(str(tmp_path / "a.tif"), compression="NONE")
    written(str(tmp_path / "b.tif"), options=("COMPRESS=LZW", "PREDICTOR=1", "BLOCKXSIZE=256", "BLOCKYSIZE=256"))
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
        assert "COMPRESSION" not in one.tags(ns="IMAGE_STRUCTURE")
        assert other.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "LZW"
        assert other.block_shapes == [(256, 256)]
        assert np.array_equal(one.read(1), other.read(1))


@pytest.mark.parametrize("option", ["COMPRESS=JPEG", "BLOCKXSIZE=100", "WIDTH=3", "DRIVER=PNG"])
def test_options_that_make_no_file_are_refused_and_leave_nothing(tmp_path: Path, option: str) -> None:
    with pytest.raises(TerrainError) as caught:
        written(str(tmp_path / "a.tif"), options=(option,))
    assert str(caught.value).endswith(".")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("shape", "magic"), [((30, 40), b"II*\0"), ((32_000, 31_000), b"II+\0")])
def test_big_files_are_bigtiff(tmp_path: Path, shape: tuple[int, int], magic: bytes) -> None:
    path = str(tmp_path / "a.tif")
    made = Sink(path, Grid(*shape, 0, 0, 2, 2, dems.UTM), Writing(options=("SPARSE_OK=TRUE",)))
    made.commit()
    assert Path(path).read_bytes()[:4] == magic


@pytest.mark.parametrize("nodata", [0.0, -9999.0, 700.0, -32768.0, 255.0, LARGEST, -LARGEST])
def test_no_height_is_taken_for_no_data(tmp_path: Path, nodata: float) -> None:
    valid = np.ones((30, 40), bool)
    valid[:, 20:] = False
    with np.errstate(over="raise"):
        made = written(str(tmp_path / "a.tif"), np.full((30, 40), nodata), valid, nodata=nodata)
    stored = dems.read(tmp_path / "a.tif")
    assert (stored[:, 20:] == nodata).all() and (stored[:, :20] != nodata).all()
    assert np.abs(stored[:, :20] - nodata).max() <= max(1 / 1024, 1e-6 * abs(nodata))
    assert made.statistics.count == 600


def test_nan_as_no_data(tmp_path: Path) -> None:
    valid = HEIGHTS > 600
    written(str(tmp_path / "a.tif"), HEIGHTS, valid, nodata=float("nan"))
    assert np.array_equal(np.isnan(dems.read(tmp_path / "a.tif")), ~valid)


def test_point_sampled_results_say_so_and_stay_in_place(tmp_path: Path) -> None:
    written(str(tmp_path / "a.tif"), is_point=True)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags()["AREA_OR_POINT"] == "Point"
        assert file.transform == Affine(30, 0, 400_000, 0, -30, 4_000_000)
    assert raster.read_grid(str(tmp_path / "a.tif")).bounds == GRID.bounds


def test_a_compound_crs_passes_through(tmp_path: Path) -> None:
    placed = raster.read_grid(dems.write(tmp_path / "in.tif", HEIGHTS, crs="EPSG:32611+5703"))
    made = Sink(str(tmp_path / "a.tif"), placed, Writing())
    made.write(EVERYTHING, HEIGHTS, HEIGHTS > 0)
    made.commit()
    found = raster.read_grid(str(tmp_path / "a.tif")).crs
    assert "NAVD88" in found and grids.vertical_unit(found) == "metre"


# Complete or not there


def test_until_it_is_committed_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    made = sink(str(path))
    made.write(EVERYTHING, HEIGHTS, HEIGHTS > 0)
    assert path.read_bytes() == b"old"
    made.discard()
    assert os.listdir(tmp_path) == ["a.tif"] and path.read_bytes() == b"old"


def test_what_belonged_to_the_old_file_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for suffix in ("", ".aux.xml", ".ovr", ".msk"):
        (tmp_path / f"a.tif{suffix}").write_bytes(b"old")
    (tmp_path / "b.tif.ovr").write_bytes(b"of another")
    written(str(path))
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif.ovr"]


@pytest.mark.parametrize("options", [(), ("TILED=NO",)])
def test_an_old_side_car_that_cannot_be_removed_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A folder of that name stands for a file that another program holds."""
    path = tmp_path / "a.tif"
    (tmp_path / "a.tif.ovr").mkdir()
    (tmp_path / "a.tif.msk").write_bytes(b"old")
    with pytest.raises(TerrainError, match=r"a\.tif is complete, but \S*a\.tif\.ovr of the file before it cannot"):
        written(str(path), options=options)
    assert np.array_equal(dems.read(path), HEIGHTS)
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "a.tif.ovr"]


def test_a_kill_in_mid_run_leaves_the_old_file_and_the_next_run_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    code = (
        "import os, signal, numpy as np\n"
        "from neural_terrain.tests.core.test_raster import *\n"
        f"made = sink({str(path)!r}); made.write(EVERYTHING, HEIGHTS, HEIGHTS > 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, env=store.environment())
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and len(os.listdir(tmp_path)) == 2
    written(str(path))
    assert os.listdir(tmp_path) == ["a.tif"]


def test_abandoning_removes_what_is_under_way_only(tmp_path: Path) -> None:
    written(str(tmp_path / "done.tif"))
    made = sink(str(tmp_path / "a.tif"))
    raster.abandon_unfinished()
    assert os.listdir(tmp_path) == ["done.tif"]
    made.discard()


def test_a_full_disk_is_said_and_costs_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    noise = np.random.default_rng(1).normal(size=(1024, 1024)) * 1000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(TerrainError, match=r"cannot be written.*Nothing was replaced"):
        made = Sink(str(path), Grid(1024, 1024, 0, 0, 2, 2, dems.UTM), Writing())
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
            made.write(Window(0, 0, 1024, 1024), noise, noise < 1e9)
            made.commit()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            made.discard()
    assert os.listdir(tmp_path) == ["a.tif"] and path.read_bytes() == b"old"


def test_a_locked_output_keeps_the_result_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    replace = os.replace

    def locked(source: str, target: str) -> None:
        if Path(target) == path:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    with pytest.raises(TerrainError, match=r"is in use.*a\.new\.tif"):
        written(str(path))
    assert sorted(os.listdir(tmp_path)) == ["a.new.tif", "a.tif"]
    assert np.array_equal(dems.read(tmp_path / "a.new.tif"), HEIGHTS)


@pytest.mark.parametrize(
    ("name", "says"), [("none/a.tif", "does not exist; make it"), ("", "is a folder; give the name")]
)
def test_places_that_hold_no_file_are_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(TerrainError, match=says):
        sink(str(tmp_path / name))


def test_a_disk_that_is_too_small_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match="MB are free"):
        Sink(str(tmp_path / "a.tif"), Grid(20_000_000, 20_000_000, 0, 0, 1, 1), Writing())
    assert os.listdir(tmp_path) == []


def test_little_room_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000))
    with pytest.raises(TerrainError, match=r"needs about 1\.4 MB, but only 0\.29 MB are free in .*; make room"):
        Sink(str(tmp_path / "a.tif"), Grid(1000, 1000, 0, 0, 1, 1), Writing())
