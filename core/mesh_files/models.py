"""What the formats of solids share: triangles as trimesh knows them, reading by trimesh, and single precision."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.exchange.stl import HeaderError

from .. import vertical
from ..errors import TerrainError
from ..triangles import Triangles
from . import record

METRES = {"millimetre": 0.001, **vertical.METRES}
"""Metres in a unit of coordinates."""

SINGLE_DIGITS, DOUBLE_DIGITS = 9, 17
"""Digits that tell numbers of single and of double precision apart."""

FINEST = 1000
"""Parts of a unit that coordinates in single precision have to tell apart."""


def of(triangles: Triangles) -> trimesh.Trimesh:
    """The same triangles for trimesh, nothing merged or removed."""
    return trimesh.Trimesh(triangles.vertices, triangles.faces, process=False, validate=False)


def load(path: Path, kind: str) -> trimesh.Trimesh:
    """Read all triangles of a file as one mesh; what trimesh cannot read comes as a ValueError."""
    try:
        data = path.read_bytes()
        if kind == "obj":  # comments and names may be in any encoding
            data = data.decode("utf-8", "replace").encode("utf-8")
        scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False, skip_materials=True)
        meshes = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except (HeaderError, SyntaxError, NameError, zipfile.BadZipFile, struct.error) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    except ModuleNotFoundError as error:
        if error.name != "charset_normalizer":
            raise
        raise ValueError("neither its length nor its text is that of an STL") from error
    if not meshes:
        raise TerrainError(f"The file {path} holds no triangles; choose another file.")
    return cast(trimesh.Trimesh, trimesh.util.concatenate(meshes))


def mesh(found: trimesh.Trimesh, said: str = "", scale: float = 1.0) -> Triangles:
    """Triangles of a file that was read, with what its record says."""
    vertices = np.asarray(found.vertices, np.float64) * scale
    return Triangles(vertices, np.asarray(found.faces, np.int32), **record.said(said))


def welded(vertices: NDArray, faces: NDArray) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Join vertices with equal coordinates."""
    order = np.lexsort(np.asarray(vertices, np.float64).T)
    places = np.asarray(vertices, np.float64)[order]
    new = np.concatenate([[True], (places[1:] != places[:-1]).any(axis=1)])
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.cumsum(new) - 1
    return places[new], numbers[faces]


def digits(vertices: NDArray) -> int:
    """How many digits bring every coordinate back to the bit: those of single precision where that is enough."""
    single = np.asarray(vertices, np.float32)
    return SINGLE_DIGITS if (single == vertices).all() else DOUBLE_DIGITS


def require_single_precision(triangles: Triangles) -> None:
    """Refuse coordinates that float32 cannot keep to a thousandth of their unit."""
    largest = np.float32(np.abs(triangles.vertices).max())
    if np.spacing(largest) / 2 > 1 / FINEST:
        raise TerrainError(
            f"The coordinates reach {largest:.0f} {triangles.z_unit}s, too far from 0 for this format's single "
            "precision; give a larger MODEL_SCALE, or write 3MF or OBJ."
        )
