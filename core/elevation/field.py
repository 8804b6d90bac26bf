"""The field model: a residual trunk that writes, for every coarse cell, the coefficients of a continuous surface.

Elevation at a position is the weight-less surface (:mod:`.baseline`) plus a sum of cosines under a smooth window per
coarse cell, a lapped transform (Malvar 1990). Every term is separable and has a known integral and derivative, so
averages over fine cells of any size and slopes are exact, and a position costs two small matrix products instead of a
perceptron. The averages over coarse cells are known in the same way, which lets :func:`correction` restore those of
the input without looking at a single fine cell.

This module knows tensors only: no files, no windows. Imports torch and numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import baseline, normaliser
from .batch import Batch
from .kernels import LappedTaps, Queries, lapped_taps
from .trunk import Trunk, pointwise

HIDDEN = 128
"""Width of the layers between the trunk and the coefficients."""

REACH_PX = 1
"""Coarse cells to each side whose coefficients a position needs."""


@dataclass(frozen=True)
class FieldSettings:
    """Shape of the network."""

    blocks: int = 8
    channels: int = 64
    order: int = 8  # cosines per axis of the elevation
    spread_order: int = 3  # cosines per axis of the logarithm of its uncertainty

    @property
    def trunk_radius_px(self) -> int:
        """Coarse cells that the convolutions of the trunk look to each side."""
        return 2 * self.blocks + 2


class Field(nn.Module):
    """Trunk and heads; all convolutional, so that channels-last and bf16 kernels serve everywhere."""

    def __init__(self, settings: FieldSettings) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = Trunk(normaliser.CHANNELS, settings.channels, settings.blocks)
        self.height = Head(settings.channels, settings.order**2)
        self.spread = Head(settings.channels, settings.spread_order**2)

    def encode(self, features: torch.Tensor, pad: int = 0) -> torch.Tensor:
        """Latent codes of every coarse cell, see :meth:`.trunk.Trunk.forward`."""
        codes: torch.Tensor = self.trunk(features, pad)
        return codes

    def coefficients(self, codes: torch.Tensor, sizes: torch.Tensor, scale_m: torch.Tensor) -> torch.Tensor:
        """Coefficients of the elevation residual in metres, float32 of shape ``(B, order * order, H, W)``.

        Cosines along the columns vary fastest. ``sizes`` is ``(B, 2)``, height and width of the fine cells in coarse
        cells; ``scale_m`` is ``(B, H, W)``.
        """
        return self.height(codes, sizes).float() * scale_m.float()[:, None]

    def log_spread(self, codes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Coefficients of the logarithm of the expected error in local units, like :meth:`coefficients`."""
        result: torch.Tensor = self.spread(codes, sizes).float()
        return result

    def predict(self, batch: Batch) -> torch.Tensor:
        """Residual of the weight-less surface at the queries of a batch in units of the local scale, ``(B, R, C)``."""
        codes = self.encode(batch.features, pad=1)
        sizes = batch.sizes.to(codes.device)
        coefficients = self.coefficients(codes, sizes, batch.scale_grid_m)
        total = []
        for i, queries in enumerate(batch.queries):
            here, point = coefficients[i : i + 1], batch.point_sampled[i]
            height = render(here[0], *lattice_taps(queries, self.settings.order, point))
            if batch.honoured[i]:
                found = over_cells(here, 0.0 if point else 1.0, self.settings.order)
                change = correction(batch.rest_m[i : i + 1], found, batch.valid[i : i + 1], point)
                height = height + batch.interpolate(i, change[0])
            total.append(height)
        return torch.stack(total) / batch.scale_m.float()


class Head(nn.Module):
    """Codes and the size of the fine cells to coefficients; starts at zero."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, HIDDEN, 1)
        self.from_size = nn.Linear(2, HIDDEN, bias=False)
        self.last = nn.Conv2d(HIDDEN, outputs, 1)
        for start in self.last.parameters():
            nn.init.zeros_(start)

    def forward(self, codes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` and ``(B, 2)`` to ``(B, outputs, H, W)``."""
        size = F.linear(sizes.log2().to(self.from_size.weight.dtype), self.from_size.weight)
        x = F.relu_(pointwise(codes, self.first).add_(size[:, :, None, None]))
        return pointwise(x, self.last)


def lattice_taps(queries: Queries, order: int, point_sampled: bool) -> tuple[LappedTaps, LappedTaps]:
    """Taps of the rows and the columns: averages over the fine cells, or heights at their centres."""
    row_size, col_size = (0.0, 0.0) if point_sampled else (queries.row_size, queries.col_size)
    return lapped_taps(queries.rows, row_size, order), lapped_taps(queries.cols, col_size, order)


def render(coefficients: torch.Tensor, rows: LappedTaps, cols: LappedTaps) -> torch.Tensor:
    """The field at a lattice, ``(R, C)``, of coefficients ``(order * order, H, W)``; differentiable, for training."""
    terms, height, width = coefficients.shape
    order = rows.weight.shape[2]
    down, across = rows.dense(height).to(coefficients), cols.dense(width).to(coefficients)
    series = coefficients.reshape(order, terms // order, height, width).permute(2, 0, 3, 1)
    with torch.autocast(coefficients.device.type, enabled=False):
        return down @ series.reshape(height * order, width * order) @ across.T


def over_cells(coefficients: torch.Tensor, width: float, order: int) -> torch.Tensor:
    """Averages of the field over coarse cells (``width`` 1) or its heights at their centres (0): ``(B, H, W)``.

    Beyond the edge of the array there are no coefficients: its outer cells must be discarded.
    """
    weight = lapped_taps(np.array([1.5]), width, order).weight[0]  # (3, order)
    kernel = np.einsum("ia,jb->abij", weight, weight).reshape(1, order * order, 3, 3)
    with torch.autocast(coefficients.device.type, enabled=False):
        return F.conv2d(coefficients, torch.from_numpy(kernel).to(coefficients), padding=REACH_PX)[:, 0]


def correction(rest_m: torch.Tensor, found_m: torch.Tensor, valid: torch.Tensor, point_sampled: bool) -> torch.Tensor:
    """What to add to the prepared coarse heights, ``(..., H, W)``, so that the surface keeps what is known.

    ``rest_m`` is what the weight-less surface leaves of the known heights, ``found_m`` what the field gives there, see
    :func:`over_cells`. With cell averages the averages come out right, with point samples the heights at the cell
    centres; where nothing is ``valid`` nothing is asked.
    """
    rest = torch.where(valid, rest_m - found_m, 0.0)
    return rest if point_sampled else baseline.unaverage(rest)
