"""Breaklines: edges along lines, wherever these lie on the mesh.

The lines are drawn into a finished mesh (:mod:`.drawing`): triangles are split along them, so the surface stays as it
is, and with it the bound of its error, and the edges lie on the lines themselves, not on the nearest lattice points.
Imports numpy and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from .clip import Floats, Segments, drawn, gathered, net_of
from .cutting import TRIANGLES
from .triangulation import Mesh

GRAIN = 2.0**-20
"""Points of lines are taken as multiples of so many cells, so that those that ought to be one point are."""


def follow(mesh: Mesh, lines: Sequence[Floats]) -> Mesh:
    """The surface of a mesh with edges along lines.

    Parameters
    ----------
    mesh
        A sound mesh, with any number of pieces and holes.
    lines
        Polylines (N, 2) of column and row. They may cross and touch each other and themselves, and leave the mesh.

    Returns
    -------
    The mesh with some triangles split. A line bends to vertices within 1/4096 cell.

    """
    segments = _segments(lines)
    if len(mesh.faces) == 0 or len(segments.pairs) == 0:
        return mesh
    net, of = net_of(mesh)
    net = drawn(net, segments)
    return gathered(mesh, net, of, np.ones(int(net.used[TRIANGLES]), np.bool_))


def _segments(lines: Sequence[Floats]) -> Segments:
    """Lines cut where they meet, each piece once, in x = column and y = minus row."""
    upright = [np.rint(line * (1 / GRAIN, -1 / GRAIN)) * GRAIN for line in lines]
    shapes = [shapely.LineString(line) for line in upright if len(line) > 1]
    whole = shapely.union_all(np.array(shapes, object), grid_size=GRAIN)
    places, pairs, n = [np.empty((0, 2))], [np.empty((0, 2), np.int32)], 0
    for part in shapely.get_parts(whole):
        way = shapely.get_coordinates(part)
        number = np.arange(n, n + len(way), dtype=np.int32)
        places.append(way)
        pairs.append(np.column_stack([number[:-1], number[1:]]))
        n += len(way)
    return _merged(Segments(np.concatenate(places), np.concatenate(pairs)))


def _merged(segments: Segments) -> Segments:
    """The same with every place once."""
    places, number = np.unique(segments.places, axis=0, return_inverse=True)
    return Segments(places, number.ravel().astype(np.int32)[segments.pairs])
