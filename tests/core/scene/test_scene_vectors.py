"""The vector half of a scene on random fields: promises are proved by code that shares nothing with the generator."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import shapely

from neural_terrain.core.buildings.build import FineField, Targets
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.scene.vectors import (
    Existing,
    Scene,
    around,
    build_up,
    clean_area,
    lay_streets,
    nothing,
    with_objects,
)
from neural_terrain.core.scene_check.validate import Heights, Layers, counts, validate
from neural_terrain.core.streets.build import StreetSettings
from neural_terrain.core.streets.street_field import StreetField
from neural_terrain.core.streets.terrain import Terrain
from neural_terrain.tests.core.scene.made_fields import fine_field, hills, street_field

LIMIT = 0.12


def made(
    seed: int, area, existing: Existing | None = None, targets: Targets | None = None, hilly: bool = False
) -> Scene:
    """A scene from random fields."""
    field, existing = street_field(seed), existing or nothing()
    terrain = Terrain(field.lattice, hills(field.lattice, seed)) if hilly else None
    surroundings = around(area, existing, terrain)
    laid = lay_streets(field, surroundings, StreetSettings(limit=LIMIT))
    targets = targets or Targets(seed=seed, green_share=0.2)
    return with_objects(build_up(fine_field(seed), laid, surroundings, existing, targets), surroundings, targets.seed)


def broken(scene: Scene, existing: Existing, area, heights: Heights | None = None) -> dict[str, int]:
    """Rules that a scene breaks; what water, slopes or gaps of the user's forbid is none."""
    shapes = np.concatenate([existing.buildings, scene.buildings.shapes])
    layers = Layers(
        scene.roads, scene.width_m, np.arange(len(scene.roads)) < len(existing.roads), scene.blocks.shapes, shapes,
        np.arange(len(shapes)) < len(existing.buildings), existing.water,
        np.concatenate([existing.roads, existing.buildings]), area=area,
    )  # fmt: skip
    found = counts(validate(layers, heights))
    return {rule: number for rule, number in found.items() if number}


def square(seed: int = 0):
    """The whole lattice of the random fields."""
    return shapely.box(*street_field(seed).lattice.bounds)


def triangle(seed: int):
    """A triangle inside, and partly beyond, the lattice."""
    rng = np.random.default_rng(seed)
    west, south, east, north = street_field(seed).lattice.bounds
    return shapely.Polygon([(west - 20, south + 15), (east - 5, south + 100 * rng.random()), (west + 300, north - 3)])


def crossing(seed: int) -> Existing:
    """Roads that cross each other and the area's edge, buildings, and a pond."""
    rng = np.random.default_rng(seed + 7)
    west, south, east, north = street_field(seed).lattice.bounds
    corners = [
        np.column_stack([rng.uniform(west - 30, east + 30, 3), rng.uniform(south - 30, north + 30, 3)]) for _ in "abc"
    ]
    places = rng.uniform((west, south), (east - 40, north - 40), (5, 2))
    boxes = [shapely.box(x, y, x + rng.uniform(5, 40), y + rng.uniform(5, 40)) for x, y in places]
    pond = shapely.Point(rng.uniform(west, east), rng.uniform(south, north)).buffer(rng.uniform(10, 70))
    lines = np.array([shapely.LineString(line) for line in corners], object)
    return Existing(lines, rng.integers(0, 3, 3), np.array(boxes, object), np.array([pond], object))


def digest(scene: Scene) -> str:
    """Of all bytes of a scene."""
    found = hashlib.sha256()
    for shapes in (scene.roads, scene.blocks.shapes, scene.buildings.shapes, scene.objects.points):
        found.update(b"".join(shapely.to_wkb(shapes)))
    for values in (scene.road_rank, scene.buildings.height_m, scene.buildings.floors, scene.land_use.kind):
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("seed", [*range(6), 17, 22])
def test_no_rule_is_broken_on_open_ground(seed: int) -> None:
    """One component, since nothing forbids it, and no conflict of any kind."""
    scene = made(seed, square())
    assert broken(scene, nothing(), square()) == {}
    assert scene.net.components <= 1


@pytest.mark.parametrize("seed", [*range(34, 40), 51, 60])
def test_no_rule_is_broken_among_existing_features(seed: int) -> None:
    """Existing roads cross each other, the edge and generated ones; they stay as they are to the byte."""
    existing = crossing(seed)
    area = clean_area(triangle(seed))
    assert broken(made(seed, area, existing), existing, area) == {}


