"""Whether a result has the texture of real ground: slope distribution, roughness, pits, power per wavelength.

These compare what result and truth are like, not where they differ. Imports numpy and :mod:`.quality`.

==================  ================================================================================================
slope distance      first Wasserstein distance between the two slope distributions, in degrees
roughness           root mean square of the height above the mean of its 3 x 3 cells, in metres
pits                cells lower than all eight neighbours, per square kilometre; volume: up to the lowest neighbour
power ratio         power of the result over power of the truth, per wavelength in cells of the truth
error share         power of the error over power of the truth, per wavelength
==================  ================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .quality import Block, Floats

SLOPE_STEP_DEG = 0.1
SLOPE_BINS = 900

SPECTRUM_PX = 128
"""Side of the windows that are transformed, counted from the first row and column of what is added."""

WAVELENGTH_EDGES_PX = 2 ** np.arange(1.0, 6.26, 0.5)
"""Edges of wavelength classes: half octaves from 2 cells to 64."""


@dataclass(frozen=True)
class Character:
    """The measures of the module docstring, of the result and of the truth; NaN where nothing was added."""

    slope_distance_deg: float
    mean_slope_deg: tuple[float, float]
    roughness_m: tuple[float, float]
    pits_per_km2: tuple[float, float]
    pit_volume_m3_per_km2: tuple[float, float]

    @property
    def roughness_ratio(self) -> float:
        """Roughness of the result over that of the truth."""
        found, truth = self.roughness_m
        return found / truth if truth > 0 else float("nan")


class Texture:
    """Running sums behind :class:`Character`. Each row of its arrays is first the result, then the truth."""

    def __init__(self) -> None:
        self._cells, self._area_km2 = 0, 0.0
        self._residual_square, self._slopes, self._volume_m3 = np.zeros((3, 2))
        self._pits = np.zeros(2, dtype=np.int64)
        self._histogram = np.zeros((2, SLOPE_BINS), dtype=np.int64)

    def add(self, block: Block) -> None:
        """Take in the cells of a block that have all neighbours."""
        known = block.known
        area_m2 = (block.cell_m[0] * block.cell_m[1])[1:-1, None] + np.zeros(known.shape)
        self._cells += int(np.count_nonzero(known))
        self._area_km2 += float(area_m2[known].sum()) / 1e6
        for at, heights in enumerate((block.found, block.truth)):
            slopes = block.slopes_deg[at][known]
            bins = np.minimum(slopes / SLOPE_STEP_DEG, SLOPE_BINS - 1).astype(np.int64)
            self._histogram[at] += np.bincount(bins, minlength=SLOPE_BINS)
            self._slopes[at] += slopes.sum()
            self._residual_square[at] += float(np.sum(above_surroundings_m(heights)[known] ** 2))
            depth_m = pit_depth_m(heights)
            pits = known & (depth_m > 0)
            self._pits[at] += int(np.count_nonzero(pits))
            self._volume_m3[at] += float((depth_m * area_m2)[pits].sum())

    def merge(self, other: Texture) -> None:
        """Take in the sums of another area."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def character(self) -> Character:
        """All measures of what was added."""
        n, area = self._cells or np.nan, self._area_km2 or np.nan
        shares = np.cumsum(self._histogram, axis=1) / n
        return Character(
            slope_distance_deg=float(np.abs(shares[0] - shares[1]).sum() * SLOPE_STEP_DEG),
            mean_slope_deg=_pair(self._slopes / n),
            roughness_m=_pair(np.sqrt(self._residual_square / n)),
            pits_per_km2=_pair(self._pits / area),
            pit_volume_m3_per_km2=_pair(self._volume_m3 / area),
        )

    def slope_shares(self, step_deg: float) -> tuple[Floats, Floats, Floats]:
        """Middles of slope classes ``step_deg`` wide (whole multiples of 0.1), and their shares: result and truth."""
        width = round(step_deg / SLOPE_STEP_DEG)
        classes = SLOPE_BINS // width
        shares = self._histogram[:, : classes * width].reshape(2, classes, width).sum(axis=2) / (self._cells or np.nan)
        middles: Floats = (np.arange(classes, dtype=np.float64) + 0.5) * step_deg
        return middles, shares[0], shares[1]


