"""Land use of blocks by rule, from all buildings in them, or from the fields of 10 m where no buildings are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from ..buildings.storeys import FLOOR_M, floors_of
from ..landuse.rules import built_up, classed
from ..scene import generating
from ..scene.cascade import Fields
from ..scene.fields import MIDDLE_M
from ..scene.vectors import Scene, with_objects
from .site import Site
from .tables import use_of

Floats = NDArray[np.float64]


def by_buildings(site: Site, scene: Scene, green_share: float | None) -> Scene:
    """The scene with land use that knows the user's own buildings too."""
    if not len(site.buildings):
        return scene
    shapes = np.concatenate([site.buildings.valid, scene.buildings.shapes])
    floors = np.concatenate([floors_of(site.likely_height_m), scene.buildings.floors])
    facts = built_up(scene.blocks.shapes, shapes, floors)
    return replace(scene, land_use=classed(scene.blocks.shapes, facts, green_share))


def planted(site: Site, scene: Scene, seed: int) -> Scene:
    """The scene with trees and lamps, by the land use that its layer shows."""
    use, _ = use_of(site, scene)
    scene = replace(scene, land_use=replace(scene.land_use, kind=use.astype(str)))
    return with_objects(scene, site.surroundings, seed)


def by_fields(scene: Scene, middle: Fields, green_share: float | None) -> Scene:
    """The scene with land use by what the fields of 10 m say; footprints are not known there."""
    blocks = scene.blocks.shapes
    number, share, volume = in_blocks(blocks, middle)
    size = np.maximum(np.bincount(number, minlength=len(blocks)), 1)
    covered, filled = (np.bincount(number, values, len(blocks)) for values in (share, volume))
    floors = filled / np.maximum(covered, 1e-9) / FLOOR_M
    facts = (covered / size, np.asarray(floors, np.float64), np.zeros(len(blocks)))
    return replace(scene, land_use=classed(blocks, facts, green_share))


def in_blocks(blocks: NDArray[np.object_], middle: Fields) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Block, share of buildings and volume in m3/m2 of each cell of 10 m whose centre lies in a block."""
    area, found = middle.area, generating.physical(middle, "R")
    cols, rows = np.meshgrid(np.arange(area.cols), np.arange(area.rows))
    x = (area.west + cols.ravel() + 0.5) * MIDDLE_M
    y = (area.south + area.rows - rows.ravel() - 0.5) * MIDDLE_M
    cell, block = shapely.STRtree(blocks).query(shapely.points(x, y), predicate="intersects")
    share, volume = (np.asarray(found[name], np.float64).ravel()[cell] for name in ("share", "volume_m"))
    return np.asarray(block, np.int64), share, volume


def field_figures(site: Site, middle: Fields) -> dict[str, float]:
    """Coverage in per cent, floor-area ratio and mean height by the fields of 10 m, over the land."""
    _, share, volume = in_blocks(np.array([site.land], object), middle)
    if not len(share):
        return {"coverage": 0.0, "far": 0.0, "mean_height": 0.0}
    return {
        "coverage": round(float(share.mean()) * 100, 3),
        "far": round(float(volume.mean()) / FLOOR_M, 5),
        "mean_height": round(float(volume.sum() / max(share.sum(), 1e-9)), 3),
    }
