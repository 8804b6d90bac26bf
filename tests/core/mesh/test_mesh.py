"""The guarantee of the triangulation, judged by `core.mesh_check`, which shares no code with it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydelatin import Delatin

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.mesh import Aim, Tiles, join, triangulate, triangulate_tile
from neural_terrain.core.mesh.tiles import cut
from neural_terrain.core.mesh_check import Accuracy, Facets, measure, smallest_angles_deg, soundness


def terrain(shape, seed, rough=2.0):
    """Fractal ground by filtered noise."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    f = np.hypot(fy, fx)
    f[0, 0] = np.inf
    spectrum = (rng.standard_normal(f.shape) + 1j * rng.standard_normal(f.shape)) * f**-rough
    z = np.fft.irfft2(spectrum, s=shape)
    return 100 * z / z.std()


def all_valid(z):
    return np.ones(z.shape, bool)


def ground_area(valid):
    n = valid[:-1, :-1].astype(int) + valid[1:, :-1] + valid[:-1, 1:] + valid[1:, 1:]
    return (n == 4).sum() + 0.5 * (n == 3).sum()


def ground_points(valid):
    """Cells that are a corner of ground."""
    n = valid[:-1, :-1].astype(int) + valid[1:, :-1] + valid[:-1, 1:] + valid[1:, 1:]
    touched = np.zeros(valid.shape, bool)
    for dy in (0, 1):
        for dx in (0, 1):
            touched[dy : dy + n.shape[0], dx : dx + n.shape[1]] |= n >= 3
    return touched & valid


def measured(vertices, faces, z, valid, times=1):
    """Figures, and which cells the mesh covers."""
    facets = Facets(vertices, faces, z.shape)
    covered, accuracy = np.zeros(z.shape, bool), Accuracy()
    for block in facets.blocks:
        found = measure(facets, block, cut(z, block.read), cut(valid, block.read), times)
        covered[block.write.row : block.write.row_stop, block.write.col : block.write.col_stop] = ~np.isnan(
            found.errors
        )
        accuracy += found.accuracy
    return accuracy, covered


def assert_sound(mesh, z, valid, bound, times=1):
    accuracy, covered = measured(mesh.vertices, mesh.faces, z, valid, times)
    assert accuracy.between_largest <= bound
    assert accuracy.overlaps == 0
    assert np.array_equal(covered, ground_points(valid))
    if not covered.any():
        assert len(mesh.faces) == 0
        return None
    sound = soundness(mesh.vertices, mesh.faces, rows_down=True)
    assert sound.faults == 0
    assert sound.area == pytest.approx(ground_area(valid), abs=1e-6)
    return sound


@pytest.mark.parametrize("bound", [2, 10, 50])
@pytest.mark.parametrize("side", [None, 40])
def test_bound_is_kept_at_every_cell(bound, side):
    z = terrain((150, 131), 1)
    mesh = triangulate(z, all_valid(z), bound, side_px=side)
    assert assert_sound(mesh, z, all_valid(z), bound).euler == 1
    assert len(mesh.faces) < 2 * 149 * 130


@pytest.mark.parametrize("side", [None, 16])
def test_bound_between_cells(side):
    z = terrain((40, 52), 2)
    mesh = triangulate(z, all_valid(z), 4.0, between=True, side_px=side)
    assert assert_sound(mesh, z, all_valid(z), 4.0, 4).euler == 1


def test_saddle_cell_needs_vertices_inside():
    z = np.array([[0.0, 10.0], [10.0, 0.0]])
    assert len(triangulate(z, all_valid(z), 1.0).faces) == 2
    mesh = triangulate(z, all_valid(z), 1.0, between=True)
    assert_sound(mesh, z, all_valid(z), 1.0, 4)
    assert (mesh.vertices[:, :2] % 1 != 0).any()


def test_plane_is_two_triangles():
    rows, cols = np.mgrid[:90, :70].astype(float)
    z = 3 * rows - 0.5 * cols + 7
    mesh = triangulate(z, all_valid(z), 0.01)
    assert len(mesh.faces) == 2
    assert_sound(mesh, z, all_valid(z), 1e-9)


def test_roof_ridge_is_found():
    z = -np.abs(np.arange(101.0) - 37)[None, :] * np.ones((60, 1))
    mesh = triangulate(z, all_valid(z), 0.01)
    assert len(mesh.faces) <= 6
    assert_sound(mesh, z, all_valid(z), 0.01)


def test_a_constant_offset_changes_nothing_but_rounding():
    z = np.round(terrain((80, 80), 3))
    low, high = (triangulate(z + shift, all_valid(z), 5.0) for shift in (-4096.0, 0.0))
    assert_sound(low, z - 4096, all_valid(z), 5.0)
    assert len(low.faces) == pytest.approx(len(high.faces), rel=0.01)


def test_voids_and_islands_are_separate_and_exact():
    z = terrain((90, 110), 4)
    valid = np.zeros(z.shape, bool)
    rows, cols = np.mgrid[:90, :110]
    valid[np.hypot(rows - 30, cols - 30) < 22] = True
    valid[np.hypot(rows - 30, cols - 30) < 8] = False
    valid[60:80, 70:100] = True
    valid[50, 50:60] = True  # one cell wide: no ground
    for side in (None, 23):
        mesh = triangulate(np.where(valid, z, 9999.0), valid, 5.0, side_px=side)
        assert assert_sound(mesh, z, valid, 5.0).euler == 1  # a ring has 0, a rectangle 1


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_rasters_of_one_row_have_an_empty_mesh(shape):
    mesh = triangulate(np.zeros(shape), np.ones(shape, bool), 1.0)
    assert len(mesh.faces) == len(mesh.vertices) == 0


