"""The tools that ask the continuous surface, beside what a user would take instead, on ground whose truth is known.

``make bench-toolbox [DATA=folder]``. The coarse DEM is the cell average, 4 x 4, of fine cells, which are the truth; the
ground is the shipped sample, or with a data folder some test areas. Two coarse cells along edges and voids do not
count. Every job and program runs in a process of its own.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import areas
import ground
import machine
import numpy as np
import peers
import pyogrio.raw
import pyproj
import shapely
from peers import Outcome
from scipy.ndimage import binary_erosion

from neural_terrain.core import quality, raster
from neural_terrain.core.elevation.scattered import cubic_at
from neural_terrain.core.grid import Grid

SCALE = 4
MODELS = ("field", "baseline")
NAMES = ("srtm_bigtujunga", "taiwan_moi30m_02048_05120", "rwanda_yanze")
"""Beginnings of the names of the test areas, when a data folder is given."""
POINTS = 1_000_000
INTERVAL_M = 20.0
MARGIN_PX = areas.MARGIN_PX * SCALE
TURN_DEG = 30
"""Warps go to an oblique Mercator projection through the middle of the area, so much turned against north."""

COLUMNS = [
    ("query", f"{POINTS:,} positions in a GeoPackage, heights and all derivatives; RMSE at centres of fine cells"),
    ("slope", "raster of slopes at the fine cells; RMSE against gdaldem on the truth, degrees"),
    ("contours", f"every {INTERVAL_M:g} m; RMSE of the true height along the lines, m, all lines counting by length"),
    ("warp", f"to a grid turned by {TURN_DEG} degrees, coarse cells; RMSE against averages of the true cells, m"),
    ("memory", "peak above the loaded runtime; for GDAL's programs that of the process"),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Files of one area, and its fine heights."""

    name: str
    folder: Path
    coarse: str
    truth: str
    heights: raster.Floats
    grid: Grid

    def file(self, name: str) -> str:
        """A file to write."""
        return str(self.folder / name)


@dataclass(frozen=True)
class Row:
    """What one method came to."""

    method: str
    done: Outcome
    error: float


def ours(case: Case, job: str, settings: dict) -> Outcome:
    """Time and memory of one of our tools."""
    run = machine.run_in_child({"input": case.coarse, **settings}, job)
    return Outcome(run.job_s, run.above_mb)


def rmse(errors: raster.Floats) -> float:
    """Root of the mean square of what is finite."""
    return float(np.sqrt(np.nanmean(errors**2)))


