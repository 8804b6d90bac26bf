"""One job in a process of its own, measured: a JSON request on stdin, a JSON line with time and memory on stdout."""

from __future__ import annotations

import json
import sys
import time

import machine
import rasterio
import torch  # noqa: F401  part of the loaded runtime
from rasterio.enums import Resampling
from rasterio.warp import reproject

from neural_terrain.core import refinement
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.progress import Progress


def superresolve(settings: dict) -> dict:
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return refinement.refine(Settings(**values), Progress())


def gdalwarp(settings: dict) -> dict:
    """``gdalwarp -r cubic`` onto the grid of ``scale``, into the same kind of file."""
    scale = settings["scale"]
    with rasterio.Env(GDAL_CACHEMAX=64), rasterio.open(settings["input"]) as source:
        profile = {
            "driver": "GTiff", "dtype": "float32", "count": 1, "nodata": -9999.0, "crs": source.crs,
            "height": int(source.height * scale), "width": int(source.width * scale),
            "transform": source.transform * source.transform.scale(1 / scale),
            "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "ZSTD", "zstd_level": 1, "predictor": 3,
            "num_threads": "ALL_CPUS",
        }  # fmt: skip
        with rasterio.open(settings["output"], "w", **profile) as target:
            reproject(
                rasterio.band(source, 1), rasterio.band(target, 1), resampling=Resampling.cubic,
                num_threads=machine.cores(), warp_mem_limit=64,
            )  # fmt: skip
    return {"rows": profile["height"], "columns": profile["width"], "device": "cpu", "tiles": 0}


def main() -> None:
    request = json.load(sys.stdin)
    job = {"superresolve": superresolve, "gdalwarp": gdalwarp}[request["job"]]
    runtime_mb = machine.resident_mb()
    machine.forget_peak()
    started_s = time.perf_counter()
    result = job(request["settings"])
    spent_s = time.perf_counter() - started_s
    peak_mb = machine.resident_mb("VmHWM")
    print(json.dumps({"job_s": spent_s, "runtime_mb": runtime_mb, "peak_mb": peak_mb, "result": result}))


if __name__ == "__main__":
    main()
