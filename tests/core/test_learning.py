"""Ground to learn from: read as it lies, cut into whole blocks, nothing learned that is judged by; the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine
from safetensors.torch import load_file

from neural_terrain.core import learning
from neural_terrain.core.elevation.recipe import Recipe
from neural_terrain.core.errors import TerrainError
from neural_terrain.core.learning import Dem
from neural_terrain.core.progress import Progress
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems


def dem(folder: Path, name: str, shape: tuple[int, int], column: int = 0) -> Dem:
    """A DEM of 30 m cells that begins ``column`` cells further east."""
    place = Affine(30, 0, 400_000 + 30 * column, 0, -30, 4_000_000)
    heights = surfaces.fractal(shape, len(name)).astype(np.float32)
    return learning.read_dem(dems.write(folder / f"{name}.tif", heights, transform=place))


def test_a_dem_is_read_in_metres_with_its_cells(tmp_path: Path) -> None:
    heights = surfaces.fractal((40, 50), 1).astype(np.float32)
    heights[3, 4] = -9999
    read = learning.read_dem(dems.write(tmp_path / "feet.tif", heights, nodata=-9999, units="foot"))
    assert read.region.name == "feet" and read.region.heights.shape == (40, 50) == read.grid.shape
    assert read.region.heights[0, 0] == pytest.approx(heights[0, 0] * 0.3048, rel=1e-5)
    assert not read.region.valid[3, 4] and read.region.valid.sum() == 1999
    assert (read.region.cell_width_m, read.region.cell_height_m) == pytest.approx((30, 30), rel=0.01)


@pytest.mark.parametrize(("shape", "learned", "held"), [
    ((500, 300), (400, 300), (100, 300)),
    ((300, 1000), (300, 800), (300, 200)),
    ((120, 100), (80, 100), (40, 100)),
    ((300, 300), (204, 300), (96, 300)),
])  # fmt: skip
def test_the_last_fifth_of_the_longer_side_is_held_back(
    tmp_path: Path, shape: tuple[int, int], learned: tuple[int, int], held: tuple[int, int]
) -> None:
    ground = learning.hold_back([dem(tmp_path, "a", shape)])
    assert (ground.learn[0].grid.shape, ground.judge[0].grid.shape) == (learned, held)
    whole, west, north = ground.dems[0], ground.learn[0], ground.judge[0]
    axis = 0 if shape[0] >= shape[1] else 1
    together = np.concatenate([west.region.heights, north.region.heights], axis)
    np.testing.assert_array_equal(together, whole.region.heights)
    assert north.grid.bounds[2] == whole.grid.bounds[2] and north.grid.bounds[1] == whole.grid.bounds[1]
    assert west.region.valid.all() and north.region.valid.all()


def test_of_many_dems_every_fifth_is_held_back_whole(tmp_path: Path) -> None:
    many = [dem(tmp_path, "a" * (i + 1), (100, 100), 100 * i) for i in range(10)]
    ground = learning.hold_back(many)
    assert [d.region.name for d in ground.judge] == ["a" * 5, "a" * 10]
    assert len(ground.learn) == 8 and all(d.region.valid.all() for d in ground.learn)


def test_a_recipe_names_what_is_held_back(tmp_path: Path) -> None:
    both = [dem(tmp_path, "a", (100, 100)), dem(tmp_path, "b", (100, 100), 100)]
    ground = learning.hold_back(both, ["a"])
    assert [d.region.name for d in ground.judge] == ["a"] and [d.region.name for d in ground.learn] == ["b"]
    with pytest.raises(TerrainError, match="holds back c, which is no DEM here; the DEMs are a, b."):
        learning.hold_back(both, ["c"])
    with pytest.raises(TerrainError, match="holds every DEM back"):
        learning.hold_back(both, ["a", "b"])


def test_ground_that_is_judged_by_is_learned_from_in_no_other_dem(tmp_path: Path) -> None:
    """Overlapping DEMs, the same DEM twice, and one of coarser cells: the held-back ground is cut from all."""
    one, shifted = dem(tmp_path, "a", (200, 400)), dem(tmp_path, "bb", (200, 400), 100)
    coarse = replace(dem(tmp_path, "ccc", (100, 200)), grid=replace(one.grid, rows=100, cols=200, dx=60.0, dy=60.0))
    elsewhere = replace(one, grid=replace(one.grid, crs=""))
    ground = learning.hold_back([one, shifted, coarse, elsewhere])
    for learned in ground.learn[:3]:
        for held in ground.judge[:3]:
            rows, cols = np.nonzero(learned.region.valid)
            x = learned.grid.x0 + (cols + 0.5) * learned.grid.dx
            y = learned.grid.y0 - (rows + 0.5) * learned.grid.dy
            west, south, east, north = held.grid.bounds
            assert not ((x > west) & (x < east) & (y > south) & (y < north)).any()
    assert ground.learn[3].region.valid.all(), "without a CRS nothing is known about overlaps"
    assert one.region.valid.all(), "the DEMs themselves are not changed"


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_square_without_a_void(seed: int) -> None:
    valid = np.random.default_rng(seed).random((40, 33)) > 0.02
    side = learning.largest_square_px(valid)
    squares = [
        n for n in range(34) for r in range(41 - n) for c in range(34 - n) if n and valid[r : r + n, c : c + n].all()
    ]
    assert side == max(squares)
    assert [learning.gap_free_px(valid, enough) for enough in (3, side, 20)] == [min(3, side), side, side]
    assert learning.largest_square_px(np.zeros((5, 6), bool)) == 0
    assert learning.largest_square_px(np.ones((5, 6), bool)) == 5


def test_block_averages_are_further_regions(tmp_path: Path) -> None:
    one = dem(tmp_path, "a", (101, 100)).region
    found = learning.coarser(one, Recipe(averaged={"a": [2, 5], "b": [3]}))
    assert [r.name for r in found] == ["coarse2_a", "coarse5_a"]
    assert found[1].heights.shape == (20, 20) and found[1].cell_width_m == pytest.approx(5 * one.cell_width_m)
    assert found[0].heights[0, 0] == pytest.approx(one.heights[:2, :2].mean())


RECIPE = {
    "family": "field", "network": dems.TINY_FIELD, "shape": {"coarse_px": 28, "margin_px": 8, "queries": 8},
    "validation": ["b"], "steps": 4, "batch": 2,
}  # fmt: skip


def test_the_command_line_trains_goes_on_and_fills_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning.uncertainty, "SPREAD_STEPS", 5)
    places = tmp_path / "data" / "dem" / "train"
    places.mkdir(parents=True)
    for number, name in enumerate("ab"):
        dems.write(places / f"{name}.tif", surfaces.fractal((240, 240), number).astype(np.float32))
    model, work = Path(dems.tiny_field(tmp_path / "model")), tmp_path / "work"
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    (model / "card.json").write_text(json.dumps({**card, "training": {"data": [1]}}), encoding="utf-8")
    for steps in (4, 6):
        (model / "recipe.json").write_text(json.dumps({**RECIPE, "steps": steps}), encoding="utf-8")
        learning.main([str(model / "recipe.json"), str(tmp_path / "data"), str(work)], Progress())
    rows = [json.loads(line) for line in (work / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [4, 6]
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    assert card["training"] == {"data": [1], "recipe": "recipe.json", "steps": 6, "pairs": 12}
    assert "height.last.weight" in load_file(model / card["weights"]["file"])
    assert card["calibration"]["scales"] and card["calibration"] != dems.CALIBRATION


def test_the_command_line_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match="three paths; 1 were given"):
        learning.main(["recipe.json"], Progress())
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE), encoding="utf-8")
    with pytest.raises(TerrainError, match=r"has no .tif files"):
        learning.main([str(tmp_path / "recipe.json"), str(tmp_path), str(tmp_path / "work")], Progress())
