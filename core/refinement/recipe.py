"""The same work on other machines: what travels to the workers of a cluster, and which workers will do.

A recipe holds values only; a worker opens its own source and loads its own model from it. Number format and device are
fixed once for all workers: mixed ones would leave a chequerboard of tiny steps in the result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import provenance
from ..elevation import card, compute, surface
from ..elevation.compute import Compute
from ..errors import TerrainError
from ..jobs.superresolve import Settings
from ..progress import Progress
from ..raster import Reading, Source, Writing
from ..tiling import Plan
from .work import Wanted, Work

GPU = "GPU"
"""Tag of Dask workers that own a GPU: ``dask worker --resources "GPU=1"``."""

Facts = Mapping[str, Any]


def reading_of(settings: Settings) -> Reading:
    """How the settings want the input to be read."""
    return Reading(settings.band, settings.crs, settings.no_data, settings.z_unit)


@dataclass(frozen=True)
class Recipe:
    """How a worker makes the :class:`.Work` of a job.

    Attributes
    ----------
    settings, plan, wanted, writings
        Of the job.
    compute
        Device and number format, the same for all workers.
    version, model, input_bytes
        Of Neural Terrain, hash of the model's weights and size of the input, where the job was started.

    """

    settings: Settings
    plan: Plan
    wanted: Wanted
    writings: Mapping[str, Writing]
    compute: Compute
    version: str
    model: str
    input_bytes: int

    @cached_property
    def key(self) -> str:
        """The same for the same work."""
        text = json.dumps(asdict(self), sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def resources(self) -> Mapping[str, float]:
        """What a worker must offer for one tile."""
        return {GPU: 1} if self.compute.device != "cpu" else {}

    def open(self) -> Work:
        """Open the source and load the model here."""
        source = Source(self.settings.input, reading_of(self.settings))
        model = surface.load(card.find(self.settings.model), compute.choose(self.compute.device, self.compute.dtype))
        return Work(source, model, self.plan, self.wanted, self.writings)

    def unfit(self, facts: Facts) -> str:
        """Why a worker with these facts would compute something else, or nothing; empty where it will do."""
        named = f"The Dask worker {facts['worker']}"
        if facts["version"] != self.version:
            return (
                f"{named} has Neural Terrain {facts['version']}, this computer {self.version}; install the same "
                "version on all workers."
            )
        if facts["model"] != self.model:
            return (
                f"{named} lacks the model {self.settings.model or card.DEFAULT_MODEL} or has other weights of it "
                f"({facts['model']}, here {self.model}); install the same model on all workers."
            )
        if facts["input_bytes"] != self.input_bytes:
            seen = "does not see the input" if facts["input_bytes"] < 0 else "sees another file as the input"
            return f"{named} {seen} {self.settings.input}; put it where all workers find it under one path."
        if self.compute.dtype not in _formats(facts, self.compute.device):
            return (
                f"{named} cannot compute in {self.compute.dtype} on {self.compute.device}; choose another PRECISION "
                "or DEVICE, or leave both at auto."
            )
        return ""


def facts_here(model: str, source: str) -> dict[str, Any]:
    """What this machine has for a job, as plain values; asked of every worker."""
    try:
        found = card.find(model).short_hash
    except TerrainError:
        found = "none"
    return {"version": provenance.version(), "model": found, "input_bytes": size_of(source), **compute.facts()}


def size_of(path: str) -> int:
    """Bytes of a file; -1 where there is none, 0 for what GDAL finds by other means (``/vsicurl/``, databases)."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1 if Path(path).is_absolute() and not path.startswith("/vsi") else 0


def settle(settings: Settings, workers: Sequence[Facts], progress: Progress) -> Compute:
    """One device and number format for all workers, the best that all of them have.

    With ``auto``, GPUs are used where workers have the tag :data:`GPU`; those without it then get no tiles.
    """
    tagged = [facts for facts in workers if facts["resources"].get(GPU)]
    device = "cuda" if settings.device == "cuda" or (settings.device == "auto" and tagged) else "cpu"
    if settings.precision != "auto":
        return Compute(device, settings.precision)
    working = tagged if device == "cuda" else workers
    lacking = [facts["worker"] for facts in working if "bfloat16" not in _formats(facts, device)]
    if lacking and len(lacking) < len(working):
        progress.info(f"The Dask worker {lacking[0]} has no native bfloat16, so all workers compute in float32.")
    return Compute(device, "float32" if lacking else "bfloat16")


def _formats(facts: Facts, device: str) -> Sequence[str]:
    formats: Mapping[str, Sequence[str]] = facts.get("formats", {})
    return formats.get("cuda:0" if device == "cuda" else device, ())
