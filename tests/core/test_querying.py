"""The surface at points of a layer: analytic ground, borders, CRSs, voids, attributes, formats, refusals, cancel."""

from __future__ import annotations

import json
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely

from neural_terrain.core import querying, refinement
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs import superresolve
from neural_terrain.core.jobs.queryelevation import Settings
from neural_terrain.core.querying import run as query_run
from neural_terrain.core.vector import DRIVERS
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

CELL_M, WEST, NORTH = 30.0, 400_000.0, 4_000_000.0
SHAPE = (300, 290)
"""Four tiles of 256 cells."""

ATTRIBUTES = ["elevation", "slope_deg", "aspect_deg", "curv_profile", "curv_plan"]


def place(rows, cols):
    return np.column_stack([WEST + np.asarray(cols) * CELL_M, NORTH - np.asarray(rows) * CELL_M])


def layer(path: Path, points, crs=dems.UTM, fields=None, masks=None, kind="Point", driver="GPKG") -> str:
    """Write points ``(N, 2)``, or geometries, with columns."""
    points = np.asarray(points)
    geometries = points if points.dtype == object else shapely.points(points)
    fields = fields or {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        pyogrio.raw.write(
            path, geometry=shapely.to_wkb(geometries), field_data=list(fields.values()), fields=list(fields),
            field_mask=[(masks or {}).get(name) for name in fields], layer="spots", driver=driver, geometry_type=kind,
            crs=crs or None,
        )  # fmt: skip
    return str(path)


def ask(dem: str, points: str, out: Path, heard: dems.Heard | None = None, **values) -> dict:
    """Run the job; returns its result and the columns of what it wrote, with ``xyz`` and the result's own ``told``."""
    settings = Settings(dem, **{"points": points, "output": str(out), "model": "baseline", "device": "cpu", **values})
    told = querying.query(settings, heard or dems.Heard())
    meta, _, wkb, columns = pyogrio.raw.read(out)
    geometries = shapely.from_wkb(wkb)
    return {**dict(zip(meta["fields"], columns, strict=True)), "told": told, "geometries": geometries, "meta": meta}


def ground(tmp_path: Path, surface, **profile) -> str:
    heights = surfaces.lattice(surface, surfaces.centres(SHAPE[0]), surfaces.centres(SHAPE[1]))
    return dems.write(tmp_path / "dem.tif", heights, **profile)


@pytest.mark.parametrize("model", ["baseline", "field"])
def test_a_plane_is_met_exactly_also_on_borders_of_cells_and_tiles(tmp_path, model):
    surface = surfaces.plane(-0.9, 1.7, 700)
    rows, cols = np.random.default_rng(3).uniform(60, 230, (2, 40))
    rows[:5], cols[:5] = [256, 200, 256, 100.5, 99.5], [200, 256, 256, 70, 80.5]
    dem = ground(tmp_path, surface)
    found = ask(dem, layer(tmp_path / "p.gpkg", place(rows, cols)), tmp_path / "o.gpkg", model=model)
    inside = found["elevation"]
    assert inside == pytest.approx(surface(rows, cols), abs=2e-3)
    assert shapely.get_coordinates(found["geometries"], include_z=True)[:, 2] == pytest.approx(inside, abs=0)
    # UTM stretches by less than 4 parts in 10,000; slopes are those on the ground.
    assert found["slope_deg"] == pytest.approx(np.degrees(np.arctan(np.hypot(0.9, 1.7) / CELL_M)), rel=6e-4)
    assert found["aspect_deg"] == pytest.approx(np.degrees(np.arctan2(-1.7, -0.9)) % 360, abs=0.05)
    assert np.abs(found["curv_profile"]).max() < 1e-6 and np.abs(found["curv_plan"]).max() < 1e-5
    assert ("error90" in found) == (model == "field") and found["told"]["known"] == 40


def test_a_hill_has_its_heights_slopes_and_curvatures(tmp_path):
    radius, height = 12.0, 400.0
    averages = surfaces.hill_averages(96, 48.0, radius, height)
    dem = dems.write(tmp_path / "hill.tif", averages + 100)
    rows, cols = np.random.default_rng(4).uniform(25, 71, (2, 300))
    found = ask(dem, layer(tmp_path / "p.gpkg", place(rows, cols)), tmp_path / "o.gpkg")
    away = np.hypot(rows - 48, cols - 48)
    truth = height * np.exp(-(away**2) / (2 * radius**2))
    assert np.abs(found["elevation"] - 100 - truth).max() < 0.1
    rise = truth * away / radius**2 / CELL_M
    assert np.abs(np.tan(np.radians(found["slope_deg"])) - rise).max() < 0.01 * rise.max()
    bend = truth * (away**2 / radius**2 - 1) / radius**2 / CELL_M**2
    profile = -bend / (1 + rise**2) ** 1.5
    steep = away > 2
    assert np.abs(found["curv_profile"] - profile)[steep].max() < 0.08 * np.abs(profile).max()
    plan = 1 / (away * CELL_M)
    assert found["curv_plan"][steep] == pytest.approx(plan[steep], rel=0.2)


def test_a_finer_dem_is_the_same_surface(tmp_path):
    """A DEM made finer as *Super-resolve DEM* does, at the centres of its cells: averages of a small part of a cell."""
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal((80, 80), 7), tags={"AREA_OR_POINT": "Point"})
    fine = str(tmp_path / "fine.tif")
    for model, scale in (("baseline", 16.0), ("field", 8.0)):
        common = {"model": model, "device": "cpu", "sampling": "point"}
        settings = superresolve.Settings(
            dem, fine, scale=scale, extent=(400_900, 3_998_500, 401_500, 3_999_100), **common
        )
        refinement.refine(settings, dems.Heard())
        with rasterio.open(fine) as file:
            heights = file.read(1)
            rows, cols = np.random.default_rng(5).integers(0, heights.shape[0], (2, 200))
            points = np.column_stack(file.xy(rows, cols))
        found = ask(dem, layer(tmp_path / "p.gpkg", points), tmp_path / "o.gpkg", **common)
        # Heights of files are rounded to a millimetre.
        assert found["elevation"] == pytest.approx(heights[rows, cols], abs=2e-3), model


