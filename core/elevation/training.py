"""Training of an elevation model from a recipe: resumable, repeatable by seed, on the CPU or a GPU.

The loop draws pairs (:mod:`.degradation`), lets the network predict the bias from the weight-less surface in units of
the local relief, and keeps an average of the weights. It writes a checkpoint often, so a killed run goes on; on a CPU
with the same number of threads it ends with the very weights of an unbroken one.
"""

from __future__ import annotations

import hashlib
import math
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save

from ..errors import TerrainError
from .batch import Batch, collate
from .compute import Compute, cpu_has_bf16
from .degradation import Degradations, Pair, Region, draw_pair
from .ebcf import Ebcf
from .field import Field, FieldSettings
from .recipe import Recipe
from .weights import Weights

CHECKPOINT = "checkpoint.pt"

MOST_SKIPPED = 25
"""Steps in a row without a finite loss after which a training is given up."""

MOST_TRIES = 4000
"""Places that are tried for one pair before the DEMs are called unsuitable."""


def loss(network: Network, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Error of the bias, plus that of its differences between neighbouring fine cells, both in local units.

    Above ``linear_above`` local units it is linear, below quadratic (Huber), so that it neither ignores the large
    errors, which decide the RMSE, nor lets single ones rule; 0 is the plain absolute error.
    """
    error = (network.predict(batch) - batch.target).clamp(-20, 20)
    down = error[:, 1::2] - error[:, ::2]
    across = error[:, :, 1::2] - error[:, :, ::2]
    weight = recipe.gradient_loss
    return _size(error, recipe.linear_above) + weight * (
        _size(down, recipe.linear_above) + _size(across, recipe.linear_above)
    )


def _size(error: torch.Tensor, linear_above: float) -> torch.Tensor:
    if linear_above == 0:
        return error.abs().mean()
    return F.huber_loss(error, torch.zeros_like(error), delta=linear_above) / linear_above


class Network(Protocol):
    """What the training needs of a family; it is a ``torch.nn.Module`` too."""

    def predict(self, batch: Batch) -> torch.Tensor:
        """Residual of the weight-less surface in local units, ``(B, R, C)``."""
        ...


def build(recipe: Recipe, device: str = "cpu") -> Any:
    """A fresh network of the recipe's family on a device, its weights laid out as the fast kernels want them."""
    network = Field(recipe.network) if isinstance(recipe.network, FieldSettings) else Ebcf(recipe.network)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


class Optimisers:
    """Muon for the matrices between hidden layers, AdamW for everything else, at one learning rate.

    Muon (Jordan 2024) makes the update of a matrix orthogonal; a convolution counts as the matrix of its output
    channels by everything they see. ``muon: false`` in the recipe leaves everything to AdamW.
    """

    def __init__(self, network: torch.nn.Module, recipe: Recipe) -> None:
        if recipe.muon and not has_muon():
            raise TerrainError(
                f"The recipe asks for Muon, which PyTorch {torch.__version__} lacks; set muon to false, or set up the "
                "engine anew with PyTorch 2.9 or later."
            )
        hidden = [p for p in network.parameters() if recipe.muon and p.ndim == 4 and min(p.shape[:2]) >= 32]
        ids = {id(p) for p in hidden}
        rest = [p for p in network.parameters() if id(p) not in ids]
        self._views = [(p, torch.nn.Parameter(_matrix(p.detach()))) for p in hidden]
        self.all: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, weight_decay=1e-4)]
        if hidden:
            views = [view for _, view in self._views]
            self.all.append(torch.optim.Muon(views, weight_decay=1e-2, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate: float) -> None:
        """Move the weights against their gradients, which are then forgotten."""
        for parameter, view in self._views:
            view.grad = None if parameter.grad is None else _matrix(parameter.grad)
        for optimiser in self.all:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        self.forget()

    def forget(self) -> None:
        """Drop the gradients."""
        for optimiser in self.all:
            optimiser.zero_grad(set_to_none=True)
        for parameter, _ in self._views:
            parameter.grad = None


def has_muon() -> bool:
    """Whether this PyTorch has the optimiser Muon (2.9 and later)."""
    return hasattr(torch.optim, "Muon")


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight as a matrix that shares its memory: channels last are contiguous in this order."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


class Training:
    """A training under way: network, averaged weights, optimisers and step, all kept in the checkpoint.

    Parameters
    ----------
    recipe, regions, folder
        What is trained, on what, and where the checkpoint lies; one that lies there is gone on from. None: nowhere.
    compute
        Device and number format; None is the CPU, in bfloat16 where it has that.
    start
        Weights to begin with instead of random ones, by name.

    """

    def __init__(
        self,
        recipe: Recipe,
        regions: Sequence[Region],
        folder: Path | None,
        compute: Compute | None = None,
        start: Weights | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, folder
        self.compute = compute or Compute("cpu", "bfloat16" if cpu_has_bf16() else "float32")
        self.step, self.skipped, self._skipped_in_a_row = 0, 0, 0
        torch.manual_seed(recipe.seed)
        self.network = build(recipe, self.compute.device)
        if start is not None:
            _load_weights(self.network, start, "The model to start from")
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimisers = Optimisers(self.network, recipe)
        self.learn = [r for r in regions if r.name not in recipe.validation]
        self.judge = [r for r in regions if r.name in recipe.validation]
        self.share = _shares(recipe, self.learn)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._load(folder / CHECKPOINT)

    def run(self, report: Callable[[dict], None], every: int = 500) -> None:
        """Train up to ``recipe.steps``; ``report`` receives a row of figures each ``every`` steps."""
        started, losses = time.monotonic(), []
        while self.step < self.recipe.steps:
            losses.append(self.advance(self.recipe.rate(self.step)))
            if self.step % every == 0 or self.step == self.recipe.steps:
                known = [value for value in losses if math.isfinite(value)]
                row = {"step": self.step, "loss": float(np.mean(known)) if known else None}
                row |= {"seconds": time.monotonic() - started, "skipped": self.skipped}
                report({**row, "rate": self.recipe.rate(self.step), **self.validate()})
                losses.clear()
                self.save()

    def validate(self, pairs: int = 24) -> dict[str, float]:
        """RMSE over that of the weight-less surface on held-back regions, by the averaged weights.

        By scale; a scale that no region is large enough for is left out.
        """
        network = self.averaged()
        ratios = {}
        for scale in (2.0, 4.0, 8.0):
            rng = np.random.default_rng(7)
            log_ratio = []
            for region in self.judge:
                tries = (draw_pair(region, plain(scale), self.recipe.shape, rng) for _ in range(4 * pairs))
                drawn = [pair for pair in tries if pair is not None][:pairs]
                if drawn:
                    log_ratio.append(math.log(self._ratio(network, collate(drawn))))
            if log_ratio:
                ratios[f"x{scale:g}"] = math.exp(sum(log_ratio) / len(log_ratio))
        return ratios

    def averaged(self) -> Any:
        """A network with the averaged weights."""
        network = build(self.recipe, self.compute.device)
        network.load_state_dict(self.average)
        return network.eval()

    def advance(self, rate: float) -> float:
        """One step at a learning rate; returns its loss.

        A step whose loss or gradient is not finite changes no weight and is counted; after :data:`MOST_SKIPPED` of
        them in a row a TerrainError ends the training.
        """
        batch = collate(self.draw(self.step)).to(self.compute.device)
        with self.autocast():
            value = loss(self.network, batch, self.recipe)
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.step += 1
        if not bool(torch.isfinite(norm + value.detach())):
            self._skip()
            return float(value.detach())
        self._skipped_in_a_row = 0
        self.optimisers.step(rate)
        keep = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
        for name, current in self.network.state_dict().items():
            self.average[name].lerp_(current, 1 - keep)
        return float(value.detach())

    def _skip(self) -> None:
        self.optimisers.forget()
        self.skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row >= MOST_SKIPPED:
            raise TerrainError(
                f"The loss was not a number in {MOST_SKIPPED} steps in a row, up to step {self.step}; "
                "give a recipe with a lower learning_rate, or look for impossible heights in the DEMs."
            )

    def autocast(self) -> torch.autocast:
        """The number format of the convolutions of a step."""
        device = torch.device(self.compute.device).type
        return torch.autocast(device, torch.bfloat16, enabled=self.compute.torch_dtype == torch.bfloat16)

    def draw(self, step: int) -> list[Pair]:
        """The pairs of a step, the same for the same seed."""
        rng = np.random.default_rng([self.recipe.seed, step])
        pairs: list[Pair] = []
        for _ in range(MOST_TRIES * self.recipe.batch):
            region = self.learn[rng.choice(len(self.learn), p=self.share)]
            pair = draw_pair(region, self.recipe.degradations, self.recipe.shape, rng)
            if pair is not None:
                pairs.append(pair)
            if len(pairs) == self.recipe.batch:
                return pairs
        raise TerrainError(
            f"The DEMs have hardly any gap-free square for {self.recipe.shape.coarse_px} coarse cells; "
            "fill their voids, give larger DEMs, or a recipe with a smaller shape.coarse_px or scale_max."
        )

    @torch.no_grad()
    def _ratio(self, network: Network, batch: Batch) -> float:
        """RMSE of the network over that of the weight-less surface, on one region."""
        batch = batch.to(self.compute.device)
        with self.autocast():
            error = (network.predict(batch).float() - batch.target) * batch.scale_m
        return float((error.square().mean() / (batch.truth_m - batch.base_m).square().mean()).sqrt())

    def save(self) -> None:
        """Write the checkpoint."""
        if self.folder is None:
            return
        state = {
            "step": self.step,
            "skipped": self.skipped,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers.all],
        }
        fresh = self.folder / (CHECKPOINT + ".part")
        torch.save(state, fresh)
        fresh.replace(self.folder / CHECKPOINT)

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("not a checkpoint")
            state = torch.load(path, weights_only=True, map_location=self.compute.device)
            self.step, self.skipped, self.average = state["step"], state.get("skipped", 0), state["average"]
            self.network.load_state_dict(state["network"])
            for optimiser, kept in zip(self.optimisers.all, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise TerrainError(
                f"The checkpoint {path} is damaged or belongs to another recipe; remove it, or give its recipe."
            ) from error


def plain(scale: float) -> Degradations:
    """Cell averages at one scale and nothing else: what validation looks at."""
    names = "point gaussian bicubic noise rounding void integer_scale unequal_scale phase"
    values: dict[str, Any] = {f"{name}_share": 0.0 for name in names.split()}
    values |= {"scale_min": scale, "scale_max": scale, "relief_factor_min": 1.0, "relief_factor_max": 1.0}
    return Degradations(**values)


def _load_weights(network: torch.nn.Module, weights: Weights, label: str) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise TerrainError(
            f"{label} does not fit the recipe's network; leave the network out of the recipe."
        ) from error


def _shares(recipe: Recipe, regions: Sequence[Region]) -> np.ndarray:
    """Share of each region: the recipe's share of its prefix, spread over that prefix by area; without any, by area."""
    share = np.zeros(len(regions))
    for prefix, weight in (recipe.regions or {"": 1.0}).items():
        area = np.array([r.heights.size if r.name.startswith(prefix) else 0.0 for r in regions])
        if area.sum() > 0:
            share += weight * area / area.sum()
    if not share.sum() > 0:
        names = ", ".join(recipe.regions) or "none"
        raise TerrainError(f"No DEM is left to learn from: the recipe's regions are {names}; name some that are there.")
    return share / share.sum()


def export(network: torch.nn.Module, folder: Path) -> dict:
    """Write ``weights.safetensors`` in float16 and return the card's entry for it."""
    path = folder / "weights.safetensors"
    fresh = path.with_suffix(".part")
    weights = {name: value.half().cpu().contiguous() for name, value in network.state_dict().items()}
    fresh.write_bytes(save(weights))  # save_file would let nobody else read them
    fresh.replace(path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": " ".join(digits[i : i + 8] for i in range(0, len(digits), 8)),
    }
