"""The model's front door: fields by place in the world, what stands stays, wishes are met, a cancel takes effect."""

import numpy as np
import pytest
import shapely

from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.generation.chain import cells_of
from neural_terrain.core.progress import CallbackProgress, Progress
from neural_terrain.core.scene import generating, stages
from neural_terrain.core.scene.cascade import Fields
from neural_terrain.core.scene.generating import coarse_and_middle, fine, kerb_of, tiny
from neural_terrain.core.scene.sampling import Rectangle
from neural_terrain.core.scene.standing import Standing
from neural_terrain.core.scene.wishes import Wishes, fulfilled

FAST = Wishes(steps="fast", seed=3)
WEST, SOUTH = 400_020.0, 5_300_040.0


def square(side_m, west=WEST, south=SOUTH):
    return shapely.box(west, south, west + side_m, south + side_m)


def nothing_stands(ground):
    """A ground without any feature of the user's."""
    none = np.zeros(0, object)
    return Standing(ground, none, np.zeros(0, np.int64), none, np.zeros(0))


@pytest.fixture(scope="module")
def model():
    return tiny(1)


@pytest.fixture(scope="module")
def whole(model):
    ground = square(400)
    return coarse_and_middle(model, cells_of(ground), FAST, nothing_stands(ground), Progress())


def outlines(model, middle, area):
    strips = fine(model, middle, kerb_of(np.zeros(0, object), np.zeros(0)), area, (FAST, STILL, Progress()))
    return list(strips)


STILL = nothing_stands(square(400))


