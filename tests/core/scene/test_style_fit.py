"""A style fitted to an example: one code changes, nothing else, the same way each time, and it fits better."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene import generating, style_fit
from neural_terrain.core.scene.card import MIXED
from neural_terrain.core.scene.preparation import cleaned


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_fit, "STEPS", {"G": 6, "R": 3, "L": 3})
    monkeypatch.setattr(style_fit, "BATCH", 2)


def grid_town(west: float = 512_345.6, south: float = 5_400_321.0, *, streets: bool = True, rows: int = 12):
    """Houses of 12 m by 10 m on streets 60 m apart."""
    at = [(west + 60 * col, south + 60 * row) for row in range(rows) for col in range(rows)]
    houses = [shapely.box(x + 15 + k * 18, y + 12, x + 27 + k * 18, y + 22) for x, y in at for k in range(2)]
    side = 60.0 * rows
    lines = [shapely.LineString([(west, south + 60 * k), (west + side, south + 60 * k)]) for k in range(rows + 1)]
    lines += [shapely.LineString([(west + 60 * k, south), (west + 60 * k, south + side)]) for k in range(rows + 1)]
    paved = np.array(lines if streets else [], object)
    built = np.array(houses, object), np.full(len(houses), 9.0)
    return cleaned("example", "", built, (paved, np.ones(len(paved), np.int64)))


def test_only_the_code_of_no_place_changes_and_it_fits_better():
    model = generating.tiny()
    fit = style_fit.fitted(model, grid_town(), 1, Progress())
    assert set(fit.nearest) == {"G", "R", "L"} and fit.model.style == MIXED
    for name, before in model.stages.items():
        after = fit.model.stages[name].state_dict()
        for part, value in before.state_dict().items():
            seat = part in {"style.place.weight", "prior_style.place.weight"}
            rows = slice(0, 1) if seat else slice(None)
            assert torch.equal(value[rows], after[part][rows]), part
            assert not seat or not torch.equal(value[1], after[part][1])
        mixed, nearest, fitted = fit.loss[name]
        assert fitted < mixed and nearest <= mixed


def test_the_same_example_anywhere_gives_the_same_style():
    """Lattices of the world do not matter: the example is moved to the middle of a block."""
    model = generating.tiny()
    one, two = (
        style_fit.fitted(model, grid_town(*at), 5, Progress()) for at in [(5e5, 5.4e6), (5e5 + 512, 5.4e6 - 256)]
    )
    for name in one.model.stages:
        codes = [fit.model.stages[name].style.place.weight for fit in (one, two)]
        assert torch.equal(*codes)


def test_buildings_alone_show_something_and_a_hamlet_too_little():
    town = grid_town(streets=False)
    assert style_fit.tells(town) and "L" in style_fit.fitted(generating.tiny(), town, 1, Progress()).nearest
    assert not style_fit.tells(grid_town(streets=False, rows=3))


def test_features_scattered_over_a_country_show_no_town():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 4e5, (60, 2))
    houses = np.array([shapely.box(x, y, x + 10, y + 10) for x, y in corners], object)
    town = cleaned("example", "", (houses, np.full(60, np.nan)), (np.zeros(0, object), np.zeros(0, np.int64)))
    try:
        style_fit.fitted(generating.tiny(), town, 1, Progress())
    except TerrainError as error:
        assert "too little of a town" in str(error)
