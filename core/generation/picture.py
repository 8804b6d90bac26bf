"""A small map of a scene for its report: exact shares of water, green, streets and buildings per pixel, mixed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..scene.fields import Frame
from ..scene.vectors import Scene
from ..scene_files.classes import polygons_of
from .rasters import Shapes, carriageways_of, covered_by
from .site import Site
from .tables import use_of

SIDE_PX = 900
LEAST_PX_M = 0.5

PAPER = (247, 244, 238)
COLOURS = {
    "land": (236, 231, 221),
    "green": (205, 222, 184),
    "water": (168, 203, 224),
    "streets": (255, 255, 255),
    "own streets": (250, 226, 160),
    "own buildings": (96, 96, 104),
    "buildings": (178, 122, 100),
}
"""From the lowest to the uppermost."""


def picture_of(site: Site, scene: Scene) -> NDArray[np.uint8]:
    """The map as ``(rows, cols, 3)``, north up."""
    west, south, east, north = site.area.bounds
    cell_m = max(max(east - west, north - south) / SIDE_PX, LEAST_PX_M)
    cols, rows = math.ceil((east - west) / cell_m), math.ceil((north - south) / cell_m)
    frame = Frame(west, north, cols * cell_m, rows * cell_m)
    picture = np.broadcast_to(np.array(PAPER, np.float64), (rows, cols, 3)).copy()
    for name, shapes in _grounds(site, scene).items():
        share = covered_by(shapes, frame, cell_m)[:rows, :cols, None]
        picture += share * (np.array(COLOURS[name]) - picture)
    return np.round(picture).astype(np.uint8)


def _grounds(site: Site, scene: Scene) -> dict[str, Shapes]:
    """Polygons of each colour."""
    use, _ = use_of(site, scene)
    own = len(site.roads)
    ways = carriageways_of(scene)
    return {
        "land": polygons_of(np.array([site.land], object)),
        "green": np.concatenate([site.ground.green, scene.land_use.shapes[use == "green"]]),
        "water": site.ground.water,
        "streets": polygons_of(ways[own:]),
        "own streets": polygons_of(ways[:own]),
        "own buildings": polygons_of(site.buildings.valid),
        "buildings": scene.buildings.shapes,
    }