def test_no_valid_cell():
    z = terrain((20, 20), 5)
    for wish in ({"max_error": 1.0}, {"max_triangles": 9}, {"max_rmse": 1.0}):
        assert len(triangulate(z, np.zeros(z.shape, bool), **wish).faces) == 0


def test_order_of_tiles_and_threads_do_not_show():
    z = terrain((120, 100), 6)
    valid = terrain((120, 100), 7) > -120
    plan = list(Tiles(z.shape, 33))
    parts = [triangulate_tile(cut(z, t.read), cut(valid, t.read), Aim(6.0)) for t in plan]
    swapped = np.random.default_rng(0).permutation(len(plan))
    one = join(plan, parts)
    other = join([plan[i] for i in swapped], [parts[i] for i in swapped])
    threads = triangulate(z, valid, 6.0, side_px=33, workers=3)
    for mesh in (other, threads):
        assert np.array_equal(one.vertices, mesh.vertices)
        assert np.array_equal(one.faces, mesh.faces)


def test_same_bits_again():
    z = np.round(terrain((100, 100), 8))
    digests = set()
    for _ in range(2):
        mesh = triangulate(z, all_valid(z), 5.0, side_px=60)
        digests.add(hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes()).hexdigest())
    assert len(digests) == 1


def test_triangles_are_no_slivers():
    z = terrain((200, 200), 13)
    mesh = triangulate(z, all_valid(z), 3.0)
    found = smallest_angles_deg(mesh.vertices[:, :2], mesh.faces)
    assert np.percentile(found, 1) > 8
    assert found.min() > 1


def test_angles_are_measured_in_metres():
    z = terrain((120, 120), 9)
    square, metres = (triangulate(z, all_valid(z), 10.0, scale=s) for s in ((1, 1), (8.0, 31.0)))
    assert_sound(metres, z, all_valid(z), 10.0)
    stretched, plain = (
        np.median(smallest_angles_deg(m.vertices[:, :2], m.faces, (8.0, 31.0))) for m in (metres, square)
    )
    assert stretched > plain


def rmse_of(mesh, z):
    return measured(mesh.vertices, mesh.faces, z, all_valid(z))[0].rmse


@pytest.mark.parametrize("side", [None, 50])
@pytest.mark.parametrize("most", [40, 400, 3000, 20000])
def test_budget_of_triangles(side, most):
    z = terrain((150, 150), 10)
    mesh = triangulate(z, all_valid(z), max_triangles=most, side_px=side)
    assert 0.97 * most - 5 <= len(mesh.faces) <= most
    assert_sound(mesh, z, all_valid(z), np.inf)


@pytest.mark.parametrize("bound", [5.0, 20.0])
def test_fewer_triangles_and_smaller_errors_than_greedy_insertion(bound):
    z = terrain((257, 257), 10).astype(np.float32).astype(float)
    peer = Delatin(z.astype(np.float32), max_error=bound)
    places = np.array(peer.vertices, float)
    places[:, 1] = 256 - places[:, 1]
    peer_accuracy, _ = measured(places, np.array(peer.triangles, np.int32), z, all_valid(z))
    rmse, count = peer_accuracy.rmse, len(peer.triangles)
    mesh = triangulate(z, all_valid(z), bound)
    assert len(mesh.faces) <= 0.9 * count
    assert rmse_of(mesh, z) <= 0.95 * rmse
    assert rmse_of(triangulate(z, all_valid(z), max_triangles=count), z) <= 0.84 * rmse


def test_budgets_that_cannot_be_met():
    z = terrain((30, 30), 10)
    assert len(triangulate(z, all_valid(z), max_triangles=10**6).faces) == 2 * 29 * 29
    assert len(triangulate(z, all_valid(z), max_triangles=1).faces) == 2  # no mesh has fewer
    assert len(triangulate(0 * z, all_valid(z), max_triangles=100).faces) == 2


@pytest.mark.parametrize("side", [None, 50])
@pytest.mark.parametrize("wish", [0.5, 5.0, 40.0])
def test_rmse_is_kept_and_used(side, wish):
    z = terrain((150, 150), 12)
    mesh = triangulate(z, all_valid(z), max_rmse=wish, side_px=side)
    assert (0.9 if wish < 10 else 0.7) * wish <= rmse_of(mesh, z) <= wish
    assert_sound(mesh, z, all_valid(z), np.inf)


def test_what_is_not_asked_for_is_refused():
    z = np.zeros((5, 5))
    for wrong in ({}, {"max_error": 0.0}, {"max_error": 1.0, "max_triangles": 5}):
        with pytest.raises(TerrainError, match="one wish|above 0"):
            triangulate(z, all_valid(z), **wrong)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(2, 40), cols=st.integers(2, 40), seed=st.integers(0, 10**6), side=st.integers(3, 45),
    bound=st.sampled_from([0.5, 5.0, 40.0]), holes=st.sampled_from([0.0, 0.02, 0.2, 0.6]),
    rough=st.sampled_from([0.0, 1.5, 3.0]),
    between=st.booleans(), lattice=st.booleans(),
)  # fmt: skip
def test_fuzz(rows, cols, seed, side, bound, holes, rough, between, lattice):
    z = terrain((rows, cols + cols % 2), seed, rough)[:, :cols]
    z = np.round(z / 10) * 10 if lattice else z
    valid = np.random.default_rng(seed).random(z.shape) >= holes
    z = np.nan_to_num(z)
    mesh = triangulate(np.where(valid, z, np.nan), valid, bound, side_px=side, between=between)
    assert_sound(mesh, z, valid, bound, 4 if between else 1)
