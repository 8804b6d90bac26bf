"""Surfaces that were fitted to points: no network and no encoder, each cell of the file holds its own code.

The codes are coefficients of a bicubic B-spline, which were learned from the points themselves (:mod:`..fitting`): the
latent codes without an encoder of Yao 2024, section 3.6.3, with a decoder that is linear in them, so that the best
ones are found by solving equations. The surface is twice differentiable; slopes and curvatures are exact, and so are
averages over cells of any size. Imports torch and numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TerrainError
from . import averaging, normaliser
from .card import Card
from .compute import Compute
from .kernels import Floats, Queries, cell_taps, lattice, point_taps
from .relief import Points, Relief, Where, relief_of, scattered, shape_of
from .scattered import bspline_at, bsplines_at
from .surface import CoarseHeights, OneByOne

REACH_PX = 3
"""Cells around a position whose coefficients count, averages over cells included."""


@dataclass(frozen=True)
class Codes:
    """What the file says of a window: coefficients and errors in metres, ``(H, W)``; size of the cells per row."""

    coefficients: Floats
    error90: Floats
    point_sampled: bool
    cell_width_m: Floats
    cell_height_m: Floats


class FittedSurface(OneByOne):
    """A surface whose codes come with the heights; always on the CPU, in float64."""

    honours_input = False
    tells_error = True
    halo_px = normaliser.EXTEND_PX + REACH_PX
    bytes_per_coarse = 160.0
    bytes_per_fine = 40.0

    def __init__(self, card: Card, compute: Compute) -> None:
        self.card, self.compute = card, Compute("cpu", "float64")

    def encode(self, known: CoarseHeights) -> Codes:
        """Take the codes of the window; where there are none, filled heights stand for them."""
        if known.fitted is None:
            raise TerrainError("The DEM is no fitted surface; choose another model, or fit one to points first.")
        coefficients, error90 = known.fitted
        placed = np.isfinite(coefficients) | known.placed
        whole = np.where(np.isfinite(coefficients), coefficients, known.heights)
        return Codes(
            coefficients=_extended(whole, placed),
            error90=_extended(np.nan_to_num(error90), np.isfinite(error90)),
            point_sampled=known.point_sampled,
            cell_width_m=known.cell_width_m,
            cell_height_m=known.cell_height_m,
        )

    def decode(self, latent: Codes, queries: Queries) -> Floats:
        """Averages over the fine cells, or heights at their centres where the input is taken for samples at points."""
        rows, cols = (
            point_taps(at, "bspline") if latent.point_sampled else cell_taps(at, size, "bspline")
            for at, size in ((queries.rows, queries.row_size), (queries.cols, queries.col_size))
        )
        return lattice(torch.from_numpy(latent.coefficients), rows, cols).numpy()

    def averages(self, latent: Codes, at: Points) -> Floats:
        """Averages over fine cells anywhere, or heights at their centres."""
        if latent.point_sampled:
            return self.relief(latent, at, 0).heights
        return averaging.bspline_means(latent.coefficients, at.rows, at.cols, (at.row_size, at.col_size))

    def relief(self, latent: Codes, where: Where, degree: int) -> Relief:
        """The surface and its exact derivatives."""
        points = scattered(where)
        layers = bsplines_at(latent.coefficients, points.rows, points.cols, degree)
        found = relief_of(layers, points.rows, latent.cell_width_m, latent.cell_height_m)
        return found.shaped(shape_of(where))

    def error90(self, latent: Codes, where: Where) -> Floats:
        """Half width in metres of the band that holds the true height nine times in ten, as the file states it."""
        points: Points = scattered(where)
        return bspline_at(latent.error90, points.rows, points.cols).reshape(shape_of(where))


def _extended(values: Floats, placed: NDArray[np.bool_]) -> Floats:
    """Values continued into cells without any."""
    found = normaliser.extend(torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(placed))
    extended: Floats = found.numpy()
    return extended
