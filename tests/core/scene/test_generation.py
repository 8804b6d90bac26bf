"""Scenes end to end with a tiny model of random weights: files, promises, the user's features, refusals, bytes."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from neural_terrain.core import page, vector
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.generation import chain, fill, generate, lay_roads
from neural_terrain.core.generation.run import read_site
from neural_terrain.core.jobs import fillbuildings, generateroads, generatescene, validatescene
from neural_terrain.core.progress import CallbackProgress, Progress
from neural_terrain.core.scene import generating, wishes
from neural_terrain.core.scene.cascade import Fields
from neural_terrain.core.validation import validate
from neural_terrain.tests.core.scene.made_fields import middle_channels

UTM, DEGREES = "EPSG:32632", "EPSG:4326"
WEST, SOUTH, SIDE = 600_003.0, 5_200_007.0, 150.0
SQUARE = shapely.box(WEST, SOUTH, WEST + SIDE, SOUTH + SIDE)
CREDIT = "(c) OpenStreetMap contributors; one town also of others"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of narrow nets; in place of stage R, which would see no town, fields with streets by the seed."""
    model = generating.tiny()

    def town(net, coarse, area, asked) -> Fields:
        return Fields(area, middle_channels(asked.wishes.seed, area.rows, area.cols))

    monkeypatch.setattr(generating, "sample_middle", town)
    model = replace(model, card=replace(model.card, attribution=CREDIT))
    monkeypatch.setattr(generating, "load", lambda style, device: replace(model, style=style))
    monkeypatch.setitem(wishes.STEPS, "fast", {"G": 2, "R": 2, "L": 2})


def saved(path: Path, *shapes, crs: str = UTM, **fields) -> str:
    vector.write(str(path), "things", list(shapes), fields, crs)
    return str(path)


def there(shape, crs: str):
    """A shape in another CRS."""
    change = pyproj.Transformer.from_crs(UTM, crs, always_xy=True).transform
    return shapely.transform(shape, lambda points: np.column_stack(change(*points.T)))


def scene(folder: Path, *area, crs: str = UTM, **more) -> generatescene.Settings:
    path = saved(folder / "area.gpkg", *(area or (SQUARE,)), crs=crs)
    return generatescene.Settings(area=path, output=str(folder / "scene.gpkg"), steps="fast", **more)


def layer(path: str, name: str) -> tuple[np.ndarray, dict]:
    meta, _, wkb, columns = pyogrio.raw.read(path, layer=name)
    return shapely.from_wkb(wkb), dict(zip(meta["fields"], columns, strict=True))


def proved(folder: Path, **layers) -> dict:
    """The verdict of *Validate scene* on a scene's file and its area."""
    path = str(folder / "scene.gpkg")
    given = dict.fromkeys(("roads", "buildings", "blocks"), path)
    names = {f"{name}_layer": name for name in given}
    area = str(folder / "area.gpkg")
    return validate(validatescene.Settings(**given, **names, area=area, **layers), Progress())


def own_features(folder: Path, crs: str = UTM) -> dict[str, str]:
    """Roads that cross each other and the edge, a broken and a sound building, a pond and a park."""
    x, y = WEST, SOUTH
    lines = [
        shapely.LineString([(x - 40, y + 61.1237), (x + 200, y + 70)]),
        shapely.MultiLineString([[(x + 50, y - 10), (x + 58, y + 170)], [(x + 90, y + 20), (x + 120, y + 25)]]),
    ]
    tie = shapely.Polygon([(x + 10, y + 10), (x + 30, y + 30), (x + 30, y + 10), (x + 10, y + 30)])
    houses = [tie, shapely.box(x + 100, y + 100, x + 120.5, y + 113)]
    cover = [shapely.box(x + 115, y + 20, x + 170, y + 50), shapely.box(x, y + 120, x + 40, y + 150)]
    moved = [[there(one, crs) for one in shapes] for shapes in (lines, houses, cover)]
    return {
        "roads": saved(folder / "roads.gpkg", *moved[0], crs=crs, highway=["primary", "residential"], name=["A", None]),
        "buildings": saved(folder / "houses.gpkg", *moved[1], crs=crs, levels=[2, 4]),
        "landcover": saved(folder / "cover.gpkg", *moved[2], crs=crs, natural=["water", ""], leisure=["", "park"]),
    }


