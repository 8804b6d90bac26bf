"""The contours of one tile: samples of the surface, crossings, chains, and lines from border to border of the tile.

**How fine the samples lie.** :data:`PER_CELL` samples per cell and direction. A trained surface has at most 1.75 waves
per cell, so more than two samples lie on each of them. A closed contour that holds no sample lies between two rows or
two columns of samples: none that is wider than a quarter of a cell both ways is missed. Where a contour crosses an edge
between two samples twice, it is followed beyond the edge and back.

What a crossing on the border of a block or tile is depends on the surface there alone, so tiles meet to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .. import raster
from ..continuous import FINEST_PX, Continuous, Encoded
from ..elevation import compute
from ..elevation.kernels import Queries
from ..elevation.relief import Points, Relief
from ..errors import TerrainError
from ..raster import Bools, Floats
from ..tiling import Window
from . import chains, flats, linking, marching, patches, settling
from .chains import Chains
from .levels import Levels
from .linking import Wholes
from .untangling import untangled

PER_CELL = 4
"""Samples per cell and direction; even, so that the middles of cells, where cubic pieces meet, are samples."""

BLOCK = 16 * PER_CELL
"""Side of a block in samples."""

MOST_NODES = 20_000_000
"""Crossings of one tile that there is room for at most."""

BYTES_PER_NODE = 300
MEMORY_SHARE = 0.25
"""What tracing takes for each crossing, and the share of the computer's memory that all tiles under work may take."""


@dataclass(frozen=True)
class Traced:
    """Lines of a tile.

    Attributes
    ----------
    points, first
        Vertices as rows and columns of the DEM ``(N, 2)``, and where each line begins.
    level, start, end
        Number of the level, and numbers of the edges of the whole lattice where the line begins and ends; both are the
        same for a ring.
    unsure
        Chains of which the tolerance cannot be promised.

    """

    points: Floats
    first: Wholes
    level: Wholes
    start: Wholes
    end: Wholes
    unsure: int


class Tracer:
    """Traces tiles of a surface; safe to call from several threads.

    ``tolerance`` is in units of the CRS. ``part`` are the cells that are wanted.
    """

    def __init__(self, ground: Continuous, levels: Levels, tolerance: float, part: Window) -> None:
        self._ground, self._levels, self._part = ground, levels, part
        room_bytes = MEMORY_SHARE * compute.memory_bytes() / ground.tiles().crew.lanes
        self._most_nodes = min(MOST_NODES, int(room_bytes / BYTES_PER_NODE))
        self._size = np.array([ground.grid.dy, ground.grid.dx]) / PER_CELL / tolerance

    def trace(self, encoded: Encoded) -> Traced | None:
        """The contours of a tile; None where there are none."""
        window = encoded.tile.write.cut(self._part)
        if encoded.latent is None or not (window.rows and window.cols):
            return None
        return _Sheet(self._ground, encoded, window, self._levels, self._size).lines(self._most_nodes)


