"""The same work on other machines: what travels to the workers of a cluster, and which workers will do.

A recipe holds values only, since it travels with every tile; a worker opens its own DEM from it. What of the mask
lies on a tile travels with that tile, see :class:`.Plot`.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import provenance, readiness
from ..mesh import Aim
from ..pipeline import agreement
from ..raster import Reading, Source
from .ground import Ground
from .work import Curves, Kind, Meshes


@dataclass(frozen=True)
class Recipe:
    """How a worker makes the work of a job.

    Attributes
    ----------
    kind, aim
        What is to be done.
    path, reading
        The DEM.
    version, sizes
        Of Neural Terrain, and bytes of the DEM by its path, where the job was started.
    key
        Never the same twice: workers open the DEM anew for every run, since it may have been replaced.

    """

    kind: Kind
    aim: Aim
    path: str
    reading: Reading
    version: str
    sizes: Mapping[str, int]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def resources(self) -> Mapping[str, float]:
        """A tile needs nothing but a core."""
        return {}

    def open(self) -> Meshes | Curves:
        """Open the DEM here; the first of all workers of a computer makes the machine code, the others wait for it."""
        readiness.prepare()
        with contextlib.ExitStack() as files:
            source = files.enter_context(Source(self.path, self.reading))
            work = self.kind(Ground(source), self.aim)
            work.files = files.pop_all()
        return work

    def unfit(self, facts: Mapping[str, Any]) -> str:
        """Why a worker with these facts would make another mesh, or nothing; empty where it will do."""
        return agreement.other_version(facts, self.version) or agreement.other_files(facts, self.sizes)


def facts_here(path: str) -> dict[str, Any]:
    """What this machine has for a job, as plain values; asked of every worker."""
    return {"version": provenance.version(), "sizes": {path: agreement.size_of(path)}}
