"""Local normalisation: what a network sees of the heights, and in which unit it answers.

A network must not depend on where a tile ends, on the datum or on the vertical unit. So it sees the deviation of each
height from its smooth surroundings, divided by the local size of such deviations, all by fixed local filters that
skip no-data. Nothing is taken from the tile or from the true fine heights. Imports torch only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .baseline import convolve

BINOMIAL = [w / 256 for w in (1, 8, 28, 56, 70, 56, 28, 8, 1)]
RADIUS_PX = 8
"""Two filters of radius 4, one after the other."""

EXTEND_PX = 16
"""How far heights are continued into voids, so that filters beside a void see plausible ground."""

CHANNELS = 5
"""Residual, log relief per cell, log cell aspect, point-sampled flag, validity."""


@dataclass(frozen=True)
class Normalised:
    """Network input and the local unit of its output.

    Attributes
    ----------
    features
        Float32, shape ``(B, CHANNELS, H, W)``.
    scale_m
        Float64, shape ``(B, H, W)``: local standard deviation of heights about their smooth surroundings; exactly
        zero on constant terrain.

    """

    features: torch.Tensor
    scale_m: torch.Tensor


def normalise(
    heights: torch.Tensor,
    valid: torch.Tensor,
    cell_m: tuple[torch.Tensor, torch.Tensor],
    point_sampled: torch.Tensor,
    whole: bool | None = None,
) -> Normalised:
    """Describe coarse heights by fixed local filters.

    Parameters
    ----------
    heights
        Float64 metres, shape ``(B, H, W)``, finite also where not valid.
    valid
        Boolean, same shape.
    cell_m
        Width and height of the cells in metres on the ground, each of shape ``(B, H)``.
    point_sampled
        Boolean, shape ``(B,)``.
    whole
        Whether all cells are valid, where that is known: on a GPU the question would wait for all it has to do.

    Notes
    -----
    The outer :data:`RADIUS_PX` cells see the repeated edge of the array and must be discarded.

    """
    weight = valid.to(heights.dtype)
    share = None if (bool(valid.all()) if whole is None else whole) else _smooth(weight)
    residual = torch.where(valid, heights - _local_mean(heights, weight, share), 0.0)
    scale_m = _local_mean(residual * residual, weight, share).sqrt()
    width_m, height_m = cell_m
    size_m = (width_m * height_m).sqrt()[:, :, None]
    flat = torch.ones_like(heights)
    features = torch.stack(
        [
            torch.where(scale_m > 0, residual / scale_m.clamp_min(1e-12), 0.0),
            torch.log(scale_m / size_m + 1e-3) / 4 + 1,
            torch.log(width_m / height_m)[:, :, None] * flat,
            point_sampled.to(heights.dtype)[:, None, None] * flat,
            weight,
        ],
        dim=1,
    )  # (B, CHANNELS, H, W)
    return Normalised(features.float(), scale_m)


def extend(heights: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Continue heights smoothly up to :data:`EXTEND_PX` cells into voids; cells farther in become zero.

    ``heights`` is ``(H, W)`` float64 (anything where not valid), ``valid`` boolean. Valid cells are returned as given.
    Give voids that were filled as valid here, but not to :func:`normalise`.
    """
    heights = torch.where(valid, heights, 0.0)
    return heights if bool(valid.all()) else continued(heights, valid)


def continued(heights: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The rings of :func:`extend`, ``(..., H, W)``; heights are zero where not known. Asks nothing of the device."""
    for _ in range(EXTEND_PX):
        weight = known.to(heights.dtype)
        share = _ring(weight)
        reached = ~known & (share > 0)
        heights = torch.where(reached, _ring(heights * weight) / share.clamp_min(1e-12), heights)
        known = known | reached
    return heights


def _local_mean(values: torch.Tensor, weight: torch.Tensor, share: torch.Tensor | None) -> torch.Tensor:
    """Binomial mean over valid cells only; zero where none is near. Exact on constant heights of 24 bits.

    ``share`` is the smooth weight, or None where all cells are valid: it would be exactly one.
    """
    if share is None:
        return _smooth(values)
    return torch.where(share > 0, _smooth(values * weight) / share.clamp_min(1e-12), 0.0)


def _smooth(values: torch.Tensor) -> torch.Tensor:
    return convolve(convolve(values, BINOMIAL, -1), BINOMIAL, -2)


def _ring(values: torch.Tensor) -> torch.Tensor:
    thirds = [0.25, 0.5, 0.25]
    return convolve(convolve(values, thirds, -1), thirds, -2)
