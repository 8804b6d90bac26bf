"""Prepared towns as training material: blocks of fields, what is mapped in them, the checkerboard, and drawn samples.

A sample is a window of one block at one stage under one of the square's eight symmetries. Blocks of the black colour of
the checkerboard (column + row odd) are held out; windows never reach into another block.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..errors import TerrainError
from . import stages
from .fields import BLOCK_M, COARSE_M, MIDDLE_FIELDS, MIDDLE_M, Block
from .road_graph import RoadGraph
from .stages import Stage
from .validity import buildings_mapped, roads_mapped

Array = NDArray[np.float32]
TARGETS = 4
"""Means over the window that a user may ask for: share, wall, volume, streets (normalised as in stage G)."""

GRID_CELLS = {"G": 1, "R": 5, "L": 10}
"""Windows begin at multiples of so many cells, so that every window sees its parents' cells alike."""

LEAST_ROAD_M_PER_M2 = 0.015
"""Road length per area of buildings below which a town's roads count as not mapped (Paris, the least of the mapped
ones, has 0.045)."""

LEAST_USEFUL = 0.1
"""Share of a block that must be mapped for windows to be drawn from it."""

_BAND = {name: number for number, name in enumerate(MIDDLE_FIELDS)}


@dataclass(frozen=True)
class TownBlocks:
    """All blocks of one town.

    Attributes
    ----------
    places
        ``(N, 2)``, column and row of each block.
    coarse, middle
        Channels of stages G and R, ``(N, 7, 40, 40)`` and ``(N, 7, 200, 200)``, float16.
    fine
        Fine bands ``(N, 4, 1000, 1000)``, uint8 on disk, or None without buildings.
    mapped
        ``(N, 3, 40, 40)``: where buildings, roads and heights are mapped.
    graph
        The town's roads.

    """

    name: str
    places: NDArray[np.int64]
    coarse: NDArray[np.float16]
    middle: NDArray[np.float16]
    fine: NDArray[np.uint8] | None
    mapped: NDArray[np.bool_]
    graph: RoadGraph

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """The black blocks of the checkerboard, ``(N,)``."""
        return self.places.sum(axis=1) % 2 == 1

    def fine_bands(self, block: int) -> NDArray[np.uint8]:
        """The fine bands of a block, ``(4, 1000, 1000)``; a town without buildings has none.

        Raises
        ------
        TerrainError
            The town has no buildings.

        """
        if self.fine is None:
            message = f"The town {self.name} has no buildings, so it has no fine fields; choose another."
            raise TerrainError(message)
        return np.asarray(self.fine[block])


def prepare_town(folder: Path, name: str, raw: Array, places: NDArray[np.int64], heights: bool) -> None:
    """Write what :func:`load_town` reads, from middle bands ``(N, 16, 200, 200)``; it is opened without being read."""
    for kind, array in zip(("coarse", "channels", "mapped"), _channels(raw, places, heights), strict=True):
        np.save(folder / f"{name}_{kind}.npy", array)


def blocks_of(
    name: str, blocks: list[Block], places: NDArray[np.int64], graph: RoadGraph, *, heights: bool
) -> TownBlocks:
    """Blocks of a town that are kept in memory; ``heights`` says whether those of its buildings are known."""
    coarse, middle, mapped = _channels(np.stack([block.middle for block in blocks]), places, heights)
    fine = np.stack([block.fine for block in blocks]) if mapped[:, 0].any() else None
    return TownBlocks(name, places, coarse, middle, fine, mapped, graph)


def _channels(
    raw: Array, places: NDArray[np.int64], heights: bool
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.bool_]]:
    """Channels of stages G and R, and masks, from middle bands ``(N, 16, 200, 200)``."""
    raw = raw.astype(np.float32)
    if heights:
        raw = np.stack([complete_volume(block) for block in raw])
    coarse = np.stack([stages.coarse_channels(block) for block in raw]).astype(np.float16)
    middle = np.stack([stages.middle_channels(block) for block in raw]).astype(np.float16)
    return coarse, middle, _mapped(raw, places, heights)


def load_town(folder: Path, name: str) -> TownBlocks:
    """Open one town in the folder of prepared arrays; fields stay on disk until a window is drawn."""
    places = np.array(json.loads((folder / f"{name}.json").read_text())["places"], np.int64)
    coarse, middle = (np.load(folder / f"{name}_{kind}.npy", mmap_mode="r") for kind in ("coarse", "channels"))
    path = folder / f"{name}_fine.npy"
    fine = np.load(path, mmap_mode="r") if path.exists() else None
    kept = np.load(folder / f"{name}_graph.npz")
    graph = RoadGraph(kept["easting_northing"], kept["edges"], kept["rank"])
    return TownBlocks(name, places, coarse, middle, fine, np.load(folder / f"{name}_mapped.npy"), graph)


