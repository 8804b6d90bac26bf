"""Small pictures of a comparison, gathered block by block: the whole at low resolution, and one window in full.

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


@dataclass(frozen=True)
class Detail:
    """A window at full resolution, with one cell around."""

    place: tuple[int, int]
    found: Floats
    truth: Floats
    known: Bools
    rmse_m: float


class Maps:
    """Averages for overviews, and the window with the largest error so far."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.factor = max(math.ceil(max(shape) / OVERVIEW_PX), 1)
        self._shape = tuple(math.ceil(size / self.factor) for size in shape)
        self._sums = np.zeros((3, math.prod(self._shape)))  # cells, result, truth
        self.detail: Detail | None = None

    def add(self, inner: Window, block: Block) -> None:
        """Take in the inner part of a block, which begins at ``inner``."""
        rows = np.arange(inner.row, inner.row_stop) // self.factor
        cols = np.arange(inner.col, inner.col_stop) // self.factor
        where = (rows[:, None] * self._shape[1] + cols[None, :])[block.inner]
        for at, values in enumerate((None, block.found[1:-1, 1:-1], block.truth[1:-1, 1:-1])):
            weights = None if values is None else values[block.inner]
            self._sums[at] += np.bincount(where, weights, minlength=self._sums.shape[1])
        self._look_for_detail(inner, block)

    def pictures(self, cell_m: tuple[float, float]) -> dict:
        """``overview`` and ``detail``: three pictures each, the numbers they need to be read."""
        cells = self._sums[0].reshape(self._shape)
        known = cells > 0
        found, truth = (one.reshape(self._shape) / np.maximum(cells, 1) for one in self._sums[1:])
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

    def _look_for_detail(self, inner: Window, block: Block) -> None:
        side = min(DETAIL_PX, inner.rows, inner.cols)
        for row in _starts(inner.rows, side):
            for col in _starts(inner.cols, side):
                part = np.s_[row : row + side, col : col + side]
                known, errors = block.inner[part], block.errors[part]
                if known.mean() < MOSTLY or (self.detail and side < self.detail.found.shape[0]):
                    continue
                rmse_m = float(np.sqrt(np.mean(errors[known] ** 2)))
                if self.detail is None or rmse_m > self.detail.rmse_m or side > self.detail.found.shape[0]:
                    whole = np.s_[row + 1 : row + side + 1, col + 1 : col + side + 1]
                    heights = block.found[whole].copy(), block.truth[whole].copy()
                    self.detail = Detail((inner.row + row, inner.col + col), *heights, known.copy(), rmse_m)


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
