"""The field model as a surface: tiles of any size through :mod:`.field` in fixed tensor shapes.

The trunk runs valid convolutions on the halo-trimmed window, once per window. The coefficients follow when the size of
the fine cells is known, and a lattice of positions is two rows of matrix products (:mod:`.rendering`).

The surface is a function of the position: cubic interpolation of the prepared heights plus the lapped cosines. Fine
cells are its averages, or its heights at their centres where the input is point-sampled; slopes are its derivatives.
Imports torch and numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import TerrainError
from . import averaging, baseline, calibration, normaliser, rendering, weights
from .card import Card
from .compute import Compute
from .field import REACH_PX, Field, FieldSettings, Head, correction, lattice_taps
from .kernels import (
    Floats,
    LappedTaps,
    Queries,
    Taps,
    derivative_taps,
    lapped_derivative_taps,
    lapped_taps,
    point_taps,
)  # fmt: skip
from .relief import Points, Relief, W, Where, relief_of, sizes_told
from .scattered import DERIVATIVES, LAYERS, bspline_at, cubic_at, series_at
from .surface import CoarseHeights, OneByOne
from .trunk import BAND_PX

CORRECTION_PX = REACH_PX + baseline.INVERSE_PX + 2
"""Reach of the correction beyond a position: interpolation, inverse of the average, coefficients of an average."""


@dataclass(frozen=True)
class Latent:
    """One encoded window.

    Attributes
    ----------
    prepared, scale_m, rest_m, slope_deg, valid
        ``(H, W)``: heights of the weight-less surface, the local unit of the network's answer, what the surface leaves
        of the known heights, slope of the coarse heights, where they are known, and where known or filled.
    cell_width_m, cell_height_m
        Size of the coarse cells on the ground, per row.
    codes
        ``(1, channels, H - 2 margin, W - 2 margin)`` codes of the inner cells.
    margin_px
        Cells of the window before the first code.
    expansions
        The last one by the sizes that the network was told, for windows that are asked again and again.

    """

    prepared: torch.Tensor
    scale_m: torch.Tensor
    rest_m: torch.Tensor
    slope_deg: torch.Tensor
    valid: torch.Tensor
    placed: torch.Tensor
    cell_width_m: Floats
    cell_height_m: Floats
    codes: torch.Tensor
    margin_px: int
    point_sampled: bool
    honour: bool
    expansions: dict[tuple[float, float], Expansion] = field(default_factory=dict)

    def inner(self, values: torch.Tensor) -> torch.Tensor:
        """The part of ``(H, W)`` that has codes."""
        return values[self.margin_px : -self.margin_px, self.margin_px : -self.margin_px]


@dataclass(frozen=True)
class Expansion:
    """The surface for one size of fine cells, on the cells that have codes.

    Attributes
    ----------
    prepared
        ``(H', W')`` float64, what is interpolated.
    series
        ``(H' * order, W' * order)``, coefficients of the cosines in steps, see :func:`.rendering.series`.

    """

    prepared: torch.Tensor
    series: torch.Tensor

    def at(self, rows: AxisTaps, cols: AxisTaps) -> Floats:
        """Sum of both parts by the taps of the two axes, ``(rows, cols)``."""
        base = rendering.of_heights(self.prepared, rows[0], cols[0])
        heights: Floats = rendering.lattice(base, rendering.of_series(self.series, rows[1], cols[1])).numpy()
        return heights


AxisTaps = tuple[Taps, LappedTaps]


class FieldSurface(OneByOne):
    """The field on the registered weight-less surface; heights are float64, codes bf16 or fp32, coefficients fp32."""

    honours_input = True
    bytes_per_fine = 18.0

    def __init__(self, card: Card, compute: Compute) -> None:
        network = weights.fitted(lambda: Field(FieldSettings(**card.network)), card, compute)
        settings = network.settings
        self.card, self.compute = card, compute
        self._calibration = calibration.read(card)
        self.tells_error = self._calibration is not None
        self.halo_px = normaliser.EXTEND_PX + normaliser.RADIUS_PX + settings.trunk_radius_px + CORRECTION_PX
        self.bytes_per_coarse = 1.6 * settings.channels * compute.torch_dtype.itemsize + 400.0
        self._network = network

    @torch.inference_mode()
    def encode(self, known: CoarseHeights) -> Latent:
        """Normalise and encode; codes exist where the whole receptive field lies inside the window."""
        valid = torch.from_numpy(np.ascontiguousarray(known.valid))
        placed = torch.from_numpy(np.ascontiguousarray(known.placed))
        heights = normaliser.extend(torch.from_numpy(np.ascontiguousarray(known.heights)), placed)
        width_m, height_m = (torch.from_numpy(size)[None] for size in (known.cell_width_m, known.cell_height_m))
        point = torch.tensor([known.point_sampled])
        normal = normaliser.normalise(heights[None], valid[None], (width_m, height_m), point)
        trunk = self._network.settings.trunk_radius_px
        trim = self.halo_px - trunk - CORRECTION_PX
        features = normal.features[:, :, trim:-trim, trim:-trim].to(self.compute.device, self.compute.torch_dtype)
        prepared = baseline.prepare(heights, known.point_sampled)
        rest = torch.zeros_like(heights) if known.point_sampled else heights - baseline.average(prepared)
        return Latent(
            prepared=prepared,
            scale_m=normal.scale_m[0],
            rest_m=torch.where(placed, rest, 0.0),
            slope_deg=slope_deg(heights, width_m[0], height_m[0]),
            valid=valid,
            placed=placed,
            cell_width_m=known.cell_width_m,
            cell_height_m=known.cell_height_m,
            codes=self._network.trunk.window(features.contiguous(memory_format=torch.channels_last)),
            margin_px=trim + trunk,
            point_sampled=known.point_sampled,
            honour=known.honour,
        )

    @torch.inference_mode()
    def decode(self, latent: Latent, queries: Queries) -> Floats:
        """The weight-less surface, corrected where the input is honoured, plus the field."""
        inside, order = _inside(queries, latent.margin_px), self._network.settings.order
        rows, cols = lattice_taps(inside, order, latent.point_sampled)
        base_rows = baseline.taps(inside.rows, inside.row_size, latent.point_sampled)
        base_cols = baseline.taps(inside.cols, inside.col_size, latent.point_sampled)
        return self._expansion(latent, queries).at((base_rows, rows), (base_cols, cols))

    @torch.inference_mode()
    def averages(self, latent: Latent, at: Points) -> Floats:
        """The same surface over fine cells anywhere, or at their centres."""
        if latent.point_sampled:
            return self.relief(latent, at, 0).heights
        inside, surface = _inside(at, latent.margin_px), self._kept(latent, at)
        rows, cols, sizes = inside.rows, inside.cols, (at.row_size, at.col_size)
        base = averaging.cubic_means(surface.prepared.numpy(), rows, cols, sizes)
        waves = averaging.series_means(surface.series.numpy(), self._network.settings.order, rows, cols, sizes)
        heights: Floats = base + waves * rendering.SERIES_STEP
        return heights

    @torch.inference_mode()
    def relief(self, latent: Latent, where: Where, degree: int) -> Relief:
        """The surface and its exact derivatives at points; sizes say which fine cells it is made for."""
        inside = _inside(where, latent.margin_px)
        surface = self._kept(latent, where)
        if isinstance(inside, Points):
            layers = self._at_points(surface, inside, degree)
        else:
            layers = self._on_lattice(surface, inside, degree)
        return relief_of(layers, where.rows, latent.cell_width_m, latent.cell_height_m)

    def _on_lattice(self, surface: Expansion, inside: Queries, degree: int) -> Floats:
        """Derivatives per cell, ``(layers, rows, cols)``."""
        order, degrees = self._network.settings.order, range(degree + 1)
        rows, cols = ([_axis(at, order, d) for d in degrees] for at in (inside.rows, inside.cols))
        wanted = DERIVATIVES[: LAYERS[degree]]
        return np.stack([surface.at(rows[down], cols[across]) for down, across in wanted])

    def _at_points(self, surface: Expansion, inside: Points, degree: int) -> Floats:
        """Derivatives per cell, ``(layers, N)``."""
        base = cubic_at(surface.prepared.numpy(), inside.rows, inside.cols, degree)
        order = self._network.settings.order
        waves = series_at(surface.series.numpy(), order, inside.rows, inside.cols, degree)
        layers: Floats = base + waves * rendering.SERIES_STEP
        return layers

    @torch.inference_mode()
    def error90(self, latent: Latent, where: Where) -> Floats:
        """Half width in metres of the band that holds the true height nine times in ten, at the positions."""
        factors = self.calibrated()
        expected, slope_deg, filled = (torch.from_numpy(values) for values in self.estimate(latent, where))
        scale = 1 / np.sqrt(where.row_size * where.col_size)
        return expected.mul_(factors.multiplier(slope_deg, float(scale), filled > 0.5)).numpy()

    def calibrated(self) -> calibration.Calibration:
        """The factors of the card; refuses a card without them."""
        if self._calibration is None:
            raise TerrainError(
                f"The card of model {self.card.name} has no calibration of its error; run it without UNCERTAINTY."
            )
        return self._calibration

    @torch.inference_mode()
    def estimate(self, latent: Latent, where: Where) -> tuple[Floats, Floats, Floats]:
        """The network's own estimate before calibration, and what calibration goes by, each at the positions.

        Expected error in metres, slope of the coarse heights in degrees, and 1 where the position lies in a void.
        """
        inside = _inside(where, latent.margin_px)
        spread = self._series(self._network.spread, latent.codes, self._sizes(where))
        smooth = [latent.inner(values) for values in (latent.scale_m, latent.slope_deg)]
        order = self._network.settings.spread_order
        if isinstance(inside, Points):
            waves = series_at(spread.numpy(), order, inside.rows, inside.cols, 0)[0] * rendering.SERIES_STEP
            scale_m, slope_deg = (bspline_at(values.numpy(), inside.rows, inside.cols) for values in smooth)
            return np.exp(waves) * scale_m, slope_deg, _in_voids(latent, where)
        expected = rendering.lattice(rendering.of_series(spread, *lattice_taps(inside, order, True))).exp_()
        taps = point_taps(inside.rows, "bspline"), point_taps(inside.cols, "bspline")
        scale, slope = (rendering.lattice(rendering.of_heights(values, *taps)) for values in smooth)
        return expected.mul_(scale).numpy(), slope.numpy(), _in_voids(latent, where)

    def _sizes(self, where: Where) -> torch.Tensor:
        return torch.tensor([sizes_told(where)], device=self.compute.device)

    @staticmethod
    def _series(
        head: Head, codes: torch.Tensor, sizes: torch.Tensor, scale: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What a head makes of the codes, times the scale where there is one, see :func:`.rendering.series`."""
        height, width = codes.shape[2:]
        scale = torch.ones(height, width) if scale is None else scale
        values = rendering.empty_series(head.last.out_channels, height, width)
        order, band_px = values.shape[0] // height, BAND_PX if codes.device.type == "cpu" else height
        for top in range(0, height, band_px):
            stop = min(top + band_px, height)
            coefficients = head(codes[:, :, top:stop], sizes)[0]
            rendering.fill_series(values[top * order : stop * order], coefficients, scale[top:stop])
        return values

    def _kept(self, latent: Latent, where: Where) -> Expansion:
        """The expansion that was made last, if it is for these sizes, else a new one."""
        sizes = sizes_told(where)
        surface = latent.expansions.get(sizes)
        if surface is None:
            surface = self._expansion(latent, where)
            latent.expansions.clear()
            latent.expansions[sizes] = surface
        return surface

    def _expansion(self, latent: Latent, where: Where) -> Expansion:
        series = self._series(self._network.height, latent.codes, self._sizes(where), latent.inner(latent.scale_m))
        prepared = latent.inner(latent.prepared)
        return Expansion(prepared + self._correction(latent, series) if latent.honour else prepared, series)

    def _correction(self, latent: Latent, series: torch.Tensor) -> torch.Tensor:
        """Change of the prepared heights, ``(H', W')``; of no use in the outermost :data:`CORRECTION_PX` cells.

        Filled voids keep the averages of their filling too, which in wide ones is nearer the truth than the network.
        """
        width, order = 0.0 if latent.point_sampled else 1.0, self._network.settings.order
        rows, cols = (lapped_taps(np.arange(1.0, n - 1) + 0.5, width, order) for n in latent.codes.shape[2:])
        found = rendering.lattice(rendering.of_series(series, rows, cols))
        found = F.pad(found, (REACH_PX, REACH_PX, REACH_PX, REACH_PX))
        return correction(latent.inner(latent.rest_m), found, latent.inner(latent.placed), latent.point_sampled)


def _axis(positions: Floats, order: int, degree: int) -> AxisTaps:
    """Taps of the surface at points, or of a derivative."""
    return derivative_taps(positions, degree), lapped_derivative_taps(positions, order, degree)


def _in_voids(latent: Latent, where: Where) -> Floats:
    """1 where the position lies in a cell that is not known, else 0."""
    rows, cols = (np.floor(positions).astype(np.int64) for positions in (where.rows, where.cols))
    unknown = ~latent.valid.numpy()
    return (unknown[rows, cols] if isinstance(where, Points) else unknown[np.ix_(rows, cols)]).astype(np.float64)


def _inside(where: W, margin_px: int) -> W:
    """Positions counted from the first cell that has coefficients."""
    return replace(where, rows=where.rows - margin_px, cols=where.cols - margin_px)


def slope_deg(heights: torch.Tensor, width_m: torch.Tensor, height_m: torch.Tensor) -> torch.Tensor:
    """Slope of the coarse heights ``(..., H, W)`` in degrees, by central differences; cell sizes are ``(..., H)``."""
    down, across = torch.gradient(heights, dim=(-2, -1))
    return torch.hypot(down / height_m[..., :, None], across / width_m[..., :, None]).atan().rad2deg()
