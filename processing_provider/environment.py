"""The managed environment: the engine's own Python with its packages, made, repaired and removed.

Everything is made aside and renamed at the end, so a set-up that was cancelled or broken off is never taken for a
finished one, and an environment that worked stays until its successor works. Imports the standard library, its
neighbours and ``core``'s errors and progress only. Also a program that needs no QGIS::

    python3 processing_provider/environment.py create --folder build/engine
"""

from __future__ import annotations

if __name__ == "__main__":  # a program: the plugin root must become a package before the relative imports below
    import runpy as _runpy
    import sys as _sys
    from importlib import import_module as _import_module
    from pathlib import Path as _Path

    _door = _Path(__file__).resolve().parents[1] / "core" / "__main__.py"
    _runpy.run_path(str(_door))["load_root"]()
    _sys.exit(_import_module("neural_terrain.processing_provider.environment").main(_sys.argv[1:]))

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import Cancelled, TerrainError
from ..core.progress import Progress
from . import basepython, engine, packages
from .packages import Order

REQUIREMENTS = engine.ROOT / "core" / "requirements.txt"
RECORD = "neural_terrain.json"
"""File in a finished environment that says how it was made; without it an environment is not finished."""

KINDS = ("cpu", "cuda")
NEEDED_MB = {"cpu": 3000, "cuda": 13000}
"""Free disk space for the packages and their downloads; more than half of it stays in use."""

RENAME_LIMIT_S = 5.0


@dataclass(frozen=True)
class Recipe:
    """What to make and where; building it checks all that needs no other process.

    Attributes
    ----------
    folder
        The environment's folder; nothing but the environment is kept in it.
    order
        Build of PyTorch and where the packages come from.
    base
        Python to make it from, or empty for QGIS's own or one found on this computer.
    requirements
        File of the pinned packages.

    """

    folder: Path
    order: Order = Order()
    base: str = ""
    requirements: Path = REQUIREMENTS

    def __post_init__(self) -> None:
        """Refuse what cannot be right."""
        kind, wheels = self.order.kind, self.order.wheels
        if kind not in KINDS:
            raise TerrainError(f"The build of PyTorch is {kind!r}; it can be {' or '.join(KINDS)}.")
        if kind == "cuda" and sys.platform == "darwin":
            raise TerrainError("There is no CUDA on macOS; choose cpu.")
        if wheels and not any(Path(wheels).glob("*.whl")):
            raise TerrainError(
                f"The folder {wheels} holds no wheels (*.whl); choose the folder that 'pip download' made."
            )
        if not re.match(r"https?://|file:|$", self.order.torch_index):
            raise TerrainError(f"The index {self.order.torch_index} is no web address; it must start with https://.")
        if packages.kind_of_index(self.order.index) not in ("", kind):
            raise TerrainError(
                f"The index {self.order.index} has no builds for {kind}, which was chosen; change one of them."
            )
        if self.folder.exists() and not is_environment(self.folder) and any(self.folder.iterdir()):
            raise TerrainError(f"The folder {self.folder} holds other files; choose an empty or a new one.")


@dataclass(frozen=True)
class State:
    """What is known about a managed environment without starting a process.

    Attributes
    ----------
    folder, python
        Its folder and its interpreter, which may not exist.
    finished
        Whether a set-up came to its end here, for the packages that this version of the plugin wants.
    trouble
        Where it is not finished: one sentence on why and what to do.
    record
        How it was made: ``kind``, ``source``, ``python``, ``packages``.

    """

    folder: Path
    python: Path
    finished: bool
    trouble: str = ""
    record: dict[str, Any] = field(default_factory=dict)


def is_environment(folder: Path) -> bool:
    """Whether the folder is a virtual environment, finished or not."""
    return (folder / "pyvenv.cfg").is_file() or (folder / RECORD).is_file()