def test_what_a_point_gets_depends_on_the_point_alone(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal((90, 270), 9))
    rows, cols = np.random.default_rng(6).uniform(0, [[90], [270]], (2, 400))
    all_of_them = ask(dem, layer(tmp_path / "p.gpkg", place(rows, cols)), tmp_path / "o.gpkg", model="field")
    some = np.arange(400)[::-7]
    few = ask(dem, layer(tmp_path / "f.gpkg", place(rows, cols)[some]), tmp_path / "o2.gpkg", model="field")
    for name in [*ATTRIBUTES, "error90"]:
        assert np.array_equal(few[name], all_of_them[name][some], equal_nan=True), name


def test_points_of_another_crs_are_asked_where_they_are(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal(SHAPE, 9))
    here = place(*np.random.default_rng(8).uniform(20, 270, (2, 50)))
    there = np.column_stack(pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True).transform(*here.T))
    one = ask(dem, layer(tmp_path / "u.gpkg", here), tmp_path / "ou.gpkg")
    other = ask(dem, layer(tmp_path / "d.gpkg", there, "EPSG:4326"), tmp_path / "od.gpkg")
    assert other["elevation"] == pytest.approx(one["elevation"], abs=1e-4)
    assert other["slope_deg"] == pytest.approx(one["slope_deg"], abs=1e-4)
    assert np.array_equal(shapely.get_coordinates(other["geometries"]), there)
    assert pyproj.CRS(other["meta"]["crs"]).to_epsg() == 4326


def test_outside_and_on_no_data_there_is_nothing_and_the_outermost_edge_is_inside(tmp_path):
    heights = surfaces.fractal(SHAPE, 9).astype("float32")
    heights[100:110, 100:110] = -9999
    dem = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    inside = [(0, 0), (300, 290), (0, 145), (300, 7.5), (99.999, 105), (100, 99.99)]
    outside = [(-3e-6, 5), (300.001, 5), (5, -3), (5, 290.1), (105, 105), (100, 100), (109.999, 109.999), (1e9, 1e9)]
    points = layer(tmp_path / "p.gpkg", place(*np.array([*inside, *outside]).T))
    heard = dems.Heard()
    found = ask(dem, points, tmp_path / "o.gpkg", heard)
    # The outermost corners are flat, so nothing is said of their aspect.
    for name in ATTRIBUTES:
        first = 0 if name in ("elevation", "slope_deg") else 2
        known = np.isfinite(found[name])
        assert known[first : len(inside)].all() and not known[len(inside) :].any(), name
    assert found["told"]["known"] == len(inside)
    assert "8 of 14 points lie outside of the DEM or on no-data" in heard.texts("info")[-1]
    with sqlite3.connect(tmp_path / "o.gpkg") as database:
        empty = database.execute("SELECT count(*) FROM spots WHERE elevation IS NULL AND curv_plan IS NULL").fetchone()
    assert empty == (len(outside),)


