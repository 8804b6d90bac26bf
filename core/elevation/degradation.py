"""From fine truth to training pairs: how a coarse DEM comes about.

One :class:`Pair` is a coarse raster, made from a fine one by a stated degradation at a real scale, and some of the fine
cells as the truth. Everything random comes from the generator that is handed in. Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernels import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A fine DEM to learn from: heights in metres ``(H, W)``, validity, and its cell size in metres on the ground."""

    name: str
    heights: NDArray[np.float32]
    valid: Bools
    cell_width_m: float
    cell_height_m: float


@dataclass(frozen=True)
class Degradations:
    """Shares (0 to 1) and ranges of what happens to training pairs; the names are those of the recipe file."""

    scale_min: float = 1.5
    scale_max: float = 8.0
    integer_scale_share: float = 0.5
    unequal_scale_share: float = 0.2
    point_share: float = 0.15
    gaussian_share: float = 0.05
    noise_share: float = 0.1
    rounding_share: float = 0.15
    void_share: float = 0.08
    relief_factor_min: float = 0.3
    relief_factor_max: float = 1.5


@dataclass(frozen=True)
class Pair:
    """Coarse heights ``(N, N)`` with validity, and the true fine heights ``(R, C)`` at a lattice of fine cells.

    ``rows`` and ``cols`` are centres of fine cells in coarse cell units, in neighbouring pairs; sizes are those of a
    fine cell in coarse cells; ``cell_width_m`` and ``cell_height_m`` belong to the coarse cells.
    """

    coarse: Floats
    valid: Bools
    point_sampled: bool
    cell_width_m: float
    cell_height_m: float
    rows: Floats
    cols: Floats
    row_size: float
    col_size: float
    truth: Floats


@dataclass(frozen=True)
class PairShape:
    """Coarse cells per side, the margin where no truth is asked, and fine cells asked per axis (even)."""

    coarse_px: int = 48
    margin_px: int = 10
    queries: int = 48


def area_weights(fine_px: int, coarse_px: int, scale: float) -> Floats:
    """Averaging matrix ``(coarse_px, fine_px)``: coarse cell ``i`` covers fine positions ``i s`` to ``(i + 1) s``."""
    edges = np.arange(coarse_px + 1) * scale
    cells = np.arange(fine_px)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(overlap, 0.0, None) / scale


def gaussian_weights(fine_px: int, coarse_px: int, scale: float, sigma_px: float) -> Floats:
    """Sampling by a Gaussian of ``sigma_px`` coarse cells around each coarse cell centre; rows add up to one."""
    centres = (np.arange(coarse_px) + 0.5) * scale
    distance = (np.arange(fine_px) + 0.5 - centres[:, None]) / (sigma_px * scale)
    weights = np.exp(-0.5 * distance**2)
    return weights / weights.sum(axis=1, keepdims=True)


def point_weights(fine_px: int, coarse_px: int, scale: float) -> Floats:
    """Linear interpolation between fine cell centres at each coarse cell centre."""
    position = (np.arange(coarse_px) + 0.5) * scale - 0.5
    return np.clip(1 - np.abs(position[:, None] - np.arange(fine_px)), 0.0, None)


def draw_pair(region: Region, settings: Degradations, shape: PairShape, rng: np.random.Generator) -> Pair | None:
    """One random pair of ``region``; None where the chosen place holds voids or does not fit."""
    row_scale = _draw_scale(settings, rng)
    unequal = rng.random() < settings.unequal_scale_share
    col_scale = min(row_scale * rng.uniform(0.6, 1.6), settings.scale_max) if unequal else row_scale
    window = _draw_window(region, shape, max(row_scale, 1.0), max(col_scale, 1.0), rng)
    if window is None:
        return None
    fine, cell_height_m, cell_width_m = window
    relief_factor = np.exp(rng.uniform(np.log(settings.relief_factor_min), np.log(settings.relief_factor_max)))
    fine = (fine - fine.mean()) * (relief_factor if rng.random() < 0.5 else 1.0)
    coarse, point_sampled = _degrade(fine, shape.coarse_px, (row_scale, col_scale), settings, rng)
    rows, row_index = _draw_positions(fine.shape[0], row_scale, shape, rng)
    cols, col_index = _draw_positions(fine.shape[1], col_scale, shape, rng)
    return Pair(
        coarse=coarse,
        valid=_draw_valid(shape.coarse_px, settings, rng),
        point_sampled=point_sampled,
        cell_width_m=cell_width_m * col_scale,
        cell_height_m=cell_height_m * row_scale,
        rows=rows,
        cols=cols,
        row_size=1 / row_scale,
        col_size=1 / col_scale,
        truth=fine[np.ix_(row_index, col_index)],
    )


