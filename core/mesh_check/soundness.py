"""Whether triangles form a surface: counts of everything that would make them none. Imports numpy.

Terrain is judged from above, where two vertices at one x and y are one too many; a solid is judged in space. Which of
both a mesh is follows from its triangles: those of a closed solid look down as much as up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import contact, links, shape
from .shape import Faces, Floats

UPWARD_SHARE = 0.5
"""A mesh is terrain where what looks up, less what looks down, is more than this share of all area on the map."""


@dataclass(frozen=True)
class Soundness:
    """Figures of a mesh.

    Attributes
    ----------
    vertices, triangles, edges
        How many there are.
    solid
        Whether the mesh was judged in space rather than from above.
    duplicates
        Vertices at the place of another.
    unused
        Vertices without a triangle.
    turned
        Triangles that are not anticlockwise seen from above (of a solid: the whole if it is inside out).
    flat
        Triangles without an area.
    crowded
        Edges with more than two triangles, or with two that run the same way.
    pinched
        Vertices where parts of the surface touch at a point only. No fault: islands may do so.
    junctions
        Vertices in the inside of another triangle's edge.
    cracks
        Border edges that lie on another border edge without being shared.
    borders
        Closed lines of border edges: outlines and holes.
    pieces
        Parts that do not share an edge.
    euler
        Vertices minus edges plus triangles, each part of the surface with vertices of its own.
    area
        Of terrain on the map, of a solid in space, in units of x times y.
    volume
        What a closed solid encloses; 0 for terrain.

    """

    vertices: int
    triangles: int
    edges: int
    solid: bool
    duplicates: int
    unused: int
    turned: int
    flat: int
    crowded: int
    pinched: int
    junctions: int
    cracks: int
    borders: int
    pieces: int
    euler: int
    area: float
    volume: float

    @property
    def seams(self) -> int:
        """Everything that lets light through or puts one surface over another along an edge."""
        return self.crowded + self.junctions + self.cracks

    @property
    def faults(self) -> int:
        """Everything that a sound surface does not have; a solid has no border either."""
        own = self.duplicates + self.unused + self.turned + self.flat + self.seams
        return own + (self.borders + self.pinched if self.solid else 0)

    @property
    def watertight(self) -> bool:
        """Whether a solid encloses a volume without a gap."""
        return self.solid and not self.borders and not self.crowded and self.volume > 0


def soundness(vertices: Floats, faces: Faces, rows_down: bool = False) -> Soundness:
    """Count what would make a mesh no surface.

    Parameters
    ----------
    vertices
        (V, 3): x, y, z; or column, row, height.
    faces
        (F, 3) vertex numbers.
    rows_down
        Whether y runs to the south, as rows do.

    """
    seen = shape.signed_areas(vertices[:, :2], faces) * (-1 if rows_down else 1)
    solid = abs(float(seen.sum())) < UPWARD_SHARE * float(np.abs(seen).sum())
    places = vertices if solid else vertices[:, :2]
    area = shape.areas(vertices, faces) if solid else np.abs(seen)
    enclosed = shape.volume(vertices, faces) * (-1 if rows_down else 1) if solid else 0.0
    merged, duplicates = _merged(places)
    found = links.links(faces)
    fan_of = links.fans(found)
    on_edges = contact.junctions(places, merged[found.starts[found.borders]], merged[found.ends[found.borders]])
    return Soundness(
        vertices=len(vertices),
        triangles=len(faces),
        edges=found.edges,
        solid=solid,
        duplicates=duplicates,
        unused=int(np.count_nonzero(np.bincount(faces.ravel(), minlength=len(vertices)) == 0)),
        turned=_turned(seen, enclosed, solid),
        flat=int(np.count_nonzero(_is_flat(area, places, faces))),
        crowded=found.crowded,
        pinched=links.pinched(found, fan_of),
        junctions=int(on_edges.sum()),
        cracks=_doubled(merged, found) + int(np.count_nonzero(on_edges)),
        borders=links.loops(found, fan_of),
        pieces=links.pieces(found, len(faces)),
        euler=int(fan_of.max(initial=-1)) + 1 - found.edges + len(faces),
        area=float(area.sum()),
        volume=enclosed,
    )


def _turned(seen: Floats, enclosed: float, solid: bool) -> int:
    if solid:
        return len(seen) if enclosed < 0 else 0
    return int(np.count_nonzero(seen < 0))


def _is_flat(area: Floats, places: Floats, faces: Faces) -> np.ndarray:
    """Triangles whose area is lost in the rounding of their coordinates."""
    longest = np.zeros(len(faces))
    for i in range(3):
        longest = np.maximum(longest, np.abs(places[faces[:, i]] - places[faces[:, i - 1]]).max(axis=1))
    return area <= longest * np.spacing(np.abs(places).max(initial=0.0))


def _merged(places: Floats) -> tuple[np.ndarray, int]:
    """For every vertex the first of those at its place, and how many are at the place of another."""
    order = np.lexsort(places.T[::-1])
    new = np.ones(len(order), bool)
    new[1:] = (places[order[1:]] != places[order[:-1]]).any(axis=1)
    group = np.cumsum(new) - 1
    firsts = np.minimum.reduceat(order, np.flatnonzero(new)) if len(order) else order
    merged = np.empty(len(order), np.int64)
    merged[order] = firsts[group]
    return merged, len(order) - int(new.sum())


def _doubled(merged: np.ndarray, found: links.Links) -> int:
    """Border edges that have another border edge between the same two places."""
    starts, ends = merged[found.starts[found.borders]], merged[found.ends[found.borders]]
    keys = np.minimum(starts, ends) * (len(merged) + 1) + np.maximum(starts, ends)
    _, counts = np.unique(keys, return_counts=True)
    return int(counts[counts > 1].sum())
