"""*Compare DEMs* on files: known differences, units, CRS, grids, voids, bands, lanes, a cluster, refusals, cancel."""

from __future__ import annotations

import csv
import itertools
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from neural_terrain.core.comparison import recipe, run, work
from neural_terrain.core.comparison.merging import Merging
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs import comparedem
from neural_terrain.core.jobs.comparedem import Settings
from neural_terrain.core.progress import Progress
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dasks, dems
from neural_terrain.tests.core.dasks import Dasks

METRE_FOOT = 0.3048


def ground(rows: int = 90, cols: int = 110, seed: int = 1) -> np.ndarray:
    return surfaces.fractal((rows, cols), seed, 400.0)


@pytest.fixture
def pair(tmp_path) -> dict[str, str]:
    """A reference, and an input that lies 2 m too high with 1 m of noise and a hole."""
    truth = ground()
    found = truth + 2 + np.random.default_rng(1).normal(size=truth.shape)
    found[70:74, 20:25] = -9999
    return {
        "input": dems.write(tmp_path / "found.tif", found, nodata=-9999),
        "reference": dems.write(tmp_path / "truth.tif", truth),
    }


def compared(progress: Progress | None = None, **values) -> dict:
    return comparedem.run(Settings(**values), progress or dems.Heard())


def test_a_known_difference_comes_out_as_figures_raster_table_and_report(pair, tmp_path):
    endings = {"output": ".html", "difference": ".tif", "slope_difference": ".tif", "table": ".json"}
    places = {name: str(tmp_path / f"{name}{ending}") for name, ending in endings.items()}
    told = compared(**pair, **places)
    found, truth = dems.read(pair["input"]), dems.read(pair["reference"])
    known = found != -9999
    assert told["cells"] == known.sum() and told["bias_m"] == pytest.approx(2, abs=0.05)
    assert told["rmse_m"] == pytest.approx(np.sqrt(np.mean((found - truth)[known] ** 2)))
    assert told["slope_rmse_deg"] > 0.5 and told["aspect_cells"] > 0
    difference = dems.read(places["difference"])
    assert np.array_equal(difference != -9999, known)
    assert np.allclose(difference[known], (found - truth)[known], atol=1e-3)
    assert (dems.read(places["slope_difference"]) != -9999).sum() == told["slope_cells"]
    table = json.loads(Path(places["table"]).read_text("utf-8"))
    assert table["scores"]["rmse_m"] == told["rmse_m"] and table["about"]["reference"] == "truth.tif"
    page = Path(places["output"]).read_text("utf-8")
    assert "found.tif against truth.tif" in page and str(tmp_path) not in page
    assert page.count("data:image/png") == 6 and page.count("data:image/svg+xml") == 5
    assert not re.search(r"https?://|<script", page) and "nan" not in page.lower().split("data:")[0]


def test_the_table_can_be_lines_of_text(pair, tmp_path):
    told = compared(**pair, table=str(tmp_path / "t.csv"))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["measure", "from", "to", "name", "value"]
    assert ["scores", "", "", "rmse_m", repr(told["rmse_m"])] in rows
    assert ["structure", "", "", "reference_pits_per_km2", repr(told["reference_pits_per_km2"])] in rows
    assert {row[0] for row in rows} >= {"by_slope_deg", "by_relief_m", "spectrum", "consistency"}


def test_blocks_give_what_one_block_gives(tmp_path, monkeypatch):
    truth = ground(300, 280)
    values = {
        "input": dems.write(tmp_path / "a.tif", truth + ground(300, 280, 2) / 40),
        "reference": dems.write(tmp_path / "b.tif", truth),
        "coarse": dems.write(
            tmp_path / "c.tif", surfaces.block_average(truth, 4), transform=Affine(120, 0, 400_000, 0, -120, 4_000_000)
        ),
    }
    whole = compared(**values, table=str(tmp_path / "whole.json"))
    monkeypatch.setattr(work, "BLOCK_PX", 128)
    monkeypatch.setattr(work, "COARSE_BLOCK_PX", 32)
    compared(**values, table=str(tmp_path / "parts.json"))
    one, other = (json.loads((tmp_path / f"{name}.json").read_text("utf-8")) for name in ("whole", "parts"))
    flat = [list(flattened(values)) for values in (one, other)]
    assert [name for name, _ in flat[0]] == [name for name, _ in flat[1]]
    for (name, a), (_, b) in zip(*flat, strict=True):
        assert a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b), name
    assert whole["cells"] == truth.size


