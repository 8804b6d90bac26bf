"""Figures of a scene: what it has come to against what was asked for, and the form of the town."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..buildings.storeys import floors_of
from ..scene.vectors import Scene
from ..scene_check.validate import Violation
from ..streets import network as net
from ..streets.network import Network
from ..streets.obstacles import Obstacles, clipped
from .site import Site

Floats = NDArray[np.float64]


def standing_m2(site: Site) -> Floats:
    """Ground of each own building inside the area."""
    return np.asarray(shapely.area(clipped(site.buildings.valid, site.surroundings.area)))


def floor_area_m2(site: Site) -> float:
    """Floors of the user's own buildings inside the area; unknown ones count as two floors."""
    if not len(site.buildings):
        return 0.0
    return float((standing_m2(site) * floors_of(site.likely_height_m)).sum())


def built_figures(site: Site, scene: Scene) -> dict[str, float | int]:
    """Coverage and floor-area ratio with the user's buildings, heights of the new ones, weighted by footprint."""
    land = float(site.land.area)
    new = shapely.area(scene.buildings.shapes)
    own = float(shapely.intersection(site.surroundings.buildings, site.surroundings.area).area)
    floors = float((new * scene.buildings.floors).sum()) + floor_area_m2(site)
    mean = float((new * scene.buildings.height_m).sum() / new.sum()) if new.sum() > 0 else 0.0
    return {
        "land_km2": round(land / 1e6, 6), "buildings": len(new), "existing_buildings": len(site.buildings),
        "coverage": round((float(new.sum()) + own) / land, 5), "far": round(floors / land, 5),
        "mean_height": round(mean, 3), "median_footprint_m2": round(float(np.median(new)), 2) if len(new) else 0.0,
        "buildings_per_km2": round((len(new) + len(site.buildings)) / land * 1e6, 1),
    }  # fmt: skip


def street_figures(site: Site, network: Network) -> dict[str, float | int]:
    """Length, junctions and dead ends of the net in the area, the user's own streets included."""
    land = float(site.land.area)
    length = float(shapely.length(clipped(network.lines, site.surroundings.area)).sum())
    nodes = net.nodes(network)
    degree = nodes.degree[shapely.dwithin(site.surroundings.area, shapely.points(nodes.points), net.GRID_M)]
    count = max(int((degree != 2).sum()), 1)
    return {
        "roads": int(_touching(site, network).sum()), "street_km": round(length / 1e3, 4),
        "density": round(length / 1e3 / (land / 1e6), 4),
        "junctions": int((degree >= 3).sum()), "dead_end_share": round(float((degree == 1).sum()) / count, 4),
        "three_way_share": round(float((degree == 3).sum()) / count, 4),
        "four_way_share": round(float((degree >= 4).sum()) / count, 4),
        "components": components(site, network),
    }  # fmt: skip


def components(site: Site, network: Network) -> int:
    """How many connected components of a net touch the area; own roads may connect them outside of it."""
    nodes = net.nodes(network)
    return len(np.unique(nodes.component[nodes.ends[_touching(site, network), 0]]))


def _touching(site: Site, network: Network) -> NDArray[np.bool_]:
    return np.asarray(shapely.dwithin(site.surroundings.area, network.lines, net.GRID_M), bool)


def block_figures(site: Site, scene: Scene, green: NDArray[np.bool_]) -> dict[str, float | int]:
    """Number and size of blocks, and the share of their ground that is green."""
    area = shapely.area(scene.blocks.shapes)
    return {
        "blocks": len(area),
        "median_block_m2": round(float(np.median(area)), 1) if len(area) else 0.0,
        "green": round(green_m2(site, scene, green) / max(float(area.sum()), 1e-9), 5),
    }


