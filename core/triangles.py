"""A triangulated surface on the ground, as files hold it and as the parts of the engine hand it on.

Unlike the meshes of ``core.mesh``, which know columns and rows of a raster only, its vertices have coordinates of a CRS
and heights that may be exaggerated. It measures nothing and changes nothing. Imports numpy and the errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import TerrainError

Floats = NDArray[np.float64]
Faces = NDArray[np.int32]


@dataclass(frozen=True)
class Triangles:
    """Vertices, faces and the values that belong to them; building it checks that they fit together.

    Attributes
    ----------
    vertices
        (V, 3): x to the east, y to the north, z; x and y in units of the CRS, z in ``z_unit`` times ``z_factor``.
    faces
        (F, 3): vertex numbers, anticlockwise seen from above, for solids seen from outside.
    vertex_data, face_data
        Values by name, one for each vertex or face; NaN where there is none. They are not exaggerated.
    crs
        Horizontal CRS as WKT; empty where it is unknown.
    z_unit
        Unit of the heights, a name of ``vertical.METRES``; solids for printing have ``millimetre``.
    z_factor
        Vertical exaggeration of z.
    tags
        Where it comes from: version, source, bound and so on.
    units
        Unit of each dataset that has one, ``{"slope": "degree"}``.

    Raises
    ------
    TerrainError
        Shapes or numbers do not fit.

    """

    vertices: Floats
    faces: Faces
    vertex_data: Mapping[str, Floats] = field(default_factory=dict)
    face_data: Mapping[str, Floats] = field(default_factory=dict)
    crs: str = ""
    z_unit: str = "metre"
    z_factor: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no surface."""
        _require_vertices(self.vertices)
        _require_faces(self.faces, len(self.vertices))
        _require_data(self.vertex_data, len(self.vertices), "vertices")
        _require_data(self.face_data, len(self.faces), "faces")
        if not (np.isfinite(self.z_factor) and self.z_factor > 0):
            raise TerrainError(f"The vertical exaggeration is {self.z_factor}; it must be greater than 0.")

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lowest and highest x, y and z."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)


def _require_vertices(vertices: Floats) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices):
        raise TerrainError(f"The vertices have the shape {vertices.shape}; a mesh needs rows of x, y and z.")
    if not np.isfinite(vertices).all():
        raise TerrainError("A vertex of the mesh has a coordinate that is no number; check the input.")


def _require_faces(faces: Faces, count: int) -> None:
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
        raise TerrainError(f"The faces have the shape {faces.shape}; a mesh needs triangles, three vertices each.")
    if faces.min() < 0 or faces.max() >= count:
        raise TerrainError(f"A triangle names a vertex that does not exist; the mesh has {count} vertices.")


def _require_data(data: Mapping[str, Floats], count: int, of: str) -> None:
    for name, values in data.items():
        if values.shape != (count,):
            raise TerrainError(f"The dataset {name} has the shape {values.shape}; the mesh has {count} {of}.")
