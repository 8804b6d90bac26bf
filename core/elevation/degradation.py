"""From fine truth to training pairs: how a coarse DEM comes about.

One :class:`Pair` is a coarse raster, made from a fine one by a stated degradation at a real scale, and some of the fine
cells as the truth. Coarse DEMs are averages over cells, a sensor's blurred view, samples at points, or the result of
bicubic resampling; some are noisy, rounded or have voids, and their cells need not be square nor begin where a fine
cell begins. Everything random comes from the generator that is handed in. Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernels import Floats, cubic

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
    """Shares (0 to 1) and ranges of what happens to training pairs; the names are those of the recipe file.

    Attributes
    ----------
    scale_min, scale_max, integer_scale_share, unequal_scale_share
        Range of the scale, how often it is 2, 3, 4, 5, 6 or 8, and how often the two axes have scales of their own.
    phase_share
        How often coarse cells begin anywhere inside a fine cell; point samples then lie on fine cells, the upper left
        cell of each block included, which is how some coarse DEMs are decimated.
    point_share, gaussian_share, bicubic_share
        How often heights are samples at cell centres, seen through a Gaussian of ``blur_min_px`` to ``blur_max_px``
        coarse cells, or resampled bicubically; the rest are averages over the coarse cells.
    noise_share, noise_max
        How often noise is added, with a standard deviation of up to ``noise_max`` times the mean step between cells.
    rounding_share, rounding_steps_m
        How often heights are rounded, to one of these steps.
    void_share, void_radius_max_px
        How often there are voids, and their largest half width in coarse cells.
    relief_factor_min, relief_factor_max
        Half of the pairs have their heights stretched by a factor of this range.

    """

    scale_min: float = 1.5
    scale_max: float = 8.0
    integer_scale_share: float = 0.5
    unequal_scale_share: float = 0.2
    phase_share: float = 0.0
    point_share: float = 0.15
    gaussian_share: float = 0.05
    bicubic_share: float = 0.0
    blur_min_px: float = 0.3
    blur_max_px: float = 0.6
    noise_share: float = 0.1
    noise_max: float = 0.1
    rounding_share: float = 0.15
    rounding_steps_m: tuple[float, ...] = (1.0,)
    void_share: float = 0.08
    void_radius_max_px: float = 6.0
    relief_factor_min: float = 0.3
    relief_factor_max: float = 1.5


@dataclass(frozen=True)
class Pair:
    """Coarse heights ``(N, N)`` with validity, and the true fine heights ``(R, C)`` at a lattice of fine cells.

    ``exact`` says that the coarse heights are averages or samples of the truth, without noise, rounding or blur.
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
    exact: bool = True


@dataclass(frozen=True)
class PairShape:
    """Coarse cells per side, the margin where no truth is asked, and fine cells asked per axis (even)."""

    coarse_px: int = 48
    margin_px: int = 10
    queries: int = 48


def area_weights(fine_px: int, coarse_px: int, scale: float, phase: float = 0.0) -> Floats:
    """Averaging matrix ``(coarse_px, fine_px)``: coarse cell ``i`` covers fine positions ``phase + i s`` onward."""
    edges = np.arange(coarse_px + 1) * scale + phase
    cells = np.arange(fine_px)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(overlap, 0.0, None) / scale


def gaussian_weights(fine_px: int, coarse_px: int, scale: float, sigma_px: float, phase: float = 0.0) -> Floats:
    """Sampling by a Gaussian of ``sigma_px`` coarse cells around each coarse cell centre; rows add up to one."""
    distance = _distance(fine_px, coarse_px, scale, phase) / (sigma_px * scale)
    return _normal(np.exp(-0.5 * distance**2))


def cubic_weights(fine_px: int, coarse_px: int, scale: float, phase: float = 0.0) -> Floats:
    """Bicubic resampling as GIS programs do it: the kernel stretched to the coarse cells; rows add up to one."""
    return _normal(cubic(_distance(fine_px, coarse_px, scale, phase) / scale))


