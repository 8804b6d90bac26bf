"""Breaklines as edges: exactly on the lines, on the same surface, without a crack."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_terrain.core import mesh_check
from neural_terrain.core.mesh import Mesh, triangulate
from neural_terrain.core.mesh.following import follow
from neural_terrain.tests import surfaces

SIDE = 40
NEAR = 2.0**-11
"""Twice what a line may bend to pass through a vertex."""


def ground(seed: int, voids: bool = False) -> Mesh:
    z = surfaces.fractal((SIDE, SIDE), seed) * 3
    valid = np.ones(z.shape, bool)
    if voids:
        valid[12:20, 15:30] = False
        valid[30, 5] = False
    return triangulate(z, valid, 8.0, side_px=16, workers=1)


def edges_of(mesh: Mesh) -> np.ndarray:
    ends = np.unique(
        np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1), axis=0
    )
    return shapely.linestrings(mesh.vertices[ends][:, :, :2])


def on_ground(mesh: Mesh, lines: list[np.ndarray]) -> shapely.Geometry:
    """The part of the lines that lies on triangles."""
    ground = shapely.union_all(shapely.polygons(mesh.vertices[mesh.faces][:, :, :2]))
    return shapely.intersection(shapely.union_all([shapely.LineString(line) for line in lines]), ground)


def assert_followed(before: Mesh, after: Mesh, lines: list[np.ndarray]) -> None:
    found = mesh_check.soundness(after.vertices, after.faces, rows_down=True)
    assert found.seams == found.turned == found.flat == found.duplicates == 0
    assert found.area == pytest.approx(
        mesh_check.soundness(before.vertices, before.faces, rows_down=True).area, rel=1e-9
    )
    wanted = on_ground(before, lines)
    edges = edges_of(after)
    along = edges[shapely.covered_by(edges, wanted.buffer(NEAR))]
    missing = shapely.difference(wanted, shapely.union_all(along).buffer(NEAR))
    assert shapely.length(missing) < 0.01
    assert_same_surface(before, after)


def assert_same_surface(before: Mesh, after: Mesh) -> None:
    """Heights of the new corners are those of the old triangles."""
    tree = shapely.STRtree(shapely.polygons(before.vertices[before.faces][:, :, :2]))
    point, face = tree.query(shapely.points(after.vertices[:, :2]), predicate="dwithin", distance=1e-7)
    corners = before.vertices[before.faces[face]]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = after.vertices[point, :2] - corners[:, 0, :2]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    u = (away[:, 0] * two[:, 1] - away[:, 1] * two[:, 0]) / area
    v = (one[:, 0] * away[:, 1] - one[:, 1] * away[:, 0]) / area
    off = np.abs(corners[:, 0, 2] + u * one[:, 2] + v * two[:, 2] - after.vertices[point, 2])
    best = np.full(len(after.vertices), np.inf)
    np.minimum.at(best, point, off)
    assert best.max() < 1e-6


@pytest.mark.parametrize("voids", [False, True])
def test_edges_lie_on_the_lines_themselves(voids: bool) -> None:
    before = ground(1, voids)
    lines = [np.array([(2.3, 3.7), (33.1, 21.4), (20.25, 38.0)]), np.array([(-5.0, 30.3), (60.0, 11.1)])]
    assert_followed(before, follow(before, lines), lines)


def test_lines_along_cells_and_through_vertices() -> None:
    before = ground(2)
    lines = [
        np.array([(0.0, 10.0), (39.0, 10.0)]),
        np.array([(7.0, 0.0), (7.0, 39.0)]),
        np.array([(0.0, 0.0), (39.0, 39.0)]),
    ]
    assert_followed(before, follow(before, lines), lines)


def test_a_line_given_twice_and_backwards_is_one_line() -> None:
    before, line = ground(3), np.array([(3.3, 2.2), (30.6, 31.9)])
    once = follow(before, [line])
    assert len(follow(before, [line, line[::-1]]).faces) == len(once.faces) > len(before.faces)


def test_lines_beside_the_mesh_change_nothing() -> None:
    before = ground(4)
    after = follow(before, [np.array([(100.0, 100.0), (120.0, 130.0)])])
    assert np.array_equal(after.faces, before.faces) and np.array_equal(after.vertices, before.vertices)
    assert follow(before, []) is before


PLACES = st.one_of(
    st.integers(-2, SIDE + 2).map(float), st.floats(-2, SIDE + 2), st.integers(-4, 2 * SIDE + 4).map(lambda n: n / 2)
)


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 5),
    st.booleans(),
    st.lists(st.lists(st.tuples(PLACES, PLACES), min_size=2, max_size=6), min_size=1, max_size=6),
)
def test_any_lines_on_any_mesh(seed: int, voids: bool, ways: list) -> None:
    before, lines = ground(seed, voids), [np.array(way) for way in ways]
    assert_followed(before, follow(before, lines), lines)
