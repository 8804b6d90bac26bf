"""The engine's process: one job in, JSON lines out, and an end in time whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neural_terrain.tests import surfaces
from neural_terrain.tests.core import dems

ROOT = Path(__file__).resolve().parents[2]


def start(root: Path = ROOT, *arguments: str) -> subprocess.Popen:
    """The engine of a plugin folder, waiting for its job."""
    command = [sys.executable, "-I", str(root / "core" / "__main__.py"), *(arguments or ("engine",))]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")


def send(engine: subprocess.Popen, request: object) -> None:
    """Hand over the one request, or any other text."""
    text = request if isinstance(request, str) else json.dumps(request)
    engine.stdin.write(text + "\n")
    engine.stdin.flush()


def ask(request: object, root: Path = ROOT) -> tuple[int, list[dict], str]:
    """Exit code, events and stderr of one request, with stdin left open until the end."""
    with start(root) as engine:
        send(engine, request)
        lines = engine.stdout.read().splitlines()
        errors = engine.stderr.read()
    return engine.returncode, [json.loads(line) for line in lines], errors


def wait_for(engine: subprocess.Popen, text: str) -> None:
    """Read events until one contains ``text``."""
    for line in engine.stdout:
        if text in line:
            return
    pytest.fail(f"The engine ended before it said {text!r}: {engine.stderr.read()[-400:]}")


@pytest.fixture
def dem(tmp_path: Path) -> str:
    """A DEM that keeps the engine busy for many seconds at scale 16."""
    return dems.write(tmp_path / "dem.tif", surfaces.fractal((600, 600), 3).astype(np.float32))


def job(dem: str, output: Path, **values: object) -> dict:
    """A request for *Super-resolve DEM*."""
    settings = {"input": dem, "output": str(output), "model": "baseline", "device": "cpu", **values}
    return {"job": "superresolve", "settings": settings}


def left_in(folder: Path) -> list[str]:
    """Names in a folder, hidden ones included."""
    return sorted(os.listdir(folder))


def test_a_result_ends_the_events(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "small.tif", surfaces.fractal((20, 30), 1).astype(np.float32))
    code, events, _ = ask(job(source, Path(out), scale=2))
    assert code == 0
    assert events[-1]["type"] == "result"
    assert (events[-1]["values"]["rows"], events[-1]["values"]["columns"]) == (40, 60)
    fractions = [event["fraction"] for event in events if event["type"] == "progress"]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ("no json", "was not given a job"),
        ("", "was not given a job"),
        ({"job": "dig", "settings": {}}, "the jobs are superresolve"),
        (
            {"job": "superresolve", "settings": {"input": "a.tif", "output": "b.tif", "depth": 3}},
            "Unknown setting depth",
        ),
        ({"job": "superresolve", "settings": {"input": "none.tif", "output": "b.tif"}}, "cannot be opened"),
    ],
)
def test_a_bad_request_is_one_sentence(request_: object, says: str) -> None:
    code, events, errors = ask(request_)
    assert code == 1
    assert events[-1]["type"] == "error"
    assert events[-1]["kind"] == "TerrainError"
    assert says in events[-1]["message"]
    assert "Traceback" not in errors


@pytest.mark.parametrize("how", ["cancel", "closed stdin"])
def test_a_run_that_is_to_end_is_gone_within_two_seconds_and_leaves_nothing(dem: str, out: str, how: str) -> None:
    Path(out).write_text("old", encoding="utf-8")
    with start() as engine:
        send(engine, job(dem, Path(out), scale=16))
        wait_for(engine, "Tile ")
        if how == "cancel":
            send(engine, "cancel")
        else:
            engine.stdin.close()
        asked_s = time.monotonic()
        engine.stdout.read()
        assert engine.wait(10) == 3
        assert time.monotonic() - asked_s < 2
    assert left_in(Path(out).parent) == ["fine.tif"]
    assert Path(out).read_text(encoding="utf-8") == "old"


def test_a_killed_engine_leaves_the_old_output_and_the_next_run_cleans_up(dem: str, out: str) -> None:
    Path(out).write_text("old", encoding="utf-8")
    with start() as engine:
        send(engine, job(dem, Path(out), scale=16))
        wait_for(engine, "Tile ")
        engine.kill()
    assert Path(out).read_text(encoding="utf-8") == "old"
    code, _, _ = ask(job(dem, Path(out), scale=1))
    assert code == 0
    assert left_in(Path(out).parent) == ["fine.tif"]


def test_the_folder_may_have_any_name(tmp_path: Path, out: str) -> None:
    """A renamed copy is loaded as ``neural_terrain`` all the same."""
    root = tmp_path / "xyz-1.0 (copy)"
    for part in ("core", "resources/models"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "metadata.txt"):
        shutil.copy(ROOT / name, root / name)
    source = dems.write(tmp_path / "small.tif", surfaces.fractal((20, 30), 1).astype(np.float32))
    code, events, errors = ask(job(source, Path(out), scale=2), root)
    assert (code, errors) == (0, "")
    assert events[-1]["values"]["rows"] == 40


def engine_that_runs(work: str) -> list[str]:
    """Command of an engine whose every job is the expression ``work``."""
    program = (
        "import importlib.util as u, os, sys, time, pathlib;"
        f"s = u.spec_from_file_location('door', {str(ROOT / 'core' / '__main__.py')!r});"
        "d = u.module_from_spec(s); s.loader.exec_module(d); d.load_root();"
        "from neural_terrain.core import grid, raster, worker;"
        f"worker._run_request = lambda request, progress: {work};"
        "sys.exit(worker.serve())"
    )
    return [sys.executable, "-c", program]


def test_what_libraries_print_does_not_disturb_the_events() -> None:
    """File descriptor 1 is stderr while a job runs; GDAL and torch may print what they like."""
    command = engine_that_runs("(os.write(1, b'noise\\n'), print('more noise'), {'good': 1})[-1]")
    ended = subprocess.run(command, input="{}\n", capture_output=True, text=True, check=False)
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [{"type": "result", "values": {"good": 1}}]
    assert "noise" in ended.stderr


def test_a_job_that_does_not_listen_is_ended_and_its_file_removed(tmp_path: Path) -> None:
    """As when one tile takes longer than the grace that a cancel gives."""
    sink = f"raster.Sink({str(tmp_path / 'fine.tif')!r}, grid.Grid(9, 9, 0, 0, 1, 1), raster.Writing())"
    busy = f"(sink := {sink}, print(os.listdir({str(tmp_path)!r}), flush=True), time.sleep(30))"
    with subprocess.Popen(
        engine_that_runs(busy), stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        send(engine, {})
        assert ".fine.tif.part.tif" in engine.stderr.readline()
        asked_s = time.monotonic()
        send(engine, "cancel")
        assert engine.wait(10) == 3
        assert time.monotonic() - asked_s < 2
    assert os.listdir(tmp_path) == []


def test_people_use_the_same_jobs_from_a_shell(tmp_path: Path, out: str) -> None:
    source = dems.write(tmp_path / "small.tif", surfaces.fractal((20, 30), 1).astype(np.float32))
    engine = start(ROOT, "superresolve", f"INPUT={source}", f"OUTPUT={out}", "SCALE=2", "MODEL=baseline")
    answer, _ = engine.communicate(timeout=60)
    assert engine.returncode == 0
    assert json.loads(answer)["rows"] == 40


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["superresolve", "INPUT"], "is not KEY=VALUE"),
        (["superresolve", "INPUT=a.tif", "OUTPUT=b.tif", "SCALE=four"], "SCALE is 'four'"),
        (["dig"], "Unknown job 'dig'"),
        (["train", "one"], "three paths; 1 were given"),
    ],
)
def test_a_bad_command_line_is_one_sentence(arguments: list[str], says: str) -> None:
    engine = start(ROOT, *arguments)
    _, errors = engine.communicate(timeout=60)
    assert engine.returncode == 1
    assert says in errors
    assert "Traceback" not in errors


def test_the_probe_names_versions_and_devices() -> None:
    engine = start(ROOT, "probe")
    answer, _ = engine.communicate(timeout=120)
    values = json.loads(answer)["values"]
    assert values["packages"].keys() >= {"torch", "rasterio", "dask", "numpy"}
    assert values["devices"][0] == "cpu"


def test_a_terminated_engine_leaves_the_old_output(dem: str, out: str) -> None:
    Path(out).write_bytes(b"old")
    with start() as engine:
        send(engine, job(dem, Path(out), scale=16))
        wait_for(engine, "Tile")
        engine.terminate()
        engine.wait(10)
    assert Path(out).read_bytes() == b"old"


def test_the_folder_may_be_a_link(tmp_path: Path, out: str) -> None:
    (tmp_path / "xyz-1.0").symlink_to(ROOT)
    small = dems.write(tmp_path / "dem.tif", surfaces.fractal((20, 20), 3).astype(np.float32))
    code, events, errors = ask(job(small, Path(out)), tmp_path / "xyz-1.0")
    assert (code, events[-1]["type"]) == (0, "result"), errors
