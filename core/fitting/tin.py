"""A TIN as an input: its vertices are points; where it bends sharply, or is wide, it says more than its vertices do.

Between its vertices a TIN is what linear interpolation makes of them, and a surface of least bending is nearer to the
ground: points on the edges of a TIN of smooth hills make the error ten times as large. Two things are followed:

- *Creases*: lines of edges that go on into each other, all bent to the same side and far more than the edges around
  them. They are the breaklines that the TIN was built along. The surface may bend there, and runs along them.
- *Wide faces*, wider than points are apart elsewhere: whoever made the TIN needed no vertex there. They get points,
  lest the surface leave them out as a gap.

Imports mesh files, the grid, numpy and scipy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .. import grid as grids
from .. import mesh_files
from ..errors import TerrainError
from ..jobs.fitsurface import Settings
from ..progress import Progress
from ..raster import Bools, Floats
from ..triangles import Triangles
from ..vertical import METRES

LEAST_BEND = 0.1
"""Change of slope (rise over distance) across an edge below which it is no crease."""

USUAL_BENDS = 4.0
"""A crease bends so many times as much as the edges around its ends usually do."""

STRAIGHT = 0.5
"""Cosine of the largest turn, 60 degrees, from a crease to the one that goes on from it."""

SLIVER = 0.1
"""Faces lower than this share of their longest side are slivers."""

LEAST_SPACINGS = 6.0
"""Length of a crease in mean point spacings; shorter ones come about by chance."""

WIDE_SPACINGS = 3.0
"""Faces wider than this get points, in mean point spacings."""

APART_SPACINGS = 2.0
"""Distance of these points."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Edges between two faces.

    Attributes
    ----------
    ends
        Numbers of their vertices, ``(N, 2)``.
    faces
        Numbers of their faces, ``(N, 2)``.

    """

    ends: Numbers
    faces: Numbers

    def where(self, chosen: Bools) -> Edges:
        """Some of the edges."""
        return Edges(self.ends[chosen], self.faces[chosen])

    def lengths(self, places: Floats) -> Floats:
        """Lengths on the map."""
        return np.asarray(np.hypot(*(places[self.ends[:, 1]] - places[self.ends[:, 0]]).T))


@dataclass(frozen=True)
class Guides:
    """What a TIN says beyond its vertices.

    Attributes
    ----------
    breaks
        Places along creases, close to each other, ``(N, 2)``.
    points
        Points on creases and on wide faces, ``(N, 3)``.
    bound
        Places of the vertices that these hang on, ``(N, 2)``.
    believed
        Places of all vertices: whoever made the TIN took them for ground.
    creases
        How many edges are creases.

    """

    breaks: Floats
    points: Floats
    bound: Floats
    believed: Floats
    creases: int


@dataclass(frozen=True)
class Tin:
    """Vertices ``(V, 3)`` in the CRS and the unit of the points, and faces ``(F, 3)``."""

    vertices: Floats
    faces: Numbers

    def guides(self, scale_m: tuple[float, float], unit_m: float, step_m: float, spacing_m: float) -> Guides:
        """What the TIN says beyond its vertices.

        Parameters
        ----------
        scale_m
            Metres in a unit of x and of y.
        unit_m
            Metres in a unit of height.
        step_m
            How far apart places along creases are at most.
        spacing_m
            How far apart points are.

        """
        places = self.vertices * np.array([*scale_m, unit_m])
        edges = _edges(self.faces)
        crease = creases(edges, places, self.faces, LEAST_SPACINGS * spacing_m)
        wide = _widths(places, self.faces) > WIDE_SPACINGS * spacing_m
        sharp, bound = edges.where(crease), np.concatenate([edges.ends[crease].ravel(), self.faces[wide].ravel()])
        points = self._along(sharp, places, spacing_m), self._on(wide, places, APART_SPACINGS * spacing_m)
        breaks = np.concatenate([self._along(sharp, places, step_m), self.vertices[np.unique(sharp.ends)]])
        flat = self.vertices[:, :2]
        return Guides(breaks[:, :2], np.concatenate(points), flat[np.unique(bound)], flat, len(sharp.ends))

    def _along(self, edges: Edges, places: Floats, apart: float) -> Floats:
        """Points on edges between their ends, at most so far apart."""
        pieces = np.maximum(np.ceil(edges.lengths(places) / apart), 1).astype(np.int64)
        owner = np.repeat(np.arange(len(pieces)), pieces - 1)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces - 1) - (pieces - 1), pieces - 1) + 1
        share = (number / pieces[owner])[:, None]
        start, end = (self.vertices[edges.ends[owner, side]] for side in (0, 1))
        return np.asarray(start + share * (end - start))

    def _on(self, chosen: Bools, places: Floats, apart: float) -> Floats:
        """Points on faces, on a lattice parallel to two of their sides."""
        faces = self.faces[chosen]
        parts = np.ceil(_sides(places, faces).max(axis=1) / apart).astype(np.int64)
        found = [np.zeros((0, 3))]
        for count in np.unique(parts):
            i, j = (at.ravel() for at in np.mgrid[: count + 1, : count + 1])
            shares = np.stack([i, j, count - i - j], axis=1)[i + j <= count] / count
            shares = shares[(shares < 1).all(axis=1)]
            found.append(np.einsum("pk,fkc->fpc", shares, self.vertices[faces[parts == count]]).reshape(-1, 3))
        return np.concatenate(found)


@dataclass(frozen=True)
class File:
    """A mesh as its file has it, its CRS, and the unit of its heights; empty where nobody says them."""

    mesh: Triangles
    crs: str
    unit: str
    name: str

    @classmethod
    def of(cls, settings: Settings) -> File | None:
        """The TIN of the settings, where there is one; refuses what cannot be read and what is no terrain."""
        if not settings.tin:
            return None
        mesh, name = mesh_files.read(settings.tin), Path(settings.tin).name
        if mesh.z_unit not in METRES:
            raise TerrainError(f"The TIN {name} is a model in {mesh.z_unit}s, not terrain; choose another mesh.")
        says = bool(mesh.tags) or mesh.z_unit != "metre"  # files of others say nothing, and then it is metres
        return cls(mesh, settings.tin_crs or mesh.crs, mesh.z_unit if says else "", name)

    def placed(self, crs: str, unit: str, progress: Progress) -> Tin:
        """The TIN in the CRS and the unit of the points."""
        if bool(crs) != bool(self.crs):
            one, other = ("TIN has", "points") if crs else ("points have", "TIN")
            progress.warn(f"The {one} no CRS; coordinates are taken as those of the {other}.")
        factor = METRES[self.unit or unit] / METRES[unit] / self.mesh.z_factor
        vertices = self.mesh.vertices * np.array([1.0, 1.0, factor])
        change = grids.change_of_crs(self.crs, crs) if self.crs and crs else None
        if change is not None:
            vertices[:, 0], vertices[:, 1] = change(vertices[:, 0], vertices[:, 1])
        tin = Tin(*_lying(vertices, self.mesh.faces.astype(np.int64)))
        if not len(tin.faces):
            raise TerrainError(f"The TIN {self.name} has no triangle with an area on the map; choose another mesh.")
        return tin


def _lying(vertices: Floats, faces: Numbers) -> tuple[Floats, Numbers]:
    """Vertices that have a place, one for each place of several at the same height, and faces that lie on them."""
    kept = np.flatnonzero(np.isfinite(vertices).all(axis=1))
    places, number = np.unique(vertices[kept], axis=0, return_inverse=True)
    new = np.full(len(vertices), -1, dtype=np.int64)
    new[kept] = number.reshape(-1)
    faces = new[faces]
    x, y = (places[:, axis][faces] for axis in (0, 1))
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    return places, faces[(faces >= 0).all(axis=1) & (area != 0)]


def _edges(faces: Numbers) -> Edges:
    """Edges that lie between exactly two faces."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort(ends.T)
    ends, owner = ends[order], owner[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(ends, axis=0) != 0).any(axis=1)])) if len(ends) else order
    counts = np.diff(np.append(first, len(ends)))
    pairs = first[counts == 2]
    return Edges(ends[pairs], np.stack([owner[pairs], owner[pairs + 1]], axis=1) if len(pairs) else ends[pairs])


