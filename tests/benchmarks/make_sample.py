"""Makes the shipped sample: a window of Big Tujunga. ``python tests/benchmarks/make_sample.py DATA``."""

from __future__ import annotations

import sys
from pathlib import Path

import areas
import machine
import numpy as np
import rasterio
from rasterio.transform import Affine

from neural_terrain.core import raster

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"
SIDE_PX, ROW, COL = 512, 70, 440


def main() -> None:
    """Cut and write; the heights stay as they are."""
    area = areas.listed(Path(sys.argv[1]), ["srtm_bigtujunga"])[0]
    heights, valid, grid = raster.read_all(str(area.path))
    window = np.s_[ROW : ROW + SIDE_PX, COL : COL + SIDE_PX]
    if not valid[window].all():
        raise SystemExit("The sample's window has voids; choose another.")
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": SIDE_PX, "width": SIDE_PX, "crs": grid.crs,
        "transform": Affine(grid.dx, 0, grid.x0 + COL * grid.dx, 0, -grid.dy, grid.y0 - ROW * grid.dy),
        "tiled": True, "compress": "DEFLATE", "zlevel": 9, "predictor": 3, "nodata": areas.NODATA,
    }  # fmt: skip
    statistics = raster.Statistics()  # in the file, so that QGIS need not write a side-car file into the plugin
    statistics.add(heights[window].astype(np.float32))
    with rasterio.open(SAMPLE, "w", **profile) as file:
        file.write(heights[window].astype(np.float32), 1)
        file.update_tags(1, **statistics.tags())
        file.units = ("metre",)
        file.set_band_description(1, "Elevation")
        file.update_tags(
            TIFFTAG_IMAGEDESCRIPTION="SRTM 1 arc-second, NASA/USGS, US public domain", AREA_OR_POINT="Area"
        )
    print(f"{SAMPLE}: {SAMPLE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
