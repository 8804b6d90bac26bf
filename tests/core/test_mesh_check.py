"""The independent check of meshes: every fault is found, and only that; errors against known surfaces and scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from neural_terrain.core import mesh_check
from neural_terrain.core.mesh_check import Accuracy, Blocks, Facets, Worst, measure, soundness
from neural_terrain.core.mesh_check.measuring import surface_of
from neural_terrain.core.tiling import Tile, Window
from neural_terrain.tests import surfaces

UTM = np.array([389_513.655, 3_805_817.828, 0.0])


def lattice(rows: int, cols: int, heights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles for every square of cells, column, row, height; anticlockwise with y to the north."""
    row, col = np.mgrid[:rows, :cols]
    heights = np.zeros((rows, cols)) if heights is None else heights
    vertices = np.stack([col.ravel(), row.ravel(), heights.ravel()], axis=1).astype(float)
    a = (row * cols + col)[:-1, :-1].ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + cols + 1], 1), np.stack([a, a + cols + 1, a + cols], 1)])
    return vertices, faces.astype(np.int32)


def turned(vertices: np.ndarray, degrees: float = 29.0) -> np.ndarray:
    """The same on the ground: turned, 30 m wide cells, UTM coordinates."""
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    return (vertices * [30, 30, 1]) @ matrix.T + UTM


def whole(shape: tuple[int, int]) -> Tile:
    window = Window(0, 0, *shape)
    return Tile(0, window, window)


