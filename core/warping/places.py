"""Where positions of a target grid lie in the DEM: exactly, and on whole lattices by checked polynomials.

A change of CRS costs about a microsecond per position, as much as asking the surface there. It is smooth, though: over
a patch of a target it is taken at a few positions only, a product of Chebyshev polynomials goes through them, and
further exact positions say whether that keeps the bound. Where it does not, as at the antimeridian or at the border of
a projection, the patch is divided, and at last every position is changed exactly.

Positions are in cells from the upper left corner, of the target going in, of the DEM coming out; NaN where there is no
such place. Imports numpy and the ground of core only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from .. import grid as grids
from ..grid import Change, Grid
from ..raster import Floats

BOUND_PX = 1e-3
"""Most that an interpolated position may be off, in cells of the DEM, where it is checked."""

NODES = 9
"""Positions per axis of a patch that polynomials go through."""

CHECKS = 12
"""Positions per axis of a patch where they are checked, its ends among them."""

FINEST_PX = 16
"""Patches of fewer target cells per side are changed position by position."""

PARTS = 2.0**20
"""Positions are whole multiples of this part of a cell: those on a border of cells lie on it in every patch."""


@dataclass(frozen=True)
class Places:
    """The way from the cells of a target to those of a DEM; safe to use from several threads."""

    source: Grid
    target: Grid
    change: Change | None

    @classmethod
    def of(cls, source: Grid, target: Grid) -> Places:
        """The way that follows from the two CRSs."""
        return cls(source, target, grids.change_of_crs(target.crs, source.crs))

    def exact(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Positions one by one, arrays of one shape."""
        target = self.target
        x, y = target.x0 + cols * target.dx, target.y0 - rows * target.dy
        if self.change is not None:
            x, y = self.change(x, y)
        return grids.places_on(self.source, x, y)

    def lattice(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Positions of every row with every column, ``(rows, cols)``; both ascend."""
        found = np.empty((2, rows.size, cols.size))
        self._fill(rows, cols, found)
        np.rint(found * PARTS, out=found)
        found /= PARTS
        return found[0], found[1]

    def _fill(self, rows: Floats, cols: Floats, found: Floats) -> None:
        """Positions into ``(2, rows, cols)``."""
        if not rows.size or not cols.size:
            return
        if min(rows.size, cols.size) > CHECKS and self._fitted(rows, cols, found):
            return
        if max(_length(rows), _length(cols)) <= FINEST_PX:
            found[...] = self._all(rows, cols)
            return
        down, across = rows.size // 2 if _length(rows) > FINEST_PX else rows.size, cols.size // 2
        across = across if _length(cols) > FINEST_PX else cols.size
        for r in (slice(None, down), slice(down, None)):
            for c in (slice(None, across), slice(across, None)):
                self._fill(rows[r], cols[c], found[:, r, c])

    def _fitted(self, rows: Floats, cols: Floats, found: Floats) -> bool:
        """Fill a patch with polynomials; False where they do not keep the bound."""
        (down_nodes, down), (across_nodes, across) = _basis(rows), _basis(cols)
        values = self._all(down_nodes, across_nodes)
        if not np.isfinite(values).all():
            return False
        picked = [np.linspace(0, at.size - 1, CHECKS).astype(int) for at in (rows, cols)]
        exact = self._all(rows[picked[0]], cols[picked[1]])
        off = np.abs(down[picked[0]] @ values @ across[picked[1]].T - exact)
        if not (off <= BOUND_PX).all():
            return False
        np.matmul(down @ values, across.T, out=found)
        return True

    def _all(self, rows: Floats, cols: Floats) -> Floats:
        """Every row with every column exactly, ``(2, rows, cols)``."""
        down, across = np.meshgrid(rows, cols, indexing="ij")
        return np.stack(self.exact(down, across))


def _length(at: Floats) -> float:
    return float(at[-1] - at[0])


def _basis(at: Floats) -> tuple[Floats, Floats]:
    """Nodes between the ends of ``at``, and the weights ``(at, nodes)`` of the polynomial through them."""
    middle, half = (at[0] + at[-1]) / 2, (at[-1] - at[0]) / 2
    nodes = chebyshev.chebpts1(NODES)
    through = np.linalg.inv(chebyshev.chebvander(nodes, NODES - 1))
    return middle + half * nodes, chebyshev.chebvander((at - middle) / half, NODES - 1) @ through
