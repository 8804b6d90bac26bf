"""Exact clipping, judged by shapely's overlay, by a search of triangles in numpy and by a count of edges of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from neural_terrain.core.mesh import Mesh, triangulate
from neural_terrain.core.mesh.clip import clip
from neural_terrain.core.mesh.outline import outline
from neural_terrain.core.mesh_check import Facets, measure

NEAR = 2.0**-12
"""How far a polygon's border may move, in cells."""

SAMPLE = Path(__file__).resolve().parents[3] / "resources" / "samples" / "big_tujunga_30m.tif"


def ground(seed, points=60, width=12, depth=9, parts=1, holes=0.0):
    """A mesh of lattice points with random heights, to whole or quarter cells; a share of triangles is left out."""
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0], [width, 0], [0, depth], [width, depth]])
    inner = rng.integers(0, [width * parts + 1, depth * parts + 1], (points, 2)) / parts
    places = np.unique(np.concatenate([corners, inner]), axis=0)
    faces = Delaunay(places).simplices.astype(np.int32)
    a, b, c = (places[faces[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    faces = np.where((area > 0)[:, None], faces[:, [0, 2, 1]], faces)[np.abs(area) > 1e-9]
    faces = faces[rng.random(len(faces)) >= holes]
    used = np.unique(faces)
    number = np.zeros(len(places), np.int32)
    number[used] = np.arange(len(used))
    return Mesh(np.column_stack([places, rng.normal(0, 10, len(places))])[used], number[faces])


def areas(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return -((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / 2


def thinnest(mesh):
    corners = mesh.vertices[mesh.faces][:, :, :2]
    longest = np.hypot(*(corners - np.roll(corners, 1, axis=1)).T).max(axis=0)
    return (2 * areas(mesh) / longest).min(initial=np.inf)


def covered(mesh):
    return shapely.union_all(shapely.polygons(mesh.vertices[mesh.faces][:, :, :2]), grid_size=2.0**-30)


def borders(mesh):
    """Edges with one triangle, by a count of its own; edges with more than two or run twice the same way fail."""
    ways = Counter((int(f[i]), int(f[i - 2])) for f in mesh.faces for i in range(3))
    assert max(ways.values(), default=1) == 1
    return [(a, b) for a, b in ways if (b, a) not in ways]


def assert_sound(mesh):
    places = mesh.vertices[:, :2]
    assert len(np.unique(places, axis=0)) == len(places)
    assert np.array_equal(np.unique(mesh.faces), np.arange(len(places)))
    assert (areas(mesh) > 0).all()
    assert thinnest(mesh) > 1e-9
    edges = borders(mesh)
    if not edges:
        return
    lines = shapely.linestrings(places[np.array(edges)])
    tree = shapely.STRtree(lines)
    point, edge = tree.query(shapely.points(places), predicate="dwithin", distance=1e-9)
    assert all(p in edges[e] for p, e in zip(point, edge, strict=True))


def heights_at(mesh, places):
    """Heights of triangles by their plane, searched one by one; NaN where there is none."""
    found = np.full(len(places), np.nan)
    for face in mesh.faces:
        a, b, c = mesh.vertices[face]
        shares = np.linalg.solve(
            np.array([[*a[:2], 1], [*b[:2], 1], [*c[:2], 1]]).T, np.c_[places, np.ones(len(places))].T
        )
        inside = (shares >= -1e-9).all(axis=0)
        found[inside] = (np.array([a[2], b[2], c[2]]) @ shares)[inside]
    return found


def assert_clipped(mesh, polygons, seed=0):
    """Everything that holds for any clip."""
    result = clip(mesh, polygons)
    assert_sound(result)
    area = shapely.union_all([shapely.make_valid(shapely.Polygon(p[0], p[1:])).buffer(0) for p in polygons])
    whole = covered(mesh)
    wanted = shapely.intersection(area, whole)
    lines = shapely.boundary(shapely.Polygon() if area.is_empty else area)
    assert areas(result).sum() == pytest.approx(wanted.area, abs=2 * NEAR * (lines.length + 1))
    for a, b in borders(result):
        edge = shapely.LineString(result.vertices[[a, b], :2])
        on_line = lines.buffer(3 * NEAR).covers(edge)
        assert on_line or whole.boundary.buffer(1e-9).covers(edge)
    rng = np.random.default_rng(seed)
    places = result.vertices[:, :2]
    if len(result.faces):
        shares = rng.dirichlet([1, 1, 1], 40)
        faces = result.faces[rng.integers(0, len(result.faces), 40)]
        places = np.concatenate([places, (places[faces] * shares[:, :, None]).sum(axis=1)])
        known = heights_at(mesh, places)
        assert heights_at(result, places) == pytest.approx(known, abs=1e-6, nan_ok=True)
        assert np.isnan(known).sum() <= len(places) // 4
    return result


def star(rng, middle, corners, away):
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    return middle + np.column_stack([np.cos(angles), np.sin(angles)]) * (rng.uniform(0.05, 1, corners) * away)[:, None]


@st.composite
def polygons(draw, width=12, depth=9):
    """Triangles to stars in and around the mesh, some with corners on lattice points or between, some with holes."""
    step = draw(st.sampled_from([1.0, 0.5, 0.25, 2.0**-13, 2.0**-30]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        middle = rng.uniform(0, [width, depth])
        ring = star(rng, middle, rng.integers(3, 14), rng.choice([0.7, 4, 20]))
        rings = [ring, middle + (ring - middle) * 0.5][: draw(st.integers(1, 2))]
        found.append([np.round(ring / step) * step for ring in rings])
    return found


@st.composite
def lattice_walks(draw, width=12, depth=9):
    """Polygons whose corners are cells, a hair beside cells, or on lines between cells."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    hair = draw(st.sampled_from([0.0, 1e-12, 1e-7, 0.5 * NEAR, NEAR, 1.5 * NEAR, 4 * NEAR]))
    ring = star(rng, rng.uniform(0, [width, depth]), 9, 8).round() * draw(st.sampled_from([1, 0.5]))
    return [[ring + rng.uniform(-hair, hair, ring.shape)]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 4]), st.sampled_from([0.0, 0.25]), polygons())
def test_any_polygon_on_any_mesh(seed, parts, holes, shapes):
    assert_clipped(ground(seed, parts=parts, holes=holes), shapes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.25]), lattice_walks())
def test_corners_on_cells_and_a_hair_beside(seed, holes, shapes):
    assert_clipped(ground(seed, holes=holes), shapes)


@pytest.mark.parametrize("hair", [0, 1e-9, 0.3 * NEAR])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_outlines_of_triangles_cut_nothing(hair, holes):
    mesh = ground(3, holes=holes)
    rng = np.random.default_rng(4)
    chosen = rng.random(len(mesh.faces)) < 0.4
    area = shapely.union_all(shapely.polygons(mesh.vertices[mesh.faces[chosen]][:, :, :2]))
    shapes = [
        [shapely.get_coordinates(r)[:-1] + rng.uniform(-hair, hair, 2) for r in shapely.get_rings(p)]
        for p in shapely.get_parts(area)
    ]
    result = clip(mesh, shapes)
    assert_sound(result)
    assert np.array_equal(as_set(result), as_set(mesh, chosen))


def as_set(mesh, chosen=slice(None)):
    """Triangles by their places and heights, in an order of their own."""
    corners = mesh.vertices[mesh.faces[chosen]]
    first = np.lexsort(corners.transpose(2, 0, 1)[::-1], axis=1)[:, 0]
    turned = np.take_along_axis(corners, ((first[:, None] + np.arange(3)) % 3)[:, :, None], axis=1).reshape(-1, 9)
    return turned[np.lexsort(turned.T[::-1])]


@pytest.mark.parametrize("hair", [0, 1e-9, -1e-9, 0.5 * NEAR, -0.5 * NEAR, 5])
def test_the_whole_extent_is_the_mesh_itself(hair):
    mesh = ground(5)
    box = np.array([[-hair, -hair], [12 + hair, -hair], [12 + hair, 9 + hair], [-hair, 9 + hair]])
    for ring in (box, box[::-1], np.roll(box, 1, axis=0)):
        result = clip(mesh, [[ring]])
        assert np.array_equal(result.vertices, mesh.vertices)
        assert np.array_equal(result.faces, mesh.faces)


def test_clipping_again_changes_nothing():
    mesh = ground(6, points=150)
    shapes = [[star(np.random.default_rng(1), [6, 5], 40, 8)]]
    once = clip(mesh, shapes)
    again = clip(once, shapes)
    assert np.array_equal(once.vertices, again.vertices)
    assert np.array_equal(once.faces, again.faces)


def test_where_rings_start_and_how_they_turn_does_not_matter():
    mesh = ground(7, points=150)
    ring = star(np.random.default_rng(2), [6, 5], 30, 7)
    area = clip(mesh, [[ring]])
    for other in (ring[::-1], np.roll(ring, 7, axis=0), np.concatenate([ring, ring[:1]])):
        found = clip(mesh, [[other]])
        assert areas(found).sum() == pytest.approx(areas(area).sum(), abs=1e-9)
        assert len(found.faces) == len(area.faces)


def test_polygon_within_one_triangle_and_its_hole():
    mesh = Mesh(np.array([[0, 0, 1.0], [40, 0, 5], [0, 40, 9]]), np.array([[0, 2, 1]], np.int32))
    ring = np.array([[3.0, 3], [12, 3], [12, 12], [3, 12]])
    result = assert_clipped(mesh, [[ring, ring / 2 + 4]])
    assert len(result.faces) == 8
    assert len(result.vertices) == 8
    thin = np.array([[1.0, 1], [20, 1 + 8 * NEAR], [1, 1 + 16 * NEAR]])
    assert len(assert_clipped(mesh, [[thin]]).faces) == 1


def test_polygons_side_by_side_leave_no_seam():
    mesh = ground(8)
    left, right = ([[x, 1.3], [x + 3, 1.3], [x + 3, 7.7], [x, 7.7]] for x in (2.2, 5.2))
    both = assert_clipped(mesh, [[np.array(left)], [np.array(right)]])
    one = clip(mesh, [[np.array([left[0], right[1], right[2], left[3]])]])
    assert len(both.faces) == len(one.faces) + 2  # the two corners where they meet are on the border


def test_hole_that_touches_the_outer_ring():
    mesh = ground(9)
    ring = np.array([[2.0, 2], [10, 2], [10, 7], [2, 7]])
    assert_clipped(mesh, [[ring, np.array([[6.0, 2], [7.5, 4.1], [4.2, 4.3]])]])


def test_line_from_the_tip_of_a_void_enters_beside_it():
    places = np.array([[4, 3, 0.0], [3.5, 5.5, 1], [5, 4, 2], [4.75, 3.25, 3], [6.25, 4, 4]])
    mesh = Mesh(places, np.array([[0, 1, 2], [3, 2, 4]], np.int32))
    ring = np.array([[4.9997907595013, 3.999806723196763], [4.5, 2.0], [3.9, 2.1], [4.00003, 2.99987]])
    assert len(assert_clipped(mesh, [[ring]]).faces) > 0


def test_many_corners_need_few_triangles():
    mesh = ground(10)
    angles = np.linspace(0, 2 * np.pi, 5001)[:-1]
    ring = np.column_stack([6 + 4 * np.cos(angles), 4.5 + 4 * np.sin(angles)])
    result = clip(mesh, [[ring]])
    assert_sound(result)
    assert areas(result).sum() == pytest.approx(shapely.Polygon(ring).area, abs=1e-3)
    assert len(result.faces) < 1.1 * 5000 + len(mesh.faces)


@pytest.mark.parametrize("shapes", [[], [[np.array([[90.0, 90], [99, 90], [95, 99]])]], [[np.zeros((2, 2))]]])
def test_polygons_that_miss_the_mesh(shapes):
    result = clip(ground(11), shapes)
    assert len(result.faces) == len(result.vertices) == 0


def test_outline_is_the_ground_that_triangles_cover():
    for seed in range(12):
        mesh = ground(seed, holes=0.3)
        polygons = outline(mesh)
        assert all(polygon.is_valid for polygon in polygons)
        assert shapely.equals(shapely.union_all(polygons, grid_size=2.0**-30), covered(mesh))
        assert sum(polygon.area for polygon in polygons) == pytest.approx(areas(mesh).sum())


def test_sample_mountains_with_a_county():
    with rasterio.open(SAMPLE) as source:
        z = source.read(1).astype(float)
    mesh = triangulate(z, np.ones(z.shape, bool), 5.0)
    ring = star(np.random.default_rng(3), [255, 255], 400, 250)
    result = clip(mesh, [[ring]])
    assert_sound(result)
    assert areas(result).sum() == pytest.approx(shapely.Polygon(ring).area, abs=NEAR * shapely.Polygon(ring).length)
    facets = Facets(result.vertices, result.faces, z.shape)
    worst = 0.0
    for block in facets.blocks:
        cells = block.read.row, block.read.col
        part = z[cells[0] : cells[0] + block.read.rows, cells[1] : cells[1] + block.read.cols]
        measured = measure(facets, block, part, np.ones(part.shape, bool), times=1)
        worst = max(worst, np.nanmax(np.abs(measured.errors)))
    assert 4.0 < worst <= 5.0 + 1e-9
