"""Small pictures of a comparison, gathered block by block: the whole at low resolution, and one window in full.

Blocks may come in any order and from other processes (:func:`piece_of`); the pictures are the same to the last bit.
Imports numpy, :mod:`.quality`, :mod:`.tiling` and :mod:`.plots`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import plots
from .quality import Block, Bools, Floats
from .tiling import Window

OVERVIEW_PX = 460
DETAIL_PX = 150
DETAIL_ZOOM = 3
SHOWN_SHARE = 0.98
"""Share of the cells whose difference lies within the ends of the colours."""

MOSTLY = 0.9

STEPS_PER_M = 2.0**16
"""Sums of heights in a block are rounded to such steps, so that adding them is exact: their order cannot matter."""


@dataclass(frozen=True)
class Detail:
    """A window at full resolution, with one cell around."""

    place: tuple[int, int]
    found: Floats
    truth: Floats
    known: Bools
    rmse_m: float


@dataclass(frozen=True)
class Piece:
    """What one block adds.

    Attributes
    ----------
    row, col
        Its first cell of the overview.
    sums
        Cells, result and truth in each cell of the overview that it touches, ``(3, rows, cols)``.
    detail
        Its window with the largest error; None where none is known well enough.

    """

    row: int
    col: int
    sums: Floats
    detail: Detail | None


class Maps:
    """Averages for overviews, and the window with the largest error so far."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.factor = factor_of(shape)
        self._shape = tuple(math.ceil(size / self.factor) for size in shape)
        self._sums = np.zeros((3, *self._shape))  # cells, result, truth
        self.detail: Detail | None = None

    def add(self, piece: Piece) -> None:
        """Take in what a block adds."""
        _, rows, cols = piece.sums.shape
        self._sums[:, piece.row : piece.row + rows, piece.col : piece.col + cols] += piece.sums
        self.detail = _worse(self.detail, piece.detail)

    def pictures(self, cell_m: tuple[float, float]) -> dict:
        """``overview`` and ``detail``: three pictures each, the numbers they need to be read."""
        cells = self._sums[0]
        known = cells > 0
        found, truth = (one / np.maximum(cells, 1) for one in self._sums[1:])
        wide_m = cell_m[0] * self.factor, cell_m[1] * self.factor
        # Overviews of small rasters are enlarged, so that cells can be told apart.
        zoom = max(OVERVIEW_PX // max(self._shape), 1)
        drawn = {"overview": {**_three(found, truth, known, wide_m, zoom), "factor": self.factor}}
        if self.detail is not None:
            one = self.detail
            drawn["detail"] = {
                **_three(one.found, one.truth, one.known, cell_m, DETAIL_ZOOM), "row": one.place[0],
                "column": one.place[1], "rmse_m": one.rmse_m, "cells": one.found.shape[0],
            }  # fmt: skip
        return drawn


def factor_of(shape: tuple[int, int]) -> int:
    """Cells of a raster per cell of its overview, along each axis."""
    return max(math.ceil(max(shape) / OVERVIEW_PX), 1)


def piece_of(inner: Window, block: Block, factor: int) -> Piece:
    """What a block adds to maps of this ``factor``; its inner part begins at ``inner``."""
    row, col = inner.row // factor, inner.col // factor
    rows = np.arange(inner.row, inner.row_stop) // factor - row
    cols = np.arange(inner.col, inner.col_stop) // factor - col
    shape = int(rows[-1]) + 1, int(cols[-1]) + 1
    where = (rows[:, None] * shape[1] + cols[None, :])[block.inner]
    sums = [
        np.bincount(where, None if heights is None else heights[1:-1, 1:-1][block.inner], minlength=math.prod(shape))
        for heights in (None, block.found, block.truth)
    ]
    exact = np.rint(np.stack(sums) * STEPS_PER_M) / STEPS_PER_M
    return Piece(row, col, exact.reshape(3, *shape), _detail_of(inner, block))


def _detail_of(inner: Window, block: Block) -> Detail | None:
    worst: Detail | None = None
    side = min(DETAIL_PX, inner.rows, inner.cols)
    for row in _starts(inner.rows, side):
        for col in _starts(inner.cols, side):
            part = np.s_[row : row + side, col : col + side]
            known, errors = block.inner[part], block.errors[part]
            if known.mean() < MOSTLY:
                continue
            rmse_m = float(np.sqrt(np.mean(errors[known] ** 2)))
            if worst is None or rmse_m > worst.rmse_m:
                whole = np.s_[row + 1 : row + side + 1, col + 1 : col + side + 1]
                heights = block.found[whole].copy(), block.truth[whole].copy()
                worst = Detail((inner.row + row, inner.col + col), *heights, known.copy(), rmse_m)
    return worst


def _worse(one: Detail | None, other: Detail | None) -> Detail | None:
    """The larger window, of two equal ones that with the larger error, then the first."""
    both = [detail for detail in (one, other) if detail is not None]
    return max(both, key=lambda it: (it.found.shape[0], it.rmse_m, -it.place[0], -it.place[1]), default=None)


def _starts(size: int, side: int) -> list[int]:
    """Where windows of ``side`` cells begin that cover ``size`` cells; the last two may overlap."""
    return sorted({*range(0, size - side + 1, side), size - side})


def _three(found: Floats, truth: Floats, known: Bools, cell_m: tuple[float, float], zoom: int) -> dict:
    """Hillshades of result and truth, and their difference, with the height at the ends of its colours."""
    errors = np.where(known, found - truth, 0.0)
    most = float(np.quantile(np.abs(errors[known]), SHOWN_SHARE)) if known.any() else 0.0
    most = max(most, 1e-3)
    drawn = {
        "input": plots.hillshade(found, known, cell_m),
        "reference": plots.hillshade(truth, known, cell_m),
        "difference": plots.diverging(errors, known, most),
    }
    return {**{name: plots.enlarged(picture, zoom) for name, picture in drawn.items()}, "most_m": most}
