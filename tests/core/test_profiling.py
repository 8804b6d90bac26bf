"""Profiles along lines: exact slopes on planes, distances on the ellipsoid, broken lines, tables, plots, refusals."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely

from neural_terrain.core import profiling
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.elevationprofile import Settings
from neural_terrain.core.profiling import drawing
from neural_terrain.core.profiling import run as profile_run
from neural_terrain.core.profiling.paths import paths_of
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

CELL_M, WEST, NORTH = 30.0, 400_000.0, 4_000_000.0
SHAPE = (300, 290)
"""Four tiles of 256 cells."""

GEOD = pyproj.Geod(ellps="WGS84")


def line(*places) -> shapely.LineString:
    """A line through rows and columns of the DEM."""
    return shapely.LineString([(WEST + col * CELL_M, NORTH - row * CELL_M) for row, col in places])


def layer(path: Path, *lines, crs=dems.UTM, **fields) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        pyogrio.raw.write(
            path, geometry=shapely.to_wkb(np.array(lines, dtype=object)), field_data=list(fields.values()),
            fields=list(fields), layer="ways", driver="GPKG", geometry_type="Unknown", crs=crs or None,
        )  # fmt: skip
    return str(path)


def follow(dem: str, lines: str, folder: Path, heard: dems.Heard | None = None, **values) -> dict:
    """Run the job; returns its result, the rows of its table by column, and what it wrote."""
    given = {"lines": lines, "output": str(folder / "o.gpkg"), "table": str(folder / "o.csv"), "model": "baseline",
             "device": "cpu", **values}  # fmt: skip
    told = profiling.profile(Settings(dem, **given), heard or dems.Heard())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pyogrio hides m
        meta, _, wkb, columns = pyogrio.raw.read(given["output"])
    if given["output"].endswith(".gpkg"):
        wkb = stored(given["output"])
    rows = table(given["table"]) if given["table"].endswith(".csv") else {}
    return {
        "told": told,
        "rows": rows,
        "lines": shapely.from_wkb(wkb),
        **dict(zip(meta["fields"], columns, strict=True)),
    }


def table(path: str) -> dict[str, np.ndarray]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    return {
        name: np.array([float(v or "nan") for v in column])
        for name, column in zip(names, np.array(rows).T, strict=True)
    }


def stored(path: str) -> list[bytes]:
    """Geometries of a GeoPackage as they stand in it, m included: WKB after a header with the bounds."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT geom FROM ways ORDER BY fid").fetchall()
    bounds = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
    return [blob[8 + bounds[blob[3] >> 1 & 7] :] for (blob,) in rows]


def ground(tmp_path: Path, surface, **profile) -> str:
    heights = surfaces.lattice(surface, surfaces.centres(SHAPE[0]), surfaces.centres(SHAPE[1]))
    return dems.write(tmp_path / "dem.tif", heights, **profile)


def measured(path: Path) -> list[tuple]:
    """Kind, z and m of the layers, as the file itself says."""
    with sqlite3.connect(path) as database:
        return database.execute("SELECT geometry_type_name, z, m FROM gpkg_geometry_columns").fetchall()


@pytest.mark.parametrize("model", ["baseline", "field"])
def test_on_a_plane_slopes_along_lines_are_exact_over_tiles_and_corners(tmp_path, model):
    dem = ground(tmp_path, surfaces.plane(-0.9, 1.7, 700))
    way = line((60, 60), (60, 100), (270, 270), (200, 230))
    found = follow(dem, layer(tmp_path / "l.gpkg", way, way.reverse()), tmp_path, model=model)
    rows, there = found["rows"], found["rows"]["line"] == 1
    edge = np.searchsorted([0, CELL_M * 40, CELL_M * (40 + np.hypot(210, 170))], rows["distance_m"][there] + 4, "right")
    rises = [1.7, (-0.9 * 210 + 1.7 * 170) / np.hypot(210, 170), (0.9 * 70 - 1.7 * 40) / np.hypot(70, 40)]
    truth = np.degrees(np.arctan(np.array(rises)[edge - 1] / CELL_M))
    assert rows["slope_deg"][there] == pytest.approx(truth, abs=3e-3)
    # At the corners a reversed line looks along the other edge.
    back = rows["slope_deg"][~there][::-1]
    assert np.count_nonzero(np.abs(back + rows["slope_deg"][there]) > 6e-3) <= 2
    assert (
        found["lines"][0].has_z and found["lines"][0].has_m and measured(tmp_path / "o.gpkg") == [("LINESTRING", 1, 1)]
    )
    z, m = shapely.get_coordinates(found["lines"][0], include_z=True, include_m=True)[:, 2:].T
    assert z == pytest.approx(rows["elevation"][there], abs=1e-4)
    assert m == pytest.approx(rows["distance_m"][there], abs=1e-3)
    assert found["ascent"][0] == pytest.approx(found["descent"][1], abs=1e-3)
    assert found["told"]["ascent"] == pytest.approx(found["told"]["descent"], abs=1e-3)
    assert ("error90" in rows) == (model == "field")