def test_a_scene_has_all_layers_and_keeps_its_promises(tmp_path):
    """What is written is what *Validate scene* finds sound, in a file that other readers understand."""
    result = generate(scene(tmp_path, rasters=str(tmp_path / "r"), report=str(tmp_path / "s.html")), Progress())
    assert result["layers"] == ["landuse", "blocks", "roads", "buildings", "junctions"]
    assert [str(name) for name, _ in pyogrio.list_layers(tmp_path / "scene.gpkg")] == result["layers"]
    assert result["violations"] == 0 and result["components"] == 1
    assert proved(tmp_path)["passed"]
    shapes, columns = layer(result["output"], "buildings")
    assert len(shapes) == result["buildings"] > 0 and (columns["synthetic"] == 1).all()
    assert np.allclose(columns["area_m2"], shapely.area(shapes), atol=0.01)
    assert (columns["floors"] == np.maximum(np.floor(columns["height_m"] / 3.1 + 0.5), 1)).all()
    coverage = shapely.area(shapes).sum() / SQUARE.area
    assert result["coverage"] == pytest.approx(100 * coverage, abs=0.01)
    tags = pyogrio.read_info(result["output"], layer="roads")["layer_metadata"]
    assert (tags["synthetic"], tags["seed"], tags["style"]) == ("1", "1", "mixed")
    assert tags["attribution"] == CREDIT and CREDIT in (tmp_path / "s.html").read_text()
    figures = json.loads((tmp_path / "s.json").read_text())
    assert figures["buildings"] == result["buildings"] and "<img" in (tmp_path / "s.html").read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["area.gpkg", "r", "s.html", "s.json", "scene.gpkg"]


def test_rasters_agree_with_each_other_and_with_the_vectors(tmp_path):
    result = generate(scene(tmp_path, rasters=str(tmp_path / "r")), Progress())
    arrays = {}
    for path in result["rasters"]:
        with rasterio.open(path) as file:
            arrays[Path(path).name] = file.read(1)
            assert file.crs.to_epsg() == 32632 and file.tags()["synthetic"] == "1"
            assert file.transform.c % 100 == 0 and file.transform.f % 100 == 0
    fifty, hundred = arrays["coverage_50m.tif"], arrays["coverage_100m.tif"]
    assert np.allclose(fifty.reshape(len(hundred), 2, -1, 2).mean(axis=(1, 3)), hundred, atol=2e-6)
    shapes, columns = layer(result["output"], "buildings")
    assert fifty.sum() * 2500 == pytest.approx(shapely.area(shapes).sum(), rel=1e-4)
    floors = (shapely.area(shapes) * columns["floors"]).sum()
    assert arrays["far_100m.tif"].sum() * 1e4 == pytest.approx(floors, rel=1e-4)
    assert arrays["height_2m.tif"].max() <= columns["height_m"].max() + 0.01
    assert set(np.unique(arrays["landuse_10m.tif"])) <= set(range(8))


@pytest.mark.parametrize("crs", [UTM, DEGREES])
def test_own_features_come_out_as_they_were(tmp_path, crs):
    """To the byte, with their attributes, in front; nothing generated touches them, the pond or the park."""
    own = own_features(tmp_path, crs)
    result = generate(scene(tmp_path, there(SQUARE, crs), crs=crs, **own), Progress())
    roads, columns = layer(result["output"], "roads")
    before, _ = layer(own["roads"], "things")
    parts = [shapely.get_parts(one) for one in (roads[:2], before)]
    assert [one.wkb for one in parts[0]] == [one.wkb for one in parts[1]]
    assert list(columns["origin"][:2]) == ["existing"] * 2 and list(columns["class"][:2]) == ["major", "minor"]
    assert columns["name"][0] == "A" and list(columns["highway"][2:]) == [None] * (len(roads) - 2)
    houses, facts = layer(result["output"], "buildings")
    before, _ = layer(own["buildings"], "things")
    assert [one.wkb for one in houses[:2]] == [one.wkb for one in before]
    assert facts["height_m"][:2].tolist() == pytest.approx([6.2, 12.4]) and facts["floors"][:2].tolist() == [2, 4]
    new = houses[2:]
    assert shapely.is_valid(new).all()
    pond, park = layer(own["landcover"], "things")[0]
    assert shapely.area(shapely.intersection(new, pond)).sum() < 1e-12
    assert shapely.area(shapely.intersection(new, park)).sum() < 1e-12
    verdict = proved(tmp_path, water=own["landcover"], existing_roads=own["roads"], existing_buildings=own["buildings"])
    assert verdict["passed"], verdict


