"""Solids for printing: volumes that are known, trimesh as an independent reader, outlines that are hard to print."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import trimesh
from rasterio.transform import Affine

from neural_terrain.core import mesh_files, vector
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.grid import Grid, true_plane
from neural_terrain.core.jobs.settings import from_json, to_json
from neural_terrain.core.jobs.terrainsolid import ENDINGS, Settings
from neural_terrain.core.mesh_check import soundness
from neural_terrain.core.progress import CallbackProgress
from neural_terrain.core.solid import body, build, outline
from neural_terrain.core.solid.ground import block_for
from neural_terrain.core.solid.model import spoken_mm, spoken_scale
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

CELL_M = 30.0
WEST, NORTH = 400_000.0, 4_000_000.0
SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Made:
    """One run of the tool: its result, its messages, and the file as trimesh reads it."""

    def __init__(self, **values: Any) -> None:
        self.events: list[dict] = []
        self.settings = Settings(**values)
        self.result = build(self.settings, CallbackProgress(self.events.append))
        self.mesh = trimesh.load(self.settings.output, force="mesh")

    @property
    def log(self) -> str:
        return "\n".join(event["text"] for event in self.events if event["type"] in ("info", "warning"))

    def check(self, parts: int = 1, holes: int = 0, share: float = 1e-3) -> Made:
        """What holds for every model: watertight, Euler number, no flat face, vertical walls, volumes."""
        mesh, result = self.mesh, self.result
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
        assert mesh.euler_number == 2 * parts - 2 * holes and result["shells"] == parts
        assert mesh.nondegenerate_faces().all() and len(mesh.faces) == result["triangles"]
        assert mesh.volume / 1000 == pytest.approx(result["volume_cm3"], rel=1e-5)
        if not self.settings.label:
            assert result["volume_cm3"] == pytest.approx(result["cell_volume_cm3"], rel=share)
        assert mesh.extents == pytest.approx([result[f"size_{axis}_mm"] for axis in "xyz"], abs=1e-3)
        assert np.abs(mesh.bounds[0]).max() < 1e-3
        self._check_walls()
        return self

    def _check_walls(self) -> None:
        """Faces that touch the base look straight down or straight sideways, as far as float32 can say."""
        mesh = self.mesh
        low = mesh.triangles[:, :, 2].min(axis=1) < 1e-6
        up = mesh.face_normals[:, 2]
        sideways = low & (up > -0.5)
        longest = np.linalg.norm(mesh.triangles - np.roll(mesh.triangles, 1, axis=1), axis=2).max(axis=1)
        lean = np.abs(up) * 2 * mesh.area_faces / np.maximum(longest, 1e-12)  # of the narrow side, in mm
        assert sideways.any() and lean[sideways].max() < 2e-3


@pytest.fixture
def solid(tmp_path):
    """Make a model of heights; keyword arguments are settings, ``profile`` those of the raster."""

    def make(heights: np.ndarray, profile: dict | None = None, **values: Any) -> Made:
        dem = dems.write(tmp_path / "dem.tif", np.asarray(heights), **(profile or {}))
        values.setdefault("output", str(tmp_path / "model.stl"))
        return Made(input=dem, **values)

    return make


@pytest.fixture
def polygons(tmp_path):
    """Write polygons in cells of the DEM (column, row) to a file; returns its path."""

    def write(*shapes: shapely.Polygon) -> str:
        path = str(tmp_path / "clip.gpkg")
        placed = [shapely.transform(s, lambda p: np.array([WEST, NORTH]) + p * [CELL_M, -CELL_M]) for s in shapes]
        vector.write(path, "clip", placed, {}, dems.UTM)
        return path

    return write


def hills(rows: int = 40, cols: int = 50, seed: int = 1) -> np.ndarray:
    return surfaces.fractal((rows, cols), seed, relief=300.0)


# --- sizes and volumes that are known --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ENDINGS)
def test_a_flat_dem_is_a_box_in_every_format(solid, tmp_path, word):
    made = solid(
        np.full((20, 30), 100.0), model_scale=10_000.0, output=str(tmp_path / f"b{ENDINGS[word]}"), format=word
    )
    turned = [0, 2, 1] if word == "GLB" else [0, 1, 2]
    unit = 0.001 if word == "GLB" else 1.0
    assert made.mesh.is_watertight and made.mesh.euler_number == 2 and len(made.mesh.faces) == 12
    assert made.mesh.extents[turned] == pytest.approx(np.array([90, 60, 3]) * unit, rel=1e-5)
    assert made.mesh.volume == pytest.approx(90 * 60 * 3 * unit**3, rel=1e-5)
    assert made.result["cell_volume_cm3"] == pytest.approx(16.2) and made.result["base_level"] == pytest.approx(70)
    assert "1:10 000 gives 90.0 x 60.0 x 3.00 mm." in made.log


def test_a_cone_has_its_volume(solid):
    count, radius = 81, 36.0
    centre = count / 2
    heights = surfaces.lattice(surfaces.cone(centre, centre, 10.0, 10.0 * radius), *[surfaces.centres(count)] * 2)
    made = solid(np.maximum(heights, 0.0), model_scale=20_000.0, base_level=-60.0, max_error=0.02).check()
    mm, high = CELL_M / 20, 10 * radius / 20
    known = math.pi * (radius * mm) ** 2 * high / 3 + 3 * (count * mm) ** 2
    assert made.mesh.volume == pytest.approx(known, rel=1e-3)
    assert made.mesh.extents[2] == pytest.approx(high + 3, abs=0.4)  # the summit is a cell's, not the apex


def test_exaggeration_and_scale_multiply_heights(solid):
    plain = solid(hills(), model_scale=25_000.0).check()
    high = solid(hills(), model_scale=12_500.0, z_factor=2.0).check()
    assert high.mesh.extents[:2] == pytest.approx(2 * plain.mesh.extents[:2], abs=0.01)
    assert high.mesh.extents[2] - 3 == pytest.approx(4 * (plain.mesh.extents[2] - 3), rel=0.02)


def test_an_empty_scale_fits_180_mm_and_is_said(solid):
    made = solid(hills()).check()
    assert made.result["scale"] == 10_000 and made.mesh.extents.max() == pytest.approx(150, abs=0.01)
    assert "1:10 000 gives 150 x 120 x" in made.log
    assert solid(hills(), z_factor=20.0).check().mesh.extents.max() < 180.0


def test_terrain_is_within_the_bound_of_the_dem(solid):
    heights = hills()
    made = solid(heights, model_scale=10_000.0, max_error=0.3)
    for row, col in np.random.default_rng(2).integers(0, [40, 50], (60, 2)):
        high_mm = top_at(made.mesh, 3.0 * (col + 0.5), 3.0 * (40 - row - 0.5))
        assert made.result["base_level"] + 10 * high_mm == pytest.approx(heights[row, col], abs=3.0 + 0.02)


def top_at(mesh: trimesh.Trimesh, x: float, y: float) -> float:
    """Highest z of a mesh over a place, by barycentric coordinates in every triangle that looks up."""
    a, b, c = np.moveaxis(mesh.triangles[mesh.face_normals[:, 2] > 1e-3], 1, 0)
    ab, ac, ap = (b - a)[:, :2], (c - a)[:, :2], np.array([x, y]) - a[:, :2]
    v, w = np.linalg.det(np.stack([ap, ac], 1)), np.linalg.det(np.stack([ab, ap], 1))
    v, w = (part / np.linalg.det(np.stack([ab, ac], 1)) for part in (v, w))
    inside = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9)
    return float((a[:, 2] + v * (b - a)[:, 2] + w * (c - a)[:, 2])[inside].max())


def test_base_level_is_the_height_of_the_base(solid):
    made = solid(hills() - 700.0, model_scale=10_000.0, base_level=-350.0).check()
    assert made.mesh.extents[2] == pytest.approx((hills().max() - 700 + 350) / 10, abs=0.1)
    assert made.result["base_level"] == -350
    with pytest.raises(TerrainError, match=r"base level is 0 m, which is not below the lowest point; give at most -2"):
        solid(hills() - 700.0, base_level=0.0)


# --- outlines --------------------------------------------------------------------------------------------------------


def test_voids_are_holes_and_corners_that_touch_are_parted(solid):
    known = np.random.default_rng(3).random((24, 30)) > 0.3
    made = solid(np.where(known, hills(24, 30), -9999.0), {"nodata": -9999.0}, model_scale=10_000.0)
    cells = outline.of_cells(known)
    walls = outline.printable(cells, outline.step_mm(90))
    assert cells.area == known.sum() and len(outline.touching(cells)) > 20 and len(outline.touching(walls)) == 0
    made.check(len(walls.geoms), sum(len(part.interiors) for part in walls.geoms))
    mean = hills(24, 30)[known].mean() - made.result["base_level"]
    assert made.result["cell_volume_cm3"] == pytest.approx(known.sum() * 9 * mean / 10 / 1000)


@pytest.mark.parametrize("seed", range(8))
def test_any_voids_and_any_polygons_make_sound_bodies(solid, polygons, seed):
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(2, 45, 2)
    heights = surfaces.fractal((45, 45), seed, relief=10 ** rng.uniform(0, 3))[:rows, :cols]
    heights = np.where(rng.random(heights.shape) < rng.uniform(0, 0.5), -9999.0, heights)
    values: dict[str, Any] = {"model_scale": 10 ** rng.uniform(2, 5.5), "base": rng.choice([0.1, 3.0])}
    if seed % 2:
        turns = np.sort(rng.uniform(0, 2 * math.pi, 12))
        star = np.column_stack([np.cos(turns), np.sin(turns)]) * rng.uniform(0.2, 0.6, (12, 1)) * [cols, rows]
        values["mask"] = polygons(shapely.make_valid(shapely.Polygon(star + [cols / 2, rows / 2])))
    bent = {"crs": "EPSG:3857", "transform": Affine(60, 0, 1_113_195, 0, -60, 8_399_738)} if seed % 4 == 0 else {}
    made = solid(heights, {"nodata": -9999.0, **bent}, **values)
    assert made.mesh.is_watertight and made.mesh.nondegenerate_faces().all()
    shells = made.mesh.split(only_watertight=True)
    assert len(shells) == made.result["shells"] and sum(s.volume for s in shells) == pytest.approx(made.mesh.volume)


def test_a_clip_polygon_is_followed_exactly(solid, polygons):
    ring = shapely.Polygon(
        [(3.3, 4.1), (45.2, 7.7), (40.9, 36.4), (20.0, 22.2), (6.6, 38.2)], [[(30, 12), (36, 14), (31, 20)]]
    )
    made = solid(hills(), mask=polygons(ring), model_scale=10_000.0).check(holes=1)
    assert made.mesh.extents[:2] == pytest.approx([41.9 * 3, 34.1 * 3], abs=2e-3)
    base = made.mesh.faces[made.mesh.face_normals[:, 2] < -0.99]
    under = trimesh.Trimesh(made.mesh.vertices, base, process=False)
    assert under.area == pytest.approx(ring.area * 9, rel=1e-4)


def test_polygons_partly_outside_several_and_within_one_cell(solid, polygons):
    beyond = polygons(shapely.box(-10, -10, 10, 10), shapely.box(30, 20, 90, 90))
    made = solid(hills(), mask=beyond, model_scale=10_000.0).check(parts=2)
    assert made.mesh.extents[:2] == pytest.approx([150, 120], abs=1e-3) and "has 2 bodies" in made.log
    tiny = solid(hills(), mask=polygons(shapely.box(20.2, 20.3, 20.8, 20.7)), model_scale=500.0).check(share=0.5)
    assert tiny.mesh.extents[:2] == pytest.approx([36, 24], abs=1e-3)


def test_polygons_that_touch_in_a_point_become_two_bodies(solid, polygons):
    touching = polygons(shapely.box(5, 5, 20, 20), shapely.box(20, 20, 35, 30))
    solid(hills(), mask=touching, model_scale=10_000.0).check(parts=2)


def test_what_cannot_be_a_model_is_refused(solid, polygons):
    with pytest.raises(TerrainError, match="does not touch the DEM"):
        solid(hills(), mask=polygons(shapely.box(60, 60, 70, 70)))
    with pytest.raises(TerrainError, match="has no known height"):
        solid(np.full((5, 5), -9999.0), {"nodata": -9999.0})
    with pytest.raises(TerrainError, match="16 million; set a clip polygon"):
        block_for(0.9, 40_000_000)


def test_large_and_small_models_are_told(solid):
    assert "The model is 3 m large" in solid(hills(), model_scale=500.0).check().log
    assert "is only 1.5 mm wide" in solid(hills(), model_scale=1e6).check(share=0.01).log


def test_a_volume_that_is_off_is_told(solid):
    rng = np.random.default_rng(4)
    rough = rng.normal(0, 300, (8, 8))
    rough[rng.random(rough.shape) < 0.4] = -9999.0
    made = solid(rough, {"nodata": -9999.0}, model_scale=10_000.0, base=0.1)
    assert abs(made.result["volume_cm3"] / made.result["cell_volume_cm3"] - 1) > 1e-3
    assert re.search(r"volume of the body is [\d.]+ % off the sum over the cells", made.log) and made.result["warnings"]
    assert "% off the sum" not in solid(hills(), model_scale=10_000.0).log


@pytest.mark.parametrize("word", ["OBJ", "3MF", "GLB"])
def test_the_file_holds_what_was_checked(solid, tmp_path, word):
    """Here two corners were a ten-millionth of a millimetre apart; read with single precision, they became one."""
    rng = np.random.default_rng(234010154127)
    shape = tuple(rng.integers(1, 60, 2))
    heights = rng.normal(0, rng.choice([0, 0.5, 5]), shape).cumsum(0).cumsum(1) * 0.3 + rng.choice([-400, 0, 3000])
    feet = {"crs": "EPSG:2263", "transform": Affine(10, 0, 980_000, 0, -7, 190_000)}
    path = str(tmp_path / f"m{ENDINGS[word]}")
    solid(np.rint(heights), feet, model_scale=2e5, z_factor=3.0, base=0.1, format=word, output=path)
    found = mesh_files.read(path)
    places, number = np.unique(found.vertices.astype(np.float32), axis=0, return_inverse=True)
    sound = soundness(places.astype(float), number.ravel()[found.faces].astype(np.int32))
    assert sound.watertight and not sound.faults and len(places) == len(found.vertices)


def test_one_row_and_south_up(solid):
    row = solid(hills()[:1], model_scale=10_000.0).check()
    assert row.mesh.extents[:2] == pytest.approx([150, 3], abs=1e-3)
    turned = solid(hills()[::-1], {"transform": Affine(CELL_M, 0, WEST, 0, CELL_M, NORTH - 40 * CELL_M)})
    plain = solid(hills())
    assert np.array_equal(turned.mesh.triangles, plain.mesh.triangles)


# --- true sizes ------------------------------------------------------------------------------------------------------


def test_degrees_and_stretched_projections_give_true_sizes(solid):
    degrees = {"crs": "EPSG:4326", "transform": Affine(1 / 1200, 0, 10, 0, -1 / 1200, 60)}
    made = solid(hills(), degrees, model_scale=20_000.0).check()
    wide, high = 50 / 1200 * 111_412 * math.cos(math.radians(60)), 40 / 1200 * 111_400
    assert made.mesh.extents[:2] == pytest.approx([wide / 20, high / 20], rel=5e-3)
    assert "in EPSG:4326 are not those on the ground" in made.log
    stretched = {"crs": "EPSG:3857", "transform": Affine(60, 0, 1_113_195, 0, -60, 8_399_738)}
    made = solid(hills(), stretched, model_scale=20_000.0).check()
    assert made.mesh.extents[:2] == pytest.approx([75, 60], rel=8e-3)


def test_the_plane_keeps_true_projections_and_their_unit():
    feet = Grid(100, 100, 2e6, 7e5, 100.0, 100.0, "EPSG:2263")
    change, crs = true_plane(feet)
    assert crs == "" and change(np.array([3937.0]), np.array([0.0]))[0][0] == pytest.approx(1200.0)
    assert true_plane(Grid(9, 9, 5e5, 5e6, 30, 30, "EPSG:32632"))[1] == "" == true_plane(Grid(9, 9, 0, 0, 1, 1))[1]
    change, crs = true_plane(Grid(10, 10, 10.0, 60.0, 0.01, 0.01, "EPSG:4326"))
    x, y = change(np.array([10.05, 10.1]), np.array([59.95, 59.95]))
    assert (x[0], y[0]) == pytest.approx((0, 0), abs=1e-6) and x[1] == pytest.approx(2794.8, rel=1e-3)


def test_heights_in_feet_are_true_to_scale(solid):
    metres = solid(hills(), model_scale=10_000.0)
    feet = solid(hills() / 0.3048, {"units": "ft"}, model_scale=10_000.0).check()
    assert feet.mesh.extents == pytest.approx(metres.mesh.extents, abs=1e-3)
    assert feet.result["base_level"] == pytest.approx(metres.result["base_level"] / 0.3048, rel=1e-5)
    assert np.isfinite(solid(hills() / 0.3048, base_level=1000.0, z_unit="foot").check().result["volume_cm3"])


def test_cells_finer_than_a_printer_are_averaged(solid):
    made = solid(hills(120, 150), model_scale=1_000_000.0, base=1.0, z_factor=20.0).check()
    assert "3 x 3 cells are averaged" in made.log and made.mesh.extents[:2] == pytest.approx([4.5, 3.6], abs=1e-3)
    assert "is 0.03 mm wide" in made.log


# --- label, footprint, settings --------------------------------------------------------------------------------------


def test_a_label_is_engraved_where_it_has_room(solid):
    frame = (SQUARE, tuple((0.25 + x / 2, 0.25 + y / 2) for x, y in SQUARE))
    plain = solid(hills(), model_scale=10_000.0).check()
    made = solid(hills(), model_scale=10_000.0, label="o", label_rings=frame).check()
    assert plain.mesh.volume - made.mesh.volume == pytest.approx(0.6 * 12**2 * 3 / 4, rel=1e-3)
    small = solid(hills(), model_scale=500_000.0, label="o", label_rings=frame)
    assert "has no room on the underside" in small.log and small.mesh.euler_number == 2


def test_the_footprint_says_what_was_printed(solid, polygons, tmp_path):
    import pyogrio

    path = str(tmp_path / "foot.gpkg")
    made = solid(hills(), mask=polygons(shapely.box(4, 5, 24, 25)), footprint=path, model_scale=10_000.0)
    table = pyogrio.raw.read(path)
    values = dict(zip(table[0]["fields"], (column[0] for column in table[3]), strict=True))
    assert shapely.from_wkb(table[2][0]).bounds == pytest.approx((WEST + 120, NORTH - 750, WEST + 720, NORTH - 150))
    assert values["path"] == made.settings.output and values["scale"] == 10_000 and values["z_factor"] == 1
    assert (values["origin_x"], values["origin_y"]) == (WEST + 120, NORTH - 750)
    assert values["origin_z"] == values["base_level"] == pytest.approx(made.result["base_level"])
    assert values["volume_cm3"] == made.result["volume_cm3"] and values["origin_crs"] == "EPSG:32611"


@pytest.mark.parametrize("foot", ["none/foot.gpkg", "foot.xyz"])
def test_a_footprint_that_cannot_be_written_is_refused_before_the_work(solid, tmp_path, foot):
    (tmp_path / "model.stl").write_bytes(b"old")
    with pytest.raises(TerrainError, match=r"does not exist; make it|ends in none of"):
        solid(hills(), footprint=str(tmp_path / foot))
    assert (tmp_path / "model.stl").read_bytes() == b"old"


def test_model_and_footprint_come_together(solid, tmp_path, monkeypatch):
    (tmp_path / "model.stl").write_bytes(b"old")

    def full(*_values: Any) -> None:
        raise TerrainError("The disk is full.")

    monkeypatch.setattr(vector, "write", full)
    with pytest.raises(TerrainError, match="disk is full"):
        solid(hills(8, 8), footprint=str(tmp_path / "foot.gpkg"))
    assert (tmp_path / "model.stl").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2


BAD = [
    ({"input": ""}, "No input DEM was given"),
    ({"output": ""}, "No output was given"),
    ({"output": "model.obj"}, "must end in .stl, as its format is STL"),
    ({"output": "dem.stl", "input": "dem.stl"}, "is also an input"),
    ({"footprint": "model.stl"}, "The output and the footprint are the same file"),
    ({"format": "PLY"}, "Format is 'PLY'; it can be STL, 3MF, OBJ, GLB"),
    ({"model_scale": 0.0}, "Model scale is 0.0; it must be a number from 0.001"),
    ({"z_factor": 0.0}, "Vertical exaggeration is 0.0"),
    ({"base": 0.0}, "Base is 0.0 mm; it must be a number from 0.1 to 1000 mm"),
    ({"max_error": 0.0}, "Largest error is 0.0 mm"),
    ({"base_level": math.nan}, "Base level is nan"),
    ({"label": "x"}, "came without outlines"),
    ({"label": "x", "label_rings": (((0, 0), (1, 1)),)}, "is no ring"),
    ({"z_unit": "yard"}, "Vertical unit is 'yard'"),
]


@pytest.mark.parametrize(("values", "sentence"), BAD)
def test_bad_settings_are_refused_with_a_sentence(values, sentence):
    with pytest.raises(TerrainError) as refused:
        Settings(**{"input": "dem.tif", "output": "model.stl", **values})
    assert sentence in str(refused.value) and str(refused.value).endswith(".")


def test_settings_travel_as_json():
    settings = Settings("dem.tif", "m.stl", label="o", label_rings=(SQUARE,))
    again = from_json(Settings, json.loads(json.dumps(to_json(settings))))
    assert json.dumps(to_json(again)) == json.dumps(to_json(settings))


def test_numbers_are_spoken():
    assert spoken_scale(25_000.0) == "1:25 000" and spoken_scale(0.5) == "1:0.5"
    assert spoken_mm((152.34, 98.06, 3.14159)) == "152 x 98.1 x 3.14 mm"


# --- outlines as such ------------------------------------------------------------------------------------------------


def test_coverage_is_exact():
    known = np.random.default_rng(5).random((12, 15)) > 0.35
    assert np.abs(outline.coverage(outline.of_cells(known), known.shape) - known).max() < 1e-12
    disc = shapely.Point(7.3, 6.1).buffer(5.2).difference(shapely.Point(8, 5).buffer(2.3))
    area = outline.cut(outline.of_cells(known), [disc])
    boxes = shapely.box(*np.meshgrid(range(15), range(12)), *np.meshgrid(range(1, 16), range(1, 13)))
    assert np.abs(outline.coverage(area, known.shape) - shapely.area(shapely.intersection(boxes, area))).max() < 1e-12


def test_rings_that_touch_are_found_and_parted():
    corner_on_side = shapely.Polygon([(0, 0), (10, 0), (10, 10), (0, 10)], [[(5, 10), (3, 5), (7, 5)]])
    area = outline.areas_of(corner_on_side)
    assert outline.touching(area).tolist() == [[5, 10]]
    parted = outline.printable(area, 2.0**-14)
    assert len(outline.touching(parted)) == 0 and parted.area == pytest.approx(area.area, abs=1e-4)
    assert len(parted.geoms) == 1 and len(parted.geoms[0].interiors) == 0


def test_narrow_wedges_that_touch_are_parted():
    ring = [(-500, -4000), (6000, -4000), (6000, 4000), (-500, 4000)]
    for one, other in (
        ([(0, 0), (1514, 178), (2997, 540)], [(0, 0), (3405, 127), (1114, -87)]),
        ([(0, 0), (2321, 150), (2620, 1707)], [(0, 0), (3298, -224), (3025, -558)]),
    ):
        area = outline.areas_of(shapely.Polygon(ring) - shapely.Polygon(one) - shapely.Polygon(other))
        parted = outline.printable(area, 1.0)
        assert len(outline.touching(parted, 1.0)) == 0
        assert parted.area == pytest.approx(area.area, rel=1e-3)


def test_faces_on_a_line_and_back_to_back_are_taken_out():
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2], [1, 0, 0]], float)
    cracked = np.array([[0, 2, 1], [0, 1, 4], [0, 4, 3], [4, 1, 3], [1, 2, 3], [2, 0, 3]])  # 0, 1 and 4 lie on a line
    mended = body.without_flat(corners, cracked)
    found = soundness(corners, mended.astype(np.int32))
    assert len(mended) == 6 and found.faults == 0 and found.volume == pytest.approx(8 / 6)


def test_the_sample_dem_with_a_polygon_has_the_volume_of_its_cells(tmp_path):
    sample = Path(__file__).resolve().parents[2] / "resources" / "samples" / "big_tujunga_30m.tif"
    made = Made(input=str(sample), output=str(tmp_path / "m.stl"), model_scale=200_000.0, z_factor=1.5).check()
    heights = dems.read(sample).astype(float)
    mm3 = (heights - made.result["base_level"]).sum() * 1.5 / 200 * 0.15**2
    assert made.mesh.volume == pytest.approx(mm3, rel=1e-3)
