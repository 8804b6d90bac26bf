"""The door to numba: functions as machine code, kept where nothing of the plugin is and never out of date.

Numba keeps machine code beside the source, and looks at the age of the function's own file only: code that was built
into it from other modules would stay as it was. Here every module has a folder of its own, named after its source,
those of the modules of core that it is built from, and numba's version. Folders lie in the engine's environment, or
where that cannot be written, in the user's cache, or in a temporary folder of this process.

Imports numba and the standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_njit: Any = numba.njit
_config: Any = numba.config

KEPT = 4
"""Versions of a module whose machine code stays: others may be at work with an older one."""

CORE = Path(__file__).resolve().parent


def compiled(function: F) -> F:
    """Compile a function when it is first called; it lets other threads run meanwhile."""
    return _kept(function, cache=True, nogil=True)


def lean(function: F) -> F:
    """Compile a function that makes no arrays and divides by zero as IEEE 754 says.

    Without numba's counting of references to arrays the inner loops run about twice as fast.
    """
    return _kept(function, cache=True, nogil=True, error_model="numpy", _nrt=False)


def inlined(function: F) -> F:
    """Put a function of a few lines wherever it is called; what it is built into decides the rest."""
    return cast("F", _njit(inline="always", nogil=True, error_model="numpy", _nrt=False)(function))


def folder_of(module: Path) -> Path:
    """Where the machine code of a module is kept; another folder for every change of what it is built from."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_sources(module)):
        digest.update(source.name.encode() + source.read_bytes())
    return _root() / f"{module.parent.name}_{module.stem}_{digest.hexdigest()[:16]}"


def _kept(function: F, **options: Any) -> F:
    """A compiled function whose cache is the folder of its module."""
    with _cache_in(_known_folder(function.__code__.co_filename)):
        return cast("F", _njit(**options)(function))


@functools.cache
def _known_folder(module: str) -> Path:
    """Like `folder_of`, made once per process."""
    path = Path(module).resolve()
    folder = folder_of(path) if path.exists() else _root()
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        older = sorted(_root().glob(folder.name.rpartition("_")[0] + "_*"), key=lambda old: old.stat().st_mtime)
        for old in older[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Numba asks for its folder when a function is decorated; other users of numba keep theirs."""
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        _config.CACHE_DIR = before


def _sources(module: Path) -> set[Path]:
    """A module and all modules of core that it imports by relative imports, directly or not."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += [path for path in _imports(source) if path.is_relative_to(CORE)]
    return found


def _imports(module: Path) -> Iterator[Path]:
    """The files that the relative imports of a module name."""
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            start = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for path in (start, *(start / name.name for name in node.names)):
                choices = (path.with_suffix(".py"), path / "__init__.py")
                yield from (choice.resolve() for choice in choices if choice.is_file())


@functools.cache
def _root() -> Path:
    """A folder that this user can write and others have no business in."""
    for folder in (Path(sys.prefix) / "machine_code", _user_cache() / "neural_terrain" / "machine_code"):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    return Path(tempfile.mkdtemp(prefix="neural_terrain_"))


def _user_cache() -> Path:
    """The user's folder for files that can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