def test_own_roads_are_as_wide_as_they_say_and_count_beside_the_area_too(tmp_path):
    """A road of 20 m across the area, one 4 m outside of its edge, one that nothing joins; trees for the land use."""
    x, y = WEST, SOUTH
    lines = [
        shapely.LineString([(x - 20, y + 60), (x + 170, y + 66)]),
        shapely.LineString([(x - 4, y - 30), (x - 4, y + 180)]),
        shapely.LineString([(x + 154, y + 100), (x + 154, y + 160)]),
    ]
    roads = saved(tmp_path / "roads.gpkg", *lines, highway=["residential", "primary", "primary"], width_m=[20.0, 0, 0])
    lawn = saved(tmp_path / "cover.gpkg", shapely.box(x + 5, y + 80, x + 149, y + 149), cover=["grass"])
    result = generate(
        scene(tmp_path, roads=roads, landcover=lawn, coverage=30.0, finest=1, existing="roads"), Progress()
    )
    shapes, columns = layer(result["output"], "roads")
    assert columns["width_m"][:3].tolist() == [20.0, 14.0, 14.0] and "width_m_2" in columns
    assert list(columns["apart"][:3]) == [None, None, "outside the area or its free ground"]
    assert any("1 part of the streets is not joined to the rest" in one for one in result["warnings"])
    houses, _ = layer(result["output"], "buildings")
    assert len(houses) and shapely.distance(lines[0], houses).min() >= 10.0
    assert shapely.distance(lines[1], houses).min() >= 7.0
    assert proved(tmp_path, existing_roads=roads)["passed"]
    again = fillbuildings.Settings(
        roads=result["output"], roads_layer="roads", blocks=result["output"], blocks_layer="blocks",
        output=str(tmp_path / "filled.gpkg"), steps="fast", coverage=60.0,
    )  # fmt: skip
    filled = fill(again, Progress())
    assert not any("None of the roads" in one for one in filled["warnings"])
    new, ways = layer(filled["output"], "buildings")[0], shapely.buffer(shapes, columns["width_m"] / 2)
    assert len(new) and shapely.area(shapely.intersection(shapely.union_all(ways), new)).max() < 1e-9


def test_only_roads_or_only_the_style_are_kept(tmp_path):
    own = own_features(tmp_path)
    kept = generate(scene(tmp_path, **own, existing="roads"), Progress())
    assert kept["existing_buildings"] == 0 and "existing" in layer(kept["output"], "roads")[1]["origin"]
    style = generate(scene(tmp_path, **own, existing="style"), Progress())
    assert "existing" not in layer(style["output"], "roads")[1]["origin"]
    assert style["wishes"]["coverage"]["asked"] is not None


def test_wishes_are_met(tmp_path):
    """Coverage within two points, floors and mean height closer."""
    result = generate(scene(tmp_path, coverage=25.0, far=0.9), Progress())
    assert result["wishes"]["coverage"]["delivered"] == pytest.approx(25, abs=2)
    assert result["wishes"]["far"]["delivered"] == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("finest", "layers"),
    [
        (100, ["landuse"]), (50, ["landuse"]), (10, ["landuse", "blocks", "roads", "junctions"]),
        (1, ["landuse", "blocks", "roads", "buildings", "junctions", "objects"]),
    ],
)  # fmt: skip
def test_coarser_and_finer_scenes(tmp_path, finest, layers):
    wishes = {"green": 30.0, "mean_height": 9.0} if finest == 50 else {}
    result = generate(
        scene(tmp_path, finest=finest, rasters=str(tmp_path / "r"), report=str(tmp_path / "s.html"), **wishes),
        Progress(),
    )
    assert result["wishes"]["green"]["asked"] == wishes.get("green")
    assert finest != 50 or abs(result["wishes"]["mean_height"]["off"]) < 0.5 or "mean height" in str(result["warnings"])
    if finest >= 10:
        assert built_in(result["rasters"]) == pytest.approx(SQUARE.area * result["coverage"] / 100, rel=2e-2)
    assert result["layers"] == layers and all(Path(one).exists() for one in result["rasters"])
    assert (tmp_path / "s.json").exists()
    land, columns = layer(result["output"], "landuse")
    assert set(columns["method"]) == {"rule"} and shapely.area(land).sum() <= SQUARE.area + 1


