"""Sums of separable taps on a lattice as products of small matrices: how a surface is asked at millions of positions.

Positions are taken in blocks of :data:`BLOCK_PX` coarse cells, and the taps of a block are one small dense matrix.

How a library adds up a product depends on its shape and on the processor, so a height could change its last bits where
a tile begins elsewhere. Hence values and taps are rounded to whole steps: all sums up to 16 km are then exact in
float64, and no order of adding can change them. Imports torch and numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .kernels import Floats, LappedTaps, Taps, room

BLOCK_PX = 6
"""Coarse cells whose positions share a matrix (measured: 4 and 8 are slower)."""

STRIP_PX = 128
"""About how many rows of fine cells wait between the two products, in the processor's cache."""

HEIGHT_STEP, TAP_STEP = 2.0**-18, 2.0**-20
"""Whole steps of heights (4 micrometres) and of their taps."""

SERIES_STEP, SERIES_TAP_STEP = 2.0**-16, 2.0**-22
"""The same for coefficients of cosines, which are smaller numbers. Products of both kinds are whole multiples of
2**-38, and float64 holds 53 bits."""


@dataclass(frozen=True)
class Band:
    """Taps of one axis in blocks.

    Attributes
    ----------
    matrices
        Float64 ``(positions of the block, values under it)`` of every block.
    starts, places
        First value under each block; first position of each block, and the number of all positions.

    """

    matrices: list[torch.Tensor]
    starts: list[int]
    places: list[int]


@dataclass(frozen=True)
class Part:
    """Values under the bands of the rows and the columns, all in whole steps.

    ``step`` is that of the values once the bands of the rows have been applied.
    """

    values: torch.Tensor
    rows: Band
    cols: Band
    step: float


def of_heights(values: torch.Tensor, rows: Taps, cols: Taps) -> Part:
    """Interpolated ``(H, W)`` float64: taps of ascending rows and columns, all inside the array."""
    down, across = (
        _band(taps.index[:, 0], whole_taps(taps.weight)[:, :, None], count)
        for taps, count in zip((rows, cols), values.shape, strict=True)
    )
    return Part(_round(values.clone(), HEIGHT_STEP), down, across, HEIGHT_STEP)


