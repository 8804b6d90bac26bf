"""The same work on other machines: what travels to the workers of a cluster, and which workers will do.

A recipe holds values only; a worker opens its own source and loads its own model from it. Number format and device are
fixed once for all workers: mixed ones would leave a chequerboard of tiny steps in the result.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .. import provenance, raster
from ..elevation import card, compute, surface
from ..elevation.compute import Compute
from ..errors import TerrainError
from ..jobs.superresolve import Settings
from ..pipeline import agreement
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
    compute, arithmetic
        Device and number format, and which arithmetic that is (:func:`.compute.arithmetic`), the same for all workers.
    version, model, sizes
        Of Neural Terrain, fingerprint of the model, and bytes of the input by its path, where the job was started.
    run
        Never the same twice: workers open the input anew for every run, since it may have been replaced.

    """

    settings: Settings
    plan: Plan
    wanted: Wanted
    writings: Mapping[str, Writing]
    compute: Compute
    arithmetic: str
    version: str
    model: str
    sizes: Mapping[str, int]
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @cached_property
    def key(self) -> str:
        """The same for the same work."""
        return agreement.key_of(self)

    @property
    def resources(self) -> Mapping[str, float]:
        """What a worker must offer for one tile."""
        return {GPU: 1} if self.compute.device != "cpu" else {}

    def open(self) -> Work:
        """Open the source and load the model here."""
        source = Source(self.settings.input, reading_of(self.settings))
        found = card.for_input(self.settings.model, source.is_fitted)
        model = surface.load(found, compute.choose(self.compute.device, self.compute.dtype))
        return Work(source, model, self.plan, self.wanted, self.writings)

    def unfit(self, facts: Facts) -> str:
        """Why a worker with these facts would compute something else, or nothing; empty where it will do."""
        named = f"The Dask worker {facts['worker']}"
        if other := agreement.other_version(facts, self.version):
            return other
        if facts["model"] != self.model:
            return (
                f"{named} lacks the model {self.settings.model or card.DEFAULT_MODEL} or has another of that name "
                f"({facts['model']}, here {self.model}); install the same model on all workers."
            )
        if other := agreement.other_files(facts, self.sizes):
            return other
        if self.compute.dtype not in _formats(facts, self.compute.device):
            return (
                f"{named} cannot compute in {self.compute.dtype} on {self.compute.device}; choose another PRECISION "
                "or DEVICE, or leave both at auto."
            )
        found = _arithmetic(facts, self.compute)
        if found != self.arithmetic:
            return (
                f"{named} computes {self.compute} with {found}, others with {self.arithmetic}, which would leave steps "
                "between tiles; use workers of one kind and one version of torch, or PRECISION=float32."
            )
        return ""


def facts_here(model: str, source: str, band: int) -> dict[str, Any]:
    """What this machine has for a job, as plain values; asked of every worker."""
    try:
        found = card.for_input(model, raster.holds_fitted(source, band)).fingerprint
    except TerrainError:
        found = "none"
    return {"version": provenance.version(), "model": found, "sizes": sizes_of(source), **compute.facts()}


def sizes_of(source: str) -> dict[str, int]:
    """Bytes of the input by its path."""
    return {source: agreement.size_of(source)}


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


def arithmetic_of(workers: Sequence[Facts], where: Compute) -> str:
    """Which arithmetic most workers that can compute there have."""
    found = [_arithmetic(facts, where) for facts in workers if where.dtype in _formats(facts, where.device)]
    return max(sorted(found), key=found.count, default="")


def _formats(facts: Facts, device: str) -> Sequence[str]:
    formats: Mapping[str, Sequence[str]] = facts.get("formats", {})
    return formats.get(_own(device), ())


def _arithmetic(facts: Facts, where: Compute) -> str:
    text: str = facts["arithmetic"][_own(where.device)][where.dtype]
    return text


def _own(device: str) -> str:
    """What a worker calls its device: the GPU that it was given is its first."""
    return "cuda:0" if device == "cuda" else device
