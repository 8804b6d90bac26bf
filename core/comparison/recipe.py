"""The same work on other machines: what travels to the workers of a cluster, and which workers will do.

A recipe holds values only; a worker opens its own files from it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .. import provenance
from ..grid import Grid
from ..jobs.comparedem import Settings
from ..pipeline import agreement
from ..raster import Writing
from .ground import opened
from .work import Averages, Heights


@dataclass(frozen=True)
class Recipe:
    """How a worker makes the work of a job.

    Attributes
    ----------
    kind
        What is to be done.
    settings, grid, writings
        Of the job.
    version, sizes
        Of Neural Terrain, and bytes of the files that are read, by their path, where the job was started.
    run
        Never the same twice: workers open the files anew for every run, since they may have been replaced.

    """

    kind: type[Heights] | type[Averages]
    settings: Settings
    grid: Grid
    writings: Mapping[str, Writing]
    version: str
    sizes: Mapping[str, int]
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @cached_property
    def key(self) -> str:
        """The same for the same work."""
        return agreement.key_of(self)

    @property
    def resources(self) -> Mapping[str, float]:
        """A block needs nothing but a core."""
        return {}

    def open(self) -> Heights | Averages:
        """Open the files here."""
        with contextlib.ExitStack() as files:
            rasters = files.enter_context(opened(self.settings))
            work = self.kind(rasters, self.grid, self.writings)
            work.files = files.pop_all()
        return work

    def unfit(self, facts: Mapping[str, Any]) -> str:
        """Why a worker with these facts would find something else, or nothing; empty where it will do."""
        return agreement.other_version(facts, self.version) or agreement.other_files(facts, self.sizes)


def paths_of(settings: Settings) -> tuple[str, ...]:
    """The files that are read."""
    return tuple(filter(None, (settings.input, settings.reference, settings.coarse, settings.uncertainty)))


def facts_here(paths: Sequence[str]) -> dict[str, Any]:
    """What this machine has for a job, as plain values; asked of every worker."""
    return {"version": provenance.version(), "sizes": {path: agreement.size_of(path) for path in paths}}
