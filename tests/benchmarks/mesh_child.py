"""One large mesh in a process of its own, and the peers: ``python mesh_child.py NAME SIDE BOUND [DATA]``.

pydelatin counts rows from the last one; pymartini takes squares of a power of two and one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import numpy as np
from numpy.typing import NDArray
from pydelatin import Delatin
from pymartini import Martini

from neural_terrain.core import mesh, mesh_check, raster
from neural_terrain.core.mesh_check import Accuracy

Floats = NDArray[np.float64]
Faces = NDArray[np.int32]

SAMPLE = machine.ROOT / "resources" / "samples" / "big_tujunga_30m.tif"
LARGE = "rwanda10m_08192_12288.tif"


@dataclass(frozen=True)
class Told:
    """What a child says: memory is its peak above what it held before the mesh."""

    triangles: int
    at_cells: float
    rmse: float
    seconds: float
    memory_mb: float


def in_child(name: str, side_px: int, bound: float, data: Path | None) -> Told:
    """Make a mesh in a fresh process."""
    more = [] if data is None else [str(data)]
    command = [sys.executable, __file__, name, str(side_px), str(bound), *more]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise SystemExit(f"The mesh {name} failed:\n{child.stderr}")
    return Told(**json.loads(child.stdout.splitlines()[-1]))


def delatin(heights: Floats, bound: float) -> tuple[Floats, Faces]:
    """Greedy insertion (Garland and Heckbert 1995) as pydelatin has it."""
    found = Delatin(heights.astype(np.float32), z_scale=1, max_error=bound)
    vertices = np.array(found.vertices, float)
    vertices[:, 1] = heights.shape[0] - 1 - vertices[:, 1]
    return vertices, np.array(found.triangles, np.int32)


def martini(heights: Floats, bound: float) -> tuple[Floats, Faces]:
    """Right-angled triangles (Evans and others 2001) as pymartini has them."""
    places, faces = Martini(len(heights)).create_tile(heights.astype(np.float32)).get_mesh(bound)
    at = np.asarray(places).reshape(-1, 2).astype(np.int64)
    vertices = np.column_stack([at, heights[at[:, 1], at[:, 0]]])
    return vertices.astype(float), np.asarray(faces).reshape(-1, 3).astype(np.int32)


def accuracy_of(vertices: Floats, faces: Faces, heights: Floats) -> Accuracy:
    """Errors of a mesh in lattice coordinates, found again by rasterising it block by block."""
    facets, total = mesh_check.Facets(vertices, faces, heights.shape), Accuracy()
    for tile in facets.blocks:
        read = tile.read
        part = heights[read.row : read.row_stop, read.col : read.col_stop]
        total += mesh_check.measure(facets, tile, part, np.ones(part.shape, bool)).accuracy
    return total


def main() -> None:
    name, side_px, bound = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    path = Path(sys.argv[4]) / "dem" / "test" / LARGE if len(sys.argv) > 4 else SAMPLE
    heights, valid, _ = raster.read_all(str(path))
    rows, cols = (raster.mirror(0, side_px, size) for size in heights.shape)
    heights = np.ascontiguousarray(np.where(valid, heights, np.median(heights[valid]))[np.ix_(rows, cols)])
    known = np.ones(heights.shape, bool)
    mesh.triangulate(heights[:40, :40], known[:40, :40], bound)
    before_mb = machine.resident_mb()
    machine.forget_peak()
    began_s = time.perf_counter()
    if name == "ours":
        found = mesh.triangulate(heights, known, bound)
        vertices, faces = found.vertices, found.faces
    else:
        vertices, faces = delatin(heights, bound)
    spent_s, peak_mb = time.perf_counter() - began_s, machine.resident_mb("VmHWM")
    accuracy = accuracy_of(vertices, faces, heights)
    told = Told(len(faces), accuracy.largest, accuracy.rmse, spent_s, peak_mb - before_mb)
    print(json.dumps(asdict(told)))


if __name__ == "__main__":
    main()
