"""Training of one stage: first its prior by squared error, then, with the prior frozen, the denoiser.

Resumable and repeatable: batches come from seed and step alone, and the checkpoint holds everything that moves. A
signal or a full day's break costs at most the minutes since the last checkpoint.
"""

from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from .batches import Ahead, Batch, draw_batch
from .losses import mean_of, prior_loss, residual_loss
from .model import StageModel, StageSettings
from .optimisers import Optimisers
from .towns import Sampler

CHECKPOINT = "checkpoint.pt"
BEFORE_COOLDOWN = "before_cooldown.pt"
"""The state before the rate falls: put in the checkpoint's place, with more steps in the recipe, it prolongs a run."""


@dataclass(frozen=True)
class Recipe:
    """How one stage is trained; a step sees ``batch`` windows."""

    settings: StageSettings
    side: int
    batch: int
    prior_steps: int
    steps: int
    learning_rate: float = 3e-3
    warmup_steps: int = 200
    cooldown_share: float = 0.4
    average_decay: float = 0.9995
    muon: bool = True
    seed: int = 1

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step: up, level, and down to nothing over the last part."""
        up = min(1.0, (step + 1) / self.warmup_steps)
        down = min(1.0, (steps - step) / (self.cooldown_share * steps))
        return self.learning_rate * min(up, down)


class Training:
    """A training under way in a folder.

    Parameters
    ----------
    recipe, sampler, judge
        What is trained, on which windows, and held-out windows to judge on.
    folder
        Where checkpoint, log and finished weights lie; a checkpoint that lies there is gone on from.

    """

    def __init__(self, recipe: Recipe, sampler: Sampler, judge: Sampler, folder: Path) -> None:
        self.recipe, self.sampler, self.judge, self.folder = recipe, sampler, judge, folder
        torch.manual_seed(recipe.seed)
        self.model = StageModel(recipe.settings)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.phase, self.step, self.seconds = "prior", 0, 0.0
        self.optimisers = self._optimisers()
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.stopped = False
        folder.mkdir(parents=True, exist_ok=True)
        self._load()

    def run(self, every_s: float = 300.0, report_every: int = 200) -> bool:
        """Train to the end or until stopped; whether it has ended."""
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._stop)
        while self.phase != "done" and not self.stopped:
            self._run_phase(every_s, report_every)
            if not self.stopped:
                self._next_phase()
            self.save()
        return self.phase == "done"

    def _stop(self, *_: object) -> None:
        self.stopped = True

    def _run_phase(self, every_s: float, report_every: int) -> None:
        steps = self._steps()
        ahead = Ahead(
            self.sampler, self.recipe.settings.places, self.recipe.batch, self.recipe.seed, range(self.step, steps)
        )
        saved, losses = time.monotonic(), []
        try:
            for batch in ahead:
                began = time.process_time()
                losses.append(self.advance(batch, self.recipe.rate(self.step, steps)))
                self.seconds += time.process_time() - began
                if self.step == math.floor(steps * (1 - self.recipe.cooldown_share)) and self.phase == "residual":
                    self.save(BEFORE_COOLDOWN)
                if self.step % report_every == 0 or self.step == steps:
                    self._report(sum(losses) / len(losses))
                    losses.clear()
                if time.monotonic() - saved > every_s:
                    self.save()
                    saved = time.monotonic()
                if self.stopped:
                    return
        finally:
            ahead.close()

    def _steps(self) -> int:
        return self.recipe.prior_steps if self.phase == "prior" else self.recipe.steps

    def _next_phase(self) -> None:
        """From the prior to the residual: the averaged prior stays, and the residual's spread is measured."""
        if self.phase == "prior":
            self.model.load_state_dict(self.average)
            self.model.spread.copy_(self._measure_spread())
            self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.phase, self.step = "residual", 0
            self.optimisers = self._optimisers()
        else:
            self.phase = "done"

    def advance(self, batch: Batch, rate: float) -> float:
        """One step; a loss that is no number changes nothing."""
        with torch.autocast("cpu", torch.bfloat16):
            value = self.loss(batch)
        self.optimisers.forget()
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._trained(), 1.0)
        self.step += 1
        if not bool(torch.isfinite(norm)):  # nothing is changed
            return float("nan")
        self.optimisers.step(rate)
        keep = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
        for name, current in self.model.state_dict().items():
            self.average[name].lerp_(current, 1 - keep)
        return float(value.detach())

    def loss(self, batch: Batch) -> torch.Tensor:
        """Squared error of the prior, or the weighted one of the velocity, over known cells."""
        return (prior_loss if self.phase == "prior" else residual_loss)(self.model, batch)

    @torch.no_grad()
    def _measure_spread(self, batches: int = 12) -> torch.Tensor:
        """Standard deviation of the residual per channel over known cells."""
        total, count = torch.zeros(len(self.model.spread)), torch.zeros(len(self.model.spread))
        for k in range(batches):
            batch = draw_batch(self.sampler, self.recipe.settings.places, self.recipe.batch, (self.recipe.seed + 7, k))
            error = (batch.fields - mean_of(self.model, batch)).square() * batch.known
            total += error.sum(dim=(0, 2, 3))
            count += batch.known.sum(dim=(0, 2, 3))
        return (total / count.clamp_min(1)).sqrt().clamp_min(0.02)

    def _trained(self) -> list[torch.nn.Parameter]:
        return [p for n, p in self.model.named_parameters() if n.startswith("prior") == (self.phase == "prior")]

    def _optimisers(self) -> Optimisers:
        return Optimisers(self._trained(), self.recipe.muon)

    @torch.no_grad()
    def validate(self, batches: int = 4) -> float:
        """Loss of the averaged weights on held-out windows, always the same ones."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        total = 0.0
        for k in range(batches):
            batch = draw_batch(self.judge, self.recipe.settings.places, 16, (991, k))
            with torch.autocast("cpu", torch.bfloat16):
                total += float(self.loss(batch))
        self.model.load_state_dict(kept)
        return total / batches

    def _report(self, loss: float) -> None:
        row = {"phase": self.phase, "step": self.step, "loss": round(loss, 5), "cpu_s": round(self.seconds)}
        if self.step % 1000 == 0 or self.step == self._steps():
            row["held_out"] = round(self.validate(), 5)
        row["clock"] = time.strftime("%H:%M:%S")
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")

    def save(self, name: str = CHECKPOINT) -> None:
        """Write the checkpoint, old or new at any moment."""
        state = {"phase": self.phase, "step": self.step, "seconds": self.seconds, "model": self.model.state_dict()}
        state |= {"average": self.average, "optimisers": self.optimisers.state()}
        fresh = self.folder / (name + ".part")
        torch.save(state, fresh)
        fresh.replace(self.folder / name)

    def _load(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.phase, self.step, self.seconds = state["phase"], state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimisers = self._optimisers()
        self.optimisers.load(state["optimisers"])
