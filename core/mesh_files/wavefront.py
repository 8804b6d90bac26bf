"""OBJ, the text format of Wavefront: shared vertices, z up; unit and provenance stand in comments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from trimesh.exchange import obj

from ..triangles import Triangles
from . import models, record

DECIMALS = 6


def write(path: Path, triangles: Triangles) -> None:
    """Write vertices and triangles; no materials, so that it stays one file."""
    header = f"Neural Terrain, coordinates in {triangles.z_unit}, z up\n# {record.NAME} {record.record(triangles)}"
    text = obj.export_obj(models.of(triangles), include_normals=False, digits=DECIMALS, header=header)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read(path: Path) -> Triangles:
    """Read all objects of an OBJ as one mesh; axes and unit are taken as they are."""
    mark = f"# {record.NAME} "
    with path.open(encoding="utf-8", errors="replace") as file:
        head = [line for line, _ in zip(file, range(10), strict=False) if line.startswith(mark)]
    found = models.load(path, "obj")
    if len(np.unique(found.faces)) < len(found.vertices) or not head:
        found.vertices, found.faces = models.welded(found.vertices, found.faces)
    return models.mesh(found, head[0].removeprefix(mark) if head else "")
