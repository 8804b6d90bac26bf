"""What an unfinished run must have in common with one that goes on with it: everything that decides the cells."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from .. import provenance
from ..elevation.card import Card
from ..jobs.superresolve import Settings
from ..raster import Source
from ..tiling import Plan

NOT_IN_THE_DATA = ("memory_mb", "device", "precision", "resume", "scheduler", "layout")
"""Settings that move no cell, or that are in the plan and the arithmetic."""

SEEN_ABOVE = ("input", "model", "scale", "cell_size", "grid", "extent", "extent_crs")
"""Settings that decide other parts of the binding."""

STATISTICS = re.compile(rb"<(Metadata|Histograms)\b.*?</\1>|<Metadata[^>]*/>", re.DOTALL)
"""What QGIS and GDAL write into a VRT that they only read."""

GONE = {"format", "version", "input"}
"""Parts of a binding that a user cannot bring back: a run in which they differ is not worth a question."""


def binding_of(settings: Settings, source: Source, model: Card, plan: Plan, arithmetic: str) -> dict:
    """The binding as plain JSON values, by the names that messages use."""
    return {
        "version": provenance.version(),
        "input": [_unlike_any(identity(source)), repr(source.grid), source.nodata, source.unit, source.is_point],
        "model": [model.name, model.version, model.fingerprint],
        "grid": repr(asdict(plan.target)),
        "tiles (MEMORY)": [plan.tile_px, list(plan.read_shape)],
        "device or number format": arithmetic,
        **{_named(name): value for name, value in of_the_data(settings).items() if name not in SEEN_ABOVE},
    }


def of_the_data(settings: Settings) -> dict:
    """The settings that decide what the cells hold."""
    return {name: value for name, value in asdict(settings).items() if name not in NOT_IN_THE_DATA}


def identity(source: Source) -> list[list]:
    """What tells whether the input was changed: of its files size and time, of a VRT what it says, else None."""
    return [[path, *_state(path)] for path in source.data_files or [source.path]]


def _unlike_any(files: list[list]) -> list[list]:
    """Of what is no file of this computer nobody can see whether it was changed, so it is never the same."""
    return [[path, *(uuid.uuid4().hex if part is None else part for part in state)] for path, *state in files]


def _state(path: str) -> list:
    file = next(_files_in(path), None)
    if file is None:
        return [None]
    if file.suffix.lower() == ".vrt":
        return [hashlib.sha256(STATISTICS.sub(b"", file.read_bytes())).hexdigest()]
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _named(name: str) -> str:
    """A setting as the tool calls it."""
    return name.upper().removesuffix("_MB")


def _files_in(path: str) -> Iterator[Path]:
    """Files that a name of GDAL's holds, such as ``/vsizip//data/dem.zip/dem.tif`` or ``GPKG:dem.gpkg:heights``."""
    for part in (path, *(piece.strip('"') for piece in path.split(":"))):
        inside = Path(part.split("/", 2)[2]) if part.startswith("/vsi") and part.count("/") > 2 else Path(part)
        yield from (file for file in (inside, *inside.parents) if file.is_file())
