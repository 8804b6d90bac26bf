"""A user's own town as an example only: the model learns its style, and what it comes to becomes the wish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely

from .. import vector
from ..buildings.infill import TOUCH_M
from ..errors import TerrainError
from ..jobs.generatescene import Settings
from ..progress import Progress
from ..scene import style_fit
from ..scene.generating import Model
from ..scene.preparation import cleaned
from ..scene.stages import STAGES
from ..scene.wishes import Wishes
from ..scene_files import Place, UserLayer, read_layer
from ..scene_files.classes import heights_m
from .chain import Order
from .site import Site, ranks_of

Example = tuple[UserLayer, UserLayer]
"""Roads and buildings that show a style."""

MOST_FEATURES = 50_000
NEAR_M = 10_000.0
"""Of layers with more features, those so near to the area are read."""
LEAST_KNOWN = 0.1
"""Share of the buildings whose height must be known for their mean to be taken."""
GRAIN_M = 40.0
"""Features so near to each other are one town."""


def read_example(settings: Settings, place: Place, area: Any) -> Example:
    """Roads and buildings that only show the style: all there are, or those near the area of large layers."""
    roads, buildings = (
        read_layer(path, layer, kind, place.work_crs, _within(path, layer, area))
        for path, layer, kind in (
            (settings.roads, settings.roads_layer, "line"),
            (settings.buildings, settings.buildings_layer, "polygon"),
        )
    )
    if not len(roads) and not len(buildings):
        raise TerrainError(
            f"No roads or buildings that are to show the style lie within {NEAR_M / 1000:g} km of the area; choose "
            "layers that have some there, or smaller ones, which are read whole."
        )
    return roads, buildings


def _within(path: str, layer: str, area: Any) -> Any:
    """Where features are read: around the area in layers that are too large to be read whole."""
    if not path or vector.Features(path, layer).count <= MOST_FEATURES:
        return None
    return shapely.buffer(area, NEAR_M)


def by_example(settings: Settings, given: tuple[Model, Order], site: Site, progress: Progress) -> tuple[Model, Order]:
    """The model in the style of the user's roads and buildings, and wishes from them where none were given."""
    model, order = given
    example = read_example(settings, site.place, site.area)
    order = replace(order, wishes=as_wishes(order.wishes, example))
    return in_style(model, example, settings.seed, progress), order


def in_style(model: Model, example: Example, seed: int, progress: Progress) -> Model:
    """The model in the style of an example; one that is too small leaves it as it is."""
    roads, buildings = example
    town = cleaned("example", "", (buildings.work, heights_m(buildings)), (roads.work, ranks_of(roads)))
    if not style_fit.tells(town):
        progress.warn(
            "The roads and buildings that are to show the style are too few for the model to learn it; they only set "
            f"coverage, heights and streets, and the style is {model.style}."
        )
        return model
    fit = style_fit.fitted(model, town, seed, progress)
    near = dict.fromkeys(fit.nearest[name] for name in STAGES if name in fit.nearest)
    touching = _touching(buildings) if len(buildings) else model.touching
    return replace(fit.model, own=f"own, nearest to {' and '.join(near)}", touching=touching)


def _touching(buildings: UserLayer) -> float:
    """Share of the buildings that touch another one."""
    one, two = shapely.STRtree(buildings.valid).query(buildings.valid, "dwithin", distance=TOUCH_M)
    return len(np.unique(one[one != two])) / len(buildings)


def as_wishes(wishes: Wishes, example: Example) -> Wishes:
    """Wishes with coverage, mean height and street density of an example where nothing was asked for."""
    roads, buildings = example
    town = _town(roads, buildings)
    found: dict[str, float] = {}
    if town.area == 0:
        return wishes
    if len(buildings):
        size = shapely.area(shapely.intersection(buildings.valid, town))
        found["coverage"] = float(min(size.sum() / town.area, 0.7))
        height = heights_m(buildings)
        known = np.isfinite(height) & (size > 0)
        if known.mean() >= LEAST_KNOWN:
            found["mean_height_m"] = float((size * np.nan_to_num(height))[known].sum() / size[known].sum())
    if len(roads):
        length_km = float(shapely.length(shapely.intersection(roads.work, town)).sum()) / 1e3
        found["street_density"] = length_km / (town.area / 1e6)
    if wishes.far is not None:
        found.pop("mean_height_m", None)
    return replace(
        wishes,
        coverage=found.get("coverage") if wishes.coverage is None else wishes.coverage,
        mean_height_m=found.get("mean_height_m") if wishes.mean_height_m is None else wishes.mean_height_m,
        street_density=found.get("street_density") if wishes.street_density is None else wishes.street_density,
    )


def _town(roads: UserLayer, buildings: UserLayer) -> Any:
    """The ground that the example covers: its features and what lies between them."""
    every = np.concatenate([roads.work, buildings.valid])
    wide = shapely.union_all(shapely.buffer(every, GRAIN_M, quad_segs=2))
    return shapely.buffer(wide, -GRAIN_M / 2, quad_segs=2)
