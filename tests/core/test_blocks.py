"""The block file: GDAL reads what we put together as what it would have written itself, also after kills and damage."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window as FileWindow

from neural_terrain.core import journal, raster
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.grid import Grid
from neural_terrain.core.progress import CallbackProgress, Progress
from neural_terrain.core.raster import Sink, Writing, blocks
from neural_terrain.core.tiling import Window
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import store

CLASSES = (("rock", (10, 20, 30)), ("filled", (0, 0, 255)), ("nothing", (255, 0, 0)))
ZSTD = {"compress": "ZSTD", "zstd_level": 1, "predictor": 3}
CODECS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    ((), "ZSTD", ZSTD),
    ((), "DEFLATE", {"compress": "DEFLATE", "predictor": 3}),
    ((), "LERC", {"compress": "LERC", "max_z_error": 1 / 1024}),
    ((), "NONE", {}),
    (("COMPRESS=LZW", "PREDICTOR=2"), "NONE", {"compress": "LZW", "predictor": 2}),
    (("COMPRESS=LZMA",), "NONE", {"compress": "LZMA"}),
    (("COMPRESS=PACKBITS",), "NONE", {"compress": "PACKBITS"}),
    (("COMPRESS=LERC_ZSTD", "MAX_Z_ERROR=0.1"), "NONE", {"compress": "LERC_ZSTD", "max_z_error": 0.1}),
    (("COMPRESS=LERC_DEFLATE",), "NONE", {"compress": "LERC_DEFLATE"}),
    (("NBITS=16", "PREDICTOR=1"), "DEFLATE", {"compress": "DEFLATE", "nbits": 16}),
    (("DISCARD_LSB=8",), "ZSTD", {**ZSTD, "discard_lsb": 8}),
    (("BIGTIFF=YES",), "ZSTD", {**ZSTD, "bigtiff": "YES"}),
    (("BIGTIFF=YES",), "LERC", {"compress": "LERC", "max_z_error": 1 / 1024, "bigtiff": "YES"}),
    (("ENDIANNESS=BIG",), "DEFLATE", {"compress": "DEFLATE", "predictor": 3, "endianness": "BIG"}),
    (("ENDIANNESS=BIG", "BIGTIFF=YES"), "NONE", {"endianness": "BIG", "bigtiff": "YES"}),
    (("ZSTD_LEVEL=9", "NUM_THREADS=4", "GEOTIFF_VERSION=1.1"), "ZSTD", {**ZSTD, "zstd_level": 9}),
]


def stored(heights: np.ndarray, valid: np.ndarray, nodata: float) -> np.ndarray:
    """The numbers of a file by the rule in words: steps of 1/1024, halves up, no-data elsewhere."""
    steps = np.floor(heights * 1024 + 0.500001) / 1024
    return np.where(valid, steps, nodata).astype(np.float32)


def plainly(path: Path, values: np.ndarray, grid: Grid, **profile: Any) -> Path:
    """The same cells written by GDAL alone."""
    place = Affine(grid.dx, 0, grid.x0, 0, -grid.dy, grid.y0)
    shape = {"height": grid.rows, "width": grid.cols, "count": 1, "dtype": values.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs=grid.crs, transform=place, tiled=True, **shape, **profile
    ) as file:
        file.write(values, 1)
    return path


def by_tiles(path: Path, grid: Grid, writing: Writing, seed: int = 0, side_px: int = store.SIDE_PX) -> Path:
    """The test's heights, tile by tile in an order drawn at random."""
    sink = Sink(str(path), grid, writing)
    tiles = list(enumerate(store.windows(grid, side_px)))
    random.Random(seed).shuffle(tiles)
    for index, window in tiles:
        store.append(sink, index, window)
    sink.commit()
    assert os.listdir(path.parent) == [path.name]
    return path


def structure(file: Any) -> dict[str, str]:
    """How a file says it is stored. GDAL forgets the error of LERC when it adds the statistics to any finished file."""
    return {name: value for name, value in file.tags(ns="IMAGE_STRUCTURE").items() if name != "MAX_Z_ERROR"}


def same(one: Path, other: Path) -> None:
    """Two files hold the same cells, place, no-data and storage."""
    with rasterio.open(one) as a, rasterio.open(other) as b:
        assert np.array_equal(a.read(1), b.read(1), equal_nan=True)
        assert (a.crs, a.transform, a.dtypes, a.block_shapes) == (b.crs, b.transform, b.dtypes, b.block_shapes)
        assert str(a.nodata) == str(b.nodata)
        assert structure(a) == structure(b)
        assert a.checksum(1) == b.checksum(1)
    assert one.read_bytes()[:4] == other.read_bytes()[:4]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "fine.tif"


