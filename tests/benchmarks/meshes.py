"""Terrain meshes beside pydelatin's and pymartini's on the same real ground: triangles, errors, angles, time, memory.

``make bench-mesh [DATA=folder] [ARGS='--side 4096']``. Without a data folder the ground is the shipped sample; with
one, windows of the test areas. Errors of all meshes are found again by rasterising their triangles
(``core/mesh_check``, which shares no code with the triangulation). Large meshes are made in processes of their own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import machine
import mesh_child
import numpy as np
from mesh_child import Faces, Floats

from neural_terrain.core import mesh, mesh_check, raster

SIDE_PX = 513
"""Side of the windows: pymartini takes a power of two and one."""

BOUNDS = (5.0, 10.0, 20.0, 50.0)
LARGE_PX, LARGE_BOUND = 4096, 2.0
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Parts of a bound that are tried as the tolerance of a mesh that knows cells only."""

TARGETS = (
    ("cells", "triangles", "delatin", 0.9), ("cells", "rmse", "delatin", 0.95),
    ("between", "triangles", "delatin, smaller tolerance", 1.0), ("RMSE", "rmse", "delatin", 0.84),
)  # fmt: skip
"""What the project asks of itself on the first window of the data: row, figure, row that it is divided by, at most."""

COLUMNS = [
    ("triangles", "their number, and as a share of pydelatin's at the same bound; RMSE likewise"),
    ("cells, 4x", "largest error at cell centres, and at four times finer positions of the bilinear surface; "
                  "an asterisk where the bound is broken"),
    ("RMSE", "at cell centres"),
    ("angle", "smallest angle of a triangle on the ground in degrees: first percentile and median"),
    ("seconds", "best of three, heights in memory to mesh in memory, on one thread"),
]  # fmt: skip


@dataclass(frozen=True)
class Window:
    """A square of real ground: heights in metres, all known, and the size of its cells."""

    name: str
    heights: Floats
    cell_m: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One mesh and what was found about it."""

    name: str
    bound: float
    triangles: int
    at_cells: float
    between: float
    rmse: float
    angles_deg: tuple[float, float]
    seconds: float


def main() -> None:
    """Print a table per window, the verdict on the first, and the large mesh."""
    asked = arguments()
    lines = [*machine.describe([], "cpu"), *COLUMNS]
    machine.print_header("Terrain meshes under a bound", lines)
    for number, window in enumerate(windows(asked.data)):
        rows = list(measured(window, asked.bounds))
        if number == 0:
            print_verdict(rows)
    if asked.side:
        print_large(asked.side, asked.data)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test areas")
    parser.add_argument("--bounds", type=float, nargs="+", default=list(BOUNDS))
    parser.add_argument("--side", type=int, default=LARGE_PX, help="cells per side of the large mesh; 0: none")
    return parser.parse_args()


def windows(data: Path | None) -> Iterator[Window]:
    """The mountain window first, then other ground; the sample where there is no data."""
    if data is None:
        yield window_of("shipped sample, San Gabriel Mts, 30 m", mesh_child.SAMPLE, 0, 0)
        return
    for name, file, row, col in (
        ("San Gabriel Mts, 30 m", "srtm_bigtujunga_california.tif", 128, 672),
        ("Taiwan, 30 m", "taiwan_moi30m_02048_03072.tif", 256, 256),
        ("Kenya, 31 m", "srtm_kenya_central_12288_16384.tif", 256, 256),
    ):
        yield window_of(name, data / "dem" / "test" / file, row, col)


def window_of(name: str, path: Path, row: int, col: int) -> Window:
    """A window of a file, mirrored at its edges where it is too small; no-data becomes the lowest height."""
    heights, valid, grid = raster.read_all(str(path))
    rows, cols = (
        raster.mirror(first, first + SIDE_PX, size) for first, size in zip((row, col), heights.shape, strict=True)
    )
    known = np.where(valid, heights, heights[valid].min())[np.ix_(rows, cols)]
    return Window(name, np.ascontiguousarray(known), (grid.dx, grid.dy))


def measured(window: Window, bounds: list[float]) -> Iterator[Row]:
    """Make and print all meshes of a window."""
    relief = np.ptp(window.heights)
    print(f"{window.name}: {SIDE_PX} x {SIDE_PX} cells, {relief:.0f} m from lowest to highest")
    print(f"{'bound m':>8}  {'mesh':28}{'triangles':>10}{'':>7}{'cells m':>10}{'4x m':>9}{'RMSE m':>8}{'':>7}"
          f"{'angle':>12}{'seconds':>9}")  # fmt: skip
    for bound in bounds:
        first: Row | None = None
        for row in meshes(window, bound):
            first = first or row
            print_row(row, first)
            yield row
        print(flush=True)


def meshes(window: Window, bound: float) -> Iterator[Row]:
    """The peers, ours within the bound at cells, in tiles, within it between them, and with delatin's triangles."""
    z = window.heights
    delatin = made(window, "delatin", bound, lambda: mesh_child.delatin(z, bound))
    yield delatin
    yield made(window, "martini", bound, lambda: mesh_child.martini(z, bound))
    ours = {"scale": window.cell_m, "workers": 1}
    mesh.triangulate(z[:40, :40], np.ones((40, 40), bool), bound, **ours)  # compiled before it is timed
    known = np.ones(z.shape, bool)
    yield made(window, "cells", bound, lambda: taken(mesh.triangulate(z, known, bound, **ours)))
    yield made(
        window, "cells, tiles of 128", bound, lambda: taken(mesh.triangulate(z, known, bound, side_px=128, **ours))
    )
    yield made(window, "between", bound, lambda: taken(mesh.triangulate(z, known, bound, between=True, **ours)))
    closer = next(finer_delatin(window, bound), None)
    if closer is None:
        print(f"{bound:8g}  delatin, smaller tolerance: none down to {SHARES[-1] * bound:g} m keeps the bound there")
    else:
        yield closer
    most = delatin.triangles
    yield made(window, "RMSE", bound, lambda: taken(mesh.triangulate(z, known, max_triangles=most, **ours)))