def built_in(rasters: list[str]) -> float:
    """Ground in m2 that is built by a raster of coverage."""
    with rasterio.open(next(one for one in rasters if "coverage" in one)) as file:
        return float(file.read(1).sum() * file.res[0] ** 2)


def test_a_folder_that_cannot_take_the_rasters_is_refused_before_the_work(tmp_path, monkeypatch):
    """No folder to make it in, a file, a folder in the place of a raster, or an input there."""
    monkeypatch.setattr(generating, "load", None)
    folder = tmp_path / "r"
    (folder / "far_50m.tif").mkdir(parents=True)
    with rasterio.open(
        tmp_path / "height_2m.tif", "w", driver="GTiff", dtype="float64", count=1, height=2, width=2, crs=UTM,
        transform=Affine(900, 0, WEST - 300, 0, -900, SOUTH + 600),
    ) as file:  # fmt: skip
        file.write(np.ones((2, 2)), 1)
    dem = str(tmp_path / "height_2m.tif")
    for place, said in ((tmp_path / "no" / "r", "does not exist"), (dem, "is a file"), (folder, "is a folder"),
                        (tmp_path, "would replace an input")):  # fmt: skip
        with pytest.raises(TerrainError, match=said):
            generate(scene(tmp_path, dem=dem, rasters=str(place)), Progress())


def test_streets_keep_the_grade_of_a_dem(tmp_path):
    """Ground that rises by 5 % to the south, in the east by 20 % to the east too; the proof asks the DEM anew."""
    corner = there(shapely.Point(WEST - 300, SOUTH + 600), DEGREES)
    rows, cols = np.mgrid[:100, :100]
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", dtype="float64", count=1, height=100, width=100, crs=DEGREES,
        transform=Affine(1e-4, 0, corner.x, 0, -1e-4, corner.y),
    ) as file:  # fmt: skip
        file.write(rows * 11.1 * 0.05 + np.maximum(cols - 60, 0) * 7.6 * 0.2, 1)
    dem, area = str(tmp_path / "dem.tif"), shapely.box(WEST, SOUTH, WEST + 300, SOUTH + 300)
    found = []
    for limit in (25.0, 8.0):
        generate(scene(tmp_path, area, dem=dem, max_grade=limit), Progress())
        verdict = proved(tmp_path, dem=dem, max_grade=8.0)
        roads, columns = layer(str(tmp_path / "scene.gpkg"), "roads")
        found.append((shapely.length(roads).sum(), columns["grade_max"].max(), verdict["too_steep"]))
    assert found[0][0] > 1000 and found[0][1] > 0.15 and found[0][2] > 0
    assert found[1][0] > 500 and 0.04 < found[1][1] <= 0.08 and found[1][2] == 0 and verdict["grades_proved"]


def test_the_same_order_is_the_same_bytes(tmp_path):
    """GeoPackage and rasters; another seed is another scene."""
    own = own_features(tmp_path)
    found = []
    for seed in (3, 3, 4):
        result = generate(scene(tmp_path, **own, seed=seed, rasters=str(tmp_path / "r")), Progress())
        found.append([Path(path).read_bytes() for path in (result["output"], *result["rasters"])])
    assert found[0] == found[1] and found[0][0] != found[2][0]


def test_fields_on_the_disk_give_the_same_bytes(tmp_path, monkeypatch):
    """Large areas keep their finest fields in a folder that goes when the run ends."""
    found = []
    for most in (10**9, 0):
        monkeypatch.setattr(chain, "IN_MEMORY_CELLS", most)
        found.append(Path(generate(scene(tmp_path), Progress())["output"]).read_bytes())
    assert found[0] == found[1]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["area.gpkg", "scene.gpkg"]


def test_what_lies_around_is_shown_to_the_model_but_stays_out(tmp_path):
    """A house and a road 50 m beyond the area: mapped ground around it, none of it in the result."""
    x, y = WEST + SIDE + 50, SOUTH + 20
    own = {
        "roads": saved(tmp_path / "roads.gpkg", shapely.LineString([(x, y), (x, y + 90)])),
        "buildings": saved(tmp_path / "houses.gpkg", shapely.box(x + 10, y, x + 20, y + 10)),
    }
    settings = scene(tmp_path, **own)
    site = read_site(settings, Progress())
    standing = chain.standing_of(site, chain.Order(wishes.Wishes()))
    assert len(standing.roads) == len(standing.buildings) == 1
    house = shapely.Point(x + 15, y + 5)
    for mapped in (standing.built, standing.paved):
        assert mapped.contains(house) and shapely.area(shapely.intersection(mapped, SQUARE)) < 1e-9
    result = generate(settings, Progress())
    assert result["existing_buildings"] == 0 and "existing" not in layer(result["output"], "roads")[1]["origin"]


