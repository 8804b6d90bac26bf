"""The residual's diffusion: its forward process, and a sampler that finds the clean field of a known velocity."""

import pytest
import torch

from neural_terrain.core.scene.diffusion import loss_weight, noised, signal, solve, times


def test_forward_process_keeps_variance_and_ends_at_the_prior():
    clean, noise = torch.randn(1, 1, 200, 200), torch.randn(1, 1, 200, 200)
    for t in (0.1, 0.5, 0.9):
        field, velocity = noised(clean, noise, torch.tensor([t]))
        assert float(field.var()) == pytest.approx(1, abs=0.03)
        a, b = signal(torch.tensor(t))
        assert torch.allclose(a * field - b * velocity, clean, atol=1e-5)
    field, _ = noised(clean, noise, torch.tensor([1.0]))
    assert torch.allclose(field, noise, atol=1e-4)  # equation 11: the residual's share goes to 0, not to infinity


def test_samples_of_a_gaussian_have_its_spread():
    spread = 0.3

    def velocity(field, t):
        a, b = (float(x) for x in signal(torch.tensor(t)))
        clean = field * a * spread**2 / (a**2 * spread**2 + b**2)
        return (a * field - clean) / b

    torch.manual_seed(0)
    result = solve(velocity, torch.randn(1, 1, 100, 100), 20)
    assert float(result.std()) == pytest.approx(spread, rel=0.06)


def test_times_fall_to_zero_and_weights_are_bounded():
    path = times(12)
    assert len(path) == 13
    assert path[-1] == 0
    assert all(a > b for a, b in zip(path[:-1], path[1:], strict=True))
    assert float(loss_weight(torch.linspace(0, 1, 50)).max()) <= 1
