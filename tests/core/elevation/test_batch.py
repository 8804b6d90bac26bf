"""Batches: what a network is fed and asked is the ground of its pairs, and a perfect answer leaves nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_terrain.core.elevation import baseline
from neural_terrain.core.elevation.batch import SMALLEST_SCALE_M, Batch, collate
from neural_terrain.core.elevation.degradation import Degradations, Pair, PairShape, Region, draw_pair
from neural_terrain.core.elevation.normaliser import CHANNELS
from neural_terrain.tests import surfaces

SHAPE = PairShape(32, 8, 12)


def pairs(count: int, heights: np.ndarray | None = None, **changes: float) -> list[Pair]:
    ground = surfaces.fractal((300, 300), 1) if heights is None else heights
    region = Region("a", ground.astype(np.float32), np.ones(ground.shape, bool), 10.0, 20.0)
    found = (draw_pair(region, Degradations(**changes), SHAPE, np.random.default_rng(s)) for s in range(4 * count))
    return [pair for pair in found if pair is not None][:count]


def test_a_batch_has_one_shape_and_keeps_its_pairs() -> None:
    drawn = pairs(3)
    batch = collate(drawn)
    assert batch.features.shape == (3, CHANNELS, 32, 32) and batch.features.dtype == torch.float32
    assert batch.features.is_contiguous(memory_format=torch.channels_last)
    assert batch.target.shape == batch.base_m.shape == (3, 12, 12) and torch.isfinite(batch.target).all()
    assert batch.truth_m[1].numpy() == pytest.approx(drawn[1].truth)
    assert batch.sizes[2].tolist() == pytest.approx([drawn[2].row_size, drawn[2].col_size])
    assert batch.point_sampled == [pair.point_sampled for pair in drawn]
    assert batch.honoured == [pair.exact for pair in drawn]


def test_the_target_times_its_unit_leads_from_the_base_to_the_truth() -> None:
    batch = collate(pairs(4))
    assert (batch.base_m + batch.target * batch.scale_m).numpy() == pytest.approx(batch.truth_m.numpy(), abs=1e-3)


def test_on_a_plane_there_is_nothing_to_learn() -> None:
    plane = surfaces.lattice(surfaces.plane(0.5, 0.3), *[surfaces.centres(300)] * 2)
    shares = dict.fromkeys(("gaussian_share", "noise_share", "rounding_share", "void_share"), 0.0)
    batch = collate(pairs(4, plane, scale_min=4.0, scale_max=4.0, unequal_scale_share=0.0, **shares))
    assert (batch.truth_m - batch.base_m).abs().max() < 1e-3


def test_level_ground_is_weighed_by_the_least_unit() -> None:
    batch = collate(pairs(2, np.full((300, 300), 7.0), noise_share=0.0))
    assert (batch.scale_m == SMALLEST_SCALE_M).all() and (batch.target == 0).all()


def test_what_is_left_of_the_known_heights_is_what_the_surface_misses() -> None:
    """``rest_m`` is zero for samples at points and in voids, else the height minus the surface's cell average."""
    drawn = pairs(12, void_share=1.0, point_share=0.5)
    batch = collate(drawn)
    for i, pair in enumerate(drawn):
        assert (batch.rest_m[i][~batch.valid[i]] == 0).all()
        prepared = baseline.prepare(batch.heights_m[i], pair.point_sampled)
        missed = torch.where(batch.valid[i], batch.heights_m[i] - baseline.average(prepared), 0.0)
        assert torch.equal(batch.rest_m[i], torch.zeros_like(batch.rest_m[i]) if pair.point_sampled else missed.float())
    assert {True, False} == set(batch.point_sampled)


def test_moving_a_batch_moves_every_tensor_and_nothing_else() -> None:
    batch = collate(pairs(2))
    moved: Batch = batch.to("meta")
    tensors = [name for name, value in vars(batch).items() if isinstance(value, torch.Tensor)]
    assert len(tensors) >= 9 and all(getattr(moved, name).is_meta for name in tensors)
    assert moved.pairs is batch.pairs and moved.queries is batch.queries
    assert moved.features.is_contiguous(memory_format=torch.channels_last)
