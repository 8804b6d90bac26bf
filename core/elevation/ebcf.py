"""EBCF-CDEM: an EDSR encoder and an implicit decoder that answers the elevation bias at any position.

After Yao et al. 2024 (ISPRS J. Photogramm. Remote Sens. 208, 1-13; thesis chapter 3), written from the equations:
``e_q = e_p + f(gamma(q), z(q, C))`` (3.1 to 3.3) with latent codes ``C`` from EDSR-baseline, ``z`` their
interpolation at ``q`` (3.2) and ``gamma`` sines and cosines of doubling frequency (3.4). What differs, and why, is
listed in ARCHITECTURE.md: registered positions, a local normaliser, a registered smooth anchor, periodic phases.
This module knows tensors only: no files, no windows, no metres beyond those it is handed. Imports torch and numpy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import normaliser
from .batch import SMALLEST_SCALE_M, Batch
from .kernels import Floats, Queries, lattice, nearest_taps, point_taps
from .trunk import Trunk, pointwise


@dataclass(frozen=True)
class EbcfSettings:
    """Shape of the network; the defaults are EDSR-baseline and the thesis' decoder."""

    blocks: int = 16
    channels: int = 64
    width: int = 256
    hidden_layers: int = 4
    frequencies: int = 6  # 0: the plain position instead of its encoding (Table 3.3)
    anchor: str = "cubic"
    """What the predicted elevation is counted from: ``cubic``, the registered weight-less surface; ``nearest``, the
    thesis' nearest known elevation (3.3); ``none``, no known elevation but the local mean (Table 3.3, without bias)."""

    @property
    def trunk_radius_px(self) -> int:
        """Coarse cells that the convolutions of the encoder look to each side."""
        return 2 * self.blocks + 2


