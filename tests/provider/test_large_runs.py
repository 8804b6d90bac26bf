"""What long runs of *Super-resolve DEM* need, in the real QGIS: going on after a kill, a cluster, the second pass."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from osgeo_utils.samples.validate_cloud_optimized_geotiff import validate

ID = "neuralterrain:superresolve"
LIMIT_S = 60


def cells(path: Path) -> np.ndarray:
    return gdal.Open(str(path)).ReadAsArray()


def arguments(dem: Path, output: Path, *more: str) -> list[str]:
    return [f"INPUT={dem}", f"OUTPUT={output}", "MODEL=baseline", *more]


def results(run: subprocess.CompletedProcess) -> dict:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout[run.stdout.index("{") :])["results"]


def wait_for(done) -> None:
    until_s = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, owner = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and owner == str(parent):
                found.append(int(folder.name))
    return found


# --- kills -----------------------------------------------------------------------------------------------------------

LONG = ("SCALE=4", "MEMORY=64", "COMPRESSION=DEFLATE")


@pytest.fixture(scope="module")
def large(tmp_path_factory, qgis_process):
    """A DEM that takes some seconds, and the heights of an unbroken run."""
    folder = tmp_path_factory.mktemp("large")
    row, column = np.mgrid[:400, :400]
    noise = np.random.default_rng(3).normal(0, 2, row.shape)
    file = gdal.GetDriverByName("GTiff").Create(str(folder / "dem.tif"), 400, 400, 1, gdal.GDT_Float32)
    file.SetGeoTransform((600000, 30, 0, 5200000, 0, -30))
    file.GetRasterBand(1).WriteArray((500 + 40 * np.sin(column / 5) * np.cos(row / 4) + noise).astype("float32"))
    del file
    run = qgis_process("run", ID, "--", *arguments(folder / "dem.tif", folder / "whole.tif", *LONG))
    assert run.returncode == 0, run.stderr
    return folder / "dem.tif", cells(folder / "whole.tif")


@pytest.fixture
def broken(large, qgis_environment, tmp_path):
    """Start the run and kill one of its processes once some tiles are finished; returns the output."""

    def kill(victim: str) -> Path:
        output = tmp_path / "fine.tif"
        journal = tmp_path / ".fine.tif.journal"
        command = [os.environ["QGIS_PROCESS"], "run", ID, "--", *arguments(large[0], output, *LONG)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=qgis_environment, **quiet) as process:
            wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 3)
            engines = children(process.pid)
            for number in engines if victim == "engine" else [process.pid]:
                os.kill(number, signal.SIGKILL)
        wait_for(lambda: not any(Path(f"/proc/{number}").exists() for number in engines))
        assert not output.exists()
        return output

    return kill


@pytest.mark.parametrize("resume", ["", "RESUME=false"])
def test_a_run_whose_engine_was_killed_is_continued_unless_told_otherwise(
    qgis_process, large, broken, tmp_path, resume
):
    output = broken("engine")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".fine.tif.part.tif", ".fine.tif.journal"}
    run = qgis_process("run", ID, "--", *arguments(large[0], output, *LONG, *filter(None, [resume])))
    assert run.returncode == 0, run.stderr
    assert ("An unfinished run is continued" in run.stdout + run.stderr) == (not resume)
    np.testing.assert_array_equal(cells(output), large[1])
    assert [path.name for path in tmp_path.iterdir()] == ["fine.tif"]


def test_after_a_kill_of_qgis_the_same_call_makes_the_result(qgis_process, large, broken, tmp_path):
    output = broken("QGIS")
    run = qgis_process("run", ID, "--", *arguments(large[0], output, *LONG))
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(cells(output), large[1])
    assert [path.name for path in tmp_path.iterdir()] == ["fine.tif"]


# --- the second pass -------------------------------------------------------------------------------------------------


def test_precision_is_that_of_the_model(qgis_process, write_dem, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", rows=30, columns=40)
    given = (f"INPUT={dem}", f"OUTPUT={tmp_path / 'fine.tif'}", "MODEL=field-small", "SCALE=2", "DEVICE=cpu")
    told = results(qgis_process("--json", "run", ID, "--", *given, "PRECISION=float32"))
    assert told["DEVICE_USED"] == "cpu (float32)"


def test_cog_layout_is_cloud_optimised_with_the_same_cells(qgis_process, write_dem, tmp_path):
    plain, cog, classes = (tmp_path / f"{name}.tif" for name in ("plain", "cog", "classes"))
    dem = write_dem(tmp_path / "dem.tif", rows=70, columns=80)
    results(qgis_process("--json", "run", ID, "--", *arguments(dem, plain, "SCALE=16")))
    more = ("SCALE=16", "LAYOUT=cog", f"PROVENANCE={classes}")
    told = results(qgis_process("--json", "run", ID, "--", *arguments(dem, cog, *more)))
    assert told["DEVICE_USED"] == "cpu (float64)"  # the baseline has one format only
    for path in (cog, classes):
        warnings, errors, _ = validate(str(path), full_check=True)
        assert not warnings and not errors, path
    np.testing.assert_array_equal(cells(cog), cells(plain))
    first, second = gdal.Open(str(plain)), gdal.Open(str(cog))
    assert second.GetRasterBand(1).GetOverviewCount() == 2 and first.GetGeoTransform() == second.GetGeoTransform()
    assert first.GetRasterBand(1).GetMetadata() == second.GetRasterBand(1).GetMetadata()
    names = {path.name for path in tmp_path.iterdir()} - {"dem.tif", "dem.tif.aux.xml"}
    assert names == {"plain.tif", "cog.tif", "classes.tif"}


# --- a cluster -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """File of a Dask scheduler with one worker, both in the engine's Python."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    shared = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    parts = [
        ["dask_scheduler", *shared, "--port", "0"],
        ["dask_worker", *shared, "--no-nanny", "--nthreads", "1", "--local-directory", str(folder)],
    ]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.environ["QGIS_PLUGINPATH"], "HOME": str(folder)}
    with contextlib.ExitStack() as stack, open(folder / "log", "wb") as log:
        for name, *options in parts:
            command = [os.environ["NEURAL_TERRAIN_PYTHON"], "-m", f"distributed.cli.{name}", *options]
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            stack.callback(process.kill)
            wait_for(file.exists)
        yield file


