"""The one door to other processes: clean variables, live lines, cancel, crashes explained, the right interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from neural_terrain.core import lock
from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.processing_provider import engine

GOOD = 'print(\'{"type": "result", "values": {"answer": 42}}\', flush=True)'


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Make an engine of a few lines; returns the interpreter to hand to ``run_job``."""

    def make(lines: str) -> engine.Interpreter:
        script = tmp_path / "fake_engine.py"
        script.write_text("import json, os, sys, time\n" + textwrap.dedent(lines), encoding="utf-8")
        monkeypatch.setattr(engine, "_command", lambda path, verb: [str(path), "-I", "-u", str(script), verb])
        return engine.Interpreter(Path(sys.executable), "variable")

    return make


@pytest.fixture
def private_home(monkeypatch, tmp_path):
    monkeypatch.setenv(engine.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(number: int, limit_s: float) -> bool:
    until_s = time.monotonic() + limit_s
    while is_alive(number) and time.monotonic() < until_s:
        time.sleep(0.02)
    return not is_alive(number)


# Variables


def test_the_child_inherits_nothing_that_breaks_another_python(monkeypatch):
    harmful = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONUSERBASE", "VIRTUAL_ENV", "PROJ_LIB", "GDAL_DATA",
               "PROJ_DATA", "GDAL_DRIVER_PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PIP_INDEX_URL",
               "SSL_CERT_FILE")  # fmt: skip
    for name in harmful:
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", "/")
    monkeypatch.setenv("NEURAL_TERRAIN_MODELS", "/models")
    kept = engine.clean_environment()
    assert not set(harmful) & set(kept)
    assert kept["NEURAL_TERRAIN_MODELS"] == "/models" and kept["SSL_CERT_DIR"] == "/" and "PATH" in kept
    assert engine.clean_environment(pip=True)["PIP_INDEX_URL"] == "/nowhere"


# Streaming


def test_stream_hands_on_both_outputs_and_the_exit_code():
    lines: list[str] = []
    script = "import sys; print('one', flush=True); print('zwölf', file=sys.stderr); sys.exit(int(input()))"
    code = engine.stream([sys.executable, "-X", "utf8", "-c", script], lines.append, stdin_text="5\n")
    assert code == 5 and sorted(lines) == ["one", "zwölf"]


