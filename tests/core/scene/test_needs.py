"""Windows that nothing of the area hangs on are left out, and not a bit of what is looked at changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from neural_terrain.core.errors import TerrainError
from neural_terrain.core.generation import chain
from neural_terrain.core.generation.site import Ground, Site, site_of
from neural_terrain.core.progress import Progress
from neural_terrain.core.scene import generating, needs, sampling
from neural_terrain.core.scene.cascade import Fields
from neural_terrain.core.scene.sampling import Rectangle
from neural_terrain.core.scene.stages import STAGES, open_ground
from neural_terrain.core.scene.standing import frame_of
from neural_terrain.core.scene.wishes import STEPS, Wishes
from neural_terrain.core.scene_files import Place, UserLayer

UTM = "EPSG:32632"
WEST, SOUTH = 600_013.0, 5_200_027.0
TOWNS = shapely.union_all([
    shapely.Polygon([(WEST, SOUTH), (WEST + 150, SOUTH + 20), (WEST + 60, SOUTH + 130)]),
    shapely.box(WEST + 1300, SOUTH + 1100, WEST + 1420, SOUTH + 1230),
])  # fmt: skip
ROAD = shapely.LineString([(WEST - 50, SOUTH + 10), (WEST + 1500, SOUTH + 1220)])


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages of all windows that are computed, with two steps each."""
    monkeypatch.setitem(STEPS, "fast", {"G": 2, "R": 2, "L": 2})
    names: list[str] = []
    kept = sampling.sample_window

    def counted(model: Any, *given: Any) -> Any:
        names.append(model.settings.stage)
        return kept(model, *given)

    monkeypatch.setattr(sampling, "sample_window", counted)
    return names


def site(*roads: Any) -> Site:
    lines = np.array([*roads, None], object)[:-1]
    own, none = UserLayer(UTM, lines, lines), UserLayer(UTM, lines[:0], lines[:0])
    return site_of(Place(UTM, UTM), TOWNS, ((own, none), (none, none)), Ground(), None)


def in_part_and_whole(monkeypatch: pytest.MonkeyPatch, made: list[str], make: Any) -> tuple[Any, Any, list[dict]]:
    """What comes of the windows that are needed and of all, and how many of each stage were computed."""
    found, counts = [], []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(generating, "needed", lambda *given: dict.fromkeys(STAGES))
        made.clear()
        found.append(make())
        counts.append({name: made.count(name) for name in STAGES})
    return found[0], found[1], counts


def same_near_the_towns(part: Fields, whole: Fields, cell_m: int, reach_m: float) -> None:
    near = chain.covered(shapely.buffer(TOWNS, reach_m), frame_of(part.area, cell_m), cell_m) > 0
    assert part.values[:, near].tobytes() == whole.values[:, near].tobytes() and whole.values[:, near].std() > 0.01


@pytest.mark.parametrize(("finest_m", "trace"), [(2, True), (2, False), (10, True)])
def test_scenes_roads_and_fillings_are_the_same_to_the_bit(tmp_path, monkeypatch, made, finest_m, trace):
    """Generate scene, Fill buildings and Generate roads: fields, streets and buildings."""
    model, here = generating.tiny(2), site() if trace else site(ROAD)
    order = chain.Order(Wishes(coverage=0.3, steps="fast"), finest_m=finest_m, trace=trace)
    fine: list[chain.FineField] = []
    build_up = chain.build_up
    monkeypatch.setattr(chain, "build_up", lambda *given: (fine.append(given[0]), build_up(*given))[1])

    def make() -> chain.Grown:
        if finest_m == 10:
            return chain.lay(model, here, order, Progress())
        return chain.grow(model, here, order, str(tmp_path / "x"), Progress())

    part, whole, counts = in_part_and_whole(monkeypatch, made, make)
    assert counts[0]["R"] < 0.8 * counts[1]["R"] and counts[0]["L"] <= 0.4 * counts[1]["L"], counts
    for name, cell_m, reach_m in (("G", 50, 150.0), ("R", 10, 25.0)):
        same_near_the_towns(part.fields[name], whole.fields[name], cell_m, reach_m)
    assert part.laid.network.lines.tolist() == whole.laid.network.lines.tolist()
    if fine:
        for name in ("share", "wall_m"):
            assert getattr(fine[0], name).tobytes() == getattr(fine[1], name).tobytes()
        buildings = [shapely.to_wkb(one.whole.buildings.shapes).tolist() for one in (part, whole)]
        assert buildings[0] == buildings[1] and buildings[0]


def test_what_is_left_out_is_open_ground(made):
    """Whole rows of windows too."""
    area, here = chain.cells_of(TOWNS), site()
    found = chain.lay(generating.tiny(2), here, chain.Order(Wishes(steps="fast"), finest_m=10), Progress())
    between = found.fields["R"].cut(Rectangle(area.west // 5 + 3, area.south // 5 + 110, 3, 3))
    assert (between == open_ground(STAGES["R"])).all()


def test_the_work_follows_the_land_and_not_the_box():
    """Two squares of a km2 that are 20 km apart; a strip along the diagonal."""
    squares = shapely.union_all([shapely.box(x, x, x + 1000, x + 1000) for x in (0, 20_000)])
    few = needs.needed(squares, chain.cells_of(squares), 2)
    assert 50 <= len(few["L"]) <= 80 and len(few["R"]) < 60 and len(few["G"]) < 40
    strip = shapely.LineString([(0, 0), (8000, 8000)]).buffer(100)
    found = needs.needed(strip, chain.cells_of(strip), 2)
    assert len(found["L"]) < 160 and needs.needed(None, chain.cells_of(strip), 2) == dict.fromkeys(STAGES)
    assert set(needs.needed(strip, chain.cells_of(strip), 10)) == {"R", "G"}
    assert set(needs.needed(strip, chain.cells_of(strip), 100)) == {"G"}


def test_fields_that_the_disk_has_no_room_for_are_refused_at_once(tmp_path, monkeypatch, made):
    """A full disk would end the process once its files are mapped into memory."""
    monkeypatch.setattr(chain, "IN_MEMORY_CELLS", 1000)
    monkeypatch.setattr(chain.aside, "free_bytes", lambda path: 20_000)
    with pytest.raises(TerrainError, match=r"The scene needs about .* made, but only 0\.019 MB are free"):
        chain.grow(generating.tiny(2), site(), chain.Order(Wishes()), str(tmp_path / "x"), Progress())
    assert not made
