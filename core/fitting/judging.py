"""How good a surface is at points that it has not seen, beside what others make of the same points.

Peers are the linear interpolation in a TIN, the cubic one of Clough and Tocher on the same triangles, and the nearest
point. Imports numpy and scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CloughTocher2DInterpolator, LinearNDInterpolator
from scipy.spatial import Delaunay, QhullError, cKDTree

Floats = NDArray[np.float64]

PEERS = ("linear TIN", "cubic TIN (Clough-Tocher)", "nearest point")


@dataclass(frozen=True)
class Score:
    """Errors at held-out points, in the unit of the heights; ``le90`` holds nine of ten."""

    points: int
    rmse: float
    bias: float
    mae: float
    le90: float
    largest: float

    @classmethod
    def of(cls, errors: Floats) -> Score:
        """Of surface minus point."""
        size = np.abs(errors)
        return cls(
            int(errors.size), float(np.sqrt(np.mean(errors**2))), float(errors.mean()), float(size.mean()),
            float(np.quantile(size, 0.9)), float(size.max()),
        )  # fmt: skip


def peers(places: Floats, heights: Floats, asked: Floats) -> Floats:
    """What :data:`PEERS` say at the places that are asked, ``(3, N)``; NaN outside of the TIN.

    ``places`` and ``asked`` are ``(N, 2)`` on the ground.
    """
    found = np.full((len(PEERS), len(asked)), np.nan)
    try:
        triangles = Delaunay(places)
    except (QhullError, ValueError):  # all in a line, or too few
        return found
    found[0] = LinearNDInterpolator(triangles, heights)(asked)
    found[1] = CloughTocher2DInterpolator(triangles, heights)(asked)
    found[2] = heights[cKDTree(places).query(asked)[1]]
    return found


def table(errors: Floats) -> dict[str, Score]:
    """Scores of the surface (first row) and its peers at the same points: those inside of the TIN."""
    known = np.isfinite(errors).all(axis=0)
    if not known.any():
        return {}
    names: Sequence[str] = ("this surface", *PEERS)
    return {name: Score.of(row[known]) for name, row in zip(names, errors, strict=True)}
