"""GDAL's own programs as peers: ``gdalwarp -r cubic`` and ``gdal_translate -r cubic``, each in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
    return watched([*command, *(COMPRESSED if compressed else ()), "-q", source, output])


WATCH = """
import json, resource, subprocess, sys, time
started_s = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
spent_s = time.perf_counter() - started_s
print(json.dumps([done.returncode, done.stderr, spent_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
"""A small process that starts a program: Linux counts the memory of whoever starts one as memory of the program's."""


def watched(command: list[str]) -> Outcome:
    """Run a program of GDAL's; its time and its memory."""
    command = [*command, "--config", "GDAL_CACHEMAX", str(CACHE_MB)]
    told = subprocess.run([sys.executable, "-c", WATCH, *command], capture_output=True, text=True, check=True).stdout
    status, words, spent_s, peak_kb = json.loads(told)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{words}")
    return Outcome(spent_s, peak_kb / 1024)


def grid_of(program: str, source: str, scale: int) -> list[str]:
    """Options that ask for ``scale`` times as many cells."""
    with rasterio.open(source) as file:
        size = [str(file.width * scale), str(file.height * scale)]
    if program == "gdal_translate":
        return ["-outsize", *size]
    threads = f"NUM_THREADS={machine.cores()}"
    return ["-ts", *size, "-multi", "-wo", threads, "-wm", str(CACHE_MB), "-overwrite"]
