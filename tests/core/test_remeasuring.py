"""*Mesh to raster* and *Mesh report* on files: round trips, units, CRS, grids, voids, verdicts, refusals, cancel."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import trimesh
from rasterio.transform import Affine

from neural_terrain.core import grid as grids
from neural_terrain.core import mesh_files
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs import meshreport, meshtoraster
from neural_terrain.core.raster import read_all
from neural_terrain.core.triangles import Triangles
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

METRE_FOOT = 0.3048
SIDE = 3
"""Every so many cells have a vertex."""


def thinned(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A regular mesh on every third cell: columns, rows and heights, faces, and its heights at all cells."""
    rows, cols = heights.shape
    row, col = np.mgrid[0:rows:SIDE, 0:cols:SIDE]
    across = row.shape[1]
    vertices = np.stack([col.ravel(), row.ravel(), heights[::SIDE, ::SIDE].ravel()], axis=1).astype(float)
    a = (np.arange(row.shape[0] - 1)[:, None] * across + np.arange(across - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + across, a + across + 1], 1), np.stack([a, a + across + 1, a + 1], 1)])
    return vertices, faces.astype(np.int32), _planes(heights)


def _planes(heights: np.ndarray) -> np.ndarray:
    """Heights of that mesh at every cell, by hand: of each square the plane of its upper right or lower left half."""
    known = heights[::SIDE, ::SIDE]
    row, col = np.mgrid[: heights.shape[0], : heights.shape[1]]
    j, i = np.minimum(row // SIDE, known.shape[0] - 2), np.minimum(col // SIDE, known.shape[1] - 2)
    v, u = row / SIDE - j, col / SIDE - i
    a, b, c, d = known[j, i], known[j, i + 1], known[j + 1, i], known[j + 1, i + 1]
    return np.where(u >= v, a + u * (b - a) + v * (d - b), a + v * (c - a) + u * (d - c))


def placed(vertices: np.ndarray, faces: np.ndarray, grid: grids.Grid, **more: Any) -> Triangles:
    """A mesh on the ground; heights are exaggerated by ``z_factor``."""
    x = grid.x0 + (vertices[:, 0] + 0.5) * grid.dx
    y = grid.y0 - (vertices[:, 1] + 0.5) * grid.dy
    z = vertices[:, 2] * more.get("z_factor", 1.0)
    return Triangles(np.stack([x, y, z], axis=1), faces, **{"crs": grid.crs, **more})


def grid_tag(grid: grids.Grid) -> str:
    return " ".join(repr(float(n)) for n in (grid.x0, grid.y0, grid.dx, grid.dy, grid.rows, grid.cols))


class Pair:
    """A DEM and a mesh of it."""

    def __init__(self, folder: Path, heights: np.ndarray | None = None, **profile: Any) -> None:
        self.heights = surfaces.fractal((46, 61), 3) if heights is None else heights
        self.folder = folder
        self.dem = dems.write(folder / "dem.tif", self.heights, **profile)
        _, _, self.grid = read_all(self.dem)
        self.vertices, self.faces, self.expected = thinned(self.heights)

    @property
    def largest(self) -> float:
        return float(np.abs(self.expected - self.heights).max())

    def mesh(self, format: str = "UGRID", **more: Any) -> str:
        path = str(self.folder / f"mesh{mesh_files.ENDINGS[format]}")
        mesh_files.write(path, placed(self.vertices, self.faces, self.grid, **more), format)
        return path


@pytest.fixture
def pair(tmp_path) -> Pair:
    return Pair(tmp_path)


def rastered(path: str, out: str, progress: dems.Heard | None = None, **values: Any) -> dict:
    return meshtoraster.run(meshtoraster.Settings(input=path, output=out, **values), progress or dems.Heard())


def reported(path: str, progress: dems.Heard | None = None, **values: Any) -> dict:
    return meshreport.run(meshreport.Settings(input=path, **values), progress or dems.Heard())


# --- mesh to raster --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["UGRID", "PLY", "2DM"])
def test_heights_come_back_on_the_cells_of_the_dem(pair, out, format):
    told = rastered(pair.mesh(format), out, grid=pair.dem)
    heights, valid, grid = read_all(out)
    assert (grid.x0, grid.y0, grid.dx, grid.dy) == (pair.grid.x0, pair.grid.y0, 30, 30)
    assert valid.all() and told["covered_share"] == 1 and told["triangles"] == len(pair.faces)
    assert np.allclose(heights, pair.expected, atol=1e-3)
    if format == "UGRID":
        assert grids.same_crs(grid.crs, pair.grid.crs)


def test_a_mesh_that_names_its_grid_returns_to_it(pair, out):
    heard = dems.Heard()
    path = pair.mesh(tags={"grid": grid_tag(pair.grid)})
    told = rastered(path, out, heard)
    heights, valid, grid = read_all(out)
    assert grid.shape == pair.grid.shape == (told["rows"], told["columns"]) and grid.bounds == pair.grid.bounds
    assert valid.all() and np.allclose(heights, pair.expected, atol=1e-3)
    assert any("made from, 30 x 30" in text for text in heard.texts("info"))


def test_a_cell_size_is_counted_from_the_corner_of_that_grid(pair, out):
    told = rastered(pair.mesh(tags={"grid": grid_tag(pair.grid)}), out, cell_size=20.0)
    _, _, grid = read_all(out)
    assert (grid.dx, grid.dy) == (20, 20) and (grid.x0 - pair.grid.x0) % 20 == 0
    assert told["rows"] == grid.rows and grid.bounds[0] >= pair.grid.bounds[0]
    west_centre, north_centre = grid.x0 + 10, grid.y0 - 10
    assert west_centre >= pair.grid.x0 + 15 and north_centre <= pair.grid.y0 - 15


def test_without_a_grid_there_is_about_one_cell_for_two_triangles(pair, out):
    heard = dems.Heard()
    told = rastered(pair.mesh(), out, heard)
    assert told["cell_width"] == SIDE * 30.0
    assert told["rows"] * told["columns"] == pytest.approx(len(pair.faces) / 2, rel=0.02)
    assert any("names no grid; cells of 90" in text for text in heard.texts("info"))


def test_exaggeration_and_feet_are_taken_back(pair, out):
    rastered(pair.mesh(z_factor=2.5, z_unit="foot"), out, grid=pair.dem)
    with rasterio.open(out) as file:
        assert file.units == ("foot",)
        assert np.allclose(file.read(1), pair.expected, atol=1e-3)


def test_what_a_file_cannot_tell_is_given(pair, out):
    rastered(pair.mesh("2DM", z_factor=2.5), out, grid=pair.dem, z_factor=2.5, mesh_unit="us-foot")
    with rasterio.open(out) as file:
        assert file.units == ("us-foot",)
        assert np.allclose(file.read(1), pair.expected, atol=1e-3)
    told = reported(pair.mesh("2DM", z_factor=2.5), dem=pair.dem, z_factor=2.5 * METRE_FOOT, mesh_unit="foot")
    assert told["unit"] == "foot" and told["largest"] == pytest.approx(pair.largest / METRE_FOOT, rel=1e-6)


def test_holes_and_what_lies_beside_the_mesh_are_no_data(pair, out):
    hole = (pair.vertices[pair.faces, :2].mean(axis=1) > 20).all(axis=1)
    pair.faces = pair.faces[~hole]
    used, numbers = np.unique(pair.faces, return_inverse=True)
    pair.vertices, pair.faces = pair.vertices[used], numbers.reshape(-1, 3).astype(np.int32)
    told = rastered(pair.mesh(), out, grid=pair.dem, nodata=-1.0)
    _, valid, _ = read_all(out)
    assert not valid[30:, 30:].any() and valid[:15].all() and told["covered"] == valid.sum()
    assert dems.read(out).min() == -1


def test_large_rasters_are_written_block_by_block(pair, out):
    heard = dems.Heard()
    told = rastered(pair.mesh(), out, heard, cell_size=2.5)
    assert told["rows"] > 512 and sum(t.startswith("Tile") for t in heard.texts("progress")) >= 4
    heights, valid, grid = read_all(out)
    assert valid.all()
    row, col = (np.arange(n) for n in grid.shape)
    rows, cols = (
        ((pair.grid.y0 - grid.y0) + (row + 0.5) * 2.5) / 30,
        ((grid.x0 - pair.grid.x0) + (col + 0.5) * 2.5) / 30,
    )
    steps = np.abs(np.diff(heights, axis=1)).max()
    near = pair.expected[np.rint(rows - 0.5).astype(int)][:, np.rint(cols - 0.5).astype(int)]
    assert np.abs(heights - near).max() < 20 * steps


def test_of_a_solid_the_top_counts(tmp_path, out):
    box = trimesh.creation.box((40.0, 30.0, 10.0)).apply_translation((20, 15, 5))
    path = tmp_path / "box.stl"
    box.export(path)
    told = rastered(str(path), out, cell_size=1.0, assigned_crs="EPSG:32611")
    assert (told["rows"], told["columns"]) == (30, 40)
    with rasterio.open(out) as file:
        assert np.all(file.read(1) == 10) and file.crs.to_epsg() == 32611


def test_a_mesh_in_degrees_keeps_its_cells(tmp_path, out):
    place = Affine(1 / 3600, 0, 11.25, 0, -1 / 1200, 47.5)
    pair = Pair(tmp_path, crs="EPSG:4326", transform=place)
    rastered(pair.mesh(tags={"grid": grid_tag(pair.grid)}), out)
    heights, valid, grid = read_all(out)
    assert grid.shape == pair.grid.shape and grid.dx == pytest.approx(1 / 3600) and grid.dy == pytest.approx(1 / 1200)
    assert valid.all() and np.allclose(heights, pair.expected, atol=1e-3)


def test_a_missing_crs_is_said_and_a_given_one_wins(pair, out):
    path = pair.mesh("2DM", crs="")
    heard = dems.Heard()
    assert rastered(path, out, heard)["crs"] == "" and "has no CRS" in heard.texts("warning")[0]
    assert "EPSG" in rastered(path, out, crs="EPSG:32611")["crs"]
    heard = dems.Heard()
    told = rastered(pair.mesh(), out, heard, assigned_crs="EPSG:32612")
    assert "zone 12N" in told["crs"] and "Nothing is reprojected" in heard.texts("warning")[0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"input": ""}, "No mesh was given"),
        ({"output": ""}, "No output was given"),
        ({"output": "x.png"}, "must end in .tif"),
        ({"cell_size": 5.0, "grid": "g.tif"}, "Both a target grid and a cell size"),
        ({"cell_size": -1.0}, "Cell size is -1.0"),
        ({"grid": "x.tif"}, "is also an input"),
        ({"nodata": 1e39}, "No-data value is 1e+39"),
        ({"compression": "ZIP"}, "Compression is 'ZIP'"),
        ({"z_factor": 0.0}, "Exaggeration of the mesh is 0.0"),
        ({"mesh_unit": "yard"}, "Unit of the mesh is 'yard'"),
        ({"crs": 5}, "Crs is 5; it must be text."),
    ],
)
def test_settings_that_cannot_be_are_refused(values, sentence):
    with pytest.raises(TerrainError, match=re.escape(sentence)):
        meshtoraster.Settings(**{"input": "m.nc", "output": "x.tif", **values})


