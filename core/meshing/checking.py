"""The finished mesh against the DEM, block by block: what the summary, the error raster and the datasets say.

The measuring is :mod:`..mesh_check`'s, which shares no code with the triangulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import mesh_check, pipeline, raster
from ..errors import TerrainError
from ..mesh import Mesh
from ..mesh_check import BETWEEN, Accuracy, Blocks, Facets, Measured, Soundness
from ..progress import Progress
from ..raster import Bools, Encoded, Floats, Sink, Writing
from ..tiling import Tile, Window
from .coverage import Coverage
from .ground import Ground

ROUNDED = 1e-6
"""Part of the bound that rounding may take in measuring: positions and heights are floats of 53 bits."""

Cells = tuple[Floats, Bools]


@dataclass(frozen=True)
class Findings:
    """What was measured of a mesh.

    Attributes
    ----------
    accuracy
        Errors at cells and between them, and covered cells.
    soundness
        Of its edges and corners.
    vertex_error, face_error
        Mesh minus bilinear DEM at each vertex, and largest absolute error at cells in each face, 0 without a cell; in
        the DEM's unit.
    ground, tolerance
        Area that the mesh has to cover, in cells, and how far its own may be from that.

    """

    accuracy: Accuracy
    soundness: Soundness
    vertex_error: Floats
    face_error: Floats
    ground: float
    tolerance: float

    @property
    def excess(self) -> float:
        """Area that the mesh covers without need, or leaves out where negative; 0 within the tolerance."""
        off = self.soundness.area - self.ground
        return off if abs(off) > self.tolerance else 0.0

    @property
    def seams(self) -> int:
        """Cracks, T-junctions, and edges with the wrong number of triangles."""
        return self.soundness.seams

    @property
    def folds(self) -> int:
        """Triangles that are turned or have no area, vertices at the place of another, and positions covered twice."""
        found = self.soundness
        return found.turned + found.flat + found.duplicates + self.accuracy.overlaps


@dataclass(frozen=True)
class Checked:
    """What is found in one block."""

    measured: Measured
    vertices: NDArray[np.int64]
    vertex_error: Floats
    ground: float
    encoded: tuple[Window, Encoded] | None


class Checks:
    """Work on one block after another; safe to call from several threads.

    Parameters
    ----------
    ground, mesh
        Lattice and mesh on it.
    writing
        How the error raster is stored, or None where none is wanted.
    coverage
        What the mesh has to cover, or None where that is not looked at.
    times
        Positions per cell and axis that are looked at.

    """

    def __init__(
        self, ground: Ground, found: Mesh, writing: Writing | None, coverage: Coverage | None, *, times: int = BETWEEN
    ) -> None:
        self.ground, self._vertices, self._writing = ground, found.vertices, writing
        self.coverage, self._times = coverage, times
        self.blocks = Blocks(ground.shape)
        self._facets = Facets(found.vertices, found.faces, ground.shape)
        self._order, self._starts = _by_block(found.vertices, self.blocks)

    def read(self, tile: Tile) -> Cells:
        """Heights in the DEM's unit, and validity."""
        return self.ground.read(tile.read)

    def compute(self, tiles: Sequence[Tile], cells: Sequence[Cells]) -> list[Checked]:
        """Measure a batch of blocks."""
        return [self._checked(tile, *one) for tile, one in zip(tiles, cells, strict=True)]

    def encode(self, tile: Tile, checked: Checked) -> Checked:
        """Nothing is left to do."""
        del tile
        return checked

    def _checked(self, tile: Tile, heights: Floats, valid: Bools) -> Checked:
        measured = mesh_check.measure(self._facets, tile, heights, valid, times=self._times)
        mine = self._order[self._starts[tile.index] : self._starts[tile.index + 1]]
        cols, rows, found = self._vertices[mine].T
        error = found - bilinear(heights, valid, rows - tile.read.row, cols - tile.read.col)
        covered = self.coverage.area_of(tile, valid) if self.coverage else 0.0
        return Checked(measured, mine, error, covered, self._encoded(tile, measured.errors))

    def _encoded(self, tile: Tile, errors: Floats) -> tuple[Window, Encoded] | None:
        if self._writing is None:
            return None
        own, window = self.ground.on_raster(errors, tile.write)
        known = np.isfinite(own)
        return window, raster.encode(self._writing, np.where(known, own, 0.0) * self.ground.unit_m, known)


