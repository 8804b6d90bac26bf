"""The front door of the scene model: load it, ask it for the fields of an area, stage by stage.

The order of a scene is :func:`coarse_and_middle`, then the caller traces streets from R's fields, then :func:`fine`
with the kerbs of those streets. Fields are a function of the model, the seed, the wishes and the place in the world;
without wishes and own features they do not depend on the area's cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from .cascade import Asked, Fields, Kerb, sample_coarse, sample_fine, sample_middle
from .fields import FINE_M, KERB_REACH_M, kerb_distance
from .model import StageModel, StageSettings
from .needs import areas_of, needed
from .sampling import Rectangle
from .stages import (
    HEIGHT_SCALE_M,
    STAGES,
    STREET_SCALE,
    VOLUME_SCALE_M,
    WALL_CAP_M,
    G,
    kerb_channel,
)
from .standing import Standing, frame_of
from .wishes import Wishes, fulfilled

__all__ = ["Model", "coarse_and_middle", "fine", "kerb_of", "load", "physical", "tiny"]

Array = NDArray[np.float32]

COARSEST_SHARE = 0.05
"""Part of the progress of :func:`coarse_and_middle` that stage G takes."""


@dataclass(frozen=True)
class Model:
    """A scene model in a style, ready on a device.

    Attributes
    ----------
    own
        What a style is called that was fitted to an example.
    touching
        Share of the buildings that touch another one in this style; None where nobody has counted.

    """

    card: SceneCard
    stages: dict[str, StageModel]
    compute: Compute
    style: str
    own: str = ""
    touching: float | None = None

    @property
    def called(self) -> str:
        """What the style is called."""
        return self.own or self.style

    @property
    def named(self) -> str:
        """Name, version, and eight digits that name its weights."""
        return f"{self.card.name} {self.card.version} {self.card.hash}"

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
    return Model(
        card,
        {name: weights.fitted(card, name, compute) for name in STAGES},
        compute,
        style,
        touching=card.touching.get(style),
    )


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
    card = SceneCard("tiny", "0", "", cards.SHIPPED, (), {"nowhere": 0}, about)
    return Model(card, stages, compute, MIXED)


def coarse_and_middle(
    model: Model, area: Rectangle, wishes: Wishes, standing: Standing, progress: Progress, finest_m: int = FINE_M
) -> dict[str, Fields]:
    """Fields of G and, unless ``finest_m`` is 50 or more, of R, as far beyond the area as stage L needs them.

    ``area`` is in cells of L. G meets the wishes on the ground; R follows it. Fields far from the standing's extent
    that nothing of it hangs on are open ground.
    """
    areas, wanted = areas_of(area), needed(standing.extent, area, finest_m)
    share = COARSEST_SHARE if finest_m < G.cell_m else 1.0
    asked = Asked(model.place, wishes, standing, model.compute, progress.step(0.0, share), wanted)
    coarse = sample_coarse(model.stages["G"], areas["G"], asked)
    kept = standing.complete(G, areas["G"]) > 0.5
    coarse = Fields(areas["G"], fulfilled(coarse.values, standing.land(areas["G"]), kept, wishes))
    if finest_m >= G.cell_m:
        return {"G": coarse}
    asked = replace(asked, progress=progress.step(share, 1.0))
    return {"G": coarse, "R": sample_middle(model.stages["R"], coarse, areas["R"], asked)}


def fine(
    model: Model, middle: Fields, kerb: Kerb, area: Rectangle, asked: tuple[Wishes, Standing, Progress]
) -> Iterator[tuple[Rectangle, Array]]:
    """Fields of L over an area of its cells, in strips of its full width from south to north, each cell once."""
    wishes, standing, progress = asked
    wanted = needed(standing.extent, area, FINE_M)
    told = Asked(model.place, wishes, standing, model.compute, progress, wanted)
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

    ``share`` of buildings in each stage. G and R: ``volume_m`` (m3/m2). G: ``street`` (m/m2). L: ``wall_m``, positive
    inside, and ``height_m``.
    """
    values = fields.values
    found = {"share": np.clip((values[0] + 1) / 2, 0, 1)}
    if stage == "L":
        height = np.expm1(np.maximum(values[2] + 0.9, 0)) * HEIGHT_SCALE_M
        return found | {"wall_m": values[1] / 2 * WALL_CAP_M, "height_m": height}
    found["volume_m"] = np.square(np.maximum(values[2] + 0.5, 0)) * VOLUME_SCALE_M
    return found | {"street": np.square(np.maximum(values[3] + 1, 0)) * STREET_SCALE} if stage == "G" else found
