"""The second pass: cloud-optimised and other layouts hold the same cells and words as the file they are from."""

from __future__ import annotations

import mmap
import resource
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from neural_terrain.core.errors import Cancelled
from neural_terrain.core.progress import CallbackProgress
from neural_terrain.core.raster import GDAL_ERRORS, Writing, blocks
from neural_terrain.core.raster.layout import files_of, rewrite
from neural_terrain.core.raster.writing import block_profile

CLASSES = (("rock", (10, 20, 30)), ("ice", (200, 210, 220)), ("sea", (0, 0, 90)))
STATISTICS = {"STATISTICS_MINIMUM": "1.5", "STATISTICS_MAXIMUM": "3.25", "STATISTICS_MEAN": "2.0625",
              "STATISTICS_STDDEV": "0.123456789012345"}  # fmt: skip


def heights_of(rows: int, cols: int) -> np.ndarray:
    """Rough ground in steps of 1/1024 m with a lake that has none and single cells without a height."""
    row, col = np.mgrid[:rows, :cols]
    noise = np.random.default_rng(4).normal(0, 0.3, (rows, cols))
    heights = np.floor((500 + 60 * np.sin(col / 70) * np.cos(row / 90) + noise) * 1024) / 1024
    heights[100:163, 300:391] = -9999
    heights[:64, :64] = -9999
    heights[::37, ::41] = -9999
    return heights.astype(np.float32)


def write_part(path: Path, writing: Writing, values: np.ndarray) -> Path:
    """The file that a sink completes."""
    place = {"crs": "EPSG:25833", "transform": rasterio.Affine(5, 0, 400000, 0, -5, 5600000)}
    with rasterio.open(path, "w", **block_profile(writing, *values.shape) | place) as file:
        file.write(values, 1)
        file.set_band_description(1, writing.description)
        file.update_tags(NEURAL_TERRAIN_MODEL="field", AREA_OR_POINT="Point")
        if writing.classes:
            file.write_colormap(1, {n: (*colour, 255) for n, (_, colour) in enumerate(writing.classes)})
            file.update_tags(1, CLASS_1="ice")
        else:
            file.units = ("metre",)
            file.update_tags(1, **STATISTICS)
    return path


def all_of(path: Path) -> dict:
    """What a reader learns from a file beside its layout."""
    with rasterio.open(path) as file:
        said = {name: getattr(file, name) for name in ("crs", "transform", "nodata", "dtypes", "units", "descriptions")}
        colours = file.colormap(1) if file.colorinterp[0].name == "palette" else None
        return {
            **said,
            "tags": file.tags(),
            "of_band": file.tags(1),
            "colours": colours,
            "cells": file.read(1).tobytes(),
        }


def block_starts(path: Path, level: int | None = None) -> list[int]:
    """Where the blocks of an image lie in the file, row by row."""
    with rasterio.open(path, **({} if level is None else {"overview_level": level})) as file:
        places = [f"BLOCK_OFFSET_{col}_{row}" for (row, col), _ in file.block_windows(1)]
        return [int(file.get_tag_item(place, "TIFF", bidx=1)) for place in places]


@pytest.mark.parametrize("compression", ["ZSTD", "DEFLATE", "LERC", "NONE"])
def test_a_cog_has_the_same_cells_and_words_and_the_means_of_valid_cells(tmp_path: Path, compression: str) -> None:
    writing, values = Writing(compression=compression, layout="cog"), heights_of(1300, 1100)
    part, made = write_part(tmp_path / "part.tif", writing, values), tmp_path / "made.tif"
    rewrite(part, made, writing, {})
    assert all_of(made) == all_of(part) and {path.name for path in tmp_path.iterdir()} == {"part.tif", "made.tif"}
    with rasterio.open(made) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.block_shapes == [(512, 512)]
        assert file.profile.get("compress", "none").upper() == compression and file.overviews(1) == [2, 4]
    assert block_starts(made, 1) < block_starts(made, 0) < block_starts(made) == sorted(block_starts(made))
    with rasterio.open(made, overview_level=0) as file:
        thin = file.read(1)
    stored = np.frombuffer(all_of(made)["cells"], np.float32).reshape(values.shape).astype(float)
    four = np.ma.masked_equal(stored, -9999).reshape(650, 2, 550, 2).mean(axis=(1, 3))
    assert np.array_equal(thin == -9999, np.ma.getmaskarray(four))
    assert np.abs(thin - four).max() < (2e-3 if compression == "LERC" else 1e-4)


