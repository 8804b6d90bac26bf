"""A mesh as it was read: its CRS, its heights without exaggeration, and where it lies among the cells of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from .. import grid as grids
from .. import mesh_files, vertical
from ..grid import Bounds, Grid
from ..progress import Progress
from ..triangles import Faces, Floats, Triangles
from ..vertical import METRES

SYMBOLS = {**vertical.SYMBOLS, "millimetre": "mm"}


@dataclass(frozen=True)
class Surface:
    """A mesh, and what is known about it.

    Attributes
    ----------
    triangles
        As the file has them.
    crs
        WKT of the horizontal CRS; empty where nobody knows it.
    name
        The file's name without its folder.

    """

    triangles: Triangles
    crs: str
    name: str

    @cached_property
    def vertices(self) -> Floats:
        """x, y, and height without exaggeration in :attr:`unit`."""
        return self.triangles.vertices / np.array([1.0, 1.0, self.triangles.z_factor])

    @property
    def faces(self) -> Faces:
        """Vertex numbers."""
        return self.triangles.faces

    @property
    def unit(self) -> str:
        """Unit of the heights."""
        return self.triangles.z_unit

    @property
    def symbol(self) -> str:
        """The same in short, to be put behind a number."""
        return SYMBOLS.get(self.unit, self.unit)

    @property
    def unit_m(self) -> float | None:
        """Metres in one unit of height; None where the mesh is no terrain but a model in millimetres, say."""
        return METRES.get(self.unit)

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of the vertices."""
        low, high = self.triangles.bounds
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @cached_property
    def grid(self) -> Grid | None:
        """The grid that the mesh was made from, where its file names one."""
        numbers = str(self.triangles.tags.get("grid", "")).split()
        try:
            x0, y0, dx, dy, rows, cols = (float(number) for number in numbers)
        except ValueError:
            return None
        sound = all(map(math.isfinite, (x0, y0, dx, dy, rows, cols))) and min(dx, dy) > 0 and min(rows, cols) >= 1
        return Grid(int(rows), int(cols), x0, y0, dx, dy, self.crs) if sound else None

    @cached_property
    def cell_size(self) -> float:
        """Side of square cells of which there is one for every two triangles, to three digits."""
        places, faces = self.triangles.vertices, self.faces
        one, other = (places[faces[:, i], :2] - places[faces[:, 0], :2] for i in (1, 2))
        area = float(np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).mean())
        return float(f"{math.sqrt(area):.3g}") if area > 0 else 1.0

    @cached_property
    def metres(self) -> tuple[float, float]:
        """Metres in one unit of x and of y, in the middle of the mesh."""
        west, south, east, north = self.bounds
        side = max(east - west, north - south) / 1000 or 1.0
        spot = Grid(1, 1, (west + east - side) / 2, (south + north + side) / 2, side, side, self.crs)
        width_m, height_m = grids.metres_per_cell(spot)
        return float(width_m[0]) / side, float(height_m[0]) / side

    def over(self, grid: Grid) -> Floats:
        """Vertices in lattice coordinates of a grid: column, row, height."""
        x, y, z = self.vertices.T
        return np.stack([(x - grid.x0) / grid.dx - 0.5, (grid.y0 - y) / grid.dy - 0.5, z], axis=1)


class Asked(Protocol):
    """What the settings of a job say about a mesh; see :class:`..jobs.meshtoraster.Settings`."""

    @property
    def input(self) -> str:
        """The file."""

    @property
    def crs(self) -> str:
        """CRS of the layer."""

    @property
    def assigned_crs(self) -> str:
        """CRS that goes before all."""

    @property
    def z_factor(self) -> float | None:
        """Exaggeration, where the user gives it."""

    @property
    def mesh_unit(self) -> str:
        """Unit of the heights, or ``auto``."""


def opened(asked: Asked, progress: Progress) -> Surface:
    """Read a mesh; what the user says goes before what the layer says, and that before what the file says."""
    triangles = mesh_files.read(asked.input)
    chosen = asked.assigned_crs or asked.crs or triangles.crs
    known = grids.crs_of(chosen).to_wkt() if chosen else ""
    if asked.assigned_crs and triangles.crs and not grids.same_crs(triangles.crs, known):
        progress.warn(
            f"The mesh file says {grids.crs_name(triangles.crs)}; its coordinates are taken as "
            f"{grids.crs_name(known)}, as was asked for. Nothing is reprojected."
        )
    unit = triangles.z_unit if asked.mesh_unit == "auto" else asked.mesh_unit
    triangles = replace(triangles, z_unit=unit, z_factor=asked.z_factor or triangles.z_factor)
    return Surface(triangles, known, Path(asked.input).name)


def text_of(bounds: Bounds) -> str:
    """Bounds for messages."""
    return "west {:.8g}, south {:.8g}, east {:.8g}, north {:.8g}".format(*bounds)
