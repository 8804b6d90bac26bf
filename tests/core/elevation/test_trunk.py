"""The residual trunk: what it sees, what it keeps, and that tiles may be cut anywhere."""

from __future__ import annotations

import pytest
import torch

from neural_terrain.core.elevation import trunk as trunks
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
    torch.testing.assert_close(made(features), first[..., 5:-5, 5:-5])


def test_gradients_reach_every_weight() -> None:
    made = trunk()
    made(torch.randn(1, 3, 20, 20), 1).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 71])
@torch.no_grad()
def test_a_window_in_bands_is_the_whole_window_to_the_bit(dtype: torch.dtype, rows: int) -> None:
    made = trunk().to(dtype).to(memory_format=torch.channels_last)
    features = torch.randn(1, 3, rows + 2 * RADIUS_PX, 50).to(dtype).contiguous(memory_format=torch.channels_last)
    found = made.window(features)
    assert found.shape == (1, 8, rows, 50 - 2 * RADIUS_PX)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, made(features))


@pytest.mark.parametrize("channels", [8, 32])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_codes_do_not_depend_on_where_a_window_begins(dtype: torch.dtype, channels: int) -> None:
    made = Trunk(5, channels, blocks=2).to(dtype).to(memory_format=torch.channels_last).eval()
    features = torch.randn(1, 5, 120, 110).to(dtype).contiguous(memory_format=torch.channels_last)
    part = features[:, :, 23:101, 17:90].contiguous(memory_format=torch.channels_last)
    whole = made.window(features)
    assert torch.equal(made.window(part), whole[:, :, 23 : 101 - 2 * RADIUS_PX, 17 : 90 - 2 * RADIUS_PX])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_a_pointwise_convolution_is_a_plain_one(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    layer = torch.nn.Conv2d(16, 24, 1).to(dtype).to(memory_format=torch.channels_last)
    x = torch.randn(1, 16, 9, 11).to(dtype).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(trunks.pointwise(x, layer), layer(x))