def test_over_a_cone_a_line_climbs_and_falls_its_height(tmp_path):
    dem = ground(tmp_path, surfaces.cone(150, 150, 5.0, 900))
    found = follow(dem, layer(tmp_path / "l.gpkg", line((150, 70), (150, 230))), tmp_path)
    top = 900 - found["max"][0]
    assert 0 < top < 5
    assert found["ascent"][0] == pytest.approx(400 - top, abs=0.1)
    assert found["descent"][0] == pytest.approx(400 - top, abs=0.1)
    assert found["min"][0] == pytest.approx(500, abs=0.1)
    # UTM stretches by less than 4 parts in 10,000.
    assert found["length_m"][0] == pytest.approx(160 * CELL_M, rel=4e-4)


def test_positions_keep_the_vertices_and_are_evenly_apart_on_the_ground():
    lines = np.array([line((5, 5), (5, 8), (9, 8)), shapely.LineString([(WEST, NORTH)] * 3 + [(WEST + 1, NORTH)])])
    paths = paths_of(lines, dems.UTM, 7.0)
    points = np.column_stack([paths.x, paths.y])
    for own in np.concatenate([shapely.get_coordinates(one) for one in lines]):
        assert (points == own).all(axis=1).any()
    transform = pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True).transform
    longitude, latitude = transform(paths.x, paths.y)
    steps = GEOD.inv(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])[2][paths.follows]
    assert steps.max() <= 7.0 + 1e-6 and (np.diff(paths.distance_m)[paths.follows] == pytest.approx(steps))
    assert steps[:12].max() - steps[:12].min() < 1e-3 and paths.line[-1] == 1 and (paths.line == 1).sum() == 2
    assert paths.distance_m[paths.line == 1][0] == 0
    plain = paths_of(lines[:1], "", 30.0)
    assert plain.distance_m[-1] == pytest.approx(7 * CELL_M) and plain.x.size == 8


def test_long_edges_are_as_long_as_they_are_in_their_crs_and_cut_as_asked():
    """Parallels and meridians, whose ends a geodesic joins by another way; the whole equator has none at all."""
    ways = [
        [(-170, 60), (170, 60)],
        [(-180, 0), (180, 0)],
        [(10, 0), (10, 80)],
        [(0, 0), (60, 80)],
        [(5, 40), (5.01, 40)],
    ]
    lines = np.array([shapely.LineString(way) for way in ways])
    for spacing_m in (50_000.0, 900_000.0):
        paths = paths_of(lines, "EPSG:4326", spacing_m)
        apart = GEOD.inv(paths.x[:-1], paths.y[:-1], paths.x[1:], paths.y[1:])[2][paths.follows]
        assert apart.max() <= spacing_m * (1 + 1e-6)
        for number, (begin, end) in enumerate(ways):
            fine = np.linspace(begin, end, 20_001)
            truth = GEOD.line_length(*fine.T)
            mine = paths.distance_m[paths.line == number]
            assert mine[-1] == pytest.approx(truth, rel=2e-4), (ways[number], spacing_m)
            assert mine.size <= 2.3 * max(truth / spacing_m, 1) + 2 or number == 3
    mercator = shapely.LineString([(0, 0), (0, 15e6)])
    paths = paths_of(np.array([mercator]), "EPSG:3857", 100_000.0)
    north = pyproj.Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True).transform(0, 15e6)[1]
    assert paths.distance_m[-1] == pytest.approx(GEOD.line_length([0, 0], [0, north]), rel=2e-4)
    assert np.diff(paths.distance_m).max() <= 100_000 * (1 + 1e-6)