def inspect(folder: Path, requirements: Path = REQUIREMENTS) -> State:
    """Look at an environment's files; starts no process."""
    python = engine.python_of(folder)
    if not is_environment(folder):
        return State(folder, python, False, "No engine is set up yet; choose Install.")
    record = _read_record(folder)
    if not record or not python.is_file():
        return State(folder, python, False, "The engine's environment is incomplete; choose Repair.", record)
    if record.get("requirements") != _pins(requirements):
        return State(folder, python, False, "The engine has packages of another plugin version; choose Repair.", record)
    return State(folder, python, True, record=record)


def create(recipe: Recipe, progress: Progress) -> State:
    """Make the environment anew; one that stands there is replaced when the new one works.

    Raises
    ------
    Cancelled
        Nothing has changed.
    TerrainError
        Nothing has changed; one or two sentences on why and what to do.

    """
    folder = recipe.folder.absolute()
    with _locked(folder):
        _tidy(folder)
        _require_space(folder, recipe.order.kind)
        fresh, scratch = _aside(folder, "new"), _aside(folder, "tmp")
        try:
            scratch.mkdir(parents=True)
            record = _fill(recipe, fresh, scratch, progress)
            progress.report(0.99, "Putting the environment in place")
            _write_record(fresh, record)
            _swap(fresh, folder)
        finally:
            for left in (scratch, fresh, _aside(folder, "old")):
                _delete(left)
    progress.report(1.0, "The engine is ready")
    return inspect(folder, recipe.requirements)


def repair(recipe: Recipe, progress: Progress) -> State:
    """Check an environment and make it anew if anything is wrong with it; the build of PyTorch is the recorded one."""
    state = inspect(recipe.folder, recipe.requirements)
    trouble = state.trouble or check(state, progress)
    if not trouble:
        progress.info("Every package is there in the right version; there is nothing to repair.")
        progress.report(1.0, "The engine is ready")
        return state
    progress.info(f"Found: {trouble}")
    return create(recipe, progress)


def recorded_order(folder: Path, order: Order) -> Order:
    """The same order for the build of PyTorch that the environment in ``folder`` was made with, if it has a record."""
    kind = _read_record(folder).get("kind", order.kind)
    if kind not in KINDS or kind == order.kind:
        return order
    fits = packages.kind_of_index(order.torch_index) in ("", kind)
    return Order(kind, order.torch_index if fits else "", order.wheels, order.proxy)


def check(state: State, progress: Progress) -> str:
    """What is wrong with a finished environment, found by starting it; empty if nothing."""
    progress.report(0.02, "Checking the packages")
    try:
        report = engine.probe(state.python)
    except TerrainError as error:
        return f"{str(error).rstrip('.')}."
    wanted = state.record.get("packages", {})
    changed = [f"{name} {report['packages'].get(name, 'missing')} instead of {wanted[name]}"
               for name in wanted if report["packages"].get(name) != wanted[name]]  # fmt: skip
    return f"Packages were changed: {', '.join(changed)}." if changed else ""


def try_own(python: Path) -> dict:
    """Probe a Python of the user's own; returns its report, or raises a TerrainError that names it."""
    try:
        return engine.probe(python)
    except TerrainError as error:
        said = str(error).rstrip(".")
        raise TerrainError(f"{said}." if str(python) in said else f"{python} cannot run the engine: {said}.") from error


def remove(folder: Path, progress: Progress) -> None:
    """Remove a managed environment and everything that a broken set-up left; a missing one is no error."""
    folder = folder.absolute()
    if folder.exists() and not is_environment(folder):
        raise TerrainError(f"The folder {folder} is no engine environment, so it was not removed.")
    with _locked(folder):
        progress.report(0.1, "Removing the environment")
        _tidy(folder)
        if folder.exists():
            _rename(folder, _aside(folder, "old"))
            _delete(_aside(folder, "old"))
    progress.report(1.0, "The engine's environment is removed")


