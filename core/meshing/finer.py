"""The finer DEM that a mesh through a model is made from: a raster that stands beside the output while it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .. import aside
from ..grid import Bounds
from ..jobs import superresolve
from ..jobs.terrainmesh import Settings
from ..progress import Progress

NAME = "finer.tif"


@contextlib.contextmanager
def made(settings: Settings, extent: Bounds | None, progress: Progress) -> Iterator[str]:
    """Path of the finer DEM, as far as ``extent`` (in the DEM's CRS) reaches; it is removed when the block is left.

    Raises what :func:`..refinement.refine` raises.
    """
    from ..refinement import refine  # loads torch, which a mesh of the DEM itself does not need

    with aside.folder(settings.output) as folder:
        path = folder / NAME
        refine(_settings(settings, extent, path), progress)
        yield str(path)


def _settings(settings: Settings, extent: Bounds | None, path: Path) -> superresolve.Settings:
    return superresolve.Settings(
        input=settings.input,
        output=str(path),
        band=settings.band,
        crs=settings.crs,
        no_data=settings.no_data,
        cell_size=settings.cell_size,
        extent=extent,
        model=settings.model,
        z_unit=settings.z_unit,
        device=settings.device,
        scheduler=settings.scheduler,
        resume=False,
    )