def test_a_line_on_the_pole_has_heights_and_no_length(tmp_path):
    dem = dems.write(
        tmp_path / "dem.tif", np.full((40, 72), 7.0), crs="EPSG:4326", transform=rasterio.Affine(5, 0, -180, 0, -2, 90)
    )
    path = layer(tmp_path / "l.gpkg", shapely.LineString([(0, 90), (20, 90)]), crs="EPSG:4326")
    found = follow(dem, path, tmp_path, plot=str(tmp_path / "o.svg"))
    assert found["told"]["length_m"] == pytest.approx(0, abs=1) and found["told"]["known"] == 2
    ElementTree.parse(tmp_path / "o.svg")


def test_slopes_go_on_over_the_antimeridian(tmp_path):
    """A line in metres over a DEM in degrees that reaches beyond 180: its longitudes jump, its direction does not."""
    step = 1 / 400
    heights = surfaces.lattice(surfaces.plane(0, 2.0), surfaces.centres(80), surfaces.centres(80))
    dem = dems.write(
        tmp_path / "dem.tif", heights, crs="EPSG:4326", transform=rasterio.Affine(step, 0, 179.9, 0, -step, -17)
    )
    ends = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3460", always_xy=True).transform(
        [179.93, 180.07], [-17.1, -17.1]
    )
    rows = follow(
        dem, layer(tmp_path / "l.gpkg", shapely.LineString(np.column_stack(ends)), crs="EPSG:3460"), tmp_path
    )["rows"]
    width_m = GEOD.inv(180, -17.1, 180 + step, -17.1)[2]
    assert rows["slope_deg"] == pytest.approx(np.degrees(np.arctan(2 / width_m)), rel=2e-3)


def test_degrees_and_feet_give_metres_along_and_heights_in_feet(tmp_path):
    step = 1 / 1200
    heights = surfaces.lattice(surfaces.plane(0, 4.0, 3000), surfaces.centres(120), surfaces.centres(120))
    place = rasterio.Affine(step, 0, 10.0, 0, -step, 47.1)
    dem = dems.write(tmp_path / "dem.tif", heights, crs="EPSG:4326", transform=place, units="ft")
    way = shapely.LineString([(10.02, 47.05), (10.08, 47.05)])
    found = follow(dem, layer(tmp_path / "l.gpkg", way, crs="EPSG:4326"), tmp_path)
    length_m = GEOD.line_length(np.linspace(10.02, 10.08, 500), np.full(500, 47.05))
    assert found["rows"]["distance_m"][-1] == pytest.approx(length_m, abs=0.01)
    assert found["ascent"][0] == pytest.approx(0.06 / step * 4, abs=0.05)
    rise = 0.06 / step * 4 * 0.3048 / length_m
    assert found["rows"]["slope_deg"] == pytest.approx(np.degrees(np.arctan(rise)), abs=2e-3)
    assert found["told"]["spacing_m"] == pytest.approx(step / 4 * length_m / 0.06, rel=2e-3)


def test_lines_of_another_crs_keep_their_own_coordinates(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal(SHAPE, 3))
    way = line((40, 40), (80, 200))
    there = pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True).transform
    degrees = shapely.transform(shapely.segmentize(way, 300), lambda p: np.column_stack(there(*p.T)))
    one = follow(dem, layer(tmp_path / "u.gpkg", way), tmp_path)
    other = follow(dem, layer(tmp_path / "d.gpkg", degrees, crs="EPSG:4326"), tmp_path)
    along = np.linspace(0, one["length_m"][0], 200)
    heights = [np.interp(along, f["rows"]["distance_m"], f["rows"]["elevation"]) for f in (one, other)]
    assert np.abs(heights[0] - heights[1]).max() < 0.5
    assert other["length_m"] == pytest.approx(one["length_m"], abs=0.1)
    assert other["rows"]["x"][0] == pytest.approx(degrees.coords[0][0], abs=1e-8)