def flattened(values, name=""):
    if isinstance(values, dict):
        for key, value in values.items():
            yield from flattened(value, f"{name}.{key}")
    elif isinstance(values, list):
        for at, value in enumerate(values):
            yield from flattened(value, f"{name}[{at}]")
    else:
        yield name, values


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> dict[str, str]:
    """Six blocks of two DEMs, their coarse DEM and a band, with voids and cells of other sizes and phases."""
    folder, truth = tmp_path_factory.mktemp("large"), ground(560, 1040)
    found = truth + ground(560, 1040, 2) / 40
    found[100:180, 500:530] = -9999
    shifted = Affine(40, 0, 400_310, 0, -40, 3_999_710)
    return {
        "input": dems.write(folder / "found.tif", found, nodata=-9999),
        "reference": dems.write(folder / "truth.tif", truth, transform=shifted),
        "coarse": dems.write(
            folder / "coarse.tif", surfaces.block_average(truth, 4), transform=Affine(120, 0, 400_000, 0, -120, 4e6)
        ),
        "uncertainty": dems.write(folder / "band.tif", np.full(truth.shape, 6.0)),
    }


WRITTEN = {"output": "report.html", "difference": "d.tif", "slope_difference": "s.tif", "table": "t.json"}


def everything(folder: Path, inputs: dict[str, str], progress: Progress | None = None, **more) -> dict[str, bytes]:
    """All outputs of a run; rasters as cells with statistics, since their blocks may lie in any order."""
    folder.mkdir()
    compared(progress, **inputs, **{name: str(folder / file) for name, file in WRITTEN.items()}, **more)
    rasters = {name: dems.read(folder / WRITTEN[name]).tobytes() for name in ("difference", "slope_difference")}
    texts = {name: (folder / WRITTEN[name]).read_bytes() for name in ("output", "table")}
    return {**rasters, **texts}


def test_any_number_of_lanes_finds_the_same_to_the_last_digit(large, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "COARSE_BLOCK_PX", 64)
    found = []
    for lanes in (1, 5):
        monkeypatch.setattr(work, "_cores", lambda lanes=lanes: lanes)
        found.append(everything(tmp_path / str(lanes), large))
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> Iterator[Dasks]:
    """A scheduler with two workers."""
    with dasks.started(tmp_path_factory.mktemp("dask"), 2) as started:
        yield started


def test_a_cluster_finds_the_same_to_the_last_digit(large, workers, tmp_path):
    here, heard = everything(tmp_path / "here", large), dems.Heard()
    assert everything(tmp_path / "there", large, heard, scheduler=workers.file) == here
    told = [re.fullmatch(r"Dask workers: \d, threads: \d, blocks to do: (\d+)\.", t) for t in heard.texts("info")]
    assert [int(one[1]) for one in told if one] == [2, 2], "heights, and averages over the coarse cells"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == sorted(WRITTEN.values())


def test_what_goes_wrong_on_a_worker_is_the_same_sentence_and_leaves_nothing(pair, workers, tmp_path, monkeypatch):
    """The input has another size there, as it seems to the client; then one of its blocks is spoilt."""
    monkeypatch.setattr(run.agreement, "size_of", lambda _: 7)
    wanted = {"difference": str(tmp_path / "d.tif"), "scheduler": workers.address}
    with pytest.raises(TerrainError, match=r"^The Dask worker .* sees another file as the input .*found\.tif; put it"):
        compared(**pair, **wanted)
    monkeypatch.undo()
    spoilt = Path(dems.write(tmp_path / "spoilt.tif", ground(), compress="deflate"))
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:500] + b"x" * 1000 + content[1500:])
    with pytest.raises(TerrainError, match=r"spoilt\.tif cannot be read at rows"):
        compared(**{**pair, "input": str(spoilt)}, **wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.tif", "spoilt.tif", "truth.tif"]


def test_a_recipe_travels_and_knows_which_workers_will_do(large, tmp_path):
    settings = Settings(**large, scheduler="tcp://node:8786")
    paths = recipe.paths_of(settings)
    assert set(paths) == set(large.values())
    facts = {"worker": "otto", **recipe.facts_here(paths)}
    made = recipe.Recipe(work.Averages, settings, grid_of(large["coarse"]), {}, facts["version"], facts["sizes"])
    again = pickle.loads(pickle.dumps(made))
    assert again.key == made.key != replace(made, kind=work.Heights).key
    assert again.unfit(facts) == ""
    assert "otto has Neural Terrain 0.0, this computer" in again.unfit({**facts, "version": "0.0"})
    gone = {**facts, "sizes": recipe.facts_here([*paths[1:], str(tmp_path / "x.tif")])["sizes"]}
    assert f"otto does not see the input {large['input']}; put it" in again.unfit(gone)
    opened = again.open()
    tile = next(iter(opened.blocks))
    sums = opened.encode(tile, opened.compute([tile], [opened.read(tile)])[0]).sums
    assert sums.cells > 30_000 and list(opened.warnings) == []
    opened.close()
    with pytest.raises(TerrainError, match="cannot be read"):
        opened.compute([tile], [None])


def grid_of(path: str):
    with run.opened(Settings(input=path, reference=path)) as rasters:
        return rasters.dem.grid


class Text:
    """A sum that remembers the order of its parts."""

    def __init__(self, text: str) -> None:
        self.text = text

    def merge(self, other: Text) -> None:
        self.text = f"({self.text}{other.text})"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7])