def finer_delatin(window: Window, bound: float) -> Iterator[Row]:
    """Delatin's meshes that keep the bound between cells, the one with the largest tolerance first."""
    for share in SHARES:
        row = made(
            window, "delatin, smaller tolerance", bound, lambda s=share: mesh_child.delatin(window.heights, s * bound)
        )
        if row.between <= bound:
            yield row


def taken(found: mesh.Mesh) -> tuple[Floats, Faces]:
    """Vertices and faces."""
    return found.vertices, found.faces


def made(window: Window, name: str, bound: float, make: Callable[[], tuple[Floats, Faces]]) -> Row:
    """Make a mesh a few times and measure it."""
    spent_s = []
    for _ in range(3):
        began_s = time.perf_counter()
        vertices, faces = make()
        spent_s.append(time.perf_counter() - began_s)
    accuracy = mesh_child.accuracy_of(vertices, faces, window.heights)
    angles = mesh_check.smallest_angles_deg(vertices[:, :2], faces, window.cell_m)
    shown = float(np.percentile(angles, 1)), float(np.median(angles))
    return Row(name, bound, len(faces), accuracy.largest, accuracy.between_largest, accuracy.rmse, shown, min(spent_s))


def print_row(row: Row, first: Row) -> None:
    """One line; ratios to the first mesh of the bound."""
    broken = ["*" if value > row.bound * (1 + 1e-9) else " " for value in (row.at_cells, row.between)]
    print(f"{row.bound:8g}  {row.name:28}{row.triangles:10,}{row.triangles / first.triangles:7.3f}"
          f"{row.at_cells:9.3f}{broken[0]}{row.between:8.2f}{broken[1]}{row.rmse:8.3f}{row.rmse / first.rmse:7.3f}"
          f"{row.angles_deg[0]:6.1f}{row.angles_deg[1]:6.1f}{row.seconds:9.2f}", flush=True)  # fmt: skip


def print_verdict(rows: list[Row]) -> None:
    """Each target with what was found at every bound."""
    by_name = {(row.name, row.bound): row for row in rows}
    bounds = sorted({row.bound for row in rows})
    for name, figure, other, limit in TARGETS:
        pairs = [(by_name[name, bound], by_name.get((other, bound))) for bound in bounds]
        ratios = [getattr(one, figure) / getattr(two, figure) for one, two in pairs if two is not None]
        text = " ".join(f"{ratio:.3f}" for ratio in ratios) or "-"
        kept = all(ratio <= limit for ratio in ratios)
        print(f"{name}, {figure} / {other}: {text}; at most {limit:g}: {'yes' if kept else 'no'}")
    kept = all(by_name["cells", b].at_cells <= b * (1 + 1e-9) for b in bounds)
    between = all(by_name["between", b].between <= b * (1 + 1e-9) for b in bounds)
    print(f"bound kept at cells: {'yes' if kept else 'no'}; between them: {'yes' if between else 'no'}\n", flush=True)


def print_large(side_px: int, data: Path | None) -> None:
    """Time and memory of a large mesh, each in a process of its own."""
    print(f"{side_px} x {side_px} cells, bound {LARGE_BOUND:g} m at cells, best of two, threads as by default")
    print(
        f"{'mesh':28}{'triangles':>12}{'':>7}{'cells m':>10}{'RMSE m':>8}{'':>7}{'seconds':>9}{'':>7}{'memory MB':>11}"
    )
    first: mesh_child.Told | None = None
    for name in ("delatin", "ours"):
        runs = [mesh_child.in_child(name, side_px, LARGE_BOUND, data) for _ in range(2)]
        told = min(runs, key=lambda run: run.seconds)
        first = first or told
        print(f"{name:28}{told.triangles:12,}{told.triangles / first.triangles:7.3f}{told.at_cells:10.4f}"
              f"{told.rmse:8.4f}{told.rmse / first.rmse:7.3f}{told.seconds:9.2f}{told.seconds / first.seconds:7.2f}"
              f"{told.memory_mb:11.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