def green_in(site: Site, shapes: NDArray[Any]) -> Floats:
    """Ground in each shape that is green by the land cover, in m2."""
    parks = Obstacles(shapely.union_all(site.ground.green))
    out = np.zeros(len(shapes))
    for k in np.flatnonzero(parks.touch(shapes)):
        out[k] = shapely.intersection(shapes[k], parks.near(shapes[k])).area
    return out


def green_m2(site: Site, scene: Scene, green: NDArray[np.bool_]) -> float:
    """Ground of green blocks, and the land cover's green in the others."""
    shapes = scene.land_use.shapes
    whole = float(shapely.area(shapes[green]).sum())
    if len(site.ground.green):
        whole += float(green_in(site, shapes[~green]).sum())
    return whole


NEAR_ENOUGH = {"coverage": (2.0, 0.0), "green": (5.0, 0.0), "far": (0.02, 0.05), "mean_height": (0.2, 0.05),
               "density": (0.5, 0.1)}  # fmt: skip
"""How far what is delivered may be off before a word is said: absolutely, or as a share of the wish."""
SAID = {"coverage": "a coverage of {} %", "green": "a green share of {} %", "far": "a floor-area ratio of {}",
        "mean_height": "a mean height of {} m", "density": "a street density of {} km/km2"}  # fmt: skip
BUILT_UP = (
    "what stands already, water, streets and the ground between them, or blocks of their size, allow nothing nearer"
)
WHY = {"density": "the model follows this wish only so far, and what is there already stays; try another style"}
"""Why a wish is not met; :data:`BUILT_UP` where nothing else is known."""
ONE_FLOOR = "buildings have one floor at least; ask for less coverage too"


def missed(found: dict[str, dict[str, float | None]]) -> list[str]:
    """A sentence for each wish that is not met nearly enough."""
    said = []
    for name, one in found.items():
        wish, got = one["asked"], one["delivered"]
        if wish is None or got is None or name not in NEAR_ENOUGH:
            continue
        if abs(got - wish) > max(NEAR_ENOUGH[name][0], NEAR_ENOUGH[name][1] * wish):
            asked, delivered = SAID[name].format(f"{wish:g}"), SAID[name].format(f"{got:.3g}").partition(" of ")[2]
            said.append(f"{asked.capitalize()} was asked for, {delivered} came of it: {_why(name, found)}.")
    return said


def _why(name: str, found: dict[str, dict[str, float | None]]) -> str:
    """Why a wish is not met."""
    far, coverage = (found.get(one, {}).get("delivered") or 0.0 for one in ("far", "coverage"))
    is_low = name == "far" and far > (found["far"]["asked"] or 0.0) and far < coverage / 100 * 1.01
    return ONE_FLOOR if is_low else WHY.get(name, BUILT_UP)


def left_apart(excused: Sequence[Violation]) -> str:
    """A sentence on the parts of the street net that nothing may join; empty where there are none."""
    if not excused:
        return ""
    why = ", ".join(sorted({one.excuse for one in excused}))
    parts = "1 part of the streets is" if len(excused) == 1 else f"{len(excused)} parts of the streets are"
    return f"{parts} not joined to the rest ({why}); the attribute apart of the roads says where."


def nothing_made(counts: Mapping[str, int], style: str, seed: int) -> str:
    """A sentence on what there is none of, of ``counts`` by name; empty where there is some of each."""
    none = [name for name, count in counts.items() if not count]
    if not none:
        return ""
    what = "Neither streets nor buildings were" if len(none) == 2 else f"No {none[0].removesuffix('s')} was"
    return (
        f"{what} made: in the style {style} with seed {seed} the model sees open ground here, or nothing is free. Try "
        "another seed or style or a larger area, or give a coverage."
    )


def asked_and_delivered(asked: dict[str, float | None], figures: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Both figures and their difference for each wish; without a wish only what came of it."""
    return {
        name: {
            "asked": wish,
            "delivered": figures[name],
            "off": None if wish is None else round(figures[name] - wish, 5),
        }
        for name, wish in asked.items()
        if name in figures
    }
