"""Real windows of the towns that the scene model is judged on, and a procedural grid city that is told three of their
figures.

A window is a square of 500 m in the world's lattice. It counts where its buildings are mapped and it is not empty; its
figures of streets count where its roads are mapped. Held out are the black blocks of the 2 km checkerboard, which
training never sees.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scene_training
import shapely

from neural_terrain.core.likeness import features as rules
from neural_terrain.core.likeness.features import FEATURES, WINDOW_M, features
from neural_terrain.core.scene import card, towns
from neural_terrain.core.scene import recipe as recipes
from neural_terrain.core.scene.fields import BLOCK_M
from neural_terrain.core.scene.preparation import Town

JUDGED = {data: place for data, place in recipes.places().items() if place in card.read().styles}
"""Towns with buildings by the name of their data, and the style that the model calls them."""

PER_BLOCK = round(BLOCK_M / WINDOW_M)
CELLS = 40 // PER_BLOCK
LEAST_MAPPED = 0.95
LEAST_SHARE = 0.01
BUILT = 7
"""So many of the figures speak of buildings, the rest of streets."""


@dataclass(frozen=True)
class Real:
    """One town's windows.

    Attributes
    ----------
    figures
        ``(W, 15)``; those of streets are not numbers where roads are not mapped.
    block, place
        Number of each window's block and the window's row and column in it, from the south-west, ``(W, 2)``.
    held_out
        Whether each window is.

    """

    name: str
    town: Town
    blocks: towns.TownBlocks
    figures: np.ndarray
    block: np.ndarray
    place: np.ndarray
    held_out: np.ndarray


def load(data: Path, folder: Path, name: str) -> Real:
    """A town, prepared and measured if it has not been before."""
    if not (folder / f"{name}_mapped.npy").exists():
        scene_training.prepare(data, folder, name)
    town, blocks = scene_training.read(data, name), towns.load_town(folder, name)
    places = [(b, row, col) for b in range(len(blocks.places)) for row, col in _usable(blocks, b)]
    block, place = np.array([p[0] for p in places]), np.array([p[1:] for p in places])
    kept = folder / f"{name}_figures_{ruler()}.npy"
    if not kept.exists():
        np.save(kept, np.concatenate([_measured(town, blocks, b, place[block == b]) for b in np.unique(block)]))
    return Real(name, town, blocks, np.load(kept), block, place, blocks.held_out[block])


def ruler() -> str:
    """Eight digits that name the code that measures: figures by another ruler are not compared with these."""
    code = (Path(path).read_bytes() for path in (rules.__file__, __file__))
    return hashlib.sha256(b"".join(code)).hexdigest()[:8]


def _usable(blocks: towns.TownBlocks, block: int) -> np.ndarray:
    """Rows (from the south) and columns of a block's windows that count."""
    mapped = _pooled(blocks.mapped[block, 0])
    share = (_pooled(blocks.coarse[block, 0].astype(np.float32)) + 1) / 2
    return np.argwhere(((mapped >= LEAST_MAPPED) & (share >= LEAST_SHARE))[::-1])


def _pooled(values: np.ndarray) -> np.ndarray:
    return values.reshape(PER_BLOCK, CELLS, PER_BLOCK, CELLS).mean(axis=(1, 3))


def _measured(town: Town, blocks: towns.TownBlocks, block: int, place: np.ndarray) -> np.ndarray:
    """Figures of some windows of a block."""
    area = block_area(blocks, block)
    west, south, _, _ = area.bounds
    found = features(town.roads, town.buildings, area)
    at = np.rint((found.bounds[:, :2] - (west, south)) / WINDOW_M).astype(int)
    figures = np.zeros((PER_BLOCK, PER_BLOCK, len(FEATURES)))
    figures[at[:, 1], at[:, 0]] = found.figures
    has_roads = _pooled(blocks.mapped[block, 1])[::-1] >= LEAST_MAPPED
    figures[~has_roads, BUILT:] = np.nan
    return figures[place[:, 0], place[:, 1]]


def block_area(blocks: towns.TownBlocks, block: int) -> Any:
    """A block as a polygon in the town's CRS."""
    column, row = (int(number) for number in blocks.places[block])
    return shapely.box(column * BLOCK_M, row * BLOCK_M, (column + 1) * BLOCK_M, (row + 1) * BLOCK_M)


def procedural(figures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Figures of a grid city that is told a window's coverage, number of buildings and density of streets."""
    coverage, count, density = figures[0], max(figures[1], 1.0), figures[BUILT]
    spacing = 2000.0 / max(density if np.isfinite(density) else 15.0, 2.0)
    window, angle = shapely.box(0, 0, WINDOW_M, WINDOW_M), rng.uniform(0, 90)
    pitch = WINDOW_M / np.sqrt(count)
    half = 0.5 * pitch * np.sqrt(min(coverage, 0.9))
    reach = np.arange(-WINDOW_M, 2 * WINDOW_M, pitch)
    x, y = (axis.ravel() for axis in np.meshgrid(reach, reach))
    houses = _turned(shapely.box(x - half, y - half, x + half, y + half), angle)
    across = np.arange(-WINDOW_M, 2 * WINDOW_M, spacing)
    ends = [[(a, -WINDOW_M), (a, 2 * WINDOW_M)] for a in across] + [[(-WINDOW_M, a), (2 * WINDOW_M, a)] for a in across]
    streets = _turned(shapely.linestrings(np.array(ends)), angle)
    found = features(streets, houses, window).figures[0]
    found[BUILT:] = np.where(np.isfinite(density), found[BUILT:], np.nan)
    return found


def _turned(shapes: np.ndarray, angle_deg: float) -> np.ndarray:
    """Shapes turned about the middle of the window."""
    turn, middle = np.deg2rad(angle_deg), WINDOW_M / 2
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return shapely.transform(shapes, lambda points: (points - middle) @ matrix.T + middle)
