"""The baseline model as a surface: see :mod:`.baseline` for the method. Imports torch and numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from . import baseline, normaliser
from .card import Card
from .compute import Compute
from .kernels import Floats, Queries, lattice, point_taps
from .surface import CoarseHeights, NoError


@dataclass(frozen=True)
class Prepared:
    """Coarse heights ``(H, W)`` whose plain interpolation is the surface."""

    heights: torch.Tensor
    point_sampled: bool


class BaselineSurface(NoError):
    """Bicubic interpolation made consistent with the input's cell averages; always on the CPU, in float64."""

    honours_input = False
    halo_px = normaliser.EXTEND_PX + baseline.RADIUS_PX + 1
    bytes_per_coarse = 160.0
    bytes_per_fine = 40.0

    def __init__(self, card: Card, compute: Compute) -> None:
        self.card, self.compute = card, Compute("cpu", "float64")

    def encode(self, known: CoarseHeights) -> Prepared:
        """Continue heights into voids and fold the back-projections into them."""
        heights = torch.from_numpy(np.ascontiguousarray(known.heights))
        heights = normaliser.extend(heights, torch.from_numpy(np.ascontiguousarray(known.placed)))
        return Prepared(baseline.prepare(heights, known.point_sampled), known.point_sampled)

    def decode(self, latent: Prepared, queries: Queries) -> Floats:
        """Interpolate at the queries."""
        rows = baseline.taps(queries.rows, queries.row_size, latent.point_sampled)
        cols = baseline.taps(queries.cols, queries.col_size, latent.point_sampled)
        return lattice(latent.heights, rows, cols).numpy()


def plain_cubic(heights: Floats, placed: NDArray[np.bool_], queries: Queries) -> Floats:
    """Registered cubic interpolation of coarse heights, what a careful resampling tool would give."""
    known = normaliser.extend(torch.from_numpy(heights), torch.from_numpy(placed))
    return lattice(known, point_taps(queries.rows), point_taps(queries.cols)).numpy()
