"""Small pictures of a fitted surface for its report: the ground, the points, and where the surface was wrong."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from .. import plots
from ..raster import Floats
from ..tiling import Window
from .lattice import Lattice, Scattering

SIDE_PX = 460
"""Longer side of the pictures at most."""


MERGED = 4
"""Squares along a side whose held-out points are shown together."""


class Overview:
    """Sums over squares of ``factor`` cells, gathered tile by tile.

    Attributes
    ----------
    known
        Cells with a height so far.

    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.factor = max(math.ceil(max(shape) / SIDE_PX), 1)
        self.zoom = max(SIDE_PX // max(shape), 1)
        size = tuple(math.ceil(side / self.factor) for side in shape)
        self._heights, self._cells = np.zeros(size), np.zeros(size)
        self._points, self._errors, self._held = np.zeros(size), np.zeros(size), np.zeros(size)
        self._shape, self.known, self.cell_m = size, 0, 1.0

    def add(self, window: Window, heights: Floats) -> None:
        """Take in the heights of a tile, NaN where there is none."""
        rows, cols = np.nonzero(np.isfinite(heights))
        self.known += rows.size
        at = (rows + window.row) // self.factor * self._shape[1] + (cols + window.col) // self.factor
        self._heights += self._sums(at, heights[rows, cols])
        self._cells += self._sums(at, np.ones(rows.size))

    def add_points(self, lattice: Lattice, points: Scattering, held: np.ndarray, errors: Floats) -> None:
        """Take in the points, and the errors at those that were held out."""
        rows, cols = lattice.grid.shape
        here = points.good & (points.rows >= 0) & (points.rows < rows) & (points.cols >= 0) & (points.cols < cols)
        self._points += self._sums(self._squares(points.rows[here], points.cols[here]), np.ones(int(here.sum())))
        at = self._squares(points.rows[held], points.cols[held])
        self._errors += self._sums(at, errors)
        self._held += self._sums(at, np.ones(held.size))
        self.cell_m = lattice.cell_m

    def pictures(self, most: float) -> dict[str, plots.Bytes]:
        """Hillshade, density of points (darker: more), and mean error from ``-most`` (blue) to ``most`` (red)."""
        known = self._cells > 0
        side_m = self.cell_m * self.factor
        heights = self._heights / np.maximum(self._cells, 1)
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        shade = plots.hillshade(heights[tuple(nearest)], np.ones_like(known), (side_m, side_m))
        shade[~known] = plots.NOTHING
        usual = max(float(np.quantile(self._points[self._points > 0], 0.95)), 1.0)
        tone = 245 - 200 * np.minimum(self._points / usual, 1) ** 0.7
        density = np.repeat(tone[:, :, None], 3, axis=2).astype(np.uint8)
        sums, held = (_coarser(one) for one in (self._errors, self._held))
        error = plots.diverging(sums / np.maximum(held, 1), held > 0, most)
        error = plots.enlarged(error, MERGED)[: known.shape[0], : known.shape[1]]
        drawn = {"ground": shade, "points": density, "errors": error}
        return {name: plots.enlarged(picture, self.zoom) for name, picture in drawn.items()}

    def _squares(self, rows: Floats, cols: Floats) -> np.ndarray:
        down, across = (np.floor(at / self.factor).astype(np.int64) for at in (rows, cols))
        squares: np.ndarray = down * self._shape[1] + across
        return squares

    def _sums(self, at: np.ndarray, values: Floats) -> Floats:
        """Sums of values in each square."""
        sums = np.bincount(at, values, minlength=self._shape[0] * self._shape[1])
        return sums.astype(np.float64).reshape(self._shape)


def _coarser(sums: Floats) -> Floats:
    """Sums over :data:`MERGED` x :data:`MERGED` squares."""
    rows, cols = (-(-size // MERGED) for size in sums.shape)
    whole = np.zeros((rows * MERGED, cols * MERGED))
    whole[: sums.shape[0], : sums.shape[1]] = sums
    merged: Floats = whole.reshape(rows, MERGED, cols, MERGED).sum(axis=(1, 3))
    return merged
