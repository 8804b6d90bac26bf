"""What the tests of scene tools have in common: shapes as WKT, names of layers, results of ``qgis_process``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


def polygon(west: float, south: float, wide: float, high: float) -> str:
    """A box."""
    east, north = west + wide, south + high
    return f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"


def line(origin: tuple[float, float], *places: tuple[float, float]) -> str:
    """A line through places beside an origin."""
    return f"LINESTRING({','.join(f'{x + origin[0]} {y + origin[1]}' for x, y in places)})"


def layer(file: Path, name: str) -> str:
    """A layer of a file, as QGIS names it."""
    return f"{file}|layername={name}"


def results(run: subprocess.CompletedProcess) -> dict:
    """What a run with ``--json`` has answered."""
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]
