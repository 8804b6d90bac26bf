"""Plans: which part of the source each part of the target needs. Integers and axes only: no arrays, no files.

A tile writes one window of the target and reads one window of the source, which is always of the same shape, so that
every tile is computed in one fixed tensor shape. Read windows may reach beyond the raster; the reader mirrors it there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .errors import TerrainError
from .grid import Axis, Target

BLOCK_PX = 512
"""Side of a block of the output file; tiles are whole blocks, so no block is compressed twice."""

TILE_SIDES_PX = (1024, 512, 256, 128)
"""Sides of write windows that are tried: small enough for lively progress, whole blocks unless memory forbids."""

WIDE_PX, WIDE_CORE_PX = 2048, 360
"""Side of write windows that is tried first where few coarse cells lie along it: the halo then costs less."""

ROUND_PX = 4
"""Read windows have sides of a multiple of this many coarse cells."""


HELD_BYTES_PER_CELL = 18
"""Memory of a tile that waits to be computed or written: two float64 layers and two masks."""


@dataclass(frozen=True)
class Window:
    """A rectangle of cells."""

    row: int
    col: int
    rows: int
    cols: int

    @property
    def row_stop(self) -> int:
        """Row after the last."""
        return self.row + self.rows

    @property
    def col_stop(self) -> int:
        """Column after the last."""
        return self.col + self.cols

    def cut(self, to: Window) -> Window:
        """What lies in another window too; it may be empty."""
        row, col = max(self.row, to.row), max(self.col, to.col)
        rows, cols = min(self.row_stop, to.row_stop) - row, min(self.col_stop, to.col_stop) - col
        return Window(row, col, max(rows, 0), max(cols, 0))


@dataclass(frozen=True)
class Tile:
    """One piece of work: target cells to write and source cells to read for them."""

    index: int
    write: Window
    read: Window


@dataclass(frozen=True)
class Cost:
    """Memory that a surface needs while it computes one tile, per cell read and per cell written."""

    bytes_per_coarse: float
    bytes_per_fine: float


@dataclass(frozen=True)
class Crew:
    """Who works at the same time.

    Attributes
    ----------
    lanes
        Batches computed at the same time.
    batch
        Tiles computed together as one tensor.
    encoders
        Threads that encode finished tiles; 0 where the lane itself does it.

    """

    lanes: int = 1
    batch: int = 1
    encoders: int = 0

    @property
    def batches(self) -> int:
        """Batches in memory: in the lanes, with the encoders, one being read and one being written."""
        return self.lanes + 2 + math.ceil(self.encoders / self.batch)

    def smaller(self) -> Iterator[Crew]:
        """The crew itself, then with smaller batches, then with fewer lanes, down to one tile at a time."""
        batch = self.batch
        while batch > 1:
            yield replace(self, batch=batch)
            batch //= 2
        for lanes in range(self.lanes, 0, -1):
            yield Crew(lanes, 1, min(self.encoders, lanes))


@dataclass(frozen=True)
class Plan:
    """All tiles of a target, row by row, and what they have in common.

    Attributes
    ----------
    tile_px
        Side of the write windows, except at the right and lower edge.
    read_shape
        Rows and columns of every read window.
    crew
        How many tiles are worked on at the same time.
    peak_bytes
        Estimated memory of the tiles under work: those being computed, and those that wait.

    """

    target: Target
    halo_px: int
    tile_px: int
    read_shape: tuple[int, int]
    crew: Crew
    peak_bytes: float

    def __len__(self) -> int:
        """Number of tiles."""
        return math.prod(self.layout)

    @property
    def ahead(self) -> int:
        """Tiles in memory at a time."""
        return self.crew.batches * self.crew.batch

    @property
    def layout(self) -> tuple[int, int]:
        """Number of tiles down and across."""
        return math.ceil(self.target.rows.count / self.tile_px), math.ceil(self.target.cols.count / self.tile_px)

    def __iter__(self) -> Iterator[Tile]:
        """Tiles row by row."""
        return (self.tile(index) for index in range(len(self)))

    def tile(self, index: int) -> Tile:
        """The tile number ``index``."""
        down, across = divmod(index, self.layout[1])
        row, col = down * self.tile_px, across * self.tile_px
        rows = min(self.tile_px, self.target.rows.count - row)
        cols = min(self.tile_px, self.target.cols.count - col)
        read = Window(
            first_needed(self.target.rows, row) - self.halo_px,
            first_needed(self.target.cols, col) - self.halo_px,
            *self.read_shape,
        )
        return Tile(index, Window(row, col, rows, cols), read)


def first_needed(axis: Axis, start: int) -> int:
    """Coarse cell that holds the upper or left edge of fine cell ``start``."""
    return math.floor(axis.origin + (axis.first + start) * axis.step)


def plan(
    target: Target,
    halo_px: int,
    cost: Cost,
    budget_bytes: float,
    crew: Crew = Crew(),
    sides: Sequence[int] = TILE_SIDES_PX,
) -> Plan:
    """The plan for a whole crew, with the largest tiles of ``sides`` (largest first) whose memory fits the budget.

    Where even tiles of one block do not fit, fewer are computed at a time, then smaller ones. A budget too small for
    one tile of the smallest kind is refused with the value that would do. Neither the side of the tiles nor the batch
    depends on the size of the target, so that a crop is computed in the same shapes as the whole.
    """
    whole_blocks = [side for side in sides if side >= BLOCK_PX]
    choices = [(side, fewer) for fewer in crew.smaller() for side in whole_blocks]
    choices += [(side, Crew(1, 1, min(crew.encoders, 1))) for side in sides if side < BLOCK_PX]
    for side, fewer in choices:
        candidate = with_tiles(target, halo_px, cost, side, crew=fewer)
        if candidate.peak_bytes <= budget_bytes:
            lanes = min(fewer.lanes, math.ceil(len(candidate) / fewer.batch))
            return replace(candidate, crew=replace(fewer, lanes=lanes))
    need_mb = math.ceil(candidate.peak_bytes / 2**20)
    raise TerrainError(
        f"Memory is limited to {budget_bytes / 2**20:.0f} MB, but the smallest tile needs {need_mb} MB; "
        f"set Memory to at least {need_mb}."
    )


def sides_of(target: Target) -> tuple[int, ...]:
    """Sides to try; they follow from the scale alone, so that a crop is computed in the same shapes as the whole."""
    widest = WIDE_PX * max(target.rows.step, target.cols.step)
    return (WIDE_PX, *TILE_SIDES_PX) if widest <= WIDE_CORE_PX else TILE_SIDES_PX


def with_tiles(
    target: Target,
    halo_px: int,
    cost: Cost,
    tile_px: int,
    read_shape: tuple[int, int] | None = None,
    crew: Crew = Crew(),
) -> Plan:
    """A plan with tiles of a given side, and optionally with larger read windows than it needs."""
    needed = _side(target.rows, tile_px, halo_px), _side(target.cols, tile_px, halo_px)
    shape = needed if read_shape is None else read_shape
    if shape[0] < needed[0] or shape[1] < needed[1]:
        raise ValueError(f"Read windows of {shape} cells are smaller than the {needed} that tiles of {tile_px} need.")
    coarse, fine = math.prod(shape), tile_px**2
    computed = crew.lanes * crew.batch
    working = computed * (coarse * cost.bytes_per_coarse + fine * cost.bytes_per_fine)
    waiting = (crew.batches * crew.batch - computed) * (coarse + fine) * HELD_BYTES_PER_CELL
    return Plan(target, halo_px, tile_px, shape, crew, working + waiting)


def _side(axis: Axis, tile_px: int, halo_px: int) -> int:
    """Coarse cells under ``tile_px`` fine ones wherever they begin, with the halo on both sides, rounded up."""
    core = math.ceil(tile_px * axis.step) + 1
    return math.ceil((core + 2 * halo_px) / ROUND_PX) * ROUND_PX
