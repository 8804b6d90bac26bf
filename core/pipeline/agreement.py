"""What a worker of a cluster must have in common with the computer that started the job, whatever the job is.

Facts are what the worker says about itself, and ``worker`` what to call it. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any


def key_of(recipe: Any) -> str:
    """Key of a recipe that is a dataclass: a hash of everything it holds."""
    return hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True, default=repr).encode()).hexdigest()


def other_version(facts: Mapping[str, Any], version: str) -> str:
    """What is wrong where a worker has not this ``version``; empty where it has."""
    if facts["version"] == version:
        return ""
    return (
        f"The Dask worker {facts['worker']} has Neural Terrain {facts['version']}, this computer {version}; install "
        "the same version on all workers."
    )


def other_files(facts: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """What is wrong where a worker does not see files of these ``sizes``, by path; empty where it does."""
    for path, size in sizes.items():
        there = facts["sizes"].get(path, -1)
        if there != size:
            seen = "does not see the input" if there < 0 else "sees another file as the input"
            return f"The Dask worker {facts['worker']} {seen} {path}; put it where all workers find it under one path."
    return ""


def size_of(path: str) -> int:
    """Bytes of a file; -1 where there is none, 0 for what GDAL finds by other means (``/vsicurl/``, databases)."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1 if Path(path).is_absolute() and not path.startswith("/vsi") else 0
