"""The benchmark of scenes judges what it says: equal sets, a grid city that is told three figures, agreement."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.scene.model import StageModel

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_a_grid_city_has_the_figures_that_it_is_told(benchmark):
    towns = benchmark("scene_towns")
    told = np.full(15, np.nan)
    told[[0, 1, towns.BUILT]] = 0.25, 100, 16.0
    found = np.array([towns.procedural(told, np.random.default_rng(seed)) for seed in range(6)])
    assert found[:, 0].mean() == pytest.approx(0.25, abs=0.02)
    assert found[:, 1].mean() == pytest.approx(100, rel=0.1)
    assert found[:, towns.BUILT].mean() == pytest.approx(16, rel=0.1)
    told[towns.BUILT] = np.nan  # streets are not mapped: nothing is said of them
    assert np.isnan(towns.procedural(told, np.random.default_rng(0))[towns.BUILT :]).all()


def test_figures_of_another_ruler_are_measured_anew(benchmark, monkeypatch, tmp_path):
    towns = benchmark("scene_towns")
    ruler = towns.ruler()
    changed = tmp_path / "features.py"
    changed.write_bytes(Path(towns.rules.__file__).read_bytes() + b"\n")
    assert towns.ruler() == ruler
    monkeypatch.setattr(towns.rules, "__file__", str(changed))
    assert towns.ruler() != ruler


def test_an_export_that_breaks_off_leaves_the_model_as_it_was(benchmark, tmp_path):
    """The weights of G are there, those of R are not: neither they nor the card change."""
    training, narrow = benchmark("scene_training"), {"widths": [8] * 4, "blocks": 1, "prior_widths": [8] * 4}
    out, models = tmp_path / "out", tmp_path / "models"
    (models / "G").mkdir(parents=True)
    out.mkdir()
    about = {"places": {}, "stages": {}}
    (out / "card.json").write_text(json.dumps(about))
    (out / "G.safetensors").write_text("old")
    state = StageModel(training.recipes.recipe("G", **narrow).settings).state_dict()
    torch.save({"phase": "done", "step": 1, "seconds": 1.0, "average": state}, models / "G" / "checkpoint.pt")
    with pytest.raises(TerrainError, match="holds no training of stage R"):
        training.write_card(models, out, ["G", "R"], narrow)
    assert {one.name: one.read_text() for one in out.iterdir()} == {
        "card.json": json.dumps(about), "G.safetensors": "old"
    }  # fmt: skip


def test_distances_are_nothing_from_itself_and_grow_with_a_shift(benchmark):
    scene = benchmark("scene")
    real = np.random.default_rng(1).standard_normal((200, 15))
    spread = real.std(axis=0)
    assert scene.distances(real, real, spread) == pytest.approx(0)
    assert scene.distances(real, real + spread / 2, spread) == pytest.approx(0.5, rel=0.01)
    half = real.copy()
    half[:, 7:] = np.nan
    assert np.isnan(scene.distances(half, real, spread)[7:]).all()
    assert len(scene.row("a", real, real, spread).split()) == len("a n W1 built streets FD15 FD7".split())


def test_agreement_is_one_for_equal_shares_and_low_for_others(benchmark):
    made = benchmark("scene_made")
    rng = np.random.default_rng(2)
    one, two = rng.random((60, 60)), rng.random((60, 60))
    assert made.ssim(one, one) == pytest.approx(1)
    assert made.ssim(one, two) < 0.3


def test_the_plain_run_solves_a_known_velocity_and_is_undone(benchmark):
    made = benchmark("scene_made")
    from neural_terrain.core.scene import sampling, wishes

    ours = sampling.solve
    restore = made._plain()
    torch.manual_seed(0)
    spread = 0.3

    def velocity(field, t):
        a, b = np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)
        clean = field * a * spread**2 / (a**2 * spread**2 + b**2)
        return (a * field - clean) / b

    result = sampling.solve(velocity, torch.randn(1, 1, 80, 80), wishes.STEPS["plain"]["R"])
    restore()
    assert float(result.std()) == pytest.approx(spread, rel=0.06)
    assert sampling.solve is ours
    assert "plain" not in wishes.STEPS