def test_parts_are_merged_alike_in_whatever_order_they_come(count):
    seen = set()
    for order in itertools.islice(itertools.permutations(range(count)), 800):
        merging: Merging[Text] = Merging(count)
        for number in order:
            merging.add(number, None if number == 3 else Text(str(number)))
        seen.add(merging.whole.text)
    assert len(seen) == 1
    digits = seen.pop().replace("(", "").replace(")", "")
    assert digits == "".join(str(number) for number in range(count) if number != 3)


def test_few_sums_are_kept_at_a_time_even_where_one_part_is_late():
    for first in (0, 1, 500):
        merging, kept = Merging[Text](1000), []
        for number in (*range(first), *range(first + 1, 1000)):
            merging.add(number, Text(""))
            kept.append(merging.waiting)
        assert max(kept) <= 20
        with pytest.raises(ValueError, match="missing"):
            _ = merging.whole
        merging.add(first, None)
        assert merging.waiting == 1 and merging.whole is not None
    assert Merging(0).waiting == 0


def test_feet_and_metres_are_compared_as_metres(tmp_path):
    truth = ground()
    reference = dems.write(tmp_path / "m.tif", truth, units="m")
    for name, more, asked in (("band", {"units": "ft"}, {}), ("user", {}, {"z_unit": "foot"})):
        feet = dems.write(tmp_path / f"{name}.tif", truth / METRE_FOOT, **more)
        assert compared(input=feet, reference=reference, **asked)["rmse_m"] < 1e-6
    both = compared(input=reference, reference=dems.write(tmp_path / "f.tif", truth / METRE_FOOT, units="ft"))
    assert both["rmse_m"] < 1e-6


def test_a_finer_input_is_averaged_and_a_coarser_one_interpolated(tmp_path):
    fine = ground(120, 120)
    coarse = surfaces.block_average(fine, 4)
    large = Affine(120, 0, 400_000, 0, -120, 4_000_000)
    paths = dems.write(tmp_path / "fine.tif", fine), dems.write(tmp_path / "coarse.tif", coarse, transform=large)
    finer = compared(input=paths[0], reference=paths[1])
    assert finer["cells"] == 900 and finer["rmse_m"] < 1e-9
    coarser = compared(input=paths[1], reference=paths[0], table=str(tmp_path / "t.json"))
    table = json.loads((tmp_path / "t.json").read_text("utf-8"))
    assert coarser["rmse_m"] > 0.1 and coarser["roughness_ratio"] < 0.9
    assert table["about"]["known_cell_m"] == pytest.approx(120, rel=0.01) and table["about"]["known_cells"] == "input"
    errors = [row["mae"] for row in table["by_distance_px"]]
    assert len(errors) >= 3 and errors[-1] > errors[0]


