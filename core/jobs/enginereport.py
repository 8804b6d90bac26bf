"""Job *Engine report*: what this engine is made of, which devices it sees and which models it finds."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import TerrainError
from ..progress import Progress

PACKAGES = (
    "torch", "numpy", "rasterio", "dask", "distributed", "xarray", "shapely", "pyproj", "safetensors", "numba", "scipy",
    "pyogrio", "trimesh", "manifold3d", "lxml", "laspy", "lazrs",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Nothing to choose."""


def run(settings: Settings, progress: Progress) -> dict:
    """Everything in :func:`probe`, and the installed models."""
    from ..elevation import card

    progress.report(0.1, "Looking at packages and devices")
    values = probe()
    models = [
        {"name": c.name, "version": c.version, "folder": str(c.folder), "summary": c.summary}
        for c in card.installed().values()
    ]
    return {**values, "models": models}


def probe() -> dict:
    """Import every package the engine needs; a TerrainError names the first one that cannot be."""
    versions = {}
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken wheel raises anything
            raise TerrainError(
                f"The Python {sys.executable} cannot import {name} ({error}); set up the engine, or install {name}."
            ) from error
        versions[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": versions,
        **_machine(),
    }


def _machine() -> dict:
    import rasterio

    from ..elevation import compute

    return {
        "gdal": rasterio.__gdal_version__,
        "cpu": _cpu_name(),
        "memory_mb": compute.memory_bytes() // 2**20,
        "devices": compute.devices(),
        "bf16": compute.cpu_has_bf16(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
