"""How a lattice is cut into tiles that share the cells on their edges. Imports numpy and :mod:`..tiling` only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import TerrainError
from ..tiling import Crew, Tile, Window

SIDE_PX = 512
"""Cells per side of a tile that are usual, with as many positions per cell as `SIDE_PX // times` leaves."""

MOST_PX = 4096
"""Lattice steps per side of a tile at most: a tile has room for a vertex at every lattice point."""

BYTES_PER_POSITION = 216
"""Room that a tile under work takes for each of its lattice points; what is not used of it needs no memory on most
systems."""


@dataclass(frozen=True)
class Tiles:
    """All tiles of a lattice, row by row, for :func:`..pipeline.run`.

    A tile ``writes`` the cells it meshes, including those on its edges, which its neighbours have too, and ``reads``
    one cell more on every side, which may lie beyond the raster.

    Attributes
    ----------
    shape
        Rows and columns of the lattice.
    side_px
        Most cells between the edges of a tile; tiles of one lattice are evenly large. None: what is usual.
    times
        Positions per cell and axis that the mesh is made for. Tiles have at most :data:`MOST_PX` of them along a side.
    crew
        How many tiles are worked on at the same time.

    """

    shape: tuple[int, int]
    side_px: int | None = None
    times: int = 1
    crew: Crew = field(default_factory=Crew)

    def __post_init__(self) -> None:
        if self.side_px is not None and self.side_px < 1:
            raise TerrainError(
                f"Tiles of {self.side_px} cells cannot be meshed; choose a tile size of at least 1 cell."
            )

    @property
    def side(self) -> int:
        """Most cells between the edges of a tile."""
        return min(self.side_px or SIDE_PX // self.times, MOST_PX // self.times)

    @property
    def layout(self) -> tuple[int, int]:
        """Number of tiles down and across."""
        return max(len(self.rows) - 1, 0), max(len(self.cols) - 1, 0)

    @property
    def rows(self) -> list[int]:
        """Rows on which tiles begin and end; none where there is no square of cells."""
        return self._cuts(self.shape[0])

    @property
    def cols(self) -> list[int]:
        """Columns on which tiles begin and end."""
        return self._cuts(self.shape[1])

    def __len__(self) -> int:
        """Number of tiles."""
        return math.prod(self.layout)

    def __iter__(self) -> Iterator[Tile]:
        """Tiles row by row."""
        places = itertools.product(itertools.pairwise(self.rows), itertools.pairwise(self.cols))
        for index, ((top, bottom), (left, right)) in enumerate(places):
            write = Window(top, left, bottom - top + 1, right - left + 1)
            yield Tile(index, write, Window(top - 1, left - 1, write.rows + 2, write.cols + 2))

    def _cuts(self, n: int) -> list[int]:
        """Shared cells along an axis, evenly spaced, ends included."""
        if min(self.shape) < 2:
            return []
        pieces = math.ceil((n - 1) / self.side)
        return [round(i * (n - 1) / pieces) for i in range(pieces + 1)]


def cut(array: NDArray, window: Window) -> NDArray:
    """The cells of a window of an array, zero beyond it."""
    inner = array[max(window.row, 0) : window.row_stop, max(window.col, 0) : window.col_stop]
    found = np.zeros((window.rows, window.cols), array.dtype)
    top, left = max(-window.row, 0), max(-window.col, 0)
    found[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return found
