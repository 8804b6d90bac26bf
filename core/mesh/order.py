"""What is near on the ground becomes near in memory: vertices and triangles of a net in another order.

Growth adds vertices wherever errors are large. The rounds that follow look at all of them, one after the other, and are
faster by a half when the neighbours of one are those of the next. Imports numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .net import FRAME, LINK, SPOKE, STRIDE, TRIANGLES, TWIN, VERTICES, X, Y


def arrange(tri: NDArray[np.int32], node: NDArray[np.int32], z: NDArray[np.float64]) -> None:
    """Number vertices along a curve through the plane (Morton 1966), and triangles after their first vertex."""
    vertices = node[: 4 * tri[VERTICES]].reshape(-1, 4)
    triangles = tri[: STRIDE * tri[TRIANGLES]].reshape(-1, STRIDE)
    place = np.maximum(vertices[:, [X, Y]], 0).astype(np.int64)
    place[:FRAME] = 0
    by_place = np.argsort(_spread(place[:, 0]) | _spread(place[:, 1]) << 1, kind="stable")
    by_place = np.concatenate([np.arange(FRAME), by_place[by_place >= FRAME]])
    vertex_at = _inverse(by_place)
    corners = vertex_at[triangles[1:, :3]]
    by_corner = np.concatenate([[0], 1 + np.argsort(corners.min(axis=1), kind="stable")])
    triangle_at = _inverse(by_corner)
    triangles[1:, :3] = corners
    triangles[1:, TWIN : TWIN + 3] = _moved(triangles[1:, TWIN : TWIN + 3], triangle_at)
    triangles[1:, LINK : LINK + 3] = 0
    vertices[:, SPOKE] = _moved(vertices[:, SPOKE], triangle_at)
    triangles[:], vertices[:] = triangles[by_corner], vertices[by_place]
    z[FRAME : len(by_place)] = z[by_place[FRAME:]]


def _moved(edges: NDArray[np.int32], triangle_at: NDArray[np.int64]) -> NDArray[np.int64]:
    """New numbers of half-edges; -1 stays."""
    return np.where(edges < 0, edges, STRIDE * triangle_at[edges // STRIDE] + edges % STRIDE)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each element went."""
    found = np.empty_like(order)
    found[order] = np.arange(len(order))
    return found


def _spread(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of numbers below 2^16, with a zero between each two."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        number = (number | number << shift) & mask
    return number