def random_mesh(shape: tuple[int, int], count: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A triangulation of random places that reaches to the outer cell centres."""
    rng = np.random.default_rng(seed)
    far = np.array([shape[1] - 1, shape[0] - 1])
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * far
    places = np.concatenate([corners, rng.uniform(0, 1, (count, 2)) * far])
    vertices = np.column_stack([places, rng.normal(500, 100, len(places))])
    return vertices, Delaunay(places).simplices.astype(np.int32)


# --- soundness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [lambda v: v, turned], ids=["cells", "turned UTM"])
def test_a_lattice_is_sound_wherever_it_lies(place):
    vertices, faces = lattice(20, 30)
    found = soundness(place(vertices), faces)
    assert found.faults == 0 and found.seams == 0 and not found.solid
    assert (found.euler, found.borders, found.pieces, found.pinched) == (1, 1, 1, 0)
    assert found.edges == 20 * 29 + 19 * 30 + 19 * 29
    assert found.area == pytest.approx(19 * 29 * (900 if place is turned else 1), rel=1e-9)


def test_rows_that_go_down_turn_every_triangle():
    vertices, faces = lattice(4, 4)
    assert soundness(vertices, faces, rows_down=True).turned == len(faces)
    assert soundness(vertices, faces[:, ::-1], rows_down=True).faults == 0


@pytest.mark.parametrize("place", [lambda v: v, turned], ids=["cells", "turned UTM"])
def test_a_vertex_on_the_edge_of_a_neighbour_is_a_junction_and_a_crack(place):
    """The upper triangle of a pair stays whole, the lower one is split at the middle of the edge."""
    vertices = np.array([[0, 0, 1], [4, 0, 2], [4, 4, 3], [0, 4, 5], [1.7, 1.7, 0]], float)
    faces = np.array([[0, 2, 3], [0, 1, 4], [4, 1, 2]], np.int32)
    found = soundness(place(vertices), faces)
    assert (found.junctions, found.cracks, found.crowded, found.duplicates) == (1, 1, 0, 0)
    assert found.seams > 0
    moved = vertices + np.array([[0, 0, 0]] * 4 + [[1e-3, -1e-3, 0]])
    assert soundness(place(moved), faces).junctions == 0


def test_many_junctions_are_found_along_a_seam_of_two_tile_sizes():
    """A fine lattice beside a coarse one, as tiles without shared edges leave it."""
    fine, fine_faces = lattice(33, 5)
    coarse, coarse_faces = lattice(9, 5)
    coarse = coarse * [4, 4, 1] + [4, 0, 0]
    vertices = turned(np.concatenate([fine, coarse]))
    found = soundness(vertices, np.concatenate([fine_faces, coarse_faces + len(fine)]))
    assert found.duplicates == 9 and found.junctions == 24
    assert found.cracks == 8 and found.pieces == 2


def test_edges_that_are_not_shared_are_cracks_although_they_fit():
    """Two lattices side by side with border vertices of their own."""
    one, faces = lattice(5, 5)
    other = one + [4, 0, 7.5]
    found = soundness(np.concatenate([one, other]), np.concatenate([faces, faces + len(one)]))
    assert (found.duplicates, found.cracks, found.junctions, found.pieces) == (5, 8, 0, 2)


def test_faults_of_single_triangles_are_counted():
    vertices, faces = lattice(4, 4)
    faces = np.concatenate([faces, [[0, 1, 5]]]).astype(np.int32)
    assert soundness(vertices, faces).crowded >= 1
    assert soundness(np.concatenate([vertices, [[9, 9, 9]]]), faces[:-1]).unused == 1
    flipped = faces[:-1].copy()
    flipped[3] = flipped[3, ::-1]
    found = soundness(vertices, flipped)
    assert found.turned == 1 and found.crowded == 3  # its three edges run twice the same way
    assert soundness(vertices, np.concatenate([faces[:-1], [[0, 1, 2]]]).astype(np.int32)).flat == 1


def test_holes_islands_and_touching_corners_are_no_faults():
    vertices, faces = lattice(6, 6)
    squares = np.tile(np.arange(25), 2)
    holed = soundness(vertices, faces[squares != 12])
    assert (holed.faults, holed.borders, holed.euler) == (0, 2, 0)
    corners = faces[np.isin(squares, [0, 6])]
    used, numbers = np.unique(corners, return_inverse=True)
    touching = soundness(vertices[used], numbers.reshape(-1, 3).astype(np.int32))
    assert (touching.faults, touching.pieces, touching.borders, touching.pinched) == (0, 2, 2, 1)
    assert touching.euler == 2


def test_no_triangles_are_no_surface_and_no_error():
    nothing = np.empty((0, 3), np.int32)
    for vertices in (np.empty((0, 3)), np.zeros((3, 3))):
        found = soundness(vertices, nothing)
        assert (found.triangles, found.pieces, found.euler, found.unused) == (0, 0, 0, len(vertices))
        facets = Facets(vertices, nothing, (5, 5))
        assert measure(facets, facets.blocks.tile(0), np.ones((5, 5)), np.ones((5, 5), bool)).accuracy.covered == 0


@pytest.mark.parametrize("solid", ["box", "sphere", "torus", "two"])
def test_solids_agree_with_trimesh(solid):
    made = {
        "box": trimesh.creation.box((2, 3, 4)),
        "sphere": trimesh.creation.icosphere(2),
        "torus": trimesh.creation.torus(3, 1, major_sections=24, minor_sections=12),
        "two": trimesh.util.concatenate(
            [trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1)).apply_translation((3, 0, 0))]
        ),
    }[solid]
    vertices, faces = np.array(made.vertices), np.array(made.faces, np.int32)
    found = soundness(vertices + UTM, faces)
    assert found.solid and found.watertight and found.faults == 0
    assert found.euler == made.euler_number and found.pieces == made.body_count
    assert found.volume == pytest.approx(made.volume, rel=1e-6) and found.area == pytest.approx(made.area, rel=1e-6)
    inside_out = soundness(vertices, faces[:, ::-1])
    assert inside_out.turned == len(faces) and not inside_out.watertight
    open_one = soundness(vertices, faces[1:])
    assert open_one.borders == 1 and open_one.faults > 0 and not open_one.watertight


def test_smallest_angles_are_those_on_the_ground():
    height = math.sqrt(3) / 2
    places = np.array([[0, 0], [1, 0], [0.5, height], [0, 1]])
    faces = np.array([[0, 1, 2], [0, 1, 3]], np.int32)
    assert np.allclose(mesh_check.smallest_angles_deg(places, faces), [60, 45])
    squeezed = places * [2, 1]
    assert np.allclose(mesh_check.smallest_angles_deg(squeezed, faces, (0.5, 1.0)), [60, 45])
    steep = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]], float)
    assert np.allclose(mesh_check.smallest_angles_deg(steep, np.array([[0, 1, 2]], np.int32)), 45)


# --- errors ----------------------------------------------------------------------------------------------------------


def test_the_surface_of_triangles_is_that_of_scipy_and_has_no_holes():
    shape = 61, 83
    vertices, faces = random_mesh(shape)
    found = Facets(vertices, faces[:, [0, 2, 1]], shape, 100).highest(whole(shape))
    row, col = np.mgrid[: shape[0], : shape[1]]
    expected = LinearNDInterpolator(Delaunay(vertices[:, :2]), vertices[:, 2])(col, row)
    assert not np.isnan(found).any()
    inside = ~np.isnan(expected)
    assert inside.mean() > 0.99 and np.allclose(found[inside], expected[inside], atol=1e-6)


def test_a_known_error_is_found_at_its_cell_and_on_its_triangles():
    heights = np.zeros((9, 11))
    heights[4, 7] = -2.0
    vertices, faces = lattice(9, 11)
    facets = Facets(vertices, faces, heights.shape)
    found = measure(facets, whole(heights.shape), heights, np.ones(heights.shape, bool))
    one = found.accuracy
    assert (one.cells, one.covered, one.largest, one.place) == (99, 99, 2.0, (4.0, 7.0))
    assert one.mean == pytest.approx(2 / 99) and one.rmse == pytest.approx(math.sqrt(4 / 99))
    assert found.errors[4, 7] == 2.0 and np.count_nonzero(found.errors) == 1
    worst = Worst(len(faces))
    worst.add(found)
    assert set(np.flatnonzero(worst.values)) == set(np.flatnonzero((faces == 4 * 11 + 7).any(axis=1)))
    assert worst.between.max() == 2.0 and np.count_nonzero(worst.between) == 8  # the squares around the cell


def test_a_saddle_is_missed_at_cells_and_seen_between_them():
    heights = np.array([[0.0, 8.0], [8.0, 0.0]])
    vertices, faces = lattice(2, 2, heights)
    found = measure(Facets(vertices, faces, (2, 2)), whole((2, 2)), heights, np.ones((2, 2), bool)).accuracy
    assert found.largest == 0 and found.between_largest == 4.0 and found.place == (0.5, 0.5)
    assert found.between_positions == 25 and found.overlaps == 0


@pytest.mark.parametrize("missing", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_where_one_of_four_cells_is_unknown_the_plane_of_the_others_counts(missing):
    plane = surfaces.lattice(surfaces.plane(3.0, 5.0, 1.0), np.arange(2.0), np.arange(2.0))
    holed = plane.copy()
    holed[missing] = np.nan
    found = surface_of(holed, (2, 2), 4)
    known = ~np.isnan(found)
    row, col = np.mgrid[:5, :5] / 4
    assert known.sum() == 15 and np.allclose(found[known], (1 + 3 * row + 5 * col)[known])
    away = np.abs(row - missing[0]) + np.abs(col - missing[1])
    assert np.array_equal(known, away >= 1)


def test_the_figures_do_not_depend_on_the_blocks():
    shape = 75, 50
    heights = surfaces.fractal(shape, 3)
    valid = np.random.default_rng(2).random(shape) > 0.05
    vertices, faces = random_mesh(shape, 400, 5)

    def measured(side: int) -> tuple[Accuracy, np.ndarray, np.ndarray]:
        facets, total, worst = Facets(vertices, faces, shape, side), Accuracy(), Worst(len(faces))
        errors = np.full(shape, np.nan)
        for tile in facets.blocks:
            read, write = tile.read, tile.write
            part = np.s_[read.row : read.row_stop, read.col : read.col_stop]
            found = measure(facets, tile, heights[part], valid[part])
            errors[write.row : write.row_stop, write.col : write.col_stop] = found.errors
            total += found.accuracy
            worst.add(found)
        return total, errors, worst.between

    one, errors, worst = measured(1000)
    other, other_errors, other_worst = measured(16)
    assert one.cells == valid.sum() == one.covered and one.overlaps == 0
    assert np.array_equal(errors, other_errors, equal_nan=True) and np.array_equal(worst, other_worst)
    sums = ("sum", "squares", "between_squares")
    assert replace(one, **dict.fromkeys(sums, 0.0)) == replace(other, **dict.fromkeys(sums, 0.0))
    assert other.squares == pytest.approx(one.squares) and other.between_squares == pytest.approx(one.between_squares)
    assert one.between_positions == np.count_nonzero(~np.isnan(surface_of(np.where(valid, heights, np.nan), shape, 4)))


def test_triangles_over_each_other_are_seen_and_the_highest_counts():
    low, faces = lattice(8, 8)
    high = low + [0, 0, 3]
    vertices, both = np.concatenate([low, high]), np.concatenate([faces, faces + len(low)])
    facets = Facets(vertices, both, (8, 8))
    assert np.all(facets.highest(whole((8, 8))) == 3)
    found = measure(facets, whole((8, 8)), np.zeros((8, 8)), np.ones((8, 8), bool))
    assert found.accuracy.overlaps > 0 and found.accuracy.largest == 3


def test_thin_triangles_are_not_extrapolated():
    rng = np.random.default_rng(4)
    vertices = np.column_stack([rng.uniform(0, 40, (3000, 2)), rng.uniform(0, 1, 3000)])
    faces = np.arange(3000, dtype=np.int32).reshape(-1, 3)
    thin = vertices.copy()
    thin[:, :2] = np.round(thin[:, :2])
    thin[2::3, :2] = (thin[::3, :2] + thin[1::3, :2]) / 2 + rng.normal(0, 1e-6, (1000, 2))
    found = Facets(thin, faces, (41, 41), touch_px=1e-5).highest(whole((41, 41)))
    known = found[~np.isnan(found)]
    assert known.size > 100 and known.min() >= 0 and known.max() <= 1


def test_what_lies_beyond_the_raster_is_left_out():
    vertices, faces = lattice(6, 6)
    for offset in ([-20, 0, 0], [0, 20, 0], [20, -20, 0]):
        facets = Facets(vertices + offset, faces, (6, 6), 4)
        assert all(facets.inside(tile.index).size == 0 for tile in facets.blocks)
    shifted = Facets(vertices + [3, 3, 0], faces, (6, 6), 4)
    heights = np.ones((6, 6))
    total = Accuracy()
    for tile in shifted.blocks:
        read = tile.read
        part = heights[read.row : read.row_stop, read.col : read.col_stop]
        total += measure(shifted, tile, part, part > 0).accuracy
    assert (total.cells, total.covered, total.share) == (36, 9, 0.25) and total.mean == -1


def test_blocks_hold_every_position_once():
    blocks = Blocks((10, 7), 4)
    assert len(blocks) == 6 == len(list(blocks))
    seen = np.zeros((10, 7), int)
    for tile in blocks:
        seen[tile.write.row : tile.write.row_stop, tile.write.col : tile.write.col_stop] += 1
        assert tile.read.row_stop <= 10 and tile.read.col_stop <= 7
    assert np.all(seen == 1)