def creases(edges: Edges, places: Floats, faces: Numbers, least_m: float) -> Bools:
    """Which edges belong to creases of at least this length; ``places`` are vertices in metres.

    Slopes of slivers, such as those at the border of many TINs, say nothing.
    """
    if not len(edges.ends):
        return np.zeros(0, dtype=bool)
    bend = _bends(edges, places, faces)
    size = np.abs(bend)
    usual = _usual(edges.ends, size, len(places))[edges.ends].mean(axis=1)
    sharp = (size > LEAST_BEND) & (size > USUAL_BENDS * np.maximum(usual, float(np.median(size)) / 2))
    sharp &= (_widths(places, faces) > SLIVER * _sides(places, faces).max(axis=1))[edges.faces].all(axis=1)
    some = edges.where(sharp)
    line = _lines(some.ends, np.sign(bend[sharp]), places)
    lengths = np.bincount(line, some.lengths(places), minlength=1)
    sharp[sharp] = lengths[line] >= least_m
    return sharp


def _bends(edges: Edges, places: Floats, faces: Numbers) -> Floats:
    """Change of slope across each edge, above zero in valleys."""
    one, other = (_slopes(places, faces[edges.faces[:, side]]) for side in (0, 1))
    start, end = (places[edges.ends[:, side], :2] for side in (0, 1))
    across = np.stack([start[:, 1] - end[:, 1], end[:, 0] - start[:, 0]], axis=1)
    across /= np.hypot(*across.T)[:, None]
    third = places[faces[edges.faces[:, 0]].sum(axis=1) - edges.ends.sum(axis=1), :2]
    side = np.sign(np.einsum("nk,nk->n", across, third - start))
    found: Floats = side * np.einsum("nk,nk->n", across, one - other)
    return found


