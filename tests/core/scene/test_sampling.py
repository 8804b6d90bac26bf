"""Windows on the world's lattice: every cell is covered, and the area's cut does not show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_terrain.core.scene import cascade, sampling, stages
from neural_terrain.core.scene.model import Condition, StageModel, StageSettings
from neural_terrain.core.scene.sampling import LATTICES, Lattice, Rectangle, Run, sample_area
from neural_terrain.tests.core import dems

SMALL = StageSettings("R", 3, (8, 8, 8, 8), 1, (8, 8, 8, 8))


@pytest.fixture
def model():
    torch.manual_seed(1)
    model = StageModel(SMALL).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def told(window):
    rows = (window.south + window.rows - 1 - np.arange(window.rows))[:, None]
    cols = (window.west + np.arange(window.cols))[None]
    ground = np.broadcast_to(np.sin(rows / 7) * np.cos(cols / 9), (7, window.rows, window.cols))
    parent = torch.from_numpy(np.ascontiguousarray(ground, np.float32))[None]
    nothing = torch.zeros(1, 9, window.rows, window.cols)
    return Condition(parent, nothing[:, :0], nothing, torch.tensor([1]), torch.zeros(1, 11))


@pytest.mark.parametrize("lattice", LATTICES.values())
def test_blending_weights_sum_to_one_everywhere(lattice):
    total = np.zeros((300, 300), np.float32)
    area = Rectangle(-17, 1003, 300, 300)
    for window in lattice.windows(area):
        row, col = window.south - area.south, window.west - area.west
        padded = np.zeros((300 + 2 * lattice.side,) * 2, np.float32)
        padded[row + lattice.side :, col + lattice.side :][: lattice.side, : lattice.side] = lattice.weight()
        total += padded[lattice.side : -lattice.side, lattice.side : -lattice.side]
    assert total == pytest.approx(1, abs=1e-5)


def test_a_smaller_cut_has_the_same_cells(model):
    run = Run(3, 3, Lattice(40, 20, 6))
    whole = sample_area(model, told, Rectangle(-30, 70, 90, 80), run)
    part = sample_area(model, told, Rectangle(5, 85, 33, 41), run)
    assert (whole[:, 80 - 15 - 41 : 80 - 15, 35 : 35 + 33] == part).all()
    assert np.abs(part).max() > 0


def test_the_progress_says_what_is_made_and_how_far_it_is(model):
    """Cells of the stage, and the row of windows where there are several; never an empty text."""
    heard = dems.Heard()
    run = Run(3, 1, Lattice(40, 20, 6), progress=heard)
    sample_area(model, told, Rectangle(10, 10, 20, 20), run)
    assert set(heard.texts("progress")) == {"Sketching the town at 10 m"}
    heard = dems.Heard()
    sample_area(model, told, Rectangle(-30, 70, 90, 80), replace(run, progress=heard))
    said = list(dict.fromkeys(heard.texts("progress")))
    assert said == [f"Sketching the town at 10 m, strip {k} of 3" for k in (1, 2, 3)]


@pytest.mark.parametrize("stage", stages.STAGES.values(), ids=stages.STAGES)
def test_nothing_is_high_where_nothing_is_built(stage):
    """Kept open ground has no volume, kept buildings the volume that is known; the rest is the net's answer."""
    count, fields = len(stage.channels), torch.rand(1, len(stage.channels), 4, 4) + 3
    existing = torch.zeros(1, count + 2, 4, 4)
    existing[:, -2, :, 1:] = 1
    existing[:, 0] = torch.tensor([9.0, -1.0, 0.4, 0.4])  # not complete, open, built, built
    existing[:, 2] = torch.tensor([9.0, 0.0, 0.7, 0.0])  # the last one's height is unknown
    found = sampling.keep_existing(fields, existing, stage)
    (height,) = stage.heights
    assert (found[0, height, :, 0] == fields[0, height, :, 0]).all()
    assert found[0, height, :, 1].tolist() == pytest.approx([float(stages.open_ground(stage)[height, 0, 0])] * 4)
    assert found[0, height, :, 2].tolist() == pytest.approx([0.7] * 4)
    assert (found[0, height, :, 3] == fields[0, height, :, 3]).all()
    assert (found[0, 0, :, 1:] == existing[0, 0, :, 1:]).all()


def test_shares_agree_with_the_stage_above():
    fields = torch.rand(1, 3, 40, 40) * 2 - 1
    parent = torch.rand(1, 1, 8, 8) * 1.8 - 0.9
    agreed = cascade.agree(fields, parent, rounds=8)
    assert torch.allclose(torch.nn.functional.avg_pool2d(agreed[:, :1], 5), parent, atol=2e-2)
    assert (agreed[:, 1:] == fields[:, 1:]).all()


def test_interpolation_is_by_world_position():
    coarse = cascade.Fields(Rectangle(-3, 10, 12, 9), np.random.default_rng(1).random((2, 9, 12)).astype(np.float32))
    window = Rectangle(-5, 60, 30, 20)
    fine = cascade.interpolated(coarse, window, 5.0)
    shifted = cascade.interpolated(coarse, Rectangle(3, 64, 10, 10), 5.0)
    assert fine[:, 20 - 4 - 10 : 20 - 4, 8:18] == pytest.approx(shifted)
    assert fine[0, 20 - 3, 2 + 5] == pytest.approx(coarse.values[0, 9 - 3, 3])  # a parent's centre has its value
