"""The Python from which the engine's environment is made: QGIS's own where it can, else one found on this computer.

Imports the standard library, ``engine`` (which starts the probes) and ``core.errors`` only, so that it also serves
without QGIS. It changes nothing on the computer.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import TerrainError
from . import engine

OLDEST, NEWEST = (3, 10), (3, 13)
"""Versions for which all pinned packages have wheels."""

SUPPORTED = f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"

PROBE_LIMIT_S = 15.0

_WINDOWS = sys.platform == "win32"
_PREFERRED = (12, 11, 13, 10)
_QUESTION = """
import importlib, json, struct, sys
missing = []
for name in ("venv", "ensurepip", "ssl", "zlib"):
    try:
        importlib.import_module(name)
    except Exception:
        missing.append(name)
print(json.dumps({"path": sys.executable, "version": list(sys.version_info[:3]),
                  "bits": 8 * struct.calcsize("P"), "missing": missing}))
"""


@dataclass(frozen=True)
class BasePython:
    """A Python that can make virtual environments.

    Attributes
    ----------
    path
        The executable, as the Python itself names it.
    version
        Major, minor and micro.

    """

    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} ({self.path})"


def usable(given: str = "") -> Iterator[BasePython]:
    """Pythons that look able to make the environment, best first.

    Parameters
    ----------
    given
        The user's choice: then only this one.

    Raises
    ------
    TerrainError
        After the last one; the sentence says what was seen and what to install.

    """
    if given:
        yield examine(Path(given).expanduser())
        return
    reasons: list[str] = []
    seen: set[Path] = set()
    for path in _candidates():
        try:
            base = examine(path)
        except TerrainError as error:
            reasons.append(str(error))
            continue
        if base.path not in seen:
            seen.add(base.path)
            yield base
    raise TerrainError(_nothing_found(reasons))


def examine(path: Path) -> BasePython:
    """Ask one interpreter in a child process; a TerrainError says why it cannot serve."""
    if not path.is_file():
        raise TerrainError(f"There is no Python at {path}; choose the program file of {SUPPORTED}.")
    answer = _ask(path)
    version = tuple(answer["version"])
    label = f"{path} is Python {'.'.join(map(str, version))}"
    if not OLDEST <= version[:2] <= NEWEST:
        age = "too old" if version[:2] < OLDEST else "too new"
        raise TerrainError(f"{label}, which is {age} for the engine's packages; {SUPPORTED} will do.")
    if answer["bits"] != 64:
        raise TerrainError(f"{label} for {answer['bits']} bits; the engine's packages need a 64-bit Python.")
    if answer["missing"]:
        raise TerrainError(f"{label} without its module {answer['missing'][0]}; {how_to_install(version)}.")
    return BasePython(Path(answer["path"] or path), version)


def how_to_install(version: tuple[int, ...] = ()) -> str:
    """The command that brings a Python with a working venv module, as a part of a sentence."""
    if _WINDOWS:
        return "install one with 'winget install Python.Python.3.12' or from python.org"
    if sys.platform == "darwin":
        return "install one with 'brew install python@3.12' or from python.org"
    if shutil.which("apt-get"):
        numbered = f"python{version[0]}.{version[1]}-venv" if version else "python3-venv"
        return f"install it with 'sudo apt install {numbered}'"
    if shutil.which("dnf"):
        return "install one with 'sudo dnf install python3.12'"
    return "install one from your distribution's packages, with its venv and pip modules"


def _ask(path: Path) -> dict[str, Any]:
    lines: list[str] = []
    until_s = time.monotonic() + PROBE_LIMIT_S
    engine.stream([str(path), "-I", "-c", _QUESTION], lines.append, lambda: time.monotonic() > until_s)
    for line in reversed(lines):
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(answer, dict) and "version" in answer:
            return answer
    raise TerrainError(f"{path} does not run as a Python; choose the program file of {SUPPORTED}.")


def _candidates() -> Iterator[Path]:
    """QGIS's own Python, those on the path, those of the Windows launcher, those in the usual places; each once."""
    seen: set[str] = set()
    for path in _places():
        key = os.path.normcase(str(path))
        if key not in seen and path.is_file():
            seen.add(key)
            yield path


def _places() -> Iterator[Path]:
    own = engine.own_python()
    if own is not None:
        yield own
    for name in [f"python3.{minor}" for minor in _PREFERRED] + ["python3", "python"]:
        found = shutil.which(name)
        if found:
            yield Path(found)
    if _WINDOWS:
        yield from _launcher_places()
    for minor in _PREFERRED:
        yield from _usual_places(minor)


def _launcher_places() -> Iterator[Path]:
    """What ``py -0p`` lists; each line ends in a path."""
    launcher = shutil.which("py")
    if launcher is None:
        return
    lines: list[str] = []
    until_s = time.monotonic() + PROBE_LIMIT_S
    engine.stream([launcher, "-0p"], lines.append, lambda: time.monotonic() > until_s)
    for line in lines:
        start = line.find(":\\")
        if start > 0:
            yield Path(line[start - 1 :].strip())


def _usual_places(minor: int) -> Iterator[Path]:
    if _WINDOWS:
        local = os.environ.get("LOCALAPPDATA", "")
        program_files = os.environ.get("PROGRAMFILES", r"C:\Program Files")
        for parent in (os.path.join(local, "Programs", "Python"), program_files, "C:\\"):
            yield Path(parent) / f"Python3{minor}" / "python.exe"
        return
    framework = f"/Library/Frameworks/Python.framework/Versions/3.{minor}/bin"
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin", framework):
        yield Path(folder) / f"python3.{minor}"


def _nothing_found(reasons: list[str]) -> str:
    telling = [reason for reason in reasons if "venv" in reason or "ensurepip" in reason] or reasons
    seen = f" ({telling[0].rstrip('.')})" if telling else ""
    return f"No {SUPPORTED} that can make an environment was found{seen}. For a new one, {how_to_install()}."
