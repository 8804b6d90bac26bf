"""Exact shares, lengths and distances against shapely's own clipping."""

import numpy as np
import pytest
import shapely

from neural_terrain.core.scene import rasterising
from neural_terrain.core.scene.fields import BLOCK_M, FINE_M, MIDDLE_FIELDS, rasterise_block
from neural_terrain.core.scene.preparation import Town


@pytest.fixture
def shapes():
    """Twenty-five random polygons that do not meet, some with a court, anticlockwise."""
    rng = np.random.default_rng(3)
    found = []
    for k in range(25):
        centre = np.array([k % 5 * 40 + 30, k // 5 * 40 + 25]) + rng.uniform(-5, 5, 2)
        ring = shapely.Point(centre).buffer(rng.uniform(3, 12), quad_segs=int(rng.integers(1, 6)))
        court = shapely.Point(centre).buffer(2.0, quad_segs=2)
        found.append(shapely.affinity.rotate(ring.difference(court) if k % 3 == 0 else ring, rng.uniform(0, 90)))
    return shapely.orient_polygons(np.array(found))


def arrays(shapes, scale=1.0):
    _, points, (rings, polygons) = shapely.to_ragged_array(shapes, include_z=False)
    return points / scale, rings.astype(np.int64), polygons.astype(np.int64)


def test_area_shares_are_those_of_clipping(shapes):
    share, volume, owner = rasterising.area_shares(*arrays(shapes, 4.0), np.full(len(shapes), 5.0), (55, 60))
    union = shapely.union_all(shapes)
    for i, j in np.argwhere(share > 0):
        cell = shapely.box(j * 4, i * 4, j * 4 + 4, i * 4 + 4)
        assert share[i, j] == pytest.approx(shapely.area(shapely.intersection(union, cell)) / 16, abs=1e-5)
    assert share.sum() * 16 == pytest.approx(shapely.area(union), rel=1e-5)
    assert volume == pytest.approx(share * 5, abs=1e-5)
    assert ((owner >= 0) == (share >= 0.5)).all()


def test_a_frame_that_cuts_polygons_has_the_cells_of_the_whole(shapes):
    """On all four sides; the memory that a polygon takes follows the frame, not the polygon."""
    points, *offsets = arrays(shapes, 4.0)
    heights = np.linspace(3, 9, len(shapes))
    whole = rasterising.area_shares(points, *offsets, heights, (55, 60))
    part = rasterising.area_shares(points - (17, 13), *offsets, heights, (31, 29))
    for one, cut in zip(whole[:2], part[:2], strict=True):
        assert cut == pytest.approx(one[13:44, 17:46], abs=1e-6)
    assert (part[2] == whole[2][13:44, 17:46]).all() and set(part[2].ravel()) > {-1}
    band = shapely.orient_polygons(np.array([shapely.LineString([(-3e6, -3e6 + 7), (3e6, 3e6 + 7)]).buffer(2.0)]))
    share, _, _ = rasterising.area_shares(*arrays(band), np.zeros(1), (20, 20))  # once 300 TB
    assert share.sum() == pytest.approx(shapely.intersection(band[0], shapely.box(0, 0, 20, 20)).area, abs=1e-3)


def test_lengths_add_up_and_know_their_direction():
    lines = np.array([shapely.LineString([(1, 1), (30.5, 20.25), (3, 40)]), shapely.LineString([(5, 5.5), (50, 5.5)])])
    _, points, (offsets,) = shapely.to_ragged_array(lines)
    length, moment = rasterising.line_moments(points, offsets.astype(np.int64), np.array([0, 1]), 2, 4.0, (60, 60))
    assert length.sum(axis=(1, 2)) == pytest.approx(shapely.length(lines), rel=1e-5)
    assert moment[:, 5, 40] == pytest.approx([1, 0], abs=1e-6)
    cell = shapely.box(10, 6, 11, 7)
    assert length[0, 6, 10] == pytest.approx(shapely.length(shapely.intersection(lines[0], cell)), abs=1e-5)


def test_distances_are_those_of_shapely():
    line = shapely.LineString([(10, 10), (30, 22), (12, 44)])
    points = shapely.get_coordinates(line)
    distance, number, _ = rasterising.nearest_line(points, np.array([0, 3]), 6.0, (50, 50))
    centres = shapely.points(*np.meshgrid(np.arange(50) + 0.5, np.arange(50) + 0.5))
    assert distance == pytest.approx(np.minimum(shapely.distance(line, centres), 6.0), abs=1e-5)
    assert ((number == 0) == (distance < 6)).all()


def test_a_block_holds_its_buildings_once(shapes):
    moved = shapely.affinity.translate(shapely.MultiPolygon(list(shapes)), 500_000 + 200, 5_000_000 + 200)
    parts = shapely.get_parts(moved)
    town = Town("t", "EPSG:32632", parts, np.full(len(parts), 6.0), np.array([], object), np.array([], np.int64))
    block = rasterise_block(town, 500_000 // BLOCK_M, 5_000_000 // BLOCK_M)
    band = dict(zip(MIDDLE_FIELDS, block.middle, strict=True))
    area = shapely.area(moved)
    assert band["share"].sum() * 100 == pytest.approx(area, rel=1e-4)
    assert band["volume"].sum() * 100 == pytest.approx(area * 6, rel=1e-4)
    assert band["wall"].sum() * 100 == pytest.approx(shapely.length(moved), rel=1e-4)
    assert band["count"].sum() == len(parts)
    assert (block.fine[0] / 255.0).sum() * FINE_M**2 == pytest.approx(area, rel=2e-3)
    assert (block.fine[3] == 255).all()