def complete_volume(block: Array) -> Array:
    """Middle bands with unknown buildings as high as their neighbours: in their own cell, or else within 100 m."""
    share, volume, known = (block[_BAND[n]] for n in ("share", "volume", "known_share"))
    near_known, near_volume = (gaussian_filter(a, 5.0) for a in (known, volume))
    around = near_volume / np.maximum(near_known, 1e-4)
    own = volume / np.maximum(known, 1e-4)
    complete = block.copy()
    complete[_BAND["volume"]] = share * np.where(known > 0.5 * share, own, around)
    return complete


def _mapped(raw: Array, places: NDArray[np.int64], heights: bool) -> NDArray[np.bool_]:
    """Masks on 50 m cells, found on the whole town's mosaic so that block edges do not show."""

    def pool(bands: tuple[str, ...]) -> Array:
        total = raw[:, [_BAND[name] for name in bands]].sum(axis=1)
        return total.reshape(len(raw), 40, 5, 40, 5).mean(axis=(2, 4))

    share, streets = _mosaic(pool(("share",)), places), _mosaic(pool(("minor",)), places)
    length = _mosaic(pool(("major", "minor", "service")), places)
    built = buildings_mapped(share, streets)
    roads = roads_mapped(length)
    if length.sum() < LEAST_ROAD_M_PER_M2 * share.sum():
        roads = np.zeros_like(roads)
    return np.stack([_blocks(built, places), _blocks(roads, places), _blocks(built & heights, places)], axis=1)


def _mosaic(blocks: NDArray, places: NDArray[np.int64]) -> NDArray:
    side = blocks.shape[-1]
    first = places.min(axis=0)
    cols, rows = places.max(axis=0) - first + 1
    whole = np.zeros((rows * side, cols * side), blocks.dtype)
    for (c, r), block in zip(places - first, blocks, strict=True):
        whole[(rows - 1 - r) * side :][:side, c * side : (c + 1) * side] = block
    return whole


def _blocks(whole: NDArray, places: NDArray[np.int64], side: int = 40) -> NDArray:
    first = places.min(axis=0)
    rows = places[:, 1].max() - first[1] + 1
    return np.stack([whole[(rows - 1 - r) * side :][:side, c * side : (c + 1) * side] for c, r in places - first])


@dataclass(frozen=True)
class Sample:
    """One window, all float32 and normalised.

    Attributes
    ----------
    fields, known
        Channels ``(C, H, W)`` and where they are mapped, 0 or 1; unmapped channels are 0.
    parent
        Condition from the stage above and the kerbs, ``(K, H / fold, W / fold)`` and for L the kerbs ``(1, H, W)``.
    existing
        Fields that are to be kept, 0 elsewhere, and the two masks of built and roads, ``(C + 2, H, W)``.
    targets
        ``(2 * TARGETS,)``: wishes, and which of them are given.
    flags
        Whether buildings, roads and heights are mapped in at least half of the window.
    graph
        Existing roads: node features, edges, edge features (:meth:`.road_graph.RoadGraph.features`).

    """

    place: int
    fields: Array
    known: Array
    parent: Array
    kerb: Array
    existing: Array
    targets: Array
    flags: Array
    graph: tuple[Array, NDArray[np.int64], Array]


def bilinear(count: int, ratio: float, first: float = 0.0, parents: int = 40) -> Array:
    """Matrix ``(count, parents)`` that interpolates parent cells at the centres of finer cells, ends repeated."""
    at = (first + np.arange(count) + 0.5) / ratio - 0.5
    low = np.clip(np.floor(at), 0, parents - 2).astype(int)
    share = np.clip(at - low, 0, 1)
    matrix = np.zeros((count, parents), np.float32)
    matrix[np.arange(count), low] = 1 - share
    matrix[np.arange(count), low + 1] += share
    return matrix


