"""One stage's networks: prior and denoiser with style code, implicit encoder and, for roads, the graph adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .adapter import FEATURES as ROAD_FEATURES
from .adapter import RoadAdapter
from .encoder import CODE, ImplicitEncoder, StyleCode
from .stages import STAGES, Stage
from .towns import TARGETS
from .unet import EMBEDDING, UNet

TIME_WAVES = 32


@dataclass(frozen=True)
class StageSettings:
    """Sizes of one stage's networks, and what an ablation leaves out.

    Attributes
    ----------
    implicit, use_prior, follows
        Whether there are implicit features, a prior, and whether the stage above is looked at.

    """

    stage: str
    places: int
    widths: tuple[int, ...]
    blocks: int
    prior_widths: tuple[int, ...]
    prior_blocks: int = 1
    implicit: bool = True
    use_prior: bool = True
    follows: bool = True

    @property
    def of_stage(self) -> Stage:
        """The stage's meaning."""
        return STAGES[self.stage]


@dataclass
class Condition:
    """All that a stage is told, batched; see :class:`.towns.Sample`. ``place`` beyond the last means none.

    ``floor (B, C, H, W)`` is no input of the nets: fields are raised to it in every step, see :mod:`.standing`.
    """

    parent: torch.Tensor  # (B, K, h, w)
    kerb: torch.Tensor  # (B, 0 or 1, H, W)
    existing: torch.Tensor  # (B, C + 2, H, W)
    place: torch.Tensor  # (B,)
    facts: torch.Tensor  # (B, 2 * TARGETS + 3): wishes, which are given, flags
    graph: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor] | None = None
    floor: torch.Tensor | None = None

    def on(self, device: str) -> Condition:
        """The same on a device, but for the graph, which goes where the adapter is."""

        def moved(values: Iterable[torch.Tensor]) -> Any:
            return tuple(value.to(device) for value in values)

        parent, kerb, existing, place, facts = moved((self.parent, self.kerb, self.existing, self.place, self.facts))
        floor = None if self.floor is None else self.floor.to(device)
        return Condition(parent, kerb, existing, place, facts, self.graph, floor)


class StageModel(nn.Module):
    """Prior ``f`` and denoiser of one stage; ``spread (C,)`` is the residual's standard deviation per channel."""

    spread: torch.Tensor

    def __init__(self, settings: StageSettings) -> None:
        super().__init__()
        self.settings, stage = settings, settings.of_stage
        self.fold = stage.fold
        count = len(stage.channels)
        self.fields = count * stage.fold**2
        roads = ROAD_FEATURES if stage.name == "R" else 0
        told = (
            (count + 2) * stage.fold**2
            + (7 if stage.condition else 0)
            + (stage.fold**2 if stage.name == "L" else 0)
            + roads
        )
        facts = 2 * TARGETS + 3
        self.adapter = RoadAdapter() if roads else None
        self.prior_adapter = RoadAdapter() if roads else None
        self.prior_style = StyleCode(settings.places, facts)
        self.prior_embedding = nn.Sequential(nn.Linear(CODE, EMBEDDING), nn.SiLU())
        self.prior = UNet(told, self.fields, settings.prior_widths, settings.prior_blocks, False)
        self.style = StyleCode(settings.places, facts)
        self.encoder = ImplicitEncoder(stage) if settings.implicit else None
        self.embedding = nn.Sequential(
            nn.Linear(2 * TIME_WAVES + CODE, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU()
        )
        self.denoiser = UNet(2 * self.fields + told, self.fields, settings.widths, settings.blocks, settings.implicit)
        self.register_buffer("spread", torch.ones(count))

    def describe(self) -> dict:
        """The settings as JSON."""
        return asdict(self.settings)

    def told(self, condition: Condition, adapter: RoadAdapter | None) -> torch.Tensor:
        """All conditions on the net's grid, ``(B, T, h, w)``; prior and denoiser have adapters of their own."""
        parent = condition.parent if self.settings.follows else torch.zeros_like(condition.parent)
        parts = [parent, self._folded(condition.existing)]
        if condition.kerb.shape[1]:
            parts.append(self._folded(condition.kerb))
        if adapter is not None:
            parts.append(_roads(condition, adapter))
        return torch.cat(parts, 1)

    def mean(self, condition: Condition) -> torch.Tensor:
        """The prior's answer ``f(Z)``, ``(B, C, H, W)``."""
        embedding = self.prior_embedding(self.prior_style(condition.place, condition.facts))
        return self._unfolded(self.prior(_last(self.told(condition, self.prior_adapter)), embedding).float())

    def context(
        self, condition: Condition, mean: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]]:
        """What stays the same through all steps: told fields with the prior's answer, the code, implicit features."""
        code = self.style(condition.place, condition.facts)
        told = _last(torch.cat([self.told(condition, self.adapter), self._folded(mean)], 1))
        if self.encoder is None:
            return told, code, ()
        with torch.autocast(told.device.type, enabled=False):
            return told, code, [_last(p) for p in self.encoder(code.float(), told.shape[-1])]

    def velocity(self, field: torch.Tensor, t: torch.Tensor, context: tuple) -> torch.Tensor:
        """The net's velocity for ``R_t (B, C, H, W)`` at times ``(B,)``."""
        told, code, implicit = context
        waves = t[:, None] * 1000 * torch.exp(-torch.arange(TIME_WAVES, device=t.device) * (9.2 / TIME_WAVES))
        embedding = self.embedding(torch.cat([waves.sin(), waves.cos(), code], 1))
        inputs = torch.cat([self._folded(field), told], 1).to(memory_format=torch.channels_last)
        return self._unfolded(self.denoiser(inputs, embedding, implicit).float())

    def _folded(self, fields: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(fields, self.fold) if self.fold > 1 else fields

    def _unfolded(self, fields: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(fields, self.fold) if self.fold > 1 else fields


def _roads(condition: Condition, adapter: RoadAdapter) -> torch.Tensor:
    """The adapter's features of the batch's existing roads, in full precision, computed where the adapter lies."""
    count, _, side, _ = condition.existing.shape
    if condition.graph is None:
        return condition.existing.new_zeros(count, ROAD_FEATURES, side, side)
    device = next(adapter.parameters()).device
    nodes, edges, facts, owner = (value.to(device) for value in condition.graph)
    with torch.autocast(device.type, enabled=False):
        return adapter(nodes, edges, facts, owner, (count, side)).to(condition.existing.device)


def _last(fields: torch.Tensor) -> torch.Tensor:
    return fields.contiguous(memory_format=torch.channels_last)
