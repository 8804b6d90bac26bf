"""A run that ended early is continued by the next one, and nobody can tell from the result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from neural_terrain.core import refinement
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.raster import Source
from neural_terrain.core.refinement import outputs
from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

DOOR = Path(__file__).resolve().parents[2] / "core" / "__main__.py"


@pytest.fixture
def source(tmp_path: Path) -> str:
    heights = surfaces.fractal((100, 110), 5).astype(np.float32)
    heights[40:60, 60:80] = -9999
    return dems.write(tmp_path / "dem.tif", heights, nodata=-9999)


@pytest.fixture
def keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "WORTH_KEEPING_S", -1.0)


def asked(source: str, out: Path, **values: object) -> Settings:
    """16 tiles of several outputs."""
    named = {name: str(out.with_name(f"{name}.tif")) for name in ("difference", "provenance")}
    return Settings(source, str(out), **{"model": "baseline", "scale": 16, "memory_mb": 64, **named, **values})


def broken_off(settings: Settings, stop_at: int = 8) -> dems.Heard:
    heard = dems.Heard(stop_at=stop_at)
    with pytest.raises(Cancelled):
        refinement.refine(settings, heard)
    return heard


def contents(path: str) -> tuple[np.ndarray, dict, dict]:
    with rasterio.open(path) as file:
        return file.read(1), file.tags(), file.tags(1)


def assert_same(settings: Settings, whole: Settings) -> None:
    for name, path in settings.outputs.items():
        found, known = contents(path), contents(whole.outputs[name])
        np.testing.assert_array_equal(found[0], known[0], strict=True)
        assert found[2] == known[2]
        differ = {k for k in known[1] if found[1].get(k) != known[1][k]}
        assert differ <= {"NEURAL_TERRAIN_SETTINGS"}  # names the output


def unfinished(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


@pytest.mark.usefixtures("keep_everything")
@pytest.mark.parametrize("layout", ["geotiff", "cog"])
def test_a_continued_run_has_the_data_of_an_unbroken_one(source: str, tmp_path: Path, layout: str) -> None:
    for folder in ("broken", "whole"):
        (tmp_path / folder).mkdir()
    broken, whole = (asked(source, tmp_path / name / "fine.tif", layout=layout) for name in ("broken", "whole"))
    heard = broken_off(broken)
    assert any("are finished and kept" in text for text in heard.texts("info"))
    assert len(unfinished(tmp_path / "broken")) == 4
    heard = dems.Heard()
    found, known = refinement.refine(broken, heard), refinement.refine(whole, dems.Heard())
    assert 0 < found["tiles_kept"] < found["tiles"] and known["tiles_kept"] == 0
    assert any(f"{found['tiles_kept']} of {found['tiles']} tiles are there" in text for text in heard.texts("info"))
    assert not unfinished(tmp_path / "broken")
    assert_same(broken, whole)
    told = ("valid_share", "filled_share", "min", "max", "rows", "columns")
    assert {k: found[k] for k in told} == {k: known[k] for k in told}


@pytest.mark.usefixtures("keep_everything")
def test_what_would_change_the_data_begins_anew_and_is_named(source: str, tmp_path: Path) -> None:
    out = tmp_path / "fine.tif"
    for other, name in (
        ({"scale": 15}, "grid and settings"),
        ({"voids": "fill"}, "settings"),
        ({"compression": "DEFLATE"}, "settings"),
        ({"memory_mb": 65}, ""),  # the same tiles
    ):
        broken_off(asked(source, out))
        heard = dems.Heard()
        found = refinement.refine(asked(source, out, **other), heard)
        assert (found["tiles_kept"] == 0) == bool(name)
        assert not name or any(f"differs from this one in its {name};" in text for text in heard.texts("info"))


@pytest.mark.usefixtures("keep_everything")
def test_another_input_under_the_same_name_begins_anew(source: str, tmp_path: Path) -> None:
    settings = asked(source, tmp_path / "fine.tif")
    broken_off(settings)
    dems.write(Path(source), surfaces.fractal((100, 110), 6).astype(np.float32), nodata=-9999)
    heard = dems.Heard()
    assert refinement.refine(settings, heard)["tiles_kept"] == 0
    assert any("in its input;" in text for text in heard.texts("info"))


@pytest.mark.usefixtures("keep_everything")
def test_resume_no_begins_anew(source: str, tmp_path: Path) -> None:
    broken_off(asked(source, tmp_path / "fine.tif"))
    assert refinement.refine(asked(source, tmp_path / "fine.tif", resume=False), dems.Heard())["tiles_kept"] == 0
    assert not unfinished(tmp_path)


@pytest.mark.usefixtures("keep_everything")
def test_a_lost_part_file_costs_its_tiles_only(source: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    broken, whole = asked(source, tmp_path / "fine.tif"), asked(source, tmp_path / "whole" / "fine.tif")
    broken_off(broken)
    (tmp_path / ".difference.tif.part.tif").unlink()
    assert refinement.refine(broken, dems.Heard())["tiles_kept"] == 0
    refinement.refine(whole, dems.Heard())
    assert_same(broken, whole)


def test_seconds_of_work_are_not_kept(source: str, tmp_path: Path) -> None:
    broken_off(asked(source, tmp_path / "fine.tif"))
    assert not unfinished(tmp_path)


@pytest.mark.usefixtures("keep_everything")
@pytest.mark.parametrize("error", [OSError("gone"), TerrainError("Row 3 cannot be read."), MemoryError()])
def test_an_error_keeps_what_is_finished(
    source: str, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, plain, count = asked(source, tmp_path / "fine.tif"), Source.read, 0

    def failing(self: Source, window: object) -> object:
        nonlocal count
        count += 1
        if count == 12:
            raise error
        return plain(self, window)

    with monkeypatch.context() as patch:
        patch.setattr(Source, "read", failing)
        with pytest.raises(type(error)):
            refinement.refine(settings, dems.Heard())
    assert not Path(settings.output).exists()
    found = refinement.refine(settings, dems.Heard())
    assert found["tiles_kept"] > 3 and not unfinished(tmp_path)


def test_two_runs_on_one_output_do_not_meet(source: str, tmp_path: Path) -> None:
    settings = asked(source, tmp_path / "fine.tif")

    class Second(dems.Heard):
        said = ""

        def emit(self, event: dict) -> None:
            super().emit(event)
            if event["type"] == "progress" and event["text"].startswith("Tile 9 "):
                with pytest.raises(TerrainError) as caught:
                    refinement.refine(settings, dems.Heard())
                self.said = str(caught.value)

    heard = Second()
    refinement.refine(settings, heard)
    assert "is being written by another run" in heard.said
    assert not unfinished(tmp_path)


def test_a_killed_process_is_continued(source: str, tmp_path: Path) -> None:
    for folder in ("broken", "whole"):
        (tmp_path / folder).mkdir()
    broken, whole = (asked(source, tmp_path / name / "fine.tif") for name in ("broken", "whole"))
    journal = tmp_path / "broken" / ".fine.tif.journal"
    for lines in (3, 8):
        process = started(broken)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not Path(broken.output).exists()
    kept = refinement.refine(broken, dems.Heard())["tiles_kept"]
    refinement.refine(whole, dems.Heard())
    assert kept >= 7
    assert_same(broken, whole)


def started(settings: Settings) -> subprocess.Popen:
    """The command line in a process of its own."""
    named = ("input", "output", "difference", "provenance", "model", "scale", "memory_mb")
    values = [f"{name.upper()}={getattr(settings, name)}" for name in named]
    return subprocess.Popen(
        [sys.executable, str(DOOR), "superresolve", *values], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