# ---------------------------------------------------------------------------------------------------------------------
# Making one


def _fill(recipe: Recipe, fresh: Path, scratch: Path, progress: Progress) -> dict[str, Any]:
    """Make the environment in ``fresh`` and try it; returns its record."""
    base = _make_bare(recipe.base, fresh, progress.step(0.0, 0.08))
    python = engine.python_of(fresh)
    installer = packages.Installer(python, recipe.requirements, scratch)
    source = installer.install(recipe.order, progress.step(0.08, 0.93))
    progress.report(0.94, "Trying the engine")
    try:
        report = engine.probe(python)
    except TerrainError as error:
        raise TerrainError(f"The packages were installed, but do not work here: {str(error).rstrip('.')}.") from error
    progress.info(f"PyTorch {report['packages'].get('torch', '')} came from {source}.")
    return {
        "kind": recipe.order.kind,
        "source": source,
        "base": str(base.path),
        "python": report.get("python", ""),
        "packages": report["packages"],
        "plugin": engine.plugin_version(),
        "requirements": _pins(recipe.requirements),
    }


def _make_bare(given: str, fresh: Path, progress: Progress) -> basepython.BasePython:
    """An environment with pip and nothing else, from the first Python that manages to make one."""
    progress.report(0.0, "Looking for a Python")
    trouble = ""
    bases = basepython.usable(given)
    while True:
        try:
            base = next(bases)
        except StopIteration:
            raise TerrainError(trouble) from None
        except TerrainError as error:
            raise TerrainError(trouble or str(error)) from None
        progress.report(0.2, f"Making an environment from {base}")
        progress.info(f"The environment is made from {base}.")
        trouble = _venv(base, fresh, progress)
        if not trouble:
            return base
        progress.info(trouble)


def _venv(base: basepython.BasePython, fresh: Path, progress: Progress) -> str:
    """Run ``python -m venv``; returns an empty text, or the sentence on why it failed."""
    lines: list[str] = []
    command = [str(base.path), "-I", "-m", "venv", "--prompt", "neural_terrain", str(fresh)]
    code = engine.stream(command, lines.append, progress.cancelled)
    progress.check()
    if code == 0 and engine.python_of(fresh).is_file():
        return ""
    _delete(fresh)
    said = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}").rstrip(".")
    return f"{base} could not make an environment ({said}); {basepython.how_to_install(base.version)}."


def _require_space(folder: Path, kind: str) -> None:
    place = next(parent for parent in folder.parents if parent.exists())
    free_mb = shutil.disk_usage(place).free // 10**6
    if free_mb < NEEDED_MB[kind]:
        raise TerrainError(
            f"The disk of {place} has {free_mb} MB free; the engine needs {NEEDED_MB[kind]} MB. Free some space, or "
            f"let the environment variable {engine.HOME_VARIABLE} name a folder on another disk."
        )


