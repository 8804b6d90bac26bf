"""What is proved and what comes of it: the layers to look at, a DEM, and broken rules with place, figure and sentence.

Coordinates are metres of a projected CRS. Imports numpy and shapely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Shapes = NDArray[Any]

RULES = (
    "invalid geometry", "streets apart", "crossing without junction", "unjoined end", "dangling sliver", "too steep",
    "street in water", "buildings overlap", "building on existing building", "building on street", "building in water",
    "block not closed", "street through block", "blocks overlap", "feature changed", "scales disagree",
)  # fmt: skip
"""Names of all rules, in the order in which broken ones are listed."""


def none() -> Shapes:
    """No shape at all."""
    return np.zeros(0, object)


@dataclass(frozen=True)
class Layers:
    """What is to be proved; layers that are not given are not checked.

    Attributes
    ----------
    roads, width_m, road_kept, bridge
        Centrelines, widths between kerbs, whether each is the user's own (such lines are only listed), and whether each
        may cross water. Without widths streets are lines.
    blocks, buildings, building_kept
        Polygons, and whether each building is the user's own. Rules are about pairs with at least one generated member.
    water
        Shapes that nothing generated may stand on.
    before
        The user's own features, each of which must be in the layers to the byte.
    area
        Where the layers end; blocks may end there too, and streets on two pieces of it may be apart. None takes the
        outer edge of blocks and streets for blocks, and no edge at all for streets.

    """

    roads: Shapes = field(default_factory=none)
    width_m: Floats | None = None
    road_kept: Flags | None = None
    blocks: Shapes = field(default_factory=none)
    buildings: Shapes = field(default_factory=none)
    building_kept: Flags | None = None
    water: Shapes = field(default_factory=none)
    before: Shapes = field(default_factory=none)
    bridge: Flags | None = None
    area: Any = None


@dataclass(frozen=True)
class Heights:
    """A DEM: heights ``(rows, cols)``, west and north edge and cell size in metres, and the steepest grade allowed."""

    height_m: Floats
    west_m: float
    north_m: float
    cell_m: float
    limit: float


@dataclass(frozen=True)
class Violation:
    """A broken rule: its name, where, by how much, and a sentence.

    ``excuse`` names what forbids to keep the rule (water, the user's own gap, slope); then it is listed, not counted.
    """

    rule: str
    shape: Any
    amount: float
    text: str
    excuse: str = ""


@dataclass(frozen=True)
class Ready:
    """Layers that every rule can be asked on: single lines, valid polygons, one width and flag for each."""

    roads: Shapes
    width_m: Floats
    road_kept: Flags
    bridge: Flags
    blocks: Shapes
    buildings: Shapes
    building_kept: Flags
    water: Shapes
    area: Any


def ready(layers: Layers) -> Ready:
    """Copies of layers with multiple lines taken apart, and broken polygons mended for the other rules.

    Raises
    ------
    ValueError
        A column has another length than its layer.

    """
    columns = {
        "widths": (layers.width_m, layers.roads), "flags of roads": (layers.road_kept, layers.roads),
        "flags of bridges": (layers.bridge, layers.roads),
        "flags of buildings": (layers.building_kept, layers.buildings),
    }  # fmt: skip
    for name, (values, shapes) in columns.items():
        if values is not None and len(values) != len(shapes):
            message = f"There are {len(values)} {name} for {len(shapes)} features; give one for each."
            raise ValueError(message)
    roads, owner = shapely.get_parts(shapely.force_2d(layers.roads), return_index=True)
    lines = (shapely.get_type_id(roads) == shapely.GeometryType.LINESTRING) & (shapely.length(roads) > 0)
    roads, owner = roads[lines], owner[lines]
    buildings, building = _polygons(layers.buildings)
    return Ready(
        roads,
        _column(layers.width_m, layers.roads, 0.0)[owner].astype(np.float64),
        _column(layers.road_kept, layers.roads, False)[owner],
        _column(layers.bridge, layers.roads, False)[owner],
        _polygons(layers.blocks)[0],
        buildings,
        _column(layers.building_kept, layers.buildings, False)[building],
        _pieces(_polygons(layers.water)[0]),
        layers.area,
    )


def _column(values: NDArray[Any] | None, shapes: Shapes, usual: Any) -> NDArray[Any]:
    return np.full(len(shapes), usual) if values is None else np.asarray(values)


def _polygons(shapes: Shapes) -> tuple[Shapes, NDArray[np.int64]]:
    """Polygons with an area, mended where needed, and the number of each one's feature."""
    shapes = shapely.force_2d(np.asarray(shapes, object))
    broken = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    if broken.any():
        shapes = shapes.copy()
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    keep = np.flatnonzero(shapely.area(shapes) > 0)
    return shapes[keep], keep


def _pieces(shapes: Shapes, most: int = 512) -> Shapes:
    """The same ground in polygons of few points, so that asking about a lake of a million points takes no time."""
    done, waiting = [], list(shapely.get_parts(shapes))
    while waiting:
        shape = waiting.pop()
        if shapely.get_num_coordinates(shape) <= most:
            done.append(shape)
            continue
        west, south, east, north = shape.bounds
        wide = east - west > north - south
        middle = (west + east) / 2 if wide else (south + north) / 2
        halves = (
            ((west, south, middle, north), (middle, south, east, north)) if wide
            else ((west, south, east, middle), (west, middle, east, north))
        )  # fmt: skip
        for half in halves:
            parts = shapely.get_parts(shapely.intersection(shape, shapely.box(*half)))
            waiting += list(parts[shapely.area(parts) > 0])
    return np.array(done, object)