def _slopes(places: Floats, faces: Numbers) -> Floats:
    """Rise of each face to the east and to the north."""
    a, b = (places[faces[:, k]] - places[faces[:, 0]] for k in (1, 2))
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    east = (a[:, 2] * b[:, 1] - b[:, 2] * a[:, 1]) / area
    north = (b[:, 2] * a[:, 0] - a[:, 2] * b[:, 0]) / area
    return np.stack([east, north], axis=1)


def _usual(ends: Numbers, bend: Floats, count: int) -> Floats:
    """The median bend of the edges at each vertex."""
    vertex, value = ends.ravel(), np.repeat(bend, 2)
    order = np.lexsort((value, vertex))
    first = np.searchsorted(vertex[order], np.arange(count + 1))
    middle = np.minimum((first[:-1] + first[1:] - 1) // 2, len(order) - 1).clip(0)
    found: Floats = np.where(np.diff(first) > 0, value[order][middle], 0.0)
    return found


def _lines(ends: Numbers, bend: Floats, places: Floats) -> Numbers:
    """Number of the line that each edge belongs to: edges bent alike that go on into each other nearly straight."""
    way = places[ends[:, 1], :2] - places[ends[:, 0], :2]
    way = way / np.hypot(*way.T)[:, None]
    vertex, edge = np.concatenate([ends[:, 0], ends[:, 1]]), np.tile(np.arange(len(ends)), 2)
    order = np.argsort(vertex, kind="stable")
    vertex, outward, edge = vertex[order], np.concatenate([way, -way])[order], edge[order]
    joined = [np.zeros((0, 2), dtype=np.int64)]
    for apart in range(1, int(np.bincount(vertex).max(initial=1))):
        one = np.flatnonzero(vertex[apart:] == vertex[:-apart])
        straight = np.einsum("nk,nk->n", outward[one], outward[one + apart]) < -STRAIGHT
        alike = bend[edge[one]] == bend[edge[one + apart]]
        joined.append(np.stack([edge[one], edge[one + apart]], axis=1)[straight & alike])
    pairs = np.concatenate(joined)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(ends), len(ends)))
    found: Numbers = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _sides(places: Floats, faces: Numbers) -> Floats:
    """Lengths of the sides of faces on the map, ``(F, 3)``."""
    flat = places[:, :2]
    found: Floats = np.hypot(*(flat[np.roll(faces, -1, 1)] - flat[faces]).transpose(2, 0, 1))
    return found


def _widths(places: Floats, faces: Numbers) -> Floats:
    """Height of each face over its longest side, on the map."""
    a, b = (places[faces[:, k], :2] - places[faces[:, 0], :2] for k in (1, 2))
    found: Floats = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / _sides(places, faces).max(axis=1)
    return found
