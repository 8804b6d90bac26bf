"""What a mesh report says: all figures as plain values, the verdict in words, and the lines of the table."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from .. import grid as grids
from .. import provenance
from ..mesh_check import BETWEEN, Soundness, smallest_angles_deg
from ..triangles import Floats
from .against import Compared
from .surface import Surface

SPARE = 1e-6
"""Share of a bound, and of the largest height in units, that rounding in files may add to an error."""

PERCENTILES = (1, 10, 50)
CLASS_DEG = 2.0

FAULTS = {
    "crowded": ("edge with more than two triangles", "edges with more than two triangles"),
    "cracks": ("crack", "cracks"),
    "junctions": ("T-junction", "T-junctions"),
    "duplicates": ("vertex at the place of another", "vertices at the place of another"),
    "turned": ("triangle that is turned over", "triangles that are turned over"),
    "flat": ("triangle without an area", "triangles without an area"),
    "unused": ("vertex without a triangle", "vertices without a triangle"),
}
"""What a sound mesh does not have, one and many."""


def findings(surface: Surface, sound: Soundness, compared: Compared | None, dem: str) -> dict:
    """Everything that table and page tell, as plain values; unknown numbers are None."""
    angles = _angles(surface, sound)
    found = {
        "about": _about(surface, dem),
        "soundness": {**asdict(sound), "seams": sound.seams, "watertight": sound.watertight},
        "angles": {f"percentile_{p}_deg": float(np.percentile(angles, p)) for p in PERCENTILES},
        "angle_histogram": _histogram(angles),
        "accuracy": _accuracy(compared) if compared else {},
    }
    return _plain({**found, "verdict": verdict(surface, sound, compared)})


def _angles(surface: Surface, sound: Soundness) -> Floats:
    """Smallest angles, of terrain on the map and of a solid in space."""
    places = surface.vertices if sound.solid else surface.vertices[:, :2]
    return smallest_angles_deg(places, surface.faces, (1.0, 1.0) if sound.solid else surface.metres)


def _about(surface: Surface, dem: str) -> dict:
    triangles, (west, south, east, north) = surface.triangles, surface.bounds
    low, high = (float(edge[2]) / triangles.z_factor for edge in triangles.bounds)
    return {
        "software": f"Neural Terrain {provenance.version()}", "mesh": surface.name, "dem": dem,
        "crs": grids.crs_name(surface.crs), "unit": surface.unit, "symbol": surface.symbol,
        "z_factor": triangles.z_factor,
        "west": west, "south": south, "east": east, "north": north, "lowest": low, "highest": high,
        "tags": dict(triangles.tags),
    }  # fmt: skip


def _accuracy(compared: Compared) -> dict:
    one = compared.accuracy
    row, col = one.place
    grid = compared.grid
    return {
        "cells": one.cells, "covered": one.covered, "covered_share": one.share, "largest": one.largest,
        "rmse": one.rmse, "mean": one.mean, "largest_between": one.between_largest, "rmse_between": one.rmse_between,
        "positions_between": one.between_positions, "overlaps": one.overlaps,
        "worst_x": grid.x0 + (col + 0.5) * grid.dx, "worst_y": grid.y0 - (row + 0.5) * grid.dy,
    }  # fmt: skip


def _histogram(angles: Floats) -> dict:
    """Per cent of the triangles by smallest angle."""
    edges = np.arange(0.0, 60.0 + CLASS_DEG, CLASS_DEG)
    counts, _ = np.histogram(np.minimum(angles, 59.999), edges)
    middles = (edges[1:] + edges[:-1]) / 2
    return {"middles_deg": middles.tolist(), "percent": (100 * counts / max(len(angles), 1)).tolist()}


def _plain(value: Any) -> Any:
    """The same as JSON can hold it: None for numbers that are none."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Words


