"""Figures, rasters and land use of scenes made by hand, without a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely

from neural_terrain.core.blocks.faces import Blocks
from neural_terrain.core.buildings.build import Buildings
from neural_terrain.core.buildings.storeys import floors_of
from neural_terrain.core.generation.coarse import coarse_tables
from neural_terrain.core.generation.figures import street_figures
from neural_terrain.core.generation.rasters import Built, canvas_of, write_heights
from neural_terrain.core.generation.site import Ground, Site, site_of
from neural_terrain.core.generation.tables import reasons_of
from neural_terrain.core.generation.uses import planted
from neural_terrain.core.landuse.rules import classed
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene.cascade import Fields
from neural_terrain.core.scene.sampling import Rectangle
from neural_terrain.core.scene.vectors import Scene
from neural_terrain.core.scene_files import Place, nothing
from neural_terrain.core.scene_files.user_layers import UserLayer
from neural_terrain.core.streets import network as net
from neural_terrain.core.streets.build import StreetResult
from neural_terrain.core.streets.joining import Apart

UTM = "EPSG:32632"
X, Y = 600_000.0, 5_200_000.0


def box(west: float, south: float, east: float, north: float):
    return shapely.box(X + west, Y + south, X + east, Y + north)


def site(area=None, roads=(), ground: Ground | None = None) -> Site:
    """An area with own roads and land cover, given in metres from its corner."""
    lines = np.array(roads, object)
    own = (UserLayer(UTM, lines, lines) if len(lines) else nothing(), nothing())
    none = (nothing(), nothing())
    return site_of(Place(UTM, UTM), area or box(0, 0, 200, 200), (own, none), ground or Ground(), None)


def scene(blocks, houses, height_m: float = 9.0) -> Scene:
    """Blocks and buildings without streets."""
    shapes, blocks = np.array(houses, object), np.array(blocks, object)
    height = np.full(len(shapes), height_m)
    built = Buildings(shapes, height, floors_of(height), np.zeros(len(shapes), np.int64))
    none = np.zeros(len(blocks))
    return Scene(
        np.zeros(0, object), np.zeros(0, np.int64), np.zeros(0), StreetResult(net.empty(), ()),
        Blocks(blocks), built, classed(blocks, (none + 0.05, none + 1, none), None),
    )  # fmt: skip


def test_trees_stand_where_the_layer_says_that_it_is_green():
    """A block that is hardly built is green by the land cover; the rules alone have it as housing."""
    blocks = [box(0, 0, 95, 200), box(105, 0, 200, 200)]
    ground = Ground(green=np.array([blocks[0]], object))
    made = planted(site(ground=ground), scene(blocks, [box(10, 10, 20, 20)]), 1)
    assert list(made.land_use.kind) == ["green", "housing"]
    assert len(made.objects.points) > 10 and shapely.intersects(blocks[0], made.objects.points).all()


def test_heights_have_no_holes_where_buildings_touch():
    """Cells of 2 m on terraces of 3 m: no building has half of some cells, all together have them whole."""
    houses = [box(3 * i + 1, 3 * j + 1, 3 * i + 4, 3 * j + 4) for i in range(20) for j in range(20)]
    place, found = site(), []

    class Heard:
        def write(self, _, values, known) -> None:
            found.append(values)

    canvas = canvas_of(place.area)
    write_heights(Heard(), canvas, Built(place, scene([place.area], houses)), 2, Progress())
    (values,) = found
    assert (values[-30:-1, 1:30] == 9.0).all() and (values[:-32] == 0).all()


def test_cells_that_land_touches_along_an_edge_are_polygons():
    """In the first cell lies an island; all of the next one is land: their intersection has a line besides."""
    place = site(shapely.union_all([box(10, 10, 30, 30), box(50, 0, 100, 50)]))
    values = np.zeros((7, 12, 12), np.float32)
    fields = Fields(Rectangle(int(X / 50) - 4, int(Y / 50) - 4, 12, 12), values)
    (table,), figures = coarse_tables(place, fields, 50, 0.9)
    assert [shape.geom_type for shape in table.shapes] == ["Polygon", "Polygon"]
    assert np.isclose(shapely.area(table.shapes).sum(), 400 + 2500) and figures["green"] == 86.207


def test_streets_far_outside_of_the_area_are_not_counted():
    """One feature of the user's has a piece in the area and twenty far from it; another is apart from the first."""
    far = [[(X + 1000 + 50 * k, Y), (X + 1030 + 50 * k, Y)] for k in range(20)]
    roads = [
        shapely.MultiLineString([[(X - 50, Y + 100), (X + 250, Y + 100)], *far]),
        shapely.LineString([(X + 20, Y + 150), (X + 80, Y + 150)]),
    ]
    place = site(roads=roads)
    found = street_figures(place, place.surroundings.roads)
    assert (found["roads"], found["components"], found["junctions"]) == (2, 2, 0)
    assert found["street_km"] == 0.26 and found["dead_end_share"] == 1.0


def test_roads_say_what_keeps_them_apart():
    """The user's own by their feature, generated ones piece by piece."""
    lines = np.array([shapely.LineString([(X, Y + k), (X + 50, Y + k)]) for k in (0, 50, 100, 150)], object)
    place = site(roads=lines[:2])
    own = place.surroundings.roads
    new = net.of_lines(lines[2:], np.ones(2, np.int64), net.GENERATED)
    listed = tuple(Apart(shapely.multilinestrings([one]), why) for one, why in ((lines[3], "water"), (lines[1], "gap")))
    laid = StreetResult(net.joined(new, own), listed)
    assert list(reasons_of(place, laid)) == [None, "gap", None, "water"]
    assert list(reasons_of(place, replace(laid, apart=()))) == [None] * 4
