"""The level of error that a budget or an RMSE leads to, with curves that are known exactly."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.mesh import (
    Aim,
    Curve,
    Tiles,
    curve_of_tile,
    level_for_budget,
    meshes_for_rmse,
    triangulate,
    triangulate_tile,
)
from neural_terrain.core.mesh.tile import levels
from neural_terrain.core.mesh.tiles import cut
from neural_terrain.core.mesh_check import Facets, measure


class Made(NamedTuple):
    squares: float
    points: int


def power_law(level):
    """A curve of ``1e5 / level`` triangles and an RMSE of ``level / 3``."""
    at = np.array([math.inf, *levels(500.0, level, anchored=False)])
    finite = np.minimum(at, 1e4)
    return Curve(at, 1e5 / finite, (finite / 3) ** 2 * 100, 100)


@pytest.mark.parametrize("start", [0.01, 3.0, 400.0])
@pytest.mark.parametrize("most", [300, 12_345, 10**7])
def test_a_budget_is_met_in_a_few_passes(start, most):
    asked = []

    def curves(level):
        asked.append(level)
        return power_law(level)

    level = level_for_budget(curves, most, start)
    assert 0.97 * most <= 1e5 / level <= most
    assert len(asked) <= 10


def test_a_jump_in_the_number_of_triangles_gives_the_coarser_mesh():
    def curves(level):
        at = np.array([math.inf, *levels(500.0, level, anchored=False)])
        return Curve(at, np.where(at >= 7.0, 2.0, 1000.0), np.zeros(len(at)), 1)

    assert level_for_budget(curves, 500, 20.0) >= 7.0


@pytest.mark.parametrize("share", [0.3, 0.66, 1.2])
def test_an_rmse_is_kept_whatever_refitting_does(share):
    level, parts = meshes_for_rmse(power_law, lambda level: [Made((share * level / 3) ** 2 * 100, 100)], 4.0, 50.0)
    rmse = math.sqrt(parts[0].squares / parts[0].points)
    assert 0.94 * 4.0 <= rmse <= 4.0
    assert level == pytest.approx(3 * rmse / share)


@pytest.mark.parametrize("wish", [1e-3, 0.05, 0.2])
def test_an_rmse_is_kept_where_errors_jump(wish):
    rows, cols = np.mgrid[:60, :60]
    z = np.rint(20 * np.sin(rows / 5) * np.cos(cols / 7) + 7 * np.cos(rows * cols / 90))
    mesh = triangulate(z, np.ones(z.shape, bool), max_rmse=wish, workers=1)
    facets = Facets(mesh.vertices, mesh.faces, z.shape)
    found = measure(facets, next(iter(facets.blocks)), z, np.ones(z.shape, bool), times=1).accuracy
    assert found.rmse <= wish
    assert len(mesh.faces) <= 2 * 59 * 59


@pytest.mark.parametrize("wrong", [0, -5])
def test_budgets_of_no_triangles_are_refused(wrong):
    with pytest.raises(TerrainError, match="at least 1"):
        level_for_budget(power_law, wrong, 1.0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_rmses_that_are_none_are_refused(wrong):
    with pytest.raises(TerrainError, match="above 0"):
        meshes_for_rmse(power_law, lambda level: [], wrong, 1.0)


def test_curves_say_what_meshes_have():
    rows, cols = np.mgrid[:70, :90].astype(float)
    z = 30 * np.sin(rows / 9) * np.cos(cols / 7) + 0.02 * (rows - 40) ** 2
    valid = np.hypot(rows - 30, cols - 40) > 8
    total, triangles, squares = Curve(), 0, 0.0
    for tile in Tiles(z.shape, 32):
        window = np.where(cut(valid, tile.read), cut(z, tile.read), 0.0), cut(valid, tile.read)
        total += curve_of_tile(*window, Aim(1.5, bounded=False))
        part = triangulate_tile(*window, Aim(1.5, bounded=False))
        triangles, squares = triangles + len(part.faces), squares + part.squares
    assert total.triangles[-1] == triangles
    assert squares < total.squares[-1]
    assert (np.diff(total.triangles) >= 0).all()


def test_curves_to_different_levels_do_not_add_up():
    with pytest.raises(ValueError, match="same level"):
        power_law(1.0) + power_law(1.1)
