"""The engine process: find its interpreter, start it, send one job, relay what it says, end it.

This is the only file that starts processes. It imports the standard library, ``core.errors`` and ``core.lock`` only
(QGIS's settings are read inside one function), so that the Makefile can use it without QGIS.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import queue
import re
import secrets
import shutil
import signal
import subprocess  # nosec B404 # starting the engine is what this module is for
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import Cancelled, TerrainError
from ..core.lock import open_locked, unlocked
from . import stamps
from .exits import explain_exit

ROOT = Path(__file__).resolve().parent.parent
"""The plugin's folder."""

PYTHON_SETTING = "neural_terrain/python"
"""Key of the user's own interpreter in QGIS's settings."""

PYTHON_VARIABLE = "NEURAL_TERRAIN_PYTHON"
HOME_VARIABLE = "NEURAL_TERRAIN_HOME"

HOW_TO_GET = (
    "Choose Plugins > Neural Terrain > Set up engine..., run 'qgis_process run neuralterrain:setupengine', or let "
    f"the environment variable {PYTHON_VARIABLE} name a Python that has the packages"
)

PROBE_LIMIT_S = 180.0
ASK_S, TERMINATE_S = 1.2, 0.3
POLL_S = 0.05
LAST_WORDS_S = 0.5
"""How long a cancelled job is listened to; one that hangs in a dead disk does not even end when it is killed."""

TAIL_LINES = 12

_WINDOWS = sys.platform == "win32"
_DROPPED = re.compile(
    r"PYTHON(?!UTF8)\w*|VIRTUAL_ENV\w*|CONDA_PREFIX|__PYVENV_LAUNCHER__|PROJ_\w*|GDAL_\w*|LD_LIBRARY_PATH|LD_PRELOAD|DYLD_\w*",
    re.IGNORECASE,
)
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

OnLine = Callable[[str], None]
OnEvent = Callable[[dict], None]
IsCancelled = Callable[[], bool]


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run the engine.

    Attributes
    ----------
    path
        The executable.
    origin
        Who named it: ``setting``, ``variable``, ``managed`` or ``qgis``.
    report
        What its probe said: ``python``, ``packages``, ``devices``.
    rejected
        One sentence for each interpreter that came first and does not work.

    """

    path: Path
    origin: str
    report: dict = field(default_factory=dict)
    rejected: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------------------------------
# Places


def home_folder() -> Path:
    """Folder of everything that outlives an upgrade of the plugin; ``NEURAL_TERRAIN_HOME`` overrides it."""
    given = os.environ.get(HOME_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    if _WINDOWS:
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "neural_terrain"


def managed_folder() -> Path:
    """Folder of the managed environment, which the set-up makes."""
    return home_folder() / "engine"


def python_of(environment: Path) -> Path:
    """Interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if _WINDOWS else "bin/python")


def own_python() -> Path | None:
    """Interpreter that belongs to QGIS, or None; ``sys.executable`` may be QGIS itself."""
    executable = Path(sys.executable or "")
    if executable.name.lower().startswith("python") and executable.is_file():
        return executable
    names = ("python.exe", "python3.exe") if _WINDOWS else ("bin/python3", "MacOS/bin/python3", "bin/python")
    prefixes = dict.fromkeys((sys.exec_prefix, sys.base_exec_prefix, sys.prefix, sys.base_prefix))
    places = [Path(prefix) / name for prefix in prefixes for name in names]
    places += [executable.parent / name for name in (*names, "python3")]
    return next((place for place in places if place.is_file()), None)


