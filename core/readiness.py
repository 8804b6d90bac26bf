"""Machine code for this computer: made once, before it is needed, so that a user hears why the first run takes a while.

Joins the parts that are compiled, :mod:`.mesh` and :mod:`.mesh_check`. One process at a time makes the code, and the
others wait for it, such as the workers of a cluster that all begin at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from . import lock, mesh, mesh_check
from .compiled import kept_folder, machine
from .errors import TerrainError
from .mesh import Mesh
from .mesh.clip import clip
from .mesh.following import follow
from .progress import Progress

SIDE = 5
POLL_S = 0.2


def prepare(progress: Progress | None = None, *names: str) -> None:
    """Compile what triangulation, cutting and checking need, or those of :data:`STEPS` that are named, unless it is
    there.
    """
    wanted = [name for name in names or STEPS if not _sign(name).exists()]
    if not wanted:
        return
    progress = progress or Progress()
    with _alone(progress):
        wanted = [name for name in wanted if not _sign(name).exists()]
        if wanted:
            progress.info("The code that makes meshes is prepared for this computer, once; this takes a minute or two.")
        for number, name in enumerate(wanted):
            progress.report(0, f"Preparing the mesh code for this computer, once: step {number + 1} of {len(wanted)}")
            STEPS[name]()
            with contextlib.suppress(OSError):
                _sign(name).touch()


def _sign(name: str) -> Path:
    """An empty file that says that a step was done here; it has another place after every change of the code."""
    return kept_folder(__file__) / f"{name}_{machine()}"


@contextlib.contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    """No other process prepares code in the meantime."""
    path = kept_folder(__file__) / "making.lock"
    said = False
    while True:
        progress.check()
        try:
            file = lock.open_locked(path, path)
            break
        except TerrainError:  # another process has it
            if not said:
                progress.info("Another run prepares the mesh code for this computer; waiting for it.")
            said = True
            time.sleep(POLL_S)
    with file:
        yield


def _square() -> Mesh:
    """Two triangles over a small lattice."""
    end = SIDE - 1.0
    vertices = np.array([(0, 0, 1), (0, end, 2), (end, end, 3), (end, 0, 4)], float)
    return Mesh(vertices, np.array([(0, 1, 2), (0, 2, 3)], np.int32))


def _cut() -> None:
    ring = np.array([(0.3, 0.4), (3.1, 0.7), (2.2, 3.3), (0.3, 0.4)])
    clip(_square(), [[ring]])
    follow(_square(), [ring[:3]])


def _check() -> None:
    found, shape = _square(), (SIDE, SIDE)
    facets = mesh_check.Facets(found.vertices, found.faces, shape)
    tile = next(iter(facets.blocks))
    heights, valid = np.ones(shape), np.ones(shape, np.bool_)
    valid[1, 1] = False
    mesh_check.measure(facets, tile, heights, valid, times=mesh_check.BETWEEN)
    facets.highest(tile)
    mesh_check.soundness(found.vertices, found.faces, rows_down=True)


def _make() -> None:
    """Small meshes of all kinds."""
    rows, cols = np.mgrid[:24, :24].astype(float)
    heights = 20 * np.sin(rows / 3) * np.cos(cols / 4)
    valid = np.hypot(rows - 9, cols - 15) > 4
    for between in (False, True):
        mesh.triangulate(heights, valid, 2.0, between=between, side_px=12, workers=1)
    mesh.triangulate(heights, valid, max_triangles=200, workers=1)


STEPS: dict[str, Callable[[], None]] = {"cut": _cut, "check": _check, "make": _make}
"""What can be prepared."""
