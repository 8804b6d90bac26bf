"""What lies on the ground before a scene is made, in metres: area, own features, water, green, heights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .. import raster
from ..buildings.build import SETBACK_M
from ..errors import TerrainError
from ..jobs.scene import GroundSettings
from ..progress import Progress
from ..scene.road_classes import known_words, ranks
from ..scene.vectors import Existing, around
from ..scene_check.validate import Heights
from ..scene_files import Place, Relief, UserLayer, nothing, read_layer, read_relief
from ..scene_files.classes import green_of, heights_m, parks_of, polygons_of, road_classes, road_widths_m, water_of
from ..scene_files.place import Shapes
from ..streets.build import Surroundings
from ..streets.network import WIDTH_M
from ..streets.street_field import Lattice
from ..streets.terrain import Terrain

Floats = NDArray[np.float64]

LEAST_LAND_M2 = 50.0
USUAL_HEIGHT_M = 6.2
"""Height of an own building that nobody knows; two floors."""

NEAR_M = 400.0
"""Features so far around an area are shown to the model, so that a scene goes on from what surrounds it."""
GRAIN_M = 60.0
"""Around an area, ground so near to the user's features is taken as mapped."""


@dataclass(frozen=True)
class Ground:
    """Water, green and parks of the user's as single polygons in metres; parks are green that stays unbuilt."""

    water: Shapes = field(default_factory=lambda: np.zeros(0, object))
    green: Shapes = field(default_factory=lambda: np.zeros(0, object))
    parks: Shapes = field(default_factory=lambda: np.zeros(0, object))


@dataclass(frozen=True)
class Site:
    """All of it.

    Attributes
    ----------
    place, area
        The CRS of work and results, and the area in that of the work.
    roads, buildings
        Own features that stay; ``rank`` and ``height_m`` are what they say of themselves.
    ground
        Land cover.
    relief
        Heights, or None.
    surroundings
        All of it as the vector half wants it.
    near
        Roads and buildings around the area that do not touch it.

    """

    place: Place
    area: Any
    roads: UserLayer
    buildings: UserLayer
    ground: Ground
    relief: Relief | None
    surroundings: Surroundings
    near: tuple[UserLayer, UserLayer] = field(default_factory=lambda: (nothing(), nothing()))

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """Rank of each own road."""
        return ranks_of(self.roads)

    @cached_property
    def width_m(self) -> Floats:
        """Width between kerbs of each own road."""
        return widths_of(self.roads)

    @cached_property
    def height_m(self) -> Floats:
        """Height of each own building, not a number where unknown."""
        return heights_m(self.buildings)

    @cached_property
    def likely_height_m(self) -> Floats:
        """The same with :data:`USUAL_HEIGHT_M` where unknown."""
        return np.where(np.isfinite(self.height_m), self.height_m, USUAL_HEIGHT_M)

    @property
    def existing(self) -> Existing:
        """Own features as the vector half takes them."""
        return existing_of(self.roads, self.buildings, self.ground)

    @cached_property
    def land(self) -> Any:
        """The area less water."""
        return shapely.difference(self.surroundings.area, self.surroundings.water)

    def heights(self, limit: float) -> Heights | None:
        """Heights for the proofs, with the steepest grade allowed."""
        one = self.relief
        return None if one is None else Heights(one.height_m, one.west_m, one.north_m, one.cell_m, limit)


Own = tuple[UserLayer, UserLayer]
"""Features of one layer that touch the area, and those around it that do not."""


def site_of(place: Place, area: Any, own: tuple[Own, Own], ground: Ground, relief: Relief | None) -> Site:
    """Roads, buildings and all else put together; an area without land is refused."""
    (roads, roads_near), (buildings, buildings_near) = own
    existing = existing_of(roads, buildings, ground)
    surroundings = replace(around(area, existing, _terrain(relief)), parks=shapely.union_all(ground.parks))
    site = Site(place, area, roads, buildings, ground, relief, surroundings, (roads_near, buildings_near))
    if site.land.area < LEAST_LAND_M2:
        raise TerrainError("The area lies in water as the land cover has it; draw it on land, or leave the water out.")
    return site