def _draw_scale(settings: Degradations, rng: np.random.Generator) -> float:
    if rng.random() < settings.integer_scale_share:
        choices = [s for s in (2, 3, 4, 5, 6, 8) if settings.scale_min <= s <= settings.scale_max]
        return float(rng.choice(choices))
    return float(np.exp(rng.uniform(np.log(settings.scale_min), np.log(settings.scale_max))))


def _draw_window(
    region: Region, shape: PairShape, row_scale: float, col_scale: float, rng: np.random.Generator
) -> tuple[Floats, float, float] | None:
    """A turned and mirrored fully valid window with its cell height and width; None where there is none."""
    heights, valid, sizes = region.heights, region.valid, (region.cell_height_m, region.cell_width_m)
    if rng.random() < 0.5:
        heights, valid, sizes = heights.T, valid.T, sizes[::-1]
    need = (int(np.ceil(shape.coarse_px * row_scale)), int(np.ceil(shape.coarse_px * col_scale)))
    room = (heights.shape[0] - need[0], heights.shape[1] - need[1])
    if min(room) < 0:
        return None
    row, col = rng.integers(room[0] + 1), rng.integers(room[1] + 1)
    place = np.s_[row : row + need[0], col : col + need[1]]
    if not valid[place].all():
        return None
    fine = heights[place].astype(np.float64)
    return fine[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])], *sizes


def _degrade(
    fine: Floats, coarse_px: int, scales: tuple[float, float], settings: Degradations, rng: np.random.Generator
) -> tuple[Floats, bool]:
    kind = rng.random()
    point_sampled = kind < settings.point_share
    sigma_px = rng.uniform(0.3, 0.6)

    def weights(axis: int) -> Floats:
        if point_sampled:
            return point_weights(fine.shape[axis], coarse_px, scales[axis])
        if kind < settings.point_share + settings.gaussian_share:
            return gaussian_weights(fine.shape[axis], coarse_px, scales[axis], sigma_px)
        return area_weights(fine.shape[axis], coarse_px, scales[axis])

    coarse = weights(0) @ fine @ weights(1).T
    if rng.random() < settings.noise_share:
        relief = np.abs(np.diff(coarse, axis=0)).mean()
        coarse = coarse + rng.normal(size=coarse.shape) * relief * rng.uniform(0, 0.1)
    if rng.random() < settings.rounding_share:
        coarse = np.round(coarse)
    return coarse, point_sampled


def _draw_positions(
    fine_px: int, scale: float, shape: PairShape, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Centres in coarse cells and indices of fine cells away from the margin, in neighbouring pairs, ascending."""
    first = int(np.ceil(shape.margin_px * scale))
    last = min(int((shape.coarse_px - shape.margin_px) * scale), fine_px) - 1
    start = np.sort(rng.integers(first, last, size=shape.queries // 2))
    index = np.stack([start, start + 1], axis=1).ravel()
    return (index.astype(np.float64) + 0.5) / scale, index


def _draw_valid(coarse_px: int, settings: Degradations, rng: np.random.Generator) -> Bools:
    valid = np.ones((coarse_px, coarse_px), dtype=bool)
    if rng.random() < settings.void_share:
        row, col = np.mgrid[:coarse_px, :coarse_px]
        for _ in range(rng.integers(1, 5)):
            centre = rng.uniform(0, coarse_px, size=2)
            radius = rng.uniform(0.5, 6.0, size=2)
            valid &= ((row - centre[0]) / radius[0]) ** 2 + ((col - centre[1]) / radius[1]) ** 2 > 1
    return valid