def verdict(surface: Surface, sound: Soundness, compared: Compared | None) -> list[str]:
    """Whether the mesh is sound, and whether it keeps to the bound that its file states, a sentence each."""
    said = [_of_soundness(sound)]
    if compared is not None:
        said.append(_of_the_bound(surface, compared))
        said.extend(_of_the_cover(compared))
    return said


def _of_soundness(sound: Soundness) -> str:
    faults = {name: getattr(sound, name) for name in FAULTS}
    named = [f"{count:,} {FAULTS[name][count != 1]}" for name, count in faults.items() if count]
    if sound.solid and sound.borders:
        named.append(f"{sound.borders:,} {'hole' if sound.borders == 1 else 'holes'}")
    if named:
        return f"The mesh is not sound: it has {', '.join(named)}."
    if sound.solid:
        return (
            f"The solid is watertight: {sound.pieces:,} closed {'shell' if sound.pieces == 1 else 'shells'}, no cracks."
        )
    return "The mesh is a sound surface: no cracks, no T-junctions, no edge with more than two triangles."


def _of_the_bound(surface: Surface, compared: Compared) -> str:
    one, unit = compared.accuracy, surface.symbol
    bound, between = stated_bound(surface)
    if bound is None:
        return (
            f"The file states no bound; the largest error is {one.largest:.5g} {unit} at cells, "
            f"{one.between_largest:.5g} {unit} between them."
        )
    found = one.between_largest if between else one.largest
    where = f"at {BETWEEN} times finer positions" if between else "at cells"
    if found <= bound * (1 + SPARE) + SPARE * 1e-3 * _highest(surface):
        return f"The bound of {bound:g} {unit} that the file states is kept: largest error {where} {found:.5g} {unit}."
    return (
        f"The bound of {bound:g} {unit} that the file states is broken: largest error {where} {found:.5g} {unit}; "
        "check that this is the DEM that the mesh was made from."
    )


def _of_the_cover(compared: Compared) -> list[str]:
    one = compared.accuracy
    said = []
    if one.covered < one.cells:
        said.append(f"The mesh covers {one.covered:,} of the {one.cells:,} cells of the DEM ({one.share:.1%}).")
    if one.overlaps:
        said.append(f"Triangles lie over each other at {one.overlaps:,} positions.")
    return said


def stated_bound(surface: Surface) -> tuple[float | None, bool]:
    """The bound that the file names, in its unit and before exaggeration, and whether it holds between cells too."""
    tags = surface.triangles.tags
    try:
        bound = float(tags.get("max_error", ""))
    except ValueError:
        return None, False
    return (bound if math.isfinite(bound) else None), str(tags.get("bound_at", "")).lower() == "between"


def _highest(surface: Surface) -> float:
    return float(np.abs(surface.vertices[:, 2]).max())


# ---------------------------------------------------------------------------------------------------------------------
# The table


def table_text(found: dict, as_csv: bool) -> str:
    """The figures: nested as JSON, or as lines ``part, name, value`` of a CSV."""
    if not as_csv:
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["part", "name", "value"])
    for part in ("soundness", "angles", "accuracy"):
        writer.writerows((part, name, value) for name, value in found[part].items())
    writer.writerows(("verdict", number + 1, text) for number, text in enumerate(found["verdict"]))
    return stream.getvalue()


def answers(found: dict) -> dict:
    """The figures that the tool returns."""
    sound, accuracy = found["soundness"], found["accuracy"]
    chosen = ("vertices", "triangles", "seams", "cracks", "junctions", "crowded", "duplicates", "turned", "flat",
              "unused", "borders", "pieces", "euler", "area", "volume")  # fmt: skip
    names = ("largest", "largest_between", "rmse", "rmse_between", "mean", "covered_share")
    return {
        **{name: sound[name] for name in chosen},
        **{name: accuracy.get(name) for name in names},
        "smallest_angle_deg": found["angles"]["percentile_1_deg"],
        "verdict": " ".join(found["verdict"]),
    }
