"""Machine code for this computer: made once, before the first mesh, so that a user hears why it takes a while."""

from __future__ import annotations

import numpy as np

from .. import mesh, mesh_check
from ..mesh import Mesh
from ..mesh.clip import clip
from ..progress import Progress

SIDE = 5


def prepare(progress: Progress) -> None:
    """Compile what triangulation, cutting and checking need, unless that was done before."""
    if mesh.is_compiled():
        return
    progress.info("The code that makes meshes is prepared for this computer, once; this takes a minute or two.")
    steps = (_cut, _check, mesh.warm_up)  # the last one remembers that all is done
    for number, step in enumerate(steps):
        progress.report(0, f"Preparing the mesh code for this computer, once: step {number + 1} of {len(steps)}")
        step()


def _square() -> Mesh:
    """Two triangles over a small lattice."""
    end = SIDE - 1.0
    vertices = np.array([(0, 0, 1), (0, end, 2), (end, end, 3), (end, 0, 4)], float)
    return Mesh(vertices, np.array([(0, 1, 2), (0, 2, 3)], np.int32))


def _cut() -> None:
    ring = np.array([(0.3, 0.4), (3.1, 0.7), (2.2, 3.3), (0.3, 0.4)])
    clip(_square(), [[ring]])


def _check() -> None:
    found, shape = _square(), (SIDE, SIDE)
    facets = mesh_check.Facets(found.vertices, found.faces, shape)
    tile = next(iter(facets.blocks))
    heights, valid = np.ones(shape), np.ones(shape, np.bool_)
    valid[1, 1] = False
    mesh_check.measure(facets, tile, heights, valid, times=mesh_check.BETWEEN)
    mesh_check.soundness(found.vertices, found.faces, rows_down=True)
