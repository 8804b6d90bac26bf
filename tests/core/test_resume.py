"""A run that ended early is continued by the next one, and nobody can tell from the result."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from neural_terrain.core import journal, raster, refinement
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.jobs.superresolve import Settings
from neural_terrain.core.raster import Source
from neural_terrain.core.refinement import forecast, outputs
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


OTHERS = [
    ({"scale": 15}, "grid and tiles .MEMORY."),
    ({"voids": "fill"}, "VOIDS"),
    ({"compression": "DEFLATE"}, "COMPRESSION"),
    ({"model": "field-small"}, "model and tiles .MEMORY. and device or number format"),
]


@pytest.mark.parametrize(("other", "name"), OTHERS)
def test_short_work_that_differs_is_dropped_and_what_differs_is_named(
    source: str, tmp_path: Path, other: dict, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "fine.tif"
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "WORTH_KEEPING_S", -1.0)
        broken_off(asked(source, out))
    heard = dems.Heard()
    assert refinement.refine(asked(source, out, **other), heard)["tiles_kept"] == 0
    assert any(re.search(f"differs from this one in its {name};", text) for text in heard.texts("info"))


@pytest.mark.usefixtures("keep_everything")
@pytest.mark.parametrize(("other", "name"), OTHERS[:2])
def test_long_work_is_not_dropped_for_a_slip_in_the_settings(
    source: str, tmp_path: Path, other: dict, name: str
) -> None:
    out = tmp_path / "fine.tif"
    broken_off(asked(source, out))
    with pytest.raises(
        TerrainError, match=f"unfinished run .* differs from this one in its {name}; repeat it as it was"
    ):
        refinement.refine(asked(source, out, **other), dems.Heard())
    assert refinement.refine(asked(source, out, memory_mb=65), dems.Heard())["tiles_kept"] > 3  # moves no cell


@pytest.mark.usefixtures("keep_everything")
def test_a_look_at_the_input_costs_nothing(source: str, tmp_path: Path) -> None:
    """QGIS writes statistics beside a file, and into a VRT."""
    mosaic = str(tmp_path / "mosaic.vrt")
    rasterio.shutil.copy(source, mosaic, driver="VRT")
    settings = asked(mosaic, tmp_path / "fine.tif")
    broken_off(settings)
    Path(f"{source}.aux.xml").write_text("<PAMDataset></PAMDataset>")
    noted = '<Metadata><MDI key="STATISTICS_MAXIMUM">1</MDI></Metadata></VRTRasterBand>'
    Path(mosaic).write_text(Path(mosaic).read_text().replace("</VRTRasterBand>", noted))
    assert refinement.refine(settings, dems.Heard())["tiles_kept"] > 3


@pytest.mark.usefixtures("keep_everything")
def test_a_changed_file_behind_a_mosaic_or_in_an_archive_begins_anew(source: str, tmp_path: Path) -> None:
    mosaic, outer, archive = (str(tmp_path / name) for name in ("mosaic.vrt", "outer.vrt", "dem.zip"))
    rasterio.shutil.copy(source, mosaic, driver="VRT")
    rasterio.shutil.copy(mosaic, outer, driver="VRT")
    zipped(source, archive)
    runs = [asked(outer, tmp_path / "v.tif"), asked(f"/vsizip/{archive}/dem.tif", tmp_path / "z.tif", difference="")]
    for settings in runs:
        broken_off(settings)
    assert refinement.refine(runs[1], dems.Heard())["tiles_kept"] > 3
    broken_off(runs[1])
    dems.write(Path(source), surfaces.fractal((100, 110), 6).astype(np.float32), nodata=-9999)
    zipped(source, archive)
    for settings in runs:
        assert refinement.refine(settings, dems.Heard())["tiles_kept"] == 0


def zipped(source: str, archive: str) -> None:
    with zipfile.ZipFile(archive, "w") as file:
        file.write(source, "dem.tif")


@pytest.mark.parametrize("is_zipped", [False, True])
def test_an_input_that_changes_during_the_run_makes_no_result(source: str, tmp_path: Path, is_zipped: bool) -> None:
    archive = str(tmp_path / "dem.zip")
    zipped(source, archive)

    class Changing(dems.Heard):
        def emit(self, event: dict) -> None:
            super().emit(event)
            if event["type"] == "progress" and event["text"].startswith("Tile 9 "):
                dems.write(Path(source), surfaces.fractal((100, 110), 6).astype(np.float32), nodata=-9999)
                zipped(source, archive)

    with pytest.raises(TerrainError, match="was changed during the run"):
        refinement.refine(asked(f"/vsizip/{archive}/dem.tif" if is_zipped else source, tmp_path / "f.tif"), Changing())
    assert not (tmp_path / "f.tif").exists() and not unfinished(tmp_path)


@pytest.mark.usefixtures("keep_everything")
def test_a_run_that_is_ended_while_it_looks_at_finished_tiles_keeps_them(source: str, tmp_path: Path) -> None:
    settings = asked(source, tmp_path / "fine.tif")
    broken_off(settings)

    class Ended(dems.Heard):
        def emit(self, event: dict) -> None:
            super().emit(event)
            if event["type"] == "progress" and "finished tiles" in event["text"]:
                raster.abandon_unfinished()
                journal.abandon_unfinished()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refinement.refine(settings, Ended())
    assert refinement.refine(settings, dems.Heard())["tiles_kept"] > 3


@pytest.mark.usefixtures("keep_everything")
def test_only_what_is_left_must_find_room(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, asked_for = asked(source, tmp_path / "fine.tif"), []
    monkeypatch.setattr(forecast, "FEWEST_ROUNDS", 2)
    monkeypatch.setattr(outputs.Outputs, "refuse_small_disk", lambda _, sizes: asked_for.append(sizes))
    broken_off(settings, stop_at=10)
    refinement.refine(settings, dems.Heard())
    assert len(asked_for) == 2 and asked_for[1]["output"] < 0.7 * asked_for[0]["output"]
    broken_off(replace(settings, layout="cog", resume=False), stop_at=10)
    assert asked_for[2]["output"] > 2 * asked_for[0]["output"]  # the second pass needs room too


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
