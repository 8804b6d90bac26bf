"""The whole of a mesh report: read, measure, write what was asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from .. import raster
from ..jobs.meshreport import Settings
from ..mesh_check import soundness
from ..progress import Progress
from ..raster import Sink
from . import sheet
from .against import Compared, compared, opened_dem, writing
from .findings import answers, findings, write_table
from .pictures import pictures
from .surface import Surface, opened


def report(settings: Settings, progress: Progress) -> dict:
    """Measure a mesh; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the mesh cannot be read, or mesh and DEM do not fit.
    """
    started_s = time.monotonic()
    progress.report(0, "Reading the mesh")
    with raster.environment():
        surface = opened(settings, progress)
        found = _written(settings, surface, progress)
    for text in found["verdict"]:
        progress.info(text)
    told = {**answers(found), **settings.outputs(), "unit": surface.unit, "warnings": list(progress.warnings)}
    return {**told, "seconds": round(time.monotonic() - started_s, 3)}


def _written(settings: Settings, surface: Surface, progress: Progress) -> dict:
    """Measure, and write raster, table and page; all of them appear at the end."""
    name = Path(settings.dem.rsplit(":", 1)[-1]).name if settings.dem else ""
    with _compared(settings, surface, name, progress.step(0.3, 0.9)) as (against, sink):
        progress.report(0.9, "Looking for cracks")
        sound = soundness(surface.vertices, surface.faces)
        found = {**findings(surface, sound, against, name), "warnings": list(progress.warnings)}
        progress.report(0.95, "Writing the report")
        if sink is not None:
            sink.finish()
        if settings.table:
            write_table(settings.table, found)
        if settings.output:
            sheet.write(settings.output, found, pictures(surface, sound, against))
        if sink is not None:
            sink.commit()
    return found


@contextlib.contextmanager
def _compared(
    settings: Settings, surface: Surface, name: str, progress: Progress
) -> Iterator[tuple[Compared | None, Sink | None]]:
    """The comparison with the DEM, and the error raster that is not yet in its place; None where there is none."""
    if not settings.dem:
        yield None, None
        return
    sink = None
    try:
        with opened_dem(settings, surface, progress) as source:
            if settings.error_raster:
                sink = Sink(settings.error_raster, source.grid, writing(surface, name))
            yield compared(source, surface, sink, progress), sink
    finally:
        if sink is not None:
            sink.discard()
