"""The benchmarks run and judge fairly, the manifest names every file's licence, the sample is what its notice says."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.core import quality, raster
from neural_terrain.core.grid import Grid
from neural_terrain.core.jobs import superresolve
from neural_terrain.core.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "resources" / "samples" / "big_tujunga_30m.tif"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by name."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    yield importlib.import_module
    for path in (ROOT / "tests" / "benchmarks").glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, str]]:
    with (ROOT / "resources" / "dem-data.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scale", [3.7, 4.0])
def test_methods_are_judged_in_place_and_the_baseline_beats_bicubic(benchmark, tmp_path, scale):
    areas, bench = benchmark("areas"), benchmark("bench")
    case = areas.prepare(areas.Area("sample", SAMPLE, "clean", "SRTM"), scale, 200, tmp_path)
    scores = {row.method: row.tally.scores() for row in bench.measure(case, ["baseline"], "cpu")}
    inside = 200 - 4 * scale  # rows without two coarse cells on either side
    assert 0.9 * inside**2 < scores["baseline"].cells < 1.05 * inside**2
    assert scores["baseline"].rmse_m < 0.9 * scores["bicubic"].rmse_m
    assert scores["baseline"].slope_rmse_deg < scores["bicubic"].slope_rmse_deg
    assert scores["gdalwarp"].rmse_m == pytest.approx(scores["bicubic"].rmse_m, rel=1e-3)  # the same registration


def test_a_void_in_the_truth_voids_its_coarse_cell_only(benchmark):
    areas = benchmark("areas")
    valid = np.ones((40, 40), bool)
    valid[18, 21] = False
    _, coarse_valid = quality.cell_average(np.zeros((40, 40)), valid, 4)
    counts = areas.compared(coarse_valid, 4, valid.shape)
    assert not counts[16:20, 20:24].any()
    assert counts.sum() == (40 - 16) ** 2 - 16


def test_the_honest_protocol_gives_every_measure_and_pools_add_up(benchmark, tmp_path):
    areas, honest, methods = benchmark("areas"), benchmark("honest"), benchmark("methods")
    area = areas.Area("sample", SAMPLE, "clean", "SRTM")
    outcomes = honest.measure(area, 4.0, methods.Models(("baseline",), "cpu"), 240)
    rows = {outcome.method: outcome.row() for outcome in outcomes}
    assert list(rows) == ["gdalwarp", "lanczos", "bicubic", "baseline"]
    assert rows["baseline"]["groups"] == "mountains clean seen all"
    assert rows["baseline"]["rmse_m"] < rows["lanczos"]["rmse_m"] < rows["bicubic"]["rmse_m"]
    assert rows["baseline"]["consistency_max_m"] < 1 < rows["bicubic"]["consistency_max_m"]
    assert rows["bicubic"]["roughness_ratio"] < rows["baseline"]["roughness_ratio"] < 1
    assert rows["bicubic"]["power_shorter"] < rows["bicubic"]["power_longer"] < 1
    assert rows["baseline"]["coverage"] is None  # it tells no band
    pools = {(one.area, one.method): one.row() for one in honest.pooled([*outcomes, *outcomes])}
    twice = pools["pooled, all", "baseline"]
    assert twice["cells"] == 2 * rows["baseline"]["cells"]
    assert twice["rmse_m"] == pytest.approx(rows["baseline"]["rmse_m"])
    assert twice["pits_per_km2"] == pytest.approx(rows["baseline"]["pits_per_km2"])


@pytest.fixture
def tile(benchmark):
    areas, thesis = benchmark("areas"), benchmark("thesis")
    return thesis.drawn(areas.Area("sample", SAMPLE, "clean", "SRTM"), 64, 3)[1]


def test_a_thesis_tile_is_what_the_job_makes_of_the_declared_samples(benchmark, tmp_path, tile):
    areas, methods, thesis = benchmark("areas"), benchmark("methods"), benchmark("thesis")
    coarse, crs = tile.decimated(4.0), "EPSG:32611"
    fine_grid = Grid(64, 64, 400_000.0, 3_800_000.0, 30.0, 30.0, crs)
    before_m = thesis.origin(4.0) * 120  # the tile's edge lies so far inside the coarse grid's first cells
    coarse_grid = Grid(16, 16, 400_000.0 - before_m, 3_800_000.0 + before_m, 120.0, 120.0, crs)
    wide = np.pad(coarse, 4, mode="symmetric")  # so that the last fine cells lie inside the file as well
    wide_grid = Grid(24, 24, coarse_grid.x0 - 480, coarse_grid.y0 + 480, 120.0, 120.0, crs)
    paths = {name: str(tmp_path / f"{name}.tif") for name in ("coarse", "truth", "fine")}
    areas.write(paths["coarse"], wide, np.ones(wide.shape, bool), wide_grid)
    areas.write(paths["truth"], tile.heights, np.ones((64, 64), bool), fine_grid)
    settings = superresolve.Settings(
        input=paths["coarse"], grid=paths["truth"], output=paths["fine"], model="baseline", sampling="point"
    )
    superresolve.run(settings, Progress())
    found = thesis.by_model(methods.loaded("baseline"), coarse, tile, 4.0)
    assert np.abs(raster.read_all(paths["fine"])[0] - found).max() < 0.002
    assert np.abs(found[::4, ::4] - coarse).max() < 1e-6  # samples come out where they were taken


def test_samples_at_block_centres_are_the_wrong_registration(benchmark, tile):
    thesis = benchmark("thesis")
    found = dict(thesis.answers(tile, 4.0, {}))
    rmse_m = {name: thesis.measures(heights, tile)[0] for name, heights in found.items()}
    assert rmse_m["centre"] > 2 * rmse_m["corner"]
    assert rmse_m["lanczos"] < 1.1 * rmse_m["corner"]
    plane = np.add.outer(-3.0 * np.arange(64), 2.0 * np.arange(64))
    for scale in (2.0, 4.0, 8.0):
        flat = thesis.Tile(plane, tile.cell_m)
        middle = np.s_[24:40, 24:40]
        for name, heights in thesis.answers(flat, scale, {}):
            # GDAL's Lanczos weights do not reproduce a plane to the digit.
            assert np.abs(heights - plane)[middle].max() < {"corner": 1e-9, "lanczos": 1.0}.get(name, 99), name


def test_the_thesis_measures_repeat_its_mistakes_beside_right_ones(benchmark):
    thesis = benchmark("thesis")
    cells = np.full(20, 2.0)
    truth = np.add.outer(np.zeros(20), 0.2 * np.arange(20))  # rises 0.1 per metre to the east: descends to the west
    turned = np.add.outer(-0.001 * np.arange(20), 0.2 * np.arange(20))
    *_, slope, aspect = thesis.measures(turned, thesis.Tile(truth, (cells, cells)))
    assert 0 < slope < 1e-4
    assert aspect == pytest.approx(np.degrees(np.arctan(0.005)), rel=1e-6)
    steep = thesis.thesis_slope_aspect_deg(truth)[0]
    assert steep[3:-3, 3:-3] == pytest.approx(np.degrees(np.arctan(0.2 / 30)))  # cells of 2 m count as 30 m
    assert steep[0, 5] > 0.9  # a cliff down to the zeros around the tile
    north = np.add.outer(np.full(9, 1.0) * np.arange(9), 0.001 * np.arange(9))
    other = np.add.outer(np.full(9, 1.0) * np.arange(9), -0.001 * np.arange(9))
    angles = [thesis.thesis_slope_aspect_deg(z)[1][3:-3, 3:-3] for z in (north, other)]
    assert np.abs(angles[0] - angles[1]).min() > 359  # the two look north, a hair to either side


def test_pooled_tiles_have_the_mean_and_deviation_of_all_tiles(benchmark):
    areas, thesis = benchmark("areas"), benchmark("thesis")
    values = np.random.default_rng(3).random((9, len(thesis.MEASURES)))
    parts = [
        thesis.summary(areas.Area(name, SAMPLE, "clean", "SRTM"), 64, 2.0, "corner", part)
        for name, part in (("one", values[:2]), ("other", values[2:]))
    ]
    whole = thesis.pooled(parts, {"one", "other"}, "both")[0]
    assert whole["tiles"] == 9
    assert whole["rmse_m"] == pytest.approx(values[:, 0].mean())
    assert whole["rmse_m_std"] == pytest.approx(values[:, 0].std())


def test_the_simulated_sensor_is_repeatable_whole_metres_and_keeps_voids(benchmark):
    simulated = benchmark("simulated")
    heights, valid, _ = raster.read_all(str(SAMPLE))
    part = np.s_[:60, :60]
    heights, valid = heights[part], valid[part].copy()
    valid[10, 10] = False
    one, one_valid = simulated.sensed(heights, valid, 3.0, seed=5)
    other, _ = simulated.sensed(np.where(valid, heights, 9e9), valid, 3.0, seed=5)
    assert np.array_equal(one, other)  # what lies in a void is not looked at
    assert not one_valid[3, 3]
    assert one_valid.sum() == 20 * 20 - 1
    assert np.array_equal(one, np.round(one))
    assert np.allclose(simulated.blurred(np.full((9, 9), 7.0), np.ones((9, 9), bool), 1.5), 7.0)


def test_an_offset_of_the_input_comes_out_unchanged(benchmark):
    areas, methods, simulated = benchmark("areas"), benchmark("methods"), benchmark("simulated")
    area = areas.Area("sample", SAMPLE, "clean", "SRTM")
    rows = simulated.offset_rows(area, methods.Models(("baseline",), "cpu"), 128)
    assert rows[0]["offset_error_max_m"] == 0


def test_ratios_are_geometric_means_over_areas_and_exceptions_are_named(benchmark, capsys):
    tables = benchmark("tables")
    figures = {("hill", "baseline"): 2.0, ("hill", "field"): 1.0, ("sea", "baseline"): 1.0, ("sea", "field"): 2.0}
    rows = [
        {"area": area, "method": method, "scale": 2.0, "groups": "all", "rmse_m": value, "slope_rmse_deg": value / 2}
        for (area, method), value in figures.items()
    ]
    assert tables.mean_ratio(rows, "all", ("field", "baseline"), 2.0, "rmse_m") == pytest.approx(1.0)
    assert tables.pairs(["bicubic", "baseline", "field", "mine"])[-1] == ("mine", "baseline")
    tables.print_never_worse(rows, "field", "baseline")
    assert "NO: sea x2 2 to 1" in capsys.readouterr().out


def test_a_resumed_run_goes_on_in_time_and_its_curves_can_be_drawn(benchmark, tmp_path):
    curves = benchmark("curves")
    log = tmp_path / "run" / "log.jsonl"
    log.parent.mkdir()
    rows = [(0, 0), (60, 1), (120, 2), (60, 3)]  # the last one after a restart
    lines = (json.dumps({"step": n, "seconds": s, "x2": 1 - n / 50, "x4": 0.99, "x8": 1.0}) for s, n in rows)
    log.write_text("\n".join(lines), encoding="utf-8")
    run = curves.read(str(log))
    assert (run.name, run.minutes) == ("run", [0, 1, 2, 3])
    curves.report([f"mine={log}", str(log)], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
    for low, high in ((0.0, 7.3), (0.0, 130.0), (0.87, 1.02)):
        ticks = curves.ticks(low, high)
        assert 4 <= len(ticks) <= 11
        assert low <= ticks[0] < ticks[-1] <= high


def test_the_picture_of_the_demo_can_be_drawn(benchmark, tmp_path):
    demo, picture = benchmark("demo"), benchmark("picture")
    truth, _, _ = raster.read_all(str(SAMPLE))
    coarse, _ = quality.cell_average(truth, np.ones(truth.shape, bool), demo.SCALE)
    cells = np.full(truth.shape[0], 30.0)
    scores = [demo.scores_of(truth + 1, truth, (cells, cells))] * 3
    panels = demo.panels_of([coarse, truth, truth, truth], scores, "ebcf")
    assert [panel.captions[0] for panel in panels[:3]] == ["RMSE 1.0 m"] * 3
    sheet = picture.draw(panels, demo.DETAIL, "Title", "Note")
    picture.save(sheet, tmp_path / "picture.png", 400)
    assert np.asarray(sheet).std() > 20
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_the_manifest_names_source_licence_and_split_of_every_file_once(manifest):
    files = [row["file"] for row in manifest]
    assert len(files) == len(set(files)) > 90
    for row in manifest:
        assert row["split"] in ("train", "test", "pairs"), row
        assert row["file"].startswith(f"dem/{row['split']}/"), row
        assert all(row[key] for key in ("truth", "product", "region", "source", "licence", "attribution")), row


def test_training_files_have_terms_that_allow_to_ship_weights(manifest):
    assert not [row["file"] for row in manifest if row["split"] == "train" and "not stated" in row["licence"]]


def test_the_sample_is_small_whole_and_has_a_notice():
    heights, valid, grid = raster.read_all(str(SAMPLE))
    assert (heights.shape, grid.dx, grid.dy) == ((512, 512), 30, 30)
    assert valid.all()
    assert SAMPLE.stat().st_size < 600_000
    notice = (SAMPLE.parent / "NOTICE.txt").read_text(encoding="utf-8")
    assert SAMPLE.name in notice
    assert "public domain" in notice
