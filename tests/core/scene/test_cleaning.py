"""Prepared scene data: each anomaly is dropped for its own reason and listed, the rest has one form in metres."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely

from neural_terrain.core import vector
from neural_terrain.core.cleaning import prepare
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.preparescenedata import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene_files import UserLayer
from neural_terrain.core.scene_files.classes import heights_m

UTM, DEGREES = "EPSG:32632", "EPSG:4326"
WEST, SOUTH = 600_000.0, 5_200_000.0


def saved(path, shapes, crs=UTM, **fields) -> str:
    vector.write(str(path), "things", list(shapes), fields, crs)
    return str(path)


def layer(path, name):
    meta, _, wkb, columns = pyogrio.raw.read(path, layer=name)
    return shapely.from_wkb(wkb), dict(zip(meta["fields"], columns, strict=True))


def houses() -> tuple[list, list]:
    """Thirty houses of 90 to 120 m2, and at the end what is none: each with its height in metres."""
    rng = np.random.default_rng(4)
    shapes = [shapely.box(WEST + 20 * k, SOUTH, WEST + 20 * k + 10, SOUTH + rng.uniform(9, 12)) for k in range(30)]
    odd = [
        shapely.box(WEST, SOUTH + 50, WEST + 2, SOUTH + 53),  # 6 m2
        shapely.box(WEST, SOUTH + 100, WEST + 4000, SOUTH + 900),  # 320 ha
        shapes[7],
        shapely.Polygon(),
        shapely.MultiPolygon([shapely.box(WEST, SOUTH + 60, WEST + 9, SOUTH + 69),
                              shapely.box(WEST + 20, SOUTH + 60, WEST + 31, SOUTH + 69)]),
    ]  # fmt: skip
    return shapes + odd, [6.0] * 28 + [900.0, 1.0] + [5.0] * 5


def test_every_anomaly_is_listed_with_its_reason(tmp_path):
    shapes, heights = houses()
    given = saved(tmp_path / "houses.gpkg", shapes, h=np.arange(len(shapes)), height=np.array(heights))
    out = str(tmp_path / "out.gpkg")
    result = prepare(Settings(buildings=given, output=out, report=str(tmp_path / "r.html")), Progress())
    kept, columns = layer(out, "buildings")
    assert len(kept) == 32 and list(columns["h"]) == [*range(30), 34, 34]
    assert np.isnan(columns["height_m"][28:30]).all() and columns["height_m"][:28].tolist() == [6.0] * 28
    assert (shapely.get_type_id(kept) == 3).all() and shapely.is_ccw(shapely.get_exterior_ring(kept)).all()
    points, lost = layer(out, "dropped")
    listed = dict(zip(lost["feature"].tolist(), lost["reason"].tolist(), strict=True))
    assert listed == {
        31: "smaller than the limit", 32: "size out of range", 33: "duplicate", 34: "empty",
        29: "height set to unknown", 30: "height set to unknown",
    }  # fmt: skip
    assert (result["kept"], result["dropped"], result["layers"]) == (32, 4, ["buildings", "dropped"])
    assert lost["size"][lost["feature"] == 31] == pytest.approx(6) and points[3] is None
    assert json.loads((tmp_path / "r.json").read_text())["reasons"]["buildings"]["duplicate"] == 1


def test_roads_and_land_cover_get_one_class_each_in_metres(tmp_path):
    """Degrees become metres of the UTM zone; lines come apart; words of OpenStreetMap become ours."""
    change = pyproj.Transformer.from_crs(UTM, DEGREES, always_xy=True).transform
    there = lambda shape: shapely.transform(shape, lambda p: np.column_stack(change(*p.T)))  # noqa: E731
    line = shapely.LineString([(WEST, SOUTH), (WEST + 90, SOUTH)])
    lines = [
        line,
        shapely.MultiLineString([[(WEST, SOUTH), (WEST, SOUTH + 50)], [(WEST, SOUTH + 60), (WEST, SOUTH + 60.5)]]),
    ]
    roads = saved(tmp_path / "roads.gpkg", map(there, [*lines, line]), DEGREES, highway=["secondary", "path", "track"])
    cover = [shapely.box(WEST, SOUTH, WEST + 100, SOUTH + 100), shapely.box(WEST + 200, SOUTH, WEST + 300, SOUTH + 100)]
    cover = saved(tmp_path / "cover.gpkg", map(there, cover), DEGREES, natural=["water", "wood"])
    out = str(tmp_path / "out.gpkg")
    result = prepare(Settings(roads=roads, landcover=cover, output=out), Progress())
    assert result["crs"] == UTM and result["layers"] == ["roads", "landcover", "dropped"]
    shapes, columns = layer(out, "roads")
    assert list(columns["class"]) == ["major", "foot"] and columns["width_m"].tolist() == [14.0, 3.0]
    assert shapely.length(shapes).tolist() == pytest.approx([90, 50], abs=1e-3)
    assert list(layer(out, "dropped")[1]["reason"]) == ["shorter than 1 m", "duplicate"]
    shapes, columns = layer(out, "landcover")
    assert list(columns["class"]) == ["water", "green"] and columns["area_m2"].tolist() == pytest.approx([1e4, 1e4])


def test_what_was_prepared_is_not_dropped_again(tmp_path):
    shapes, heights = houses()
    given = saved(tmp_path / "houses.gpkg", shapes, height=np.array(heights))
    for name in ("one", "two"):
        out = str(tmp_path / f"{name}.gpkg")
        result = prepare(Settings(buildings=given, buildings_layer="", output=out), Progress())
        given = out
    assert result["kept"] == 32 and result["reasons"]["buildings"].get("duplicate", 0) == 0


def test_old_outputs_stay_where_the_report_cannot_be_replaced(tmp_path, monkeypatch):
    shapes, heights = houses()
    given, out, report = saved(tmp_path / "houses.gpkg", shapes, height=np.array(heights)), "o.gpkg", "r.html"
    settings = Settings(buildings=given, output=str(tmp_path / out), report=str(tmp_path / report))
    prepare(settings, Progress())
    before, put = {one.name: one.read_bytes() for one in tmp_path.iterdir()}, Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == report and ".part" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return put(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(TerrainError, match=r"r\.html cannot be written \(Permission denied\)"):
        prepare(replace(settings, min_building=100.0), Progress())
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    monkeypatch.undo()
    prepare(replace(settings, min_building=100.0), Progress())
    assert all((tmp_path / name).read_bytes() != before[name] for name in (out, report))


def test_layers_without_features_are_refused(tmp_path):
    vector.write_layers(
        str(tmp_path / "none.gpkg"), [vector.Layer("things", [], {"n": np.zeros(0)}, UTM, kind="Polygon")]
    )
    with pytest.raises(TerrainError, match="None of the layers has a feature"):
        prepare(Settings(buildings=str(tmp_path / "none.gpkg"), output=str(tmp_path / "o.gpkg")), Progress())


def test_streets_that_cross_in_their_middles_are_no_duplicates(tmp_path):
    """A plus and a saltire have one middle and one length; the same line the other way round is a duplicate."""
    ways = [
        ((0, 50), (100, 50)),
        ((50, 0), (50, 100)),
        ((0, 0), (100, 100)),
        ((0, 100), (100, 0)),
        ((100, 50), (0, 50)),
    ]
    lines = [shapely.LineString([(WEST + x, SOUTH + y) for x, y in way]) for way in ways]
    out = str(tmp_path / "o.gpkg")
    result = prepare(Settings(roads=saved(tmp_path / "r.gpkg", lines), output=out), Progress())
    assert (result["kept"], result["reasons"]["roads"]) == (4, {"duplicate": 1})
    assert layer(out, "dropped")[1]["feature"].tolist() == [5]


@pytest.mark.parametrize(("name", "kind"), [("roads", "LineString"), ("buildings", "Polygon")])
def test_what_lies_nowhere_is_listed(tmp_path, name, kind):
    """A latitude of 95 degrees is on no map."""
    make = shapely.LineString if kind == "LineString" else lambda points: shapely.box(*points[0], *points[1])
    shapes = [make([(10, lat), (10.0005, lat + 0.0005)]) for lat in (47, 95)]
    out = str(tmp_path / "o.gpkg")
    result = prepare(Settings(**{name: saved(tmp_path / "r.gpkg", shapes, DEGREES)}, output=out), Progress())
    assert (result["kept"], result["dropped"], result["reasons"][name]) == (1, 1, {"cannot be placed": 1})


def test_mended_shapes_are_listed_and_stay(tmp_path):
    """A bow tie becomes two triangles; parts of one building that overlap become one."""
    bow = shapely.Polygon([(WEST, SOUTH), (WEST + 20, SOUTH + 20), (WEST + 20, SOUTH), (WEST, SOUTH + 20)])
    two = shapely.MultiPolygon([shapely.box(WEST, SOUTH + 50, WEST + 8, SOUTH + 60),
                                shapely.box(WEST + 5, SOUTH + 50, WEST + 13, SOUTH + 60)])  # fmt: skip
    houses = saved(tmp_path / "b.gpkg", [bow, two, shapely.box(WEST + 50, SOUTH, WEST + 60, SOUTH + 10)])
    out = str(tmp_path / "o.gpkg")
    result = prepare(Settings(buildings=houses, output=out), Progress())
    assert (result["written"]["buildings"], result["dropped"]) == (4, 0)
    assert result["reasons"]["buildings"] == {"shape mended": 3}
    assert sorted(shapely.area(layer(out, "buildings")[0]).round().tolist()) == [100, 100, 100, 130]
    assert sorted(layer(out, "dropped")[1]["feature"].tolist()) == [1, 1, 2]


def test_a_second_pass_changes_nothing(tmp_path):
    """Neither features nor attributes: those of the first pass say what those of the second would."""
    ways = [shapely.LineString([(WEST, SOUTH + y), (WEST + 50 + y, SOUTH + y)]) for y in (0, 10)]
    roads = saved(tmp_path / "r.gpkg", ways, CLASS=["primary", "service"], Width_M=np.array([3.0, 4.0]))
    shapes, heights = houses()
    built = saved(tmp_path / "houses.gpkg", shapes, height=np.array(heights))
    passes = [str(tmp_path / f"{number}.gpkg") for number in (1, 2)]
    prepare(Settings(roads=roads, buildings=built, output=passes[0]), Progress())
    again = Settings(
        roads=passes[0], roads_layer="roads", buildings=passes[0], buildings_layer="buildings", output=passes[1]
    )
    prepare(again, Progress())
    for name in ("roads", "buildings"):
        (one, first), (two, second) = (layer(path, name) for path in passes)
        assert shapely.equals_exact(one, two).all() and list(first) == list(second)
        assert all(np.array_equal(first[key], second[key], equal_nan=first[key].dtype.kind == "f") for key in first)


def test_a_report_that_has_no_folder_is_told_before_anything_is_replaced(tmp_path):
    shapes, heights = houses()
    given, out = saved(tmp_path / "houses.gpkg", shapes, height=np.array(heights)), tmp_path / "o.gpkg"
    with pytest.raises(TerrainError, match="does not exist"):
        prepare(Settings(buildings=given, output=str(out), report=str(tmp_path / "no" / "r.html")), Progress())
    assert not out.exists()


def test_heights_in_feet_are_read_as_such():
    """As OpenStreetMap writes them; a bare number is metres."""
    said = {"30 ft": 9.144, "30'": 9.144, "5'6\"": 1.6764, "12 m": 12.0, "12,5": 12.5, "": np.nan, "-5": np.nan}
    shapes = np.array([shapely.box(20 * k, 0, 20 * k + 9, 9) for k in range(len(said))], object)
    built = UserLayer(UTM, shapes, shapes, {"height": np.array(list(said), object)})
    assert heights_m(built) == pytest.approx(list(said.values()), nan_ok=True)