def test_longitudes_are_taken_round_the_globe_to_the_dem(tmp_path):
    """A DEM on both sides of the antimeridian, asked with longitudes of either count, and in metres."""
    heights = surfaces.lattice(surfaces.plane(1.0, 2.0, 50), surfaces.centres(60), surfaces.centres(60))
    dem = dems.write(
        tmp_path / "dem.tif", heights, crs="EPSG:4326", transform=rasterio.Affine(0.01, 0, 179.7, 0, -0.01, -16.0)
    )
    rows, cols = np.random.default_rng(2).uniform(10, 50, (2, 30))
    here = np.column_stack([179.7 + cols * 0.01, -16 - rows * 0.01])
    one = ask(dem, layer(tmp_path / "p.gpkg", here, "EPSG:4326"), tmp_path / "o.gpkg")["elevation"]
    assert one == pytest.approx(rows + 2 * cols + 50, abs=2e-3)
    fiji = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3460", always_xy=True).transform(*here.T)
    for number, (points, crs) in enumerate((
        (here - [360, 0], "EPSG:4326"), (here + [360, 0], "EPSG:4326"), (np.column_stack(fiji), "EPSG:3460"),
    )):  # fmt: skip
        other = ask(dem, layer(tmp_path / f"{number}.gpkg", points, crs), tmp_path / "o.gpkg")["elevation"]
        assert other == pytest.approx(one, abs=2e-3), crs


def test_points_on_the_outermost_edge_are_inside_whatever_rounding_does(tmp_path):
    """Grids whose edges are no numbers of 64 bits, and corners that come back from degrees."""
    random = np.random.default_rng(11)
    heights = np.full((40, 37), 7.0)
    step = 1 / 3600
    for number in range(6):
        west, north = random.uniform(-170, 170), random.uniform(-60, 70)
        affine = rasterio.Affine(step, 0, west, 0, -step, north)
        dem = dems.write(tmp_path / "dem.tif", heights, crs="EPSG:4326", transform=affine)
        east, south = west + 37 * step, north - 40 * step
        corners = np.array([(x, y) for x in (west, east) for y in (north, south)])
        near = np.concatenate([corners, np.nextafter(corners, corners.mean(axis=0) * 2 - corners + 1e3)])
        found = ask(dem, layer(tmp_path / f"{number}.gpkg", near, "EPSG:4326"), tmp_path / "o.gpkg")
        assert found["told"]["known"] == len(near), (west, north)
    dem = dems.write(tmp_path / "utm.tif", heights)
    edge = place([0.0, 40, 0, 40, 13.3, 40], [0.0, 37, 37, 0, 37, 11.1])
    degrees = np.column_stack(pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True).transform(*edge.T))
    found = ask(dem, layer(tmp_path / "d.gpkg", degrees, "EPSG:4326"), tmp_path / "o.gpkg")
    assert found["told"]["known"] == len(edge)


