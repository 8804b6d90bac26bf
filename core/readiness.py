"""Machine code for this computer: made once, before it is needed, so that a user hears why the first run takes a while.

Joins the parts that are compiled: :mod:`.mesh` and :mod:`.mesh_check`, and those of scenes, which are imported when
they are asked for. One process at a time makes the code, and the others wait for it, such as the workers of a cluster
that all begin at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import shapely

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
    wanted = [name for name in names or MESHES if not _sign(name).exists()]
    if not wanted:
        return
    progress = progress or Progress()
    with _alone(progress):
        wanted = [name for name in wanted if not _sign(name).exists()]
        if wanted:
            progress.info("Machine code is prepared for this computer, once; this takes a minute or two.")
        for number, name in enumerate(wanted):
            progress.report(0, f"Preparing machine code for this computer, once: step {number + 1} of {len(wanted)}")
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
                progress.info("Another run prepares machine code for this computer; waiting for it.")
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


def _streets() -> None:
    """Two pieces of a net on a slope, which have to be traced, joined and laid gently; the net as cells."""
    from .scene.fields import FINE_M, Frame, kerb_distance, road_fields
    from .scene.vectors import around, lay_streets, nothing
    from .streets.build import StreetSettings
    from .streets.street_field import FALL_M, Lattice, StreetField
    from .streets.terrain import Terrain

    lattice = Lattice(0.0, 400.0, 10.0, 40, 40)
    row, col = np.mgrid[:40, :40]
    across, down = np.where(col < 18, abs(row - 12.5), 99.0), np.where(row > 16, abs(col - 28.5), 99.0)
    near = np.clip(1 - np.minimum(across, down) * lattice.cell_m / FALL_M, 0, 1)
    field = StreetField(lattice, near, np.where(across < down, near, -near), np.zeros_like(near), np.zeros_like(near))
    ground = around(shapely.box(*lattice.bounds), nothing(), Terrain(lattice, (col + row) * 0.8))
    net = lay_streets(field, ground, StreetSettings()).network
    frame = Frame(0, 400, 400, 400)
    road_fields(net.lines, net.rank, frame)
    kerb_distance(net.lines, net.width_m, frame, FINE_M)


def _buildings() -> None:
    """Houses in a row, and one that stands already."""
    from .buildings.build import FineField, Targets
    from .scene.fields import FINE_M, Frame, building_fields, shares
    from .scene.vectors import around, build_up, nothing
    from .streets.build import StreetResult
    from .streets.network import empty
    from .streets.street_field import Lattice

    lattice = Lattice(0.0, 200.0, float(FINE_M), 100, 100)
    row, col = np.mgrid[:100, :100]
    wall_m = 12.0 - 2.0 * np.maximum(abs(row % 20 - 9.5), abs(col % 14 - 6.5))
    wall_m[0, 0] = 1.0  # a speck, which goes
    fields = FineField(lattice, *(one.astype(np.float32) for one in (wall_m > 0, wall_m, np.full_like(wall_m, 9.0))))
    ground, house = around(shapely.box(*lattice.bounds), nothing()), np.array([shapely.box(20, 20, 32, 31)])
    build_up(fields, StreetResult(empty(), ()), ground, nothing(), Targets(coverage=0.3))
    frame = Frame(0, 200, 200, 200)
    building_fields(house, np.array([8.0]), frame)
    shares(house, frame, FINE_M)


MESHES = ("cut", "check", "make")
STEPS: dict[str, Callable[[], None]] = {
    "cut": _cut, "check": _check, "make": _make, "streets": _streets, "buildings": _buildings,
}  # fmt: skip
"""What can be prepared; :data:`MESHES` are those of meshes."""
