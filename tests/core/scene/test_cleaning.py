"""Prepared scene data: each anomaly is dropped for its own reason and listed, the rest has one form in metres."""

from __future__ import annotations

import json

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


def test_layers_without_features_are_refused(tmp_path):
    vector.write_layers(
        str(tmp_path / "none.gpkg"), [vector.Layer("things", [], {"n": np.zeros(0)}, UTM, kind="Polygon")]
    )
    with pytest.raises(TerrainError, match="None of the layers has a feature"):
        prepare(Settings(buildings=str(tmp_path / "none.gpkg"), output=str(tmp_path / "o.gpkg")), Progress())
