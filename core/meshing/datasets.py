"""A finished mesh with its values, on the map: from lattice coordinates to :class:`..triangles.Triangles`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..mesh import Mesh
from ..raster import Floats
from ..triangles import Triangles
from .checking import Findings
from .ground import Ground, Placement

AT_A_TIME = 1 << 20
"""Triangles whose slopes are computed together."""


def triangles_of(
    ground: Ground, found: Mesh, findings: Findings, z_factor: float, tags: Mapping[str, str]
) -> Triangles:
    """The mesh in CRS units, with elevation and error at vertices and elevation, error and slope of faces.

    Datasets are in the DEM's unit and before exaggeration. A face has the mean elevation of its corners, the
    largest error at cells inside, and its slope in degrees.
    """
    unit = ground.source.unit
    height = found.vertices[:, 2]
    x_y = Placement(ground.grid).on_map(found.vertices)
    elevation, slope = _of_faces(ground, found)
    return Triangles(
        vertices=np.column_stack([x_y, height * z_factor]),
        faces=found.faces,
        vertex_data={"elevation": np.ascontiguousarray(height), "error": findings.vertex_error},
        face_data={"elevation": elevation, "error": findings.face_error, "slope": slope},
        crs=ground.grid.crs,
        z_unit=unit,
        z_factor=z_factor,
        tags=tags,
        units={"elevation": unit, "error": unit, "slope": "degree"},
    )


def _of_faces(ground: Ground, found: Mesh) -> tuple[Floats, Floats]:
    """Mean height and slope in degrees of every face."""
    count = len(found.faces)
    elevation, slope = np.empty(count), np.empty(count)
    for start in range(0, count, AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        corners = found.vertices[found.faces[part]]  # (F, corner, column row height)
        elevation[part] = corners[:, :, 2].mean(axis=1)
        slope[part] = slopes_deg(ground, corners)
    return elevation, slope


def slopes_deg(ground: Ground, corners: Floats) -> Floats:
    """Slopes on the ground of triangles (F, 3, 3); metres per cell are those of the row of their middle."""
    row = np.clip(np.rint(corners[:, :, 1].mean(axis=1)).astype(np.int64), 0, len(ground.width_m) - 1)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    across = (first[:, 2] * second[:, 1] - second[:, 2] * first[:, 1]) / area
    down = (second[:, 2] * first[:, 0] - first[:, 2] * second[:, 0]) / area
    rise = np.hypot(across / ground.width_m[row], down / ground.height_m[row]) * ground.unit_m
    found: Floats = np.degrees(np.arctan(rise))
    return found