def test_a_cog_of_classes_has_their_colours_and_thins_by_majority(tmp_path: Path) -> None:
    writing = Writing(compression="LERC", classes=CLASSES, layout="cog", description="Provenance")
    values = np.zeros((1200, 600), np.uint8)
    values[::2, 1::2] = 2
    values[300:700] = 1
    part, made = write_part(tmp_path / "part.tif", writing, values), tmp_path / "made.tif"
    rewrite(part, made, writing, {})
    assert all_of(made) == all_of(part) and all_of(made)["colours"][1] == (200, 210, 220, 255)
    with rasterio.open(made, overview_level=0) as file:
        thin = file.read(1)
    assert set(np.unique(thin)) == {0, 1} and (thin[150:350] == 1).all()


@pytest.mark.parametrize(
    ("options", "blocks"),
    [
        ({"tiled": "NO"}, (2, 700)),
        ({"tiled": "no", "blockysize": "64"}, (64, 700)),
        ({"blockxsize": "256"}, (512, 256)),
        ({"blockxsize": "128", "blockysize": "256"}, (256, 128)),
    ],
)
def test_other_blocks_and_strips(tmp_path: Path, options: dict[str, str], blocks: tuple[int, int]) -> None:
    writing = Writing(options=tuple(f"{name}={value}" for name, value in options.items()))
    part, made = write_part(tmp_path / "part.tif", writing, heights_of(900, 700)), tmp_path / "made.tif"
    rewrite(part, made, writing, options)
    assert all_of(made) == all_of(part)
    with rasterio.open(made) as file:
        assert file.block_shapes == [blocks] and file.profile["compress"] == "zstd" and file.overviews(1) == []


def test_options_of_the_user_go_before_ours(tmp_path: Path) -> None:
    given = ("COMPRESS=DEFLATE", "ZLEVEL=9", "BIGTIFF=YES", "OVERVIEWS=NONE")
    writing = Writing(options=given, layout="cog")
    part, made = write_part(tmp_path / "part.tif", Writing(), heights_of(900, 700)), tmp_path / "made.tif"
    rewrite(part, made, writing, {"overviews": "NONE"})
    with rasterio.open(made) as file:
        assert file.profile["compress"] == "deflate" and file.overviews(1) == []
    assert made.read_bytes()[2] == 43, "not a BigTIFF"
    assert all_of(made) == all_of(part)


def test_an_older_file_of_that_name_is_replaced(tmp_path: Path) -> None:
    writing = Writing(layout="cog")
    part, made = write_part(tmp_path / "part.tif", writing, heights_of(600, 600)), tmp_path / "made.tif"
    for path in files_of(made):
        path.write_bytes(b"left by a killed run")
    rewrite(part, made, writing, {})
    assert all_of(made) == all_of(part) and {path.name for path in tmp_path.iterdir()} == {"part.tif", "made.tif"}


def test_it_says_how_far_it_is_and_leaves_nothing_after_a_cancel(tmp_path: Path) -> None:
    writing, seen = Writing(compression="DEFLATE", options=("ZLEVEL=9",), layout="cog"), []
    part, made = write_part(tmp_path / "part.tif", Writing(), heights_of(3000, 3000)), tmp_path / "made.tif"
    before = part.read_bytes()
    with pytest.raises(Cancelled):
        rewrite(part, made, writing, {}, CallbackProgress(seen.append, lambda: seen[-1]["fraction"] > 0.05))
    for thread in threading.enumerate():
        if thread.name == "layout":
            thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["part.tif"] and part.read_bytes() == before
    fractions = [event["fraction"] for event in seen]
    assert fractions == sorted(fractions) and 0.05 < fractions[-1] < 1


