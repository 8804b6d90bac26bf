"""Plans: the target is covered once, every needed cell is read, memory keeps to the budget (contracts 1 to 3)."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_terrain.core import grid, tiling
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.grid import Grid, Target
from neural_terrain.core.tiling import Cost, Crew, Plan

COST = Cost(1000.0, 60.0)
SCALES = st.one_of(st.floats(1.0, 16.0), st.sampled_from([1.0, 2.0, 2.5, 3.0, 3.7, 4.0, 7.0, 16.0, 1 + 1e-9]))


@st.composite
def targets(draw: st.DrawFn) -> tuple[Grid, Target]:
    """A source with a finer target: by scale, by cell size or by another grid, whole or cropped."""
    source = Grid(draw(st.integers(1, 130)), draw(st.integers(1, 130)), 500_000.5, 4_000_000.25, 30.0, 24.0)
    kind = draw(st.sampled_from(["scale", "size", "grid"]))
    if kind == "scale":
        target = grid.zoom(source, draw(SCALES))
    elif kind == "size":
        target = grid.of_cell_size(source, draw(st.floats(2.0, 24.0)))
    else:
        dx, dy = draw(st.floats(3.0, 30.0)), draw(st.floats(3.0, 24.0))
        left = source.x0 + draw(st.floats(-300, source.cols * source.dx * 0.9))
        top = source.y0 + draw(st.floats(-source.rows * source.dy * 0.9, 300))
        rows, cols = draw(st.integers(20, 300)), draw(st.integers(20, 300))
        other = Grid(rows, cols, left, top, dx, dy)
        if not grid.overlap(source.bounds, other.bounds):
            other = replace(other, x0=source.x0, y0=source.y0)
        target = grid.like(source, other)
    if draw(st.booleans()):
        west, south, east, north = target.grid.bounds
        a, b = sorted((draw(st.floats(0, 0.98)), draw(st.floats(0.01, 0.99))))
        c, d = sorted((draw(st.floats(0, 0.98)), draw(st.floats(0.01, 0.99))))
        box = (west + a * (east - west), south + c * (north - south),
               west + (b + 0.01) * (east - west), south + (d + 0.01) * (north - south))  # fmt: skip
        target = grid.crop(target, box)
    return source, target


@settings(max_examples=300, deadline=None)
@given(targets(), st.sampled_from([16, 48, 128, 512]), st.sampled_from([0, 1, 12, 60]))
def test_every_cell_is_written_once_and_all_it_needs_is_read(pair: tuple, tile_px: int, halo_px: int) -> None:
    _, target = pair
    plan = tiling.with_tiles(target, halo_px, COST, tile_px)
    written = np.zeros(target.grid.shape, dtype=int)
    for tile in plan:
        write, read = tile.write, tile.read
        written[write.row : write.row_stop, write.col : write.col_stop] += 1
        assert (read.rows, read.cols) == plan.read_shape
        for axis, low, high, start, stop in (
            (target.rows, write.row, write.row_stop, read.row, read.row_stop),
            (target.cols, write.col, write.col_stop, read.col, read.col_stop),
        ):
            cells = np.floor(axis.centres(low, high)).astype(int)
            assert start <= cells[0] - halo_px
            assert cells[-1] + halo_px < stop
    assert (written == 1).all()
    assert len(plan) == len(list(plan))


@settings(max_examples=200, deadline=None)
@given(targets(), st.floats(0.2, 2000), st.sampled_from([12, 60]))
def test_a_plan_keeps_to_its_budget_or_says_which_one_fits(pair: tuple, budget_mb: float, halo_px: int) -> None:
    _, target = pair
    try:
        plan = tiling.plan(target, halo_px, COST, budget_mb * 2**20)
    except TerrainError as error:
        said = re.search(r"set Memory to at least (\d+)\.", str(error))
        assert said, str(error)
        assert int(said[1]) > budget_mb
        plan = tiling.plan(target, halo_px, COST, int(said[1]) * 2**20)
        assert plan.peak_bytes <= int(said[1]) * 2**20
    else:
        assert plan.peak_bytes <= budget_mb * 2**20


def test_the_largest_tiles_that_fit_are_taken() -> None:
    target = grid.zoom(Grid(500, 500, 0, 0, 30, 30), 4)
    sides = [tiling.plan(target, 12, COST, mb * 2**20).tile_px for mb in (64, 96, 200, 4000)]
    assert sides == sorted(sides)
    assert sides[-1] == 1024


@settings(max_examples=200, deadline=None)
@given(SCALES, st.integers(0, 200), st.integers(1, 100))
def test_a_crop_has_the_very_positions_of_the_whole(scale: float, first: int, count: int) -> None:
    source = Grid(64, 400, 123.4, 567.8, 30, 30)
    whole = grid.zoom(source, scale)
    first, last = min(first, whole.cols.count - 1), min(first + count, whole.cols.count)
    last = max(last, first + 1)
    west, east = (whole.grid.x0 + i * whole.grid.dx for i in (first, last))
    part = grid.crop(whole, (west, whole.grid.bounds[1], east, whole.grid.bounds[3]))
    assert (part.cols.first, part.cols.count) == (first, last - first)
    assert np.array_equal(part.cols.centres(0, part.cols.count), whole.cols.centres(first, last))
    assert np.array_equal(part.rows.centres(0, part.rows.count), whole.rows.centres(0, whole.rows.count))


@pytest.mark.parametrize(
    ("scale", "side"), [(1.0, 1024), (4.0, 1024), (5.5, 1024), (5.7, 2048), (8.0, 2048), (16.0, 2048)]
)
def test_how_wide_tiles_may_be_follows_from_the_scale_alone(scale: float, side: int) -> None:
    source = Grid(400, 500, 300_000.0, 4_000_000.0, 30.0, 30.0, "")
    whole = grid.zoom(source, scale)
    crop = grid.crop(whole, (300_100.0, 3_999_000.0, 300_400.0, 3_999_300.0))
    assert tiling.sides_of(whole)[0] == tiling.sides_of(crop)[0] == side


def test_read_windows_smaller_than_needed_are_our_own_mistake() -> None:
    target = grid.zoom(Grid(100, 100, 0, 0, 1, 1), 2)
    with pytest.raises(ValueError, match="smaller than"):
        tiling.with_tiles(target, 12, COST, 128, (16, 16))


def test_tiles_are_whole_blocks_and_read_windows_of_one_shape() -> None:
    plan: Plan = tiling.plan(grid.zoom(Grid(5000, 5000, 0, 0, 30, 30), 4), 60, Cost(1096, 64), 640 * 2**20)
    assert plan.tile_px % tiling.BLOCK_PX == 0
    assert plan.layout == (math.ceil(20_000 / plan.tile_px),) * 2
    assert {(t.read.rows, t.read.cols) for t in plan} == {plan.read_shape}


def test_lanes_give_way_before_tiles_become_smaller_than_a_block() -> None:
    """And a target of one tile has one lane, in the same tensor shape."""
    target = grid.zoom(Grid(5000, 5000, 0, 0, 30, 30), 4)
    plans = [tiling.plan(target, 60, Cost(1096, 64), mb * 2**20, crew=Crew(2)) for mb in (640, 450, 150, 90)]
    assert [(p.tile_px, p.crew.lanes) for p in plans] == [(1024, 2), (512, 2), (512, 1), (256, 1)]
    small = tiling.plan(grid.zoom(Grid(20, 20, 0, 0, 30, 30), 4), 60, Cost(1096, 64), 640 * 2**20, crew=Crew(2))
    assert (small.crew.lanes, small.read_shape) == (1, plans[0].read_shape)


def test_batches_give_way_before_lanes() -> None:
    """And the batch of a target of one tile is the batch of a large one: it is part of the tensor's shape."""
    target, crew = grid.zoom(Grid(5000, 5000, 0, 0, 30, 30), 4), Crew(2, 4, 3)
    plans = [tiling.plan(target, 60, Cost(1096, 64), mb * 2**20, crew) for mb in (4000, 700, 350, 150)]
    assert [(p.tile_px, p.crew) for p in plans] == [
        (1024, Crew(2, 4, 3)), (512, Crew(2, 2, 3)), (512, Crew(2, 1, 2)), (512, Crew(1, 1, 1))
    ]  # fmt: skip
    small = tiling.plan(grid.zoom(Grid(20, 20, 0, 0, 30, 30), 4), 60, Cost(1096, 64), 4000 * 2**20, crew)
    assert small.crew == Crew(1, 4, 3)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 16))
def test_every_tile_under_way_is_in_the_account(lanes: int, batch: int, encoders: int) -> None:
    target, crew = grid.zoom(Grid(5000, 5000, 0, 0, 30, 30), 4), Crew(lanes, batch, encoders)
    plan = tiling.with_tiles(target, 12, Cost(1000, 60), 512, crew=crew)
    coarse, fine = math.prod(plan.read_shape), 512**2
    waiting = plan.ahead - lanes * batch
    assert waiting >= batch + encoders
    held = waiting * (coarse + fine) * tiling.HELD_BYTES_PER_CELL
    assert plan.peak_bytes == pytest.approx(lanes * batch * (coarse * 1000 + fine * 60) + held)


def test_other_sides_may_be_tried() -> None:
    target = grid.zoom(Grid(5000, 5000, 0, 0, 30, 30), 4)
    assert tiling.plan(target, 12, COST, 2**34, sides=(2048, 1024)).tile_px == 2048
