"""Training pairs as tensors: what a network is fed and what it has to answer. Imports torch and numpy.

Every network answers the same question, the residual of the weight-less surface in units of the local relief, so that
losses and learning curves of all families can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from . import baseline, normaliser
from .degradation import Pair
from .kernels import Queries, Taps, lattice, point_taps

SMALLEST_SCALE_M = 0.02
"""Least unit of the training target; ground smoother than this weighs no more."""


@dataclass(frozen=True)
class Batch:
    """Pairs of one shape: ``B`` pairs of ``N`` x ``N`` coarse cells and ``R`` x ``C`` queries."""

    pairs: Sequence[Pair]
    features: torch.Tensor  # (B, channels, N, N) float32, channels last
    heights_m: torch.Tensor  # (B, N, N) float64, voids continued
    valid: torch.Tensor  # (B, N, N)
    scale_grid_m: torch.Tensor  # (B, N, N) float64, local relief of the coarse cells
    rest_m: torch.Tensor  # (B, N, N) float32, what the weight-less surface leaves of the known heights
    queries: list[Queries]
    sizes: torch.Tensor  # (B, 2) float32, height and width of the fine cells in coarse cells
    base_m: torch.Tensor  # (B, R, C) float64, the weight-less surface
    scale_m: torch.Tensor  # (B, R, C) float64
    truth_m: torch.Tensor  # (B, R, C) float64

    def to(self, device: str) -> Batch:
        """The same batch with its tensors on ``device``; the only place where a training moves them."""
        tensors: dict[str, Any] = {
            f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **{name: value.to(device) for name, value in tensors.items()})

    @property
    def target(self) -> torch.Tensor:
        """Residual of the weight-less surface in local units, ``(B, R, C)`` float32."""
        return ((self.truth_m - self.base_m) / self.scale_m).float()

    @property
    def point_sampled(self) -> list[bool]:
        """Which pairs hold samples at cell centres."""
        return [pair.point_sampled for pair in self.pairs]

    @property
    def honoured(self) -> list[bool]:
        """Which pairs hold undisturbed heights, which the surface has to keep."""
        return [pair.exact for pair in self.pairs]

    def interpolate(self, i: int, values: torch.Tensor) -> torch.Tensor:
        """Coarse values ``(N, N)`` at the queries of pair ``i``, as the weight-less surface interpolates."""
        return lattice(values, *_base_taps(self.pairs[i]))


def collate(pairs: Sequence[Pair]) -> Batch:
    """Describe the coarse heights and put the weight-less surface beside the truth."""
    valid = torch.stack([torch.from_numpy(p.valid) for p in pairs])
    heights = torch.stack([normaliser.extend(torch.from_numpy(p.coarse), v) for p, v in zip(pairs, valid, strict=True)])
    points = torch.tensor([p.point_sampled for p in pairs])
    normal = normaliser.normalise(heights, valid, _cell_sizes_m(pairs, heights.shape[1]), points)
    prepared = [baseline.prepare(z, p.point_sampled) for p, z in zip(pairs, heights, strict=True)]
    rest = [
        torch.zeros_like(z) if p.point_sampled else torch.where(v, z - baseline.average(ready), 0.0)
        for p, z, v, ready in zip(pairs, heights, valid, prepared, strict=True)
    ]
    scales = [lattice(s, *_smooth_taps(p)) for p, s in zip(pairs, normal.scale_m, strict=True)]
    return Batch(
        pairs=pairs,
        features=normal.features.contiguous(memory_format=torch.channels_last),
        heights_m=heights,
        valid=valid,
        scale_grid_m=normal.scale_m,
        rest_m=torch.stack(rest).float(),
        queries=[Queries(p.rows, p.cols, p.row_size, p.col_size) for p in pairs],
        sizes=torch.tensor([[p.row_size, p.col_size] for p in pairs], dtype=torch.float32),
        base_m=torch.stack([lattice(ready, *_base_taps(p)) for p, ready in zip(pairs, prepared, strict=True)]),
        scale_m=torch.stack(scales).clamp_min(SMALLEST_SCALE_M),
        truth_m=torch.stack([torch.from_numpy(p.truth) for p in pairs]),
    )


def _cell_sizes_m(pairs: Sequence[Pair], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    width, height = (
        torch.tensor([getattr(p, name) for p in pairs], dtype=torch.float64)[:, None].expand(-1, count)
        for name in ("cell_width_m", "cell_height_m")
    )
    return width, height


def _base_taps(pair: Pair) -> tuple[Taps, Taps]:
    return (
        baseline.taps(pair.rows, pair.row_size, pair.point_sampled),
        baseline.taps(pair.cols, pair.col_size, pair.point_sampled),
    )


def _smooth_taps(pair: Pair) -> tuple[Taps, Taps]:
    return point_taps(pair.rows, "bspline"), point_taps(pair.cols, "bspline")