def test_a_full_disk_ends_it_before_and_during_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Writing(layout="cog")
    part, made = write_part(tmp_path / "part.tif", writing, heights_of(1500, 1500)), tmp_path / "made.tif"
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (part.stat().st_size // 2, usual[1]))
    try:
        with pytest.raises(GDAL_ERRORS):
            rewrite(part, made, writing, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert [path.name for path in tmp_path.iterdir()] == ["part.tif"]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(OSError, match="needs another .* MB"):
        rewrite(part, made, writing, {})
    assert [path.name for path in tmp_path.iterdir()] == ["part.tif"]


def copied_within(limit: int, part: Path, made: Path, writing: Writing, options: dict[str, str]) -> None:
    """Copy where files cannot grow beyond ``limit`` bytes, which stands for a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        rewrite(part, made, writing, options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize(
    ("given", "layout"),
    [(("OVERVIEWS=NONE",), "cog"), (("BIGTIFF=YES", "OVERVIEWS=NONE"), "cog"), (("COMPRESS=NONE",), "cog"),
     (("SPARSE_OK=TRUE", "COMPRESS=NONE"), "cog"),
     (("TILED=NO",), "geotiff"), (("TILED=NO", "BIGTIFF=YES"), "geotiff"), (("BLOCKXSIZE=256",), "geotiff")],
)  # fmt: skip
def test_a_copy_that_is_cut_off_while_it_is_closed_is_refused(
    tmp_path: Path, given: tuple[str, ...], layout: str
) -> None:
    writing, made = Writing(options=given, layout=layout), tmp_path / "made.tif"
    options = {name.lower(): value for name, _, value in (option.partition("=") for option in given)}
    part = write_part(tmp_path / "part.tif", Writing(), heights_of(1100, 1000))
    rewrite(part, made, writing, options)
    size = made.stat().st_size
    for missing in (1, 7, 300, 20_000):
        with pytest.raises(GDAL_ERRORS):
            copied_within(size - missing, part, made, writing, options)
        assert [path.name for path in tmp_path.iterdir()] == ["part.tif"]
    copied_within(size, part, made, writing, options)
    assert all_of(made)["cells"] == all_of(part)["cells"]


def holed(made: Path, start: int, length: int) -> None:
    with made.open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


@pytest.mark.parametrize("damage", ["block", "table", "overviews"])
@pytest.mark.parametrize("compression", ["ZSTD", "NONE"])
def test_a_hole_in_the_copy_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str, damage: str
) -> None:
    """Room was made while GDAL wrote its last blocks: the file has its full size, and zeros where a block was lost."""
    writing, plain = Writing(compression=compression, layout="cog"), rasterio.shutil.copy
    part, made = write_part(tmp_path / "part.tif", writing, heights_of(1100, 1000)), tmp_path / "made.tif"

    def copy(*names: object, **options: object) -> None:
        plain(*names, **options)
        with made.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            images = list(blocks.images(data))
        if damage == "block":
            holed(made, block_starts(made)[-1], 4096)
        else:
            counts = images[0 if damage == "table" else 1].counts
            holed(made, counts.position, counts.stop - counts.position)

    monkeypatch.setattr(rasterio.shutil, "copy", copy)
    with pytest.raises(GDAL_ERRORS):
        rewrite(part, made, writing, {})
    assert [path.name for path in tmp_path.iterdir()] == ["part.tif"]


@pytest.mark.parametrize("compression", ["ZSTD", "LERC"])
def test_a_sparse_copy_may_lack_blocks_without_data_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    writing = Writing(compression=compression, options=("SPARSE_OK=TRUE",), layout="cog")
    heights = heights_of(1536, 1536)
    heights[:600, :600] = -9999
    part, made, plain = write_part(tmp_path / "part.tif", writing, heights), tmp_path / "made.tif", rasterio.shutil.copy
    rewrite(part, made, writing, {"sparse_ok": "TRUE"})
    assert [int((counts == 0).sum()) for _, counts in blocks.places(made)] == [1, 0, 0]

    def copy(*names: object, **options: object) -> None:
        plain(*names, **options)
        with made.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = blocks.tables(data)
        for table in (found.offsets, found.counts):
            holed(made, table.position + 4 * np.dtype(table.kind).itemsize, np.dtype(table.kind).itemsize)

    monkeypatch.setattr(rasterio.shutil, "copy", copy)
    with pytest.raises(OSError, match="other cells"):
        rewrite(part, made, writing, {"sparse_ok": "TRUE"})