def test_wishes_that_cannot_be_met_are_named(tmp_path):
    """Streets, water and what stands leave less ground than was asked for."""
    lake = saved(tmp_path / "b.gpkg", shapely.box(WEST + 5, SOUTH + 5, WEST + 140, SOUTH + 120))
    result = generate(scene(tmp_path, buildings=lake, coverage=10.0), Progress())
    assert any("A coverage of 10 % was asked for, 6" in one for one in result["warnings"]), result["warnings"]


def test_an_area_around_the_world_is_refused(tmp_path):
    parts = [shapely.box(-180, 10, -179.99, 10.01), shapely.box(179.99, 10, 180, 10.01)]
    with pytest.raises(TerrainError, match="reaches over 360 degrees"):
        generate(scene(tmp_path, *parts, crs=DEGREES), Progress())


@pytest.mark.parametrize("when", [0.01, 0.4, 0.9])
def test_a_cancelled_run_leaves_what_was_there(tmp_path, when):
    (tmp_path / "scene.gpkg").write_text("of an earlier run")
    seen = [0.0]

    def hear(event: dict) -> None:
        seen[0] = max(seen[0], event.get("fraction", 0.0))

    settings = scene(tmp_path, rasters=str(tmp_path / "r"), report=str(tmp_path / "s.html"))
    with pytest.raises(Cancelled):
        generate(settings, CallbackProgress(hear, lambda: seen[0] >= when))
    assert (tmp_path / "scene.gpkg").read_text() == "of an earlier run"
    left = {one.name for one in tmp_path.iterdir()}
    assert left <= {"area.gpkg", "scene.gpkg", "r"} and not list((tmp_path / "r").glob("*"))


@pytest.mark.parametrize("finest", [50, 10])
def test_old_outputs_stay_as_they_were_where_a_new_one_cannot_be_written(tmp_path, monkeypatch, finest):
    """The disk is full when the report comes, or the report's figures are open in another program."""
    settings = scene(tmp_path, finest=finest, rasters=str(tmp_path / "r"), report=str(tmp_path / "s.html"))
    generate(settings, Progress())
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    put = Path.replace

    def full(*_) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "s.json" and ".part" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return put(self, target)

    for place, name, bad in ((page, "page", full), (Path, "replace", refuse)):
        with monkeypatch.context() as patch, pytest.raises(TerrainError, match=r"s\.(html|json) cannot be written"):
            patch.setattr(place, name, bad)
            generate(replace(settings, seed=2), Progress())
        assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
    generate(replace(settings, seed=2), Progress())
    after = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    changed = {one.name for one in before if after[one] != before[one]}
    assert after.keys() == before.keys() and changed >= {
        "scene.gpkg",
        "s.html",
        "s.json",
        f"far_{max(finest, 50)}m.tif",
    }


def test_a_scene_with_nothing_in_it_says_so(tmp_path, monkeypatch):
    """Where the fields are open ground; not where nothing was asked for."""
    whole = generating.coarse_and_middle

    def open_ground(*given):
        found = whole(*given)
        return {name: Fields(one.area, np.full_like(one.values, -1.0)) for name, one in found.items()}

    monkeypatch.setattr(generating, "coarse_and_middle", open_ground)
    monkeypatch.setattr(generating, "fine", lambda *given: iter([(given[3], np.full((3, given[3].rows, given[3].cols),
                                                                                     -1.0, np.float32))]))  # fmt: skip
    said = {finest: generate(scene(tmp_path, finest=finest), Progress())["warnings"] for finest in (50, 10, 2)}
    assert all("in the style mixed with seed 1 the model sees open ground" in " ".join(one) for one in said.values())
    assert said[50][0].startswith("No building was") and said[10][0].startswith("No street was")
    assert said[2][0].startswith("Neither streets nor buildings were") and said[2][0].endswith("give a coverage.")
    assert not generate(scene(tmp_path, finest=50, coverage=0.0), Progress())["warnings"]


