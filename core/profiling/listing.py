"""All positions of profiles as a table: CSV, JSON or a GeoPackage of points."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import table, vector
from ..grid import is_geographic
from ..progress import Progress
from ..raster import Floats
from .stretches import Profile

DIGITS = {"distance_m": 3, "elevation": 4, "slope_deg": 4, "error90": 4}
"""Digits after the point."""

DEGREE_DIGITS, METRE_DIGITS = 9, 4
"""Those of coordinates."""

LINES_AT_ONCE = 100_000


def write(path: str, profile: Profile, names: Sequence[str], crs: str, progress: Progress) -> None:
    """Write the positions to ``path``; its ending decides the format, ``names`` are those of the lines."""
    ending = Path(path).suffix.lower()
    columns = _columns(profile, crs)
    if ending == ".gpkg":
        points = np.column_stack([profile.paths.x, profile.paths.y, profile.elevation])
        vector.write(path, Path(path).stem, points, {"line": profile.paths.line + 1, **columns}, crs)
    elif ending == ".json":
        table.write_whole(path, _json(profile, columns, names))
    else:
        table.write_whole(path, _csv(profile, columns, progress))


def _columns(profile: Profile, crs: str) -> dict[str, Floats]:
    """What is told of each position, rounded."""
    paths = profile.paths
    told = {"distance_m": paths.distance_m, "x": paths.x, "y": paths.y, "elevation": profile.elevation,
            "slope_deg": profile.slope_deg}  # fmt: skip
    if profile.error90 is not None:
        told["error90"] = profile.error90
    places = DEGREE_DIGITS if is_geographic(crs) else METRE_DIGITS
    return {name: np.round(values, DIGITS.get(name, places)) + 0.0 for name, values in told.items()}


def _csv(profile: Profile, columns: dict[str, Floats], progress: Progress) -> str:
    """One row for each position; empty where nothing is known."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["line", *columns])
    count = profile.paths.line.size
    for start in range(0, count, LINES_AT_ONCE):
        progress.report(start / count, f"Writing row {start} of {count}")
        some = slice(start, start + LINES_AT_ONCE)
        values = [_plain(column[some], "") for column in columns.values()]
        writer.writerows(zip((profile.paths.line[some] + 1).tolist(), *values, strict=True))
    return stream.getvalue()


def _json(profile: Profile, columns: dict[str, Floats], names: Sequence[str]) -> str:
    """Columns line by line; null where nothing is known."""
    numbers, first, count = np.unique(profile.paths.line, return_index=True, return_counts=True)
    lines = [
        {"line": number + 1, "name": names[number],
         **{name: _plain(values[at : at + size], None) for name, values in columns.items()}}
        for number, at, size in zip(numbers.tolist(), first.tolist(), count.tolist(), strict=True)
    ]  # fmt: skip
    return json.dumps({"lines": lines}, ensure_ascii=False) + "\n"


def _plain(values: Floats, nothing: str | None) -> list[float | str | None]:
    return [nothing if math.isnan(value) else value for value in values.tolist()]
