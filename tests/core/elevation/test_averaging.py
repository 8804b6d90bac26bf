"""Averages over fine cells anywhere: the taps of lattices one by one, and one surface with them, in every family."""

from __future__ import annotations

import numpy as np
import pytest

from neural_terrain.core.elevation import averaging, card, kernels, relief, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.surface import CoarseHeights
from neural_terrain.tests import surfaces

SIZES = ((0.05, 0.2), (0.4, 0.25), (1.0, 0.7), (1.0, 1.0))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", ["cubic", "bspline"])
def test_interpolants_are_averaged_as_on_a_lattice(sizes: tuple[float, float], kernel: str) -> None:
    rng = np.random.default_rng(1)
    values, rows, cols = rng.normal(size=(20, 25)), rng.uniform(3, 17, 60), rng.uniform(3, 22, 60)
    means = averaging.cubic_means if kernel == "cubic" else averaging.bspline_means
    down, across = (kernels.cell_taps(at, size, kernel) for at, size in zip((rows, cols), sizes, strict=True))
    picked = values[down.index[:, :, None], across.index[:, None]]
    expected = np.einsum("pi,pij,pj->p", down.weight, picked, across.weight)
    assert means(values, rows, cols, sizes) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
def test_series_are_averaged_as_on_a_lattice(sizes: tuple[float, float]) -> None:
    rng, order = np.random.default_rng(2), 5
    series = rng.normal(size=(20 * order, 25 * order)).astype(np.float32)
    rows, cols = rng.uniform(2, 18, 60), rng.uniform(2, 23, 60)
    down, across = (
        kernels.lapped_taps(at, size, order).dense(count).numpy()
        for at, size, count in zip((rows, cols), sizes, (20, 25), strict=True)
    )
    expected = np.einsum("pi,ij,pj->p", down, series, across)
    assert averaging.series_means(series, order, rows, cols, sizes) == pytest.approx(expected, abs=1e-11)


def test_too_many_cosines_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 17 cosines per axis; there is room for 16\."):
        averaging.series_means(np.zeros((51, 51), np.float32), 17, np.array([1.5]), np.array([1.5]), (0.5, 0.5))


@pytest.mark.parametrize("name", ["baseline", "ebcf", "field"])
@pytest.mark.parametrize("point_sampled", [False, True])
def test_scattered_cells_are_those_of_a_lattice(name: str, point_sampled: bool) -> None:
    model = surface.load(card.find(name), Compute("cpu", "float32"))
    side = 2 * model.halo_px + 8
    whole, size_m = np.ones((side, side), bool), np.full(side, 30.0)
    latent = model.encode(CoarseHeights(surfaces.fractal((side, side), 5) * 4, whole, size_m, size_m, point_sampled))
    at = Queries(model.halo_px + np.array([1.3, 4.0, 6.71]), model.halo_px + np.array([0.6, 3.5, 7.2]), 0.25, 0.4)
    found = model.averages(latent, relief.scattered(at)).reshape(3, 3)
    assert found == pytest.approx(model.decode(latent, at), abs=0.02 if name == "ebcf" else 1e-3)