def test_flat_ground_has_neither_aspect_nor_curvatures(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", np.full((60, 60), 512.3), units="ft")
    points = layer(tmp_path / "p.gpkg", place(*np.random.default_rng(1).uniform(0, 60, (2, 40))))
    for model in ("baseline", dems.tiny_field(tmp_path / "model")):
        found = ask(dem, points, tmp_path / "o.gpkg", model=model)
        assert found["elevation"] == pytest.approx(512.3, abs=1e-3) and found["slope_deg"].max() < 1e-6
        assert all(np.isnan(found[name]).all() for name in ("aspect_deg", "curv_profile", "curv_plan"))


def test_heights_are_in_the_unit_of_the_dem_and_slopes_in_true_metres(tmp_path):
    metres = ground(tmp_path, surfaces.plane(0, 3.0, 500))
    points = layer(tmp_path / "p.gpkg", place([100.0, 120], [100.0, 130]))
    one = ask(metres, points, tmp_path / "o.gpkg", model="field")
    feet = ask(metres, points, tmp_path / "f.gpkg", model="field", z_unit="foot")
    assert feet["elevation"] == pytest.approx(one["elevation"], abs=0.01)
    gradients = [np.tan(np.radians(found["slope_deg"])) for found in (one, feet)]
    assert gradients[1] == pytest.approx(gradients[0] * 0.3048, rel=1e-3)


FIELDS = {
    "number": np.array([1, 0, 3]), "flag": np.array([True, False, True]),
    "day": np.array(["2020-02-29", "NaT", "1999-12-31"], dtype="datetime64[D]"),
    "moment": np.array(["2020-01-01T10:11:12", "NaT", "2021-02-03T01:02:03"], dtype="datetime64[ms]"),
    "text": np.array(["Gipfel ü", None, "x, \"y\""], dtype=object), "real": np.array([0.1, np.nan, 1e300]),
    "short": np.array([5, 6, 7], dtype=np.int32), "Elevation": np.array([7.0, 8, 9]),
}  # fmt: skip
MISSING = np.array([False, True, False])


def test_attributes_stay_as_they_are_and_names_do_not_collide(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    masks = {"number": MISSING, "flag": MISSING}
    points = layer(tmp_path / "p.gpkg", place([90.0, 100, 110], [90.0, 90, 90]), fields=FIELDS, masks=masks)
    heard = dems.Heard()
    found = ask(dem, points, tmp_path / "o.gpkg", heard)
    before, after = (pyogrio.read_info(path) for path in (points, str(tmp_path / "o.gpkg")))
    assert list(after["fields"][: len(FIELDS)]) == list(FIELDS)
    assert list(after["dtypes"][: len(FIELDS)]) == list(before["dtypes"])
    original = dict(zip(FIELDS, pyogrio.raw.read(points)[3], strict=True))
    for name, values in original.items():
        # Texts of values say the same of no number and no date.
        assert list(map(str, found[name])) == list(map(str, values)), name
    assert found["elevation_2"] == pytest.approx([90, 90, 90], abs=1e-3)
    assert any("elevation is called elevation_2" in text for text in heard.texts("info"))
    with sqlite3.connect(tmp_path / "o.gpkg") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (10200,)
        assert database.execute("SELECT z FROM gpkg_geometry_columns").fetchone() == (1,)


def test_nothing_is_lost_of_large_numbers_time_zones_lists_and_times_of_day(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    values = [
        {"key": 2**53 + 1, "when": "2020-01-02T03:04:05+05:45", "tags": ["a,b", "ü"], "sizes": [1, 2], "at": "10:11:12",
         "json": {"k": [1]}, "whole": True},
        {"key": None, "when": None, "tags": None, "sizes": None, "at": None, "json": None, "whole": None},
        {"key": -(2**53) - 1, "when": "2020-01-02T03:04:05.125Z", "tags": [], "sizes": [3], "at": "00:00:01",
         "json": {}, "whole": False},
        {"key": 7, "when": "2020-06-02T03:04:05", "tags": ["c"], "sizes": [4], "at": "23:59:59", "json": {},
         "whole": True},
    ]  # fmt: skip
    features = [
        {"type": "Feature", "properties": one, "geometry": {"type": "Point", "coordinates": list(at)}}
        for one, at in zip(values, place([90.0] * 4, [80.0, 90, 91, 92]).tolist(), strict=True)
    ]
    points = tmp_path / "p.geojson"
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}}
    points.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}), "utf-8")
    for ending in (".gpkg", ".geojson", ".fgb"):
        out = tmp_path / f"o{ending}"
        querying.query(Settings(dem, points=str(points), output=str(out), model="baseline"), dems.Heard())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GeoPackages should have no other zone than Greenwich
            meta, _, _, columns = pyogrio.raw.read(out, datetime_as_string=True)
        found = dict(zip(meta["fields"], columns, strict=True))
        order = np.argsort(found["elevation"])
        moments = ["2020-01-02T03:04:05+05:45", None, "2020-01-02T03:04:05.125Z", "2020-06-02T03:04:05"]
        assert found["when"][order].tolist() == moments, ending
        lists = {name: [_plain(value) for value in found[name][order]] for name in ("tags", "sizes")}
        assert lists == {"tags": [["a,b", "ü"], None, [], ["c"]], "sizes": [[1, 2], None, [3], [4]]}, ending
        assert [at and str(at) for at in found["at"][order]] == ["10:11:12", None, "00:00:01", "23:59:59"]
    with sqlite3.connect(tmp_path / "o.gpkg") as database:
        rows = database.execute("SELECT key, whole FROM p ORDER BY elevation").fetchall()
    assert rows == [(2**53 + 1, 1), (None, None), (-(2**53) - 1, 0), (7, 1)]