def test_areas_that_cannot_be_are_one_sentence(tmp_path):
    lake = saved(tmp_path / "lake.gpkg", shapely.buffer(SQUARE, 500), natural=["sea"])
    with pytest.raises(TerrainError, match="lies in water"):
        generate(scene(tmp_path, landcover=lake), Progress())
    huge = shapely.box(WEST, SOUTH, WEST + 60_000, SOUTH + 60_000)
    with pytest.raises(TerrainError, match="with cells of 2 m at most 1,000 km2"):
        generate(scene(tmp_path, huge), Progress())
    with rasterio.open(
        tmp_path / "sea.tif", "w", driver="GTiff", dtype="int16", count=1, height=90, width=90, crs=UTM,
        transform=Affine(10, 0, WEST - 300, 0, -10, SOUTH + 600),
    ) as file:  # fmt: skip
        file.write(np.zeros((90, 90), np.int16), 1)
    with pytest.raises(TerrainError, match="as in the sea"):
        generate(scene(tmp_path, dem=str(tmp_path / "sea.tif")), Progress())
    assert not (tmp_path / "scene.gpkg").exists()


def test_a_layer_that_says_nothing_of_cover_is_left_aside_with_a_warning(tmp_path):
    fields = saved(tmp_path / "cover.gpkg", shapely.box(WEST, SOUTH, WEST + 50, SOUTH + 50), owner=["me"])
    result = generate(scene(tmp_path, landcover=fields), Progress())
    assert any("names neither water nor green" in one for one in result["warnings"])


def test_roads_alone(tmp_path):
    own = own_features(tmp_path)
    path = saved(tmp_path / "area.gpkg", SQUARE)
    settings = generateroads.Settings(
        area=path, roads=own["roads"], water=own["landcover"], output=str(tmp_path / "out.gpkg"),
        junctions=str(tmp_path / "junctions.geojson"), steps="fast", street_density=50.0,
    )  # fmt: skip
    result = lay_roads(settings, Progress())
    density = result["wishes"]["density"]
    assert density["asked"] == 50 and density["delivered"] == result["density"] < 40
    assert any("A street density of 50 km/km2 was asked for" in one for one in result["warnings"])
    shapes, columns = layer(settings.output, "roads")
    assert result["components"] == 1 and result["violations"] == 0 and len(shapes) > 2
    assert list(columns["origin"][:2]) == ["existing", "existing"]
    points = pyogrio.raw.read(settings.junctions)
    assert len(points[2]) == result["junctions"] + sum(points[3][0] == 1)


def test_buildings_alone_for_roads_without_an_area(tmp_path):
    """The hull of the roads is the area; roads are neither added nor joined."""
    own = own_features(tmp_path)
    settings = fillbuildings.Settings(
        roads=own["roads"], buildings=own["buildings"], water=own["landcover"], output=str(tmp_path / "out.gpkg"),
        steps="fast", coverage=20.0,
    )  # fmt: skip
    result = fill(settings, Progress())
    shapes, columns = layer(settings.output, "buildings")
    assert result["kept"] == 2 and len(shapes) == result["buildings"] + 2 and result["buildings"] > 0
    assert result["coverage"] == pytest.approx(20, abs=2)
    roads = shapely.union_all(layer(own["roads"], "things")[0])
    assert shapely.distance(shapes[2:], roads).min() >= 4.0 - 1e-3
    assert list(columns["origin"][:2]) == ["existing", "existing"]


def test_buildings_alone_stay_within_blocks(tmp_path):
    blocks = [shapely.box(WEST, SOUTH, WEST + 60, SOUTH + 60), shapely.box(WEST + 70, SOUTH, WEST + 150, SOUTH + 60)]
    settings = fillbuildings.Settings(
        blocks=saved(tmp_path / "blocks.gpkg", *blocks), output=str(tmp_path / "out.gpkg"), steps="fast", coverage=30.0
    )
    result = fill(settings, Progress())
    shapes, _ = layer(settings.output, "buildings")
    assert result["buildings"] > 0 and shapely.covers(shapely.union_all(blocks), shapes).all()


def test_an_area_without_any_of_the_roads_is_filled_with_a_word_on_it(tmp_path):
    far = saved(tmp_path / "roads.gpkg", shapely.LineString([(0, 0), (1, 1)]))
    area = saved(tmp_path / "area.gpkg", SQUARE)
    settings = fillbuildings.Settings(area=area, roads=far, output=str(tmp_path / "out.gpkg"), steps="fast")
    result = fill(settings, Progress())
    assert result["kept"] == 0 and any("None of the roads" in one for one in result["warnings"])