def plugin_version() -> str:
    """Version in ``metadata.txt``, or an empty string where that file is missing."""
    try:
        text = (ROOT / "metadata.txt").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^version\s*=\s*(\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""


def clean_environment(pip: bool = False) -> dict[str, str]:
    """Variables for a child process, without those by which QGIS would break another Python.

    Parameters
    ----------
    pip
        The child is pip: its ``PIP_*`` settings stay.

    """
    kept = {name: value for name, value in os.environ.items() if not _DROPPED.fullmatch(name)}
    if not pip:
        kept = {name: value for name, value in kept.items() if not name.upper().startswith("PIP_")}
    for name in _CERTIFICATES:
        if name in kept and not os.path.exists(kept[name]):
            del kept[name]
    if _WINDOWS:
        kept["PATH"] = _path_without_qgis(kept.get("PATH", ""))
    kept.update(PYTHONIOENCODING="utf-8", PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTHONNOUSERSITE="1")
    return kept


def _path_without_qgis(path: str) -> str:
    roots = [os.environ.get("OSGEO4W_ROOT"), os.environ.get("QGIS_PREFIX_PATH")]
    roots = [os.path.normcase(os.path.abspath(root)) for root in roots if root]
    folders = [folder for folder in path.split(os.pathsep) if folder]
    return os.pathsep.join(
        folder
        for folder in folders
        if not any(os.path.normcase(os.path.abspath(folder)).startswith(root) for root in roots)
    )


# ---------------------------------------------------------------------------------------------------------------------
# One child process


class _Child:
    """A child in a process group of its own, whose output is read line by line by threads.

    Lines come as ``(is_stderr, text)``; nothing here calls back from another thread.
    """

    def __init__(self, command: list[str], environment: dict[str, str] | None, with_stdin: bool, merged: bool) -> None:
        self._lines: queue.Queue[tuple[bool, str] | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(  # nosec B603 # a list of our own making, no shell
                command,
                stdin=subprocess.PIPE if with_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                env=clean_environment() if environment is None else environment,
                encoding="utf-8",
                errors="replace",
                **_group_of_its_own(),
            )
        except OSError as error:
            raise TerrainError(f"{command[0]} could not be started ({error.strerror}); name another Python.") from None
        pipes = [(False, self._process.stdout)] + ([] if merged else [(True, self._process.stderr)])
        self._open_pipes = len(pipes)
        for is_stderr, pipe in pipes:
            threading.Thread(target=self._read, args=(is_stderr, pipe), daemon=True).start()

    def _read(self, is_stderr: bool, pipe: Any) -> None:
        with pipe:
            for line in pipe:
                self._lines.put((is_stderr, line.rstrip("\r\n")))
        self._lines.put(None)

    def lines(self, tick: Callable[[], None]) -> Iterator[tuple[bool, str]]:
        """Lines until the child has ended; ``tick`` is called about every :data:`POLL_S` and may raise."""
        ended_s: float | None = None
        while self._open_pipes:
            tick()
            try:
                item = self._lines.get(timeout=POLL_S)
            except queue.Empty:
                # A grandchild may keep the pipes open after the child's end: half a second for late lines.
                if self._process.poll() is not None:
                    ended_s = ended_s or time.monotonic()
                    if time.monotonic() - ended_s > 0.5:
                        return
                continue
            if item is None:
                self._open_pipes -= 1
            else:
                yield item

    def send(self, text: str) -> None:
        """Write to the child's standard input; a child that has gone is no error here."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return

    def wait(self, limit_s: float | None = None) -> int | None:
        """Exit code, or None if the child still runs after ``limit_s``."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def end(self, ask: str = "") -> None:
        """End the child and its whole group in less than two seconds: ask, terminate, kill."""
        if ask:
            self.send(ask)
            self.wait(ASK_S)
        self._signal(signal.SIGTERM)
        self.wait(TERMINATE_S)
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self.close_stdin()
        self.wait(TERMINATE_S)

    def close_stdin(self) -> None:
        """Say that nothing more will come."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _signal(self, number: int) -> None:
        if _WINDOWS:
            _end_tree_on_windows(self._process)
            return
        try:
            os.killpg(self._process.pid, number)
        except OSError:  # the group has gone already
            return


def _group_of_its_own() -> dict[str, Any]:
    if _WINDOWS:
        return {"creationflags": 0x08000000 | 0x00000200}  # CREATE_NO_WINDOW, CREATE_NEW_PROCESS_GROUP
    return {"start_new_session": True}


def _end_tree_on_windows(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    taskkill = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
    command = [taskkill, "/F", "/T", "/PID", str(process.pid)]
    try:
        subprocess.run(command, capture_output=True, timeout=2, check=False, **_group_of_its_own())  # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        process.kill()


def stream(
    command: list[str],
    on_line: OnLine,
    cancelled: IsCancelled = lambda: False,
    environment: dict[str, str] | None = None,
    stdin_text: str | None = None,
) -> int:
    """Run a child process and hand on each line that it writes to stdout or stderr.

    Parameters
    ----------
    command
        Program and arguments; no shell is involved.
    on_line
        Called in the calling thread.
    cancelled
        Asked about twenty times a second; once true, the child and everything it started end within 2 s.
    environment
        Variables of the child; None: :func:`clean_environment`.
    stdin_text
        What the child reads from its standard input, or None for nothing.

    Returns
    -------
    Exit code; negative is minus the number of the signal that ended the child.

    """
    child = _Child(command, environment, with_stdin=stdin_text is not None, merged=True)
    try:
        if stdin_text is not None:
            child.send(stdin_text)
            child.close_stdin()
        for _, line in child.lines(lambda: _raise_if(cancelled)):
            on_line(line)
    except Cancelled:
        child.end()
    except BaseException:
        child.end()
        raise
    code = child.wait(2.0)
    return -9 if code is None else code


def _raise_if(cancelled: IsCancelled) -> None:
    if cancelled():
        raise Cancelled


# ---------------------------------------------------------------------------------------------------------------------
# Finding the interpreter


def candidates() -> list[tuple[str, Path]]:
    """Interpreters in the order of preference as ``(origin, path)``; a named one may not exist."""
    found = [("setting", _user_setting()), ("variable", os.environ.get(PYTHON_VARIABLE, ""))]
    named = [(origin, Path(path).expanduser()) for origin, path in found if path]
    managed = python_of(managed_folder())
    if managed.is_file():
        named.append(("managed", managed))
    own = own_python()
    return named + ([("qgis", own)] if own else [])


def find_interpreter(fresh: bool = False, cancelled: IsCancelled = lambda: False) -> Interpreter:
    """First interpreter that can run the engine.

    Each candidate is probed in a child process once; the answer is kept until the interpreter, its packages or the
    plugin change. Do not call this in the GUI thread without need: a first probe takes seconds.

    Parameters
    ----------
    fresh
        Probe again, whatever is known.
    cancelled
        Asked while a probe runs.

    Raises
    ------
    Cancelled
        The user ended it.
    TerrainError
        Nothing works; the sentence says what was tried and how to get an engine.

    """
    rejected: list[str] = []
    for origin, path in candidates():
        stamp = None if fresh else _read_stamp(path)
        if stamp is None or not stamp["ok"]:
            stamp = _probe_and_keep(path, cancelled)
        if stamp["ok"]:
            return Interpreter(path, origin, stamp["report"], tuple(rejected))
        rejected.append(_rejection(origin, path, stamp["message"]))
    raise TerrainError(_nothing_found(rejected))


def why_not_ready() -> str:
    """Sentence to show where it is *known* that no engine works; empty where one works or nothing is known.

    Reads stamps only and never starts a process, so that menus may ask.
    """
    rejected: list[str] = []
    for origin, path in candidates():
        stamp = _read_stamp(path)
        if stamp is None and path.is_file():
            return ""
        if stamp is not None and stamp["ok"]:
            return ""
        reason = stamp["message"] if stamp else "there is no such file"
        rejected.append(_rejection(origin, path, reason))
    return _nothing_found(rejected)


def known_state(path: Path) -> str:
    """``works``, why it does not, or ``not asked yet``; never starts a process."""
    stamp = _read_stamp(path)
    if stamp is None:
        return "not asked yet" if path.is_file() else "there is no such file"
    return "works" if stamp["ok"] else str(stamp["message"])


def known_devices() -> list[str]:
    """Devices of the engine as far as a stamp tells them; never starts a process."""
    known = [_read_stamp(path) for _, path in candidates()]
    return next((list(s["report"].get("devices", [])) for s in known if s is not None and s["ok"]), [])


def probe(path: Path, cancelled: IsCancelled = lambda: False) -> dict:
    """Ask an interpreter in a child process what it has.

    Returns
    -------
    ``python``, ``packages`` and ``devices`` as the engine reports them.

    Raises
    ------
    TerrainError
        It cannot run the engine; the text says why.

    """
    if not path.is_file():
        raise TerrainError("there is no such file")
    lines: list[str] = []
    until_s = time.monotonic() + PROBE_LIMIT_S
    code = stream(_command(path, "probe"), lines.append, lambda: cancelled() or time.monotonic() > until_s)
    _raise_if(cancelled)
    events = [event for event in map(_event, lines) if event]
    for event in events:
        if event["type"] == "result":
            return event["values"]
    errors = [str(event.get("message")) for event in events if event["type"] == "error"]
    if errors:
        raise TerrainError(errors[-1].rstrip("."))
    if time.monotonic() > until_s:
        raise TerrainError(f"it did not answer within {PROBE_LIMIT_S:.0f} s")
    raise TerrainError(explain_exit(code, lines).rstrip("."))


def _command(path: Path, verb: str) -> list[str]:
    return [str(path), "-I", "-u", "-X", "utf8", str(ROOT / "core" / "__main__.py"), verb]


def _probe_and_keep(path: Path, cancelled: IsCancelled) -> dict:
    stamp = stamps.begin(path, plugin_version())
    try:
        stamp.update(ok=True, report=probe(path, cancelled))
    except TerrainError as error:
        stamp.update(ok=False, message=str(error))
    stamps.write(_stamp_file(), path, stamp)
    return stamp


def _rejection(origin: str, path: Path, reason: str) -> str:
    named = {
        "setting": "The Python chosen in the settings",
        "variable": f"The Python named by {PYTHON_VARIABLE}",
        "managed": "The managed environment",
        "qgis": "QGIS's own Python",
    }[origin]
    return f"{named}, {path}, cannot run the engine: {reason.rstrip('.')}."


def _nothing_found(rejected: list[str]) -> str:
    # QGIS's own Python seldom has the packages: that reason is worth a line only where nothing else was named.
    told = [text for text in rejected if not text.startswith("QGIS's own")] or ["No engine is set up yet."]
    return f"{' '.join(told)} {HOW_TO_GET}."


def _user_setting() -> str:
    try:
        from qgis.core import QgsSettings
    except ImportError:
        return ""
    return str(QgsSettings().value(PYTHON_SETTING, "") or "")


def _stamp_file() -> Path:
    return home_folder() / "probes.json"


def _read_stamp(path: Path) -> dict | None:
    return stamps.read(_stamp_file(), path, plugin_version())


# ---------------------------------------------------------------------------------------------------------------------
# One job


def run_job(
    job: str,
    settings: dict,
    on_event: OnEvent = lambda event: None,
    cancelled: IsCancelled = lambda: False,
    interpreter: Interpreter | None = None,
) -> dict:
    """Run one job in the engine and return its result values.

    Parameters
    ----------
    job, settings
        Name of a module in ``core.jobs`` and its settings as JSON values.
    on_event
        Receives, in the calling thread, ``progress`` (``fraction``, ``text``), ``info``, ``warning`` and ``log``
        (each with ``text``).
    cancelled
        Asked about twenty times a second; once true, the run is gone within 2 s.
    interpreter
        None: :func:`find_interpreter`.

    Raises
    ------
    Cancelled
        The user ended it.
    TerrainError
        The job refused or failed, or the engine died; one or two sentences.

    """
    interpreter = interpreter or find_interpreter(cancelled=cancelled)
    for sentence in interpreter.rejected:
        on_event({"type": "warning", "text": f"{sentence} {interpreter.path} is used instead."})
    return _Run(_command(interpreter.path, "engine"), on_event, cancelled).result_of(job, settings)


class _Run:
    """One job in one engine process, from the first line sent to the last one read."""

    def __init__(self, command: list[str], on_event: OnEvent, cancelled: IsCancelled) -> None:
        self._on_event, self._cancelled = on_event, cancelled
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._last: dict = {}
        self._outputs: list[Path] = []
        self._main: Path | None = None
        self._owner = secrets.token_hex(6)
        self._child = _Child(command, None, with_stdin=True, merged=False)

    def result_of(self, job: str, settings: dict) -> dict:
        self._outputs = [Path(value) for value in settings.values() if isinstance(value, str) and value]
        main = settings.get("output")
        self._main = Path(main) if isinstance(main, str) and main else None  # its journal is for all outputs
        try:
            self._child.send(json.dumps({"job": job, "settings": settings, "owner": self._owner}) + "\n")
            for is_stderr, line in self._child.lines(lambda: _raise_if(self._cancelled)):
                self._take(is_stderr, line)
        except Cancelled:
            self._child.end(ask="cancel\n")
            self._hear_the_end()
            self._remove_unfinished()
            raise
        except BaseException:
            self._child.end()
            self._remove_unfinished()
            raise
        return self._outcome()

    def _take(self, is_stderr: bool, line: str) -> None:
        event = None if is_stderr else _event(line)
        if event is None:
            self._tail.append(line)
            self._on_event({"type": "log", "text": line})
        elif event["type"] in ("result", "error", "cancelled"):
            self._last = event
        else:
            self._on_event(event)

    def _hear_the_end(self) -> None:
        """Hand on what a cancelled job still said: that its finished tiles are kept, for instance."""
        until_s = time.monotonic() + LAST_WORDS_S
        with contextlib.suppress(Cancelled):
            for is_stderr, line in self._child.lines(lambda: _raise_if(lambda: time.monotonic() > until_s)):
                event = None if is_stderr else _event(line)
                if event is not None and event["type"] in ("info", "warning"):
                    self._on_event(event)

    def _outcome(self) -> dict:
        kind = self._last.get("type")
        code = self._child.wait(2.0)
        if code is None:
            self._child.end()
        self._child.close_stdin()
        if kind == "result":
            return self._last.get("values", {})
        self._remove_unfinished()
        if kind == "cancelled":
            raise Cancelled
        raise TerrainError(self._explain_error() if kind == "error" else explain_exit(code, list(self._tail)))

    def _explain_error(self) -> str:
        if self._last.get("traceback"):
            self._on_event({"type": "log", "text": str(self._last["traceback"]).rstrip()})
        message = str(self._last.get("message") or "").strip()
        return message or f"The engine met an unexpected {self._last.get('kind')}; please report it with the log."

    def _remove_unfinished(self) -> None:
        """Remove what a killed engine could not, unless a journal says that a later run can go on with it."""
        if self._main is None or not _has_journal(self._main):
            for output in self._outputs:
                _remove_parts(output)
                _remove_aside(output, self._owner)


def _has_journal(output: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return output.with_name(f".{output.name}.journal").exists()
    return False


def _remove_parts(output: Path) -> None:
    """Remove the unfinished files of an output; another engine that is at work on them has locked the first."""
    if _has_journal(output):
        return
    with contextlib.suppress(OSError, ValueError, TerrainError):
        part = output.with_name(f".{output.name}.part.tif")
        if not part.exists():
            return
        with open_locked(part, output) as file:
            if part.parent in unlocked:
                return
            if _WINDOWS:
                file.close()
            name = glob.escape(f".{output.name}")
            for path in [*output.parent.glob(f"{name}.layout.t*"), *output.parent.glob(f"{name}.part.tif.*"), part]:
                path.unlink()


def _remove_aside(output: Path, owner: str) -> None:
    """Remove what that engine wrote beside an output (``core.aside``); its name says whose it is.

    The number of the process would not do: on Windows, that of a virtual environment's Python starts another one.
    """
    with contextlib.suppress(OSError, ValueError):
        for path in output.parent.glob(f".{glob.escape(output.stem)}.{owner}.*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _event(line: str) -> dict | None:
    """One JSON line of the protocol, or None for any other text."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None