def test_grids_that_do_not_fit_are_refused_and_nothing_is_written(pair, out, tmp_path):
    path = pair.mesh()
    away = dems.write(tmp_path / "away.tif", np.ones((4, 4)), transform=Affine(30, 0, 0, 0, -30, 0))
    other = dems.write(tmp_path / "other.tif", np.ones((4, 4)), crs="EPSG:32612")
    for grid, sentence in ((away, "does not touch the mesh"), (other, "the mesh in EPSG:32611")):
        with pytest.raises(TerrainError, match=sentence):
            rastered(path, out, grid=grid)
    with pytest.raises(TerrainError, match="no cell lies on the mesh"):
        rastered(pair.mesh(tags={"grid": "0 0 1e7 1e7 1 1"}), out)
    with pytest.raises(TerrainError, match="does not exist"):
        rastered(str(tmp_path / "none.nc"), out)
    assert not list(Path(out).parent.iterdir())


def test_a_cancel_leaves_the_old_file(pair, out):
    Path(out).write_text("old")
    with pytest.raises(Cancelled):
        rastered(pair.mesh(), out, dems.Heard(stop_at=1), cell_size=2.0)
    assert [path.name for path in Path(out).parent.iterdir()] == ["fine.tif"] and Path(out).read_text() == "old"