def test_consistency_with_the_coarse_dem_is_measured_in_its_cells(tmp_path):
    fine = ground(120, 120)
    coarse = surfaces.block_average(fine, 4)
    coarse[3, 5] += 0.75
    large = Affine(120, 0, 400_000, 0, -120, 4_000_000)
    path = dems.write(tmp_path / "fine.tif", fine)
    values = {"input": path, "reference": path}
    told = compared(**values, coarse=dems.write(tmp_path / "c.tif", coarse, transform=large))
    assert told["consistency_max_m"] == pytest.approx(0.75)
    assert told["consistency_rmse_m"] == pytest.approx(0.75 / 30)
    nodes = dems.write(tmp_path / "p.tif", fine[1::3, 1::3], transform=Affine(90, 0, 400_000, 0, -90, 4_000_000),
                       tags={"AREA_OR_POINT": "Point"})  # fmt: skip
    assert compared(**values, coarse=nodes)["consistency_max_m"] < 1e-9


def test_a_stated_band_is_judged_in_the_unit_of_the_input(tmp_path):
    truth = ground(200, 200)
    noise = np.random.default_rng(2).normal(size=truth.shape) * 3
    reference = dems.write(tmp_path / "truth.tif", truth, units="m")
    feet = dems.write(tmp_path / "feet.tif", (truth + noise) / METRE_FOOT, units="ft")
    band = dems.write(tmp_path / "band.tif", np.full(truth.shape, 1.645 * 3 / METRE_FOOT))
    told = compared(input=feet, reference=reference, uncertainty=band)
    assert told["coverage"] == pytest.approx(0.9, abs=0.01) and told["band_m"] == pytest.approx(1.645 * 3)


