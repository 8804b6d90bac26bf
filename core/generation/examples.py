"""A user's own town as an example only: what it comes to becomes the wish where none was given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely

from ..scene.wishes import Wishes
from ..scene_files import UserLayer
from ..scene_files.classes import heights_m
from .site import Site

LEAST_KNOWN = 0.1
"""Share of the buildings whose height must be known for their mean to be taken."""
GRAIN_M = 40.0
"""Features so near to each other are one town."""


def as_wishes(wishes: Wishes, example: tuple[UserLayer, UserLayer], site: Site) -> Wishes:
    """Wishes with coverage, mean height and street density of an example where nothing was asked for."""
    roads, buildings = example
    town = _town(roads, buildings, site)
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


def _town(roads: UserLayer, buildings: UserLayer, site: Site) -> Any:
    """The ground that the example covers: its features and what lies between them."""
    every = np.concatenate([roads.work, buildings.valid])
    wide = shapely.union_all(shapely.buffer(every, GRAIN_M, quad_segs=2))
    return shapely.intersection(shapely.buffer(wide, -GRAIN_M / 2, quad_segs=2), site.land)
