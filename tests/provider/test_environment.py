"""The managed environment, made for real from tiny wheels: finished or not there, and plain words for failures."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from neural_terrain.core.errors import Cancelled, TerrainError
from neural_terrain.core.progress import CallbackProgress
from neural_terrain.processing_provider import basepython, engine, environment, packages
from neural_terrain.processing_provider.environment import Order, Recipe
from neural_terrain.tests.wheelhouse import make_index, make_wheel, make_wheels, pins

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/whl/cpu"
"""An index that refuses at once: nothing listens on the discard port."""


class Recorder(CallbackProgress):
    """Progress that keeps what was said and is cancelled at a given moment."""

    def __init__(self, stop_at: str = "(never)") -> None:
        self.texts: list[str] = []
        self.fractions: list[float] = []
        self.stopped_s = 0.0
        self._stop_at = stop_at
        super().__init__(self._keep, lambda: self.stopped_s > 0)

    def _keep(self, event: dict) -> None:
        self.texts.append(event["text"])
        if event["type"] == "progress":
            self.fractions.append(event["fraction"])
        if self._stop_at in event["text"] and not self.stopped_s:
            self.stopped_s = time.monotonic()


@pytest.fixture(autouse=True)
def plain_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this computer's pip settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> tuple[environment.State, Recorder]:
    """A finished environment and what was said while it was made."""
    progress = Recorder()
    folder = tmp_path_factory.mktemp("data") / "with space" / "engine"
    return environment.create(Recipe(folder, Order(wheels=str(wheels))), progress), progress


@pytest.fixture
def copied(made: tuple[environment.State, Recorder], tmp_path: Path) -> Path:
    """A copy of the finished environment, to be spoilt."""
    folder = tmp_path / "engine"
    shutil.copytree(made[0].folder, folder, symlinks=True)
    return folder


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


# --- making ----------------------------------------------------------------------------------------------------------


def test_a_set_up_from_wheels_gives_a_working_engine(made: tuple[environment.State, Recorder]) -> None:
    state, progress = made
    assert state.finished
    assert engine.probe(state.python)["packages"] == pins()
    assert state.record["kind"] == "cpu"
    assert state.record["source"].startswith("the folder ")
    assert progress.fractions == sorted(progress.fractions)
    assert progress.fractions[-1] == 1.0
    assert beside(state.folder) == ["engine"]


def test_scripts_name_the_final_folder(made: tuple[environment.State, Recorder]) -> None:
    scripts = engine.python_of(made[0].folder).parent
    for script in (path for path in scripts.iterdir() if path.is_file() and not path.is_symlink()):
        assert b"engine.new" not in script.read_bytes()


def test_a_cancelled_set_up_ends_at_once_and_leaves_the_old_one(copied: Path, wheels: Path) -> None:
    before = (copied / environment.RECORD).read_text()
    progress = Recorder(stop_at="PyTorch is taken")
    with pytest.raises(Cancelled):
        environment.create(Recipe(copied, Order(wheels=str(wheels))), progress)
    assert time.monotonic() - progress.stopped_s < 2.0
    assert beside(copied)[:1] == ["engine"]
    assert not [name for name in beside(copied) if name.startswith("engine.")]
    assert (copied / environment.RECORD).read_text() == before


def test_a_missing_wheel_is_named_and_nothing_stays(tmp_path: Path) -> None:
    house = make_wheels(tmp_path / "wheels", without="shapely")
    folder = tmp_path / "data" / "engine"
    with pytest.raises(TerrainError, match=r"folder .*wheels has no fitting wheel of shapely") as caught:
        environment.create(Recipe(folder, Order(wheels=str(house))), Recorder())
    assert str(caught.value).endswith(".")
    assert beside(folder) == []


def test_a_set_up_that_was_killed_is_cleared_up_and_the_old_one_returns(copied: Path, tmp_path: Path) -> None:
    old, fresh = (copied.with_name(f"engine.{suffix}") for suffix in ("old", "new"))
    copied.rename(old)
    (fresh / "bin").mkdir(parents=True)
    assert not environment.inspect(copied).finished
    house = make_wheels(tmp_path / "wheels", without="torch")
    with pytest.raises(TerrainError, match="torch"):
        environment.create(Recipe(copied, Order(wheels=str(house))), Recorder())
    assert environment.inspect(copied).finished
    assert not old.exists()
    assert not fresh.exists()


def test_two_set_ups_of_one_folder_do_not_meet(tmp_path: Path, wheels: Path) -> None:
    recipe = Recipe(tmp_path / "engine", Order(wheels=str(wheels)))
    with environment._locked(recipe.folder), pytest.raises(TerrainError, match="by another window"):
        environment.create(recipe, Recorder())


def test_a_full_disk_is_told_before_anything_is_made(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(tmp_path / "data" / "engine", Order(wheels=str(wheels)))
    monkeypatch.setitem(environment.NEEDED_MB, "cpu", 10**9)
    with pytest.raises(TerrainError, match=r"MB free; the engine needs 1000000000 MB\. Free some space"):
        environment.create(recipe, Recorder())
    assert beside(recipe.folder) == []


# --- states ----------------------------------------------------------------------------------------------------------


def test_an_unfinished_environment_is_not_accepted(copied: Path) -> None:
    (copied / environment.RECORD).unlink()
    state = environment.inspect(copied)
    assert not state.finished
    assert "incomplete" in state.trouble


def test_another_plugin_version_asks_for_a_repair(copied: Path, tmp_path: Path) -> None:
    newer = tmp_path / "requirements.txt"
    newer.write_text("torch==9.9\n")
    assert environment.inspect(copied).finished
    assert "another plugin version" in environment.inspect(copied, newer).trouble


def test_repair_mends_a_broken_package_and_leaves_a_whole_environment_alone(copied: Path, wheels: Path) -> None:
    recipe = Recipe(copied, Order(wheels=str(wheels)))
    progress = Recorder()
    inode = copied.stat().st_ino
    environment.repair(recipe, progress)
    assert "there is nothing to repair" in " ".join(progress.texts)
    assert copied.stat().st_ino == inode
    for package in copied.glob("lib/python3*/site-packages/dask"):
        shutil.rmtree(package)
    progress = Recorder()
    assert environment.repair(recipe, progress).finished
    assert "cannot import dask" in " ".join(progress.texts)
    assert engine.probe(engine.python_of(copied))["packages"]["dask"] == pins()["dask"]


def test_remove_takes_environments_only(copied: Path, tmp_path: Path) -> None:
    environment.remove(copied, Recorder())
    assert beside(copied) == []
    environment.remove(copied, Recorder())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(TerrainError, match="is no engine environment"):
        environment.remove(tmp_path / "mine", Recorder())
    with pytest.raises(TerrainError, match="holds other files"):
        Recipe(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").exists()


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order(kind="rocm"), "it can be cpu or cuda"),
        (Order(wheels=os.devnull), "holds no wheels"),
        (Order(torch_index="download.pytorch.org"), "must start with https"),
        (Order(torch_index="https://download.pytorch.org/whl/cu130"), "has no builds for cpu"),
    ],
)
def test_an_order_that_cannot_be_right_is_refused(order: Order, said: str, tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match=said):
        Recipe(tmp_path / "engine", order)


# --- where PyTorch comes from ----------------------------------------------------------------------------------------


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Serve a folder on this computer; gives its address."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def index_of(folder: Path, wheels: Path, torch_tag: str, needs: tuple[str, ...] = ()) -> Path:
    """A package index of all packages, with one build of PyTorch."""
    others = [path for path in wheels.glob("*.whl") if not path.name.startswith("torch-")]
    torch = make_wheel(folder / "torch wheel", "torch", pins()["torch"] + torch_tag, needs)
    return make_index(folder / "simple", [*others, torch])


def test_pytorch_comes_from_its_index_when_that_answers(
    tmp_path: Path, wheels: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", serve(index_of(tmp_path / "general", wheels, "", ("nvidia-cublas",))))
    own = serve(index_of(tmp_path / "own", wheels, "+cpu"))
    progress = Recorder()
    state = environment.create(Recipe(tmp_path / "data" / "engine", Order(torch_index=own)), progress)
    assert state.record["source"] == f"the index {own}"
    assert state.record["packages"]["torch"].endswith("+cpu")
    assert progress.warnings == []


def test_without_its_index_the_configured_one_serves_and_is_named(
    tmp_path: Path, wheels: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", serve(index_of(tmp_path / "general", wheels, "")))
    progress = Recorder()
    state = environment.create(Recipe(tmp_path / "data" / "engine", Order(torch_index=NOWHERE)), progress)
    assert state.record["source"] == packages.CONFIGURED_INDEX
    assert re.search(r"127.0.0.1:9/whl/cpu was not reached .* configured for pip is used instead", progress.warnings[0])


def test_cuda_does_not_come_by_accident(
    tmp_path: Path, wheels: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    general = index_of(tmp_path / "general", wheels, "", ("nvidia-cublas",))
    make_index(general, [make_wheel(tmp_path / "more", "nvidia_cublas", "1.0")])
    (general / "nvidia_cublas").rename(general / "nvidia-cublas")
    monkeypatch.setenv("PIP_INDEX_URL", serve(general))
    folder = tmp_path / "data" / "engine"
    with pytest.raises(TerrainError, match="offers PyTorch with CUDA only"):
        environment.create(Recipe(folder, Order(torch_index=NOWHERE)), Recorder())
    assert beside(folder) == []


@pytest.mark.parametrize(
    ("line", "coming"),
    [
        ("  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (526.6 MB)", True),
        ("  Downloading torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl (195.2 MB)", False),
        ("  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (29 kB)", False),
        ("Collecting nvidia-cudnn-cu13==9.1", True),
        ("Collecting networkx>=2.5.1", False),
    ],
)
def test_cuda_is_seen_before_it_is_downloaded(line: str, coming: bool) -> None:
    assert packages._brings_cuda(line) is coming


@pytest.mark.parametrize(
    ("address", "kind"),
    [("https://x/whl/cpu/", "cpu"), ("https://x/whl/cu130", "cuda"), ("https://pypi.org/simple", ""), ("", "")],
)
def test_the_address_of_an_index_names_the_build(address: str, kind: str) -> None:
    assert packages.kind_of_index(address) == kind


def test_the_proxy_reaches_pip(made: tuple[environment.State, Recorder], tmp_path: Path) -> None:
    installer = packages.Installer(made[0].python, environment.REQUIREMENTS, tmp_path)
    order = Order(torch_index="http://index.example/cpu", proxy="http://127.0.0.1:9")
    assert installer._why_unreachable(order, Recorder()) == "a proxy refuses the connection"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", "proxy refuses"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] ...'))", "not trusted. Where"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [WinError 5] Access is denied: 'c10.dll'", "locked or may not be written"),
        ("NewConnectionError: Failed to establish a new connection: [Errno -2] Name or service", "no network"),
        ("ReadTimeoutError: HTTPSConnectionPool(host='x', port=443): Read timed out.", "broke off or was too slow"),
        ("ERROR: No matching distribution found for rasterio==1.4.4", "the pinned version of rasterio"),
        ("ERROR: something new.", "pip could not install the packages: ERROR: something new. The log"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, sentence: str) -> None:
    failure = str(packages._failure(["Collecting x", said], Order(), Path("python")))
    assert sentence in failure
    assert failure.endswith(".")
    assert "Traceback" not in failure


# --- the Python to start from ----------------------------------------------------------------------------------------


def fake_python(folder: Path, name: str, **answer: object) -> Path:
    """A program that answers the question to a Python as told."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    told = json.dumps({"path": str(path), "version": [3, 11, 2], "bits": 64, "missing": [], **answer})
    path.write_text(f"#!/bin/sh\necho '{told}'\ncase \"$*\" in *'-m venv'*) echo no venv today; exit 1;; esac\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"version": [3, 9, 5]}, r"is Python 3\.9\.5, which is too old .* Python 3\.10 to 3\.13 will do"),
        ({"version": [3, 14, 0]}, r"which is too new"),
        ({"bits": 32}, "need a 64-bit Python"),
        ({"missing": ["ensurepip"]}, "without its module ensurepip; install"),
    ],
)
def test_an_unfit_python_is_refused_with_the_way_out(answer: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match=said):
        basepython.examine(fake_python(tmp_path, "python3", **answer))


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match="does not run as a Python"):
        basepython.examine(Path("/bin/true"))
    with pytest.raises(TerrainError, match="There is no Python at"):
        basepython.examine(tmp_path / "python")


