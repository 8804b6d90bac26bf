"""Terrain meshes from files: the bound by a reader of its own, places, units, masks, and what a failed run leaves."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from rasterio.transform import Affine

from neural_terrain.core import mesh_files, refinement
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.grid import Grid
from neural_terrain.core.jobs import terrainmesh
from neural_terrain.core.jobs.terrainmesh import Settings
from neural_terrain.core.mesh_check import Blocks
from neural_terrain.core.meshing import checking, drawn, heights, making, recipe
from neural_terrain.core.meshing.coverage import Coverage
from neural_terrain.core.meshing.ground import Ground
from neural_terrain.core.meshing.region import Region
from neural_terrain.core.meshing.work import Meshes
from neural_terrain.core.raster import Reading, Source
from neural_terrain.core.vertical import METRES
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dasks, dems

CELL_M, WEST, NORTH = 30.0, 400_000.0, 4_000_000.0
SHAPE = (61, 83)


@pytest.fixture(scope="module")
def fractal() -> np.ndarray:
    """Terrain with heights on both sides of 0."""
    return (surfaces.fractal(SHAPE, 1) - 620).astype(np.float32)


class Ran:
    """A run on a DEM that is written first, and the mesh in the file."""

    def __init__(self, folder: Path, dem: np.ndarray, profile: dict[str, Any] | None = None, **settings: Any) -> None:
        self.dem, self.heard = np.asarray(dem, np.float64), dems.Heard()
        path = dems.write(folder / "dem.tif", dem, **(profile or {}))
        wanted = {"input": path, "output": str(folder / "mesh.nc"), "max_error": 5.0, **settings}
        if wanted.get("max_triangles") or wanted.get("max_rmse"):
            wanted["max_error"] = None
        self.settings = Settings(**wanted)
        self.values = terrainmesh.run(self.settings, self.heard)
        mesh = mesh_files.read(self.settings.output)
        self.vertices, self.faces, self.mesh = mesh.vertices, mesh.faces, mesh

    def at_cells(self, times: int = 1, dx: float = CELL_M, dy: float = CELL_M) -> np.ndarray:
        """Heights of the mesh at cell centres, or at finer positions, with the DEM in its usual place."""
        lattice = np.column_stack(
            [(self.vertices[:, 0] - WEST) / dx - 0.5, (NORTH - self.vertices[:, 1]) / dy - 0.5, self.vertices[:, 2]]
        )
        return sampled(lattice, self.faces, self.dem.shape, times) / self.mesh.z_factor


def sampled(vertices: np.ndarray, faces: np.ndarray, shape: tuple[int, int], times: int = 1) -> np.ndarray:
    """Heights of triangles at lattice positions by barycentric weights; NaN where there is none."""
    rows, cols = ((n - 1) * times + 1 for n in shape)
    found = np.full((rows, cols), np.nan)
    for a, b, c in vertices[faces]:
        low, high = np.min([a, b, c], 0), np.max([a, b, c], 0)
        x = np.arange(max(math.ceil(low[0] * times - 1e-6), 0), min(math.floor(high[0] * times + 1e-6), cols - 1) + 1)
        y = np.arange(max(math.ceil(low[1] * times - 1e-6), 0), min(math.floor(high[1] * times + 1e-6), rows - 1) + 1)
        if not (x.size and y.size):
            continue
        px, py = x[None, :] / times, y[:, None] / times
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        u = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
        v = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
        inside = (u > -1e-6) & (v > -1e-6) & (u + v < 1 + 1e-6)
        height = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
        part = found[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
        part[inside] = height[inside]
    return found


def bilinear(dem: np.ndarray, times: int) -> np.ndarray:
    """The bilinear surface of a DEM without voids at finer positions."""
    rows = np.arange((dem.shape[0] - 1) * times + 1) / times
    cols = np.arange((dem.shape[1] - 1) * times + 1) / times
    down = np.stack([np.interp(rows, np.arange(dem.shape[0]), column) for column in dem.T], axis=1)
    return np.stack([np.interp(cols, np.arange(dem.shape[1]), row) for row in down])


def layer(folder: Path, kind: str, *shapes: Any, crs: str = dems.UTM) -> str:
    """A GeoPackage with some polygons or lines."""
    path = str(folder / f"{kind.lower()}.gpkg")
    wkb = shapely.to_wkb(np.array(shapes, dtype=object))
    pyogrio.raw.write(path, wkb, field_data=[], fields=[], geometry_type=kind, crs=crs)
    return path


def on_map(col: float, row: float) -> tuple[float, float]:
    """Place of a lattice position of a DEM in its usual place."""
    return WEST + (col + 0.5) * CELL_M, NORTH - (row + 0.5) * CELL_M


# --- the bound


@pytest.mark.parametrize("tile_size", [None, 16, 23])
def test_the_bound_holds_at_cells_for_any_tiles(tmp_path: Path, fractal: np.ndarray, tile_size: int | None) -> None:
    ran = Ran(tmp_path, fractal, tile_size=tile_size)
    errors = ran.at_cells() - ran.dem
    assert np.abs(errors).max() <= 5.0 + 1e-9
    assert ran.values["largest_error"] == pytest.approx(np.abs(errors).max(), abs=1e-9)
    assert ran.values["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-6)
    assert ran.values["mean_error"] == pytest.approx(errors.mean(), abs=1e-6)
    assert ran.values["seams"] == 0
    assert ran.values["covered_share"] == 1
    assert ran.values["triangles"] == len(ran.faces) < 0.2 * 2 * ran.dem.size


def test_a_mesh_that_is_far_off_between_cells_is_said(tmp_path: Path) -> None:
    steps = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((4, 4))) * 100.0  # saddles where four fields meet
    ran = Ran(tmp_path, steps, max_error=1.0)
    assert ran.values["largest_error_between"] > 5
    assert any("BOUND_AT=BETWEEN" in text for text in ran.values["warnings"])


def test_the_bound_holds_between_cells(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal, bound_at="BETWEEN", tile_size=32)
    errors = np.abs(ran.at_cells(4) - bilinear(ran.dem, 4))
    assert errors.max() <= 5.0 + 1e-9
    assert ran.values["largest_error_between"] == pytest.approx(errors.max(), abs=1e-9)


def test_a_bound_at_cells_says_what_it_is_between_them(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal)
    errors = np.abs(ran.at_cells(4) - bilinear(ran.dem, 4))
    assert ran.values["largest_error_between"] == pytest.approx(errors.max(), abs=1e-9)


@pytest.mark.parametrize(("shift", "turns"), [(1e6, 0), (-3000.0, 0), (0.0, 1)])
def test_the_bound_holds_for_shifted_and_turned_ground(tmp_path: Path, shift: float, turns: int) -> None:
    rows, cols = surfaces.centres(40), surfaces.centres(40)
    for surface in (surfaces.cone(13.3, 20.1, 9.0), surfaces.hill(18.0, 22.0, 7.0, 300.0)):
        dem = np.rot90(surfaces.lattice(surface, rows, cols) + shift, turns)
        ran = Ran(tmp_path, np.ascontiguousarray(dem), max_error=2.0)
        assert np.abs(ran.at_cells() - ran.dem).max() <= 2.0 + 1e-8
        assert ran.values["seams"] == 0


def test_a_plane_is_two_triangles_for_each_tile(tmp_path: Path) -> None:
    plane = surfaces.lattice(surfaces.plane(3.0, 4.0, -50.0), surfaces.centres(33), surfaces.centres(65))
    ran = Ran(tmp_path, plane, max_error=0.5, tile_size=32)
    assert ran.values["tiles"] == 2
    assert len(ran.faces) == 4
    slope = ran.mesh.face_data["slope"]
    assert slope == pytest.approx(math.degrees(math.atan(5 / CELL_M)), rel=2e-3)
    assert np.abs(ran.mesh.vertex_data["error"]).max() < 1e-9


def test_a_hundredth_of_the_range_is_the_bound_where_none_is_given(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal, max_error=None)
    assert ran.values["bound"] == 2.0
    assert any("the bound is 2" in text for text in ran.heard.texts("info"))
    assert ran.values["largest_error"] <= 2.0


@pytest.mark.parametrize(("span", "bound"), [(0.0, 0.01), (1567.0, 10.0), (199.9, 1.0), (200.0, 2.0), (6000.0, 50.0)])
def test_default_bounds_are_round(span: float, bound: float) -> None:
    assert heights.default_bound(heights.Range(100.0, 100.0 + span)) == bound


# --- a number of triangles, an RMSE


@pytest.mark.parametrize("most", [200, 900])
def test_a_number_of_triangles_is_nearly_used_and_not_exceeded(tmp_path: Path, fractal: np.ndarray, most: int) -> None:
    ran = Ran(tmp_path, fractal, max_triangles=most)
    assert 0.9 * most <= len(ran.faces) <= most
    assert ran.values["bound"] is None
    assert "max_error" not in ran.mesh.tags


def test_a_number_of_triangles_holds_after_the_mask(tmp_path: Path, fractal: np.ndarray) -> None:
    triangle = shapely.Polygon([on_map(10, 10), on_map(70, 15), on_map(30, 55)])
    ran = Ran(tmp_path, fractal, max_triangles=500, mask=layer(tmp_path, "Polygon", triangle))
    assert 0.85 * 500 <= len(ran.faces) <= 500


def test_the_size_is_forecast_once(tmp_path: Path, fractal: np.ndarray) -> None:
    triangle = shapely.Polygon([on_map(2, 2), on_map(80, 5), on_map(30, 58)])
    ran = Ran(tmp_path, fractal, max_triangles=500, tile_size=16, mask=layer(tmp_path, "Polygon", triangle))
    assert sum("will have about" in text for text in ran.heard.texts("info")) == 1


def test_tiles_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_terrain.core.elevation.compute.memory_bytes", lambda: 2e9)
    with pytest.raises(TerrainError, match=r"Tiles of 1024 cells take up to 3\.5 GB .* smaller TILE_SIZE"):
        making._planned((5000, 5000), 4096, 4)
    assert making._planned((5000, 5000), None, 4).crew.lanes >= 1


def test_what_travels_with_a_tile_is_its_own(tmp_path: Path, fractal: np.ndarray) -> None:
    """The whole mask does not go to a worker with every tile."""
    path = dems.write(tmp_path / "dem.tif", fractal)
    angles = np.linspace(0, 2 * np.pi, 5000)
    ring = shapely.Polygon([on_map(40 + 25 * math.cos(a), 30 + 25 * math.sin(a)) for a in angles])
    with Source(path, Reading()) as source:
        settings = Settings(path, "mesh.nc", max_error=5.0, tile_size=16)
        bench = making.Bench(settings, Ground(source), drawn.Drawn([ring]))
        alone = making.Bench(settings, Ground(source), drawn.Drawn())
    sizes = [len(pickle.dumps(tile)) for tile in bench.tiles]
    assert len(bench.tiles) < len(alone.tiles)
    assert np.median(sizes) < 1500
    assert len(pickle.dumps(recipe.Recipe(Meshes, bench.aim(5.0, bounded=True), path, Reading(), "1", {}))) < 1000


def test_too_few_triangles_are_said(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal, max_triangles=2, tile_size=16)
    assert len(ran.faces) > 2
    assert any("more than the 2 asked for" in text for text in ran.values["warnings"])


@pytest.mark.parametrize(("bound_at", "times"), [("CELLS", 1), ("BETWEEN", 4)])
def test_an_rmse_is_reached(tmp_path: Path, fractal: np.ndarray, bound_at: str, times: int) -> None:
    ran = Ran(tmp_path, fractal, max_rmse=3.0, bound_at=bound_at)
    errors = ran.at_cells(times) - bilinear(ran.dem, times)
    assert 0.8 * 3.0 <= math.sqrt((errors**2).mean()) <= 3.0
    assert ran.values["rmse" if times == 1 else "rmse_between"] == pytest.approx(
        math.sqrt((errors**2).mean()), rel=0.01
    )
    assert not ran.values["warnings"]


# --- what DEMs are like


def test_voids_are_left_out(tmp_path: Path, fractal: np.ndarray) -> None:
    dem = fractal.copy()
    dem[20:30, 10:40] = dem[50:, 60:] = -9999
    dem[40, 40] = -9999
    ran = Ran(tmp_path, dem, {"nodata": -9999}, tile_size=16)
    found, known = ran.at_cells(), ran.dem != -9999
    assert not np.isfinite(found[~known]).any()
    assert np.abs(found - ran.dem)[known].max() <= 5.0 + 1e-9
    assert ran.values["covered_share"] == 1
    assert ran.values["seams"] == 0


def test_islands_and_single_cells(tmp_path: Path, fractal: np.ndarray) -> None:
    dem = np.full_like(fractal, -9999)
    dem[5:15, 5:20], dem[30:50, 40:70], dem[25, 25] = fractal[5:15, 5:20], fractal[30:50, 40:70], 300
    ran = Ran(tmp_path, dem, {"nodata": -9999}, tile_size=16)
    known = ran.dem != -9999
    known[25, 25] = False  # a single cell has no area between cell centres
    assert np.array_equal(np.isfinite(ran.at_cells()), known)
    assert ran.values["covered_share"] == pytest.approx(known.sum() / (known.sum() + 1))


@pytest.mark.parametrize("shape", [(1, 83), (61, 1), (1, 1)])
def test_a_single_row_is_as_wide_as_its_cells(tmp_path: Path, fractal: np.ndarray, shape: tuple[int, int]) -> None:
    ran = Ran(tmp_path, np.ascontiguousarray(fractal[: shape[0], : shape[1]]), error_raster=str(tmp_path / "e.tif"))
    low, high = ran.mesh.bounds
    for axis, count in ((0, shape[1]), (1, shape[0])):
        assert high[axis] - low[axis] == pytest.approx(CELL_M * max(count - 1, 1), abs=1e-6)
    errors = dems.read(tmp_path / "e.tif")
    assert errors.shape == shape
    assert np.abs(errors).max() <= 5.001


def test_feet_are_the_unit_of_the_bound(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal, z_unit="foot", z_factor=2.5)
    assert np.abs(ran.at_cells() - ran.dem).max() <= 5.0 + 1e-6
    assert (ran.mesh.z_unit, ran.mesh.z_factor) == ("foot", 2.5)
    assert ran.vertices[:, 2] == pytest.approx(ran.mesh.vertex_data["elevation"] * 2.5)
    assert ran.mesh.tags["max_error"] == "5.0"


def test_slopes_are_those_of_the_ground(tmp_path: Path) -> None:
    plane = surfaces.lattice(surfaces.plane(0.0, 10.0), surfaces.centres(20), surfaces.centres(20))
    degrees = {"crs": "EPSG:4326", "transform": Affine(1 / 3600, 0, 10, 0, -1 / 3600, 60)}
    ran = Ran(tmp_path, plane, degrees, z_unit="foot", max_error=0.1)
    cell_m = math.radians(1 / 3600) * 6378137 * math.cos(math.radians(60))  # a second of longitude, to a third of 1 %
    expected = math.degrees(math.atan(10 * METRES["foot"] / cell_m))
    assert ran.mesh.face_data["slope"] == pytest.approx(expected, rel=5e-3)


def test_south_up_and_north_up_are_one_mesh(tmp_path: Path, fractal: np.ndarray) -> None:
    north_up = Ran(tmp_path, fractal)
    top = Affine(CELL_M, 0, WEST, 0, CELL_M, NORTH - SHAPE[0] * CELL_M)
    south_up = Ran(tmp_path, np.ascontiguousarray(fractal[::-1]), {"transform": top})
    assert np.array_equal(north_up.vertices, south_up.vertices)
    assert np.array_equal(north_up.faces, south_up.faces)


def test_datasets_say_what_the_mesh_is(tmp_path: Path, fractal: np.ndarray) -> None:
    ran = Ran(tmp_path, fractal)
    mesh = ran.mesh
    cols, rows = (mesh.vertices[:, 0] - WEST) / CELL_M - 0.5, (NORTH - mesh.vertices[:, 1]) / CELL_M - 0.5
    at = np.rint(rows).astype(int), np.rint(cols).astype(int)
    assert mesh.vertex_data["error"] == pytest.approx(mesh.vertices[:, 2] - ran.dem[at], abs=1e-6)
    assert mesh.face_data["elevation"] == pytest.approx(mesh.vertices[mesh.faces, 2].mean(axis=1))
    assert mesh.face_data["error"].max() == pytest.approx(ran.values["largest_error"])
    assert mesh.tags["grid"].split()[:4] == [repr(v) for v in (WEST, NORTH, CELL_M, CELL_M)]
    assert mesh.tags["source"] == "dem.tif"


# --- layers


def test_the_mesh_ends_at_the_mask(tmp_path: Path, fractal: np.ndarray) -> None:
    ring = [on_map(8.3, 9.1), on_map(70.2, 12.7), on_map(50.5, 54.2), on_map(20.0, 50.0)]
    hole = [on_map(30, 25), on_map(45, 25), on_map(45, 35), on_map(30, 35)]
    polygon = shapely.Polygon(ring, [hole])
    ran = Ran(tmp_path, fractal, mask=layer(tmp_path, "Polygon", polygon), tile_size=16)
    a, b, c = (ran.vertices[ran.faces[:, i], :2] for i in range(3))
    areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert areas.min() > 0
    assert areas.sum() == pytest.approx(polygon.area, rel=1e-5)
    found = ran.at_cells()
    inside = np.isfinite(found)
    assert 0.3 * inside.size < inside.sum() < inside.size
    assert np.abs(found - ran.dem)[inside].max() <= 5.0 + 1e-9


def test_a_mask_elsewhere_is_refused(tmp_path: Path, fractal: np.ndarray) -> None:
    with pytest.raises(TerrainError, match="does not touch the DEM"):
        Ran(tmp_path, fractal, mask=layer(tmp_path, "Polygon", shapely.box(0, 0, 10, 10)))


def test_edges_follow_breaklines(tmp_path: Path, fractal: np.ndarray) -> None:
    line = shapely.LineString([on_map(5.3, 20.7), on_map(60.3, 20.7), on_map(60.3, 50.7), on_map(200, 50.7)])
    ran = Ran(tmp_path, fractal, breaklines=layer(tmp_path, "LineString", line), max_error=50.0, tile_size=16)
    edges = np.concatenate([ran.faces[:, [0, 1]], ran.faces[:, [1, 2]], ran.faces[:, [2, 0]]])
    ends = np.unique(np.sort(edges, axis=1), axis=0)
    lines = shapely.linestrings(ran.vertices[ends, :2])
    followed = lines[shapely.covers(line.buffer(0.01), lines)]
    assert shapely.length(shapely.union_all(followed)) == pytest.approx((55 + 30 + 21.7) * CELL_M, rel=1e-6)


def test_breaklines_go_through_voids_and_each_other(tmp_path: Path, fractal: np.ndarray) -> None:
    dem = fractal.copy()
    dem[10:30, 30:40] = -9999
    lines = [shapely.LineString([on_map(5, 20), on_map(60, 23)]), shapely.LineString([on_map(8, 2), on_map(70, 55)])]
    ran = Ran(tmp_path, dem, {"nodata": -9999}, breaklines=layer(tmp_path, "LineString", *lines), tile_size=16)
    assert ran.values["seams"] == 0
    assert not any("breaklines" in text for text in ran.values["warnings"])
    assert np.abs(ran.at_cells() - ran.dem)[ran.dem != -9999].max() <= 5.0 + 1e-9


def test_lines_are_as_exact_as_the_finer_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(drawn.vector, "read_lines", lambda *_, tolerance, **__: asked.append(tolerance))
    grid = Grid(10, 10, WEST, NORTH, 30.0, 30.0, dems.UTM)
    for cell_size in (None, 2.0):
        drawn.read(Settings("dem.tif", "mesh.nc", breaklines="l.gpkg", cell_size=cell_size), grid)
    assert asked == pytest.approx([0.05 * 30, 0.05 * 2])


def test_breaklines_elsewhere_are_said(tmp_path: Path, fractal: np.ndarray) -> None:
    line = layer(tmp_path, "LineString", shapely.LineString([(0, 0), (100, 100)]))
    ran = Ran(tmp_path, fractal, breaklines=line)
    assert any("breaklines add no edge" in text for text in ran.values["warnings"])


def test_a_mask_between_cells_has_no_error_at_cells(tmp_path: Path, fractal: np.ndarray) -> None:
    small = shapely.Polygon([on_map(10.2, 10.2), on_map(10.8, 10.3), on_map(10.5, 10.7)])
    ran = Ran(tmp_path, fractal, mask=layer(tmp_path, "Polygon", small))
    assert ran.values["largest_error"] is ran.values["rmse"] is None
    assert any("covers no centre of a cell" in text for text in ran.values["warnings"])


# --- files


def test_the_error_raster_is_mesh_minus_dem(tmp_path: Path, fractal: np.ndarray) -> None:
    dem = fractal.copy()
    dem[10:20, 10:20] = -9999
    ran = Ran(tmp_path, dem, {"nodata": -9999}, error_raster=str(tmp_path / "e.tif"), z_factor=3.0)
    errors, expected = dems.read(tmp_path / "e.tif"), ran.at_cells() - ran.dem
    known = np.isfinite(expected)
    assert errors[known] == pytest.approx(expected[known], abs=1 / 1024)
    assert (errors[~known] == -9999).all()


@pytest.mark.parametrize("kind", ["PLY", "2DM"])
def test_other_formats_hold_the_same_mesh(tmp_path: Path, fractal: np.ndarray, kind: str) -> None:
    ugrid = Ran(tmp_path, fractal)
    other = Ran(tmp_path, fractal, format=kind, output=str(tmp_path / f"mesh{terrainmesh.ENDINGS[kind]}"))
    assert other.vertices == pytest.approx(ugrid.vertices, abs=1e-6)
    assert np.array_equal(other.faces, ugrid.faces)


def test_endings_are_those_of_the_files() -> None:
    assert {name: mesh_files.ENDINGS[name] for name in terrainmesh.ENDINGS} == terrainmesh.ENDINGS


def test_a_broken_promise_writes_nothing(tmp_path: Path, fractal: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("mesh.nc", "e.tif"):
        (out / name).write_bytes(b"old")
    monkeypatch.setattr(checking, "ROUNDED", -0.5)
    with pytest.raises(TerrainError, match="please report it"):
        Ran(tmp_path, fractal, output=str(out / "mesh.nc"), error_raster=str(out / "e.tif"))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"mesh.nc": b"old", "e.tif": b"old"}


def without(found: Any, chosen: np.ndarray) -> Any:
    """A mesh without some of its triangles."""
    return type(found)(found.vertices, np.ascontiguousarray(found.faces[~chosen]))


@pytest.mark.parametrize("masked", [False, True])
def test_missing_ground_is_found(
    tmp_path: Path, fractal: np.ndarray, monkeypatch: pytest.MonkeyPatch, masked: bool
) -> None:
    joined, cut = making.mesh.join, making.clip
    holes = lambda found: np.arange(len(found.faces)) % 9 == 4  # noqa: E731 - single triangles among their neighbours
    if masked:
        monkeypatch.setattr(making, "clip", lambda *given: without(found := cut(*given), holes(found)))
    else:
        monkeypatch.setattr(making.mesh, "join", lambda *given: without(found := joined(*given), holes(found)))
    triangle = shapely.Polygon([on_map(10, 10), on_map(70, 15), on_map(30, 55)])
    with pytest.raises(TerrainError, match="leaves out .* cells of ground"):
        Ran(tmp_path, fractal, mask=layer(tmp_path, "Polygon", triangle) if masked else "")


def test_a_triangle_over_a_void_is_found(tmp_path: Path, fractal: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = making.mesh.join

    def covered(*given: Any) -> Any:
        found = joined(*given)
        at = np.array([np.flatnonzero((found.vertices[:, :2] == place).all(axis=1))[0] for place in ring])
        return type(found)(found.vertices, np.concatenate([found.faces, at[None].astype(np.int32)]))

    ring = [(20.0, 20.0), (20.0, 24.0), (24.0, 20.0)]  # corners of the void's border
    dem = fractal.copy()
    dem[21:24, 21:24] = -9999
    monkeypatch.setattr(making.mesh, "join", covered)
    with pytest.raises(TerrainError, match="covers ground that it should not"):
        Ran(tmp_path, dem, {"nodata": -9999}, max_error=1e-3)


def test_ground_inside_a_mask_is_counted_exactly(fractal: np.ndarray) -> None:
    valid = np.hypot(*(np.indices(SHAPE) - [[[30]], [[40]]])) > 9
    valid[7, 11] = False
    mask = shapely.Polygon([(3.3, 4.1), (79.9, 11.7), (40.5, 58.2), (10.0, 40.0)], [[(50, 30), (60, 30), (55, 41)]])
    blocks = Blocks(SHAPE, 16)
    found = Coverage(Region(mask))
    total = sum(
        found.area_of(tile, valid[tile.read.row : tile.read.row_stop, tile.read.col : tile.read.col_stop])
        for tile in blocks
    )
    count = valid[:-1, :-1].astype(int) + valid[1:, :-1] + valid[:-1, 1:] + valid[1:, 1:]
    ground = shapely.union_all([shapely.box(c, r, c + 1, r + 1) for r, c in np.argwhere(count == 4)])
    halves = shapely.union_all([
        shapely.MultiPoint([(c + x, r + y) for y in (0, 1) for x in (0, 1) if valid[r + y, c + x]]).convex_hull
        for r, c in np.argwhere(count == 3)
    ])  # fmt: skip
    assert total == pytest.approx(shapely.area(mask & (ground | halves)), abs=1e-9)


@pytest.mark.parametrize("cell_size", [None, 15.0])
def test_a_cancelled_run_leaves_nothing(tmp_path: Path, fractal: np.ndarray, cell_size: float | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    path = dems.write(tmp_path / "dem.tif", fractal)
    settings = Settings(
        path, str(out / "mesh.nc"), max_error=5.0, tile_size=16, error_raster=str(out / "e.tif"), cell_size=cell_size,
        model="baseline" if cell_size else "",
    )  # fmt: skip
    with pytest.raises(Cancelled):
        terrainmesh.run(settings, dems.Heard(stop_at=3))
    assert list(out.iterdir()) == []


def test_a_mesh_through_a_model_keeps_to_the_finer_dem(
    tmp_path: Path, fractal: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[np.ndarray] = []
    made = refinement.refine

    def watched(settings: Any, progress: Any) -> dict:
        values = made(settings, progress)
        kept.append(dems.read(settings.output))
        return values

    monkeypatch.setattr(refinement, "refine", watched)
    out = tmp_path / "out"
    out.mkdir()
    ran = Ran(tmp_path, fractal, model="baseline", cell_size=15.0, output=str(out / "mesh.nc"))
    ran.dem = kept[0].astype(float)
    assert ran.dem.shape == (2 * SHAPE[0], 2 * SHAPE[1])
    assert np.abs(ran.at_cells(dx=15.0, dy=15.0) - ran.dem).max() <= 5.0 + 1e-6
    assert [path.name for path in out.iterdir()] == ["mesh.nc"]
    assert ran.mesh.tags["model"].startswith("baseline")


def test_workers_make_the_same_mesh(tmp_path: Path, fractal: np.ndarray) -> None:
    alone = Ran(tmp_path, fractal, tile_size=16)
    with dasks.started(tmp_path, 0) as cluster:
        cluster.start_worker("--nthreads", "2")
        together = Ran(tmp_path, fractal, tile_size=16, scheduler=cluster.file)
    assert np.array_equal(alone.vertices, together.vertices)
    assert np.array_equal(alone.faces, together.faces)


# --- sentences


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_error": 0.0}, "Largest error is 0.0; it must be a number from 0.0001"),
        ({"max_error": math.nan}, "Largest error is nan"),
        ({"max_error": math.inf}, "Largest error is inf"),
        ({"max_rmse": -1.0}, "RMSE is -1"),
        ({"max_triangles": 0}, "Number of triangles is 0"),
        ({"max_triangles": 10.5}, "Number of triangles is 10.5"),
        ({"max_error": 1.0, "max_triangles": 10}, "keeps to one of them"),
        ({"model": "field"}, "without a cell size"),
        ({"z_factor": 0.0}, "Vertical exaggeration is 0.0"),
        ({"tile_size": 4}, "Tile size is 4"),
        ({"bound_at": "corners"}, "it can be CELLS, BETWEEN"),
        ({"format": "OBJ"}, "it can be UGRID, PLY, 2DM"),
        ({"output": "mesh.ply"}, "must end in .nc"),
        ({"output": ""}, "No output was given"),
        ({"input": ""}, "No input DEM was given"),
        ({"error_raster": "dem.tif"}, "is also an input"),
        ({"error_raster": "e.nc"}, "must end in .tif"),
    ],
)
def test_settings_say_what_is_wrong(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TerrainError, match=said):
        Settings(**{"input": "dem.tif", "output": "mesh.nc", **settings})


@pytest.mark.parametrize("aim", [{"max_error": 5.0}, {"max_error": None}, {"max_triangles": 50}, {"max_rmse": 2.0}])
def test_a_dem_without_heights_is_refused(tmp_path: Path, fractal: np.ndarray, aim: dict[str, Any]) -> None:
    with pytest.raises(TerrainError, match="nothing to mesh in the DEM"):
        Ran(tmp_path, np.full_like(fractal, -9999), {"nodata": -9999}, **aim)


def test_a_folder_that_is_missing_is_refused_at_once(tmp_path: Path, fractal: np.ndarray) -> None:
    with pytest.raises(TerrainError, match="does not exist"):
        Ran(tmp_path, fractal, output=str(tmp_path / "nowhere" / "mesh.nc"))
