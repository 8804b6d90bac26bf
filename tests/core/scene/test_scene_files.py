"""Files of scenes: metres for every CRS, the user's features untouched, DEMs as they are, the same bytes twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from neural_terrain.core import vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.grid import crs_name, local_metric
from neural_terrain.core.progress import Progress
from neural_terrain.core.raster import Reading
from neural_terrain.core.scene_files import Place, Table, nothing, read_area, read_layer, read_relief, write_report
from neural_terrain.core.scene_files.classes import green_of, heights_m, parks_of, road_classes, road_widths_m, water_of
from neural_terrain.core.scene_files.layers import in_results, joined, tags_of, write_tables
from neural_terrain.core.scene_files.place import in_metres, on_millimetres

UTM, DEGREES, MERCATOR = "EPSG:32632", "EPSG:4326", "EPSG:3857"
WEST, SOUTH = 600_000.0, 5_200_000.0


def saved(path: Path, shapes, fields=None, crs: str = UTM, missing=None) -> str:
    layer = vector.Layer("things", np.array(shapes, object), fields or {}, crs, missing=missing or {})
    vector.write_layers(str(path), [layer])
    return str(path)


def moved(shape, source: str, target: str):
    """A shape in another CRS, vertex by vertex, by pyproj alone."""
    change = pyproj.Transformer.from_crs(source, target, always_xy=True).transform
    return shapely.transform(shape, lambda points: np.column_stack(change(*points.T)))


@pytest.mark.parametrize(
    ("crs", "bounds", "name"),
    [
        (UTM, (6e5, 52e5, 61e4, 521e4), UTM),
        ("EPSG:2056", (26e5, 12e5, 261e4, 121e4), "EPSG:2056"),
        (DEGREES, (9.0, 47.0, 9.1, 47.1), UTM),
        (DEGREES, (151.0, -34.0, 151.3, -33.8), "EPSG:32756"),
        (DEGREES, (179.9, 10.0, 180.1, 10.2), "EPSG:32601"),
        (MERCATOR, (1e6, 6e6, 101e4, 601e4), UTM),
        ("EPSG:2263", (98e4, 19e4, 99e4, 20e4), "EPSG:32618"),  # US feet
        ("EPSG:32631", (6e5, 0.0, 12e5, 1e5), "EPSG:32632"),  # far outside of its zone
    ],
)
def test_work_is_in_true_metres(crs, bounds, name):
    assert crs_name(local_metric(crs, bounds)) == name


def test_near_a_pole_a_plane_of_its_own_serves():
    plane = pyproj.CRS(local_metric(DEGREES, (10, 88, 12, 89)))
    assert plane.is_projected and plane.coordinate_operation.method_name == "Lambert Azimuthal Equal Area"


def test_an_area_in_degrees_keeps_its_size(tmp_path):
    """A triangle of 3 vertices, 30 km wide: its edges follow the parallels, as they do on the map of the user."""
    triangle = shapely.Polygon([(9.0, 47.0), (9.4, 47.0), (9.2, 47.2)])
    area, place = read_area(saved(tmp_path / "a.gpkg", [triangle], crs=DEGREES), "")
    assert crs_name(place.work_crs) == UTM and not place.keeps_crs
    geodesic = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.segmentize(triangle, 0.001))[0])
    scale = pyproj.Proj(UTM).get_factors(9.2, 47.07).areal_scale
    assert area.area == pytest.approx(geodesic * scale, rel=2e-4)
    assert len(shapely.get_coordinates(area)) > 10


def test_a_bow_tie_is_an_area(tmp_path):
    tie = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    area, place = read_area(saved(tmp_path / "a.gpkg", [shapely.transform(tie, lambda p: p + (WEST, SOUTH))]), "")
    assert area.area == pytest.approx(5000) and place.keeps_crs


@pytest.mark.parametrize(
    ("shapes", "crs", "said"),
    [
        ([shapely.box(WEST, SOUTH, WEST + 5, SOUTH + 5)], UTM, "covers 25.0 m2"),
        ([shapely.box(WEST, SOUTH, WEST + 500, SOUTH + 500)], "", "has no CRS"),
        ([shapely.LineString([(WEST, SOUTH), (WEST + 50, SOUTH)])], UTM, "has no polygons but LineString"),
    ],
)
def test_what_is_no_area_is_refused(tmp_path, shapes, crs, said):
    with pytest.raises(TerrainError, match=said):
        read_area(saved(tmp_path / "a.gpkg", shapes, crs=crs), "")


def test_features_come_as_they_are_and_in_metres(tmp_path):
    """Only those that touch the area; broken ones too; order, attributes and bytes as in the file."""
    boxes = [shapely.box(WEST + k, SOUTH, WEST + k + 8, SOUTH + 8) for k in (0, 30, 500)]
    tie = shapely.Polygon([(WEST, SOUTH + 20), (WEST + 9, SOUTH + 29), (WEST + 9, SOUTH + 20), (WEST, SOUTH + 29)])
    shapes = [moved(one, UTM, DEGREES) for one in (*boxes, tie)]
    path = saved(tmp_path / "b.gpkg", shapes, {"name": ["a", None, "c", "d"], "n": [1, 2, 3, 4]}, DEGREES)
    area = shapely.box(WEST - 10, SOUTH - 10, WEST + 100, SOUTH + 100)
    found = read_layer(path, "", "polygon", UTM, area)
    assert [one.wkb for one in found.shapes] == [shapes[k].wkb for k in (0, 1, 3)]
    assert list(found.columns["name"]) == ["a", None, "d"] and list(found.columns["n"]) == [1, 2, 4]
    assert shapely.hausdorff_distance(found.work[1], boxes[1]) < 1e-6
    assert found.valid[2].area == pytest.approx(40.5, rel=1e-6)


def test_a_layer_of_another_kind_is_refused(tmp_path):
    path = saved(tmp_path / "p.gpkg", [shapely.Point(WEST, SOUTH)])
    with pytest.raises(TerrainError, match="has no lines but Point; choose one with lines"):
        read_layer(path, "", "line", UTM, None)


def test_no_layer_and_features_elsewhere_are_nothing(tmp_path):
    path = saved(tmp_path / "p.gpkg", [shapely.LineString([(0, 0), (1, 1)])], crs=DEGREES)
    assert len(read_layer("", "", "line", UTM)) == 0
    assert len(read_layer(path, "", "line", UTM, shapely.box(WEST, SOUTH, WEST + 9, SOUTH + 9))) == 0


def test_edges_of_100_m_do_not_bend():
    """Half way along each piece, the chord in metres is within a millimetre of the true place."""
    line = shapely.LineString([(9.0, 60.0), (9.2, 60.05)])
    placed = in_metres(np.array([line], object), DEGREES, UTM)[0]
    along = np.linspace(0, 1, 501)
    truth = moved(shapely.LineString(np.column_stack([9 + 0.2 * along, 60 + 0.05 * along])), DEGREES, UTM)
    assert shapely.distance(shapely.points(shapely.get_coordinates(truth)), placed).max() < 1e-3


def test_millimetres_survive_a_file_in_degrees():
    """Vertex by vertex to degrees and back: the very same bits, so shared walls stay shared."""
    rng = np.random.default_rng(1)
    corners = np.floor(rng.uniform(0, 1e6, (300, 2))) / 1000 + (WEST, SOUTH)
    shapes = np.array([shapely.box(x, y, x + 10.123, y + 7.5) for x, y in corners], object)
    shapes = shapely.transform(shapes, lambda p: np.floor(p * 1000 + 0.5) / 1000)
    stored = Place(DEGREES, UTM).results(shapes)
    back = on_millimetres(stored, DEGREES, UTM)
    assert shapely.to_wkb(back).tolist() == shapely.to_wkb(shapes).tolist()


def test_own_features_keep_bytes_and_attributes(tmp_path):
    """Names that are taken get a number unless they say the same; new features have no value there; z stays."""
    lines = [
        shapely.LineString([(WEST, SOUTH, 5), (WEST + 9, SOUTH, 6)]),
        shapely.LineString([(WEST, SOUTH), (WEST, SOUTH + 9)]),
    ]
    fields = {
        "class": ["old", "older"],
        "lanes": np.array([2, 0]),
        "width_m": np.array([20.0, np.nan]),
        "tolled": np.array([True, False]),
        "when": np.array(["2020-01-02", "2021-01-01"], "M8[D]"),
    }
    path = saved(tmp_path / "r.gpkg", lines, fields, missing={"lanes": np.array([False, True])})
    own = read_layer(path, "", "line", UTM)
    new = np.array([shapely.LineString([(WEST, SOUTH), (WEST + 5, SOUTH + 5)])], object)
    columns = {"class": np.array(["minor", "minor", "major"], object), "width_m": np.array([20.0, 8.0, 14.0])}
    table = joined(own, new, Table("roads", "LineString", new, columns), Place(UTM, UTM))
    write_tables(str(tmp_path / "o.gpkg"), [table], UTM, tags_of("m 1 abc", "mixed", 7, "(c) them"))
    meta, _, wkb, values = pyogrio.raw.read(tmp_path / "o.gpkg", datetime_as_string=True)
    found = dict(zip(meta["fields"], values, strict=True))
    assert [shapely.from_wkb(one).wkb for one in wkb[:2]] == [line.wkb for line in lines]
    assert list(found["class"]) == ["minor", "minor", "major"] and list(found["class_2"]) == ["old", "older", None]
    assert np.array_equal(found["lanes"], [2, np.nan, np.nan], equal_nan=True)
    assert found["tolled"].tolist()[:2] == [True, False] and found["when"][0].startswith("2020-01-02")
    assert found["width_m"].tolist() == [20.0, 8.0, 14.0] and "width_m_2" not in found
    told = pyogrio.read_info(tmp_path / "o.gpkg")["layer_metadata"]
    assert told["seed"] == "7" and told["attribution"] == "(c) them"


def test_own_features_of_another_crs_are_moved_once(tmp_path):
    line = shapely.LineString([(9.0, 47.0, 1.5), (9.01, 47.0, 2.5)])
    own = read_layer(saved(tmp_path / "r.gpkg", [line], crs=DEGREES), "", "line", UTM)
    (there,) = in_results(own, Place(MERCATOR, UTM))
    assert shapely.get_coordinates(there, include_z=True)[[0, -1], 2].tolist() == [1.5, 2.5]
    ends = moved(shapely.force_2d(line), DEGREES, MERCATOR)
    assert np.allclose(shapely.get_coordinates(there)[[0, -1]], shapely.get_coordinates(ends), atol=1e-6)


def test_the_same_tables_are_the_same_bytes(tmp_path):
    """No date and no order of threads in the file; layers without features have their kind."""
    points = np.asarray(shapely.points(np.random.default_rng(2).uniform(0, 1e4, (3000, 2))), object)
    tables = [
        Table("points", "Point", points, {"n": np.arange(3000)}),
        Table("lines", "LineString", np.zeros(0, object), {"name": np.zeros(0, object)}),
    ]
    for name in ("one", "two"):
        write_tables(str(tmp_path / f"{name}.gpkg"), tables, UTM, {"synthetic": "1"})
    one, two = ((tmp_path / f"{name}.gpkg").read_bytes() for name in ("one", "two"))
    assert one == two
    with contextlib.closing(sqlite3.connect(tmp_path / "one.gpkg")) as database:
        rows = dict(database.execute("SELECT table_name, last_change FROM gpkg_contents"))
        kinds = dict(database.execute("SELECT table_name, geometry_type_name FROM gpkg_geometry_columns"))
        told = [row[0] for row in database.execute("SELECT metadata FROM gpkg_metadata")]
    assert set(rows.values()) == {"2000-01-01T00:00:00.000Z"}
    assert kinds == {"points": "POINT", "lines": "LINESTRING"}
    assert len(told) == 2 and all("synthetic" in one for one in told)


def test_words_of_many_sources_are_understood(tmp_path):
    box = [shapely.box(WEST + k, SOUTH, WEST + k + 1, SOUTH + 1) for k in range(5)]
    fields = {"fclass": ["river", "park", "farmland", None, "retail"], "code_18": [511, 141, 211, 0, 121]}
    layer = read_layer(saved(tmp_path / "c.gpkg", box, fields), "", "polygon", UTM)
    assert water_of(layer, all_if_unsaid=False).tolist() == [True, False, False, False, False]
    assert green_of(layer).tolist() == [False, True, True, False, False]
    assert parks_of(layer).tolist() == [False, True, False, False, False]
    numbered = {"id": ["511", "141", "12", "", "x"], "CLC_2018": ["121", "141", "512", "", ""]}
    layer = read_layer(saved(tmp_path / "n.gpkg", box, numbered), "", "polygon", UTM)
    assert water_of(layer, all_if_unsaid=False).tolist() == [False, False, True, False, False]
    assert parks_of(layer).tolist() == [False, True, False, False, False]
    unsaid = read_layer(saved(tmp_path / "u.gpkg", box), "", "polygon", UTM)
    assert water_of(unsaid, all_if_unsaid=True).all() and not water_of(unsaid, all_if_unsaid=False).any()
    fields = {"Height": ["12 m", "", "3,5", "?", "0"], "levels": np.array([9, 2, 9, 0, 3])}
    layer = read_layer(saved(tmp_path / "h.gpkg", box, fields), "", "polygon", UTM)
    assert np.allclose(heights_m(layer), [12, 6.2, 3.5, np.nan, 9.3], equal_nan=True)
    fields = {"type": ["x", "y", "z", "", ""], "highway": ["primary", "steps", "", "", "residential"]}
    layer = read_layer(saved(tmp_path / "w.gpkg", box, fields), "", "polygon", UTM)
    assert road_classes(layer, {"primary", "residential"}) == ["primary", "steps", "", "", "residential"]
    assert road_classes(nothing(), {"primary"}) == []
    fields = {"Width_M": ["20", "6.5 m", "0", "900", None]}
    layer = read_layer(saved(tmp_path / "s.gpkg", box, fields), "", "polygon", UTM)
    assert road_widths_m(layer, np.full(5, 8.0)).tolist() == [20.0, 6.5, 8.0, 8.0, 8.0]


def from_origin(west: float, north: float, width: float, height: float) -> Affine:
    return Affine(width, 0, west, 0, -height, north)


def dem(path: Path, heights, transform, crs, nodata=None) -> str:
    rows, cols = heights.shape
    profile = {"driver": "GTiff", "dtype": "float64", "count": 1, "height": rows, "width": cols, "crs": crs}
    with rasterio.open(path, "w", transform=transform, nodata=nodata, **profile) as file:
        file.write(heights, 1)
    return str(path)


def test_a_dem_of_the_work_is_taken_as_it_is(tmp_path):
    heights = np.random.default_rng(3).uniform(0, 9, (60, 70))
    path = dem(tmp_path / "d.tif", heights, from_origin(WEST, SOUTH + 600, 10, 10), UTM)
    relief = read_relief(path, Reading(), (WEST + 100, SOUTH + 100, WEST + 200, SOUTH + 150), UTM, Progress())
    assert (relief.cell_m, relief.west_m, relief.north_m) == (10, WEST + 70, SOUTH + 180)
    assert np.array_equal(relief.height_m, heights[42:54, 7:24])


@pytest.mark.parametrize(("crs", "cell"), [(UTM, 1.0), (UTM, 2.5)])
def test_a_finer_dem_is_averaged(tmp_path, crs, cell):
    """The mean of a plane over a cell is its height at the centre, whatever the ratio."""
    rows, cols = np.mgrid[: int(300 / cell), : int(300 / cell)] + 0.5
    plane = 0.1 * cols * cell - 0.05 * rows * cell
    path = dem(tmp_path / "d.tif", plane, from_origin(WEST + 0.5, SOUTH + 300.5, cell, cell), crs)
    relief = read_relief(path, Reading(), (WEST + 100, SOUTH + 100, WEST + 200, SOUTH + 200), UTM, Progress())
    assert relief.cell_m == 5 and relief.west_m % 5 == 0
    i, j = np.mgrid[: relief.height_m.shape[0], : relief.height_m.shape[1]] + 0.5
    east, down = relief.west_m + j * 5 - WEST - 0.5, SOUTH + 300.5 - relief.north_m + i * 5
    assert np.allclose(relief.height_m, 0.1 * east - 0.05 * down)


def test_a_dem_in_degrees_is_asked_where_the_cells_lie(tmp_path):
    """Heights that are a plane over degrees: exact at the degrees of each cell's centre; cells of both lie alike."""
    west, north = 9.0, 47.02
    rows, cols = np.mgrid[:80, :80] + 0.5
    plane = 1000 * (cols * 0.00028) + 500 * (rows * 0.00028)
    path = dem(tmp_path / "d.tif", plane, from_origin(west, north, 0.00028, 0.00028), DEGREES)
    area = moved(shapely.box(9.005, 47.002, 9.015, 47.015), DEGREES, UTM)
    relief = read_relief(path, Reading(), area.bounds, UTM, Progress())
    assert 20 < relief.cell_m < 35
    i, j = np.mgrid[: relief.height_m.shape[0], : relief.height_m.shape[1]] + 0.5
    back = pyproj.Transformer.from_crs(UTM, DEGREES, always_xy=True).transform
    x, y = back(relief.west_m + j * relief.cell_m, relief.north_m - i * relief.cell_m)
    truth = 1000 * (x - west) + 500 * (north - y)
    assert np.abs(relief.height_m - truth)[np.isfinite(relief.height_m)].max() < 1e-6
    assert relief.known_share > 0.99


def test_voids_stay_unknown_and_a_dem_elsewhere_is_refused(tmp_path):
    heights = np.full((40, 40), 7.0)
    heights[10:20, 10:20] = -9999
    path = dem(tmp_path / "d.tif", heights, from_origin(WEST, SOUTH + 400, 10, 10), UTM, -9999)
    relief = read_relief(path, Reading(), (WEST, SOUTH, WEST + 400, SOUTH + 400), UTM, Progress())
    assert relief.known_share == pytest.approx(15 / 16) and not relief.is_sea
    with pytest.raises(TerrainError, match="has no heights in the area"):
        read_relief(path, Reading(), (WEST + 145, SOUTH + 245, WEST + 155, SOUTH + 255), UTM, Progress())
    with pytest.raises(TerrainError, match="has no heights in the area"):
        read_relief(path, Reading(), (WEST + 9000, SOUTH, WEST + 9100, SOUTH + 100), UTM, Progress())


def test_a_report_is_a_page_and_its_figures(tmp_path):
    write_report((str(tmp_path / "r.html"), str(tmp_path / "r.json")), "Title", ["<p>x</p>"], {"a": 1})
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}
    assert "<h1>Title</h1>" in (tmp_path / "r.html").read_text()
