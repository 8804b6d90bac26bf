"""Vector files: places after a change of CRS, repaired polygons, refusals, every format, two GDALs in one process."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely

from neural_terrain.core import vector
from neural_terrain.core.errors import TerrainError

UTM, DEGREES = "EPSG:32632", "EPSG:4326"
SQUARE = shapely.box(600000, 5200000, 610000, 5208000)
BOW_TIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def saved(path: Path, *geometries, crs=UTM, layer="areas") -> str:
    vector.write(str(path), layer, np.array(geometries, dtype=object), {}, crs)
    return str(path)


@pytest.mark.parametrize("ending", vector.DRIVERS)
def test_every_format_is_read_back_with_its_fields_and_crs(tmp_path, ending):
    path = tmp_path / f"areas{ending}"
    fields = {"name": ["wood", "Gipfel ü"], "size": np.array([1.5, np.pi]), "number": np.array([3, 4])}
    vector.write(str(path), "areas", [SQUARE, shapely.transform(SQUARE, lambda p: p + 20000)], fields, UTM)
    meta, _, wkb, columns = pyogrio.raw.read(path)
    found = dict(zip(meta["fields"], columns, strict=True))
    order = np.argsort(found["number"])  # FlatGeobuf sorts features by place
    assert list(found["name"][order]) == fields["name"] and np.allclose(found["size"][order], fields["size"])
    assert sorted(found["number"]) == [3, 4] and meta["geometry_type"] in ("Polygon", "2.5D Polygon")
    assert pyproj.CRS(meta["crs"]).to_epsg() == 32632
    assert shapely.from_wkb(wkb[order[0]]).equals(SQUARE)
    hidden = [left.name for left in tmp_path.iterdir() if left.name.startswith(".") or "-" in left.name]
    assert hidden == []
    polygons = vector.read_polygons(str(path), "", UTM)
    assert len(polygons) == 2 and polygons[0].area == pytest.approx(8e7)


def test_a_geopackage_holds_layers_of_points_in_bulk_and_a_new_one_replaces_it(tmp_path):
    path = tmp_path / "points.gpkg"
    (tmp_path / "points.gpkg-wal").write_bytes(b"of an older file")
    points = np.random.default_rng(1).uniform(0, 1e5, (50_000, 3))
    layers = [
        vector.Layer("peaks", points, {"height": points[:, 2]}, UTM, {"source": "a test"}),
        vector.Layer("areas", [SQUARE], {"wet": [True]}),
    ]
    vector.write_layers(str(path), layers)
    assert vector.layers_of(str(path)) == ["peaks", "areas"]
    meta, _, wkb, _ = pyogrio.raw.read(path, layer="peaks")
    assert meta["geometry_type"] == "Point Z" or meta["geometry_type"] == "2.5D Point"
    assert np.array_equal(shapely.get_coordinates(shapely.from_wkb(wkb), include_z=True), points)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["points.gpkg"]
    saved(path, SQUARE)
    assert vector.layers_of(str(path)) == ["areas"]


def test_edges_stay_in_place_when_the_crs_changes(tmp_path):
    """A parallel is no straight line in UTM: its middle is 1.6 km off the chord here."""
    path = saved(tmp_path / "wide.gpkg", shapely.box(6, 47, 12, 48), crs=DEGREES)
    (polygon,) = vector.read_polygons(path, "", UTM, tolerance=0.5)
    change = pyproj.Transformer.from_crs(DEGREES, UTM, always_xy=True).transform
    along = np.linspace(6, 12, 997)
    for latitude in (47, 48):
        truth = shapely.points(np.column_stack(change(along, np.full_like(along, latitude))))
        assert shapely.distance(polygon.exterior, truth).max() < 0.5
    assert 50 < len(polygon.exterior.coords) < 2000
    chord = shapely.LineString([change(6, 47), change(12, 47)])
    assert chord.distance(shapely.Point(change(9, 47))) > 1000


def test_bounds_let_a_polygon_of_the_whole_world_be_used(tmp_path):
    path = saved(tmp_path / "world.gpkg", shapely.box(-180, -90, 180, 90), crs=DEGREES)
    with pytest.raises(TerrainError, match="has no place in the CRS of the DEM"):
        vector.read_polygons(path, "", "EPSG:2154")
    dem = (600000.0, 5200000.0, 610000.0, 5208000.0)
    (polygon,) = vector.read_polygons(path, "", UTM, bounds=dem, tolerance=1.0)
    assert polygon.contains(shapely.box(*dem)) and polygon.area < 3 * shapely.box(*dem).area


def test_only_what_is_near_the_dem_is_read(tmp_path, monkeypatch):
    boxes = [shapely.box(x, 0, x + 10, 10) for x in range(0, 100_000, 20)]
    path = saved(tmp_path / "many.gpkg", *boxes)
    read, sizes = pyogrio.raw.read, list[int]()

    def counted(*values, **named):
        found = read(*values, **named)
        sizes.append(len(found[2]))
        return found

    monkeypatch.setattr(pyogrio.raw, "read", counted)
    assert len(vector.read_polygons(path, "", UTM, bounds=(1000, 0, 1100, 100))) == 6 and max(sizes) < 10
    assert vector.read_polygons(path, "", UTM, bounds=(0, 500, 100, 600)) == [] and max(sizes) <= 1000
    lines = saved(tmp_path / "lines.gpkg", shapely.LineString([(0, 0), (9, 0)]))
    with pytest.raises(TerrainError, match="has no polygons but LineString"):
        vector.read_polygons(lines, "", UTM, bounds=(0, 500, 100, 600))


def test_polygons_are_repaired_dissolved_flattened_and_taken_apart(tmp_path):
    path = saved(tmp_path / "bow.gpkg", BOW_TIE)
    assert sum(p.area for p in vector.read_polygons(path, "areas", UTM)) == pytest.approx(50)
    high = shapely.Polygon([(0, 0, 5), (4, 0, 6), (4, 4, 7)])
    many = shapely.MultiPolygon([shapely.box(20, 0, 30, 10), shapely.box(40, 0, 50, 10)])
    path = saved(tmp_path / "mixed.gpkg", high, many, shapely.box(25, 0, 35, 10), shapely.Point(1, 1))
    found = vector.read_polygons(path, "", UTM)
    assert sorted(p.area for p in found) == pytest.approx([8, 100, 150])
    assert all(p.is_valid and not p.has_z for p in found)


def test_lines_come_as_arrays_parts_apart(tmp_path):
    lines = shapely.MultiLineString([[(0, 0), (5, 5)], [(6, 6), (9, 9), (9, 0)]])
    path = saved(tmp_path / "lines.gpkg", lines, shapely.LineString([(1, 1, 4), (2, 2, 5)]))
    found = vector.read_lines(path, "", UTM)
    assert [line.shape for line in found] == [(2, 2), (3, 2), (2, 2)]
    inside = vector.read_lines(path, "", UTM, bounds=(0, 0, 4, 4))
    assert len(inside) == 2 and max(line.max() for line in inside) == pytest.approx(4.2)


def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path):
    lines = saved(tmp_path / "lines.gpkg", shapely.LineString([(0, 0), (1, 1)]))
    empty = str(tmp_path / "empty.gpkg")
    vector.write(empty, "areas", np.array([], dtype=object), {}, UTM)
    flat = saved(tmp_path / "flat.gpkg", shapely.Polygon([(0, 0), (1, 1), (2, 2)]))
    nowhere = saved(tmp_path / "nowhere.gpkg", SQUARE, crs="")
    text = tmp_path / "text.gpkg"
    text.write_text("no database")
    for path, layer, words in (
        (lines, "", "lines.gpkg has no polygons but LineString; choose one with polygons."),
        (flat, "", "flat.gpkg has only polygons without area; choose one with polygons that have one."),
        (lines, "woods", "has no layer woods; it has areas."),
        (empty, "", "empty.gpkg has no features; choose one with polygons."),
        (nowhere, "", "nowhere.gpkg has no CRS, the DEM is in EPSG:32632; give it one with 'Assign projection'."),
        (str(text), "", "text.gpkg cannot be read"),
        (str(tmp_path / "none.gpkg"), "", "none.gpkg does not exist; choose another."),
    ):
        with pytest.raises(TerrainError) as refusal:
            vector.read_polygons(path, layer, UTM)
        assert words in str(refusal.value) and str(refusal.value).endswith(".")
    assert len(vector.read_polygons(nowhere, "", "")) == 1


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = saved(tmp_path / "areas.gpkg", SQUARE)
    before = Path(path).read_bytes()
    with pytest.raises(TerrainError, match="The layer areas cannot be written"):
        vector.write(path, "areas", [SQUARE], {"a": np.array([1, 2])}, UTM)
    with pytest.raises(TerrainError, match=r"ends in none of \.gpkg"):
        vector.write(str(tmp_path / "areas.kml"), "areas", [SQUARE], {}, UTM)
    with pytest.raises(TerrainError, match="can hold one layer, not 2"):
        vector.write_layers(str(tmp_path / "two.shp"), [vector.Layer("a", [SQUARE]), vector.Layer("b", [SQUARE])])
    assert Path(path).read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["areas.gpkg"]


BOTH = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
order, folder = sys.argv[2].split(","), pathlib.Path(sys.argv[3])
import importlib
for name in order:
    importlib.import_module(f"neural_terrain.core.{name}")
import numpy as np
import shapely
from neural_terrain.core import grid, raster, vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.tiling import Window
place = grid.Grid(64, 64, 600000, 5200000, 30, 30, grid.crs_of("EPSG:32632").to_wkt())
with raster.environment():
    sink = raster.Sink(str(folder / "a.tif"), place, raster.Writing())
    sink.write(Window(0, 0, 64, 64), np.ones((64, 64)), np.ones((64, 64), bool))
    sink.finish()
    sink.commit()
    vector.write(str(folder / "a.gpkg"), "a", [shapely.box(9, 46, 11, 47)], {"n": [1]}, "EPSG:4326")
    try:
        vector.read_polygons(str(folder / "none.shp"), "", place.crs)
    except TerrainError:
        pass
    source = raster.Source(str(folder / "a.tif"))
    found = vector.read_polygons(str(folder / "a.gpkg"), "a", place.crs, bounds=place.bounds)
    print(grid.crs_name(source.grid.crs), len(found))
"""