def of_series(values: torch.Tensor, rows: LappedTaps, cols: LappedTaps) -> Part:
    """A lapped cosine series, see :func:`series`, like :func:`of_heights`."""
    down, across = (
        _band(taps.first, np.rint(taps.weight / SERIES_TAP_STEP) * step, count // taps.weight.shape[2])
        for taps, count, step in zip(
            (rows, cols), values.shape, (SERIES_TAP_STEP * SERIES_STEP, SERIES_TAP_STEP), strict=True
        )
    )
    return Part(values, down, across, SERIES_STEP)


def series(coefficients: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    """``(order * order, H, W)`` times ``(H, W)``, as numbers of whole steps: float32 ``(H * order, W * order)``."""
    terms, height, width = coefficients.shape
    values = empty_series(terms, height, width)
    fill_series(values, coefficients, torch.ones(height, width) if scale is None else scale)
    return values


def empty_series(terms: int, height: int, width: int) -> torch.Tensor:
    """Room for what :func:`series` gives, on the CPU."""
    order = math.isqrt(terms)
    return room((height * order, width * order), torch.float32)


def fill_series(values: torch.Tensor, coefficients: torch.Tensor, scale: torch.Tensor) -> None:
    """A few rows of :func:`series` into their rows of ``values``."""
    terms, height, width = coefficients.shape
    order = math.isqrt(terms)
    places = values.view(height, order, width * order)
    cells = coefficients.cpu().permute(1, 2, 0).contiguous().view(height, width, order, order)
    factor = (scale.float() / SERIES_STEP).repeat_interleave(order, dim=1)[:, None]
    for top in range(0, height, BLOCK_PX):
        here = np.s_[top : top + BLOCK_PX]
        torch.mul(_turned(cells[here]), factor[here], out=places[here]).round_()


def _turned(cells: torch.Tensor) -> torch.Tensor:
    """``(H, W, a, b)`` to ``(H, a, W * b)``, in lumps of 16 bytes where the innermost axis consists of them."""
    height, width, order, _ = cells.shape
    lumps = cells.view(torch.complex128) if order * cells.element_size() % 16 == 0 else cells
    return lumps.transpose(1, 2).contiguous().view(cells.dtype).view(height, order, width * order)


def lattice(*parts: Part) -> torch.Tensor:
    """Sum of the parts at every row with every column, float64 ``(rows, cols)``."""
    total = room((parts[0].rows.places[-1], parts[0].cols.places[-1]), torch.float64)
    for number, part in enumerate(parts):
        for top, strip in _strips(part):
            _add_across(total[top : top + len(strip)], strip, part.cols, again=number > 0)
    return total


def _strips(part: Part) -> Iterator[tuple[int, torch.Tensor]]:
    """First row and values ``(rows, W)`` of a few blocks of rows at a time; each overwrites the one before."""
    band, blocks = part.rows, len(part.rows.matrices)
    at_once = max(1, STRIP_PX // max(len(m) for m in band.matrices))
    rows = max(band.places[min(i + at_once, blocks)] - band.places[i] for i in range(0, blocks, at_once))
    buffer = torch.empty(rows, part.values.shape[1], dtype=torch.float64)
    for first in range(0, blocks, at_once):
        last = min(first + at_once, blocks)
        top = band.places[first]
        for i in range(first, last):
            matrix, place = band.matrices[i], buffer[band.places[i] - top : band.places[i + 1] - top]
            values = part.values[band.starts[i] : band.starts[i] + matrix.shape[1]].double()
            _round(torch.mm(matrix, values, out=place), part.step)
        yield top, buffer[: band.places[last] - top]


def _add_across(total: torch.Tensor, values: torch.Tensor, band: Band, *, again: bool) -> None:
    """Taps along the second axis into ``(rows, positions)``, or ``again`` on top of what is there."""
    for i, matrix in enumerate(band.matrices):
        under = values[:, band.starts[i] : band.starts[i] + matrix.shape[1]]
        total[:, band.places[i] : band.places[i + 1]].addmm_(under, matrix.T, beta=int(again))


def _band(first: NDArray[np.int64], weight: Floats, cells: int) -> Band:
    count, width, terms = weight.shape
    block_px = min(BLOCK_PX, cells - width + 1)
    _, places = np.unique((first - first[0]) // block_px, return_index=True)
    matrices, starts = [], []
    ends = [*places[1:].tolist(), count]
    for place, end in zip(places.tolist(), ends, strict=True):
        start = int(min(first[place], cells - (block_px + width - 1)))
        matrix = np.zeros((end - place, block_px + width - 1, terms))
        for k in range(width):
            matrix[np.arange(end - place), first[place:end] - start + k] = weight[place:end, k]
        matrices.append(torch.from_numpy(matrix.reshape(end - place, -1)))
        starts.append(start * terms)
    return Band(matrices, starts, [0, *ends])


def whole_taps(weight: Floats) -> Floats:
    """Weights ``(positions, taps)`` in whole steps; the largest makes up the sum, so that constants stay."""
    steps = np.rint(weight / TAP_STEP)
    largest = np.arange(len(steps)), np.abs(steps).argmax(axis=1)
    steps[largest] += np.rint(weight.sum(axis=1) / TAP_STEP) - steps.sum(axis=1)
    whole: Floats = steps * TAP_STEP
    return whole


def _round(values: torch.Tensor, step: float) -> torch.Tensor:
    """To whole steps, in place: the sum with a number this large has no finer bits."""
    large = 1.5 * 2.0**52 * step
    return values.add_(large).sub_(large)
