"""Training of a stage: it learns, and a broken run ends with the weights of an unbroken one."""

import itertools
import json

import numpy as np
import pytest
import torch

from neural_terrain.core.scene import batches, stages, towns
from neural_terrain.core.scene.losses import masked_mean
from neural_terrain.core.scene.model import StageSettings
from neural_terrain.core.scene.road_graph import RoadGraph
from neural_terrain.core.scene.training import Recipe, Training

SETTINGS = StageSettings("R", 1, (8, 8, 8, 8), 1, (8, 8, 8, 8))


@pytest.fixture
def town():
    rng = np.random.default_rng(0)
    places = np.array([[0, 0], [1, 0], [1, 1]])
    coarse = rng.standard_normal((3, 7, 40, 40)).astype(np.float16)
    middle = np.repeat(np.repeat(coarse, 5, axis=2), 5, axis=3)
    graph = RoadGraph(
        np.array([[10.0, 10.0], [900.0, 950.0], [1900.0, 300.0]]), np.array([[0, 1], [1, 2]]), np.array([0, 1])
    )
    return towns.TownBlocks("t", places, coarse, middle, None, np.ones((3, 3, 40, 40), bool), graph)


def training(town, folder, steps=8):
    recipe = Recipe(SETTINGS, side=40, batch=2, prior_steps=4, steps=steps, warmup_steps=2)
    return Training(recipe, towns.Sampler([town], stages.R, 40), towns.Sampler([town], stages.R, 40, True), folder)


def test_a_broken_run_ends_like_an_unbroken_one(town, tmp_path):
    whole = training(town, tmp_path / "whole")
    assert whole.run(report_every=4)
    broken = training(town, tmp_path / "broken")
    original = broken.advance

    def advance(batch, rate):
        broken.stopped = broken.step == 2
        return original(batch, rate)

    broken.advance = advance
    assert not broken.run()
    assert training(town, tmp_path / "broken").run()
    first, again = (
        torch.load(tmp_path / n / "checkpoint.pt", weights_only=True)["average"] for n in ("whole", "broken")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    rows = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in rows] == ["prior", "residual", "residual"]


def test_only_white_blocks_are_drawn_and_samples_repeat(town):
    sampler = towns.Sampler([town], stages.R, 40)
    assert {w[1] for w in sampler.windows} == {0, 2}
    one, two = (sampler.draw(np.random.default_rng([1, 5])) for _ in range(2))
    assert (one.fields == two.fields).all()


def test_what_goes_wrong_while_drawing_is_raised(town):
    """The thread that draws does not die alone; batches drawn before come first."""

    class Broken(towns.Sampler):
        def draw(self, rng):
            if next(self.count) == 3:
                raise OSError("the disk is gone")
            return super().draw(rng)

    sampler = Broken([town], stages.R, 40)
    sampler.count = itertools.count()
    ahead, got = batches.Ahead(sampler, 1, 2, 0, range(5)), []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(ahead)
    ahead.close()
    assert len(got) <= 1


def test_unknown_channels_do_not_count():
    error = torch.ones(1, 3, 4, 4)
    error[0, 1] = 100
    known = torch.ones_like(error)
    known[0, 1] = 0
    assert float(masked_mean(error, known)) == 1
