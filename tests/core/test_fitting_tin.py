"""TINs as input of a fitted surface: creases are found where they are, wide faces are ground, units and CRSs count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely
from scipy.spatial import Delaunay

from neural_terrain.core import grid as grids
from neural_terrain.core import mesh_files
from neural_terrain.core.continuous import opened
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.fitting import fit_surface, tin
from neural_terrain.core.jobs.dem import DemSettings
from neural_terrain.core.jobs.fitsurface import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.core.querying.asking import ask
from neural_terrain.core.triangles import Triangles
from neural_terrain.tests.core import dems

UTM = "EPSG:32632"
WEST, NORTH = 600_000.0, 5_200_000.0
SIDE = 80.0


def roof(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two sides that meet on the line x = 40 + y / 10."""
    return 60 - 0.7 * np.abs(x - 40 - y / 10) + 0.1 * y


def hills(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 50 + 4 * np.sin(x / 9) * np.cos(y / 11) + 2 * np.sin(x / 5 + y / 7)


def places(count: int, ridge: int = 0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions east and south of the corner: scattered, and along the ridge with nothing beside it."""
    x, y = np.random.default_rng(seed).uniform(0, SIDE, (2, count))
    if ridge:
        aside = np.abs(x - 40 - y / 10) > 3
        down = np.linspace(2, SIDE - 2, ridge)
        x, y = np.append(x[aside], 40 + down / 10), np.append(y[aside], down)
    return x, y


def triangles(x: np.ndarray, y: np.ndarray, z: np.ndarray, **facts) -> Triangles:  # type: ignore[no-untyped-def]
    faces = Delaunay(np.column_stack([x, y])).simplices.astype(np.int32)
    return Triangles(np.column_stack([WEST + x, NORTH - y, z]), faces[:, ::-1], **{"crs": _wkt(UTM), **facts})


def _wkt(crs: str) -> str:
    return grids.crs_of(crs).to_wkt()


def saved(path: Path, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> str:
    points = shapely.to_wkb(shapely.points(WEST + x, NORTH - y, z))
    pyogrio.raw.write(path, geometry=points, field_data=[], fields=[], layer="points", driver="GPKG",
                      geometry_type="Point Z", crs=UTM)  # fmt: skip
    return str(path)


def asked(path: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with opened(DemSettings(path), Progress()) as ground:
        found: np.ndarray = ask(ground, WEST + x, NORTH - y, 0, Progress())["elevation"]
    return found


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "surface.tif")


def found_creases(mesh: Triangles, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the creases, ``(N, 2, 2)``, east and south of the corner, and how they bend."""
    faces = mesh.faces.astype(np.int64)
    edges = tin._edges(faces)
    sharp = tin.creases(edges, mesh.vertices, faces, tin.LEAST_SPACINGS * spacing_m)
    ends = mesh.vertices[edges.ends[sharp], :2] - np.array([WEST, NORTH])
    return ends * np.array([1, -1]), tin._bends(edges, mesh.vertices, faces)[sharp]


def test_creases_are_the_ridge_and_nothing_else() -> None:
    x, y = places(600, ridge=21)
    ends, bends = found_creases(triangles(x, y, roof(x, y)), 3.3)
    assert np.abs(ends[:, :, 0] - 40 - ends[:, :, 1] / 10).max() < 1e-6 and len(ends) >= 18
    # 1.4 along x, and across a ridge that leans by a tenth; valleys are above zero.
    assert bends == pytest.approx(-1.4 * np.hypot(1, 0.1), rel=1e-6)
    assert found_creases(triangles(x, y, -roof(x, y)), 3.3)[1] == pytest.approx(-bends, rel=1e-6)


def test_smooth_hills_noise_and_slivers_have_no_crease() -> None:
    x, y = places(1500)
    for noise in (0.0, 0.05, 1.0):
        heights = hills(x, y) + noise * np.random.default_rng(3).standard_normal(x.size)
        assert len(found_creases(triangles(x, y, heights), 2.1)[0]) == 0


@pytest.mark.parametrize("format", ["PLY", "2DM", "UGRID", "STL"])
def test_the_surface_runs_along_the_ridge_of_a_tin(tmp_path: Path, out: str, format: str) -> None:
    x, y = places(600, ridge=11)
    path = str(tmp_path / f"t{mesh_files.ENDINGS[format]}")
    mesh = triangles(x, y, roof(x, y), tags={"a": "b"})
    if format == "STL":  # in single precision only near to 0
        mesh = Triangles(mesh.vertices - np.array([WEST, NORTH, 0]), mesh.faces)
    mesh_files.write(path, mesh, format)
    heard = dems.Heard()
    told = fit_surface(Settings(output=out, tin=path, tin_crs="" if format == "STL" else UTM), heard)
    text = next(text for text in heard.texts("info") if text.startswith("The TIN has"))
    assert int(text.split("; ")[1].split()[0]) >= 8 and told["points"] == x.size and not told["trimmed"]
    down = np.linspace(10, 70, 121)
    at = (40 + down / 10, down)
    if format == "STL":
        assert told["crs"] == "an unknown CRS" and np.isnan(asked(out, *at)).all()
        at = at[0] - WEST, at[1] + NORTH
    along = np.abs(asked(out, *at) - (60 + 0.1 * down))
    assert along.max() < 0.35
    if format == "PLY":
        fit_surface(Settings(output=out, input=saved(tmp_path / "p.gpkg", x, y, roof(x, y))), Progress())
        assert along.mean() < 0.3 * np.abs(asked(out, *at) - (60 + 0.1 * down)).mean()


def test_wide_triangles_are_ground_and_no_gap(tmp_path: Path, out: str) -> None:
    x, y = places(1500)
    kept = np.maximum(np.abs(x - 40), np.abs(y - 40)) > 18
    x, y = x[kept], y[kept]
    plane = 100 + 0.2 * x - 0.1 * y
    middle = np.meshgrid(np.linspace(24, 56, 9), np.linspace(24, 56, 9))
    fit_surface(Settings(output=out, input=saved(tmp_path / "p.gpkg", x, y, plane)), Progress())
    assert np.isnan(asked(out, *(at.ravel() for at in middle))).any()
    path = str(tmp_path / "t.ply")
    mesh_files.write(path, triangles(x, y, plane), "PLY")
    told = fit_surface(Settings(output=out, tin=path), Progress())
    heights = asked(out, *(at.ravel() for at in middle))
    assert heights == pytest.approx(100 + 0.2 * middle[0].ravel() - 0.1 * middle[1].ravel(), abs=1e-3)
    assert told["points"] == x.size and told["held_out"] == round(x.size / 10)


def test_points_and_a_tin_in_feet_in_another_crs_are_one_surface(tmp_path: Path, out: str) -> None:
    x, y = places(900)
    left = x < 40
    points = saved(tmp_path / "p.gpkg", x[left], y[left], hills(x[left], y[left]))
    change = grids.change_of_crs(UTM, "EPSG:32633")
    assert change is not None
    mesh = triangles(x[~left], y[~left], hills(x[~left], y[~left]) / 0.3048 * 2, z_unit="foot", z_factor=2.0)
    there = np.column_stack([*change(mesh.vertices[:, 0], mesh.vertices[:, 1]), mesh.vertices[:, 2]])
    path = str(tmp_path / "t.ply")
    mesh_files.write(path, Triangles(there, mesh.faces, crs=_wkt("EPSG:32633"), z_unit="foot", z_factor=2.0), "PLY")
    told = fit_surface(Settings(output=out, input=points, tin=path), Progress())
    assert told["points"] == 900 and told["crs"] == UTM and told["unit"] == "metre"
    qx, qy = np.random.default_rng(5).uniform(6, 74, (2, 500))
    assert np.abs(asked(out, qx, qy) - hills(qx, qy)).mean() < 0.05
    told = fit_surface(Settings(output=out, tin=path), Progress())
    assert told["unit"] == "foot" and told["crs"] == "EPSG:32633" and told["source"] == path


def test_what_no_tin_can_be_is_refused(tmp_path: Path, out: str) -> None:
    x, y = places(100)
    cases = {
        "solid.ply": (triangles(x, y, hills(x, y), z_unit="millimetre"), "is a model in millimetres, not terrain"),
        "few.ply": (triangles(x[:6], y[:6], x[:6]), r"too few vertices \(6, at least 10 are needed\); give points"),
        "wall.ply": (Triangles(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 5]]), np.array([[0, 1, 2]], np.int32)),
                     "has no triangle with an area on the map"),
    }  # fmt: skip
    for name, (mesh, words) in cases.items():
        path = str(tmp_path / name)
        mesh_files.write(path, mesh, "PLY")
        with pytest.raises(TerrainError, match=words):
            fit_surface(Settings(output=out, tin=path), Progress())
    with pytest.raises(TerrainError, match="does not exist"):
        fit_surface(Settings(output=out, tin=str(tmp_path / "nothing.ply")), Progress())
    with pytest.raises(TerrainError, match="choose a point layer, a LAS or LAZ file, or a TIN"):
        Settings(output=out)
    with pytest.raises(TerrainError, match=r"The output .*t.tif is also an input"):
        Settings(output=str(tmp_path / "t.tif"), tin=str(tmp_path / "t.tif"))
    assert not Path(out).exists()


def test_a_tin_without_crs_is_taken_as_the_points_with_a_warning(tmp_path: Path, out: str) -> None:
    x, y = places(300)
    points, path = saved(tmp_path / "p.gpkg", x, y, hills(x, y)), str(tmp_path / "t.2dm")
    mesh = triangles(*places(300, seed=2), hills(*places(300, seed=2)))
    mesh_files.write(path, mesh, "2DM")
    told = fit_surface(Settings(output=out, input=points, tin=path), Progress())
    assert told["points"] == 600
    assert "The TIN has no CRS; coordinates are taken as those of the points." in told["warnings"]