def test_voids_and_the_edge_break_lines_and_distances_go_on(tmp_path):
    heights = surfaces.lattice(surfaces.plane(0, 1.0, 100), surfaces.centres(80), surfaces.centres(80)).astype(
        "float32"
    )
    heights[:, 40:50] = -9999
    dem = dems.write(tmp_path / "dem.tif", heights, nodata=-9999)
    parts = shapely.MultiLineString([line((10, 2), (10, 12)), line((20, 30), (20, 36))])
    names = np.array(["through", "out of it", "parts", None], dtype=object)
    outside, bare = line((500, 10), (600, 10)), shapely.LineString()
    path = layer(tmp_path / "l.gpkg", line((10, -20), (10, 70)), outside, parts, bare, name=names, part=np.arange(4))
    heard = dems.Heard()
    found = follow(dem, path, tmp_path, heard, plot=str(tmp_path / "o.svg"))
    assert found["line"].tolist() == [1, 1, 3, 3] and found["part_2"].tolist() == [1, 2, 1, 2]
    assert found["name"].tolist() == ["through", "through", "parts", "parts"] and found["part"].tolist() == [0, 0, 2, 2]
    assert found["length_m"] == pytest.approx(np.array([40, 20, 10, 6]) * CELL_M, abs=7.6)
    begins = [shapely.get_coordinates(one, include_m=True)[0, 2] for one in found["lines"]]
    assert begins == pytest.approx(np.array([20, 70, 0, 10]) * CELL_M, abs=7.6)
    assert all(shapely.is_valid(found["lines"])) and found["told"]["stretches"] == 4
    assert found["told"]["known"] == np.isfinite(found["rows"]["elevation"]).sum() < found["told"]["positions"]
    assert "2 of 4 lines have heights" in heard.texts("info")[-1]
    # Two panels, one of them with a line of two strokes.
    panels = ElementTree.parse(tmp_path / "o.svg").getroot().findall("{http://www.w3.org/2000/svg}g")
    strokes = [panel[-3].get("d").count("M") for panel in panels]
    assert strokes == [2, 2]