def _pins(requirements: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


# ---------------------------------------------------------------------------------------------------------------------
# Files


def _aside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _tidy(folder: Path) -> None:
    """Clear up after a set-up that was killed: the old environment comes back, unfinished ones go."""
    old = _aside(folder, "old")
    if _read_record(old) and not folder.exists():
        _rename(old, folder)
    for suffix in ("new", "tmp", "old"):
        _delete(_aside(folder, suffix))


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; if that fails, the old one stands there again."""
    old = _aside(folder, "old")
    _mend_paths(fresh, folder)
    if folder.exists():
        _rename(folder, old)
    try:
        _rename(fresh, folder)
    except TerrainError:
        if old.exists():
            _rename(old, folder)
        raise


def _mend_paths(fresh: Path, folder: Path) -> None:
    """Name the final folder in the text scripts; the start programs of Windows cannot be mended and go.

    Nothing of the plugin uses them (it says ``python -m``), but a person in a shell may.
    """
    scripts = engine.python_of(fresh).parent
    for script in scripts.iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        if script.suffix.lower() == ".exe":
            if not script.name.lower().startswith("python"):
                _delete_file(script)
            continue
        content = script.read_bytes()
        if os.fsencode(fresh) in content and b"\0" not in content:
            script.write_bytes(content.replace(os.fsencode(fresh), os.fsencode(folder)))


def _rename(source: Path, target: Path) -> None:
    """Rename a folder; virus scanners hold new files for a moment, so a refusal is tried again for a while."""
    until_s = time.monotonic() + (RENAME_LIMIT_S if sys.platform == "win32" else 0.0)
    while True:
        try:
            os.rename(source, target)
        except OSError as error:
            if time.monotonic() < until_s:
                time.sleep(0.2)
                continue
            raise TerrainError(
                f"The folder {source} cannot be moved ({error.strerror}), most likely because a program uses it. "
                "Close other QGIS windows and wait for running jobs, then try again."
            ) from None
        return


def _delete(folder: Path) -> None:
    """Remove a folder as far as possible; what stays is removed by the next set-up."""
    shutil.rmtree(folder, ignore_errors=True)


def _delete_file(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One set-up at a time for one folder; the lock ends with the process, however that ends."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(_aside(folder, "lock"), "w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise TerrainError(
            f"The folder {folder.parent} cannot be written ({error.strerror}); let the environment variable "
            f"{engine.HOME_VARIABLE} name another one."
        ) from None
    with lock:
        try:
            _lock(lock.fileno())
        except OSError:
            raise TerrainError(
                "The engine is being set up by another window or program; wait until that ends."
            ) from None
        try:
            yield
        finally:
            _delete_file(_aside(folder, "lock"))  # Windows keeps an open file; it is empty and does no harm


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---------------------------------------------------------------------------------------------------------------------
# The program


class _Printed(Progress):
    """Messages as lines; on a terminal also the fraction, on a line of its own that is written over."""

    def emit(self, event: dict) -> None:
        """Print one event."""
        terminal = sys.stdout.isatty()
        if event["type"] != "progress":
            print(("\r\033[K" if terminal else "") + event["text"], flush=True)
        elif terminal:
            print(f"\r\033[K{event['fraction']:4.0%} {event['text'][:70]}", end="", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; 0 is success, 1 a failure that one sentence on stderr explains."""
    options = _read_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _do(options, _Printed())
    except TerrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled; nothing has changed.", file=sys.stderr)
        return 130


def _do(options: argparse.Namespace, progress: Progress) -> int:
    folder = Path(options.folder).absolute() if options.folder else engine.managed_folder()
    if options.verb == "remove":
        remove(folder, progress)
        return 0
    if options.verb == "status":
        state = inspect(folder)
        print(state.trouble or f"{state.python}: PyTorch for {state.record['kind']} from {state.record['source']}.")
        return 0 if state.finished else 1
    kind = options.device or packages.kind_of_index(options.torch_index) or "cpu"
    order = Order(kind, options.torch_index, options.wheels)
    if options.verb == "repair":
        state = repair(Recipe(folder, recorded_order(folder, order), options.python), progress)
    else:
        state = create(Recipe(folder, order, options.python), progress)
    print(f"The engine is ready: {state.python} (PyTorch from {state.record['source']}).")
    return 0


def _read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="environment.py", description="The engine's Python environment.")
    parser.add_argument("verb", choices=("create", "repair", "remove", "status"))
    parser.add_argument("--folder", default="", help="folder of the environment (default: the plugin's own)")
    parser.add_argument("--device", choices=KINDS, help="build of PyTorch (default: that of the index, else cpu)")
    parser.add_argument("--torch-index", default="", help="package index that has this build (default: PyTorch's)")
    parser.add_argument("--wheels", default="", help="folder of wheels to use instead of any index")
    parser.add_argument("--python", default="", help="Python to make the environment from (default: one is found)")
    return parser.parse_args(arguments)