def test_workers_of_a_scheduler_make_the_same_heights(qgis_process, scheduler, dem, tmp_path):
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"
    results(qgis_process("--json", "run", ID, "--", *arguments(dem, here, "SCALE=16")))
    run = qgis_process("run", ID, "--", *arguments(dem, there, "SCALE=16", f"SCHEDULER={scheduler}"))
    assert run.returncode == 0 and "Dask workers: 1, threads: 1" in run.stdout + run.stderr, run.stderr
    np.testing.assert_array_equal(cells(there), cells(here))


def test_workers_of_a_scheduler_compare_with_the_same_figures(qgis_process, scheduler, dem, tmp_path):
    fine, found = tmp_path / "fine.tif", []
    results(qgis_process("--json", "run", ID, "--", *arguments(dem, fine, "SCALE=16")))
    for name, more in (("here", []), ("there", [f"SCHEDULER={scheduler}"])):
        values = [f"INPUT={dem}", f"REFERENCE={fine}", f"COARSE={dem}", f"DIFFERENCE={tmp_path / name}.tif", *more]
        run = qgis_process("--json", "run", "neuralterrain:comparedem", "--", *values)
        found.append({k: v for k, v in results(run).items() if k not in ("SECONDS", "DIFFERENCE")})
    assert found[0] == found[1] and found[0]["CELLS"] > 100_000
    np.testing.assert_array_equal(cells(tmp_path / "there.tif"), cells(tmp_path / "here.tif"))


def test_a_scheduler_out_of_reach_is_one_sentence(qgis_process, assert_refused, dem, tmp_path):
    address = "tcp://127.0.0.1:9"
    run = qgis_process("run", ID, "--", *arguments(dem, tmp_path / "fine.tif", f"SCHEDULER={address}"))
    assert_refused(run, f"The Dask scheduler {address} cannot be reached")
    assert {path.name for path in tmp_path.iterdir()} - {"dem.tif.aux.xml"} == {"dem.tif"}