def test_lines_without_any_height_give_an_empty_layer_and_a_warning(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    heard = dems.Heard()
    path = layer(tmp_path / "l.gpkg", line((500, 10), (600, 10)), number=np.array([3]))
    found = follow(dem, path, tmp_path, heard, plot=str(tmp_path / "o.html"))
    assert len(found["lines"]) == 0 and "number" in found and "ascent" in found
    assert heard.texts("warning") == ["No line has a height: all of them lie outside of the DEM or on no-data."]
    assert found["told"]["lowest"] is None and "No line has a height" in (tmp_path / "o.html").read_text("utf-8")


@pytest.mark.parametrize(("ending", "kind"), [(".gpkg", "ZM"), (".shp", "Z"), (".geojson", "Z"), (".fgb", "Z")])
def test_formats_keep_z_and_a_geopackage_m(tmp_path, ending, kind):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    path = layer(tmp_path / "l.gpkg", line((90, 90), (90, 120)), line((100, 90), (100, 95)))
    found = follow(dem, path, tmp_path, output=str(tmp_path / f"o{ending}"))
    shortest = found["lines"][np.argmin(found["length_m"])]
    assert shortest.has_z and (shortest.has_m == (kind == "ZM"))
    assert shapely.get_coordinates(shortest, include_z=True)[:, 2] == pytest.approx(np.arange(21) / 4 + 90, abs=2e-3)


def test_tables_of_all_formats_say_the_same(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal((90, 90), 3))
    path = layer(
        tmp_path / "l.gpkg", line((40, 40), (50, 80)), line((85, 60), (95, 60)), name=np.array(["Weg ü", "b"], object)
    )
    rows = follow(dem, path, tmp_path, model="field")["rows"]
    follow(dem, path, tmp_path, model="field", table=str(tmp_path / "o.json"))
    follow(dem, path, tmp_path, model="field", table=str(tmp_path / "t.gpkg"))
    told = json.loads((tmp_path / "o.json").read_text("utf-8"))["lines"]
    meta, _, wkb, columns = pyogrio.raw.read(tmp_path / "t.gpkg")
    assert [one["name"] for one in told] == ["Weg ü", "b"] and list(meta["fields"]) == list(rows)
    for name, column in zip(meta["fields"], columns, strict=True):
        assert np.allclose(column, rows[name], equal_nan=True), name
        if name != "line":
            plain = [np.nan if value is None else value for one in told for value in one[name]]
            assert np.allclose(plain, rows[name], equal_nan=True), name
    assert np.isnan(rows["elevation"]).any() and np.isfinite(rows["error90"]).any()
    assert shapely.get_x(shapely.from_wkb(wkb[0])) == pytest.approx(rows["x"][0])


def test_the_page_shows_twenty_lines_and_says_so(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal((90, 90), 3))
    ways = [line((10 + at, 10), (60 - at, 60)) for at in range(22)]
    names = np.array(["<b>one & only</b>", *[f"way {at}" for at in range(1, 22)]], dtype=object)
    heard = dems.Heard()
    page = tmp_path / "o.html"
    follow(
        dem, layer(tmp_path / "l.gpkg", *ways, Name=names), tmp_path, heard, plot=str(page), model="field", spacing=0.5
    )
    text = page.read_text("utf-8")
    assert text.count("<img ") == 20 and "&lt;b&gt;one &amp; only&lt;/b&gt;" in text and "<b>one" not in text
    assert "The first 20 of 22 lines are shown." in text and "first 20 of 22" in " ".join(heard.texts("info"))
    assert "way 19<" in text and "way 20<" not in text
    picture = tmp_path / "o.svg"
    follow(dem, layer(tmp_path / "m.gpkg", ways[0]), tmp_path, plot=str(picture), model="field", spacing=0.5)
    (panel,) = ElementTree.parse(picture).getroot().findall("{http://www.w3.org/2000/svg}g")
    band, profile = panel[-4].get("d"), panel[-3].get("d")
    # A line of 4200 positions is drawn with no more than what can be seen.
    assert band.endswith("Z") and 1000 < profile.count(",") < 2 * 2 * 960 and len(picture.read_bytes()) < 200_000


@pytest.mark.parametrize("height", [0.0, 512.3, 8848.86])
def test_flat_ground_is_drawn_flat_and_climbs_nothing(tmp_path, height):
    dem = dems.write(tmp_path / "dem.tif", np.full((50, 60), height))
    way = layer(tmp_path / "l.gpkg", line((5, 5), (40, 50)))
    found = follow(dem, way, tmp_path, plot=str(tmp_path / "o.svg"))
    told, rows = found["told"], found["rows"]
    assert told["ascent"] == told["descent"] == told["steepest_deg"] == 0 and not rows["slope_deg"].any()
    heights, profile, texts = drawn_of(tmp_path / "o.svg")
    assert np.ptp(profile) <= 0.1 and 0.4 < np.ptp(heights) < 1.2
    follow(dem, way, tmp_path, plot=str(tmp_path / "o.html"))
    row = re.search(r"<th>Line 1</th>(.*?)</tr>", (tmp_path / "o.html").read_text("utf-8"), re.DOTALL).group(1)
    assert re.findall(r">([^<>]+)</td>", row)[3:] == ["0"] * 4
    assert max(map(len, texts)) < 9


def test_small_rises_of_a_slope_count_and_low_relief_is_drawn(tmp_path):
    """A slope of 1 mm in a cell at 2000 m: each rise is less than a millionth of the height, all together are not."""
    dem = ground(tmp_path, surfaces.plane(0, 1e-3, 2000.0))
    way = layer(tmp_path / "l.gpkg", line((50, 50), (50, 250)))
    found = follow(dem, way, tmp_path, plot=str(tmp_path / "o.svg"), spacing=0.5)
    assert found["told"]["ascent"] == pytest.approx(0.2, rel=1e-3) and found["told"]["descent"] < 1e-6
    _, profile, _ = drawn_of(tmp_path / "o.svg")
    assert np.ptp(profile) > 100


def test_heights_beside_the_axis_stay_in_the_picture(tmp_path):
    """Heights in feet to the hundredth are the longest."""
    along = np.linspace(0, 100, 50)
    for low, span in ((29031.6914, 0.04), (-35876.6421, 0.05), (0.0, 1e-5)):
        panel = drawing.Panel("long", along, low + span * np.sin(along), None, np.ones(50))
        root = ElementTree.fromstring(f"<svg>{drawing.draw(panel, 'foot')}</svg>")
        beside = [text for text in root.findall("text") if text.get("font-size")]
        assert len(beside) > 2
        for text in beside:
            assert float(text.get("x")) - 0.64 * float(text.get("font-size")) * len(text.text) > 18


def drawn_of(path: Path) -> tuple[list[float], np.ndarray, list[str]]:
    """Heights beside the axis of the first panel, places of its profile from the top, and the heights as texts."""
    panel = ElementTree.parse(path).getroot()[0]
    paths = [one.get("d") for one in panel if one.get("stroke-width") == "1.5"]
    texts = [one.text for one in panel if one.get("font-size")]
    places = np.array([float(place.split(",")[1]) for place in paths[0].lstrip("M").split()])
    return [float(text) for text in texts], places, texts


def test_what_cannot_be_followed_is_refused_in_a_sentence(tmp_path):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    way = line((10, 10), (20, 20))
    for path, words, values in (
        (
            layer(tmp_path / "a.gpkg", shapely.Point(0, 0)),
            "a.gpkg has no lines but Point; choose a layer of lines.",
            {},
        ),
        (layer(tmp_path / "b.gpkg", way, crs=""), "b.gpkg have no CRS, the DEM is in EPSG:32611; give them one", {}),
        (layer(tmp_path / "c.gpkg"), "c.gpkg has no features; choose one with lines.", {}),
        (layer(tmp_path / "d.gpkg", shapely.LineString([(1, 1), (1, 1)])), "no line with a length", {}),
        (
            layer(tmp_path / "e.gpkg", line((10, 10), (2e5, 20))),
            "5,000,000 are allowed. Give a larger",
            {"spacing": 0.1},
        ),
        (layer(tmp_path / "f.gpkg", shapely.LineString([(1e30, 1e30), (0, 0)])), "has no place on the ground", {}),
    ):
        with pytest.raises(TerrainError) as refusal:
            follow(dem, path, tmp_path, **values)
        assert words in str(refusal.value) and str(refusal.value).endswith(".")
    assert not (tmp_path / "o.gpkg").exists() and not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lines": ""}, "No lines were given; choose a line layer or a vector file."),
        ({"output": ""}, "No output was given; name a .gpkg file for the profiles."),
        ({"spacing": 0}, "Spacing is 0 m; it must be a number from 0.001 to"),
        ({"spacing": "far"}, "Spacing is far m"),
        ({"table": "o.xlsx"}, "The table o.xlsx must end in .csv or .json or .gpkg"),
        ({"plot": "o.png"}, "The plot o.png must end in .html"),
        ({"table": "o.gpkg"}, "The output and the table are the same file o.gpkg"),
        ({"table": "l.gpkg"}, "The table l.gpkg is also an input"),
        ({"output": "dem.tif"}, "must end in .gpkg"),
    ],
)
def test_settings_say_what_is_wrong(values, words):
    with pytest.raises(TerrainError) as refusal:
        Settings(**{"input": "dem.tif", "lines": "l.gpkg", "output": "o.gpkg", **values})
    assert words in str(refusal.value) and str(refusal.value).endswith(".")