# As GDAL writes it


@pytest.mark.parametrize(("options", "compression", "profile"), CODECS, ids=lambda value: str(value)[:60])
def test_every_compression_holds_what_gdal_would_have_written(
    tmp_path: Path, made: Path, options: tuple[str, ...], compression: str, profile: dict[str, Any]
) -> None:
    grid = Grid(300, 411, 400_000, 4_000_000, 10, 10, "EPSG:32611")
    writing = Writing(block_px=128, options=options, compression=compression)
    everywhere = Window(0, 0, *grid.shape)
    values = stored(store.part(store.HEIGHTS, everywhere), store.part(store.VALID, everywhere), -9999)
    plain = plainly(tmp_path / "a.tif", values, grid, nodata=-9999, blockxsize=128, blockysize=128, **profile)
    same(by_tiles(made, grid, writing), plain)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (128, 128), (129, 385), (1000, 3)])
@pytest.mark.parametrize("nodata", [0.0, float("nan")])
def test_every_shape_and_blocks_smaller_than_tiles(
    tmp_path: Path, made: Path, shape: tuple[int, int], nodata: float
) -> None:
    grid = Grid(*shape, 0, 0, 2, 2, "EPSG:32611")
    by_tiles(made, grid, Writing(block_px=64, nodata=nodata), side_px=256)
    everywhere = Window(0, 0, *shape)
    values = stored(store.part(store.HEIGHTS, everywhere), store.part(store.VALID, everywhere), nodata)
    same(made, plainly(tmp_path / "a.tif", values, grid, nodata=nodata, blockxsize=64, blockysize=64, **ZSTD))


