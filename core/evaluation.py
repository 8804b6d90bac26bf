"""All measures of a result against the truth at once, block by block: what *Compare DEMs* and the benchmarks report.

>>> evaluation = Evaluation()
>>> evaluation.add(Block(found, truth, counts, cell_m))  # for every block; Block is in quality
>>> evaluation.scores().rmse_m, evaluation.character().slope_distance_deg
>>> figures(evaluation)  # everything as plain values

Blocks overlap by their outer ring of one cell. Where their inner parts begin at, and are, multiples of
:data:`ALIGN_PX` cells of the raster (the last ones excepted), blocks give exactly what the whole raster gives; other
layouts cut other windows for the spectrum and other patches for local relief. Imports numpy and its three parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from .quality import Block, Floats, Scores, Tally
from .strata import DISTANCE_EDGES_PX, RELIEF_EDGES_M, SLOPE_EDGES_DEG, Strata, Stratum, local_relief_m
from .structure import SPECTRUM_PX, WAVELENGTH_EDGES_PX, Character, Spectrum, Texture

ALIGN_PX = SPECTRUM_PX
"""Inner parts of blocks that begin at multiples of this make results independent of the layout."""


class Evaluation:
    """Running sums of all measures. Add blocks, merge areas, ask for the parts or for :func:`figures`.

    Attributes
    ----------
    by_slope, by_relief, by_distance
        Elevation errors in classes of the true slope (degrees), of local relief (metres) and of the distance to the
        nearest known cell (coarse cells). ``by_slope.pooled()`` has coverage and band of all cells with a slope.
    slope_by_slope
        Errors of the slope in degrees, in classes of the true slope.

    """

    def __init__(self, spectrum_px: int = SPECTRUM_PX) -> None:
        """Use windows of ``spectrum_px`` cells for the spectrum; smaller ones for small rasters."""
        self.tally, self.texture, self.spectrum = Tally(), Texture(), Spectrum(spectrum_px)
        self.by_slope, self.slope_by_slope = Strata(SLOPE_EDGES_DEG), Strata(SLOPE_EDGES_DEG)
        self.by_relief, self.by_distance = Strata(RELIEF_EDGES_M), Strata(DISTANCE_EDGES_PX)
        self.banded = Strata((0.0, 90.0))

    def add(self, block: Block, band_m: Floats | None = None, distance_px: Floats | None = None) -> None:
        """Take in a block.

        Parameters
        ----------
        block
            Result, truth and which cells count, ``(R, C)``.
        band_m
            Half width of the stated 90 % band in metres, ``(R, C)``, NaN where there is none.
        distance_px
            Distance to the nearest known cell in coarse cells, ``(R, C)``, NaN where there is none; see
            :func:`distance_to_centres_px`.

        """
        self.tally.add_block(block)
        self.texture.add(block)
        self.spectrum.add(block)
        centre, (found_deg, true_deg) = np.s_[1:-1, 1:-1], block.slopes_deg
        slope_deg = np.where(block.known, true_deg, np.nan)
        band = None if band_m is None else band_m[centre]
        self.by_slope.add(slope_deg, block.errors, band, block.bins)
        self.slope_by_slope.add(slope_deg, found_deg - true_deg)
        relief_m = local_relief_m(block.truth[centre], block.inner)
        self.by_relief.add(np.where(block.inner, relief_m, np.nan), block.errors, bins=block.bins)
        self.banded.add(np.where(block.inner, 0.0, np.nan), block.errors, band, block.bins)
        if distance_px is not None:
            self.by_distance.add(np.where(block.inner, distance_px[centre], np.nan), block.errors, bins=block.bins)

    def merge(self, other: Evaluation) -> None:
        """Take in all sums of another area."""
        for name, part in vars(self).items():
            part.merge(getattr(other, name))

    def scores(self) -> Scores:
        """Errors of elevation, slope, aspect, normal and curvature."""
        return self.tally.scores()

    def character(self) -> Character:
        """What result and truth are like."""
        return self.texture.character()


class Consistency:
    """How far averages of the result over coarse cells are from the coarse DEM itself."""

    def __init__(self) -> None:
        self.cells, self._square, self._largest_m = 0, 0.0, 0.0

    def add(self, averages: Floats, coarse: Floats, counts: np.ndarray) -> None:
        """Take in coarse cells: the result's averages (or nodes) and the heights they were made from, in metres."""
        errors = np.abs(averages - coarse)[counts]
        self.cells += errors.size
        self._square += float(np.sum(errors**2))
        self._largest_m = max(self._largest_m, float(errors.max(initial=0.0)))

    def merge(self, other: Consistency) -> None:
        """Take in another area."""
        self.cells += other.cells
        self._square += other._square
        self._largest_m = max(self._largest_m, other._largest_m)

    @property
    def rmse_m(self) -> float:
        """Root mean square difference; NaN without cells."""
        return math.sqrt(self._square / self.cells) if self.cells else math.nan

    @property
    def max_m(self) -> float:
        """Largest difference; NaN without cells."""
        return self._largest_m if self.cells else math.nan


def distance_to_centres_px(rows: Floats, cols: Floats) -> Floats:
    """Distance in cells from positions, where cell ``i`` covers ``i`` to ``i + 1``, to the nearest cell centre.

    ``rows`` and ``cols`` are shapes that broadcast, so both lattices and single positions are possible.
    """
    down, across = (positions - np.floor(positions) - 0.5 for positions in (rows, cols))
    distance: Floats = np.hypot(down, across)
    return distance


def figures(evaluation: Evaluation) -> dict:
    """Everything as plain values that JSON can hold; numbers that do not exist are None."""
    character = evaluation.character()
    power, error = evaluation.spectrum.ratios()
    pooled = evaluation.banded.pooled()
    return {
        "scores": plain(asdict(evaluation.scores())),
        "structure": plain({**asdict(character), "roughness_ratio": character.roughness_ratio}),
        "band": plain({"coverage": pooled.coverage, "mean_half_width_m": pooled.band}),
        "by_slope_deg": _classes(evaluation.by_slope.rows()),
        "slope_error_by_slope_deg": _classes(evaluation.slope_by_slope.rows()),
        "by_relief_m": _classes(evaluation.by_relief.rows()),
        "by_distance_px": _classes(evaluation.by_distance.rows()),
        "spectrum": [
            plain({"low_px": low, "high_px": high, "power_ratio": ratio, "error_share": share})
            for low, high, ratio, share in zip(
                WAVELENGTH_EDGES_PX[:-1], WAVELENGTH_EDGES_PX[1:], power, error, strict=True
            )
        ],
    }


def plain(values: dict) -> dict:
    """Python numbers instead of numpy's, None instead of NaN."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _classes(rows: Sequence[Stratum]) -> list[dict]:
    return [plain(asdict(row)) for row in rows if row.cells]
