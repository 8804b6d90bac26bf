"""Surfaces at scattered positions, and their derivatives: exact on planes, one surface on a lattice and at points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neural_terrain.core.elevation import card, kernels, relief, scattered, surface
from neural_terrain.core.elevation.compute import Compute
from neural_terrain.core.elevation.kernels import Queries
from neural_terrain.core.elevation.relief import Points, Relief
from neural_terrain.core.elevation.surface import CoarseHeights, Surface
from neural_terrain.tests import surfaces

FAMILIES = ("baseline", "ebcf", "field")
EXACT = ("baseline", "field")
ASKED = 8
"""Coarse cells per side that are asked for; the rest of a window is halo."""

NAMES = ("heights", "east", "north", "east_east", "east_north", "north_north")


@pytest.fixture(scope="module")
def models() -> dict[str, Surface]:
    return {name: surface.load(card.find(name), Compute("cpu", "float32")) for name in FAMILIES}


def known(heights: np.ndarray, size_m: tuple[float, float] = (30.0, 30.0), **values: bool) -> CoarseHeights:
    width, height = (np.full(heights.shape[0], size) for size in size_m)
    return CoarseHeights(heights, np.ones(heights.shape, bool), width, height, **values)


def ground(model: Surface, seed: int = 5) -> np.ndarray:
    return surfaces.fractal((2 * model.halo_px + ASKED,) * 2, seed) * 4


def points(model: Surface, count: int = 60, size: float = 1 / 8) -> Points:
    """Positions anywhere in the cells that may be asked for, half a cell from their edge."""
    rows, cols = np.random.default_rng(1).uniform(0.5, ASKED - 0.5, (2, count)) + model.halo_px
    return Points(rows, cols, size, size)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("point_sampled", [False, True])
def test_points_and_lattice_show_one_surface(models: dict, name: str, point_sampled: bool) -> None:
    model = models[name]
    latent = model.encode(known(ground(model), point_sampled=point_sampled))
    at = Queries(
        model.halo_px + np.array([1.3, 4.0, 6.71]), model.halo_px + np.array([0.6, 3.5, 3.51, 7.2]), 0.25, 0.25
    )
    one, other = model.relief(latent, at, 2), model.relief(latent, relief.scattered(at), 2)
    for layer in NAMES:
        there = getattr(one, layer)
        assert there.shape == (3, 4)
        # taps of a lattice are rounded to whole steps
        assert getattr(other, layer).reshape(3, 4) == pytest.approx(there, abs=2e-4 * np.abs(there).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_at_points_are_what_decode_gives(models: dict, name: str) -> None:
    model = models[name]
    latent = model.encode(known(ground(model), point_sampled=True))
    at = Queries(model.halo_px + np.array([1.3, 4.0, 6.71]), model.halo_px + np.array([0.6, 3.5, 7.2]), 0.25, 0.25)
    assert model.relief(latent, at, 0).heights == pytest.approx(model.decode(latent, at), abs=0.02)


@pytest.mark.parametrize("name", EXACT)
def test_derivatives_are_those_of_the_surface(models: dict, name: str) -> None:
    model, step = models[name], 1 / 512
    latent, at = model.encode(known(ground(model))), points(model)
    found = model.relief(latent, at, 2)

    def told(down: float, across: float) -> Relief:
        return model.relief(latent, replace(at, rows=at.rows + down * step, cols=at.cols + across * step), 1)

    run_m = 2 * step * 30
    east, west, south, north = told(0, 1), told(0, -1), told(1, 0), told(-1, 0)
    expected = {
        "east": (east.heights - west.heights) / run_m, "north": (north.heights - south.heights) / run_m,
        "east_east": (east.east - west.east) / run_m, "north_north": (north.north - south.north) / run_m,
        "east_north": (north.east - south.east) / run_m,
    }  # fmt: skip
    for layer, values in expected.items():
        assert getattr(found, layer) == pytest.approx(values, abs=0.01 * np.abs(values).max()), layer


def test_a_perceptron_has_differences_over_an_eighth_of_a_cell(models: dict) -> None:
    model = models["ebcf"]
    latent, at = model.encode(known(ground(model))), points(model)
    found = model.relief(latent, at, 1)
    east, west = (model.relief(latent, replace(at, cols=at.cols + d / 16), 0).heights for d in (1, -1))
    assert found.east == pytest.approx((east - west) / (30 / 8), abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_plane_is_a_plane(models: dict, name: str) -> None:
    """Rows run south: a plane that falls with the row rises to the north. Cells may have unequal sides."""
    model = models[name]
    row, col = np.mgrid[: 2 * model.halo_px + ASKED, : 2 * model.halo_px + ASKED] + 0.5
    at = points(model)
    found = model.relief(model.encode(known(500 + 3.0 * col - 2.0 * row, (20.0, 40.0))), at, 2)
    assert found.heights == pytest.approx(500 + 3 * at.cols - 2 * at.rows, abs=1e-6)
    assert found.east == pytest.approx(0.15, abs=1e-7) and found.north == pytest.approx(0.05, abs=1e-7)
    for layer in NAMES[3:]:
        assert getattr(found, layer) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_position_does_not_hang_on_the_others(models: dict, name: str) -> None:
    model = models[name]
    latent, at = model.encode(known(ground(model))), points(model, 40)
    some = replace(at, rows=at.rows[7:20], cols=at.cols[7:20])
    whole, part = model.relief(latent, at, 2), model.relief(latent, some, 2)
    for layer in NAMES:
        assert np.array_equal(getattr(whole, layer)[7:20], getattr(part, layer))


def test_the_band_at_points_is_that_of_the_lattice(models: dict) -> None:
    model = models["field"]
    latent = model.encode(known(ground(model)))
    at = Queries(model.halo_px + np.array([1.3, 4.0]), model.halo_px + np.array([0.6, 3.5, 7.2]), 0.25, 0.25)
    found = model.error90(latent, relief.scattered(at)).reshape(2, 3)
    assert found == pytest.approx(model.error90(latent, at), rel=1e-4)


def test_less_is_told_when_less_is_asked(models: dict) -> None:
    model = models["baseline"]
    latent, at = model.encode(known(ground(model))), points(model)
    assert model.relief(latent, at, 0).east is None
    assert model.relief(latent, at, 1).north is not None and model.relief(latent, at, 1).east_east is None


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_scattered_sums_are_those_of_the_taps(degree: int) -> None:
    """The kernels in machine code against the tables of :mod:`.kernels`."""
    rng = np.random.default_rng(degree)
    values, order = rng.normal(size=(12, 15)), 5
    series = rng.normal(size=(12 * order, 15 * order)).astype(np.float32)
    rows, cols = rng.uniform(2, 10, 30), rng.uniform(2, 13, 30)
    cubic, waves = (
        scattered.cubic_at(values, rows, cols, degree),
        scattered.series_at(series, order, rows, cols, degree),
    )
    for layer, (down, across) in enumerate(scattered.DERIVATIVES[: scattered.LAYERS[degree]]):
        r, c = kernels.derivative_taps(rows, down), kernels.derivative_taps(cols, across)
        expected = np.einsum("pi,pij,pj->p", r.weight, values[r.index[:, :, None], c.index[:, None]], c.weight)
        assert cubic[layer] == pytest.approx(expected, abs=1e-9)
        r, c = (
            kernels.lapped_derivative_taps(at, order, d).dense(n).numpy()
            for at, d, n in ((rows, down, 12), (cols, across, 15))
        )
        assert waves[layer] == pytest.approx(np.einsum("pi,ij,pj->p", r, series, c), abs=1e-7 * np.abs(waves).max())


def test_too_many_cosines_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 17 cosines per axis; there is room for 16\."):
        scattered.series_at(np.zeros((51, 51), np.float32), 17, np.array([1.5]), np.array([1.5]), 0)
