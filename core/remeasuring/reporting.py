"""The whole of a mesh report: read, measure, write what was asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from .. import aside, raster, readiness
from ..jobs.meshreport import Settings
from ..mesh_check import soundness
from ..progress import Progress
from ..raster import Sink
from . import sheet
from .against import Compared, compared, opened_dem, writing
from .findings import answers, findings, table_text
from .pictures import pictures
from .surface import Surface, opened


def report(settings: Settings, progress: Progress) -> dict:
    """Measure a mesh; returns plain values for the caller's report.

    Raises :class:`.TerrainError` where the mesh cannot be read, or mesh and DEM do not fit.
    """
    started_s = time.monotonic()
    progress.report(0, "Reading the mesh")
    for path in settings.outputs().values():
        aside.require_place(path)
    with raster.environment():
        surface = opened(settings, progress)
        readiness.prepare(progress.step(0, 0.02), "check")
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
        with contextlib.ExitStack() as files:
            if settings.table:
                _put(files, settings.table, table_text(found, settings.table.lower().endswith(".csv")))
            if settings.output:
                _put(files, settings.output, sheet.sheet(found, pictures(surface, sound, against)))
            if sink is not None:
                sink.commit()
    return found


def _put(files: contextlib.ExitStack, path: str, text: str) -> None:
    """Write a text aside; it comes to its place when ``files`` are left."""
    files.enter_context(aside.written(path)).write_text(text, encoding="utf-8", newline="")


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