class Sampler:
    """Draws samples of one stage from towns; the same seed and step give the same samples.

    Parameters
    ----------
    held_out
        Whether from the held-out blocks or from the others; None draws from all.
    least
        Share of a block that must be mapped for windows to be drawn from it.
    tries
        Places that are tried for a window that is mostly mapped.

    """

    def __init__(
        self, towns: list[TownBlocks], stage: Stage, side: int, held_out: bool | None = False, *,
        least: float = LEAST_USEFUL, tries: int = 20,
    ) -> None:  # fmt: skip
        self.towns, self.stage, self.side, self.tries = towns, stage, side, tries
        self.windows = _windows(towns, stage, held_out, least)
        weight = np.array([w[3] for w in self.windows])
        self.cumulative = np.cumsum(weight / weight.sum())

    def draw(self, rng: np.random.Generator) -> Sample:
        """One sample: a block by its weight, a place in it, a symmetry, existing features and wishes."""
        town, block, _, _ = self.windows[int(np.searchsorted(self.cumulative, rng.random()))]
        for _ in range(self.tries):
            place = self._place(rng)
            known = self._known(town, block, *place)
            if known[:2].mean(axis=(1, 2)).max() >= 0.6:
                break
        return self.cut(town, block, place, rng)

    def _place(self, rng: np.random.Generator) -> tuple[int, int]:
        cells, grid = int(BLOCK_M / self.stage.cell_m), GRID_CELLS[self.stage.name]
        row, col = rng.integers(0, (cells - self.side) // grid + 1, 2) * grid
        return int(row), int(col)

    def _known(self, town: int, block: int, row: int, col: int) -> Array:
        ratio = COARSE_M / self.stage.cell_m
        at = [((first + np.arange(self.side)) // ratio).astype(int) for first in (row, col)]
        return self.towns[town].mapped[block][:, at[0]][:, :, at[1]].astype(np.float32)

    def cut(self, town: int, block: int, place: tuple[int, int], rng: np.random.Generator) -> Sample:
        """The sample at a given place of a block; ``rng`` decides symmetry, existing features and wishes."""
        blocks, (row, col) = self.towns[town], place
        known3 = self._known(town, block, row, col)
        fields, parent, kerb = self._channels(blocks, block, row, col)
        turn, mirror = int(rng.integers(4)), bool(rng.integers(2))
        fields, parent, kerb, known3 = (
            _symmetry(a, names, turn, mirror)
            for a, names in (
                (fields, self.stage.channels),
                (parent, _parent_names(self.stage)),
                (kerb, ()),
                (known3, ()),
            )
        )
        if self.stage.name == "L" and rng.random() < 0.1:
            known3[1] = 0  # the net must also do without roads
        if not known3[1].any():
            kerb = np.zeros_like(kerb)
        known = by_channel(known3, self.stage)
        existing = _existing(fields * known, known3, self.stage, rng)
        graph = self._graph(blocks, block, (row, col), (turn, mirror), rng)
        flags = (known3.mean(axis=(1, 2)) > 0.5).astype(np.float32)
        targets = _wishes(parent if self.stage.condition else fields, flags, rng, self.stage)
        return Sample(town, fields * known, known, parent, kerb, existing, targets, flags, graph)

    def _channels(self, blocks: TownBlocks, block: int, row: int, col: int) -> tuple[Array, Array, Array]:
        side, name = self.side, self.stage.name
        nothing = np.zeros((0, side, side), np.float32)
        if name == "G":
            return blocks.coarse[block, :, row : row + side, col : col + side].astype(np.float32), nothing, nothing
        if name == "R":
            up = [bilinear(side, 5, first) for first in (row, col)]
            parent = up[0] @ blocks.coarse[block].astype(np.float32) @ up[1].T
            return blocks.middle[block, :, row : row + side, col : col + side].astype(np.float32), parent, nothing
        fine = blocks.fine_bands(block)[:, row : row + side, col : col + side]
        up = [bilinear(side // 2, 2.5, first / 2, 200) for first in (row, col)]
        parent = up[0] @ blocks.middle[block].astype(np.float32) @ up[1].T
        return stages.fine_channels(fine), parent, stages.kerb_channel(fine)[None]

    def _graph(
        self, blocks: TownBlocks, block: int, place: tuple[int, int], turned: tuple[int, bool], rng: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64], Array]:
        """Part of the window's road graph, for stage R only, under the sample's symmetry; mostly none."""
        if self.stage.name != "R" or rng.random() < 0.6:
            return _NO_GRAPH
        side_m = self.side * MIDDLE_M
        column, line = blocks.places[block]
        west = column * BLOCK_M + place[1] * MIDDLE_M
        south = (line + 1) * BLOCK_M - place[0] * MIDDLE_M - side_m
        keep = blocks.graph.rank == 0 if rng.random() < 0.5 else None
        part = blocks.graph.within(west, south, side_m, keep)
        if not len(part.edges):
            return _NO_GRAPH
        nodes, edges = part.features(west, south, side_m)
        return _turned_graph(nodes, part.edges, edges, *turned)


_NO_GRAPH = (np.zeros((0, 8), np.float32), np.zeros((0, 2), np.int64), np.zeros((0, 4), np.float32))


def _windows(
    towns: list[TownBlocks], stage: Stage, held_out: bool | None, least: float
) -> list[tuple[int, int, float, float]]:
    """Town, block, mapped share and weight of every usable block; towns weigh by the square root of their area."""
    found: list[tuple[int, int, float, float]] = []
    for t, town in enumerate(towns):
        if stage.name == "L" and town.fine is None:
            continue
        rows = []
        for b in np.flatnonzero((town.held_out == held_out) | (held_out is None)):
            useful = town.mapped[b, 0] if stage.name == "L" else town.mapped[b, :2].any(axis=0)
            if useful.mean() > least:
                rows.append((t, int(b), float(useful.mean())))
        total = sum(share for *_, share in rows)
        built = float(town.mapped[:, 0].sum()) > 0.2 * float(town.mapped[:, 1].sum())
        found += [(*row, row[2] / total * total**0.5 * (1.0 if built else 0.15)) for row in rows]
    return found


def _parent_names(stage: Stage) -> tuple[str, ...]:
    return {"G": (), "R": stages.G.channels, "L": stages.R.channels}[stage.name]


def _symmetry(fields: Array, names: tuple[str, ...], turn: int, mirror: bool) -> Array:
    """Turn by ``turn`` quarter turns anticlockwise, then mirror east and west; direction channels follow."""
    out = np.rot90(fields, turn, axes=(1, 2))
    out = np.ascontiguousarray(out[:, :, ::-1] if mirror else out)
    for number, name in enumerate(names):
        if name in ("cos2", "sin2") and turn % 2:
            out[number] *= -1
        if name in ("sin2", "sin4") and mirror:
            out[number] *= -1
    return out


def _turned_graph(
    nodes: Array, edges: NDArray[np.int64], facts: Array, turn: int, mirror: bool
) -> tuple[Array, NDArray[np.int64], Array]:
    """The same symmetry for node positions (column, row from 0 to 1) and edge directions."""
    nodes, facts = nodes.copy(), facts.copy()
    for _ in range(turn):
        nodes[:, 0], nodes[:, 1] = nodes[:, 1].copy(), 1 - nodes[:, 0]
    if turn % 2:
        facts[:, 1:3] *= -1
    if mirror:
        nodes[:, 0] = 1 - nodes[:, 0]
        facts[:, 2] *= -1
    return nodes, edges, facts


def by_channel(known3: Array, stage: Stage) -> Array:
    """Masks of buildings, roads and heights ``(3, H, W)`` spread to the stage's channels ``(C, H, W)``."""
    known = np.ones((len(stage.channels), *known3.shape[1:]), np.float32)
    for group, mask in zip((stage.built, stage.roads, stage.heights), known3, strict=True):
        for channel in group:
            known[channel] = mask
    return known


def _existing(fields: Array, known3: Array, stage: Stage, rng: np.random.Generator) -> Array:
    """Fields to keep inside random areas, and those areas' masks, ``(C + 2, H, W)``; in half of the draws none."""
    masks = np.zeros((2, *fields.shape[1:]), np.float32)
    if rng.random() < 0.5:
        area = _random_area(fields.shape[1], rng)
        which = rng.integers(3)  # both, buildings, roads
        masks[0] = area * known3[0] * (which != 2)
        masks[1] = area * known3[1] * (which != 1)
    kept = by_channel(np.stack([masks[0], masks[1], masks[0] * known3[2]]), stage)
    return np.concatenate([fields * kept, masks])


def _random_area(side: int, rng: np.random.Generator) -> Array:
    """A half plane, the inside of a rectangle or the outside of one, as 0 and 1, ``(H, W)``."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    kind = rng.integers(3)
    if kind == 0:
        angle = rng.uniform(0, 2 * np.pi)
        return (x * np.cos(angle) + y * np.sin(angle) > rng.uniform(-0.3, 0.4)).astype(np.float32)
    centre, half = rng.uniform(-0.3, 0.3, 2), rng.uniform(0.1, 0.45, 2)
    inside = (np.abs(x - centre[0]) < half[0]) & (np.abs(y - centre[1]) < half[1])
    return (inside if kind == 1 else ~inside).astype(np.float32)


def _wishes(fields: Array, flags: Array, rng: np.random.Generator, stage: Stage) -> Array:
    """Means of the first four channels of G and which of them are given, ``(8,)``: each in two fifths of the draws."""
    mean = fields[:TARGETS].mean(axis=(1, 2)) if stage.name != "L" else np.zeros(TARGETS)
    given = (rng.random(TARGETS) < 0.5) & (rng.random() < 0.8) & (stage.name == "G")
    given &= flags[[0, 0, 2, 1]] > 0
    return np.concatenate([mean * given, given]).astype(np.float32)
