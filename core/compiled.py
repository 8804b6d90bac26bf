"""The door to numba: functions as machine code, kept where nothing of the plugin is and never out of date.

Numba keeps machine code beside the source, and looks at the age of the function's own file only: code that was built
into it from other modules would stay as it was. Here every module has a folder of its own, named after its source,
those of the modules of core that it is built from, and numba's version. Folders lie in the engine's environment, or
where that cannot be written, in the user's cache, or in a temporary folder of this process.

Numba numbers the codes of a function, one for every kind of arguments, in a file of its own, and does not care whether
another process does the same: two could take one number. So reading and writing go under a lock here.

Imports numba, :mod:`.lock` and the standard library only.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import hashlib
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from . import lock
from .errors import TerrainError

F = TypeVar("F", bound=Callable[..., Any])

_njit: Any = numba.njit
_config: Any = numba.config

KEPT = 4
"""Versions of a module whose machine code stays: others may be at work with an older one."""

PATIENCE_S, POLL_S = 30.0, 0.01
"""How long one process waits for another at a module's machine code, and how often it looks; reading or writing one
takes milliseconds."""

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


def kept_folder(module: str) -> Path:
    """`folder_of` a module's file, which is made, and of older ones the oldest removed; once per process."""
    return _known_folder(module)


@functools.cache
def machine() -> str:
    """A name for the processor and the Python that machine code is for."""
    from numba.core.registry import cpu_target

    target: Any = cpu_target
    about = (target.target_context.codegen().magic_tuple(), sys.version_info[:2])
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


def _kept(function: F, **options: Any) -> F:
    """A compiled function whose cache is the folder of its module."""
    folder = _known_folder(function.__code__.co_filename)
    with _cache_in(folder):
        made: Any = _njit(**options)(function)
    made._cache._cache_file = _Shared(made._cache._cache_file, folder / "codes.lock")
    return cast("F", made)


class _Shared:
    """Numba's file with the codes of one function, used by one process at a time."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path

    def load(self, key: Any) -> Any:
        """A code, or None where there is none yet; without the lock none either: it is made anew."""
        with _locked(self._path) as is_alone:
            return self._file.load(key) if is_alone else None

    def save(self, key: Any, data: Any) -> None:
        """Keep a code."""
        with _locked(self._path) as is_alone:
            if is_alone:
                self._file.save(key, data)

    def flush(self) -> None:
        """Forget all codes."""
        with _locked(self._path) as is_alone:
            if is_alone:
                self._file.flush()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock, and say whether that was possible."""
    end_s = time.monotonic() + PATIENCE_S
    file = None
    while file is None and time.monotonic() < end_s:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open_locked(path, path)
        except TerrainError:  # another process has it
            time.sleep(POLL_S)
        except OSError:
            break
    try:
        yield file is not None
    finally:
        if file is not None:
            file.close()


@functools.cache
def _known_folder(module: str) -> Path:
    """Like `folder_of`, made once per process."""
    path = Path(module).resolve()
    folder = folder_of(path) if path.exists() else _root()
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(_root().glob(folder.name.rpartition("_")[0] + "_*"), key=_age_s)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _age_s(folder: Path) -> float:
    """Seconds since a folder was changed; endless if another process has just removed it."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return math.inf


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
    folder = Path(tempfile.mkdtemp(prefix="neural_terrain_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _user_cache() -> Path:
    """The user's folder for files that can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
