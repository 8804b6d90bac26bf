"""Files of the engine in the GDAL of QGIS, which is another version: cells, statistics, changes, overviews."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from osgeo import gdal

ENGINE = """
import json, pathlib, sys
from neural_terrain.core import raster
from neural_terrain.tests.core import store, test_blocks as blocks
folder, (options, compression, profile) = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
(folder / "made").mkdir()
writing = raster.Writing(block_px=128, options=tuple(options), compression=compression)
blocks.by_tiles(folder / "made" / "fine.tif", store.GRID, writing)
values = blocks.stored(store.HEIGHTS, store.VALID, -9999)
blocks.plainly(folder / "plain.tif", values, store.GRID, nodata=-9999, blockxsize=128, blockysize=128, **profile)
"""
ZSTD = {"compress": "ZSTD", "zstd_level": 1, "predictor": 3}
KINDS = [
    ([], "ZSTD", ZSTD), (["BIGTIFF=YES"], "ZSTD", {**ZSTD, "bigtiff": "YES"}), ([], "NONE", {}),
    ([], "DEFLATE", {"compress": "DEFLATE", "predictor": 3}),
    ([], "LERC", {"compress": "LERC", "max_z_error": 1 / 1024}),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[1]}{''.join(kind[0])}")
def test_gdal_reads_changes_and_thins_what_was_put_together(tmp_path, kind):
    command = [os.environ["NEURAL_TERRAIN_PYTHON"], "-c", ENGINE, str(tmp_path), json.dumps(kind)]
    subprocess.run(command, env={"PYTHONPATH": os.environ["QGIS_PLUGINPATH"]}, check=True)
    path, plain = str(tmp_path / "made" / "fine.tif"), gdal.Open(str(tmp_path / "plain.tif"))
    made = gdal.Open(path)
    assert made.GetRasterBand(1).Checksum() == plain.GetRasterBand(1).Checksum()
    assert (made.ReadAsArray() == plain.ReadAsArray()).all()
    low, high, mean, deviation = made.GetRasterBand(1).GetStatistics(False, False)
    of_plain = plain.GetRasterBand(1).ComputeStatistics(False)
    assert [low, high, mean, deviation] == pytest.approx(of_plain, abs=0.001 if kind[1] == "LERC" else 1e-9)
    before, made = made.ReadAsArray(), None
    changed = gdal.Open(path, gdal.GA_Update)
    assert changed.BuildOverviews("AVERAGE", [2, 4]) == 0
    changed.GetRasterBand(1).WriteArray(before[:200, :200] + 1, 3, 5)
    changed = None
    again = gdal.Open(path)
    assert again.GetRasterBand(1).GetOverviewCount() == 2
    cells = again.ReadAsArray()
    assert abs(cells[5:205, 3:203] - before[:200, :200] - 1).max() < 0.002
    assert (cells[205:] == before[205:]).all()