def check(work: Checks, found: Mesh, sink: Sink | None, progress: Progress) -> Findings:
    """Measure the whole mesh, and write the error raster if there is one."""
    accuracy, worst, ground = Accuracy(), mesh_check.Worst(len(found.faces)), 0.0
    vertex_error = np.zeros(len(found.vertices))

    def gather(tile: Tile, checked: Checked) -> None:
        nonlocal accuracy, ground
        accuracy, ground = accuracy + checked.measured.accuracy, ground + checked.ground
        worst.add(checked.measured)
        vertex_error[checked.vertices] = checked.vertex_error
        if sink is not None and checked.encoded is not None:
            window, encoded = checked.encoded
            sink.append(tile.index, window, encoded)

    pipeline.run(work.blocks, list(work.blocks), work, gather, progress.step(0, 0.8))
    progress.report(0.8, "Looking for cracks")
    soundness = mesh_check.soundness(found.vertices, found.faces, rows_down=True)
    tolerance = work.coverage.tolerance(work.ground.shape) if work.coverage else math.inf
    return Findings(accuracy, soundness, vertex_error, worst.values, ground, tolerance)


def refuse_broken_promise(found: Findings, bound: float | None, *, between: bool) -> None:
    """End a run whose mesh is not what it says it is; nothing is written then."""
    largest = max(found.accuracy.largest, found.accuracy.between_largest if between else 0.0)
    complaints = []
    if bound is not None and largest > bound * (1 + ROUNDED):
        complaints.append(f"is off by {largest:.6g}, more than the bound of {bound:g}")
    if found.seams:
        complaints.append(f"has {found.seams} cracks or T-junctions")
    if found.folds:
        complaints.append(f"lies over itself in {found.folds} places")
    if found.accuracy.beyond or found.excess > 0:
        complaints.append(f"covers ground that it should not, {max(found.excess, 0):.6g} cells of it")
    if found.excess < 0:
        complaints.append(f"leaves out {-found.excess:.6g} cells of ground")
    if complaints:
        raise TerrainError(
            f"The mesh {' and '.join(complaints)}, so nothing was written; this is an error of Neural Terrain, please "
            "report it with the DEM and the settings."
        )


def bilinear(heights: Floats, valid: Bools, rows: Floats, cols: Floats) -> Floats:
    """The bilinear surface at positions of a window; in a square with three heights it is their plane."""
    top, left = np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64)
    down, across = rows - top, cols - left
    bottom, right = np.minimum(top + 1, heights.shape[0] - 1), np.minimum(left + 1, heights.shape[1] - 1)
    corners = [(top, left), (top, right), (bottom, left), (bottom, right)]
    found, known = [heights[at] for at in corners], [valid[at] for at in corners]
    count = np.sum(known, axis=0)
    for i in range(4):
        alone = (count == 3) & ~known[i]
        beside = found[1 ^ i] + found[2 ^ i] - found[3 ^ i]
        found[i] = np.where(alone, beside, found[i])
    upper, lower = found[0] * (1 - across) + found[1] * across, found[2] * (1 - across) + found[3] * across
    surface: Floats = upper * (1 - down) + lower * down
    return surface


def _by_block(vertices: Floats, blocks: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices in the order of the blocks that hold them, and where those of each block begin."""
    number = _block_of(blocks)(vertices)
    order = np.argsort(number, kind="stable")
    return order, np.searchsorted(number[order], np.arange(len(blocks) + 1))


def _block_of(blocks: Blocks) -> Callable[[Floats], NDArray[np.int64]]:
    """Number of the block that holds a lattice position, from the places of the blocks themselves."""
    tiles = [tile.write for tile in blocks]
    rows, cols = np.unique([w.row for w in tiles]), np.unique([w.col for w in tiles])

    def of(vertices: Floats) -> NDArray[np.int64]:
        down = np.searchsorted(rows, np.floor(vertices[:, 1]), "right") - 1
        across = np.searchsorted(cols, np.floor(vertices[:, 0]), "right") - 1
        found: NDArray[np.int64] = down * len(cols) + across
        return found

    return of
