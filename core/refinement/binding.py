"""What an unfinished run must have in common with one that goes on with it: everything that decides the cells."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from .. import provenance
from ..elevation.card import Card
from ..inputs import identity
from ..jobs.superresolve import Settings
from ..raster import Source
from ..tiling import Plan

NOT_IN_THE_DATA = ("memory_mb", "device", "precision", "resume", "scheduler", "layout")
"""Settings that move no cell, or that are in the plan and the arithmetic."""

SEEN_ABOVE = ("input", "model", "scale", "cell_size", "grid", "extent", "extent_crs")
"""Settings that decide other parts of the binding."""

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


def _unlike_any(files: list[list]) -> list[list]:
    """Of what is no file of this computer nobody can see whether it was changed, so it is never the same."""
    return [[path, *(uuid.uuid4().hex if part is None else part for part in state)] for path, *state in files]


def _named(name: str) -> str:
    """A setting as the tool calls it."""
    return name.upper().removesuffix("_MB")