class Ebcf(Trunk):
    """Encoder, which is the trunk itself, and decoder; both convolutional, so that bf16 kernels serve everywhere."""

    def __init__(self, settings: EbcfSettings) -> None:
        channels, width = settings.channels, settings.width
        super().__init__(normaliser.CHANNELS + (2 if settings.anchor == "nearest" else 0), channels, settings.blocks)
        self.settings = settings
        self.from_latent = nn.Conv2d(channels, width, 1)
        self.from_rows = nn.Linear(max(1, 2 * settings.frequencies), width, bias=False)
        self.from_cols = nn.Linear(max(1, 2 * settings.frequencies), width, bias=False)
        self.from_size = nn.Linear(2, width, bias=False)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(settings.hidden_layers - 1))
        self.bias = nn.Conv2d(width, 1, 1)
        for start in self.bias.parameters():
            nn.init.zeros_(start)

    def encode(self, features: torch.Tensor, pad: int = 0) -> torch.Tensor:
        """Latent codes of every coarse cell, see :meth:`.trunk.Trunk.forward`."""
        return self.forward(features, pad)

    def decode(self, latents: torch.Tensor, queries: Queries) -> torch.Tensor:
        """Elevation bias at the queries in units of the local scale, ``(B, R, C)`` for latents ``(B, ch, H, W)``."""
        return self.decode_codes(self.codes(latents, queries), self.phase(queries))

    def predict(self, batch: Batch) -> torch.Tensor:
        """Residual of the weight-less surface at the queries of a batch in units of the local scale, ``(B, R, C)``."""
        features = batch.features
        if self.settings.anchor == "nearest":
            features = torch.cat([features, _gradients(batch)], dim=1).contiguous(memory_format=torch.channels_last)
        latents = self.encode(features, pad=1)
        codes = torch.cat([self.codes(latents[i : i + 1], q) for i, q in enumerate(batch.queries)])
        phases = [self.phase(q) for q in batch.queries]
        rows, cols = torch.stack([p[0] for p in phases]), torch.stack([p[1] for p in phases])
        bias = self.decode_codes(codes.contiguous(memory_format=torch.channels_last), (rows, cols)).float()
        return bias if self.settings.anchor == "cubic" else bias + self._from_anchor(batch)

    def _from_anchor(self, batch: Batch) -> torch.Tensor:
        """The anchor minus the weight-less surface at the queries in local units, ``(B, R, C)`` float32."""
        if self.settings.anchor == "nearest":
            coarse, taps = batch.heights_m, [(nearest_taps(q.rows), nearest_taps(q.cols)) for q in batch.queries]
        else:
            coarse = batch.heights_m - batch.features[:, 0].double() * batch.scale_grid_m
            taps = [(point_taps(q.rows, "bspline"), point_taps(q.cols, "bspline")) for q in batch.queries]
        anchors = torch.stack([lattice(z, *t) for t, z in zip(taps, coarse, strict=True)])
        return ((anchors - batch.base_m) / batch.scale_m).float()

    @staticmethod
    def codes(latents: torch.Tensor, queries: Queries) -> torch.Tensor:
        """Eq. 3.2: latent codes interpolated at the queries, ``(B, ch, R, C)``."""
        height, width = latents.shape[-2:]
        rows = point_taps(queries.rows).clamped(height)
        cols = point_taps(queries.cols).clamped(width)
        return cols.apply(rows.apply(latents, 2), 3)

    def phase(self, queries: Queries) -> tuple[torch.Tensor, torch.Tensor]:
        """First-layer share of the position inside the cell, ``(width, R)`` and ``(width, C)``, in float32.

        Positional encoding is separable, so its product with the first layer is made once per row and per column.
        """
        device = self.from_size.weight.device
        size = torch.tensor([queries.row_size, queries.col_size], dtype=torch.float32, device=device)
        at_rows, at_cols = (encode_positions(p, self.settings).to(device) for p in (queries.rows, queries.cols))
        rows = F.linear(at_rows, self.from_rows.weight.float())
        cols = F.linear(at_cols, self.from_cols.weight.float())
        return rows.T + F.linear(size, self.from_size.weight.float())[:, None], cols.T

    def decode_codes(self, codes: torch.Tensor, phase: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The multilayer perceptron as 1 x 1 convolutions: ``(B, ch, R, C)`` to ``(B, R, C)``."""
        rows, cols = phase
        x = pointwise(codes, self.from_latent)  # (B, width, R, C)
        x = F.relu_(x.add_(rows.to(x.dtype)[..., :, None]).add_(cols.to(x.dtype)[..., None, :]))
        for layer in cast(Iterable[nn.Conv2d], self.hidden):
            x = F.relu_(pointwise(x, layer))
        return pointwise(x, self.bias)[:, 0]


def encode_positions(positions: Floats, settings: EbcfSettings) -> torch.Tensor:
    """Eq. 3.4 on the position inside the coarse cell: ``(N,)`` to ``(N, 2 * frequencies)`` float32.

    The coordinate runs from -1 to 1 across the cell. With the smooth anchor it is multiplied by pi, so all phases agree
    on the two sides of a cell border and the surface has no steps there; the nearest anchor, which has steps itself,
    needs the thesis' phases to cancel them. Without frequencies the coordinate itself is given, ``(N, 1)``.
    """
    inside = 2 * (positions - np.floor(positions)) - 1
    if settings.frequencies == 0:
        return torch.from_numpy(inside[:, None].astype(np.float32))
    unit = 1.0 if settings.anchor == "nearest" else np.pi
    angles = inside[:, None] * (unit * 2.0 ** np.arange(settings.frequencies))
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32))


def _gradients(batch: Batch) -> torch.Tensor:
    """Rise per coarse cell in local units, ``(B, 2, N, N)``: the residual hides slopes, the nearest anchor too."""
    down, across = torch.gradient(batch.heights_m, dim=(1, 2))
    scale_m = batch.scale_grid_m.clamp_min(SMALLEST_SCALE_M)[:, None]
    return torch.stack([down, across], dim=1).div(scale_m).clamp(-50, 50).float()