def existing_of(roads: UserLayer, buildings: UserLayer, ground: Ground) -> Existing:
    """Own features as the vector half takes them."""
    return Existing(roads.work, ranks_of(roads), buildings.work, ground.water, widths_of(roads))


def ranks_of(roads: UserLayer) -> NDArray[np.int64]:
    """Rank of each road by what its layer says."""
    return ranks(road_classes(roads, known_words()))


def widths_of(roads: UserLayer) -> Floats:
    """Width between kerbs of each road: its own, else the usual one of its rank."""
    return road_widths_m(roads, np.asarray(WIDTH_M)[ranks_of(roads)])


def read_own(paths: tuple[str, str], kind: str, place: Place, area: Any) -> Own:
    """Features of a layer, file and name, in the area and around it; roads are in it from kerb to kerb."""
    layer = read_layer(*paths, kind, place.work_crs, shapely.buffer(area, NEAR_M, quad_segs=2))
    reach_m = widths_of(layer) / 2 + SETBACK_M if kind == "line" else 0.0
    touches = np.asarray(shapely.dwithin(area, layer.valid, reach_m), bool)
    return layer.take(touches), layer.take(~touches)


def mapped_around(area: Any, own: UserLayer, near: UserLayer) -> Any:
    """Ground around an area where the user's features are; nothing is to be thought up there."""
    shapes = np.concatenate([own.valid, near.valid])
    if not len(near):
        return shapely.Polygon()
    ring = shapely.difference(shapely.buffer(area, NEAR_M, quad_segs=2), area)
    parts = shapely.buffer(shapes[shapely.intersects(ring, shapes)], GRAIN_M, quad_segs=1)
    return shapely.intersection(shapely.union_all(parts), ring)


def read_ground(paths: tuple[str, str], place: Place, area: Any, progress: Progress, *, is_water: bool) -> Ground:
    """Land cover; ``is_water`` says that a layer without words for it is all water."""
    layer = read_layer(*paths, "polygon", place.work_crs, area)
    wet = water_of(layer, all_if_unsaid=is_water)
    green, parks = green_of(layer) & ~wet, parks_of(layer) & ~wet
    if len(layer) and not (wet.any() or green.any() or is_water):
        progress.warn(
            f"The {layer.named} names neither water nor green in any attribute; it is left aside. Give it an attribute "
            "with words such as water or park, or OpenStreetMap's or CORINE's classes."
        )
    return Ground(*(_inside(layer.take(which), area) for which in (wet, green, parks)))


def _inside(layer: UserLayer, area: Any) -> Shapes:
    """Mended single polygons of a layer near an area."""
    if not len(layer):
        return np.zeros(0, object)
    box = shapely.box(*shapely.buffer(area, 100.0).bounds)
    return polygons_of(shapely.intersection(layer.valid, box))


def read_heights(settings: GroundSettings, place: Place, area: Any, progress: Progress) -> Relief | None:
    """The DEM under the area, where one was given."""
    if not settings.dem:
        return None
    reading = raster.Reading(settings.band, settings.dem_crs, settings.dem_no_data)
    relief = read_relief(settings.dem, reading, area.bounds, place.work_crs, progress)
    if relief.is_sea:
        raise TerrainError(
            f"The DEM {settings.dem} is 0 everywhere in the area, as in the sea; draw the area on land, or leave the "
            "DEM out."
        )
    return relief


def _terrain(relief: Relief | None) -> Terrain | None:
    if relief is None:
        return None
    rows, cols = relief.height_m.shape
    return Terrain(Lattice(relief.west_m, relief.north_m, relief.cell_m, rows, cols), relief.height_m)