@pytest.mark.parametrize("seed", [*range(67, 73), 76, 81])
def test_streets_keep_the_limit_on_hills(seed: int) -> None:
    """Grades by the independent measure; what the slope forbids is left out, so one net remains."""
    lattice = street_field(seed).lattice
    scene = made(seed, square(), hilly=True)
    heights = Heights(hills(lattice, seed), lattice.west_m, lattice.north_m, lattice.cell_m, LIMIT)
    assert broken(scene, nothing(), square(), heights) == {}
    assert scene.net.components <= 1


@pytest.mark.parametrize(("seed", "coverage"), [(1, 0.1), (2, 0.25), (3, 0.35), (4, 0.02), (6, 0.6)])
def test_coverage_is_delivered(seed: int, coverage: float) -> None:
    """Within two points of the wish."""
    scene = made(seed, square(), targets=Targets(coverage=coverage, seed=seed))
    assert shapely.area(scene.buildings.shapes).sum() / square().area == pytest.approx(coverage, abs=0.02)


def test_floor_area_is_delivered() -> None:
    """Within two points, by floors."""
    scene = made(5, square(), targets=Targets(coverage=0.3, far=1.1))
    floors = (shapely.area(scene.buildings.shapes) * scene.buildings.floors).sum() / square().area
    assert floors == pytest.approx(1.1, abs=0.02)


def test_same_input_same_bytes() -> None:
    """Twice the same scene; another seed may choose others among too many buildings."""
    one, two = (made(11, triangle(11), crossing(11), Targets(coverage=0.1, seed=3)) for _ in "ab")
    assert digest(one) == digest(two)


def test_order_of_existing_features_leaves_no_trace() -> None:
    """The generated streets and buildings do not hang on the order of the user's features."""
    own = crossing(12)
    back = Existing(own.roads[::-1], own.rank[::-1], own.buildings[::-1], own.water)
    one, two = (made(12, square(), each) for each in (own, back))
    assert shapely.to_wkb(one.buildings.shapes).tolist() == shapely.to_wkb(two.buildings.shapes).tolist()
    assert shapely.to_wkb(one.roads[3:]).tolist() == shapely.to_wkb(two.roads[3:]).tolist()


def test_fields_without_streets_and_buildings_give_one_block() -> None:
    """Sea or steppe: nothing but the area itself."""
    field, fine = street_field(1), fine_field(1)
    none = np.zeros_like(field.nearness)
    surroundings = around(square(), nothing())
    laid = lay_streets(StreetField(field.lattice, none, none, none, none), surroundings, StreetSettings())
    zero = np.zeros_like(fine.share)
    scene = build_up(FineField(fine.lattice, zero, zero - 8, zero), laid, surroundings, nothing(), Targets())
    assert (len(scene.roads), len(scene.buildings), len(scene.blocks.shapes)) == (0, 0, 1)


def test_all_water_gives_nothing() -> None:
    """An area in the sea has no street, block or building."""
    none = np.zeros(0, object)
    sea = Existing(none, np.zeros(0, np.int64), none, np.array([square().buffer(100)], object))
    scene = made(2, square(), sea)
    assert (len(scene.roads), len(scene.buildings), len(scene.blocks.shapes), len(scene.objects.points)) == (0, 0, 0, 0)


def test_invalid_polygons_are_mended_for_the_area_and_kept_as_features() -> None:
    """A bow tie as area and as existing building."""
    west, south, east, north = square().bounds
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    none = np.zeros(0, object)
    hourglass = shapely.Polygon(
        [(west + 50, south + 50), (west + 90, south + 90), (west + 90, south + 50), (west + 50, south + 90)]
    )
    existing = Existing(none, np.zeros(0, np.int64), np.array([hourglass], object), none)
    assert clean_area(bow).is_valid
    scene = made(3, bow, existing)
    mended = shapely.make_valid(hourglass)
    assert not shapely.relate_pattern(scene.buildings.shapes, mended, "T********").any()


def test_an_area_without_ground_is_refused() -> None:
    """With its size and what to do."""
    with pytest.raises(TerrainError, match="draw a polygon of at least 100 m2"):
        clean_area(shapely.Polygon([(0, 0), (1, 0), (1, 1)]))
