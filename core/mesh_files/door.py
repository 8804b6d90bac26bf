"""Which module writes and reads which format."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from .. import aside
from ..errors import TerrainError
from ..triangles import Triangles

TERRAIN = ("UGRID", "PLY", "2DM")
"""Formats with double precision and a place on the ground."""

SOLID = ("STL", "3MF", "OBJ", "GLB")
"""Formats of models in millimetres."""

UNITS_MM = {"STL": 1.0, "3MF": 1.0, "OBJ": 1.0, "GLB": 1000.0}
"""Millimetres in the unit that the numbers in a file of a model have."""

ENDINGS = {
    "UGRID": ".nc", "PLY": ".ply", "2DM": ".2dm", "STL": ".stl", "3MF": ".3mf", "OBJ": ".obj", "GLB": ".glb",
}  # fmt: skip
"""Usual ending of a file of each format."""

_MODULES = {
    "UGRID": "ugrid", "PLY": "ply", "2DM": "sms2dm", "STL": "stl", "3MF": "threemf", "OBJ": "wavefront", "GLB": "gltf",
}  # fmt: skip

_FIRST_BYTES = {
    b"CDF": "UGRID", b"\x89HDF": "UGRID", b"ply": "PLY", b"MESH2D": "2DM", b"PK\x03\x04": "3MF", b"glTF": "GLB",
}  # fmt: skip


def write(path: str, triangles: Triangles, format: str) -> None:
    """Write a mesh file under another name first; a file that stands there stays until the new one is complete.

    Raises
    ------
    TerrainError
        Unknown format, coordinates or sizes that the format cannot hold, or a place that cannot be written.

    """
    with written(path, triangles, format):
        pass


@contextlib.contextmanager
def written(path: str, triangles: Triangles, format: str) -> Iterator[None]:
    """Write as :func:`write` does; the file comes to its place when the block is left, and not if that fails."""
    if format not in _MODULES:
        raise TerrainError(f"The format {format!r} is unknown; mesh files can be {', '.join(_MODULES)}.")
    with aside.written(path) as part:
        _module(format).write(part, triangles)
        yield


def read(path: str) -> Triangles:
    """Read a mesh file of any of the formats; faces with more than three corners are split.

    CRS, unit of heights, exaggeration, tags and datasets are those that the file has. STL, OBJ and 3MF keep their
    own axes and unit; GLB is turned upright.

    Raises
    ------
    TerrainError
        The file is missing, of another kind, broken, or holds no triangle.

    """
    place = Path(path)
    if not place.is_file():
        raise TerrainError(f"The mesh file {path} does not exist; choose another file.")
    found = _format_of(place)
    try:
        return _module(found).read(place)
    except OSError as error:
        raise TerrainError(f"The mesh file {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, IndexError, KeyError, TypeError, EOFError, AttributeError) as error:
        raise TerrainError(
            f"The mesh file {path} is no proper {found} file ({error}); write it anew or choose another one."
        ) from error


def _format_of(place: Path) -> str:
    """Format by the first bytes, else by the ending (STL and OBJ have no sure mark)."""
    with place.open("rb") as file:
        head = file.read(8)
    for mark, name in _FIRST_BYTES.items():
        if head.startswith(mark):
            return name
    ending = place.suffix.lower()
    if ending in (ENDINGS["STL"], ENDINGS["OBJ"]):
        return "STL" if ending == ENDINGS["STL"] else "OBJ"
    raise TerrainError(
        f"The file {os.fspath(place)} is no mesh file that can be read; those are {', '.join(ENDINGS.values())}."
    )


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".{_MODULES[name]}", __package__)