def inner(values: raster.Floats) -> raster.Floats:
    """Fine cells away from the edges, where a tool has surroundings."""
    return values[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def read(path: str) -> raster.Floats:
    """Values of a raster, NaN on no-data."""
    heights, valid, _ = raster.read_all(path)
    return np.where(valid, heights, np.nan)


def query(case: Case) -> Iterator[Row]:
    """Heights at positions: ours, cubic convolution at the same places, and the value of the cell."""
    rows, cols = (np.random.default_rng(5).integers(MARGIN_PX, n - MARGIN_PX, POINTS) for n in case.grid.shape)
    x, y = case.grid.x0 + (cols + 0.5) * case.grid.dx, case.grid.y0 - (rows + 0.5) * case.grid.dy
    points = case.file("points.gpkg")
    pyogrio.raw.write(points, geometry=shapely.to_wkb(shapely.points(x, y)), field_data=[], fields=[], layer="points",
                      driver="GPKG", geometry_type="Point", crs=case.grid.crs)  # fmt: skip
    truth = np.where(deep(np.isfinite(case.heights), MARGIN_PX), case.heights, np.nan)[rows, cols]
    fine, spent = warped(case, "cubic", [])
    yield Row("cubic (gdalwarp)", spent, rmse(fine[rows, cols] - truth))
    coarse = read(case.coarse)
    yield Row("cell", Outcome(math.nan, math.nan), rmse(coarse[rows // SCALE, cols // SCALE] - truth))
    for model in MODELS:
        output = case.file(f"points_{model}.gpkg")
        done = ours(case, "queryelevation", {"points": points, "model": model, "output": output})
        _, _, _, fields = pyogrio.raw.read(output, columns=["elevation"], read_geometry=False)
        yield Row(model, done, rmse(fields[0] - truth))


def warped(case: Case, method: str, options: list[str]) -> tuple[raster.Floats, Outcome]:
    """The coarse DEM by gdalwarp: on the fine cells, or as ``options`` say."""
    output = case.file(f"warped_{method}_{len(options)}.tif")
    cells = options or ["-ts", str(case.grid.cols), str(case.grid.rows)]
    done = peers.watched(
        ["gdalwarp", "-overwrite", "-q", "-multi", "-et", "0", "-r", method, *cells, case.coarse, output]
    )
    return read(output), done


def slope(case: Case) -> Iterator[Row]:
    """Slopes at the fine cells: ours, and gdaldem after gdalwarp."""
    truth, found = case.file("slope_truth.tif"), case.file("slope_cubic.tif")
    degrees = ["-s", "111120"] if case.grid.crs.startswith("GEOG") else []
    peers.watched(["gdaldem", "slope", case.truth, truth, *degrees, "-q"])
    _, spent = warped(case, "cubic", [])
    done = peers.watched(["gdaldem", "slope", case.file("warped_cubic_0.tif"), found, *degrees, "-q"])
    known = inner(read(truth))
    both = Outcome(spent.seconds + done.seconds, max(spent.peak_mb, done.peak_mb))
    yield Row("cubic, gdaldem", both, rmse(inside(inner(read(found)) - known, MARGIN_PX)))
    for model in MODELS:
        output = case.file(f"slope_{model}.tif")
        done = ours(case, "derive", {"scale": float(SCALE), "model": model, "slope": output})
        yield Row(model, done, rmse(inside(inner(read(output)) - known, MARGIN_PX)))


def contours(case: Case) -> Iterator[Row]:
    """Contours: ours, and gdal_contour on the coarse and on the cubic fine cells."""
    _, spent = warped(case, "cubic", [])
    for name, source, before in (
        ("gdal_contour", case.coarse, 0.0),
        ("cubic, gdal_contour", case.file("warped_cubic_0.tif"), spent.seconds),
    ):
        output = case.file(f"{name.replace(', ', '_')}.gpkg")
        done = peers.watched(["gdal_contour", "-a", "elevation", "-i", f"{INTERVAL_M:g}", source, output, "-q"])
        yield Row(name, Outcome(done.seconds + before, done.peak_mb), along(case, output))
    for model in MODELS:
        output = case.file(f"contours_{model}.gpkg")
        done = ours(case, "continuouscontours", {"interval": INTERVAL_M, "model": model, "output": output})
        yield Row(model, done, along(case, output))


def along(case: Case, path: str) -> float:
    """RMSE of the true height along contours, every half of a fine cell."""
    _, _, shapes, fields = pyogrio.raw.read(path, columns=["elevation"])
    lines, line = shapely.get_parts(shapely.from_wkb(shapes), return_index=True)
    steps = np.maximum(1, (shapely.length(lines) / (case.grid.dx / 2)).astype(np.int64))
    owner = np.repeat(np.arange(lines.size), steps)
    part = (np.arange(owner.size) - np.repeat(np.cumsum(steps) - steps, steps) + 0.5) / steps[owner]
    places = shapely.get_coordinates(shapely.line_interpolate_point(lines[owner], part, normalized=True))
    rows, cols = (case.grid.y0 - places[:, 1]) / case.grid.dy, (places[:, 0] - case.grid.x0) / case.grid.dx
    height, width = case.grid.shape
    inside = (np.minimum(rows, height - rows) > MARGIN_PX) & (np.minimum(cols, width - cols) > MARGIN_PX)
    truth = cubic_at(np.nan_to_num(case.heights), rows[inside], cols[inside], 0)[0]
    known = deep(np.isfinite(case.heights), MARGIN_PX)[rows[inside].astype(np.int64), cols[inside].astype(np.int64)]
    return rmse((truth - fields[0][line[owner[inside]]])[known])


def warp(case: Case) -> Iterator[Row]:
    """Another CRS: ours, and gdalwarp."""
    side = f"{case.grid.dx * SCALE:g}"
    target = case.file("abroad.tif")
    where = ["-t_srs", turned(case.grid), "-tr", side, side, "-tap"]
    peers.watched(["gdalwarp", "-overwrite", "-q", "-et", "0", "-r", "average", *where, case.truth, target])
    truth = read(target)
    for method in ("cubic", "cubicspline", "bilinear"):
        output = case.file(f"abroad_{method}.tif")
        onto = [*where, "-te", *extent(target)]
        done = peers.watched(["gdalwarp", "-overwrite", "-q", "-et", "0", "-r", method, *onto, case.coarse, output])
        yield Row(f"{method} (gdalwarp)", done, rmse(inside(read(output) - truth)))
    for model in MODELS:
        output = case.file(f"abroad_{model}.tif")
        done = ours(case, "resampledem", {"grid": target, "model": model, "output": output})
        yield Row(model, done, rmse(inside(read(output) - truth)))


def turned(grid: Grid) -> str:
    """The CRS to warp to."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    middle = grid.x0 + grid.cols * grid.dx / 2, grid.y0 - grid.rows * grid.dy / 2
    lon_deg, lat_deg = to_degrees.transform(*middle)
    return f"+proj=omerc +lat_0={lat_deg:.4f} +lonc={lon_deg:.4f} +alpha={TURN_DEG} +gamma=0 +datum=WGS84 +units=m"


def extent(path: str) -> list[str]:
    """West, south, east, north of a raster as gdalwarp wants it."""
    grid = raster.read_grid(path)
    return [repr(v) for v in (grid.x0, grid.y0 - grid.rows * grid.dy, grid.x0 + grid.cols * grid.dx, grid.y0)]


def inside(errors: raster.Floats, by: int = areas.MARGIN_PX) -> raster.Floats:
    """Errors ``by`` cells and more from where nothing is known."""
    return np.where(deep(np.isfinite(errors), by), errors, np.nan)


def deep(known: raster.Bools, by: int) -> raster.Bools:
    """What is known, without a rim of ``by`` cells."""
    return binary_erosion(known, iterations=by, structure=np.ones((3, 3)))


def cases(data: Path | None, folder: Path) -> Iterator[Case]:
    """The sample, or the areas of a data folder."""
    sources = [(a.name, a.path) for a in areas.listed(data, list(NAMES))] if data else [("sample", ground.SAMPLE)]
    for name, path in sources:
        heights, valid, grid = raster.read_all(str(path))
        rows, cols = (side // SCALE * SCALE for side in grid.shape)
        heights, valid = heights[:rows, :cols], valid[:rows, :cols]
        coarse, known = quality.cell_average(heights, valid, SCALE)
        files = [str(folder / f"{name}_{what}.tif") for what in ("coarse", "truth")]
        fine = Grid(rows, cols, grid.x0, grid.y0, grid.dx, grid.dy, grid.crs)
        placed = Grid(*coarse.shape, grid.x0, grid.y0, grid.dx * SCALE, grid.dy * SCALE, grid.crs)
        areas.write(files[0], coarse, known, placed)
        areas.write(files[1], heights, valid, fine)
        yield Case(name, folder, *files, np.where(valid, heights, np.nan), fine)


TASKS = {"query": query, "slope": slope, "contours": contours, "warp": warp}


def main() -> None:
    """Print a row per area, task and method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    asked = parser.parse_args()
    machine.print_header("The continuous surface as a toolbox", [*machine.describe(list(MODELS), "auto"), *COLUMNS])
    print(f"{'area':28}{'task':10}{'method':24}{'seconds':>9}{'MB':>7}{'RMSE':>9}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(asked.data, Path(folder)):
            for task in asked.tasks:
                first = None
                for row in TASKS[task](case):
                    first = first or row.error
                    print(f"{case.name[:27]:28}{task:10}{row.method:24}{row.done.seconds:9.1f}{row.done.peak_mb:7.0f}"
                          f"{row.error:9.3f}{row.error / first:8.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
