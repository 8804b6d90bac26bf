"""OBJ, the text format of Wavefront: shared vertices, z up; unit and provenance stand in comments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..triangles import Triangles
from . import models, record

ROWS_AT_ONCE = 1 << 16


def write(path: Path, triangles: Triangles) -> None:
    """Write vertices and triangles; no materials, so that it stays one file."""
    form = f".{models.digits(triangles.vertices)}g"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"# Neural Terrain, coordinates in {triangles.z_unit}, z up\n")
        file.write(f"# {record.NAME} {record.record(triangles)}\n")
        for start in range(0, len(triangles.vertices), ROWS_AT_ONCE):
            rows = triangles.vertices[start : start + ROWS_AT_ONCE].tolist()
            file.writelines(f"v {x:{form}} {y:{form}} {z:{form}}\n" for x, y, z in rows)
        for start in range(0, len(triangles.faces), ROWS_AT_ONCE):
            rows = (triangles.faces[start : start + ROWS_AT_ONCE] + 1).tolist()
            file.writelines(f"f {a} {b} {c}\n" for a, b, c in rows)


def read(path: Path) -> Triangles:
    """Read all objects of an OBJ as one mesh; axes and unit are taken as they are."""
    mark = f"# {record.NAME} "
    with path.open(encoding="utf-8", errors="replace") as file:
        head = [line for line, _ in zip(file, range(10), strict=False) if line.startswith(mark)]
    found = models.load(path, "obj")
    if len(np.unique(found.faces)) < len(found.vertices) or not head:
        found.vertices, found.faces = models.welded(found.vertices, found.faces)
    return models.mesh(found, head[0].removeprefix(mark) if head else "")