def _plain(value):
    """A list from JSON, or as a format with lists gives it."""
    return json.loads(value) if isinstance(value, str) else None if value is None else list(value)


def test_binary_attributes_are_left_out_and_named(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    points = layer(tmp_path / "p.gpkg", place([90.0], [90.0]), fields={"number": np.array([4])})
    with sqlite3.connect(points) as database:
        database.execute("ALTER TABLE spots ADD COLUMN photo BLOB DEFAULT x'00FF'")
    heard = dems.Heard()
    found = ask(dem, points, tmp_path / "o.gpkg", heard)
    assert "photo" not in found and found["number"].tolist() == [4]
    assert heard.texts("warning") == ["Attributes of the points that hold binary data are left out: photo."]


def test_attributes_may_be_called_like_the_columns_of_a_geopackage(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    fields = {"fid": np.array([5, 5]), "geom": np.array(["a", "b"], dtype=object)}
    path = layer(tmp_path / "p.geojson", place([90.0, 100], [90.0, 91]), fields=fields, driver="GeoJSON")
    found = ask(dem, path, tmp_path / "o.gpkg")
    assert found["fid"].tolist() == [5, 5] and found["geom"].tolist() == ["a", "b"]
    assert found["elevation"] == pytest.approx([90, 91], abs=1e-3)


@pytest.mark.parametrize("ending", DRIVERS)
def test_every_format_has_the_same_points_values_and_nothing_beside(tmp_path, ending):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    rows, cols = np.array([90.0, 100, 110, 500]), np.array([90.0, 91, 92, 93])
    fields = {"number": np.arange(4), "text": np.array(list("abcü"), dtype=object)}
    points = layer(tmp_path / "p.gpkg", place(rows, cols), fields=fields)
    folder = tmp_path / "out"
    folder.mkdir()
    heard = dems.Heard()
    found = ask(dem, points, folder / f"o{ending}", heard)
    order = np.argsort(found["number"])
    assert found["text"][order].tolist() == ["a", "b", "c", "ü"]
    assert found["elevation"][order] == pytest.approx([90, 91, 92, np.nan], abs=1e-3, nan_ok=True)
    assert shapely.get_coordinates(found["geometries"][order]) == pytest.approx(place(rows, cols))
    names = sorted(path.name for path in folder.iterdir())
    shape = ending == ".shp"
    assert names == (["o.cpg", "o.dbf", "o.prj", "o.shp", "o.shx"] if shape else [f"o{ending}"])
    assert ("curv_profi" in found) == shape
    assert any("curv_profile is called curv_profi" in text for text in heard.texts("info")) == shape


def test_multipoints_of_one_part_are_points_others_are_kept_without_values(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    one, two, other = (shapely.points(place([90.0], [col]))[0] for col in (90.0, 95.0, 99.0))
    several = shapely.MultiPoint([two, other])
    geometries = np.array([shapely.MultiPoint([one]), several, None, two], dtype=object)
    fields = {"number": np.arange(4)}
    heard = dems.Heard()
    path = layer(tmp_path / "p.gpkg", geometries, fields=fields, kind="Unknown")
    found = ask(dem, path, tmp_path / "o.gpkg", heard)
    assert found["elevation"] == pytest.approx([90, np.nan, np.nan, 95], abs=1e-3, nan_ok=True)
    assert found["geometries"][2] is None and found["geometries"][1].equals(several)
    assert found["meta"]["geometry_type"] in ("MultiPoint Z", "2.5D MultiPoint")
    assert heard.texts("warning") == ["1 of 4 features are not single points; their attributes are empty. "
                                      "'Multipart to singleparts' takes multipoints apart."]  # fmt: skip
    alone = ask(dem, layer(tmp_path / "q.gpkg", geometries[:1], kind="MultiPoint"), tmp_path / "o.gpkg")
    assert alone["meta"]["geometry_type"] in ("Point Z", "2.5D Point")
    assert alone["geometries"][0].geom_type == "Point"


def test_points_without_a_place_are_kept_in_every_format(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    here = shapely.points(place([90.0], [90.0]))[0]
    geometries = np.array([None, here, shapely.Point()], dtype=object)
    points = layer(tmp_path / "p.gpkg", geometries, fields={"number": np.arange(3)})
    for ending in DRIVERS:
        heard = dems.Heard()
        found = ask(dem, points, tmp_path / f"o{ending}", heard)
        order = np.argsort(found["number"])
        assert found["elevation"][order] == pytest.approx([np.nan, 90, np.nan], abs=1e-3, nan_ok=True), ending
        assert "2 of 3 features have no geometry; their attributes are empty." in heard.texts("info")
        assert not any("outside" in text for text in heard.texts("info")) and not heard.texts("warning")


def test_an_empty_layer_gives_an_empty_layer_with_all_attributes(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    points = layer(tmp_path / "p.gpkg", np.empty((0, 2)), fields={"number": np.arange(0)})
    for ending in (".gpkg", ".fgb", ".geojson"):
        found = ask(dem, points, tmp_path / f"o{ending}")
        assert found["told"]["points"] == 0 and found["told"]["lowest"] is None
        # An empty GeoJSON has no place for the names of attributes.
        assert list(found["meta"]["fields"]) == ([] if ending == ".geojson" else ["number", *ATTRIBUTES])


def test_what_cannot_be_asked_is_refused_in_a_sentence(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    line = np.array([shapely.LineString(place([1.0, 5], [1.0, 5]))], dtype=object)
    lines = layer(tmp_path / "lines.gpkg", line, kind="LineString")
    pair = layer(tmp_path / "pair.gpkg", np.array([shapely.MultiPoint([(0, 0), (1, 1)])], dtype=object), kind="Unknown")
    nowhere = layer(tmp_path / "nowhere.gpkg", place([1.0], [1.0]), crs="")
    undefined = layer(tmp_path / "undefined.gpkg", place([1.0], [1.0]), crs="")
    with sqlite3.connect(undefined) as database:
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            database.execute(f"UPDATE {table} SET srs_id = 0")
    for points, words in (
        (lines, "lines.gpkg has no single points but LineString; choose a point layer"),
        (pair, "has no single points but MultiPoint"),
        (nowhere, "nowhere.gpkg have no CRS, the DEM is in EPSG:32611; give them one with 'Assign projection'."),
        (undefined, "undefined.gpkg have no CRS, the DEM is in EPSG:32611"),
        (str(tmp_path / "none.gpkg"), "none.gpkg does not exist; choose another."),
    ):
        with pytest.raises(TerrainError) as refusal:
            ask(dem, points, tmp_path / "o.gpkg")
        assert words in str(refusal.value) and str(refusal.value).endswith(".")
    assert not (tmp_path / "o.gpkg").exists()
    free = dems.write(tmp_path / "free.tif", np.full((40, 40), 7.0), crs=None)
    assert ask(free, nowhere, tmp_path / "o.gpkg")["elevation"] == pytest.approx([7])


def test_what_a_user_should_know_is_a_warning(tmp_path):
    heights = np.full((40, 40), 7.0)
    points = layer(tmp_path / "p.gpkg", [[10.0, -5.0]], "EPSG:4326")
    for crs, known, words in (
        (None, 1, "The DEM has no CRS; the coordinates of the points, in EPSG:4326, are taken as its own."),
        (dems.UTM, 0, "No point has a height: all of them lie outside of the DEM or on no-data."),
    ):
        dem = dems.write(tmp_path / "dem.tif", heights, crs=crs, transform=rasterio.Affine(1, 0, 5, 0, -1, 0))
        heard = dems.Heard()
        found = ask(dem, points, tmp_path / "o.gpkg", heard)
        assert words in heard.texts("warning") and found["told"]["known"] == known
    heard = dems.Heard()
    ask(dem, layer(tmp_path / "empty.gpkg", np.empty((0, 2))), tmp_path / "o.gpkg", heard)
    assert not any("No point" in text for text in heard.texts("warning"))


def test_a_missing_folder_is_found_before_the_work(tmp_path):
    with pytest.raises(TerrainError, match="The folder .*nowhere does not exist; make it"):
        ask("no.tif", "no.gpkg", tmp_path / "nowhere" / "o.gpkg")


def test_an_input_that_changes_during_the_run_ends_it(tmp_path, monkeypatch):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    points = layer(tmp_path / "p.gpkg", place([90.0, 95], [90.0, 95]), fields={"number": np.arange(2)})
    honest = query_run.ask

    def meddling(change):
        def asked(*given):
            found = honest(*given)
            change()
            return found

        return asked

    def move_points():
        with sqlite3.connect(points) as database:
            database.execute("DELETE FROM spots WHERE number = 0")

    for change, words in (
        (lambda: ground(tmp_path, surfaces.plane(0, 2.0)), "The input .*dem.tif was changed during the run"),
        (move_points, "The layer spots of .*p.gpkg was changed during the run, so nothing was written; run it again."),
    ):
        monkeypatch.setattr(query_run, "ask", meddling(change))
        with pytest.raises(TerrainError, match=words):
            ask(dem, points, tmp_path / "o.gpkg")
        assert not (tmp_path / "o.gpkg").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"points": ""}, "No points were given; choose a point layer or a vector file."),
        ({"output": ""}, "No output was given; name a .gpkg file for the points."),
        ({"output": "o.csv"}, "The output o.csv must end in .gpkg"),
        ({"output": "p.gpkg"}, "The output p.gpkg is also an input"),
        ({"input": ""}, "No DEM was given"),
        ({"sampling": "mean"}, "Sampling is 'mean'"),
        ({"band": 0}, "Band is 0"),
        ({"device": "gpu"}, "Device is 'gpu'"),
    ],
)
def test_settings_say_what_is_wrong(values, words):
    with pytest.raises(TerrainError) as refusal:
        Settings(**{"input": "dem.tif", "points": "p.gpkg", "output": "o.gpkg", **values})
    assert words in str(refusal.value) and str(refusal.value).endswith(".")


def test_a_cancel_leaves_the_older_file(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal(SHAPE, 9))
    points = layer(tmp_path / "p.gpkg", place(*np.random.default_rng(8).uniform(20, 270, (2, 500))))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "o.gpkg").write_bytes(b"older")
    with pytest.raises(Cancelled):
        ask(dem, points, folder / "o.gpkg", dems.Heard(stop_at=1))
    assert [path.name for path in folder.iterdir()] == ["o.gpkg"]
    assert (folder / "o.gpkg").read_bytes() == b"older"


@pytest.mark.parametrize("sampling", ["average", "point"])
def test_beside_gaps_and_edges_the_surface_is_as_wrong_as_the_help_says(tmp_path, sampling):
    """The figures under Limits of all help pages on the surface: of the rise in a cell, and of slopes of 20 degrees."""
    surface, size, (first, last) = surfaces.plane(6.0, 9.0, 700), 40, (15, 22)
    heights = surfaces.lattice(surface, surfaces.centres(size), surfaces.centres(size))
    heights[first:last, first:last] = -9999
    at = np.concatenate([np.linspace(0, 1, 21), np.arange(10, 27, 0.1)])
    rows, cols = (axis.ravel() for axis in np.meshgrid(at, at, indexing="ij"))
    dem = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    found = ask(dem, layer(tmp_path / "p.gpkg", place(rows, cols)), tmp_path / "o.gpkg", sampling=sampling)
    wrong = np.abs(found["elevation"] - surface(rows, cols)) / 9.0
    turned = np.abs(found["slope_deg"] - np.degrees(np.arctan(np.hypot(0.2, 0.3))))
    known, inside = np.isfinite(wrong), (rows > 9) & (cols > 9)
    beside = np.maximum.reduce([first - rows, rows - last, first - cols, cols - last])
    assert 0.5 < wrong[known & inside].max() < 2 / 3 and turned[known & inside].max() > 5
    off = {away: known & inside & (beside >= away) for away in (1.5, 3.0)}
    assert wrong[off[1.5]].max() < (0.05 if sampling == "average" else 1e-3) and turned[off[1.5]].max() < 2
    assert wrong[off[3.0]].max() < 0.01 and turned[off[3.0]].max() < 0.3
    edge = (cols == 0) & (rows > 9) & (beside >= 3)
    assert wrong[edge].max() == pytest.approx(0.3 if sampling == "average" else 0.375, abs=0.02)
