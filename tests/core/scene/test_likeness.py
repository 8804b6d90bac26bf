"""Figures of form on towns whose figures are known, distances that can be worked out, and the run on files."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import shapely
import shapely.affinity

from neural_terrain.core import vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.comparescenes import Settings
from neural_terrain.core.likeness import compare
from neural_terrain.core.likeness.distances import frechet, w1_over_sd
from neural_terrain.core.likeness.features import FEATURES, Windows, features, street_figures
from neural_terrain.core.progress import Progress

UTM = "EPSG:32633"
EAST, NORTH = 500_000.0, 5_300_000.0


def grid(step_m: float, size_m: float = 1500.0):
    """Streets of a grid that begins half a step from the corner."""
    at = np.arange(step_m / 2, size_m, step_m)
    across = [((EAST, NORTH + y), (EAST + size_m, NORTH + y)) for y in at]
    down = [((EAST + x, NORTH), (EAST + x, NORTH + size_m)) for x in at]
    return shapely.linestrings(across + down)


def houses(pitch_m: float, side_m: float, size_m: float = 1500.0):
    """Squares in the middle of every cell of a grid."""
    at = np.arange(pitch_m / 2, size_m, pitch_m)
    x, y = (v.ravel() for v in np.meshgrid(EAST + at, NORTH + at))
    half = side_m / 2
    return shapely.box(x - half, y - half, x + half, y + half)


def area(size_m: float = 1500.0):
    return shapely.box(EAST, NORTH, EAST + size_m, NORTH + size_m)


def column(windows: Windows, name: str):
    return windows.figures[:, FEATURES.index(name)]


def test_a_grid_city_has_the_figures_that_it_was_made_with() -> None:
    """Five streets of 500 m each way per window, a house of 100 m2 in each cell of 25 m."""
    found = features(grid(100.0), houses(25.0, 10.0), area())
    assert len(found) == 9
    known = {
        "coverage": 100 / 625, "count": 400, "mean_footprint": 100, "median_footprint": 100, "compactness": np.pi / 4,
        "axis_entropy": 0, "touching": 0, "road_km_per_km2": 20, "street_entropy": 0, "largest_component": 1,
        "dead_ends": 0, "three_way": 0, "four_way": 1, "junctions": 100, "blocks": 36,
    }  # fmt: skip
    for name, value in known.items():
        assert column(found, name) == pytest.approx(np.full(9, float(value)), abs=1e-6), name


def test_figures_do_not_hang_on_how_lines_are_cut_or_turned() -> None:
    """Streets in pieces, backwards, and multiple are the same streets."""
    whole = grid(100.0)
    pieces = shapely.get_parts(shapely.node(shapely.union_all(whole)))
    multiple = np.array([shapely.multilinestrings(shapely.reverse(pieces))], object)
    one, two = (features(lines, None, area()).figures for lines in (whole, multiple))
    np.testing.assert_allclose(one, two, equal_nan=True)
    assert np.isnan(one[:, :7]).all()


def test_houses_that_touch_and_streets_that_end() -> None:
    """Rows without gaps; a comb of dead ends on one street, and a piece apart."""
    assert column(features(None, houses(10.0, 10.0), area()), "touching") == pytest.approx(1.0)
    comb = [((0, 0), (400, 0)), *[((x, 0), (x, 50)) for x in (100, 200, 300)], ((100, 200), (200, 200))]
    found = street_figures(shapely.linestrings(comb), shapely.box(-50, -50, 450, 450))
    by_name = dict(zip(FEATURES[7:], found, strict=True))
    assert by_name["largest_component"] == pytest.approx(550 / 650)
    assert by_name["dead_ends"] == pytest.approx(7 / 10)
    assert by_name["three_way"] == pytest.approx(3 / 10)
    assert by_name["blocks"] == pytest.approx(1)


def test_windows_without_anything_have_figures_where_they_make_sense() -> None:
    """No house and no street: no coverage, one block, and no number for the rest."""
    none = np.zeros(0, object)
    found = features(none, none, area(1000.0))
    assert (column(found, "coverage") == 0).all()
    assert (column(found, "blocks") == 1).all()
    assert np.isnan(column(found, "mean_footprint")).all()


def test_a_town_that_is_turned_has_the_entropies_that_it_had() -> None:
    """Houses and streets that all but agree in their direction, whatever that direction is."""
    rng = np.random.default_rng(3)
    centre, wobble = (EAST + 750, NORTH + 750), rng.normal(0, 0.2, 3600)
    built = [shapely.affinity.rotate(one, by) for one, by in zip(houses(25.0, 10.0), wobble, strict=True)]
    found = []
    for turn in (0.0, 0.05, 5.0, 44.0, 45.0):
        shapes, lines = (
            np.array([shapely.affinity.rotate(one, turn, centre) for one in each], object)
            for each in (built, grid(100.0))
        )
        whole = features(lines, shapes, shapely.box(EAST + 500, NORTH + 500, EAST + 1000, NORTH + 1000))
        found.append([column(whole, name)[0] for name in ("axis_entropy", "street_entropy")])
    assert np.ptp(found, axis=0).max() < 0.03 and np.max(found) < 0.1
    even = features(
        None,
        [shapely.affinity.rotate(one, by) for one, by in zip(built, rng.uniform(0, 90, 3600), strict=True)],
        area(),
    )
    assert column(even, "axis_entropy").min() > 0.95


def test_ground_under_two_footprints_counts_once_and_a_house_on_a_border_too() -> None:
    house = shapely.box(EAST + 490, NORTH + 100, EAST + 510, NORTH + 120)
    found = features(None, [house, house], shapely.box(EAST, NORTH, EAST + 1000, NORTH + 500))
    assert column(found, "coverage") == pytest.approx([200 / 250_000] * 2)
    assert column(found, "count").tolist() == [0, 2]


def test_a_small_area_is_one_window() -> None:
    """Figures per ground speak of that ground."""
    found = features(grid(20.0), houses(20.0, 10.0), area(100.0))
    assert len(found) == 1
    assert column(found, "coverage") == pytest.approx(0.25)
    assert column(found, "road_km_per_km2") == pytest.approx(100)


def test_distances_can_be_worked_out() -> None:
    """Nothing between equals; a shift by one standard deviation is one; unknown figures do not count."""
    real = np.random.default_rng(1).normal(size=(4000, 3)) * [1, 10, 0.1] + [0, 5, 3]
    assert w1_over_sd(real, real) == pytest.approx(np.zeros(3))
    assert frechet(real, real) == pytest.approx(0, abs=1e-9)
    moved = real + real.std(axis=0) * [1, 0, 0]
    assert w1_over_sd(real, moved) == pytest.approx([1, 0, 0], abs=1e-2)
    assert frechet(real, moved) == pytest.approx(1, abs=1e-6)
    moved[:, 1] = np.nan
    assert np.isnan(w1_over_sd(real, moved)[1])
    assert frechet(real, moved) == pytest.approx(1, abs=1e-6)
    assert np.isnan(frechet(real, real[:2]))


def test_a_figure_that_does_not_vary_is_left_out() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, (2, 60, 3))
    one[:, 1], two[:, 1] = 0.5, 0.51
    assert np.isnan(w1_over_sd(one, two)[1])
    assert frechet(one, two) == pytest.approx(frechet(one[:, [0, 2]], two[:, [0, 2]])) and frechet(one, two) < 1


def test_two_scenes_in_files_are_compared(tmp_path) -> None:
    """Areas in degrees, none, and figures as CSV and JSON with a page."""
    for name, step, side in (("a", 100.0, 10.0), ("b", 50.0, 15.0)):
        layers = [
            vector.Layer("roads", grid(step), crs=UTM),
            vector.Layer("buildings", houses(25.0, side), crs=UTM),
        ]
        vector.write_layers(str(tmp_path / f"{name}.gpkg"), layers)
    chosen = {
        f"{what}_{name}{end}": value
        for name in "ab"
        for what in ("roads", "buildings")
        for end, value in (("", str(tmp_path / f"{name}.gpkg")), ("_layer", what))
    }
    table, report = tmp_path / "table.csv", tmp_path / "page.html"
    found = compare(Settings(**chosen, output=str(table), report=str(report)), Progress())
    assert (found["windows_a"], found["windows_b"]) == (9, 9)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["feature"] for row in rows[:15]] == list(FEATURES)
    assert float(rows[0]["median_b"]) == pytest.approx(225 / 625)
    assert json.loads((tmp_path / "page.json").read_text())["features"][7]["median_b"] == pytest.approx(40)
    assert "only 9 windows" in found["warnings"][0]
    assert "How it was measured" in report.read_text()


def test_a_scene_without_features_is_refused(tmp_path) -> None:
    """In one sentence that names it."""
    path = str(tmp_path / "none.gpkg")
    vector.write_layers(path, [vector.Layer("roads", np.zeros(0, object), crs=UTM)])
    with pytest.raises(TerrainError, match="Scene A has no feature; choose other layers"):
        compare(Settings(roads_a=path, roads_b=path), Progress())


def test_more_windows_than_can_be_compared_are_refused(tmp_path) -> None:
    """Two houses 200 km apart, at windows of 100 m; at once, before any window is made."""
    path = str(tmp_path / "b.gpkg")
    vector.write(
        path, "houses", list(shapely.box(*np.array([[0, 0, 9, 9], [2e5, 2e5, 2e5 + 9, 2e5 + 9]]).T + EAST)), {}, UTM
    )
    with pytest.raises(TerrainError, match="at most 200,000 can be compared"):
        compare(Settings(buildings_a=path, buildings_b=path, window=100.0), Progress())


def test_files_are_read_no_more_often_than_needed(tmp_path, monkeypatch) -> None:
    """Without an area once for where they lie and once for what they hold."""
    path, times = str(tmp_path / "b.gpkg"), []
    vector.write(path, "houses", list(houses(50.0, 10.0)), {}, UTM)
    pieces = vector.Features.pieces
    monkeypatch.setattr(vector.Features, "pieces", lambda self, *names: times.append(1) or pieces(self, *names))
    compare(Settings(buildings_a=path, buildings_b=path), Progress())
    assert len(times) == 4
