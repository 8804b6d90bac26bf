"""Where borders lie on each other without being shared: T-junctions. Imports numpy and :mod:`..compiled`.

Border vertices are sorted into square bins about as wide as a border edge is long; every edge then looks into the bins
that it passes. That takes time in proportion to the length of the borders, whatever the mesh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDED_STEPS = 64
"""A vertex lies on an edge when it is off by no more than so many steps of its coordinates' number format."""

SHORT_SHARE = 1e-4
"""Share of a middling border edge that counts as no distance at most."""

MOST_BINS = 1 << 24


def junctions(places: Floats, starts: Ints, ends: Ints) -> Ints:
    """How many vertices lie in the inside of each border edge, ends left out.

    Parameters
    ----------
    places
        (V, 2) or (V, 3) coordinates of all vertices, those at one place merged.
    starts, ends
        Vertices of the border edges.

    """
    if not len(starts):
        return np.empty(0, np.int64)
    known = np.unique(np.concatenate([starts, ends]))
    local = places - places[known].min(axis=0)
    if local.shape[1] == 2:
        local = np.pad(local, ((0, 0), (0, 1)))
    lengths = np.linalg.norm(local[ends] - local[starts], axis=1)
    side, layout = _bins(local[known], float(np.median(lengths)))
    bins = np.minimum((local[known, :2] / side).astype(np.int64), layout - 1)
    keys = bins[:, 1] * layout[0] + bins[:, 0]
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], np.arange(layout[0] * layout[1] + 1))
    near = min(ROUNDED_STEPS * _step(places[known]), SHORT_SHARE * float(np.median(lengths)))
    found = np.zeros(len(starts), np.int64)
    _look(local, (starts, ends), (known[order], first, layout), (side, near), found)
    return found


def _bins(local: Floats, length: float) -> tuple[float, Ints]:
    """Side of the bins, and how many there are across and down."""
    extent = local[:, :2].max(axis=0)
    side = max(length, float(extent.max()) / 4000, float(np.sqrt(extent[0] * extent[1] / MOST_BINS)), 1e-300)
    return side, (extent / side).astype(np.int64) + 1


def _step(places: Floats) -> float:
    """Distance of neighbouring numbers at the largest coordinate: of float32 where all are such numbers."""
    largest = np.abs(places).max()
    single = bool((places == places.astype(np.float32)).all())
    return float(np.spacing(np.float32(largest)) if single else np.spacing(largest))


@compiled
def _look(local: Floats, edges: Any, sorted_in: Any, sizes: tuple[float, float], found: Ints) -> None:
    (starts, ends), (known, first, layout), (side, near) = edges, sorted_in, sizes
    for e in range(len(starts)):
        a, b = starts[e], ends[e]
        ax, ay, az = local[a, 0], local[a, 1], local[a, 2]
        bx, by, bz = local[b, 0] - ax, local[b, 1] - ay, local[b, 2] - az
        squared = bx * bx + by * by + bz * bz
        if squared == 0.0:
            continue
        low, high = min(0.0, by) + ay - near, max(0.0, by) + ay + near
        for down in range(max(int(low / side), 0), min(int(high / side), layout[1] - 1) + 1):
            left, right = _along(ax, ay, bx, by, (down * side - near, (down + 1) * side + near))
            for across in range(max(int((left - near) / side), 0), min(int((right + near) / side), layout[0] - 1) + 1):
                bin = down * layout[0] + across
                for k in range(first[bin], first[bin + 1]):
                    v = known[k]
                    x, y, z = local[v, 0] - ax, local[v, 1] - ay, local[v, 2] - az
                    share = (x * bx + y * by + z * bz) / squared
                    dx, dy, dz = x - share * bx, y - share * by, z - share * bz
                    length = np.sqrt(squared)
                    inside = near < share * length < length - near
                    if inside and v not in (a, b) and dx * dx + dy * dy + dz * dz <= near * near:
                        found[e] += 1


@compiled
def _along(ax: float, ay: float, bx: float, by: float, rows: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest x of the part of an edge between two values of y."""
    low, high = 0.0, 1.0
    if by != 0.0:
        one, other = (rows[0] - ay) / by, (rows[1] - ay) / by
        low, high = max(min(one, other), 0.0), min(max(one, other), 1.0)
    one, other = ax + low * bx, ax + high * bx
    return min(one, other), max(one, other)
