"""What is known about interpreters, kept in one JSON file, so that menus can ask without starting a process.

A stamp is a dict with ``key``, ``time``, ``ok`` and either ``report`` or ``message``. Imports the standard
library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

FAILURE_LIFE_S = 120.0
"""How long a failure is believed: its cause may lie outside of the environment."""


def key_of(python: Path, version: str) -> str:
    """Text that changes when the interpreter, the packages beside it, or the plugin (``version``) change."""
    environment = python.parent.parent
    watched = [python, environment / "pyvenv.cfg", environment / "Lib" / "site-packages"]
    watched += sorted(environment.glob("lib/python3*/site-packages"))
    return " ".join([version, *(str(place.stat().st_mtime_ns) for place in watched if place.exists())])


def begin(python: Path, version: str) -> dict:
    """Make a stamp of now, without an answer yet."""
    return {"key": key_of(python, version), "time": time.time()}


def read(file: Path, python: Path, version: str) -> dict | None:
    """What is known about ``python``, or None."""
    stamp = _read_all(file).get(str(python))
    if not isinstance(stamp, dict) or stamp.get("key") != key_of(python, version):
        return None
    if stamp.get("ok"):
        return stamp if isinstance(stamp.get("report"), dict) else None
    young = 0 <= time.time() - stamp.get("time", 0) < FAILURE_LIFE_S
    return stamp if young and "message" in stamp else None


def write(file: Path, python: Path, stamp: dict) -> None:
    """Keep a stamp; where the folder cannot be written, the next run asks again."""
    known = {**_read_all(file), str(python): stamp}
    temporary = file.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        os.replace(temporary, file)


def _read_all(file: Path) -> dict:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
