"""The baseline model as a surface: see :mod:`.baseline` for the method. Imports torch and numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from . import averaging, baseline, normaliser
from .card import Card
from .compute import Compute
from .kernels import Floats, Queries, lattice, point_taps
from .relief import Points, Relief, Where, relief_of, scattered, shape_of
from .scattered import cubic_at
from .surface import CoarseHeights, NoError


@dataclass(frozen=True)
class Prepared:
    """Coarse heights ``(H, W)`` whose plain interpolation is the surface, and the size of the cells per row."""

    heights: torch.Tensor
    point_sampled: bool
    cell_width_m: Floats
    cell_height_m: Floats


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
        prepared = baseline.prepare(heights, known.point_sampled)
        return Prepared(prepared, known.point_sampled, known.cell_width_m, known.cell_height_m)

    def decode(self, latent: Prepared, queries: Queries) -> Floats:
        """Interpolate at the queries."""
        rows = baseline.taps(queries.rows, queries.row_size, latent.point_sampled)
        cols = baseline.taps(queries.cols, queries.col_size, latent.point_sampled)
        return lattice(latent.heights, rows, cols).numpy()

    def averages(self, latent: Prepared, at: Points) -> Floats:
        """Averages of the interpolant over fine cells, or its heights at their centres."""
        if latent.point_sampled:
            return self.relief(latent, at, 0).heights
        return averaging.cubic_means(latent.heights.numpy(), at.rows, at.cols, (at.row_size, at.col_size))

    def relief(self, latent: Prepared, where: Where, degree: int) -> Relief:
        """The interpolant and its derivatives; second ones have steps at the centres of cells."""
        points = scattered(where)
        layers = cubic_at(latent.heights.numpy(), points.rows, points.cols, degree)
        found = relief_of(layers, points.rows, latent.cell_width_m, latent.cell_height_m)
        return found.shaped(shape_of(where))


def plain_cubic(heights: Floats, placed: NDArray[np.bool_], queries: Queries) -> Floats:
    """Registered cubic interpolation of coarse heights, what a careful resampling tool would give."""
    known = normaliser.extend(torch.from_numpy(heights), torch.from_numpy(placed))
    return lattice(known, point_taps(queries.rows), point_taps(queries.cols)).numpy()