def test_only_the_common_ground_is_compared_in_any_crs(tmp_path):
    """A plane in degrees against itself in UTM, which covers another part of it."""
    import pyproj

    change = pyproj.Transformer.from_crs(dems.UTM, "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(400_000 + (np.arange(80) + 0.5) * 30, 4_000_000 - (np.arange(80) + 0.5) * 30)
    lon, lat = change.transform(x, y)
    west, north = lon.mean(), lat.max() + 0.002
    size = 0.0003
    columns, rows = (np.arange(100) + 0.5) * size, (np.arange(120) + 0.5) * size
    degrees = 1000 + 5e4 * columns[None, :] - 4e4 * rows[:, None]
    reference = dems.write(tmp_path / "utm.tif", 1000 + 5e4 * (lon - west) - 4e4 * (north - lat))
    found = dems.write(tmp_path / "deg.tif", degrees, crs="EPSG:4326", transform=Affine(size, 0, west, 0, -size, north))
    told = compared(input=found, reference=reference, difference=str(tmp_path / "d.tif"))
    assert told["rmse_m"] < 0.01 and 2500 < told["cells"] < 3400
    assert told["slope_rmse_deg"] < 0.01 and told["aspect_rmse_deg"] < 0.1
    assert dems.read(tmp_path / "d.tif").shape[1] < 50
    back = compared(input=reference, reference=found)
    assert back["rmse_m"] < 0.01 and back["slope_rmse_deg"] < 0.05


def test_no_data_of_either_side_is_left_out(tmp_path):
    truth = ground()
    holes = truth.copy()
    holes[40:60, 40:60] = np.nan
    told = compared(
        input=dems.write(tmp_path / "a.tif", truth), reference=dems.write(tmp_path / "b.tif", holes),
        no_data=((float(np.sort(truth.ravel())[-50]), 1e9),),
    )  # fmt: skip
    highest = truth >= np.sort(truth.ravel())[-50]
    assert told["cells"] == (np.isfinite(holes) & ~highest).sum() and told["rmse_m"] == 0


@pytest.mark.parametrize(
    ("vertical", "other", "sentence"),
    [
        ("EPSG:32611+5773", "EPSG:32611", "Only the input names its vertical datum (EGM96 height)"),
        ("EPSG:32611", "EPSG:32611+5773", "Only the reference names its vertical datum (EGM96 height)"),
        ("EPSG:32611+5773", "EPSG:32611+5703", "Heights of the input refer to EGM96 height, those of the reference to"),
        ("EPSG:32611+5773", "EPSG:32611+5773", ""),
        ("EPSG:32611", "EPSG:32611", ""),
    ],
)
def test_vertical_datums_that_may_differ_are_told(tmp_path, vertical, other, sentence):
    progress = dems.Heard()
    told = compared(
        progress,
        input=dems.write(tmp_path / "a.tif", ground(), crs=vertical),
        reference=dems.write(tmp_path / "b.tif", ground(), crs=other),
    )
    assert told["rmse_m"] == 0
    warnings = " ".join(progress.texts("warning"))
    assert sentence in warnings if sentence else warnings == ""


def test_a_missing_crs_is_told(tmp_path):
    progress = dems.Heard()
    plain = dems.write(tmp_path / "a.tif", ground(), crs=None)
    told = compared(progress, input=plain, reference=dems.write(tmp_path / "b.tif", ground()))
    assert told["rmse_m"] == 0 and "The input has no CRS" in progress.texts("warning")[0]


def test_dems_of_other_places_are_refused(tmp_path):
    here = dems.write(tmp_path / "a.tif", ground())
    away = dems.write(tmp_path / "b.tif", ground(), transform=Affine(30, 0, 500_000, 0, -30, 4_000_000))
    with pytest.raises(TerrainError, match=r"do not overlap; choose DEMs of the same ground"):
        compared(input=here, reference=away, output=str(tmp_path / "r.html"), difference=str(tmp_path / "d.tif"))
    empty = dems.write(tmp_path / "c.tif", np.full((90, 110), -9999.0), nodata=-9999)
    with pytest.raises(TerrainError, match="share no cell with a height in both"):
        compared(input=here, reference=empty, output=str(tmp_path / "r.html"), difference=str(tmp_path / "d.tif"))
    wide = dems.write(tmp_path / "w.tif", np.zeros((3, 3)), transform=Affine(60_000, 0, 350_000, 0, -60_000, 4_050_000))
    with pytest.raises(TerrainError, match=r"as wide as 2000 cells of the input"):
        compared(input=here, reference=wide)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif", "c.tif", "w.tif"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"input": ""}, "No input DEM was given"),
        ({"reference": ""}, "No reference DEM was given"),
        ({"band": 0}, "Band is 0; it must be a number from 1"),
        ({"reference_band": 1.5}, "Reference band is 1.5; it must be a whole number from 1."),
        ({"z_unit": "yard"}, "Vertical unit is 'yard'; it can be auto"),
        ({"output": "r.pdf"}, "The output r.pdf must end in .html or .htm; rename it."),
        ({"difference": "d.vrt"}, "The difference d.vrt must end in .tif or .tiff"),
        ({"table": "t.xls"}, "The table t.xls must end in .json or .csv"),
        ({"difference": "b.tif"}, "The difference b.tif is also an input; choose another name for the difference."),
        ({"difference": "d.tif", "slope_difference": "d.tif"}, "are the same file d.tif"),
        ({"reference_no_data": (1, 2)}, "The no-data interval is 1; it must be two numbers"),
        ({"coarse": 3}, "Coarse is 3; it must be text."),
        ({"scheduler": 8786}, "Scheduler is 8786; it must be text."),
        ({"scheduler": "node1"}, "Scheduler is 'node1'; it must be an address such as tcp://host:8786"),
    ],
)
def test_what_needs_no_file_is_refused_early(values, sentence):
    with pytest.raises(TerrainError) as refusal:
        Settings(**{"input": "a.tif", "reference": "b.tif", **values})
    assert sentence in str(refusal.value)


def test_a_cancelled_run_leaves_old_files_and_nothing_else(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "BLOCK_PX", 16)
    monkeypatch.setattr(run, "RASTERS", {name: replace(one, block_px=16) for name, one in run.RASTERS.items()})

    class Impatient(dems.Heard):
        def cancelled(self) -> bool:
            return len(self.events) > 8

    old = tmp_path / "d.tif"
    old.write_bytes(b"old")
    with pytest.raises(Cancelled):
        compared(Impatient(), **pair, difference=str(old), output=str(tmp_path / "r.html"))
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.tif", "found.tif", "truth.tif"]


def test_an_output_that_a_mosaic_reads_is_refused(pair, tmp_path):
    mosaic = tmp_path / "mosaic.vrt"
    mosaic.write_text(
        f"""<VRTDataset rasterXSize="110" rasterYSize="90"><SRS>EPSG:32611</SRS>
        <GeoTransform>400000, 30, 0, 4000000, 0, -30</GeoTransform><VRTRasterBand dataType="Float64" band="1">
        <SimpleSource><SourceFilename relativeToVRT="0">{pair["reference"]}</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>""",
        encoding="utf-8",
    )
    with pytest.raises(TerrainError, match="is read by the input"):
        compared(input=pair["input"], reference=str(mosaic), difference=pair["reference"])