def test_a_python_that_makes_no_environment_is_passed_over(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "own_python", lambda: fake_python(tmp_path / "qgis", "python3"))
    monkeypatch.setenv("PATH", str(fake_python(tmp_path / "bin", "python3.12", version=[3, 9, 1]).parent))
    monkeypatch.setattr(basepython, "_usual_places", lambda minor: iter([Path(sys.executable)]))
    fresh = tmp_path / "fresh"
    progress = Recorder()
    assert environment._make_bare("", fresh, progress).version == tuple(sys.version_info[:3])
    assert "could not make an environment (no venv today)" in " ".join(progress.texts)
    assert engine.python_of(fresh).is_file()


def test_without_any_python_the_sentence_has_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "own_python", lambda: fake_python(tmp_path, "python3", missing=["ensurepip"]))
    monkeypatch.setattr(basepython, "_usual_places", lambda minor: iter(()))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(TerrainError, match=r"without its module ensurepip.*sudo apt install python3-venv'\.$"):
        list(basepython.usable())


# --- the program -----------------------------------------------------------------------------------------------------


def program(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    script = root / "processing_provider" / "environment.py"
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)


def test_the_program_works_from_a_renamed_folder(tmp_path: Path, made: tuple[environment.State, Recorder]) -> None:
    renamed = tmp_path / "my plug-in"
    for part in ("core", "processing_provider"):
        shutil.copytree(ROOT / part, renamed / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", renamed)
    told = program(renamed, "status", "--folder", str(made[0].folder))
    assert (told.returncode, told.stderr) == (0, "")
    assert "PyTorch for cpu from the folder" in told.stdout


def test_the_program_fails_with_one_sentence(tmp_path: Path) -> None:
    told = program(ROOT, "create", "--folder", str(tmp_path / "engine"), "--wheels", str(tmp_path))
    assert told.returncode == 1
    assert re.fullmatch(r"error: The folder .* holds no wheels \(\*\.whl\); choose .*\.\n", told.stderr)
    assert program(ROOT, "status", "--folder", str(tmp_path / "engine")).returncode == 1


def test_a_program_that_is_told_to_end_leaves_nothing(tmp_path: Path, wheels: Path) -> None:
    script = ROOT / "processing_provider" / "environment.py"
    folder = tmp_path / "data" / "engine"
    command = [sys.executable, str(script), "create", "--folder", str(folder), "--wheels", str(wheels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            if "PyTorch is taken" in line:
                process.terminate()
        assert process.wait(10) == 143
    assert beside(folder) == []