def test_a_missing_folder_is_found_before_the_work(tmp_path):
    for name in ("output", "table", "plot"):
        ending = {"output": "gpkg", "table": "csv", "plot": "html"}[name]
        with pytest.raises(TerrainError, match="The folder .*nowhere does not exist; make it"):
            follow("no.tif", "no.gpkg", tmp_path, **{name: str(tmp_path / "nowhere" / f"o.{ending}")})


def test_a_dem_that_changes_during_the_run_ends_it(tmp_path, monkeypatch):
    dem = ground(tmp_path, surfaces.plane(0, 1.0))
    honest = profile_run.profile_of

    def meddling(*given):
        found = honest(*given)
        ground(tmp_path, surfaces.plane(0, 2.0))
        return found

    monkeypatch.setattr(profile_run, "profile_of", meddling)
    with pytest.raises(TerrainError, match="The input .*dem.tif was changed during the run"):
        follow(dem, layer(tmp_path / "l.gpkg", line((90, 90), (90, 120))), tmp_path)
    assert not (tmp_path / "o.gpkg").exists() and not (tmp_path / "o.csv").exists()


def test_a_cancel_leaves_nothing(tmp_path):
    dem = dems.write(tmp_path / "dem.tif", surfaces.fractal(SHAPE, 9))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(Cancelled):
        follow(dem, layer(tmp_path / "l.gpkg", line((10, 10), (280, 280))), folder, dems.Heard(stop_at=1))
    assert list(folder.iterdir()) == []
