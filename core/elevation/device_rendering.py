"""The sums of :mod:`.rendering` in the form that suits a GPU: few large products instead of many small ones.

The blocks of an axis lie at one distance from each other, so the values under them are one overlapping view, and all
blocks are one batched product; short blocks are filled up with rows of zeros. Sums are exact, see :mod:`.rendering`,
hence equal to the bit to those of the loop on a processor. They stay in float64 on every GPU: at about 400 operations
per fine cell even a board with a 64th of its float32 speed (1.3 TFLOP/s on an RTX 4090) is bound elsewhere.

Nothing here looks at a number on the device, so nothing waits for it. Imports torch and numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from . import rendering
from .kernels import Floats, LappedTaps, Taps


@dataclass(frozen=True)
class Axis:
    """Taps of one axis as blocks of one shape.

    Attributes
    ----------
    matrices
        Float64 ``(blocks, positions of a block, values under it)``.
    start, stride
        First value under the first block, and values from one block to the next.
    places
        Where the positions stand among those of all blocks: a slice, or their numbers on the device.

    """

    matrices: torch.Tensor
    start: int
    stride: int
    places: slice | torch.Tensor

    @property
    def stop(self) -> int:
        """The value after the last under a block."""
        blocks, _, values = self.matrices.shape
        return self.start + (blocks - 1) * self.stride + values


@dataclass(frozen=True)
class Layer:
    """Values ``(H, W)`` in whole steps, float64, and the axes that render them."""

    values: torch.Tensor
    rows: Axis
    cols: Axis
    step: float


def axis_of_heights(taps: Taps, device: str) -> Axis:
    """An axis of interpolated heights."""
    return _axis(taps.index[:, 0], rendering.whole_taps(taps.weight)[:, :, None], device)


def axis_of_series(taps: LappedTaps, device: str) -> Axis:
    """An axis of a lapped cosine series."""
    step = rendering.SERIES_TAP_STEP
    return _axis(taps.first, np.rint(taps.weight / step) * step, device)


def of_heights(values: torch.Tensor, axes: tuple[Axis, Axis]) -> Layer:
    """Interpolated ``(H, W)`` float64 heights, see :func:`.rendering.of_heights`."""
    return Layer(_rounded(values.clone(), rendering.HEIGHT_STEP), *axes, rendering.HEIGHT_STEP)


def of_series(values: torch.Tensor, axes: tuple[Axis, Axis]) -> Layer:
    """A lapped cosine series as of :func:`series`."""
    return Layer(values, *axes, rendering.SERIES_STEP)


def series(coefficients: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    """``(B, order * order, H, W)`` times ``(B, H, W)`` in whole steps: float64 ``(B, H * order, W * order)``."""
    batch, terms, height, width = coefficients.shape
    order, step = math.isqrt(terms), rendering.SERIES_STEP
    steps = coefficients.float()
    steps = steps * ((1 / step) if scale is None else (scale.float() / step)[:, None])
    values = torch.empty(batch, height, order, width, order, dtype=torch.float64, device=coefficients.device)
    values.copy_(steps.round_().mul_(step).view(batch, order, order, height, width).permute(0, 3, 1, 4, 2))
    return values.view(batch, height * order, width * order)


def lattice(layers: Sequence[Layer]) -> torch.Tensor:
    """Sum of the layers at every row with every column, float64 ``(rows, cols)``."""
    total = None
    for layer in layers:
        down = _rounded(_down(layer.values, layer.rows), layer.step)
        found = _across(down, layer.cols)
        total = found if total is None else total + found
    if total is None:
        raise ValueError("A lattice needs at least one layer.")
    return total


def _down(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """``(H, W)`` to ``(positions, W)``."""
    values = _reaching(values, axis, 0)[axis.start : axis.stop]
    under = values.unfold(0, axis.matrices.shape[2], axis.stride).transpose(1, 2)  # (blocks, values, W)
    return _picked(torch.bmm(axis.matrices, under).flatten(0, 1), axis, 0)


def _across(values: torch.Tensor, axis: Axis) -> torch.Tensor:
    """``(R, W)`` to ``(R, positions)``."""
    values = _reaching(values, axis, 1)[:, axis.start : axis.stop]
    under = values.unfold(1, axis.matrices.shape[2], axis.stride).transpose(0, 1)  # (blocks, R, values)
    found = torch.bmm(under, axis.matrices.transpose(1, 2))  # (blocks, R, positions)
    return _picked(found.transpose(0, 1).flatten(1), axis, 1)


def _reaching(values: torch.Tensor, axis: Axis, dim: int) -> torch.Tensor:
    """The values, with zeros behind them where the last block looks beyond: its taps are zero there."""
    missing = axis.stop - values.shape[dim]
    if missing <= 0:
        return values
    return F.pad(values, (0, 0, 0, missing) if dim == 0 else (0, missing))


def _picked(found: torch.Tensor, axis: Axis, dim: int) -> torch.Tensor:
    if isinstance(axis.places, torch.Tensor):
        return found.index_select(dim, axis.places)
    return found[axis.places] if dim == 0 else found[:, axis.places]


def _axis(first: NDArray[np.int64], weight: Floats, device: str) -> Axis:
    """Blocks of the positions whose taps begin within :data:`.rendering.BLOCK_PX` cells of each other."""
    count, width, terms = weight.shape
    block_px = rendering.BLOCK_PX
    block, inside = np.divmod(first - first[0], block_px)
    place = np.arange(count) - np.searchsorted(block, block)  # number of the position within its block
    most = int(place.max()) + 1
    lead = most - np.count_nonzero(block == 0)  # the first block ends with its last position, so that places run on
    place[block == 0] += lead
    matrices = np.zeros((int(block[-1]) + 1, most, block_px + width - 1, terms))
    for k in range(width):
        matrices[block, place, inside + k] = weight[:, k]
    flat = matrices.reshape(*matrices.shape[:2], -1)
    return Axis(_on(flat, device), int(first[0]) * terms, block_px * terms, _places(block * most + place, device))


def _places(numbers: NDArray[np.int64], device: str) -> slice | torch.Tensor:
    start, stop = int(numbers[0]), int(numbers[-1]) + 1
    return slice(start, stop) if stop - start == numbers.size else _on(numbers, device)


def _on(values: NDArray[np.float64] | NDArray[np.int64], device: str) -> torch.Tensor:
    return torch.from_numpy(values).to(device)


def _rounded(values: torch.Tensor, step: float) -> torch.Tensor:
    """To whole steps, in place, see :mod:`.rendering`."""
    large = 1.5 * 2.0**52 * step
    return values.add_(large).sub_(large)
