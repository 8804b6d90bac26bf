"""How well a model restores ground that it has not seen: held-back fine heights, averaged, restored, compared.

What is judged is the surface that users run, on whole pieces with mirrored edges, against the weight-less surface on
the same pieces. Imports numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .card import find
from .degradation import Bools, Region
from .kernels import Floats, Queries
from .surface import CoarseHeights, Surface, load

SCALES = (2, 4, 8)
EDGE_PX = 2
"""Coarse cells at the edges of a piece that are not judged."""

LEAST_PX = 8
"""Coarse cells per side, edges apart, that a piece must have to be judged at a scale."""

PIECE_PX = 512
MOST_PIECES = 4
"""Largest side of a piece in fine cells, and how many are judged: enough to tell models apart within seconds."""

FLATTEST_M = 1e-3
"""Pieces that the weight-less surface restores better than this are too flat to judge by."""


@dataclass(frozen=True)
class Judgement:
    """Errors on one piece at one scale, in metres; :attr:`ratio` below 1 is better than the weight-less surface."""

    data: str
    scale: int
    rmse_m: float
    baseline_rmse_m: float

    @property
    def ratio(self) -> float:
        """RMSE over that of the weight-less surface."""
        return self.rmse_m / self.baseline_rmse_m


class Validation:
    """Held-back regions and what the weight-less surface makes of them."""

    def __init__(self, regions: Sequence[Region], scales: Sequence[int] = SCALES) -> None:
        self.pieces = list(_chosen([piece for region in regions for piece in _pieces(region)]))
        self._trials = [(p, s) for p in self.pieces for s in scales if _least_side(p) >= (LEAST_PX + 2 * EDGE_PX) * s]
        self._baseline: list[float] = []

    def judge(self, model: Surface) -> list[Judgement]:
        """Errors of a model on every piece at every scale at which the piece is large and rough enough."""
        if not self._baseline:
            baseline = load(find("baseline"), model.compute)
            self._baseline = [_rmse_m(baseline, piece, scale) for piece, scale in self._trials]
        return [
            Judgement(piece.name, scale, _rmse_m(model, piece, scale), base_m)
            for (piece, scale), base_m in zip(self._trials, self._baseline, strict=True)
            if base_m > FLATTEST_M
        ]


def ratios(judgements: Sequence[Judgement]) -> dict[int, float]:
    """Geometric mean of the ratios by scale."""
    logs: dict[int, list[float]] = {}
    for one in judgements:
        logs.setdefault(one.scale, []).append(math.log(max(one.ratio, 1e-9)))
    return {scale: math.exp(sum(values) / len(values)) for scale, values in sorted(logs.items())}


def score(judgements: Sequence[Judgement]) -> float:
    """One number to choose by: the geometric mean of :func:`ratios`; infinite where nothing could be judged."""
    found = ratios(judgements)
    if not found or not all(map(math.isfinite, found.values())):
        return math.inf
    return math.exp(sum(map(math.log, found.values())) / len(found))


def _least_side(region: Region) -> int:
    return min(region.heights.shape)


def _pieces(region: Region) -> Iterator[Region]:
    """The region cut into pieces of at most :data:`PIECE_PX` cells per side, those with few heights left out."""
    edges = [np.linspace(0, n, math.ceil(n / PIECE_PX) + 1).astype(int) for n in region.heights.shape]
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            place = np.s_[top:bottom, left:right]
            if region.valid[place].mean() >= 0.5:
                sizes = region.cell_width_m, region.cell_height_m
                part = f", rows {top} on, columns {left} on" if max(region.heights.shape) > PIECE_PX else ""
                yield Region(region.name + part, region.heights[place], region.valid[place], *sizes)


def _chosen(pieces: Sequence[Region]) -> Sequence[Region]:
    """At most :data:`MOST_PIECES`, evenly spread."""
    if len(pieces) <= MOST_PIECES:
        return pieces
    return [pieces[i] for i in np.linspace(0, len(pieces) - 1, MOST_PIECES).round().astype(int)]


def _rmse_m(model: Surface, piece: Region, scale: int) -> float:
    """RMSE in metres of the piece restored from its cell averages, edges and surroundings of voids left out."""
    rows, cols = (size // scale for size in piece.heights.shape)
    truth = piece.heights[: rows * scale, : cols * scale].astype(np.float64)
    coarse = truth.reshape(rows, scale, cols, scale).mean((1, 3))
    known = np.asarray(piece.valid[: rows * scale, : cols * scale].reshape(rows, scale, cols, scale).all((1, 3)))
    error = (_restored(model, piece, np.where(known, coarse, 0.0), known, scale) - truth)[_judged(known, scale)]
    return float(np.sqrt(np.mean(error**2))) if error.size else 0.0


def _restored(model: Surface, piece: Region, coarse: Floats, known: Bools, scale: int) -> Floats:
    halo = model.halo_px
    rows, cols = (halo + (np.arange(count * scale) + 0.5) / scale for count in coarse.shape)
    surrounded = np.pad(coarse, halo, mode="symmetric")
    width_m, height_m = (np.full(surrounded.shape[0], s * scale) for s in (piece.cell_width_m, piece.cell_height_m))
    heights = CoarseHeights(surrounded, np.pad(known, halo, mode="symmetric"), width_m, height_m)
    return model.decode(model.encode(heights), Queries(rows, cols, 1 / scale, 1 / scale))


def _judged(known: Bools, scale: int) -> Bools:
    """Fine cells whose coarse cell, and its neighbours up to :data:`EDGE_PX` away, are known and inside."""
    rows, cols = known.shape
    framed = np.pad(known, EDGE_PX)
    inner = np.ones_like(known)
    for down in range(2 * EDGE_PX + 1):
        for across in range(2 * EDGE_PX + 1):
            inner &= framed[down : down + rows, across : across + cols]
    return np.repeat(np.repeat(inner, scale, 0), scale, 1)