class _Sheet:
    """The samples of a window of cells, and what follows from them. Positions (v, u) count samples from its corner."""

    def __init__(self, ground: Continuous, encoded: Encoded, window: Window, levels: Levels, size: Floats) -> None:
        self._ground, self._encoded, self._window, self._levels, self._size = ground, encoded, window, levels, size
        read = encoded.tile.read
        rows = raster.mirror(read.row, read.row_stop, ground.grid.rows)
        self._cell_m = [sizes[rows] for sizes in ground.cell_m]
        valid = encoded.valid[window.row - read.row :, window.col - read.col :][: window.rows, : window.cols]
        self._known: Bools = np.repeat(np.repeat(valid, PER_CELL, 0), PER_CELL, 1)
        self._blocks = np.array([window.row * PER_CELL, window.col * PER_CELL, BLOCK])

    def lines(self, most_nodes: int) -> Traced | None:
        """All lines of the window, which has at most so many crossings."""
        layers = self._calmed(self._layers())
        ranks = self._levels.ranks(layers[0])
        first = marching.first_nodes(ranks, self._known)
        if first[-1] > most_nodes:
            raise TerrainError(self._too_many(first[-1] / most_nodes))
        base, step = (float(self._levels.traced_m(np.array([k]))[0]) for k in (0, 1))
        edges, level, places = marching.nodes(layers, ranks, first, (base, step - base))
        heights = self._levels.traced_m(level)
        fixed = self._on_blocks(edges, ranks.shape)
        places[fixed] = settling.on_edges(
            places[fixed], edges[fixed], edges[fixed] >= ranks.size, heights[fixed], self._ask
        )
        middle = self._levels.ranks(patches.middles(layers))
        pieces = np.stack(marching.pieces(ranks, middle, self._known, first), axis=1)
        if not len(pieces):
            return None
        found, unsure = self._chains(layers, pieces, places, heights, fixed)
        return self._joined(found, unsure, edges, level)

    def _too_many(self, times: float) -> str:
        interval = self._levels.interval
        enough = interval * times
        digit = 10.0 ** math.floor(math.log10(enough))
        return (
            f"With an interval of {interval:g} there are more contours in one part of the DEM than there is room for; "
            f"choose {math.ceil(enough / digit) * digit:g} or more."
        )

    def _layers(self) -> Floats:
        """Samples as :mod:`.patches` wants them."""
        window, read = self._window, self._encoded.tile.read
        rows, cols = (
            first + np.arange(count * PER_CELL + 1) / PER_CELL
            for first, count in ((window.row - read.row, window.rows), (window.col - read.col, window.cols))
        )
        by_differences = self._ground.model.by_differences
        relief = self._relief(Queries(rows, cols, FINEST_PX, FINEST_PX), 0 if by_differences else 2)
        if by_differences:
            return _by_differences(relief.heights)
        width_m, height_m = (sizes[:, None] for sizes in self._cells_at(rows))
        down, across = settling.rises(relief, (width_m, height_m), PER_CELL)
        if relief.east_north is None:
            raise ValueError("The twist of the surface was not asked for.")
        twist = -relief.east_north * width_m * height_m / PER_CELL**2
        return np.stack([relief.heights, down, across, twist])

    def _calmed(self, layers: Floats) -> Floats:
        """Layers in which flat ground is flat."""
        window, by = self._window, flats.HALO_PX
        around = Window(window.row - by, window.col - by, window.rows + 2 * by, window.cols + 2 * by)
        return flats.calmed(layers, *self._ground.source.read(around), PER_CELL)

    def _relief(self, where: Queries | Points, degree: int) -> Relief:
        """The surface at positions in the read window, also where no cell has a height."""
        return self._ground.model.relief(self._encoded.latent, where, degree)

    def _cells_at(self, rows: Floats) -> tuple[Floats, Floats]:
        """Width and height of cells in metres at rows of the read window."""
        width_m, height_m = (np.interp(rows, np.arange(sizes.size) + 0.5, sizes) for sizes in self._cell_m)
        return width_m, height_m

    def _ask(self, v: Floats, u: Floats) -> tuple[Floats, Floats, Floats]:
        """The surface itself, as :data:`.settling.Ask` says."""
        window, read = self._window, self._encoded.tile.read
        rows, cols = window.row - read.row + v / PER_CELL, window.col - read.col + u / PER_CELL
        relief = self._relief(Points(rows, cols, FINEST_PX, FINEST_PX), 1)
        return relief.heights, *settling.rises(relief, self._cells_at(rows), PER_CELL)

    def _on_blocks(self, edges: Wholes, shape: tuple[int, int]) -> Bools:
        """Which nodes lie on the line between two blocks, or on the border of the window."""
        height, width = shape
        i, j, down = edges % (height * width) // width, edges % width, edges >= height * width
        at_row = ((i + self._blocks[0]) % BLOCK == 0) | (i == 0) | (i == height - 1)
        at_col = ((j + self._blocks[1]) % BLOCK == 0) | (j == 0) | (j == width - 1)
        found: Bools = np.where(down, at_col, at_row)
        return found

    def _chains(
        self, layers: Floats, pieces: Wholes, places: Floats, heights: Floats, fixed: Bools
    ) -> tuple[Chains, Bools]:
        """Chains that touch no other, and of which of them the tolerance cannot be promised."""
        order = linking.linked(pieces[:, 0], pieces[:, 1], fixed)
        lines, nodes = (order.order, order.first), (places, heights)
        dense = Chains(*chains.followed((layers, self._known), self._blocks, lines, pieces, nodes, self._size))
        thin = dense.kept(chains.thinned(dense.points, dense.first, self._blocks, self._size))
        squares = pieces[order.order[order.first[:-1]], 2]
        thin = self._settled(thin, squares, heights)
        plain = dense.kept(dense.node >= 0)
        found, last = untangled([thin, dense, plain])
        return found, last | ~dense.good

    def _settled(self, thin: Chains, squares: Wholes, heights: Floats) -> Chains:
        """Chains whose inner vertices lie on the surface itself, in the blocks of their first squares."""
        counts = np.diff(thin.first)
        inner = np.ones(len(thin.points), bool)
        inner[thin.first[:-1]] = inner[thin.first[1:] - 1] = False
        wanted = np.repeat(heights[thin.node[thin.first[:-1]]], counts)
        found, _ = settling.settled(thin.points[inner], wanted[inner], None, self._ask)
        width = self._known.shape[1]
        low = np.stack([squares // width, squares % width], axis=1) + self._blocks[:2]
        low = np.repeat(low // BLOCK * BLOCK - self._blocks[:2], counts, axis=0)[inner]
        inside = (found > low) & (found < low + BLOCK)
        points = thin.points.copy()
        points[inner] = np.where(inside.all(axis=1, keepdims=True), found, points[inner])
        return replace(thin, points=points)

    def _joined(self, found: Chains, unsure: Bools, edges: Wholes, level: Wholes) -> Traced:
        """Chains put together to the lines of the window, placed on the DEM."""
        begin, end = found.node[found.first[:-1]], found.node[found.first[1:] - 1]
        lines = linking.linked(begin, end)
        points, first = concatenated(found.points, found.first, lines)
        heads, tails = lines.order[lines.first[:-1]], lines.order[lines.first[1:] - 1]
        corner = np.array([self._window.row, self._window.col])
        return Traced(
            points / PER_CELL + corner, first, level[begin[heads]], self._numbers(edges[begin[heads]]),
            self._numbers(edges[end[tails]]), int(np.count_nonzero(unsure)),
        )  # fmt: skip

    def _numbers(self, edges: Wholes) -> Wholes:
        """Numbers of edges in the lattice of the whole DEM."""
        height, width = (side + 1 for side in self._known.shape)
        rows, cols = (side * PER_CELL + 1 for side in self._ground.grid.shape)
        down, rest = np.divmod(edges, height * width)
        i, j = rest // width + self._blocks[0], rest % width + self._blocks[1]
        return down * rows * cols + i * cols + j


def _by_differences(heights: Floats) -> Floats:
    """Layers of a surface whose slopes are differences themselves: those between its samples cost nothing more."""
    down, across = np.gradient(heights, edge_order=2)
    return np.stack([heights, down, across, np.gradient(across, axis=0, edge_order=2)])


def concatenated(points: Floats, first: Wholes, lines: linking.Lines) -> tuple[Floats, Wholes]:
    """Vertices of lines that are made of chains, without the doubles where chains meet."""
    counts = np.diff(first)[lines.order]
    leading = np.zeros(len(lines.order), bool)
    leading[lines.first[:-1]] = True
    taken = counts - ~leading  # all but the first vertex of the chains that go on
    begins = first[:-1][lines.order] + ~leading
    ends = np.cumsum(taken)
    where = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - taken), taken)
    line_first = np.concatenate([[0], ends[lines.first[1:] - 1]]) if len(lines) else np.zeros(1, np.int64)
    return points[where], line_first
