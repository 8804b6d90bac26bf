"""GDAL's own programs as peers: ``gdalwarp -r cubic`` and ``gdal_translate -r cubic``, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass

import machine
import rasterio

PROGRAMS = ("gdalwarp", "gdal_translate")
COMPRESSED = ("-co", "COMPRESS=ZSTD", "-co", "ZSTD_LEVEL=1", "-co", "PREDICTOR=3")
LAYOUT = ("-co", "TILED=YES", "-co", "BLOCKXSIZE=512", "-co", "BLOCKYSIZE=512", "-co", "NUM_THREADS=ALL_CPUS")
CACHE_MB = 64


@dataclass(frozen=True)
class Outcome:
    """Seconds from the start of the program to its end, and its peak memory."""

    seconds: float
    peak_mb: float


def installed() -> list[str]:
    """The programs that this computer has."""
    return [name for name in PROGRAMS if shutil.which(name)]


def version() -> str:
    """Version of the GDAL that the programs belong to, or ``none``."""
    found = installed()
    if not found:
        return "none"
    told = subprocess.run([found[0], "--version"], capture_output=True, text=True, check=True).stdout
    return told.split(",")[0].removeprefix("GDAL ")


def run(program: str, source: str, output: str, scale: int, compressed: bool) -> Outcome:
    """Make ``output`` from ``source``; the same kind of file as the job's, only the heights are not rounded."""
    command = [program, *grid_of(program, source, scale), "-r", "cubic", *LAYOUT]
    command += [*(COMPRESSED if compressed else ()), "--config", "GDAL_CACHEMAX", str(CACHE_MB), "-q", source, output]
    started_s = time.perf_counter()
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    told = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    spent_s = time.perf_counter() - started_s
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{told}")
    return Outcome(spent_s, usage.ru_maxrss / 1024)


def grid_of(program: str, source: str, scale: int) -> list[str]:
    """Options that ask for ``scale`` times as many cells."""
    with rasterio.open(source) as file:
        size = [str(file.width * scale), str(file.height * scale)]
    if program == "gdal_translate":
        return ["-outsize", *size]
    threads = f"NUM_THREADS={machine.cores()}"
    return ["-ts", *size, "-multi", "-wo", threads, "-wm", str(CACHE_MB), "-overwrite"]
