"""The benchmarks run and judge fairly, the manifest names every file's licence, the sample is what its notice says."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.core import quality, raster

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "resources" / "samples" / "big_tujunga_30m.tif"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by name."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    yield importlib.import_module
    for name in ("areas", "bench", "demo", "machine", "picture", "speed"):
        sys.modules.pop(name, None)


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
