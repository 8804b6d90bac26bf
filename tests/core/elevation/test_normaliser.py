"""What a network sees: nothing of the tile, of the datum, of the unit beyond steepness, or of no-data."""

from __future__ import annotations

import pytest
import torch

from neural_terrain.core.elevation import normaliser
from neural_terrain.tests import surfaces

INSIDE = normaliser.RADIUS_PX


def seen(heights: torch.Tensor, valid: torch.Tensor | None = None) -> normaliser.Normalised:
    """Cells of 30 m."""
    known = torch.ones_like(heights, dtype=torch.bool) if valid is None else valid
    size = torch.full(heights.shape[:1], 30.0, dtype=torch.float64)[None]
    return normaliser.normalise(heights[None], known[None], (size, size), torch.tensor([False]))


def terrain(seed: int = 1) -> torch.Tensor:
    """Fractal ground of 48 x 48 cells, in whole 1/1024 m so that offsets are exact."""
    return torch.round(torch.from_numpy(surfaces.fractal((48, 48), seed)) * 1024) / 1024


@pytest.mark.parametrize("offset", [1000.0, -430.5, 8848.0])
def test_the_datum_does_not_matter(offset: float) -> None:
    one, other = seen(terrain()), seen(terrain() + offset)
    torch.testing.assert_close(one.features, other.features, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.scale_m, other.scale_m, rtol=1e-9, atol=1e-9)


def test_relief_only_changes_the_unit_and_the_steepness_channel() -> None:
    one, other = seen(terrain()), seen(terrain() * 0.3)
    torch.testing.assert_close(one.scale_m * 0.3, other.scale_m, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.features[:, 0], other.features[:, 0], rtol=1e-4, atol=1e-4)
    assert (one.features[:, 1] > other.features[:, 1]).all()


@pytest.mark.parametrize("height", [0.0, 0.1, 437.123, 8848.86])
def test_constant_ground_has_no_scale_at_all(height: float) -> None:
    """Exactly zero, so that whatever a network predicts there is multiplied by zero."""
    flat = torch.full((30, 30), float(torch.tensor(height, dtype=torch.float32)), dtype=torch.float64)
    found = seen(flat)
    assert (found.scale_m == 0).all()
    assert (found.features[:, 0] == 0).all()
    assert torch.isfinite(found.features).all()


def test_a_window_sees_what_the_whole_sees() -> None:
    whole, part = seen(terrain()), seen(terrain()[5:40, 9:44])
    inner = slice(INSIDE, -INSIDE)
    torch.testing.assert_close(
        whole.features[:, :, 5:40, 9:44][..., inner, inner], part.features[..., inner, inner], rtol=0, atol=0
    )


def test_what_stands_in_a_void_does_not_matter() -> None:
    valid = torch.ones(48, 48, dtype=torch.bool)
    valid[20:28, 10:30] = False
    one, other = terrain(), terrain()
    other[~valid] = -32768
    first, second = (seen(normaliser.extend(z, valid), valid) for z in (one, other))
    assert torch.equal(first.features, second.features)
    assert torch.equal(first.scale_m, second.scale_m)


def test_voids_are_continued_from_their_rim() -> None:
    valid = torch.ones(60, 60, dtype=torch.bool)
    valid[20:50, 20:50] = False
    ground = terrain(2).mean() + torch.zeros(60, 60, dtype=torch.float64)
    continued = normaliser.extend(ground, valid)
    torch.testing.assert_close(continued[20:30, 20:50], ground[20:30, 20:50])
    assert torch.equal(normaliser.extend(ground, torch.ones_like(valid)), ground)


def test_nothing_known_is_no_error() -> None:
    nothing = torch.zeros(30, 30, dtype=torch.bool)
    found = seen(normaliser.extend(terrain()[:30, :30], nothing), nothing)
    assert torch.isfinite(found.features).all()
    assert (found.scale_m == 0).all()


def test_the_radius_is_true() -> None:
    ground = torch.from_numpy(surfaces.fractal((60, 60), 3))[None]
    changed = ground.clone()
    changed[0, 30, 30] += 500
    valid, metres = torch.ones_like(ground, dtype=torch.bool), torch.full((1, 60), 30.0, dtype=torch.float64)
    one, other = (
        normaliser.normalise(z, valid, (metres, metres), torch.tensor([False])).features for z in (ground, changed)
    )
    differs = (one != other).any(1)[0].nonzero()
    assert differs.min() >= 30 - normaliser.RADIUS_PX
    assert differs.max() <= 30 + normaliser.RADIUS_PX


def test_a_map_of_twice_the_size_looks_the_same() -> None:
    """Cells and heights twice as large: the same shape, in twice the unit."""
    ground = torch.from_numpy(surfaces.fractal((60, 60), 3))[None]
    valid, metres = torch.ones_like(ground, dtype=torch.bool), torch.full((1, 60), 30.0, dtype=torch.float64)
    one, two = (
        normaliser.normalise(ground * k, valid, (metres * k, metres * k), torch.tensor([False])) for k in (1, 2)
    )
    torch.testing.assert_close(one.features, two.features, rtol=0, atol=1e-5)
    torch.testing.assert_close(2 * one.scale_m, two.scale_m)


def test_a_far_void_does_not_move_a_bit() -> None:
    """Windows without a void take a shorter way."""
    valid = torch.ones(48, 48, dtype=torch.bool)
    valid[0, 0] = False
    one, other = seen(terrain()), seen(terrain(), valid)
    far = slice(2 * INSIDE, None)
    assert torch.equal(one.scale_m[0, far, far], other.scale_m[0, far, far])
    assert torch.equal(one.features[..., far, far], other.features[..., far, far])
