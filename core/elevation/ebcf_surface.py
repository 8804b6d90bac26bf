"""EBCF-CDEM as a surface: tiles of any size through :mod:`.ebcf` in fixed tensor shapes. Imports torch and numpy.

The encoder runs valid convolutions on the halo-trimmed window; the decoder runs blocks of ``BLOCK_PX`` x ``BLOCK_PX``
queries, whose activations stay in the processor's cache. Both shapes are the same for every tile of a job.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import TerrainError
from . import averaging, baseline, normaliser, weights
from .card import Card
from .compute import Compute
from .ebcf import Ebcf, EbcfSettings
from .kernels import Floats, Queries, lattice, point_taps
from .relief import Points, Relief, W, Where, differences, parts_of, relief_of, scattered, shape_of, sizes_told
from .scattered import bspline_at, cubic_at
from .surface import CoarseHeights, NoError

BLOCK_PX = 64
"""Side of a block of queries; 4096 queries x 256 channels are 2 MB in bf16 (measured: 1024 and 16384 are slower)."""

GPU_BLOCK_PX = 512
"""Side of a block on a GPU, which needs many queries at a time: 400 MB of activations in bf16 (not measured)."""

TAPS_PX = 2
"""Reach of the interpolation of latent codes."""

POINTS = 4096
"""Scattered positions that are decoded together."""

STEP_PX = 1 / 16
"""Half the base of differences that stand for derivatives: the perceptron bends in sharp folds, which have none."""


@dataclass(frozen=True)
class Latent:
    """One encoded window.

    Attributes
    ----------
    prepared, scale_m
        Float64 ``(H, W)``: heights of the baseline surface, and the local unit of the predicted bias.
    codes
        ``(H - 2 margin, W - 2 margin, channels)`` latent codes of the inner cells.
    margin_px
        Cells of the window before the first code.

    """

    prepared: torch.Tensor
    scale_m: torch.Tensor
    codes: torch.Tensor
    margin_px: int
    point_sampled: bool
    cell_width_m: Floats
    cell_height_m: Floats


class EbcfSurface(NoError):
    """The published network on the registered baseline; heights are float64, the bias is predicted in bf16 or fp32."""

    honours_input = False
    by_differences = True
    bytes_per_fine = 90.0

    def __init__(self, card: Card, compute: Compute) -> None:
        network = weights.fitted(lambda: Ebcf(EbcfSettings(**card.network)), card, compute)
        settings = network.settings
        if settings.anchor != "cubic":
            raise TerrainError(
                f"Model {card.name} was trained with the {settings.anchor} anchor, which is for experiments only; "
                "train it with the anchor 'cubic'."
            )
        self.card, self.compute = card, compute
        self.halo_px = normaliser.EXTEND_PX + normaliser.RADIUS_PX + settings.trunk_radius_px + TAPS_PX
        self.bytes_per_coarse = 7.0 * settings.channels * compute.torch_dtype.itemsize + 200.0
        self._network = network
        self._block_px = BLOCK_PX if compute.device == "cpu" else GPU_BLOCK_PX

    @torch.inference_mode()
    def encode(self, known: CoarseHeights) -> Latent:
        """Normalise and encode; codes exist where the whole receptive field lies inside the window."""
        placed = torch.from_numpy(np.ascontiguousarray(known.placed))
        heights = normaliser.extend(torch.from_numpy(np.ascontiguousarray(known.heights)), placed)
        cell_m = tuple(torch.from_numpy(size)[None] for size in (known.cell_width_m, known.cell_height_m))
        point = torch.tensor([known.point_sampled])
        # Filled cells count as known: in training voids held averages of their rim, whose faults the network learned
        # to mend. Told that a plate is such a void, it errs by 1 to 12 % more in voids of 4 to 24 cells.
        normal = normaliser.normalise(heights[None], placed[None], (cell_m[0], cell_m[1]), point)
        trunk = self._network.settings.trunk_radius_px
        trim = self.halo_px - trunk - TAPS_PX
        features = normal.features[:, :, trim:-trim, trim:-trim].to(self.compute.device, self.compute.torch_dtype)
        codes = self._network.window(features.contiguous(memory_format=torch.channels_last))
        return Latent(
            prepared=baseline.prepare(heights, known.point_sampled),
            scale_m=normal.scale_m[0],
            codes=codes[0].permute(1, 2, 0).contiguous(),
            margin_px=trim + trunk,
            point_sampled=known.point_sampled,
            cell_width_m=known.cell_width_m,
            cell_height_m=known.cell_height_m,
        )

    @torch.inference_mode()
    def decode(self, latent: Latent, queries: Queries) -> Floats:
        """Baseline plus bias times local scale; cells that are too wide for the network are means of their parts."""
        if latent.point_sampled:
            return self._decoded(latent, _told(queries))
        return _mean(self._decoded(latent, part) for part in parts_of(queries))

    def _decoded(self, latent: Latent, queries: Queries) -> Floats:
        base = lattice(
            latent.prepared,
            baseline.taps(queries.rows, queries.row_size, latent.point_sampled),
            baseline.taps(queries.cols, queries.col_size, latent.point_sampled),
        )
        scale_m = lattice(latent.scale_m, point_taps(queries.rows, "bspline"), point_taps(queries.cols, "bspline"))
        return base.addcmul_(scale_m, self._bias(latent, queries).double()).numpy()

    def averages(self, latent: Latent, at: Points) -> Floats:
        """The same over fine cells anywhere, or at their centres."""
        if latent.point_sampled:
            return self._averages(latent, _told(at))
        return _mean(self._averages(latent, part) for part in parts_of(at))

    def _averages(self, latent: Latent, at: Points) -> Floats:
        prepared, sizes = latent.prepared.numpy(), (at.row_size, at.col_size)
        if latent.point_sampled:
            base = cubic_at(prepared, at.rows, at.cols, 0)[0]
        else:
            base = averaging.cubic_means(prepared, at.rows, at.cols, sizes)
        heights: Floats = base + bspline_at(latent.scale_m.numpy(), at.rows, at.cols) * self._bias_at(latent, at)
        return heights

    def relief(self, latent: Latent, where: Where, degree: int) -> Relief:
        """Heights at positions; derivatives are central differences over an eighth of a cell."""
        points = scattered(where)

        def height(rows: Floats, cols: Floats) -> Floats:
            base = cubic_at(latent.prepared.numpy(), rows, cols, 0)[0]
            scale_m = bspline_at(latent.scale_m.numpy(), rows, cols)
            return base + scale_m * self._bias_at(latent, Points(rows, cols, points.row_size, points.col_size))

        layers = differences(height, points, degree, STEP_PX)
        return relief_of(layers, points.rows, latent.cell_width_m, latent.cell_height_m).shaped(shape_of(where))

    @torch.inference_mode()
    def _bias_at(self, latent: Latent, points: Points) -> Floats:
        """Predicted bias ``(N,)`` at scattered positions, in blocks of one size."""
        bias = np.empty(points.rows.size)
        for start in range(0, points.rows.size, POINTS):
            rows, cols = points.rows[start : start + POINTS], points.cols[start : start + POINTS]
            whole = Queries(_padded(rows, POINTS), _padded(cols, POINTS), points.row_size, points.col_size)
            phase_rows, phase_cols = self._network.phase(whole)
            codes = _codes_at(latent.codes, whole.rows - latent.margin_px, whole.cols - latent.margin_px)
            here = phase_rows + phase_cols, torch.zeros_like(phase_cols[:, :1])
            block = self._network.decode_codes(codes.T[None, :, :, None], here)  # (1, POINTS, 1)
            bias[start : start + rows.size] = block[0, : rows.size, 0].double().cpu().numpy()
        return bias

    def _bias(self, latent: Latent, queries: Queries) -> torch.Tensor:
        """Predicted bias ``(R, C)`` float32 on the CPU, block by block."""
        block_px = self._block_px
        rows, cols = queries.rows.size, queries.cols.size
        at_rows, at_cols = (_padded(at, block_px) for at in (queries.rows, queries.cols))
        whole = Queries(at_rows, at_cols, queries.row_size, queries.col_size)
        phase_rows, phase_cols = self._network.phase(whole)
        row_taps = point_taps(whole.rows - latent.margin_px).clamped(latent.codes.shape[0])
        col_taps = point_taps(whole.cols - latent.margin_px).clamped(latent.codes.shape[1])
        bias = torch.empty(whole.rows.size, whole.cols.size, device=latent.codes.device)
        for top in range(0, whole.rows.size, block_px):
            strip = row_taps.part(top, top + block_px).apply(latent.codes, 0)
            for left in range(0, whole.cols.size, block_px):
                codes = col_taps.part(left, left + block_px).apply(strip, 1)  # (BLOCK, BLOCK, channels)
                here = phase_rows[:, top : top + block_px], phase_cols[:, left : left + block_px]
                block = self._network.decode_codes(codes.permute(2, 0, 1)[None], here)
                bias[top : top + block_px, left : left + block_px] = block[0]
        return bias[:rows, :cols].cpu()


def _told(where: W) -> W:
    """Positions with the sizes of which the network is told."""
    row_size, col_size = sizes_told(where)
    return replace(where, row_size=row_size, col_size=col_size)


def _mean(parts: Iterable[Floats]) -> Floats:
    """The mean, one part after the other."""
    total, count = np.zeros(()), 0
    for count, part in enumerate(parts, 1):
        total = total + part if count > 1 else part
    return total / count


def _padded(positions: Floats, block_px: int) -> Floats:
    """Positions repeated at the end up to a whole number of blocks."""
    return np.pad(positions, (0, -positions.size % block_px), mode="edge")


def _codes_at(codes: torch.Tensor, rows: Floats, cols: Floats) -> torch.Tensor:
    """Latent codes ``(H, W, channels)`` interpolated at scattered positions, ``(N, channels)`` (eq. 3.2)."""
    down, across = point_taps(rows).clamped(codes.shape[0]), point_taps(cols).clamped(codes.shape[1])
    total = torch.zeros(rows.size, codes.shape[2], device=codes.device)
    for i in range(down.index.shape[1]):
        for j in range(across.index.shape[1]):
            weight = torch.from_numpy(down.weight[:, i] * across.weight[:, j]).to(total)
            total += weight[:, None] * codes[down.index[:, i], across.index[:, j]]
    return total.to(codes.dtype)