def point_weights(fine_px: int, coarse_px: int, scale: float, phase: float = 0.0) -> Floats:
    """Linear interpolation between fine cell centres at each coarse cell centre."""
    return np.clip(1 - np.abs(_distance(fine_px, coarse_px, scale, phase)), 0.0, None)


def _distance(fine_px: int, coarse_px: int, scale: float, phase: float) -> Floats:
    """From each coarse cell centre to each fine one, in fine cells, ``(coarse_px, fine_px)``."""
    centres = (np.arange(coarse_px) + 0.5) * scale + phase
    distance: Floats = np.arange(fine_px) + 0.5 - centres[:, None]
    return distance


def _normal(weights: Floats) -> Floats:
    whole: Floats = weights / weights.sum(axis=1, keepdims=True)
    return whole


@dataclass(frozen=True)
class Sampling:
    """How coarse heights come from fine ones.

    Attributes
    ----------
    kind
        ``average``, ``point``, ``gaussian`` or ``bicubic``.
    scales, phases
        Of rows and columns: fine cells per coarse cell, and where in the first fine cell the first coarse cell begins.
    sigma_px
        Standard deviation of the Gaussian in coarse cells.

    """

    kind: str
    scales: tuple[float, float]
    phases: tuple[float, float]
    sigma_px: float

    def weights(self, axis: int, fine_px: int, coarse_px: int) -> Floats:
        """Matrix ``(coarse_px, fine_px)`` of one axis."""
        scale, phase = self.scales[axis], self.phases[axis]
        if self.kind == "point":
            return point_weights(fine_px, coarse_px, scale, phase)
        if self.kind == "gaussian":
            return gaussian_weights(fine_px, coarse_px, scale, self.sigma_px, phase)
        if self.kind == "bicubic":
            return cubic_weights(fine_px, coarse_px, scale, phase)
        return area_weights(fine_px, coarse_px, scale, phase)


def draw_pair(region: Region, settings: Degradations, shape: PairShape, rng: np.random.Generator) -> Pair | None:
    """One random pair of ``region``; None where the chosen place holds voids or does not fit."""
    scales = _draw_scales(settings, rng)
    shifted = settings.phase_share > 0 and rng.random() < settings.phase_share
    window = _draw_window(region, shape, scales, int(shifted), rng)
    if window is None:
        return None
    fine, cell_height_m, cell_width_m = window
    relief_factor = np.exp(rng.uniform(np.log(settings.relief_factor_min), np.log(settings.relief_factor_max)))
    fine = (fine - fine.mean()) * (relief_factor if rng.random() < 0.5 else 1.0)
    sampling = _draw_sampling(scales, shifted, settings, rng)
    coarse, disturbed = _disturb(_sampled(fine, sampling, shape.coarse_px), settings, rng)
    rows, row_index = _draw_positions(fine.shape[0], sampling, 0, shape, rng)
    cols, col_index = _draw_positions(fine.shape[1], sampling, 1, shape, rng)
    return Pair(
        coarse=coarse,
        valid=_draw_valid(shape.coarse_px, settings, rng),
        point_sampled=sampling.kind == "point",
        cell_width_m=cell_width_m * scales[1],
        cell_height_m=cell_height_m * scales[0],
        rows=rows,
        cols=cols,
        row_size=1 / scales[0],
        col_size=1 / scales[1],
        truth=fine[np.ix_(row_index, col_index)],
        exact=sampling.kind in ("average", "point") and not disturbed,
    )


def _draw_scales(settings: Degradations, rng: np.random.Generator) -> tuple[float, float]:
    """Scales of rows and columns, never below one."""
    row_scale = _draw_scale(settings, rng)
    unequal = rng.random() < settings.unequal_scale_share
    col_scale = min(row_scale * rng.uniform(0.6, 1.6), settings.scale_max) if unequal else row_scale
    return max(row_scale, 1.0), max(col_scale, 1.0)


def _draw_scale(settings: Degradations, rng: np.random.Generator) -> float:
    choices = [s for s in (2, 3, 4, 5, 6, 8) if settings.scale_min <= s <= settings.scale_max]
    if rng.random() < settings.integer_scale_share and choices:
        return float(rng.choice(choices))
    return float(np.exp(rng.uniform(np.log(settings.scale_min), np.log(settings.scale_max))))


