"""Flat ground of a DEM, such as water, where the surface swings: samples there are as high as the cells.

A smooth surface swings beside each bend, by centimetres some cells into flat water. Where that water stands exactly at
a level, each swing would be a contour. All is decided by the cells around a sample, so tiles agree. Imports numpy and
scipy.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..raster import Bools, Floats
from .linking import Wholes

SWING = 1 / 20
"""In flat cells the surface swings at most by this share of the relief around; what is more is a slope."""

SWING_BESIDE = 1 / 50
"""The same in the outermost cells of flat ground, where contours along it lie: less than moves these visibly."""

BESIDE_PX = 2
"""How far from flat cells their height counts."""

REACH_PX = 4
"""Cells around whose relief makes the surface swing."""

HALO_PX = REACH_PX + 2
"""Cells around a window that have to be known."""


def calmed(layers: Floats, cells: Floats, valid: Bools, per_cell: int) -> Floats:
    """Layers as in :mod:`.patches` with flat ground flat; ``cells`` and ``valid`` reach :data:`HALO_PX` farther.

    A cell is flat that is exactly as high as all of its neighbours; those of the same height near to it belong to the
    same ground. Only ground counts that is as high as the highest or the lowest cell within :data:`REACH_PX`: a terrace
    is a slope. Beside such ground the surface is nowhere beyond it either.
    """
    low, high = _around(cells, valid, 1)
    flat: Bools = valid & (low == high)
    if not flat.any():
        return layers
    grounds = _around(cells, flat, BESIDE_PX)
    beside = valid & ~flat
    level, top, bottom = (beside & ((at == grounds[0]) | (at == grounds[1])) for at in (cells, high, low))
    lowest, highest = _around(cells, valid, REACH_PX)
    swing = np.where(flat, SWING, np.where(level, SWING_BESIDE, -1.0)) * np.where(valid, highest - lowest, 0.0)
    swing[flat & (lowest == highest)] = np.inf
    swing[(lowest < cells) & (cells < highest)] = -1.0
    most, least = np.where(top & (high == highest), high, np.inf), np.where(bottom & (low == lowest), low, -np.inf)
    found = layers.copy()
    for here in _touching(layers.shape[1:], per_cell):
        calm = np.where(np.abs(layers[0] - cells[here]) <= swing[here], cells[here], layers[0])
        calm = calm.clip(least[here], most[here])
        changed = calm != layers[0]
        found[0, changed], found[1:, changed] = calm[changed], 0.0
    return found


def _touching(shape: tuple[int, ...], per_cell: int) -> list[tuple[Wholes, ...]]:
    """Of each sample the cells that it lies in, or between: four times one of them."""
    sides = [[_cell_of(size, after, per_cell) for after in (0, 1)] for size in shape]
    return [np.ix_(rows, cols) for rows in sides[0] for cols in sides[1]]


def _cell_of(samples: int, after: int, per_cell: int) -> Wholes:
    """Number of the cell of each sample; between two the one before it, or the one ``after`` it."""
    at = np.arange(samples) + HALO_PX * per_cell
    return np.where(at % per_cell == 0, at // per_cell - 1 + after, at // per_cell)


def _around(cells: Floats, valid: Bools, reach: int) -> tuple[Floats, Floats]:
    """Lowest and highest known cell within a reach."""
    side = 2 * reach + 1
    low: Floats = ndimage.minimum_filter(np.where(valid, cells, np.inf), side)
    high: Floats = ndimage.maximum_filter(np.where(valid, cells, -np.inf), side)
    return low, high
