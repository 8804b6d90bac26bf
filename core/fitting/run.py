"""The whole run: points in, a fitted surface out, its errors told."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from .. import grid as grids
from .. import pipeline, provenance, raster
from ..aside import require_place
from ..continuous import Tiles
from ..elevation import compute
from ..errors import TerrainError
from ..jobs.fitsurface import Settings
from ..progress import Progress
from ..raster import Bools, FittedFile, Floats
from ..tiling import Tile, Window
from ..vertical import METRES
from . import cloud as clouds
from . import lattice as lattices
from . import page
from .band import Band
from .cloud import Cloud
from .judging import PEERS, Score, table
from .lattice import Lattice, Scattering
from .overview import Overview
from .scratch import Making, Scratch
from .solving import Solver, choose_smoothing
from .tin import Guides, Tin
from .work import Fitted, Fitting, Trimming

COMPARED = 12
"""Tiles in which peers are asked for the held-out points."""

BESIDE_SPACINGS = 2.0
"""How far beside a breakline points are believed, in mean point spacings."""

FAR = 2.0
"""Cells are far that are so many times as far from a point as held-out points were, save one in a hundred of these."""

MOST_FAR = 0.1
"""Share of far cells that needs no word."""

DISTANCES = np.linspace(0, 20, 401)
"""Edges of the classes in which distances of cells to the nearest point are counted, in mean point spacings."""

FEWEST_HELD = 5
"""Points that are held out at least."""


@dataclass(frozen=True)
class Errors:
    """What is known of held-out points: numbers, errors of the surface, distances; those of the peers where asked.

    ``cells`` counts the cells of the surface by :data:`DISTANCES`.
    """

    held: np.ndarray
    errors: Floats
    away: Floats
    compared: Floats
    cells: Floats

    @property
    def far(self) -> float:
        """Share of the cells of which held-out points say nothing, being much nearer to points."""
        known = FAR * float(np.quantile(self.away, 0.99))
        return float(self.cells[DISTANCES[:-1] >= known].sum() / max(self.cells.sum(), 1))

    @classmethod
    def of(cls, parts: Sequence[Fitted], cells: Floats) -> Errors:
        """Together."""
        rivals = [np.vstack([part.errors, part.rivals]) for part in parts if part.rivals is not None]
        held, errors, away = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("held", "errors", "away")
        )
        return cls(held, errors, away, np.hstack(rivals) if rivals else np.zeros((len(PEERS) + 1, 0)), cells)


def fit_surface(settings: Settings, progress: Progress) -> dict:
    """Write the surface; returns plain values for the caller's report."""
    started_s = time.monotonic()
    for path in filter(None, (settings.output, settings.report)):
        require_place(path)
    raster.check_folder(Path(settings.output))
    compute.share_cores(1)  # every core has a tile of its own
    cloud, tin = clouds.read(settings, progress)
    lattice = lattices.plan(cloud, settings)
    points, breaks = _scattered(settings, cloud, lattice, _guides(tin, cloud, lattice, progress))
    _warn_of_a_line(points, progress)
    _trim(points, METRES[cloud.unit], progress.step(0.02, 0.12))
    used = np.flatnonzero(points.good & ~points.held)
    solver = Solver(points, 1.0, breaks)
    solver = replace(solver, smoothing=choose_smoothing(solver, used, progress.step(0.12, 0.2)))
    seen = points.tiles_with_points()
    with raster.environment(), Scratch.beside(settings.output, lattice, len(seen)) as scratch:
        errors = _fit(solver, _extent(settings, lattice), scratch, progress.step(0.2, 0.9))
        _require_judged(errors)
        band = _band(points, errors)
        told = _told(settings, cloud, solver, errors, started_s)
        overview = _write(settings, scratch, band, told, progress.step(0.9, 0.99))
    _say(told, bool(settings.breaklines), progress)
    told |= {"valid_share": overview.known / (lattice.inner.rows * lattice.inner.cols),
             "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings}  # fmt: skip
    if settings.report:
        overview.add_points(lattice, points, errors.held, errors.errors)
        page.write(settings.report, told, errors.errors, overview)
    return told


def _say(told: dict, breaklines: bool, progress: Progress) -> None:
    """What the user should know of the points and the cells, and of breaklines where there are any."""
    if told["trimmed"]:
        progress.info(
            f"{told['trimmed']} of {told['points']} points are far from what their neighbours say and were left out."
        )
    if told["far_share"] > MOST_FAR:
        progress.warn(
            f"The points stand in lines or groups: {told['far_share']:.0%} of the cells are much further from points "
            "than those held out were. There the surface is a guess, and errors are larger than told."
        )
    if told["tin_rmse"] is not None and told["rmse"] > max(told["tin_rmse"], 1e-6):
        progress.warn(
            f"A linear TIN has a smaller error than the surface ({told['tin_rmse']:.3g} instead of "
            f"{told['rmse']:.3g}); {_better(told, breaklines)}."
        )


def _better(told: dict, breaklines: bool) -> str:
    """What may make a surface better than a TIN."""
    ways = []
    if breaklines:
        ways.append(
            "leave out breaklines where the ground does not bend: points beside them are believed, outliers too"
        )
    if told["cell_size"] > told["spacing"]:
        ways.append(f"give smaller cells, {told['spacing']:.3g} or less")
    return ", or ".join(ways) or "look in the report where it is off"


def _guides(tin: Tin | None, cloud: Cloud, lattice: Lattice, progress: Progress) -> Guides:
    """What a TIN says beyond its vertices; nothing where there is none."""
    if tin is None:
        return Guides(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros((0, 2)), np.zeros((0, 2)), 0)
    found = tin.guides(lattice.metres, METRES[cloud.unit], lattice.cell_m / 2, lattice.cell_m * lattice.spacing_px)
    progress.info(
        f"The TIN has {len(tin.vertices)} vertices and {len(tin.faces)} triangles; {found.creases} of its edges bend "
        f"sharply and count as breaklines, and {len(found.points)} points were put on these and on wide triangles."
    )
    return found


def _scattered(settings: Settings, cloud: Cloud, lattice: Lattice, guides: Guides) -> tuple[Scattering, Floats]:
    """Points on the lattice, held-out ones marked, and places along breaklines in cells."""
    held = _drawn(~cloud.stands_on(guides.bound), settings)
    cell = lattice.grid.dx
    places, raised = clouds.read_breaklines(settings, cloud, cell / 2, cell * lattice.spacing_px)
    places, raised = np.concatenate([places, guides.breaks]), np.concatenate([raised, guides.points])
    whole = cloud.with_points(raised)
    breaks = np.column_stack(lattice.places(places[:, 0], places[:, 1]))
    fixed = _beside(lattice, whole, breaks) | whole.stands_on(guides.believed)
    return Scattering.on(lattice, whole, held, fixed), breaks


def _warn_of_a_line(points: Scattering, progress: Progress) -> None:
    """Say so where the points stand in one straight line, across which nothing is known."""
    places = points.lattice.ground(points.rows, points.cols)
    if math.sqrt(max(float(np.linalg.eigvalsh(np.cov(places.T))[0]), 0.0)) < points.lattice.spacing_px / 2:
        progress.warn("The points stand in one straight line; beside it the surface is a guess.")


def _beside(lattice: Lattice, cloud: Cloud, breaks: Floats) -> Bools:
    """The points on and beside breaklines, where the ground may well be far from what neighbours say."""
    if not len(breaks):
        return np.zeros(len(cloud), dtype=bool)
    places = lattice.ground(*lattice.places(cloud.x, cloud.y))
    away = cKDTree(lattice.ground(breaks[:, 0], breaks[:, 1])).query(places)[0]
    beside: Bools = away < BESIDE_SPACINGS * lattice.spacing_px
    return beside


def _drawn(free: Bools, settings: Settings) -> Bools:
    """The points that are held out: ``free`` ones, unless these are too few."""
    share = max(round(free.size * settings.hold_out / 100), FEWEST_HELD)
    able = np.flatnonzero(free) if np.count_nonzero(free) >= 2 * share else np.arange(free.size)
    held = np.zeros(free.size, dtype=bool)
    chosen = np.random.default_rng(settings.seed or 0).permutation(able.size)[: min(share, able.size // 2)]
    held[able[chosen]] = True
    return held


def _trim(points: Scattering, unit_m: float, progress: Progress) -> None:
    tiles = _own_tiles(points)

    def take(tile: Tile, kept: Bools) -> None:
        points.good[points.in_tile(tile.index)] = kept

    progress.report(0, "Looking for points that cannot be ground")
    pipeline.run(tiles, list(tiles), Trimming(points, unit_m), take, progress)


def _own_tiles(points: Scattering) -> Tiles:
    """Tiles that hold a point themselves."""
    return replace(points.lattice.tiles, only=tuple(np.flatnonzero(np.diff(points.first)).tolist()))


def _fit(solver: Solver, extent: Window, scratch: Scratch, progress: Progress) -> Errors:
    """Fit every tile that sees points."""
    own = _own_tiles(solver.points).only or ()
    spread = np.unique(np.linspace(0, len(own) - 1, min(COMPARED, len(own))).round().astype(int))
    compared = frozenset(own[number] for number in spread.tolist())
    tiles = replace(solver.lattice.tiles, only=solver.points.tiles_with_points())
    parts: list[Fitted] = []
    cells = np.zeros(len(DISTANCES) - 1)

    def take(tile: Tile, fitted: Fitted) -> None:
        scratch.keep(tile, fitted)
        nothing = np.zeros(0)
        cells[:] += np.histogram(np.minimum(fitted.distances[fitted.known], DISTANCES[-1]), DISTANCES)[0]
        parts.append(replace(fitted, coefficients=nothing, known=nothing.astype(bool), distances=nothing))

    progress.report(0, "Fitting the surface")
    pipeline.run(tiles, list(tiles), Fitting(solver, extent, compared), take, progress)
    return Errors.of(parts, cells)


def _extent(settings: Settings, lattice: Lattice) -> Window:
    """Cells that may belong to the surface."""
    if settings.extent is None:
        return lattice.inner
    west, south, east, north = grids.bounds_on(lattice.grid, settings.extent, settings.extent_crs)
    (top, bottom), (left, right) = lattice.places(np.array([west, east]), np.array([north, south]))
    inner = lattice.inner
    row, col = max(int(np.floor(top)), inner.row), max(int(np.floor(left)), inner.col)
    return Window(
        row, col, min(int(np.ceil(bottom)), inner.row_stop) - row, min(int(np.ceil(right)), inner.col_stop) - col
    )


def _require_judged(errors: Errors) -> None:
    if errors.errors.size < FEWEST_HELD:
        raise TerrainError(
            f"Only {errors.errors.size} held-out points lie on the surface, at least {FEWEST_HELD} are needed; give "
            "more points or a larger HOLD_OUT."
        )


def _band(points: Scattering, errors: Errors) -> Band:
    places = points.lattice.ground(points.rows[errors.held], points.cols[errors.held])
    return Band.of(places, errors.errors, errors.away)


def _told(settings: Settings, cloud: Cloud, solver: Solver, errors: Errors, started_s: float) -> dict:
    """Figures of the run, in the unit of the heights."""
    lattice, points = solver.lattice, solver.points
    score, grid = Score.of(errors.errors), lattice.grid
    rows = {name: asdict(found) for name, found in table(errors.compared).items()}
    tin = rows.get("linear TIN", {}).get("rmse")
    return {
        "output": settings.output, "report": settings.report, "source": settings.las or settings.input or settings.tin,
        "points": int(np.count_nonzero(~points.made)), "held_out": int(np.count_nonzero(points.held)),
        "trimmed": int(np.count_nonzero(~points.good)), "rows": grid.rows, "columns": grid.cols,
        "cell_size": grid.dx, "spacing": lattice.spacing_px * grid.dx, "smoothing": solver.smoothing,
        "far_share": errors.far,
        "unit": cloud.unit, "crs": grids.crs_name(cloud.crs), "hold_out": settings.hold_out, "seed": settings.seed or 0,
        "rmse": score.rmse, "bias": score.bias, "mae": score.mae, "le90": score.le90, "largest": score.largest,
        "judged": score.points, "tin_rmse": tin, "table": rows, "software": provenance.version(),
        "fit_seconds": round(time.monotonic() - started_s, 3),
    }  # fmt: skip


def _write(settings: Settings, scratch: Scratch, band: Band, told: dict, progress: Progress) -> Overview:
    """The file, tile by tile."""
    lattice = scratch.lattice
    overview = Overview(lattice.grid.shape)
    told_tags = ("points", "held_out", "trimmed", "spacing", "smoothing", "rmse", "bias", "mae", "le90", "seed")
    tags = {"NEURAL_TERRAIN_VERSION": told["software"]}
    tags |= {f"FIT_{name.upper()}": f"{told[name]:.8g}" for name in told_tags}
    with FittedFile.made(settings.output, lattice.grid, told["unit"], tags) as file:

        def write(tile: Tile, bands: Floats) -> None:
            if np.isfinite(bands[1]).any():
                file.write(tile.write, bands)
            overview.add(tile.write, bands[0])

        progress.report(0, "Writing the surface")
        pipeline.run(lattice.tiles, list(lattice.tiles), Making(scratch, band), write, progress)
    return overview
