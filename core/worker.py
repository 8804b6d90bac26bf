"""The engine's process: one job in, JSON lines out; the same jobs as a plain command line for people.

``engine`` reads one JSON line ``{"job": name, "settings": {...}}`` from stdin; an ``owner`` in it goes into the names
of unfinished files (:mod:`.aside`), so that the parent can remove what a killed engine leaves. A later line
``cancel`` asks the job to stop; a closed stdin means that the parent is gone. Either way the process has ended within
two seconds and has removed what it was writing. Standard library only; a job imports the rest.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import IO, Any

from . import aside, jobs
from .errors import Cancelled, TerrainError
from .jobs import settings as job_settings
from .progress import Progress

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CANCELLED = 0, 1, 2, 3
GRACE_S = 1.0
"""How long a job may take to notice a cancel before the process ends itself."""

USAGE = f"""usage: python core/__main__.py JOB [KEY=VALUE ...]     jobs: {", ".join(jobs.NAMES)}
       python core/__main__.py train RECIPE DATA FOLDER | engine | probe
example: python core/__main__.py superresolve INPUT=dem.tif SCALE=4 OUTPUT=fine.tif
Where the package is installed with pip, say neural-terrain instead of python core/__main__.py."""


class WorkerProgress(Progress):
    """Events as JSON lines, at most ten progress lines a second, and a flag that another thread may raise."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self.stop = threading.Event()
        self._stream, self._lock, self._last_s = stream, threading.Lock(), 0.0

    def emit(self, event: dict) -> None:
        """Write one line."""
        now_s = time.monotonic()
        if event["type"] == "progress" and event["fraction"] < 1 and now_s - self._last_s < 0.1:
            return
        with self._lock:
            self._last_s = now_s
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()

    def cancelled(self) -> bool:
        """Whether a cancel has come."""
        return self.stop.is_set()


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit code is one of the ``EXIT_`` constants."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return EXIT_OK if arguments else EXIT_USAGE
    command, rest = arguments[0], arguments[1:]
    if command == "engine":
        return serve()
    if command == "probe":
        return _finish(WorkerProgress(sys.stdout), lambda p: _job("enginereport").probe())
    return run_for_people(command, rest)


def entry() -> int:
    """The command ``neural-terrain`` of the package that pip installs."""
    return main(sys.argv[1:])


def serve() -> int:
    """Read one request from stdin, do it, write events to stdout; other prints go to stderr."""
    progress = WorkerProgress(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    request = sys.stdin.readline()
    done = threading.Event()
    threading.Thread(target=_watch, args=(progress, done), daemon=True).start()
    code = _finish(progress, lambda p: _run_request(request, p))
    done.set()
    if code == EXIT_CANCELLED:
        os._exit(code)  # a thread of GDAL that nobody can stop does not hold the process up
    return code


def run_for_people(command: str, arguments: Sequence[str]) -> int:
    """``JOB KEY=VALUE ...`` or ``train RECIPE DATA FOLDER`` with readable lines instead of JSON."""
    progress = PeopleProgress()
    try:
        if command == "train":
            from . import learning

            learning.main(arguments, progress)
            return EXIT_OK
        module = _job(command)
        values = dict(_key_value(a) for a in arguments)
        result = module.run(_read_settings(module, values), progress)
    except TerrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except (Cancelled, KeyboardInterrupt):
        abandon()
        return EXIT_CANCELLED
    print(json.dumps(result, indent=2))
    return EXIT_OK


class PeopleProgress(Progress):
    """Progress on one line of a terminal, messages on lines of their own."""

    def emit(self, event: dict) -> None:
        """Print to stderr."""
        if event["type"] == "progress":
            print(f"\r{event['fraction']:4.0%} {event['text'][:70]:70}", end="", file=sys.stderr, flush=True)
        else:
            print(f"\n{event['type']}: {event['text']}", file=sys.stderr)


def abandon() -> None:
    """Remove unfinished files of this process, if it has any."""
    for name in ("raster", "journal", "model_folder", "aside"):
        module = sys.modules.get(f"{__package__}.{name}" if __package__ else name)
        if module is not None:
            module.abandon_unfinished()


def _watch(progress: WorkerProgress, done: threading.Event) -> None:
    """Wait for ``cancel`` or for the end of stdin; a job that does not stop by itself is ended."""
    for line in sys.stdin:
        if line.strip() == "cancel":
            break
    progress.stop.set()
    if not done.wait(GRACE_S):
        abandon()
        os._exit(EXIT_CANCELLED)


def _run_request(request: str, progress: Progress) -> dict:
    try:
        values = json.loads(request)
        name, settings = values["job"], values["settings"]
        aside.belong_to(str(values.get("owner", "run")))
    except (ValueError, KeyError, TypeError) as error:
        raise TerrainError('The engine was not given a job; send one line {"job": NAME, "settings": {...}}.') from error
    module = _job(name)
    result: dict = module.run(job_settings.from_json(module.Settings, settings), progress)
    return result


def _finish(progress: WorkerProgress, work: Callable[[Progress], dict]) -> int:
    """Run ``work`` and say how it ended."""
    try:
        values = work(progress)
    except Cancelled:
        progress.emit({"type": "cancelled"})
        return EXIT_CANCELLED
    except TerrainError as error:
        progress.emit({"type": "error", "kind": "TerrainError", "message": str(error)})
        return EXIT_FAILED
    except Exception as error:  # the outermost door: whatever it is, QGIS must hear of it
        progress.emit(_explain(error))
        return EXIT_FAILED
    progress.emit({"type": "result", "values": values})
    return EXIT_OK


def _explain(error: Exception) -> dict:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        kind = "MemoryError"
        message = (
            "The engine ran out of memory; give a smaller Memory value, a smaller extent, or close other programs."
        )
    elif isinstance(error, ImportError):
        kind, message = "ImportError", f"The engine lacks a package ({error}); repair it with 'Set up engine'."
    else:
        kind = type(error).__name__
        message = f"The engine met an unexpected error ({text}); please report it with the log."
    return {"type": "error", "kind": kind, "message": message, "traceback": traceback.format_exc()}


def _job(name: str) -> ModuleType:
    if name not in jobs.NAMES:
        raise TerrainError(f"Unknown job {name!r}; the jobs are {', '.join(jobs.NAMES)}.")
    return importlib.import_module("." + name, jobs.__name__)


def _key_value(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise TerrainError(f"Argument {argument!r} is not KEY=VALUE.")
    return key.lower(), value


def _read_settings(module: ModuleType, values: dict[str, str]) -> Any:
    """Settings from text: fields that are numbers, true or false, or lists are read as JSON, the others stay text."""
    read: dict[str, Any] = {}
    kinds = {f.name: str(f.type) for f in dataclasses.fields(module.Settings)}
    for key, text in values.items():
        plain = kinds.get(key, "str") == "str"
        try:
            read[key] = text if plain else json.loads(text)
        except ValueError as error:
            allowed = "true or false" if kinds[key] == "bool" else "a number or a list in brackets"
            raise TerrainError(f"{key.upper()} is {text!r}; it must be {allowed}.") from error
    return job_settings.from_json(module.Settings, read)