class Spectrum:
    """Running sums of power per wavelength, of result, truth and error, over windows where all cells count."""

    def __init__(self, side_px: int = SPECTRUM_PX) -> None:
        """Transform windows of ``side_px`` cells; blocks whose inner part is a multiple of it add up to the whole."""
        self._side_px, self.windows = side_px, 0
        self._power = np.zeros((3, WAVELENGTH_EDGES_PX.size - 1))

    def add(self, block: Block) -> None:
        """Take in every window that fits into the inner part of a block and counts as a whole."""
        side = self._side_px
        found, truth = (heights[1:-1, 1:-1] for heights in (block.found, block.truth))
        for row in range(0, block.inner.shape[0] - side + 1, side):
            for col in range(0, block.inner.shape[1] - side + 1, side):
                part = np.s_[row : row + side, col : col + side]
                if block.inner[part].all():
                    middle = row + side // 2
                    stretch = float(np.sqrt(block.cell_m[0][middle] / block.cell_m[1][middle]))
                    self._add_window(found[part], truth[part], stretch)

    def merge(self, other: Spectrum) -> None:
        """Take in the sums of another area; wavelengths stay those in cells of each area's own truth."""
        self.windows += other.windows
        self._power += other._power

    def ratios(self) -> tuple[Floats, Floats]:
        """Power ratio and error share per class of :data:`WAVELENGTH_EDGES_PX`; NaN where nothing was added."""
        found, truth, error = self._power
        known = np.where(truth > 0, truth, np.nan)
        return found / known, error / known

    def _add_window(self, found: Floats, truth: Floats, stretch: float) -> None:
        """``stretch`` is the root of width over height of a cell; wavelengths count cells of equal area."""
        taper = np.hanning(self._side_px + 2)[1:-1]
        window = taper[:, None] * taper[None, :]
        planes = [without_plane(heights) for heights in (found, truth)]
        down = np.fft.fftfreq(self._side_px)[:, None] * stretch
        across = np.fft.rfftfreq(self._side_px)[None, :] / stretch
        wavelength_px = 1 / np.maximum(np.hypot(down, across), 1e-9)
        classes = np.searchsorted(WAVELENGTH_EDGES_PX, wavelength_px, side="right") - 1
        inside = (classes >= 0) & (classes < self._power.shape[1])
        twice = np.full(across.shape[1], 2.0)
        twice[[0, -1]] = 1.0  # rfft leaves out the mirrored half
        for at, heights in enumerate((*planes, planes[0] - planes[1])):
            power = np.abs(np.fft.rfft2(heights * window)) ** 2 * twice
            self._power[at] += np.bincount(classes[inside], power[inside], minlength=self._power.shape[1])
        self.windows += 1


def above_surroundings_m(heights: Floats) -> Floats:
    """Height above the mean of the 3 x 3 cells around, in metres, without the outer ring."""
    down = heights[:-2] + heights[1:-1] + heights[2:]
    above: Floats = heights[1:-1, 1:-1] - (down[:, :-2] + down[:, 1:-1] + down[:, 2:]) / 9
    return above


def pit_depth_m(heights: Floats) -> Floats:
    """How far a cell lies below the lowest of its eight neighbours, in metres, without the outer ring; 0 elsewhere."""
    down = np.minimum(heights[:-2], heights[2:])
    middle = np.minimum(down[:, 1:-1], np.minimum(heights[1:-1, :-2], heights[1:-1, 2:]))
    lowest = np.minimum(middle, np.minimum(down[:, :-2], down[:, 2:]))
    depth: Floats = np.maximum(lowest - heights[1:-1, 1:-1], 0.0)
    return depth


def without_plane(heights: Floats) -> Floats:
    """Heights minus the plane that fits them best, so that a slope does not leak into every wavelength."""
    rows, cols = (np.arange(size) - (size - 1) / 2 for size in heights.shape)
    level = heights - heights.mean()
    down = (rows[:, None] * level).sum() / ((rows**2).sum() * cols.size)
    across = (cols[None, :] * level).sum() / ((cols**2).sum() * rows.size)
    flat: Floats = level - down * rows[:, None] - across * cols[None, :]
    return flat


def _pair(values: Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])
