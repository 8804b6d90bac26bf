"""The residual trunk: what it sees, what it keeps, and that tiles may be cut anywhere."""

from __future__ import annotations

import torch

from neural_terrain.core.elevation.trunk import Trunk

RADIUS_PX = 6


def trunk() -> Trunk:
    torch.manual_seed(2)
    return Trunk(3, 8, blocks=2).eval()


@torch.no_grad()
def test_valid_convolutions_give_what_padded_ones_give_inside() -> None:
    features, made = torch.randn(1, 3, 40, 44), trunk()
    valid, padded = made(features), made(features, 1)
    assert padded.shape == (1, 8, 40, 44)
    assert valid.shape == (1, 8, 40 - 2 * RADIUS_PX, 44 - 2 * RADIUS_PX)
    inner = padded[..., 2 * RADIUS_PX : -2 * RADIUS_PX, 2 * RADIUS_PX : -2 * RADIUS_PX]
    torch.testing.assert_close(valid[..., RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX], inner, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_code_sees_exactly_its_radius() -> None:
    size, made = 2 * RADIUS_PX + 9, trunk()
    features = torch.randn(1, 3, size, size)
    before = made(features)
    changed = features.clone()
    changed[..., 0, 0] += 1
    difference = (made(changed) - before).abs().amax(dim=(0, 1)) > 0
    assert difference[0, 0] and int(difference.sum()) == 1


@torch.no_grad()
def test_a_trunk_without_weights_passes_its_skip_only() -> None:
    """Every block and the tail add to what comes in."""
    made = trunk()
    for block in made.blocks:
        torch.nn.init.zeros_(block.second.weight)
        torch.nn.init.zeros_(block.second.bias)
    torch.nn.init.zeros_(made.tail.weight)
    torch.nn.init.zeros_(made.tail.bias)
    features = torch.randn(1, 3, 20, 20)
    first = torch.nn.functional.conv2d(features, made.head.weight, made.head.bias)
    assert torch.equal(made(features), first[..., 5:-5, 5:-5])


def test_gradients_reach_every_weight() -> None:
    made = trunk()
    made(torch.randn(1, 3, 20, 20), 1).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
