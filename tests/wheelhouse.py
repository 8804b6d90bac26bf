"""Tiny wheels under the names and pinned versions of the engine's packages, so that a set-up takes seconds, offline.

They hold just what the engine's probe asks a package for. Standard library only.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CONTENTS = {
    "torch": """
        class cuda:
            is_available = staticmethod(lambda: False)
        class cpu:
            pass
        """,
    "rasterio": "__gdal_version__ = '3.9.0'",
}


def pins() -> dict[str, str]:
    """Pinned versions of ``core/requirements.txt`` for the Python that runs this."""
    found = {}
    for line in (ROOT / "core" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        pin = re.match(r"(\w+)==([\w.]+)(?:; python_version (>=|<) \"3\.11\")?$", line)
        if pin and pin.group(3) != ("<" if sys.version_info >= (3, 11) else ">="):
            found[pin.group(1)] = pin.group(2)
    return found


def make_wheels(folder: Path, without: str = "") -> Path:
    """A folder with a wheel of each pinned package but one."""
    for name, version in pins().items():
        if name != without:
            make_wheel(folder, name, version)
    return folder


def make_wheel(folder: Path, name: str, version: str, needs: Iterable[str] = ()) -> Path:
    """One wheel with one module."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    source = re.sub(r"(?m)^        ", "", CONTENTS.get(name, ""))
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", source)
        wheel.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_index(folder: Path, wheels: Iterable[Path]) -> Path:
    """A package index of HTML pages for some wheels, below ``folder``."""
    for wheel in wheels:
        page = folder / wheel.name.split("-")[0] / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        (page.parent / wheel.name).write_bytes(wheel.read_bytes())
        page.write_text(f"<!DOCTYPE html>\n<html><body><a href='{wheel.name}'>{wheel.name}</a></body></html>\n")
    return folder
