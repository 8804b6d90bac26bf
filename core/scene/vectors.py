"""The vector half of a scene: from fields of the model to streets, junctions, blocks, buildings, land use and objects.

Two steps, since the finest fields are made for streets that lie already: :func:`lay_streets`, then :func:`build_up`.
:func:`with_objects` comes last, once the land use is settled.
The same fields, surroundings, targets and versions give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..blocks.faces import Blocks, blocks
from ..buildings.build import Buildings, FineField, Targets, buildings
from ..errors import TerrainError
from ..landuse.rules import LandUse, Objects, land_use, no_objects, objects
from ..progress import Progress
from ..streets import network as net
from ..streets.build import EMPTY, StreetResult, StreetSettings, Surroundings, streets
from ..streets.street_field import StreetField
from ..streets.terrain import Terrain
from ..streets.widths import fitted

Shapes = NDArray[Any]


@dataclass(frozen=True)
class Existing:
    """The user's own features as they were read: lines with ranks and polygons; never changed, only built around.

    ``own_width_m`` are the roads' widths between kerbs; without it each has the usual one of its rank.
    """

    roads: Shapes
    rank: NDArray[np.int64]
    buildings: Shapes
    water: Shapes
    own_width_m: NDArray[np.float64] | None = None

    @property
    def width_m(self) -> NDArray[np.float64]:
        """Width between kerbs of each road."""
        return np.asarray(net.WIDTH_M)[self.rank] if self.own_width_m is None else self.own_width_m


@dataclass(frozen=True)
class Scene:
    """All vector layers; ``roads`` are the user's own lines as they were, then the generated pieces of the net."""

    roads: Shapes
    road_rank: NDArray[np.int64]
    width_m: NDArray[np.float64]
    net: StreetResult
    blocks: Blocks
    buildings: Buildings
    land_use: LandUse
    objects: Objects = field(default_factory=no_objects)


def nothing() -> Existing:
    """No feature of the user's."""
    none = np.zeros(0, object)
    return Existing(none, np.zeros(0, np.int64), none, none)


def clean_area(area: Any) -> Any:
    """The polygonal part of an area, valid and on the millimetre grid.

    Raises
    ------
    TerrainError
        Nothing of it is a polygon of at least 100 m2.

    """
    valid = shapely.make_valid(shapely.force_2d(area), method="structure", keep_collapsed=False)
    valid = shapely.set_precision(valid, net.GRID_M)
    parts = [part for part in shapely.get_parts(shapely.get_parts([valid])) if part.geom_type == "Polygon"]
    whole = shapely.union_all(np.array(parts, object), grid_size=net.GRID_M) if parts else EMPTY
    if whole.area < 100.0:
        message = f"The area covers {whole.area:.1f} m2; draw a polygon of at least 100 m2."
        raise TerrainError(message)
    return whole


def around(area: Any, existing: Existing, terrain: Terrain | None = None) -> Surroundings:
    """What generated features have to respect, with broken shapes mended for this purpose only."""
    lines = shapely.get_parts(existing.roads)
    number = np.repeat(np.arange(len(existing.roads)), shapely.get_num_geometries(existing.roads))
    line = shapely.get_type_id(lines) == shapely.GeometryType.LINESTRING
    own = net.planar(net.of_lines(lines[line], existing.rank[number[line]], net.EXISTING, number[line]))
    own = replace(own, fitted_m=existing.width_m[own.source])
    return Surroundings(clean_area(area), _whole(existing.water), own, _whole(existing.buildings), terrain)


def _whole(shapes: Shapes) -> Any:
    """The union of polygons, mended where needed."""
    if not len(shapes):
        return EMPTY
    mended = shapely.make_valid(shapely.force_2d(shapes), method="structure", keep_collapsed=False)
    parts = shapely.get_parts(shapely.get_parts(mended))
    return shapely.union_all(parts[shapely.area(parts) > 0], grid_size=net.GRID_M)


def lay_streets(
    fields: StreetField, surroundings: Surroundings, settings: StreetSettings, progress: Progress | None = None
) -> StreetResult:
    """The street net of an area."""
    return streets(fields, surroundings, settings, progress)


def build_up(
    fields: FineField, laid: StreetResult, surroundings: Surroundings, existing: Existing,
    targets: Targets, progress: Progress | None = None,
) -> Scene:  # fmt: skip
    """Everything that follows from the streets and the finest fields but trees and lamps."""
    progress = progress or Progress()
    progress.report(0.0, "Laying out blocks")
    network = fitted(laid.network, fields.wall_m, fields.lattice)
    ground = blocks(network, surroundings.area, surroundings.water, progress.step(0.0, 0.15))
    built = buildings(fields, network, ground, surroundings, targets, progress.step(0.15, 0.85))
    progress.report(0.85, "Choosing land use")
    use = land_use(ground, built, targets.green_share)
    own = network.origin != net.EXISTING
    new = network.take(own)
    roads = np.concatenate([existing.roads, new.lines])
    rank = np.concatenate([existing.rank, new.rank])
    width = np.concatenate([existing.width_m, new.width_m])
    progress.report(1.0, "Scene built")
    return Scene(roads, rank, width, replace(laid, network=network), ground, built, use)


def with_objects(scene: Scene, surroundings: Surroundings, seed: int) -> Scene:
    """The scene with trees and lamps for its land use."""
    ground = (surroundings.area, shapely.union(surroundings.buildings, surroundings.water))
    things = objects(scene.net.network, scene.land_use, scene.buildings, ground, seed)
    return replace(scene, objects=things)