# --- mesh report -----------------------------------------------------------------------------------------------------


def test_figures_files_and_verdict_of_a_mesh_that_keeps_its_bound(pair, tmp_path):
    tags = {"max_error": repr(pair.largest), "bound_at": "cells", "source": "dem.tif", "grid": grid_tag(pair.grid)}
    wanted = {"output": ".html", "table": ".json", "error_raster": ".tif"}
    places = {name: str(tmp_path / f"r{ending}") for name, ending in wanted.items()}
    told = reported(pair.mesh(tags=tags, z_factor=2.0), dem=pair.dem, **places)
    errors = pair.expected - pair.heights
    assert told["largest"] == pytest.approx(pair.largest, abs=1e-9)
    assert told["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2))) and told["mean"] == pytest.approx(errors.mean())
    assert (told["seams"], told["covered_share"], told["euler"], told["unit"]) == (0, 1, 1, "metre")
    assert told["largest_between"] >= told["largest"]
    assert "that the file states is kept" in told["verdict"] and "sound surface" in told["verdict"]
    assert np.allclose(dems.read(places["error_raster"]), errors, atol=1e-3)
    table = json.loads(Path(places["table"]).read_text("utf-8"))
    assert table["accuracy"]["rmse"] == told["rmse"] and table["soundness"]["triangles"] == len(pair.faces)
    page = Path(places["output"]).read_text("utf-8")
    assert "mesh.nc against dem.tif" in page and told["verdict"].split(". ")[0] in page
    assert page.count("data:image/png") == 2 and page.count("data:image/svg+xml") == 2
    assert str(tmp_path) not in page and not re.search(r"https?://|<script", page)


@pytest.mark.parametrize(
    ("share", "at", "words"),
    [
        (1.0000001, "cells", "is kept: largest error at cells"),
        (0.9, "cells", "is broken: largest error at cells"),
        (0.9, "between", "is broken: largest error at 4 times finer positions"),
        (100, "between", "is kept: largest error at 4 times finer positions"),
        (None, "", "The file states no bound; the largest error is"),
    ],
)
def test_the_stated_bound_is_judged(pair, share, at, words):
    tags = {} if share is None else {"max_error": repr(share * pair.largest), "bound_at": at}
    assert words in reported(pair.mesh(tags=tags), dem=pair.dem)["verdict"]


def test_a_dem_in_metres_is_converted_for_a_mesh_in_feet(pair, tmp_path):
    metres = dems.write(tmp_path / "metres.tif", pair.heights * METRE_FOOT, units="metre")
    tags = {"max_error": repr(pair.largest), "bound_at": "cells"}
    told = reported(pair.mesh(z_unit="foot", tags=tags), dem=metres)
    assert told["unit"] == "foot" and told["largest"] == pytest.approx(pair.largest, rel=1e-6)
    assert " ft that the file states is kept" in told["verdict"]


def test_voids_count_neither_as_cells_nor_as_errors(pair, tmp_path):
    holed = pair.heights.copy()
    holed[10:20, 30:40] = -9999
    dem = dems.write(tmp_path / "holed.tif", holed, nodata=-9999)
    out = str(tmp_path / "e.tif")
    table = str(tmp_path / "t.csv")
    told = reported(pair.mesh(), dem=dem, error_raster=out, table=table)
    errors = (pair.expected - pair.heights)[holed != -9999]
    assert told["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert np.array_equal(dems.read(out) != -9999, holed != -9999)
    with Path(table).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["part", "name", "value"] and ["accuracy", "cells", str(errors.size)] in rows


def test_faults_are_named_in_the_verdict(pair, tmp_path):
    pair.faces = pair.faces.copy()
    pair.faces[5] = pair.faces[5, ::-1]
    pair.vertices = np.concatenate([pair.vertices, pair.vertices[:1]])
    told = reported(pair.mesh(), output=str(tmp_path / "r.html"))
    assert told["turned"] == 1 and told["unused"] == 1 and told["duplicates"] == 1 and told["rmse"] is None
    assert told["verdict"].startswith("The mesh is not sound: it has 3 edges with more than two triangles, ")
    assert (
        "1 vertex at the place of another, 1 triangle that is turned over, 1 vertex without a triangle."
        in told["verdict"]
    )
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("data:image/png") == 1 and "Mesh minus DEM" not in page


def test_a_solid_is_judged_as_one(tmp_path):
    path = tmp_path / "ball.stl"
    trimesh.creation.icosphere(3, 20.0).export(path)
    told = reported(str(path), output=str(tmp_path / "r.html"))
    assert told["verdict"] == "The solid is watertight: 1 closed shell, no cracks."
    assert (told["euler"], told["duplicates"], told["seams"]) == (2, 0, 0)
    assert told["volume"] == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)


def test_a_clipped_mesh_says_how_much_it_covers(pair):
    pair.faces = pair.faces[pair.vertices[pair.faces, 0].max(axis=1) <= 30]
    used, numbers = np.unique(pair.faces, return_inverse=True)
    pair.vertices, pair.faces = pair.vertices[used], numbers.reshape(-1, 3).astype(np.int32)
    told = reported(pair.mesh(), dem=pair.dem)
    assert (
        told["covered_share"] == pytest.approx(31 / 61)
        and "The mesh covers 1,426 of the 2,806 cells" in told["verdict"]
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dem_crs": "EPSG:32612"}, "The mesh is in EPSG:32611, the DEM in EPSG:32612; reproject"),
        ({"crs": "EPSG:32612"}, "The mesh is in EPSG:32612, the DEM in EPSG:32611"),
        ({"dem": "away.tif"}, "does not touch the DEM"),
        ({"dem": "void.tif"}, "lies over no cell of the DEM that has a height"),
        ({"band": 2}, "band 2 was asked for"),
    ],
)
def test_dems_that_do_not_fit_are_refused(pair, tmp_path, values, sentence):
    dems.write(tmp_path / "away.tif", np.ones((4, 4)), transform=Affine(30, 0, 0, 0, -30, 0))
    dems.write(tmp_path / "void.tif", np.full(pair.heights.shape, -9999.0), nodata=-9999)
    dem = str(tmp_path / values.pop("dem", "dem.tif"))
    out = tmp_path / "r.html"
    with pytest.raises(TerrainError, match=re.escape(sentence)):
        reported(pair.mesh(), dem=dem, output=str(out), error_raster=str(tmp_path / "e.tif"), **values)
    assert not out.exists() and not list(tmp_path.glob("*e.tif*"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"input": ""}, "No mesh was given"),
        ({"output": "r.pdf"}, "must end in .html or .htm; rename it."),
        ({"table": "t.xls"}, "must end in .json or .csv; rename it."),
        ({"error_raster": "e.tif"}, "An error raster needs a DEM"),
        ({"dem": "e.tif", "error_raster": "e.tif"}, "is also an input"),
        ({"z_unit": "yard"}, "Vertical unit is 'yard'"),
        ({"band": 0}, "Band is 0"),
    ],
)
def test_report_settings_that_cannot_be_are_refused(values, sentence):
    with pytest.raises(TerrainError, match=re.escape(sentence)):
        meshreport.Settings(**{"input": "m.nc", **values})


# --- outputs that cannot be written -----------------------------------------------------------------------------------


def test_a_raster_of_far_too_many_cells_is_refused(pair, out):
    with pytest.raises(TerrainError, match=r"more than 20 billion cells; choose larger cells"):
        rastered(pair.mesh(), out, cell_size=1e-6)


def test_outputs_come_together_or_not_at_all(pair, tmp_path, monkeypatch):
    path, old = pair.mesh(), tmp_path / "t.json"
    old.write_text("old")
    with pytest.raises(TerrainError, match="does not exist; make it"):
        reported(path, output=str(tmp_path / "none" / "r.html"), table=str(old))

    def broken(*_values: Any) -> None:
        raise TerrainError("No picture.")

    monkeypatch.setattr("neural_terrain.core.remeasuring.reporting.pictures", broken)
    with pytest.raises(TerrainError, match="No picture"):
        reported(path, output=str(tmp_path / "r.html"), table=str(old))
    assert old.read_text() == "old" and not list(tmp_path.glob(".*"))
