"""The whole run: from settings to a finished mesh, triangulated on this computer or on a cluster."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

from .. import mesh_files, provenance, raster
from ..elevation import card
from ..grid import Grid
from ..jobs.terrainmesh import Settings
from ..mesh import Mesh
from ..progress import Progress
from ..raster import Reading, Sink, Source, Writing
from . import checking, drawn, finer, messages
from .checking import Checks, Findings
from .coverage import Coverage
from .datasets import triangles_of
from .drawn import Drawn
from .ground import Ground, Placement
from .making import Bench, Done, made
from .region import region_of

BLOCK_PX = 256
"""Side of the error raster's blocks: that of the blocks that are checked."""


def mesh(settings: Settings, progress: Progress) -> dict:
    """Write the mesh of ``settings``; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where DEM, mask or breaklines cannot be used or nothing is to be meshed.
    """
    started_s = time.monotonic()
    progress.report(0, "Opening the DEM")
    with raster.environment(), Source(settings.input, _reading(settings)) as source:
        messages.refuse_outputs(settings, source)
        layers = drawn.read(settings, source.grid)
        if not settings.refines:  # else that part of the run says it
            raster.announce(source, progress)
        with _meshed_dem(settings, source, layers, progress) as (dem, rest):
            values = _mesh(settings, dem, layers, rest)
    return {**values, "seconds": round(time.monotonic() - started_s, 3), "warnings": progress.warnings}


def _reading(settings: Settings) -> Reading:
    return Reading(settings.band, settings.crs, settings.no_data, settings.z_unit)


@contextlib.contextmanager
def _meshed_dem(
    settings: Settings, source: Source, layers: Drawn, progress: Progress
) -> Iterator[tuple[Source, Progress]]:
    """The DEM that is meshed, the input or a finer one of it, and what is left of the progress."""
    if not settings.refines:
        yield source, progress
        return
    if layers.polygons:
        region_of(layers.polygons, Placement(source.grid))  # refuses a mask elsewhere before the long work
    extent = layers.extent(source.grid)
    with (
        finer.made(settings, extent, progress.step(0, 0.5)) as path,
        Source(path, Reading(z_unit=source.unit)) as dem,
    ):
        yield dem, progress.step(0.5, 1)


def _mesh(settings: Settings, dem: Source, layers: Drawn, progress: Progress) -> dict:
    ground = Ground(dem)
    bench = Bench(settings, ground, layers)
    done = made(bench, progress.step(0, 0.75))
    progress.report(0.75, "Measuring the mesh")
    with _sink(settings, dem) as sink:
        work = Checks(ground, done.mesh, sink.writing if sink else None, Coverage(bench.region))
        found = checking.check(work, done.mesh, sink, progress.step(0.75, 0.92))
        between = settings.bound_at == "BETWEEN"
        checking.refuse_broken_promise(found, done.bound, between=between)
        del work
        progress.report(0.92, "Writing the mesh")
        if sink is not None:
            sink.finish()
        tags = _tags(settings, ground.source.grid, done.bound)
        triangles = triangles_of(ground, done.mesh, found, settings.z_factor, tags)
        with mesh_files.written(settings.output, triangles, settings.format):
            if sink is not None:
                sink.commit()
    _say(settings, done, found, dem.unit, progress)
    progress.report(1, "Done")
    return _values(settings, ground, done.mesh, found) | {"bound": done.bound, "tiles": done.tiles}


@contextlib.contextmanager
def _sink(settings: Settings, dem: Source) -> Iterator[Sink | None]:
    """The error raster, where one is wanted; dropped unless it was committed when the block ends."""
    if not settings.error_raster:
        yield None
        return
    tags = {
        "NEURAL_TERRAIN_VERSION": provenance.version(),
        "NEURAL_TERRAIN_COMPARED": f"{Path(settings.output).name} minus {Path(settings.input).name}",
    }
    writing = Writing(unit=dem.unit, description="Mesh minus DEM", is_point=dem.is_point, tags=tags, block_px=BLOCK_PX)
    sink = Sink(settings.error_raster, dem.grid, writing)
    try:
        yield sink
    finally:
        sink.discard()


def _tags(settings: Settings, grid: Grid, bound: float | None) -> dict[str, str]:
    """Where the mesh comes from; ``grid`` is the one that its DEM has, as x0 y0 dx dy rows cols."""
    numbers = (grid.x0, grid.y0, grid.dx, grid.dy, grid.rows, grid.cols)
    tags = {
        "software": f"Neural Terrain {provenance.version()}",
        "source": Path(settings.input).name,
        "grid": " ".join(map(repr, numbers)),
    }
    if bound is not None:
        tags |= {"max_error": repr(bound), "bound_at": settings.bound_at.lower()}
    if settings.refines:
        model = card.find(settings.model)
        tags["model"] = f"{model.name} {model.version} {model.short_hash}"
    return tags


def _say(settings: Settings, done: Done, findings: Findings, unit: str, progress: Progress) -> None:
    triangles = len(done.mesh.faces)
    messages.after(findings, unit, progress)
    messages.of_the_size(triangles, progress)
    messages.of_the_bound_between(findings, done.bound, progress)
    if settings.max_triangles is not None:
        messages.of_the_budget(triangles, settings.max_triangles, progress)
    if settings.max_rmse is not None:
        accuracy = findings.accuracy
        reached = accuracy.rmse_between if settings.bound_at == "BETWEEN" else accuracy.rmse
        messages.of_the_rmse(reached, settings.max_rmse, progress)


def _values(settings: Settings, ground: Ground, found: Mesh, findings: Findings) -> dict:
    accuracy = findings.accuracy
    return {
        **settings.outputs,
        "triangles": len(found.faces),
        "vertices": len(found.vertices),
        "largest_error": _number(accuracy.largest if accuracy.covered else math.nan),
        "largest_error_between": _number(accuracy.between_largest if accuracy.between_positions else math.nan),
        "rmse": _number(accuracy.rmse),
        "rmse_between": _number(accuracy.rmse_between),
        "mean_error": _number(accuracy.mean),
        "seams": findings.seams,
        "covered_share": _number(accuracy.share),
        "size_mb": round(Path(settings.output).stat().st_size / 1e6, 3),
        "z_unit": ground.source.unit,
        "crs": ground.grid.crs,
    }


def _number(value: float) -> float | None:
    """A figure; None where a mesh in a small mask holds no cell to measure at."""
    return value if math.isfinite(value) else None
