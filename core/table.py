"""All figures of a comparison as a JSON or CSV file, and whole files at once. Imports the standard library only."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import TerrainError

PIECES = ("scores", "structure", "band", "consistency")
CLASSES = ("by_slope_deg", "slope_error_by_slope_deg", "by_relief_m", "by_distance_px", "spectrum")


def write(path: str, found: dict) -> None:
    """Write the figures: nested as JSON, or as lines ``measure, class from, class to, name, value`` where CSV."""
    if path.lower().endswith(".csv"):
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["measure", "from", "to", "name", "value"])
        writer.writerows(lines(found))
        write_whole(path, stream.getvalue())
    else:
        write_whole(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def lines(found: dict) -> Iterator[tuple]:
    """The figures one by one; of pairs the first is the input's, the second the reference's."""
    for piece in PIECES:
        for name, value in found[piece].items():
            if isinstance(value, list):
                yield piece, "", "", f"input_{name}", value[0]
                yield piece, "", "", f"reference_{name}", value[1]
            else:
                yield piece, "", "", name, value
    for piece in CLASSES:
        for row in found[piece]:
            low, high, *names = row
            yield from ((piece, row[low], row[high], name, row[name]) for name in names)


def write_whole(path: str, text: str) -> None:
    """Write a text file under another name first, so that an old one stays until the new one is complete."""
    part = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise TerrainError(f"The file {path} cannot be written ({error.strerror}); choose another folder.") from error
