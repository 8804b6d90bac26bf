"""The finer DEM from a Dask cluster: worker processes give the data of the threaded run, also when they are killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from neural_terrain.core import refinement
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.refinement import outputs
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dasks, dems
from neural_terrain.tests.core.dasks import Dasks

ROOMY_MB = 8000
"""Memory that allows the largest tiles, however many are computed at a time: the cluster's plan has one lane."""
TILES = 9


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dasks]:
    with dasks.started(tmp_path_factory.mktemp("dask"), 2) as started:
        yield started


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    heights = surfaces.fractal((520, 530), 5).astype(np.float32)
    heights[100:110, 200:210] = -9999
    return dems.write(tmp_path_factory.mktemp("dem") / "dem.tif", heights, nodata=-9999)


@pytest.fixture(scope="module")
def threaded(source: str, tiny_field: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The run on this computer."""
    settings = asked(source, tiny_field, tmp_path_factory.mktemp("threads"))
    assert refinement.refine(settings, dems.Heard())["tiles"] == TILES
    return settings


def asked(source: str, model: str, folder: Path, **values: object) -> Settings:
    """Nine tiles of three outputs."""
    beside = {name: str(folder / f"{name}.tif") for name in ("uncertainty", "provenance")}
    settings = {"model": model, "scale": 5, "voids": "fill", "memory_mb": ROOMY_MB, "device": "cpu", **beside, **values}
    return Settings(source, str(folder / "fine.tif"), **settings)


class After(dems.Heard):
    """Does something once, after some tiles."""

    def __init__(self, tiles: int, then: object) -> None:
        super().__init__()
        self._tiles, self._then, self.did = tiles, then, False

    def emit(self, event: dict) -> None:
        super().emit(event)
        if not self.did and sum(text.startswith("Tile") for text in self.texts("progress")) == self._tiles:
            self.did = True
            self._then()


def assert_same(settings: Settings, known: Settings) -> None:
    for name, path in settings.outputs.items():
        with rasterio.open(path) as one, rasterio.open(known.outputs[name]) as other:
            np.testing.assert_array_equal(one.read(1), other.read(1), strict=True)
            assert one.tags(1) == other.tags(1)
            assert one.profile == other.profile


def test_workers_give_the_data_of_the_threaded_run_though_one_is_killed(
    workers: Dasks, source: str, tiny_field: str, threaded: Settings, tmp_path: Path
) -> None:
    def trouble() -> None:
        dasks.kill(workers.workers.pop(0))
        workers.start_worker()

    settings, heard = asked(source, tiny_field, tmp_path, scheduler=workers.file), After(3, trouble)
    result = refinement.refine(settings, heard)
    assert heard.did and result["tiles"] == TILES
    assert_same(settings, threaded)
    assert sorted(os.listdir(tmp_path)) == ["fine.tif", "provenance.tif", "uncertainty.tif"]


def test_a_cancelled_run_on_workers_is_continued_here(
    workers: Dasks, source: str, tiny_field: str, threaded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other way round would do as well: tiles do not know where they were computed."""
    monkeypatch.setattr(outputs, "WORTH_KEEPING_S", -1.0)
    with pytest.raises(Cancelled):
        refinement.refine(asked(source, tiny_field, tmp_path, scheduler=workers.address), dems.Heard(stop_at=4))
    settings = asked(source, tiny_field, tmp_path)
    result = refinement.refine(settings, dems.Heard())
    assert 3 <= result["tiles_kept"] < TILES
    assert_same(settings, threaded)


def test_workers_must_have_what_the_job_needs(workers: Dasks, source: str, tiny_field: str, tmp_path: Path) -> None:
    settings = asked(source, tiny_field, tmp_path, scheduler=workers.file, device="cuda")
    with pytest.raises(TerrainError, match=r"\bGPU=1\b"):
        refinement.refine(settings, dems.Heard())
    assert os.listdir(tmp_path) == []


def test_a_worker_of_another_version_is_refused(
    workers: Dasks, source: str, tiny_field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is that of the starting computer here: the workers read the true one."""
    monkeypatch.setattr("neural_terrain.core.provenance.version", lambda: "9.9")
    with pytest.raises(TerrainError, match=r"^The Dask worker tcp://\S+ has Neural Terrain \S+, this computer 9\.9; "):
        refinement.refine(asked(source, tiny_field, tmp_path, scheduler=workers.file), dems.Heard())
    assert os.listdir(tmp_path) == []
