"""STL, binary: triangles in single precision without shared vertices, as printers take them; no unit, no CRS."""

from __future__ import annotations

from pathlib import Path

from trimesh.exchange import stl

from ..triangles import Triangles
from . import models

HEADER = b"Neural Terrain, coordinates in "


def write(path: Path, triangles: Triangles) -> None:
    """Write a binary STL; the unit stands in its header of 80 bytes, which most programs skip."""
    models.require_single_precision(triangles)
    data = stl.export_stl(models.of(triangles))
    path.write_bytes((HEADER + triangles.z_unit.encode("ascii")).ljust(80) + data[80:])


def read(path: Path) -> Triangles:
    """Read a binary or ASCII STL and join vertices with equal coordinates."""
    found = models.load(path, "stl")
    vertices, faces = models.welded(found.vertices, found.faces)
    head = path.read_bytes()[:80].strip()
    unit = head.removeprefix(HEADER).decode("ascii", "replace") if head.startswith(HEADER) else ""
    return Triangles(vertices, faces, z_unit=unit if unit in models.METRES else "metre")