def test_fields_do_not_depend_on_the_cut_of_the_area(model, whole):
    ground = square(150, WEST + 200, SOUTH + 150)
    area = cells_of(ground)
    part = coarse_and_middle(model, area, FAST, nothing_stands(ground), Progress())
    for name, cell_m in (("G", 50.0), ("R", 10.0)):
        cells = Rectangle(*(int(v // cell_m) for v in (WEST + 200, SOUTH + 150, 150, 150)))
        assert (whole[name].cut(cells) == part[name].cut(cells)).all()
        assert part[name].values.std() > 0.01
    strips, here = outlines(model, whole["R"], cells_of(square(400))), outlines(model, part["R"], area)
    fields = Fields(cells_of(square(400)), np.concatenate([values for _, values in strips[::-1]], axis=1))
    for strip, values in here:
        assert (fields.cut(strip) == values).all()


def test_strips_cover_every_cell_once_from_south_to_north(model, whole):
    area = cells_of(square(400))
    south = area.south
    for strip, values in outlines(model, whole["R"], area):
        assert (strip.west, strip.south, strip.cols) == (area.west, south, area.cols)
        assert values.shape == (3, strip.rows, strip.cols)
        south += strip.rows
    assert south == area.south + area.rows


def test_a_coarse_scale_ends_early(model):
    ground = square(300)
    assert set(coarse_and_middle(model, cells_of(ground), FAST, nothing_stands(ground), Progress(), 50)) == {"G"}


def test_a_cancel_stops_between_steps(model):
    ground, asked = square(300), []

    def cancelled():
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(Cancelled):
        progress = CallbackProgress(lambda event: None, cancelled)
        coarse_and_middle(model, cells_of(ground), FAST, nothing_stands(ground), progress)
    assert len(asked) < 40


def test_what_is_complete_stays_as_it_is_and_the_rest_is_only_added_to(model):
    ground = square(500)
    houses = np.array([shapely.box(WEST + x, SOUTH + y, WEST + x + 30, SOUTH + y + 20)
                       for x in range(20, 480, 90) for y in range(20, 480, 70)], object)  # fmt: skip
    roads = np.array([shapely.LineString([(WEST - 300, SOUTH + 130), (WEST + 900, SOUTH + 130)])], object)
    complete = shapely.box(WEST - 1000, SOUTH - 1000, WEST + 250, SOUTH + 1500)
    there = Standing(ground, roads, np.zeros(1, np.int64), houses, np.full(len(houses), 9.0), complete, complete)
    found = coarse_and_middle(model, cells_of(ground), FAST, there, Progress())
    cells = Rectangle(int(WEST // 10), int(SOUTH // 10), 20, 50)
    told = there.told(stages.R, Rectangle(cells.west, cells.south, 50, 50))
    kept = told.floor[:, :, :20]
    assert found["R"].cut(cells)[[0, 1, 3, 4, 5, 6]] == pytest.approx(kept[[0, 1, 3, 4, 5, 6]], abs=1e-5)
    assert told.existing[-2:, :, :24].all() and not told.existing[-2:, :, 26:].any()
    rest = Rectangle(cells.west + 30, cells.south, 20, 50)
    for channel in (0, 3):
        assert (found["R"].cut(rest)[channel] >= told.floor[channel, :, 30:] - 1e-5).all()
    share = (told.floor[0] + 1) / 2
    inside = shapely.intersection(shapely.union_all(houses), shapely.box(*_bounds(cells, 50))).area
    assert share.sum() * 100 == pytest.approx(inside, rel=1e-3)
    assert told.graph is not None and len(told.graph[0]) > 20


def _bounds(cells, cols):
    return cells.west * 10, cells.south * 10, (cells.west + cols) * 10, (cells.south + cells.rows) * 10


@pytest.mark.parametrize("coverage", [0.02, 0.25, 0.6])
def test_coverage_is_met_on_the_ground_and_kept_cells_do_not_move(coverage):
    rng = np.random.default_rng(4)
    coarse = rng.uniform(-1, 0.6, (7, 30, 40)).astype(np.float32)
    land = rng.random((30, 40)).astype(np.float32)
    kept = np.zeros((2, 30, 40), bool)
    kept[0, :3] = True
    land[:3] *= 0.1
    shifted = fulfilled(coarse, land, kept, Wishes(coverage=coverage, mean_height_m=14.0, street_density=11.0))
    share, before = (shifted[0] + 1) / 2, (coarse[0] + 1) / 2
    assert (share * land).sum() / land.sum() == pytest.approx(coverage, abs=1e-4)
    assert (shifted[:2, :3] == coarse[:2, :3]).all()
    order = np.argsort(before[3:].ravel())
    assert (np.diff(share[3:].ravel()[order]) >= -1e-6).all()
    volume = np.square(np.maximum(shifted[2] + 0.5, 0)) * stages.VOLUME_SCALE_M
    assert (volume * land).sum() / (share * land).sum() == pytest.approx(14.0, rel=1e-3)
    street = np.square(shifted[3] + 1) * stages.STREET_SCALE
    assert (street * land).sum() / land.sum() == pytest.approx(0.011, rel=1e-3)


def test_without_wishes_nothing_moves():
    coarse = np.random.default_rng(5).uniform(-0.4, 0.6, (7, 9, 9)).astype(np.float32)
    moved = fulfilled(coarse, np.ones((9, 9), np.float32), np.zeros((2, 9, 9), bool), Wishes())
    assert moved == pytest.approx(coarse, abs=1e-6)


def test_a_kerb_is_where_half_the_width_ends():
    line = np.array([shapely.LineString([(WEST, SOUTH + 51), (WEST + 400, SOUTH + 51)])], object)
    kerb = kerb_of(line, np.array([8.0]))(Rectangle(int(WEST // 2), int(SOUTH // 2), 60, 60))
    assert kerb.shape == (1, 60, 60)
    on_kerb = 1 - 2 * 4 / (stages.KERB_CAP_M + 4)
    row = 60 - 1 - (51 + 4 - 1) // 2
    assert kerb[0, row, 5] == pytest.approx(on_kerb, abs=0.05)
    assert kerb[0, 0, 5] == -1


def test_unknown_names_are_refused_with_what_is_known(tmp_path):
    with pytest.raises(TerrainError, match="no style atlantis; choose one of mixed, paris"):
        generating.load("atlantis", "cpu")
    with pytest.raises(TerrainError, match="no steps called many"):
        Wishes(steps="many")
    with pytest.raises(TerrainError, match="no readable card"):
        generating.load("mixed", "cpu", tmp_path)


def test_the_shipped_model_fits_its_card_and_ten_megabytes():
    model = generating.load("paris", "cpu")
    assert model.place == 0 and len(model.card.hash) == 8
    card = model.card
    assert sum(stage["weights"]["bytes"] for stage in card.stages.values()) <= 10e6
    for name, stage in model.stages.items():
        assert stage.settings.stage == name and stage.settings.places == len(card.places)