def _draw_window(
    region: Region, shape: PairShape, scales: tuple[float, float], spare_px: int, rng: np.random.Generator
) -> tuple[Floats, float, float] | None:
    """A turned and mirrored fully valid window with its cell height and width; None where there is none."""
    heights, valid, sizes = region.heights, region.valid, (region.cell_height_m, region.cell_width_m)
    if rng.random() < 0.5:
        heights, valid, sizes = heights.T, valid.T, sizes[::-1]
    need = tuple(int(np.ceil(shape.coarse_px * scale)) + spare_px for scale in scales)
    room = (heights.shape[0] - need[0], heights.shape[1] - need[1])
    if min(room) < 0:
        return None
    row, col = rng.integers(room[0] + 1), rng.integers(room[1] + 1)
    place = np.s_[row : row + need[0], col : col + need[1]]
    if not valid[place].all():
        return None
    fine = heights[place].astype(np.float64)
    return fine[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])], *sizes


def _draw_sampling(
    scales: tuple[float, float], shifted: bool, settings: Degradations, rng: np.random.Generator
) -> Sampling:
    draw = rng.random()
    limits = np.cumsum([settings.point_share, settings.gaussian_share, settings.bicubic_share])
    kind = ("point", "gaussian", "bicubic", "average")[int(np.searchsorted(limits, draw, side="right"))]
    sigma_px = rng.uniform(settings.blur_min_px, settings.blur_max_px)
    phases = (0.0, 0.0)
    if shifted and kind == "point":  # samples on fine cells: the first coarse centre is the centre of a fine cell
        phases = ((0.5 - scales[0] / 2) % 1, (0.5 - scales[1] / 2) % 1)
    elif shifted:
        phases = (float(rng.random()), float(rng.random()))
    return Sampling(kind, scales, phases, sigma_px)


def _sampled(fine: Floats, sampling: Sampling, coarse_px: int) -> Floats:
    rows, cols = (sampling.weights(axis, fine.shape[axis], coarse_px) for axis in (0, 1))
    coarse: Floats = rows @ fine @ cols.T
    return coarse


def _disturb(coarse: Floats, settings: Degradations, rng: np.random.Generator) -> tuple[Floats, bool]:
    """Heights with noise and rounding, and whether there is any."""
    noisy = rng.random() < settings.noise_share
    if noisy:
        relief = np.abs(np.diff(coarse, axis=0)).mean()
        coarse = coarse + rng.normal(size=coarse.shape) * relief * rng.uniform(0, settings.noise_max)
    rounded = rng.random() < settings.rounding_share
    if rounded:
        steps_m = settings.rounding_steps_m
        step_m = steps_m[0] if len(steps_m) == 1 else float(rng.choice(steps_m))
        coarse = np.round(coarse / step_m) * step_m
    return coarse, bool(noisy or rounded)


def _draw_positions(
    fine_px: int, sampling: Sampling, axis: int, shape: PairShape, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Centres in coarse cells and indices of fine cells away from the margin, in neighbouring pairs, ascending."""
    scale, phase = sampling.scales[axis], sampling.phases[axis]
    first = int(np.ceil(shape.margin_px * scale + phase))
    last = min(int((shape.coarse_px - shape.margin_px) * scale + phase), fine_px) - 1
    start = np.sort(rng.integers(first, last, size=shape.queries // 2))
    index = np.stack([start, start + 1], axis=1).ravel()
    return (index.astype(np.float64) + 0.5 - phase) / scale, index


def _draw_valid(coarse_px: int, settings: Degradations, rng: np.random.Generator) -> Bools:
    valid = np.ones((coarse_px, coarse_px), dtype=bool)
    if rng.random() < settings.void_share:
        row, col = np.mgrid[:coarse_px, :coarse_px]
        for _ in range(rng.integers(1, 5)):
            centre = rng.uniform(0, coarse_px, size=2)
            radius = rng.uniform(0.5, settings.void_radius_max_px, size=2)
            valid &= ((row - centre[0]) / radius[0]) ** 2 + ((col - centre[1]) / radius[1]) ** 2 > 1
    return valid
