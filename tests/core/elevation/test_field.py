"""The field: what its head starts from, that training and inference see one surface, and what the correction keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import baseline, field, kernels, rendering
from neural_terrain.core.elevation.batch import collate
from neural_terrain.core.elevation.degradation import Degradations, Pair, PairShape, Region, draw_pair
from neural_terrain.core.elevation.field import Field, FieldSettings
from neural_terrain.tests import surfaces

SMALL = FieldSettings(blocks=1, channels=8)
CELLS = 24


def network(settings: FieldSettings = SMALL) -> Field:
    """A network whose answer is not zero."""
    torch.manual_seed(3)
    made = Field(settings)
    torch.nn.init.normal_(made.height.last.weight, std=0.1)
    return made.eval()


@pytest.fixture(scope="module")
def coefficients() -> torch.Tensor:
    return torch.randn(64, CELLS, CELLS, generator=torch.Generator().manual_seed(1))


def drawn(count: int, **changes: float) -> list[Pair]:
    """Pairs without disturbance unless told otherwise."""
    plain = dict.fromkeys(("gaussian_share", "noise_share", "rounding_share", "void_share"), 0.0)
    region = Region("a", surfaces.fractal((300, 300), 1).astype(np.float32), np.ones((300, 300), bool), 10.0, 10.0)
    settings, shape = Degradations(**{**plain, **changes}), PairShape(32, 10, 8)
    found = (draw_pair(region, settings, shape, np.random.default_rng(s)) for s in range(4 * count))
    return [pair for pair in found if pair is not None][:count]


def test_an_untrained_field_is_the_weight_less_surface() -> None:
    batch = collate(drawn(3, noise_share=1.0))
    with torch.no_grad():
        answer = Field(SMALL).predict(batch)
    assert answer.shape == batch.target.shape and (answer == 0).all()


def test_the_default_costs_what_the_card_says() -> None:
    """At most 1.2 million operations per coarse cell, trunk and head of the elevation."""
    made = Field(FieldSettings())
    weights = [p.numel() for name, p in made.named_parameters() if p.ndim == 4 and not name.startswith("spread")]
    assert 2 * sum(weights) <= 1.3e6
    assert made.settings.trunk_radius_px == 18


@pytest.mark.parametrize(("row_scale", "col_scale"), [(1, 1), (2, 3), (2.5, 4), (3.7, 3.7), (8, 1.3), (16, 16)])
@pytest.mark.parametrize("point", [False, True])
def test_training_and_inference_render_the_same(
    coefficients: torch.Tensor, row_scale: float, col_scale: float, point: bool
) -> None:
    rows, cols = (6 + surfaces.centres(int(8 * s), 1 / s) for s in (row_scale, col_scale))
    taps = field.lattice_taps(kernels.Queries(rows, cols, 1 / row_scale, 1 / col_scale), 8, point)
    trained = field.render(coefficients, *taps)
    used = rendering.lattice(rendering.of_series(rendering.series(coefficients), *taps))
    assert (trained - used).abs().max() < 2e-5 * trained.abs().max()


@pytest.mark.parametrize("scale", [1, 2, 3, 5, 8])
def test_averages_over_cells_are_those_of_the_rendered_lattice(coefficients: torch.Tensor, scale: int) -> None:
    at = 4 + surfaces.centres(12 * scale, 1 / scale)
    taps = kernels.lapped_taps(at, 1 / scale, 8)
    blocks = field.render(coefficients, taps, taps).reshape(12, scale, 12, scale).mean(dim=(1, 3))
    found = field.over_cells(coefficients[None], 1.0, 8)[0]
    assert found.shape == (CELLS, CELLS)
    assert (found[4:16, 4:16] - blocks).abs().max() < 1e-5


def test_heights_at_centres_are_those_of_the_rendered_lattice(coefficients: torch.Tensor) -> None:
    taps = kernels.lapped_taps(4.5 + np.arange(12), 0.0, 8)
    found = field.over_cells(coefficients[None], 0.0, 8)[0, 4:16, 4:16]
    assert (found - field.render(coefficients, taps, taps)).abs().max() < 1e-5


def test_the_correction_leaves_nothing_of_what_is_known() -> None:
    """Averages of what is added, and of the field, make up for what the weight-less surface misses."""
    rest, found = (torch.from_numpy(np.random.default_rng(s).normal(size=(40, 40)) * 10) for s in (1, 2))
    valid = torch.ones(40, 40, dtype=torch.bool)
    valid[15:18, 20:26] = False
    added = baseline.average(field.correction(rest, found, valid, point_sampled=False))
    inner = np.s_[10:-10, 10:-10]
    assert (added + found - rest)[inner][valid[inner]].abs().max() < 1e-3
    at_points = field.correction(rest, found, valid, point_sampled=True)
    assert torch.equal(at_points[valid], (rest - found)[valid]) and (at_points[~valid] == 0).all()


@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_a_prediction_keeps_what_is_known_exactly(point: bool, exact: bool) -> None:
    """Asked for whole coarse cells, or for their centres, it is the input itself."""
    ground, at = surfaces.fractal((40, 40), 2), 16.5 + np.arange(8)
    asked = np.ones((8, 8))
    pair = Pair(ground, np.ones((40, 40), bool), point, 30.0, 30.0, at, at, 1.0, 1.0, asked, exact)
    batch = collate([pair])
    with torch.no_grad():
        found = network().predict(batch)[0] * batch.scale_m[0] + batch.base_m[0]
    missed = np.abs(found.numpy() - ground[16:24, 16:24]).max()
    assert missed < 1e-3 if exact else missed > 0.1


def test_gradients_reach_every_weight_of_the_elevation() -> None:
    made = network()
    made.predict(collate(drawn(2))).abs().mean().backward()
    for name, weight in made.named_parameters():
        assert (weight.grad is None) == name.startswith("spread"), name
        assert weight.grad is None or weight.grad.abs().sum() > 0, name


def test_the_answer_follows_the_size_of_the_fine_cells() -> None:
    made, codes = network(), torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        small, large = (made.coefficients(codes, torch.tensor([[s, s]]), torch.ones(1, 5, 5)) for s in (0.125, 0.5))
    assert small.shape == (1, 64, 5, 5) and not torch.allclose(small, large)