@pytest.mark.parametrize("compression", ["ZSTD", "LERC", "NONE", "LZW", "JPEG"])
def test_classes_keep_numbers_names_and_colours(tmp_path: Path, made: Path, compression: str) -> None:
    grid = Grid(500, 700, 0, 0, 2, 2, "EPSG:32611")
    numbers = (np.indices(grid.shape).sum(0) // 50 % 3).astype(np.uint8)
    known = compression in ("ZSTD", "LERC", "NONE")
    options = () if known else (f"COMPRESS={compression}",)
    writing = Writing(block_px=128, classes=CLASSES, compression=compression if known else "NONE", options=options)
    sink = Sink(str(made), grid, writing)
    for window in reversed(store.windows(grid)):
        sink.write_classes(window, store.part(numbers, window))
    sink.commit()
    profile = {"NONE": {}, "ZSTD": {"compress": "ZSTD", "zstd_level": 1}, "LERC": {"compress": "DEFLATE"}}
    plain = {"blockxsize": 128, "blockysize": 128, **profile.get(compression, {"compress": compression})}
    same(made, plainly(tmp_path / "a.tif", numbers, grid, **plain))
    with rasterio.open(made) as file:
        assert file.colormap(1)[1] == (0, 0, 255, 255) and file.tags(1)["CLASS_2"] == "nothing"
        assert "STATISTICS_MEAN" not in file.tags(1)


@pytest.mark.parametrize("big", ["YES", "NO"])
def test_a_sparse_file_leaves_out_blocks_without_data(tmp_path: Path, made: Path, big: str) -> None:
    grid = Grid(512, 640, 0, 0, 2, 2, "EPSG:32611")
    heights, valid = np.full(grid.shape, 7.0), np.zeros(grid.shape, bool)
    valid[130:140, 400:410] = valid[500:, 600:] = True
    sizes = {}
    for sparse in ("TRUE", "FALSE"):
        sink = Sink(str(made), grid, Writing(block_px=128, options=(f"SPARSE_OK={sparse}", f"BIGTIFF={big}")))
        for window in store.windows(grid, 256):
            sink.write(window, store.part(heights, window), store.part(valid, window))
        sink.commit()
        values = stored(heights, valid, -9999)
        plain = {"nodata": -9999, "blockxsize": 128, "blockysize": 128, "bigtiff": big, "sparse_ok": sparse, **ZSTD}
        same(made, plainly(tmp_path / "a.tif", values, grid, **plain))
        with rasterio.open(made) as file:
            blocks_there = [
                file.get_tag_item(f"BLOCK_OFFSET_{c}_{r}", "TIFF", bidx=1) for r in range(4) for c in range(5)
            ]
        sizes[sparse] = sum(offset is not None for offset in blocks_there)
    assert sizes == {"TRUE": 2, "FALSE": 20}


def test_the_order_of_arrival_moves_no_bit_of_data_or_statistics(made: Path) -> None:
    found = []
    for seed in range(3):
        by_tiles(made, store.GRID, store.WRITING, seed)
        with rasterio.open(made) as file:
            found.append((file.read(1).tobytes(), file.tags(1), file.tags()))
    assert found[0] == found[1] == found[2]
    cells = stored(store.HEIGHTS, store.VALID, -9999)[store.VALID].astype(float)
    tags = {name.removeprefix("STATISTICS_"): float(value) for name, value in found[0][1].items()}
    expected = {"MINIMUM": cells.min(), "MAXIMUM": cells.max(), "MEAN": cells.mean(), "STDDEV": cells.std()}
    assert tags == pytest.approx(expected, rel=1e-12)


def test_gdal_goes_on_with_the_file(made: Path) -> None:
    by_tiles(made, store.GRID, store.WRITING)
    before = raster.read_all(str(made))[0]
    with rasterio.open(made, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.average)
        changed = file.read(1, window=FileWindow(0, 0, 128, 128)) + 1
        file.write(changed, 1, window=FileWindow(0, 0, 128, 128))
        file.update_tags(LATER="yes")
    with rasterio.open(made) as file:
        assert file.overviews(1) == [2, 4] and file.tags()["LATER"] == "yes"
        assert np.array_equal(file.read(1)[:128, :128], changed)
    assert np.array_equal(raster.read_all(str(made))[0][128:], before[128:])


def test_windows_lie_at_the_borders_of_blocks(made: Path) -> None:
    sink = Sink(str(made), store.GRID, store.WRITING)
    for window in (Window(0, 64, 128, 128), Window(0, 0, 100, 128), Window(128, 0, 128, 900)):
        with pytest.raises(ValueError, match="borders of blocks of 128"):
            sink.write(window, store.part(store.HEIGHTS, window), store.part(store.VALID, window))
    with pytest.raises(ValueError, match="has 4 blocks, not 1"):
        sink.append(
            0, Window(0, 0, 256, 256), raster.encode(store.WRITING, np.zeros((128, 128)), np.ones((128, 128), bool))
        )
    sink.discard()


def test_a_tile_that_never_came_is_noticed(made: Path) -> None:
    sink = Sink(str(made), store.GRID, store.WRITING)
    for index, window in enumerate(store.windows()[:-1]):
        store.append(sink, index, window)
    with pytest.raises(TerrainError, match=r"blocks are missing.*Nothing was replaced"):
        sink.commit()
    sink.discard()
    assert os.listdir(made.parent) == []


def test_a_classic_tiff_that_grows_too_large_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CLASSIC_BYTES", 20_000)
    sink = Sink(str(made), store.GRID, Writing(block_px=128, options=("BIGTIFF=NO",)))
    with pytest.raises(TerrainError, match="a TIFF ends at 4 GB; set BIGTIFF=YES"):
        for index, window in enumerate(store.windows()):
            store.append(sink, index, window)
    sink.discard()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_statistics_travel_as_json_to_the_last_bit(count: int) -> None:
    statistics = raster.Statistics()
    statistics.add(surfaces.fractal((4, 4), 3).astype(np.float32).ravel()[:count])
    assert vars(raster.Statistics.of_numbers(statistics.numbers())) == vars(statistics)


# Layouts


def test_square_blocks_of_the_user_need_no_second_pass() -> None:
    def left(*options: str, layout: str = "geotiff") -> dict[str, str]:
        return raster.layout_options(Writing(options=options, layout=layout))

    assert left("BLOCKXSIZE=256", "BLOCKYSIZE=256", "TILED=YES", "COMPRESS=LZW") == {}
    assert raster.block_side(Writing(options=("BLOCKXSIZE=256", "BLOCKYSIZE=256"))) == 256
    assert left("BLOCKXSIZE=256") == {"blockxsize": "256"}
    assert left("BLOCKXSIZE=48", "BLOCKYSIZE=48") == {"blockxsize": "48", "blockysize": "48"}
    assert left("TILED=NO", "SPARSE_OK=TRUE") == {"tiled": "NO"}
    assert left("OVERVIEWS=NONE", "COMPRESS=LZW", layout="cog") == {"overviews": "NONE"}


@pytest.mark.parametrize("options", [("TILED=NO",), ("TILED=NO", "BLOCKYSIZE=1"), ("BLOCKXSIZE=48", "BLOCKYSIZE=96")])
def test_other_blocks_and_strips_are_made_from_the_finished_file(
    tmp_path: Path, made: Path, options: tuple[str, ...]
) -> None:
    path = by_tiles(made, store.GRID, Writing(block_px=128, options=options))
    values = stored(store.HEIGHTS, store.VALID, -9999)
    asked = {name.lower(): value for name, _, value in (option.partition("=") for option in options)}
    plain = {"nodata": -9999, **ZSTD, **asked}
    tiled = plain.pop("tiled", "YES")
    plainly_made = tmp_path / "a.tif"
    place = Affine(10, 0, 400_000, 0, -10, 4_000_000)
    with rasterio.open(plainly_made, "w", driver="GTiff", crs="EPSG:32611", transform=place, height=1200, width=1000,
                       count=1, dtype="float32", tiled=tiled, **plain) as file:  # fmt: skip
        file.write(values, 1)
    same(path, plainly_made)


def test_what_gdal_keeps_beside_the_file_comes_along(made: Path) -> None:
    sink = Sink(str(made), store.GRID, Writing(block_px=128, options=("PROFILE=BASELINE", "TFW=YES"), tags={"A": "b"}))
    for index, window in enumerate(store.windows()):
        store.append(sink, index, window)
    sink.commit()
    assert sorted(os.listdir(made.parent)) == ["fine.tfw", "fine.tif", "fine.tif.aux.xml"]
    with rasterio.open(made) as file:
        assert file.tags()["A"] == "b" and file.crs.to_epsg() == 32611


# Broken runs


@pytest.fixture
def unbroken(tmp_path: Path) -> Path:
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / "fine.tif"
    store.write(path)
    return path


def equal(one: Path, other: Path) -> None:
    """Two results hold the same data and say the same about themselves."""
    with rasterio.open(one) as a, rasterio.open(other) as b:
        assert np.array_equal(a.read(1), b.read(1))
        assert (a.tags(), a.tags(1), a.profile) == (b.tags(), b.tags(1), b.profile)


def test_runs_killed_at_random_moments_end_like_an_unbroken_one(tmp_path: Path, unbroken: Path) -> None:
    killed: list[int] = []
    for seed in itertools.count():
        made = tmp_path / str(seed) / "fine.tif"
        made.parent.mkdir()
        command = [sys.executable, "-m", "neural_terrain.tests.core.store", str(made), str(seed), "40"]
        run = subprocess.run(command, env=store.environment(), capture_output=True, text=True, check=True)
        killed += map(int, run.stdout.split())
        equal(made, unbroken)
        assert os.listdir(made.parent) == ["fine.tif"]
        if len(killed) >= 40:
            break
    assert len(set(killed)) > 3, "kills fell at different moments"


def part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.part.tif")


def test_a_run_goes_on_with_any_order_of_tiles(made: Path, unbroken: Path) -> None:
    count = len(store.windows())
    assert store.write(made, range(0, count, 3), stop=17) == 0
    assert store.write(made, range(count - 1, -1, -1), stop=20) == 17
    assert store.write(made) == 37
    equal(made, unbroken)


@pytest.mark.parametrize("damage", ["first", "middle", "last", "header", "cut", "gone", "grown"])
def test_damage_costs_only_the_tiles_that_it_hit(made: Path, unbroken: Path, damage: str) -> None:
    store.write(made, stop=30)
    part = part_of(made)
    data = bytearray(part.read_bytes())
    entries = [entry["output"] for entry in journal_entries(made).values()]
    hit = {"first": 0, "middle": 11, "last": 29}.get(damage)
    if hit is not None:
        data[entries[hit]["offset"] + 5] ^= 1
    elif damage == "header":
        data[: entries[0]["offset"]] = b"\0" * entries[0]["offset"]
    elif damage == "cut":
        del data[entries[20]["offset"] + 3 :]
    elif damage == "grown":
        data += b"torn block"
    part.write_bytes(data)
    if damage == "gone":
        part.unlink()
    kept = {"header": 30, "grown": 30, "cut": 20, "gone": 0}.get(damage, 29)
    assert store.write(made) == kept
    equal(made, unbroken)


def journal_entries(path: Path) -> dict[int, dict]:
    notes = journal.Journal.open(journal.beside(path), store.BINDING, resume=True)
    notes.close()
    return notes.entries


def test_a_file_with_other_tags_or_another_compression_is_begun_anew(made: Path) -> None:
    store.write(made, stop=5)
    entries = {index: entry["output"] for index, entry in journal_entries(made).items()}
    part = part_of(made).read_bytes()
    for writing in (Writing(block_px=128), Writing(block_px=128, compression="NONE", tags=store.WRITING.tags)):
        sink = Sink(str(made), store.GRID, writing, entries)
        assert sink.kept == set() and sink.statistics.count == 0
        sink.suspend()
        part_of(made).write_bytes(part)
    sink = Sink(str(made), store.GRID, store.WRITING, {**entries, 7: {"offset": 3}, 8: {}})
    assert sink.kept == set(range(5))
    sink.discard()
    assert os.listdir(made.parent) == [journal.beside(made).name]


def test_a_full_disk_keeps_the_tiles_that_were_written(made: Path, unbroken: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    sink, tiles, entries = Sink(str(made), store.GRID, store.WRITING), store.windows(), {}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
        with pytest.raises(TerrainError, match=r"cannot be written \(.*MB are free there\); make room"):
            for index, window in enumerate(tiles):
                entries[index] = store.append(sink, index, window)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.suspend()
    again = Sink(str(made), store.GRID, store.WRITING, entries)
    assert again.kept == set(entries) and len(entries) > 10
    for index in range(len(entries), len(tiles)):
        store.append(again, index, tiles[index])
    again.commit()
    equal(made, unbroken)


@pytest.mark.parametrize("room", [0, 100, 600, 1500])
def test_a_disk_that_is_full_at_the_very_end_costs_no_tile(made: Path, unbroken: Path, room: int) -> None:
    sink = Sink(str(made), store.GRID, store.WRITING)
    entries = {index: store.append(sink, index, window) for index, window in enumerate(store.windows())}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (part_of(made).stat().st_size + room, limits[1]))
        with pytest.raises(TerrainError, match="cannot be written"):
            sink.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.suspend()
    again = Sink(str(made), store.GRID, store.WRITING, entries)
    assert again.kept == set(entries)
    again.commit()
    equal(made, unbroken)


def test_a_failed_second_pass_costs_no_tile(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    writing = Writing(block_px=128, options=("TILED=NO",))
    sink = Sink(str(made), store.GRID, writing)
    entries = {index: store.append(sink, index, window) for index, window in enumerate(store.windows())}
    with monkeypatch.context() as patch, pytest.raises(TerrainError, match="no space left"):
        patch.setattr(raster.sink.layout, "rewrite", full)
        sink.finish()
    sink.suspend()
    again = Sink(str(made), store.GRID, writing, entries)
    assert again.kept == set(entries)
    again.commit()
    with rasterio.open(made) as file:
        assert np.array_equal(file.read(1), stored(store.HEIGHTS, store.VALID, -9999))
    assert os.listdir(made.parent) == ["fine.tif"]


def test_a_kept_file_survives_the_end_of_the_engine(made: Path) -> None:
    sinks = [Sink(str(made.with_name(name)), store.GRID, store.WRITING) for name in ("a.tif", "b.tif")]
    sinks[1].keep = True
    raster.abandon_unfinished()
    assert os.listdir(made.parent) == [".b.tif.part.tif"]
    for sink in sinks:
        sink.discard()
    assert os.listdir(made.parent) == []


def test_two_runs_do_not_write_the_same_output(made: Path) -> None:
    sink = Sink(str(made), store.GRID, store.WRITING)
    entry = store.append(sink, 0, store.windows()[0])
    with pytest.raises(TerrainError, match=r"fine\.tif is being written by another run of Neural Terrain"):
        Sink(str(made), store.GRID, store.WRITING)
    sink.suspend()
    assert Sink(str(made), store.GRID, store.WRITING, {0: entry}).kept == {0}
    raster.abandon_unfinished()


def test_work_of_an_earlier_run_is_safe_while_it_is_checked(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is ended from outside in the middle of the check, which takes minutes for a large file."""
    store.write(made, stop=30)
    before, plain, seen = part_of(made).read_bytes(), blocks.BlockFile.holds, []

    def holds(*given: Any) -> bool:
        seen.append(1)
        if len(seen) == 12:
            raster.abandon_unfinished()
            assert part_of(made).read_bytes() == before
        return plain(*given)

    monkeypatch.setattr(blocks.BlockFile, "holds", holds)
    entries = {index: entry["output"] for index, entry in journal_entries(made).items()}
    sink = Sink(str(made), store.GRID, store.WRITING, entries)
    assert sink.kept == set(range(30)) and sink.keep
    sink.discard()
    sink = Sink(str(made), store.GRID, store.WRITING, entries)
    assert not sink.kept and not sink.keep
    raster.abandon_unfinished()
    assert not part_of(made).exists()


def test_a_cancel_is_noticed_while_an_earlier_run_is_checked(made: Path, unbroken: Path) -> None:
    store.write(made, stop=70)
    before, said = part_of(made).read_bytes(), []
    entries = {index: entry["output"] for index, entry in journal_entries(made).items()}
    progress = CallbackProgress(said.append, lambda: len(said) > 1)
    with pytest.raises(Cancelled):
        Sink(str(made), store.GRID, store.WRITING, entries, progress)
    assert [event["text"] for event in said] == ["Checking finished tiles"] * 2 and 0 < said[1]["fraction"] < 1
    assert part_of(made).read_bytes() == before
    assert store.write(made) == 70
    equal(made, unbroken)


def test_a_disk_without_locks_is_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster.sink, "unlocked", {made.parent})
    progress = Progress()
    Sink(str(made), store.GRID, store.WRITING, progress=progress).discard()
    assert len(progress.warnings) == 1 and "has no locks; let only one run" in progress.warnings[0]


@pytest.mark.parametrize("options", [(), ("TILED=NO",)])
@pytest.mark.parametrize("end", ["commit", "discard"])
def test_another_run_that_begins_at_the_very_end_loses_nothing(
    made: Path, monkeypatch: pytest.MonkeyPatch, end: str, options: tuple[str, ...]
) -> None:
    """Before every renaming and removing, another run tries to begin; the first time it may, it appends a tile."""
    writing, others = replace(store.WRITING, options=options), []

    def begin() -> None:
        with contextlib.suppress(TerrainError):
            if not others:
                others.append(Sink(str(made), store.GRID, writing))
                store.append(others[0], 0, store.windows()[0])

    def before(plain: Any) -> Any:
        return lambda *given, **named: (begin(), plain(*given, **named))[1]

    sink = Sink(str(made), store.GRID, writing)
    for index, window in enumerate(store.windows()):
        store.append(sink, index, window)
    sink.finish()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", before(os.replace))
        patch.setattr(Path, "unlink", before(Path.unlink))
        getattr(sink, end)()
    begin()
    if end == "commit":
        with rasterio.open(made) as file:
            assert np.array_equal(file.read(1), stored(store.HEIGHTS, store.VALID, -9999))
    for index, window in list(enumerate(store.windows()))[1:]:
        store.append(others[0], index, window)
    others[0].commit()
    with rasterio.open(made) as file:
        assert np.array_equal(file.read(1), stored(store.HEIGHTS, store.VALID, -9999))
    assert os.listdir(made.parent) == ["fine.tif"]


def open_here(path: Path) -> bool:
    """Whether this process has the file open."""
    numbers = os.listdir("/proc/self/fd")
    return any(os.path.realpath(f"/proc/self/fd/{number}") == str(path) for number in numbers)


@pytest.mark.parametrize("options", [(), ("TILED=NO",)])
@pytest.mark.parametrize("end", ["commit", "discard", "abandon"])
def test_windows_neither_renames_nor_removes_open_files(
    made: Path, monkeypatch: pytest.MonkeyPatch, end: str, options: tuple[str, ...]
) -> None:
    def strict(plain: Any) -> Any:
        def strictly(path: Path, *given: Any, **named: Any) -> Any:
            if open_here(path):
                raise PermissionError(13, "used by another process")
            return plain(path, *given, **named)

        return strictly

    monkeypatch.setattr(raster.sink, "CLOSE_FIRST", True)
    monkeypatch.setattr(os, "replace", strict(os.replace))
    monkeypatch.setattr(Path, "unlink", strict(Path.unlink))
    sink = Sink(str(made), store.GRID, replace(store.WRITING, options=options))
    for index, window in enumerate(store.windows()):
        store.append(sink, index, window)
    raster.abandon_unfinished() if end == "abandon" else getattr(sink, end)()
    assert os.listdir(made.parent) == (["fine.tif"] if end == "commit" else [])
