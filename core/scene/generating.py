"""The front door of the scene model: load it, ask it for the fields of an area, stage by stage.

The order of a scene is :func:`coarse_and_middle`, then the caller traces streets from R's fields, then :func:`fine`
with the kerbs of those streets. Fields are a function of the model, the seed, the wishes and the place in the world;
without wishes they do not depend on the area's cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from ..elevation.compute import Compute, choose, plain_float32
from ..progress import Progress
from ..streets.network import WIDTH_M
from . import card as cards
from . import weights
from .card import MIXED, SceneCard
from .cascade import Asked, Fields, Kerb, parents, reach, sample_coarse, sample_fine, sample_middle
from .fields import FINE_M, KERB_REACH_M, kerb_distance
from .model import StageModel, StageSettings
from .sampling import LATTICES, Rectangle
from .stages import (
    HEIGHT_SCALE_M,
    ROAD_FALL_M,
    STAGES,
    STREET_SCALE,
    VOLUME_SCALE_M,
    WALL_CAP_M,
    G,
    kerb_channel,
)
from .standing import Standing, frame_of, nothing_stands, shares_of
from .wishes import Wishes, fulfilled

__all__ = [
    "Model", "Standing", "Wishes", "coarse_and_middle", "fine", "frame_of", "kerb_of", "load", "nothing_stands",
    "physical", "rectangle_of", "shares_of", "tiny",
]  # fmt: skip

Array = NDArray[np.float32]

COARSEST_SHARE = 0.05
"""Part of the progress of :func:`coarse_and_middle` that stage G takes."""


@dataclass(frozen=True)
class Model:
    """A scene model in a style, ready on a device."""

    card: SceneCard
    stages: dict[str, StageModel]
    compute: Compute
    style: str

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def version(self) -> str:
        """Version of the model."""
        return self.card.version

    @property
    def hash(self) -> str:
        """Eight digits that name its weights."""
        return self.card.hash

    @property
    def place(self) -> int:
        """Number of the style's place in the model."""
        return self.card.place(self.style)


def load(style: str, device: str = "auto", folder: Any = cards.SHIPPED) -> Model:
    """The model of a folder in a style, on ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    TerrainError
        The style is not known, the device is not there, or the weights are damaged.

    """
    card = cards.read(folder)
    card.place(style)
    compute = choose(device)
    plain_float32()
    return Model(card, {name: weights.fitted(card, name, compute) for name in STAGES}, compute, style)


def tiny(seed: int = 0) -> Model:
    """A model of narrow networks with random weights, which knows nothing: for trying what comes after it."""
    torch.manual_seed(seed)
    compute, stages = Compute(), {}
    for name in STAGES:
        model = StageModel(StageSettings(name, 1, (8, 8, 8, 8), 1, (8, 8, 8, 8)))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        stages[name] = weights.ready(model, compute)
    about = {name: {"weights": {"sha256": str(seed)}} for name in STAGES}
    card = SceneCard("tiny", "Random weights", "0", "", cards.SHIPPED, (), {"nowhere": 0}, about)
    return Model(card, stages, compute, MIXED)


def rectangle_of(area: Any) -> Rectangle:
    """The cells of stage L that cover a geometry."""
    west, south, east, north = (float(edge) / FINE_M for edge in shapely.bounds(area))
    first, last = (int(np.floor(west)), int(np.floor(south))), (int(np.ceil(east)), int(np.ceil(north)))
    return Rectangle(*first, last[0] - first[0], last[1] - first[1])


def coarse_and_middle(
    model: Model, area: Rectangle, wishes: Wishes, standing: Standing, progress: Progress, finest_m: int = 10
) -> dict[str, Fields]:
    """Fields of G and, unless ``finest_m`` is 50 or more, of R, as far beyond the area as stage L needs them.

    ``area`` is in cells of L. G meets the wishes on the ground; R follows it.
    """
    middle_area = parents(reach(LATTICES["L"], area))
    coarse_area = parents(reach(LATTICES["R"], middle_area))
    share = COARSEST_SHARE if finest_m < G.cell_m else 1.0
    asked = Asked(model.place, wishes, standing, model.compute, progress.step(0.0, share))
    coarse = sample_coarse(model.stages["G"], coarse_area, asked)
    kept = standing.complete(G, coarse_area) > 0.5
    coarse = Fields(coarse_area, fulfilled(coarse.values, standing.land(coarse_area), kept, wishes))
    if finest_m >= G.cell_m:
        return {"G": coarse}
    asked = Asked(model.place, wishes, standing, model.compute, progress.step(share, 1.0))
    return {"G": coarse, "R": sample_middle(model.stages["R"], coarse, middle_area, asked)}


def fine(
    model: Model, middle: Fields, kerb: Kerb, area: Rectangle, asked: tuple[Wishes, Standing, Progress]
) -> Iterator[tuple[Rectangle, Array]]:
    """Fields of L over an area of its cells, in strips of its full width from south to north, each cell once."""
    wishes, standing, progress = asked
    told = Asked(model.place, wishes, standing, model.compute, progress)
    return sample_fine(model.stages["L"], middle, kerb, area, told)


def kerb_of(lines: NDArray[Any], width_m: NDArray[np.float64]) -> Kerb:
    """What stage L is told of streets: from centrelines and their widths between kerbs, in metres."""
    tree = shapely.STRtree(lines)
    reach_m = KERB_REACH_M + max(WIDTH_M)

    def kerb(area: Rectangle) -> Array:
        frame = frame_of(area, FINE_M)
        west, south, east, north = frame.bounds
        near = np.sort(tree.query(shapely.box(west - reach_m, south - reach_m, east + reach_m, north + reach_m)))
        distance = kerb_distance(lines[near], width_m[near], frame, FINE_M)
        return kerb_channel(np.broadcast_to(distance, (4, *distance.shape)))[None]

    return kerb


def physical(fields: Fields, stage: str) -> dict[str, Array]:
    """Fields in units, by name.

    ``share`` of buildings in each stage. G: ``volume_m`` (m3/m2), ``street`` and ``major`` (m/m2). R: ``volume_m``,
    ``nearness`` of the nearest street (1 on it, 0 at 30 m and beyond) and ``street_m``, its distance. L: ``wall_m``,
    positive inside, and ``height_m``.
    """
    values = fields.values
    found = {"share": np.clip((values[0] + 1) / 2, 0, 1)}
    if stage == "L":
        height = np.expm1(np.maximum(values[2] + 0.9, 0)) * HEIGHT_SCALE_M
        return found | {"wall_m": values[1] / 2 * WALL_CAP_M, "height_m": height}
    found["volume_m"] = np.square(np.maximum(values[2] + 0.5, 0)) * VOLUME_SCALE_M
    if stage == "G":
        street, major = (np.square(np.maximum(values[k] + 1, 0)) * STREET_SCALE for k in (3, 4))
        return found | {"street": street, "major": major}
    nearness = np.clip((values[3] + 1) / 2, 0, 1)
    return found | {"nearness": nearness, "street_m": (1 - nearness) * ROAD_FALL_M}
