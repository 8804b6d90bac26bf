"""What a surface is at positions: heights, slopes and bends. Positions lie on a lattice or anywhere. Imports numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .kernels import Floats, Queries
from .scattered import DERIVATIVES, LAYERS


@dataclass(frozen=True)
class Points:
    """Scattered positions in coarse cells, each ``(N,)``; cell ``i`` of the map that is queried covers ``[i, i + 1]``.

    Sizes say which fine cells the surface is made for, in coarse cells: some families show finer forms for finer cells.
    """

    rows: Floats
    cols: Floats
    row_size: float
    col_size: float


Where = Queries | Points
"""Positions: results have the shape ``(rows, cols)`` on a lattice, ``(N,)`` at points."""

W = TypeVar("W", bound=Where)

WIDEST_PX = 0.5
"""Widest fine cells, in coarse cells, that networks were trained for: told of wider ones they err by up to a third more
than without a network."""

INSTEAD_PX = 0.25
"""What networks are told where cells are wider. The RMSE of the field over such cells is then the least: 0.78 of the
baseline's at x1.2 and 0.88 at x1.5. Told 1/8 or 0.4 it is about the same, told 1/2 it is 0.89 and 0.95."""


@dataclass(frozen=True)
class Relief:
    """A surface and its derivatives at positions.

    Attributes
    ----------
    heights
        Metres.
    east, north
        Rise per metre; None where not asked for, like all that follow.
    east_east, east_north, north_north
        Second derivatives, per metre. They leave out that cells of a geographic grid narrow towards the poles.

    """

    heights: Floats
    east: Floats | None = None
    north: Floats | None = None
    east_east: Floats | None = None
    east_north: Floats | None = None
    north_north: Floats | None = None

    @classmethod
    def of(cls, layers: Sequence[Floats] | Floats) -> Relief:
        """One, three or six layers in the order of :data:`.scattered.DERIVATIVES`, already per metre."""
        return cls(**dict(zip((field.name for field in fields(cls)), layers, strict=False)))

    def shaped(self, shape: tuple[int, ...]) -> Relief:
        """The same in another shape."""
        return self._each(lambda layer: layer.reshape(shape))

    def where(self, known: NDArray[np.bool_]) -> Relief:
        """The same with NaN where nothing is known."""
        return self._each(lambda layer: np.where(known, layer, np.nan))

    def _each(self, change: Callable[[Floats], Floats]) -> Relief:
        layers = [getattr(self, field.name) for field in fields(self)]
        return Relief.of([change(layer) for layer in layers if layer is not None])


def relief_of(layers: Floats, rows: Floats, cell_width_m: Floats, cell_height_m: Floats) -> Relief:
    """Derivatives per cell, in the order of :data:`.scattered.DERIVATIVES`, as derivatives per metre.

    Parameters
    ----------
    layers
        One, three or six layers, ``(layers, rows, cols)`` or ``(layers, N)``.
    rows
        Positions down the rows, ``(rows,)`` or ``(N,)``; they run south.
    cell_width_m, cell_height_m
        Size of the coarse cells on the ground, ``(H,)``, linear between the centres of the rows.

    """
    centres = np.arange(cell_width_m.size) + 0.5
    per_col, per_row = (1 / np.interp(rows, centres, size) for size in (cell_width_m, cell_height_m))
    if layers.ndim == 3:
        per_col, per_row = per_col[:, None], per_row[:, None]
    return Relief.of(np.stack([
        layer * (-per_row) ** down * per_col**across
        for layer, (down, across) in zip(layers, DERIVATIVES, strict=False)
    ]))  # fmt: skip


def differences(height: Callable[[Floats, Floats], Floats], points: Points, degree: int, step: float) -> Floats:
    """Heights and central differences per cell, ``(layers, N)``: for surfaces without derivatives of their own.

    ``height`` gives heights at rows and columns; ``step`` is half the base of a difference, in cells.
    """

    def at(down: int, across: int) -> Floats:
        return height(points.rows + down * step, points.cols + across * step)

    layers = np.empty((LAYERS[degree], points.rows.size))
    layers[0] = middle = at(0, 0)
    if degree > 0:
        west, east, north, south = at(0, -1), at(0, 1), at(-1, 0), at(1, 0)
        layers[1], layers[2] = (east - west) / (2 * step), (south - north) / (2 * step)
    if degree > 1:
        layers[3], layers[5] = (east - 2 * middle + west) / step**2, (south - 2 * middle + north) / step**2
        layers[4] = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * step**2)
    return layers


def sizes_told(where: Where) -> tuple[float, float]:
    """Height and width of the fine cells as networks are told of them."""
    rows, cols = (size if size <= WIDEST_PX * (1 + 1e-9) else INSTEAD_PX for size in (where.row_size, where.col_size))
    return rows, cols


def parts_of(where: W) -> list[W]:
    """The cells themselves, or where they are wider than networks know, their halves or quarters, all of one size."""
    parts = [where]
    if where.row_size > WIDEST_PX * (1 + 1e-9):
        size = where.row_size / 2
        parts = [replace(one, rows=one.rows + off, row_size=size) for one in parts for off in (-size / 2, size / 2)]
    if where.col_size > WIDEST_PX * (1 + 1e-9):
        size = where.col_size / 2
        parts = [replace(one, cols=one.cols + off, col_size=size) for one in parts for off in (-size / 2, size / 2)]
    return parts


def scattered(where: Where) -> Points:
    """Positions of a lattice one by one, row by row; points as they are."""
    if isinstance(where, Points):
        return where
    rows, cols = np.meshgrid(where.rows, where.cols, indexing="ij")
    return Points(rows.ravel(), cols.ravel(), where.row_size, where.col_size)


def shape_of(where: Where) -> tuple[int, ...]:
    """Shape of what is found at positions."""
    return where.rows.shape if isinstance(where, Points) else (where.rows.size, where.cols.size)
