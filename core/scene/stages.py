"""The three learned stages and how their fields become numbers near -1 to 1, and back.

Stage ``G`` decides on 50 m cells where the town is and of what grain, ``R`` on 10 m cells where roads and buildings
lie, ``L`` on 2 m cells the outlines. Functions map physical fields ``(C, H, W)`` to normalised channels of that shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import MIDDLE_FIELDS, ROAD_REACH_M

Array = NDArray[np.float32]

WALL_SCALE = 0.12
VOLUME_SCALE_M = 12.0
STREET_SCALE = 0.02
ROAD_FALL_M = 30.0
WALL_CAP_M = 8.0
HEIGHT_SCALE_M = 8.0
KERB_CAP_M = 24.0


@dataclass(frozen=True)
class Stage:
    """What a stage's tensors mean.

    Attributes
    ----------
    cell_m, parent_m
        Size of its cells and of those of the stage above (its own for the first).
    channels
        Names of the normalised channels.
    built, roads, heights
        Numbers of the channels that are unknown where buildings, roads or heights are not mapped.
    fold
        Cells per side that one position of the network holds (space to depth).
    condition
        Channels from the stage above and from exact roads, before existing features are appended.

    """

    name: str
    cell_m: float
    parent_m: float
    channels: tuple[str, ...]
    built: tuple[int, ...]
    roads: tuple[int, ...]
    heights: tuple[int, ...]
    fold: int
    condition: int


G = Stage(
    "G", 50.0, 50.0, ("share", "wall", "volume", "streets", "major", "cos4", "sin4"),
    built=(0, 1), roads=(3, 4, 5, 6), heights=(2,), fold=1, condition=0,
)  # fmt: skip
R = Stage(
    "R", 10.0, 50.0, ("share", "wall", "volume", "road", "cos2", "sin2", "rank"),
    built=(0, 1), roads=(3, 4, 5, 6), heights=(2,), fold=1, condition=7,
)  # fmt: skip
L = Stage(
    "L", 2.0, 10.0, ("share", "wall_distance", "height"),
    built=(0, 1), roads=(), heights=(2,), fold=2, condition=8,
)  # fmt: skip
STAGES = {stage.name: stage for stage in (G, R, L)}

_BAND = {name: number for number, name in enumerate(MIDDLE_FIELDS)}


def coarse_channels(middle: Array, ratio: int = 5) -> Array:
    """Channels of ``G`` from the middle bands of a block: exact sums over ``ratio`` x ``ratio`` middle cells."""
    share, wall, volume, *_ = (_pool(middle[_BAND[n]], ratio) for n in ("share", "wall", "volume"))
    streets = _pool(middle[_BAND["major"] : _BAND["service"] + 1].sum(axis=0), ratio)
    major = _pool(middle[_BAND["major"]], ratio)
    weight = np.maximum(streets + 0.2 * wall, 1e-3)
    axes = [
        _pool(middle[_BAND["road_" + n]], ratio) + 0.2 * _pool(middle[_BAND["wall_" + n]], ratio)
        for n in ("cos4", "sin4")
    ]
    return np.stack([*_built(share, wall, volume), _root(streets), _root(major), axes[0] / weight, axes[1] / weight])


def middle_channels(middle: Array) -> Array:
    """Channels of ``R`` from the middle bands of a block."""
    near = np.clip(1 - middle[_BAND["road_distance"]] / ROAD_FALL_M, 0, 1)
    rank = 1 - np.maximum(middle[_BAND["road_rank"]], 0)  # major 1, minor 0, service -1
    roads = [2 * near - 1, near * middle[_BAND["road_cos2"]], near * middle[_BAND["road_sin2"]], near * rank]
    built = _built(middle[_BAND["share"]], middle[_BAND["wall"]], middle[_BAND["volume"]])
    return np.stack([*built, *roads]).astype(np.float32)


def fine_channels(fine: NDArray[np.uint8]) -> Array:
    """Channels of ``L`` from the fine bands of a block."""
    wall_m = np.clip((fine[1].astype(np.float32) - 128) / 8, -WALL_CAP_M, WALL_CAP_M)
    height = np.log1p(fine[2].astype(np.float32) / 2 / HEIGHT_SCALE_M) - 0.9
    return np.stack([fine[0].astype(np.float32) / 127.5 - 1, wall_m / WALL_CAP_M * 2, height])


def kerb_channel(fine: NDArray[np.uint8]) -> Array:
    """Exact kerb distance as a condition of ``L``: -1 far from roads, above 0.8 on the carriageway."""
    kerb_m = (fine[3].astype(np.float32) - 40) / 4
    return np.clip(1 - 2 * (kerb_m + 4) / (KERB_CAP_M + 4), -1, 1)


def open_ground(stage: Stage) -> Array:
    """Channels of ground without buildings and roads, ``(C, 1, 1)``."""
    if stage.name == "L":
        return fine_channels(np.zeros((4, 1, 1), np.uint8))
    bands = np.zeros((len(MIDDLE_FIELDS), 5, 5), np.float32)
    bands[_BAND["road_distance"]] = ROAD_REACH_M
    bands[_BAND["road_rank"]] = -1
    return (coarse_channels(bands) if stage.name == "G" else middle_channels(bands))[:, :1, :1].astype(np.float32)


def _built(share: Array, wall: Array, volume: Array) -> list[Array]:
    return [2 * share - 1, np.sqrt(wall / WALL_SCALE) - 1, np.sqrt(volume / VOLUME_SCALE_M) - 0.5]


def _root(streets: Array) -> Array:
    return np.sqrt(np.minimum(streets / STREET_SCALE, 6.0)) - 1


def _pool(values: Array, ratio: int) -> Array:
    rows, cols = values.shape
    return values.reshape(rows // ratio, ratio, cols // ratio, ratio).mean(axis=(1, 3), dtype=np.float32)
