"""What the benchmarks have in common: the package under its name, the machine in words, jobs measured in a child.

Importing it loads the checkout as ``neural_terrain``, so every benchmark imports it first and needs no path settings.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def load_package() -> None:
    """Load the checkout as the engine does."""
    spec = importlib.util.spec_from_file_location("engine_door", ROOT / "core" / "__main__.py")
    door = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(door)
    door.load_root()


load_package()


def describe(models: list[str], device: str) -> list[tuple[str, str]]:
    """Lines for the header of a table."""
    import rasterio
    import torch

    from neural_terrain.core import provenance
    from neural_terrain.core.elevation import card, compute

    cards, python = [card.find(model) for model in models], platform.python_version()
    return [
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("machine", f"{processor()}, {cores()} cores, {compute.memory_bytes() / 2**30:.0f} GiB, {platform.system()}"),
        ("load", f"{os.getloadavg()[0]:.1f} tasks on {cores()} cores at the start"),
        ("device", f"{compute.choose(device)}"),
        ("software", f"Python {python}, torch {torch.__version__}, GDAL {rasterio.__gdal_version__}"),
        ("version", f"{provenance.version()}, commit {commit()}"),
        ("models", "; ".join(f"{c.name} {c.version} {c.short_hash}" for c in cards)),
    ]  # fmt: skip


def print_header(title: str, lines: list[tuple[str, str]]) -> None:
    """Title and lines, aligned."""
    print(f"{title}\n{'=' * len(title)}")
    for name, text in lines:
        print(f"{name:9} {text}")
    print(flush=True)


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """Short hash of the checkout, with ``+`` where files differ from it."""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=9"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


@dataclass(frozen=True)
class Run:
    """One job in a process of its own.

    Attributes
    ----------
    start_s, job_s
        Time to load the interpreter and its packages, and then from opening the input to the finished file.
    begun_s
        Share of ``job_s`` before the first tile was begun.
    runtime_mb, peak_mb
        Resident memory when all packages are loaded, and at most during the job.
    result
        What the job returned.

    """

    start_s: float
    job_s: float
    begun_s: float
    runtime_mb: float
    peak_mb: float
    result: dict

    @property
    def above_mb(self) -> float:
        """Peak memory above the loaded runtime."""
        return self.peak_mb - self.runtime_mb


def run_in_child(settings: dict, job: str = "superresolve") -> Run:
    """Do a job in a fresh process and measure it there."""
    started_s = time.perf_counter()
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("child.py"))],
        input=json.dumps({"job": job, "settings": settings}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if child.returncode:
        raise SystemExit(f"The job {settings} failed:\n{child.stderr}")
    values = json.loads(child.stdout.splitlines()[-1])
    return Run(start_s=time.perf_counter() - started_s - values["job_s"], **values)


def resident_mb(key: str = "VmRSS") -> float:
    """Resident memory of this process now, or with ``VmHWM`` at most so far; needs Linux."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def forget_peak() -> None:
    """Start measuring ``VmHWM`` anew, where the system allows it; else the peak includes that of loading."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
