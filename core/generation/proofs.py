"""Promises of a scene, proved before anything is written; a broken one ends the run with a sentence."""

from __future__ import annotations

import numpy as np
import shapely

from ..errors import TerrainError
from ..progress import Progress
from ..scene.vectors import Scene
from ..scene_check.validate import Layers, Violation, counts, validate
from .site import Site

ABOUT_STREETS = ("streets apart", "crossing without junction", "unjoined end", "dangling sliver", "too steep")
"""Rules that only streets can break."""


def proved(site: Site, scene: Scene, limit: float, progress: Progress, *, streets_too: bool = True) -> list[Violation]:
    """What could not be kept for a reason outside of us, such as an island; raises where a promise is broken.

    Where all streets are the user's own, ``streets_too`` is false: whether they are one net is not our promise.
    """
    buildings = np.concatenate([site.buildings.work, scene.buildings.shapes])
    layers = Layers(
        scene.roads, scene.width_m, np.arange(len(scene.roads)) < len(site.roads), scene.blocks.shapes, buildings,
        np.arange(len(buildings)) < len(site.buildings), site.ground.water,
        np.concatenate([site.roads.work, site.buildings.work]), None, site.surroundings.area,
    )  # fmt: skip
    found = validate(layers, site.heights(limit), progress)
    if not streets_too:
        found = [one for one in found if one.rule not in ABOUT_STREETS]
    refuse(found)
    return found


def refuse(found: list[Violation]) -> None:
    """Raise where a rule is broken without an excuse."""
    broken = {rule: number for rule, number in counts(found).items() if number}
    if not broken:
        return
    first = next(one for one in found if not one.excuse)
    point = shapely.point_on_surface(first.shape)
    said = ", ".join(f"{number} x {rule}" for rule, number in broken.items())
    raise TerrainError(
        f"The result does not keep its promises ({said}; first near {point.x:.1f}, {point.y:.1f}: {first.text}) "
        "Nothing was written; try another seed, and please report this with the layers given."
    )