@pytest.mark.parametrize("order", ["raster,vector", "vector,raster"])
def test_both_gdals_work_in_one_process_in_either_order(tmp_path, order):
    import neural_terrain

    root = Path(neural_terrain.__path__[0]).parent
    command = [sys.executable, "-W", "error", "-c", BOTH, str(root), order, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["EPSG:32632", "1"], run.stderr
    assert run.stderr == ""


def points_and_fields(count: int) -> tuple[np.ndarray, dict]:
    texts = np.array(["so many letters"] * count, dtype=object)
    return np.random.default_rng(1).uniform(0, 1e5, (count, 3)), {"n": np.arange(count) * 1.5, "t": texts}


def put(path: Path, way: str, count: int = 3000) -> None:
    points, fields = points_and_fields(count)
    if way == "at once":
        vector.write(str(path), "spots", points, fields, UTM)
        return
    with vector.growing(str(path), "spots", UTM, "Point Z") as layer:
        layer.add(vector.Piece(np.asarray(shapely.points(points), dtype=object), fields))


@pytest.mark.parametrize("way", ["at once", "in pieces"])
@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_a_full_disk_is_named_and_leaves_the_older_file(tmp_path, monkeypatch, ending, way):
    """A limit on the size of files stands for the full disk; GDAL tells nothing of ends that it loses."""
    path = tmp_path / f"spots{ending}"
    put(path, way)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    largest = max(map(len, before.values()))
    usage, limits = shutil.disk_usage(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000))
    for most in [largest // 3] if ending == ".gpkg" else [largest // 3, largest - 200]:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
            with pytest.raises(TerrainError) as refusal:
                put(path, way)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        said = str(refusal.value)
        assert said.startswith(f"The file {path} cannot be written") and "0.29 MB are free" in said
        assert said.endswith("make room or choose another folder.") and "part" not in said
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_read_only_folder_is_named_before_the_work(tmp_path, monkeypatch):
    """The system's answer is replaced, since the user who runs tests may be one who can write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK or Path(path) != tmp_path)
    sentence = f"The folder {tmp_path} is read-only; choose another for a.gpkg."
    for ask in (vector.require_place, lambda path: vector.write(path, "a", [SQUARE], {}, UTM)):
        with pytest.raises(TerrainError) as refusal:
            ask(str(tmp_path / "a.gpkg"))
        assert str(refusal.value) == sentence
    assert not list(tmp_path.iterdir())


def test_empty_layers_are_whole(tmp_path):
    for ending in vector.DRIVERS:
        vector.write(str(tmp_path / f"none{ending}"), "none", np.zeros((0, 2)), {"n": np.zeros(0)}, UTM)
        with vector.growing(str(tmp_path / f"no{ending}"), "none", UTM, "Point") as layer:
            layer.add(vector.Piece(np.zeros(0, dtype=object), {"n": np.zeros(0)}))
