"""Contours on known and on rough surfaces, over tiles and voids: where they are, and that they never meet."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from rasterio.transform import Affine

from neural_terrain.core import continuous, raster
from neural_terrain.core.continuous import Continuous, Tiles
from neural_terrain.core.contouring import flats, joining, linking, marching, patches, tracing
from neural_terrain.core.contouring.chains import Chains
from neural_terrain.core.contouring.levels import Levels, round_interval
from neural_terrain.core.contouring.untangling import untangled
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.jobs.continuouscontours import Settings, run
from neural_terrain.core.progress import Progress
from neural_terrain.core.querying.asking import ask
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

WEST, NORTH, CELL = 400_000.0, 4_000_000.0, 30.0
TOLERANCE = CELL / 20


class Contours:
    """What a run has written, and what it told."""

    def __init__(self, path: str, told: dict) -> None:
        meta, _, wkb, values = pyogrio.raw.read(path)
        self.told, self.kind, self.crs = told, meta["geometry_type"], meta["crs"]
        self.lines = shapely.from_wkb(wkb)
        self.fields = dict(zip(meta["fields"], values, strict=True))
        self.heights = self.fields["elevation"]

    @property
    def vertices(self) -> np.ndarray:
        return shapely.get_coordinates(self.lines)

    @property
    def of_vertices(self) -> np.ndarray:
        """Height that each vertex stands for."""
        return np.repeat(self.heights, shapely.get_num_coordinates(self.lines))

    def along(self, spacing: float) -> tuple[np.ndarray, np.ndarray]:
        """Positions every so far along the straight pieces, and the height that they stand for."""
        points = shapely.segmentize(self.lines, spacing)
        return shapely.get_coordinates(points), np.repeat(self.heights, shapely.get_num_coordinates(points))

    def twins(self, other: Contours, within: float) -> set[int]:
        """Lines that the other has too, with the same vertices, wherever a ring begins."""
        mine, others = (shapely.normalize(shapely.force_2d(one.lines)) for one in (self, other))
        here, there = shapely.STRtree(others).query(mine, predicate="dwithin", distance=within)
        return {int(n) for n in here[shapely.equals_exact(mine[here], others[there], within)]}


@pytest.fixture
def contours(tmp_path):
    """Write heights as a DEM and trace its contours."""

    def trace(
        heights: np.ndarray, profile: dict | None = None, progress: Progress | None = None, **settings: Any
    ) -> Contours:
        dem = dems.write(tmp_path / "dem.tif", heights.astype(np.float64), **(profile or {}))
        asked = {"input": dem, "model": "baseline", "sampling": "point", "output": str(tmp_path / "lines.gpkg")}
        told = run(Settings(**{**asked, **settings}), progress or Progress())
        return Contours(told["output"], told)

    return trace


def tiles_of(monkeypatch, side_px: int) -> None:
    monkeypatch.setattr(Continuous, "tiles", lambda self, only=None: Tiles(
        self.grid.shape, self.model.halo_px, only, side_px))  # fmt: skip


def touching(lines: np.ndarray) -> int:
    """Pairs of lines with a point in common, and lines that meet themselves, by shapely alone."""
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    return int((one < other).sum() + (~shapely.is_simple(lines)).sum())


def area_inside(line: shapely.LineString) -> float:
    return float(shapely.Polygon(line).area)


def off_surface(dem: str, model: str, positions: np.ndarray, heights: np.ndarray, sampling: str) -> np.ndarray:
    """Distances from the contour of the surface, by height over slope; as the query tool answers."""
    settings = Settings(input=dem, model=model, sampling=sampling, output="x.gpkg")
    with raster.environment(), continuous.opened(settings, Progress()) as ground:
        told = ask(ground, positions[:, 0], positions[:, 1], 1, Progress())
    return np.abs(told["elevation"] - heights) / np.tan(np.radians(np.maximum(told["slope_deg"], 1e-6)))


def rough(shape: tuple[int, int] = (90, 110), seed: int = 3) -> np.ndarray:
    return surfaces.fractal(shape, seed, 400.0)


# --- known surfaces --------------------------------------------------------------------------------------------------


def test_contours_of_a_plane_are_straight_and_where_they_belong(contours):
    rows, cols = surfaces.centres(40), surfaces.centres(50)
    found = contours(surfaces.lattice(surfaces.plane(-2.0, 3.0, 500.0), rows, cols), interval=10.0)
    assert found.kind == "LineString Z" and "32611" in found.crs
    across, down = (found.vertices[:, 0] - WEST) / CELL, (NORTH - found.vertices[:, 1]) / CELL
    inner = (np.minimum(across, 50 - across) > 2) & (np.minimum(down, 40 - down) > 2)  # the border repeats its cells
    # A contour runs 1/2048 above its level.
    assert inner.sum() > 40 and np.abs(500 - 2 * down + 3 * across - found.of_vertices - 1 / 2048)[inner].max() < 1e-6
    assert len(set(found.heights)) == len(found.lines) > 20 and np.all(found.heights % 10 == 0)


def test_contours_of_a_hill_are_rings_around_it_with_the_top_on_their_right(contours):
    hill = surfaces.hill(30.3, 29.6, 10.0, 100.0)
    found = contours(surfaces.lattice(hill, surfaces.centres(60), surfaces.centres(60)), interval=10.0, base=5.0)
    assert list(found.heights) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95] and found.told["closed"] == 10
    assert shapely.is_closed(found.lines).all()
    assert not any(shapely.is_ccw(shapely.linearrings(shapely.get_coordinates(line))) for line in found.lines)
    x, y = found.vertices.T
    distance = np.hypot((NORTH - y) / CELL - 30.3, (x - WEST) / CELL - 29.6)
    expected = 10 * np.sqrt(2 * np.log(100 / found.of_vertices))
    assert np.abs(distance - expected).max() < 0.01  # the interpolant is as near to the hill as this
    away, heights = found.along(2.0)
    distance = np.hypot((NORTH - away[:, 1]) / CELL - 30.3, (away[:, 0] - WEST) / CELL - 29.6)
    assert np.abs(distance - 10 * np.sqrt(2 * np.log(100 / heights))).max() < 0.05 + 0.01
    assert found.fields["length_m"] == pytest.approx(shapely.length(found.lines), rel=2e-3)


def test_a_smaller_tolerance_is_kept_with_more_vertices(contours):
    hill = surfaces.hill(20.0, 20.0, 6.0, 100.0)
    heights = surfaces.lattice(hill, surfaces.centres(40), surfaces.centres(40))
    found = {share: contours(heights, interval=25.0, tolerance=CELL * share) for share in (0.5, 0.05, 0.005)}
    counts = [len(one.vertices) for one in found.values()]
    assert counts[0] < counts[1] / 1.5 and counts[1] < counts[2] / 1.5
    finest = shapely.multilinestrings(list(contours(heights, interval=25.0, tolerance=CELL / 500).lines))
    for share, one in found.items():
        assert shapely.hausdorff_distance(shapely.multilinestrings(list(one.lines)), finest, 0.05) <= share * CELL


def test_a_saddle_has_four_arms_that_do_not_cross(contours):
    rows, cols = surfaces.centres(41), surfaces.centres(41)
    found = contours((rows[:, None] - 20.5) * (cols[None, :] - 20.5) * 2.0, interval=2.0, base=1.0)
    assert touching(found.lines) == 0 and found.told["closed"] == 0
    near = found.lines[np.abs(found.heights) == 1]
    assert len(near) == 4


# --- rough surfaces --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["baseline", "field-small"])
def test_positions_are_within_the_tolerance_and_nothing_crosses(contours, tmp_path, model):
    found = contours(rough(), interval=10.0, model=model, sampling="average")
    dem = str(tmp_path / "dem.tif")
    assert len(found.lines) > 100 and touching(found.lines) == 0
    at_vertices = off_surface(dem, model, found.vertices, found.of_vertices + 1 / 2048, "average")
    assert np.quantile(at_vertices, 0.999) < 1e-3 * CELL
    between = off_surface(dem, model, *found.along(3.0), "average")
    # Distances by height over slope say nothing where the ground is nearly flat; there are few such places.
    assert np.count_nonzero(between > TOLERANCE) < 1e-3 * between.size
    assert found.told["unsure"] < 0.002 * len(found.vertices)


def test_tiles_leave_no_trace(contours, monkeypatch):
    whole = contours(rough(), interval=20.0)
    tiles_of(monkeypatch, 32)
    parts = contours(rough(), interval=20.0)
    assert whole.told["closed"] == parts.told["closed"] > 5
    assert whole.lines.size == parts.lines.size == len(whole.twins(parts, 1e-9))


def test_the_roughest_surface_is_cut_into_tiles_without_a_crossing(contours, monkeypatch, tiny_field):
    whole = contours(rough((60, 60)), interval=50.0, model=tiny_field)
    assert touching(whole.lines) == 0 and len(whole.lines) > 500  # random weights make hills in each cell
    tiles_of(monkeypatch, 32)
    parts = contours(rough((60, 60)), interval=50.0, model=tiny_field)
    # Tensors of another shape move heights by less than a millimetre, which may decide about a vertex.
    assert len(whole.twins(parts, 0.01)) > 0.995 * len(whole.lines) and len(whole.lines) == len(parts.lines)


def test_lines_end_at_the_border_only(contours):
    found = contours(rough(), interval=20.0)
    ends = shapely.get_coordinates(shapely.boundary(found.lines[~shapely.is_closed(found.lines)]))
    frame = shapely.box(WEST, NORTH - 90 * CELL, WEST + 110 * CELL, NORTH).exterior
    assert len(ends) > 20 and shapely.distance(shapely.points(ends), frame).max() < 1e-6


def test_lines_end_at_voids_and_none_is_in_them(contours):
    heights = rough()
    heights[30:50, 40:70] = -9999
    found = contours(heights, {"nodata": -9999}, interval=20.0)
    hole = shapely.box(WEST + 40 * CELL, NORTH - 50 * CELL, WEST + 70 * CELL, NORTH - 30 * CELL)
    frame = shapely.box(WEST, NORTH - 90 * CELL, WEST + 110 * CELL, NORTH).exterior
    ends = shapely.points(shapely.get_coordinates(shapely.boundary(found.lines[~shapely.is_closed(found.lines)])))
    near = np.minimum(shapely.distance(ends, frame), shapely.distance(ends, hole.exterior))
    assert near.max() < 1e-6 and (shapely.distance(ends, hole.exterior) < 1e-6).any()
    assert shapely.length(shapely.intersection(found.lines, hole.buffer(-0.01))).sum() == 0


def test_an_extent_gives_the_same_lines_cut_at_its_border(contours):
    whole = contours(rough(), interval=20.0)
    box = (WEST + 20 * CELL - 10, NORTH - 60 * CELL + 10, WEST + 77 * CELL + 10, NORTH - 15 * CELL + 10)
    part = contours(rough(), interval=20.0, extent=box)
    grown = shapely.box(WEST + 19 * CELL, NORTH - 60 * CELL, WEST + 78 * CELL, NORTH - 14 * CELL)
    cut = shapely.intersection(shapely.multilinestrings(list(whole.lines)), grown)
    mine = shapely.multilinestrings(list(part.lines))
    assert shapely.covers(grown.buffer(1e-6), mine)
    assert shapely.hausdorff_distance(shapely.force_2d(cut), shapely.force_2d(mine), 0.1) < 2 * TOLERANCE
    assert shapely.length(cut) == pytest.approx(shapely.length(mine), rel=1e-3)


# --- levels ----------------------------------------------------------------------------------------------------------


def test_water_at_a_level_has_one_shore_and_flat_ground_no_contour(contours):
    rows, cols = surfaces.centres(40), surfaces.centres(40)
    away = np.hypot(rows[:, None] - 20, cols[None, :] - 20)
    found = contours(100 + np.maximum(away - 8, 0) ** 2, interval=50.0)
    lines = found.lines[found.heights == 100]
    assert touching(found.lines) == 0 and len(lines) == 1
    shore = shapely.Polygon(lines[0])
    assert shapely.distance(shapely.Point(WEST + 20 * CELL, NORTH - 20 * CELL), lines).min() > 5 * CELL
    assert shapely.contains(shore, shapely.Point(WEST + 20 * CELL, NORTH - 20 * CELL))
    assert shore.area == pytest.approx(np.pi * (8 * CELL) ** 2, rel=0.1)
    inside = shapely.segmentize(lines[0], 5.0)
    ends = np.hypot(*(shapely.get_coordinates(inside) - [WEST + 20 * CELL, NORTH - 20 * CELL]).T) / CELL
    assert np.abs(ends - 8).max() < 1.0
    empty = contours(np.full((30, 30), 100.0), interval=50.0)
    assert len(empty.lines) == 0 and empty.kind == "LineString Z" and empty.told["contours"] == 0
    assert "DEM is 100 m high everywhere; flat ground has no contour" in empty.told["warnings"][-1]


def reservoir() -> np.ndarray:
    """Whole metres: water at 480 around a dam that rises to a flat top at 520."""
    rows, cols = np.mgrid[:60, :60]
    away = np.hypot(rows - 29.5, cols - 29.5) + 1.5 * np.sin(5 * np.arctan2(rows - 29.5, cols - 29.5))
    return np.round(np.clip(480 + (23 - away) * 3.6, 480, 520))


@pytest.mark.parametrize("model", ["baseline", "field-small"])
def test_flat_ground_at_levels_has_no_rings(contours, monkeypatch, model):
    heights = reservoir()
    found = contours(heights, interval=10.0, model=model, sampling="average")
    shore = found.lines[found.heights == 480]
    assert list(found.heights) == [480, 490, 500, 510] and touching(found.lines) == 0
    water = np.argwhere(heights == 480) + 0.5
    places = shapely.points(WEST + water[:, 1] * CELL, NORTH - water[:, 0] * CELL)
    wet = ~shapely.contains(shapely.Polygon(shore[0]), places)
    # The shore leaves the water outside, but for the halves of cells whose mean it takes.
    assert wet.mean() > 0.97 and shapely.distance(places[~wet], shore[0]).max(initial=0) < CELL
    tiles_of(monkeypatch, 32)
    parts = contours(heights, interval=10.0, model=model, sampling="average")
    assert len(parts.lines) == len(found.lines) == len(found.twins(parts, 0.01))


def test_only_small_swings_in_flat_cells_are_calmed():
    cells = np.pad(np.full((5, 5), 100.0), flats.HALO_PX - 1, constant_values=110.0)
    swinging = np.full((4, 3 * 4 + 1, 3 * 4 + 1), 0.25)
    swinging[0] += 100
    known = np.ones(cells.shape, bool)
    calm = flats.calmed(swinging, cells, known, 4)
    assert np.all(calm[0] == 100) and not calm[1:].any()
    steep = swinging + np.array([2.0, 0, 0, 0])[:, None, None]
    assert np.array_equal(flats.calmed(steep, cells, known, 4), steep)
    terrace = cells.copy()
    terrace[:5] = 90
    assert np.array_equal(flats.calmed(swinging, terrace, known, 4), swinging)
    sloping = cells + 0.1 * np.arange(cells.shape[1])
    assert flats.calmed(swinging, sloping, known, 4) is swinging
    assert not flats.calmed(swinging, np.where(known, 100.0, 0.0), known, 4)[1:].any()


@pytest.mark.parametrize(("value", "interval", "sentence"), [
    (-9999.0, 10.0, "The chosen part of the DEM is all no-data, so the layer is empty; choose another part or band."),
    (-9999.0, None, "The chosen part of the DEM is all no-data"),
    (512.3, None, "The chosen part of the DEM is 512.3 m high everywhere; flat"),
    (207.5, None, "The chosen part of the DEM is 207.5 m high everywhere; flat ground has no contour"),
])  # fmt: skip
def test_an_empty_layer_is_explained_by_what_the_ground_is(contours, value, interval, sentence):
    heard = dems.Heard()
    found = contours(np.full((20, 30), value), {"nodata": -9999}, heard, interval=interval)
    assert len(found.lines) == 0 and found.told["warnings"][-1].startswith(sentence)
    assert not any("interval" in text for text in [*heard.texts("info"), *found.told["warnings"]])


def test_levels_beside_the_ground_are_told_with_its_heights(contours):
    found = contours(rough((30, 30)), interval=5000.0, z_unit="foot")
    assert found.told["warnings"][-1].startswith("No contour lies between the lowest and the highest ground (")
    assert "ft) with an interval of 5000 from 0, so the layer is empty" in found.told["warnings"][-1]


def test_the_finest_intervals_have_their_own_levels(contours):
    rows, cols = surfaces.centres(30), surfaces.centres(40)
    found = contours(surfaces.lattice(surfaces.plane(0.0, 1e-3, 0.0), rows, cols), interval=1e-3, base=5e-4)
    inner = found.vertices[:, 0] > WEST + 3 * CELL
    off = (found.vertices[:, 0] - WEST) / CELL * 1e-3 - found.of_vertices
    assert len(found.lines) >= 34 and np.abs(off[inner & (found.vertices[:, 0] < WEST + 37 * CELL)]).max() < 1.1e-5


def test_feet_stay_feet_and_degrees_are_measured_in_metres(contours):
    rows, cols = surfaces.centres(40), surfaces.centres(50)
    heights = surfaces.lattice(surfaces.plane(0.0, 3.0, 500.0), rows, cols)
    place = {"crs": "EPSG:4326", "transform": Affine(1 / 1200, 0, 10, 0, -1 / 1200, 60)}
    found = contours(heights, place, interval=10.0, z_unit="foot")
    assert found.told["tolerance"] == pytest.approx(1 / 24000) and np.all(found.heights % 10 == 0)
    x, y = found.vertices.T
    inner = (x > 10.002) & (x < 10.0397)
    assert np.abs((x - 10)[inner] * 1200 * 3 + 500 - found.of_vertices[inner]).max() < 1e-3
    assert found.fields["length_m"][7] == pytest.approx(40 / 1200 * 111_412, rel=2e-3)


def test_an_interval_is_chosen_from_the_range_and_said(contours):
    heard = dems.Heard()
    found = contours(rough(), progress=heard)
    assert found.told["interval"] == 10 and "The interval is 10 m; heights are from 500 to 900." in heard.texts("info")
    assert [round_interval(x) for x in (400.0, 401.0, 4.0, 0.0, 3.9e-3, 8000.0)] == [10, 20, 0.1, 1, 1e-4, 200]
    assert round_interval(2e-4) == 1e-4 and all(round_interval(x) == float(f"{round_interval(x):g}") for x in (9, 3e5))


def test_index_contours_are_counted_from_the_base(contours):
    found = contours(rough(), interval=10.0, base=3.0, index_every=4)
    index = found.fields["index"] == 1
    assert set((found.heights[index] - 3) % 40) == {0} and not ((found.heights[~index] - 3) % 40 == 0).any()
    assert not contours(rough(), interval=50.0, index_every=0).fields["index"].any()
    levels = Levels(10.0, 3.0, 4, 0.3048)
    assert list(levels.ranks(np.array([13.0, 13.01, 2.0]) * 0.3048)) == [1, 2, 0]


# --- parts -----------------------------------------------------------------------------------------------------------


def _pieces(corners: list[list[int]], middle: int) -> set[tuple[int, int]]:
    """Pieces of a square as pairs of nodes, top 0, bottom 1, left 2, right 3."""
    ranks, known = np.array(corners), np.ones((1, 1), bool)
    first = marching.first_nodes(ranks, known)
    edges = [0, 2, 4, 5]  # of 2 x 2 samples: right of (0, 0) and (1, 0), below (0, 0) and (0, 1)
    starts, ends, _ = marching.pieces(ranks, np.array([[middle]]), known, first)
    number = {int(first[edge]): name for name, edge in enumerate(edges)}
    return {(number[int(a)], number[int(b)]) for a, b in zip(starts, ends, strict=True)}


def test_saddle_squares_are_decided_by_their_middle():
    falling, rising = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    assert _pieces(falling, 0) == {(0, 2), (1, 3)} and _pieces(falling, 1) == {(0, 3), (1, 2)}
    assert _pieces(rising, 0) == {(3, 0), (2, 1)} and _pieces(rising, 1) == {(3, 1), (2, 0)}
    assert _pieces([[1, 0], [0, 0]], 0) == {(0, 2)} and _pieces([[0, 1], [1, 1]], 1) == {(2, 0)}


def test_crossings_of_an_edge_are_in_the_order_of_their_levels():
    rng = np.random.default_rng(1)
    for _ in range(50):
        rises = rng.normal(size=2) * 5
        at = [patches.crossing_on_edge(0.0, 1.0, *rises, h) for h in np.linspace(0.05, 0.95, 19)]
        assert np.all(np.diff(at) > 0)
        fall = [patches.crossing_on_edge(1.0, 0.0, *rises, h) for h in np.linspace(0.05, 0.95, 19)]
        assert np.all(np.diff(fall) < 0)


def test_patches_are_bicubic():
    powers = np.random.default_rng(2).normal(size=(4, 4))
    v, u = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")

    def layer(down: int, across: int, at_v: Any, at_u: Any) -> Any:
        poly = np.polynomial.polynomial
        return poly.polyval2d(at_v, at_u, poly.polyder(poly.polyder(powers, down, axis=0), across, axis=1))

    layers = np.stack([layer(*d, v, u) for d in ((0, 0), (1, 0), (0, 1), (1, 1))])
    found = patches.surface_at(layers, 1.3, 2.6, np.empty((4, 4)))
    assert found == pytest.approx([layer(*d, 1.3, 2.6) for d in ((0, 0), (1, 0), (0, 1))])
    assert patches.middles(layers)[1, 2] == pytest.approx(layer(0, 0, 1.5, 2.5))


def test_pieces_are_linked_to_open_lines_and_rings():
    starts, ends = np.array([4, 1, 7, 2, 8]), np.array([9, 2, 8, 4, 7])
    lines = linking.linked(starts, ends)
    assert [list(lines.pieces(n)) for n in range(len(lines))] == [[1, 3, 0], [2, 4]]
    fixed = np.zeros(10, bool)
    fixed[2] = True
    lines = linking.linked(starts, ends, fixed)
    assert [list(lines.pieces(n)) for n in range(len(lines))] == [[1], [3, 0], [2, 4]]
    assert len(linking.linked(np.empty(0, np.int64), np.empty(0, np.int64))) == 0


def test_chains_that_would_cross_get_their_vertices_back():
    bent = np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 4.0]])
    other = np.array([[-1.0, 2.0], [0.5, 2.0]])
    ends = np.array([0, -1, 1, 2, 3])
    full = Chains(np.concatenate([bent, other]), np.array([0, 3, 5]), ends, np.ones(2, bool))
    apart = replace(full, points=np.concatenate([bent, other - [3.0, 0.0]]))
    thin = full.kept(np.array([True, False, True, True, True]))
    found, last = untangled([thin, full])
    assert np.array_equal(found.points, full.points) and last.all()
    found, last = untangled([apart.kept(np.array([True, False, True, True, True])), apart])
    assert len(found.points) == 4 and not last.any()


def test_contours_come_in_batches_of_any_size(contours, monkeypatch):
    whole = contours(rough(), interval=20.0)
    monkeypatch.setattr(joining, "AT_ONCE", 500)
    assert len(whole.twins(contours(rough(), interval=20.0), 0.0)) == len(whole.lines)
    assert np.all(np.diff(whole.heights) >= 0)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"interval": 0.0}, "Interval is 0.0; it must be a number from 0.0001 to 1,000,000."),
    ({"index_every": -1}, "Index contours is -1; it must be a number from 0 to 1000."),
    ({"index_every": 2.5}, "Index contours is 2.5; it must be a whole number, 0 for none."),
    ({"tolerance": -1.0}, "Tolerance is -1.0; it must be above 0 and at most 1,000,000,000, in units of the CRS."),
    ({"extent": (2.0, 0.0, 1.0, 1.0)}, "is empty; west must be below east"),
    ({"output": ""}, "No output was given; name a .gpkg file for the contours."),
    ({"output": "x.tif"}, "The output x.tif must end in .gpkg"),
    ({"tolerance": 31.0}, "The tolerance is 31; for cells of 30 it must be from 0.06 to 30."),
    ({"extent": (0.0, 0.0, 1.0, 1.0)}, "does not touch the DEM"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(contours, settings, sentence):
    with pytest.raises(TerrainError) as refusal:
        contours(rough((20, 20)), **{"interval": 10.0, **settings})
    assert sentence in str(refusal.value) and str(refusal.value).endswith(".")


def test_an_interval_that_makes_too_many_crossings_is_refused(contours, monkeypatch, tmp_path):
    monkeypatch.setattr(tracing, "MOST_NODES", 1000)
    with pytest.raises(
        TerrainError, match=r"more contours in one part of the DEM than there is room for; choose \d+ or"
    ):
        contours(rough((40, 40)), interval=1.0)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["dem.tif"]


def test_a_missing_folder_is_noticed_before_the_dem_is_opened(contours, tmp_path):
    heard = dems.Heard()
    with pytest.raises(TerrainError, match="nowhere does not exist; make it or choose another"):
        contours(rough((20, 20)), progress=heard, output=str(tmp_path / "nowhere" / "lines.gpkg"))
    assert not heard.events


def test_a_full_disk_is_said_in_a_sentence(contours, monkeypatch, tmp_path):
    def full(self, traced):  # type: ignore[no-untyped-def]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joining.Store, "add", full)
    with pytest.raises(TerrainError, match=r"^The disk of .* is full \(.* MB are free\); make room or choose another"):
        contours(rough((20, 20)), interval=50.0)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["dem.tif"]


def test_a_dem_that_changes_during_the_run_is_refused(contours, monkeypatch, tmp_path):
    trace = tracing.Tracer.trace

    def touched(self, encoded):  # type: ignore[no-untyped-def]
        dems.write(tmp_path / "dem.tif", rough((50, 60)))
        return trace(self, encoded)

    monkeypatch.setattr(tracing.Tracer, "trace", touched)
    with pytest.raises(
        TerrainError, match=r"dem.tif was changed during the run, so nothing was written; run it again."
    ):
        contours(rough((40, 40)), interval=50.0)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["dem.tif"]


def test_many_short_lines_are_joined_in_no_time(tmp_path):
    """A hundred thousand lines of one piece each; work that grows with their square takes minutes."""
    count = 100_000
    store = joining.Store(tmp_path)
    points = np.stack([np.arange(2.0 * count), np.zeros(2 * count)], axis=1)
    ends = np.arange(2 * count)
    store.add(tracing.Traced(points, np.arange(0, 2 * count + 1, 2), np.arange(count) % 7, ends[::2], ends[1::2], 0))
    found = list(store.contours())
    assert sum(len(level) for level, _, _ in found) == count and sum(len(p) for _, _, p in found) == 2 * count
    assert np.all(np.diff(np.concatenate([level for level, _, _ in found])) >= 0)
    level, first, vertices = found[0]
    assert level[0] == 0 and np.array_equal(vertices[: first[2], 0], [0.0, 1.0, 14.0, 15.0])