def test_stream_ends_the_whole_tree_within_two_seconds(tmp_path):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(0, flush=True); time.sleep(60)"
    script = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {deaf!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
child.wait()
"""
    lines: list[str] = []
    heard: list[float] = []

    def cancelled() -> bool:
        if lines and not heard:
            heard.append(time.monotonic())
        return bool(lines)

    code = engine.stream([sys.executable, "-c", script], lines.append, cancelled)
    assert time.monotonic() - heard[0] < 2 and code != 0
    assert all(gone_within(int(number), 0.5) for number in lines[0].split())


def test_a_program_that_cannot_start_is_one_sentence():
    with pytest.raises(TerrainError, match=r"^/no/such/python could not be started \(No such file or directory\)"):
        engine.stream(["/no/such/python"], print)


# Jobs


def test_a_job_relays_events_and_returns_the_result(fake):
    events: list[dict] = []
    interpreter = fake("""
        request = json.loads(input())
        print(json.dumps({"type": "progress", "fraction": 0.5, "text": request["job"]}))
        print("plain words")
        print("a complaint", file=sys.stderr)
        print(json.dumps({"type": "warning", "text": "beware"}))
        print(json.dumps({"type": "result", "values": request["settings"]}))
    """)
    assert engine.run_job("name", {"size": 3, "place": "Zürich"}, events.append, interpreter=interpreter) == {
        "size": 3,
        "place": "Zürich",
    }
    assert {"type": "progress", "fraction": 0.5, "text": "name"} in events
    assert {"type": "warning", "text": "beware"} in events
    assert {"plain words", "a complaint"} == {event["text"] for event in events if event["type"] == "log"}


def test_a_refusal_of_the_job_comes_out_as_it_is(fake):
    interpreter = fake("""
        print(json.dumps({"type": "error", "kind": "TerrainError", "message": "Too steep; flatten it."}))
        sys.exit(1)
    """)
    with pytest.raises(TerrainError, match=r"^Too steep; flatten it\.$"):
        engine.run_job("name", {}, interpreter=interpreter)


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("os.kill(os.getpid(), 9)", "it was killed, most likely because the computer ran out of memory"),
        ("os.kill(os.getpid(), 11)", "it crashed (segmentation fault)"),
        ("os._exit(7)", "exit code 7"),
        ("os._exit(0)", "exit code 0"),
    ],
)
def test_a_dead_engine_is_explained_with_its_last_words(fake, ending, words):
    interpreter = fake(f"input(); print('the dog ate it', file=sys.stderr, flush=True); {ending}")
    with pytest.raises(TerrainError) as caught:
        engine.run_job("name", {}, interpreter=interpreter)
    assert words in str(caught.value) and "Its last words were: the dog ate it" in str(caught.value)


def test_windows_codes_are_explained():
    assert "access violation" in engine.explain_exit(3221225477, [])
    assert "fell silent" in engine.explain_exit(None, [])


def test_a_result_counts_even_if_the_engine_crashes_while_ending(fake):
    assert engine.run_job("name", {}, interpreter=fake(f"{GOOD}; os.kill(os.getpid(), 11)")) == {"answer": 42}


@pytest.mark.parametrize("obedient", [True, False])
def test_cancel_ends_the_engine_within_two_seconds_and_removes_its_files(fake, tmp_path, obedient):
    interpreter = fake(f"""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        output = json.loads(input())["settings"]["output"]
        part = os.path.join(os.path.dirname(output), ".fine.tif.part.tif")
        open(part, "w").close()
        print(json.dumps({{"type": "info", "text": str(os.getpid())}}))
        while {obedient} and input() != "cancel":
            pass
        if not {obedient}:
            time.sleep(60)
        print(json.dumps({{"type": "info", "text": "3 of 8 tiles are kept."}}))
        print(json.dumps({{"type": "cancelled"}}))
        sys.exit(3)
    """)
    events: list[dict] = []
    heard: list[float] = []

    def cancelled() -> bool:
        if events and not heard:
            heard.append(time.monotonic())
        return bool(events)

    with pytest.raises(Cancelled):
        engine.run_job("name", {"output": str(tmp_path / "fine.tif")}, events.append, cancelled, interpreter)
    assert time.monotonic() - heard[0] < 2
    assert gone_within(int(events[0]["text"]), 0.3)
    assert [event["text"] for event in events[1:]] == (["3 of 8 tiles are kept."] if obedient else [])
    assert not list(tmp_path.glob(".fine*"))


UNFINISHED = ["part.tif", "part.tif.aux.xml", "part.tif.ovr.tmp", "layout.tif", "layout.tif.ovr.tmp", "layout.tfw"]


@pytest.mark.parametrize(
    ("journals", "locked", "left"),
    [
        ([], [], []),
        ([".fine.tif.journal"], [], ["fine", "beside", "last"]),
        ([".beside.tif.journal"], [], ["beside"]),
        ([], ["beside"], ["beside"]),
    ],
)
def test_a_killed_engine_leaves_only_what_a_later_run_can_use(fake, tmp_path, journals, locked, left):
    """Of a job without a journal nothing is left but what another engine is writing."""
    folder = tmp_path / "my [results]"
    folder.mkdir()
    parts = {name: {f".{name}.tif.{end}" for end in UNFINISHED} for name in ("fine", "beside", "last")}
    others = {"fine.tif", ".fine.tif2.part.tif", ".finer.tif.part.tif", *journals}
    for name in [*others, *(part for names in parts.values() for part in names)]:
        (folder / name).write_bytes(b"x")
    interpreter = fake("os.kill(os.getpid(), 9)")
    settings = {"input": "/", "crs": "x" * 5000, "scale": 4.0}
    settings.update(output=str(folder / "fine.tif"), difference=str(folder / "beside.tif"))
    settings.update(provenance=str(folder / "last.tif"), uncertainty=str(tmp_path / "none" / "a.tif"))
    files = [lock.open_locked(folder / f".{name}.tif.part.tif", folder) for name in locked]
    with pytest.raises(TerrainError, match="killed"):
        engine.run_job("name", settings, interpreter=interpreter)
    assert set(os.listdir(folder)) == others.union(*(parts[name] for name in left))
    for file in files:
        file.close()


def test_a_killed_engine_leaves_nothing_beside_a_mesh(fake, tmp_path):
    """What it wrote aside carries the owner that it was told, whatever its number; that of another engine stays."""
    folder = tmp_path / "my [results]"
    folder.mkdir()
    (folder / ".mesh.1.2.part.nc").write_bytes(b"another engine's")
    interpreter = fake(f"""
        owner = json.loads(sys.stdin.readline())["owner"]
        beside = os.path.join({str(folder)!r}, f".mesh.{{owner}}.{{os.getpid() + 1}}.")  # as behind a launcher
        open(beside + "part.nc", "w").close()
        os.mkdir(beside + "tmp")
        open(os.path.join(beside + "tmp", "finer.tif"), "w").close()
        os.kill(os.getpid(), 9)
    """)
    with pytest.raises(TerrainError, match="killed"):
        engine.run_job("name", {"output": str(folder / "mesh.nc")}, interpreter=interpreter)
    assert os.listdir(folder) == [".mesh.1.2.part.nc"]


def test_a_cancel_does_not_wait_for_an_engine_that_cannot_be_killed(fake, tmp_path, monkeypatch):
    """A process that hangs in a dead network disk gets its signals when the disk comes back."""
    hung: list[engine._Child] = []
    monkeypatch.setattr(engine._Child, "_signal", lambda self, number: hung.append(self))
    interpreter = fake(f"""
        part = open({str(tmp_path / ".fine.tif.part.tif")!r}, "w")
        __import__("fcntl").flock(part, 2)
        print(json.dumps({{"type": "info", "text": str(os.getpid())}}))
        time.sleep(10)
    """)
    events: list[dict] = []
    with pytest.raises(Cancelled):
        engine.run_job("name", {"output": str(tmp_path / "fine.tif")}, events.append, lambda: bool(events), interpreter)
    number = int(events[0]["text"])
    assert is_alive(number) and (tmp_path / ".fine.tif.part.tif").exists()
    os.kill(number, signal.SIGKILL)
    assert hung[0].wait(5) == -signal.SIGKILL


def test_the_real_engine_ends_when_its_parent_is_killed(tmp_path, write_dem):
    """The parent gets no chance to clean up, as when somebody kills qgis_process."""
    dem = write_dem(tmp_path / "large.tif", rows=700, columns=700)
    settings = {"input": str(dem), "output": str(tmp_path / "fine.tif"), "scale": 16.0, "model": "baseline"}
    script = f"""
import sys
sys.path.insert(0, {os.environ["QGIS_PLUGINPATH"]!r})
from pathlib import Path
from neural_terrain.processing_provider import engine
python = engine.Interpreter(Path({os.environ["NEURAL_TERRAIN_PYTHON"]!r}), "variable")
engine.run_job("superresolve", {settings!r}, lambda event: print(event, flush=True), interpreter=python)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        parent.stdout.readline()
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.send_signal(signal.SIGKILL)
    assert len(children) == 1
    assert gone_within(int(children[0]), 4)
    assert not (tmp_path / "fine.tif").exists() and not list(tmp_path.glob(".fine*"))


# The interpreter


def test_the_named_python_is_found_and_remembered_without_a_second_process(monkeypatch, private_home):
    monkeypatch.setenv(engine.PYTHON_VARIABLE, os.environ["NEURAL_TERRAIN_PYTHON"])
    found = engine.find_interpreter()
    assert found.origin == "variable" and "torch" in found.report["packages"] and found.rejected == ()
    monkeypatch.setattr(engine, "stream", lambda *_: pytest.fail("a process was started"))
    assert engine.find_interpreter() == found
    assert engine.why_not_ready() == "" and "cpu" in engine.known_devices()


def test_a_stamp_is_void_when_the_interpreter_changes(monkeypatch, private_home, tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho \'{"type": "result", "values": {"devices": ["cpu"]}}\'\n')
    python.chmod(0o755)
    monkeypatch.setenv(engine.PYTHON_VARIABLE, str(python))
    assert engine.find_interpreter().path == python
    python.write_text("#!/bin/sh\nexit 3\n")
    os.utime(python, (1, 1))
    monkeypatch.setattr(engine, "own_python", lambda: None)
    with pytest.raises(TerrainError, match="exit code 3"):
        engine.find_interpreter()


def test_a_named_python_that_fails_is_passed_over_and_told(monkeypatch, private_home, fake):
    monkeypatch.setenv(engine.PYTHON_VARIABLE, "/no/python")
    fake(GOOD)
    found = engine.find_interpreter()
    assert found.origin == "qgis"
    assert found.rejected == (
        "The Python named by NEURAL_TERRAIN_PYTHON, /no/python, cannot run the engine: there is no such file.",
    )
    events: list[dict] = []
    assert engine.run_job("name", {}, events.append, interpreter=found) == {"answer": 42}
    assert events[0]["type"] == "warning" and "/no/python" in events[0]["text"]


def test_a_probe_can_be_cancelled(monkeypatch, private_home, fake):
    monkeypatch.setenv(engine.PYTHON_VARIABLE, sys.executable)
    fake("time.sleep(60)")
    begun_s = time.monotonic()
    with pytest.raises(Cancelled):
        engine.find_interpreter(cancelled=lambda: time.monotonic() - begun_s > 0.3)
    assert time.monotonic() - begun_s < 2.3


def test_the_managed_environment_comes_after_the_named_ones(monkeypatch, private_home, tmp_path):
    managed = engine.python_of(engine.managed_folder())
    managed.parent.mkdir(parents=True)
    managed.touch()
    monkeypatch.setenv(engine.PYTHON_VARIABLE, str(tmp_path / "python"))
    monkeypatch.setattr(engine, "_user_setting", lambda: str(tmp_path / "mine"))
    assert [origin for origin, _ in engine.candidates()] == ["setting", "variable", "managed", "qgis"]
    assert str(managed).startswith(str(private_home))


def test_menus_ask_without_starting_a_process(monkeypatch, private_home):
    monkeypatch.delenv(engine.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(engine, "_user_setting", lambda: "")
    started: list[list[str]] = []
    monkeypatch.setattr(engine, "stream", lambda command, *_: started.append(command) or 1)
    assert engine.why_not_ready() == "" and started == []  # nothing known yet: let the run find out
    with pytest.raises(TerrainError, match="No engine is set up yet"):
        engine.find_interpreter()
    started.clear()
    assert "Set up engine..." in engine.why_not_ready() and started == []
