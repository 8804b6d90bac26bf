"""Voids: which are filled, with what, and that no window sees it differently."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core import voids
from neural_terrain.tests import surfaces

ROW, COL = np.mgrid[:160, :170]


def filled(void: np.ndarray, heights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    ground = surfaces.fractal(void.shape, 3) if heights is None else heights
    return voids.fill(np.where(void, np.nan, ground), ~void, voids.Part(0, 0, *void.shape))


def rectangle(top: int, left: int, rows: int, cols: int) -> np.ndarray:
    void = np.zeros(ROW.shape, dtype=bool)
    void[top : top + rows, left : left + cols] = True
    return void


@pytest.mark.parametrize(
    ("void", "fills"),
    [
        (rectangle(50, 50, 1, 1), True),
        (rectangle(50, 50, 24, 24), True),
        (rectangle(50, 50, 25, 25), False),
        (rectangle(50, 50, 24, 64), True),
        (rectangle(50, 50, 3, 65), False),
        (rectangle(50, 50, 65, 3), False),
        (rectangle(1, 1, 5, 5), True),
        (rectangle(0, 40, 5, 5), False),
        (rectangle(155, 40, 5, 5), False),
        (rectangle(40, 165, 5, 5), False),
        (rectangle(50, 50, 64, 64) & ((ROW % 20 != 10) | (COL % 20 != 10)), False),  # narrow, but of 4000 cells
        (np.abs(ROW - COL) < 20, False),  # a band from edge to edge
        (np.hypot(ROW - 80, COL - 80) < 12.4, True),
        ((np.hypot(ROW - 80, COL - 80) < 12) & (np.hypot(ROW - 80, COL - 80) > 3), True),  # with an island
    ],
)
def test_only_small_voids_with_ground_all_around_are_filled(void: np.ndarray, fills: bool) -> None:
    heights, where = filled(void)
    assert np.array_equal(where, void if fills else np.zeros_like(void))
    assert (heights[void & ~where] == 0).all()
    assert np.isfinite(heights).all()


def test_a_collar_grows_no_rim_and_the_pits_beside_it_are_filled() -> None:
    collar = (ROW * 0.5 + COL < 60) | (ROW - COL * 0.7 > 90)
    collar |= (np.random.default_rng(2).random(collar.shape) < 0.3) & (ROW * 0.5 + COL < 64)
    collar = _connected(collar)
    pits = rectangle(60, 100, 6, 9) | rectangle(90, 80, 1, 1) | rectangle(40, 120, 17, 17)
    assert np.array_equal(filled(collar | pits)[1], pits)


def _connected(void: np.ndarray) -> np.ndarray:
    """Cells of ``void`` that touch its corner by edges or corners, found by growing it."""
    reached = np.zeros_like(void)
    reached[0, 0] = True
    while True:
        padded = np.pad(reached, 1)
        grown = np.any([padded[i : i + 160, j : j + 170] for i in range(3) for j in range(3)], axis=0) & void
        grown |= reached | (rectangle(159, 0, 1, 1) & void)
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def test_planes_and_twisted_planes_go_on_through_a_void() -> None:
    plane = 500 + 2.5 * ROW - 1.25 * COL + 0.01 * ROW * COL
    void = (np.hypot(ROW - 80, COL - 80) < 11) | rectangle(30, 30, 1, 50) | rectangle(1, 1, 4, 3)
    heights, where = filled(void, plane)
    assert where.sum() == void.sum()
    assert heights == pytest.approx(plane, abs=1e-9)


def test_a_cap_is_domed_not_flat() -> None:
    """A membrane would be level with the rim; least bending brings back most of what is gone."""
    hill = surfaces.lattice(surfaces.hill(80, 80, 20, 100), np.arange(160.0), np.arange(170.0))
    void = np.hypot(ROW - 80, COL - 80) < 8
    heights, _ = filled(void, hill)
    assert abs(heights - hill)[void].max() < 0.15 * (hill.max() - hill[80, 89])


def test_every_window_with_the_margin_gives_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    void = (rng.random((400, 300)) < 0.003) | (np.hypot(*(np.mgrid[:400, :300] - np.array([[[190]], [[150]]]))) < 11)
    void[200:203, 100:160] = True
    void[250:300, :200] = True
    heights = np.where(void, 7.0, surfaces.fractal(void.shape, 1))
    whole, where = voids.fill(heights, ~void, voids.Part(0, 0, 400, 300))
    for top, left, bottom, right in ((180, 90, 215, 170), (0, 0, 100, 100), (195, 140, 300, 300), (390, 290, 400, 300)):
        row, col = max(top - voids.MARGIN_PX, 0), max(left - voids.MARGIN_PX, 0)
        window = np.s_[row : min(bottom + voids.MARGIN_PX, 400), col : min(right + voids.MARGIN_PX, 300)]
        wanted = voids.Part(top - row, left - col, bottom - row, right - col)
        part, part_where = voids.fill(heights[window], ~void[window], wanted)
        inner = np.s_[wanted.row : wanted.row_stop, wanted.col : wanted.col_stop]
        assert np.array_equal(whole[top:bottom, left:right], part[inner])
        assert np.array_equal(where[top:bottom, left:right], part_where[inner])


def test_neighbouring_voids_with_a_rim_of_one_cell_do_not_disturb_each_other() -> None:
    void = rectangle(50, 50, 6, 6) | rectangle(50, 57, 6, 6) | rectangle(57, 50, 6, 6)
    heights, where = filled(void)
    assert np.array_equal(where, void)
    alone, _ = filled(rectangle(50, 50, 6, 6))
    assert np.abs(heights - alone)[50:56, 50:56].max() < 40


def test_nothing_known_or_nothing_missing_is_no_error() -> None:
    for void in (np.ones((9, 9), bool), np.zeros((9, 9), bool), np.ones((1, 1), bool)):
        heights, where = filled(void, np.full(void.shape, 3.0))
        assert not where.any() and (heights == np.where(void, 0, 3)).all()
