"""Training of an elevation model from a recipe: resumable, repeatable by seed, on the CPU or a GPU.

The loop draws pairs (:mod:`.degradation`), lets the network predict the bias from the weight-less surface in units of
the local relief, and keeps an average of the weights. It writes a checkpoint often, so a killed run goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from . import baseline, normaliser
from .degradation import Degradations, Pair, PairShape, Region, draw_pair
from .ebcf import Ebcf, EbcfSettings, channels_last
from .kernels import Queries, Taps, nearest_taps, point_taps

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training; read from ``recipe.json``."""

    network: EbcfSettings = field(default_factory=EbcfSettings)
    degradations: Degradations = field(default_factory=Degradations)
    shape: PairShape = field(default_factory=PairShape)
    regions: dict[str, float] = field(default_factory=dict)  # name prefix: share of the pairs
    averaged: dict[str, list[int]] = field(default_factory=dict)  # name prefix: factors of block averages to add
    validation: tuple[str, ...] = ()  # names of files held back from training
    steps: int = 16_000
    batch: int = 8
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    cooldown_share: float = 0.3
    average_decay: float = 0.999
    gradient_loss: float = 0.5
    seed: int = 1

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """The recipe of a JSON file; unknown names are refused by the dataclasses."""
        values = json.loads(path.read_text(encoding="utf-8"))
        parts = {"network": EbcfSettings, "degradations": Degradations, "shape": PairShape}
        for name, part in parts.items():
            values[name] = part(**values.get(name, {}))
        values["validation"] = tuple(values.get("validation", ()))
        return cls(**values)

    def rate(self, step: int) -> float:
        """Learning rate: linear warm-up, constant, then a linear fall to zero over the last share of the steps."""
        cooldown = max(1.0, self.steps * self.cooldown_share)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps, max(0.0, (self.steps - step) / cooldown))


@dataclass(frozen=True)
class Batch:
    """Pairs as tensors: network input, and the target in units of the local scale."""

    features: torch.Tensor  # (B, C, N, N)
    queries: list[Queries]
    target: torch.Tensor  # (B, R, C)
    scale_m: torch.Tensor  # (B, R, C)


def collate(pairs: Sequence[Pair], anchor: str = "cubic") -> Batch:
    """Normalise coarse heights and express the truth as a bias from the anchor surface."""
    heights = torch.stack([normaliser.extend(torch.from_numpy(p.coarse), torch.from_numpy(p.valid)) for p in pairs])
    valid = torch.stack([torch.from_numpy(p.valid) for p in pairs])
    count = heights.shape[1]
    cell_m = tuple(
        torch.tensor([getattr(p, name) for p in pairs], dtype=torch.float64)[:, None].expand(-1, count)
        for name in ("cell_width_m", "cell_height_m")
    )
    points = torch.tensor([p.point_sampled for p in pairs])
    normal = normaliser.normalise(heights, valid, (cell_m[0], cell_m[1]), points)
    anchors, scales = [], []
    for pair, z, scale in zip(pairs, heights, normal.scale_m, strict=True):
        anchors.append(
            _at(_anchor_taps(pair, anchor), z if anchor == "nearest" else baseline.prepare(z, pair.point_sampled))
        )
        scales.append(_at((point_taps(pair.rows, "bspline"), point_taps(pair.cols, "bspline")), scale))
    scale_m = torch.stack(scales).clamp_min(0.02)
    truth = torch.stack([torch.from_numpy(p.truth) for p in pairs])
    target = ((truth - torch.stack(anchors)) / scale_m).float()
    features = normal.features
    if anchor == "nearest":
        features = torch.cat([features, _gradients(heights, normal.scale_m)], dim=1)
    queries = [Queries(p.rows, p.cols, p.row_size, p.col_size) for p in pairs]
    return Batch(features.contiguous(memory_format=torch.channels_last), queries, target, scale_m)


def loss(network: Ebcf, batch: Batch, gradient_weight: float) -> torch.Tensor:
    """L1 of the bias, plus L1 of its differences between neighbouring fine cells, both in local units."""
    latents = network.encode(batch.features, pad=1)
    codes = torch.cat([network.codes(latents[i : i + 1], q) for i, q in enumerate(batch.queries)])
    phases = [network.phase(q) for q in batch.queries]
    rows = torch.stack([p[0] for p in phases])
    cols = torch.stack([p[1] for p in phases])
    bias = network.decode_codes(codes.contiguous(memory_format=torch.channels_last), (rows, cols)).float()
    error = (bias - batch.target).clamp(-20, 20)
    down = error[:, 1::2] - error[:, ::2]
    across = error[:, :, 1::2] - error[:, :, ::2]
    return error.abs().mean() + gradient_weight * (down.abs().mean() + across.abs().mean())


class Training:
    """A training under way: network, averaged weights, optimiser and random state, all kept in the checkpoint."""

    def __init__(self, recipe: Recipe, regions: Sequence[Region], folder: Path) -> None:
        self.recipe, self.folder, self.step = recipe, folder, 0
        torch.manual_seed(recipe.seed)
        self.network = channels_last(Ebcf(recipe.network))
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
        self.learn = [r for r in regions if r.name not in recipe.validation]
        self.judge = [r for r in regions if r.name in recipe.validation]
        self.share = _shares(recipe, self.learn)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._load()

    def run(self, report: Callable[[dict], None], every: int = 500) -> None:
        """Train up to ``recipe.steps``; ``report`` receives a row of figures each ``every`` steps."""
        started, losses = time.monotonic(), []
        while self.step < self.recipe.steps:
            losses.append(self._advance())
            if self.step % every == 0 or self.step == self.recipe.steps:
                row = {"step": self.step, "loss": float(np.mean(losses)), "seconds": time.monotonic() - started}
                report({**row, "rate": self.recipe.rate(self.step), **self.validate()})
                losses.clear()
                self._save()

    def validate(self, pairs: int = 24) -> dict[str, float]:
        """RMSE against the anchor's RMSE on held-back regions, per scale, by the averaged weights."""
        network = self.averaged()
        ratios = {}
        plain = Degradations(point_share=0, gaussian_share=0, noise_share=0, rounding_share=0, void_share=0)
        for scale in (2.0, 4.0, 8.0):
            fixed = Degradations(
                **{
                    **asdict(plain),
                    "scale_min": scale,
                    "scale_max": scale,
                    "integer_scale_share": 0,
                    "unequal_scale_share": 0,
                    "relief_factor_min": 1,
                    "relief_factor_max": 1,
                }
            )
            rng = np.random.default_rng(7)
            log_ratio = []
            for region in self.judge:
                drawn = [p for _ in range(4 * pairs) if (p := draw_pair(region, fixed, self.recipe.shape, rng))][:pairs]
                if drawn:
                    log_ratio.append(math.log(_ratio(network, collate(drawn, self.recipe.network.anchor), drawn)))
            ratios[f"x{scale:g}"] = math.exp(sum(log_ratio) / max(1, len(log_ratio)))
        return ratios

    def averaged(self) -> Ebcf:
        """A network with the averaged weights."""
        network = channels_last(Ebcf(self.recipe.network))
        network.load_state_dict(self.average)
        return network.eval()

    def _advance(self) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        batch = collate(self._draw(), self.recipe.network.anchor)
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(self.network, batch, self.recipe.gradient_loss)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
        for name, current in self.network.state_dict().items():
            self.average[name].lerp_(current, 1 - keep)
        return float(value.detach())

    def _draw(self) -> list[Pair]:
        rng = np.random.default_rng([self.recipe.seed, self.step])
        pairs: list[Pair] = []
        while len(pairs) < self.recipe.batch:
            region = self.learn[rng.choice(len(self.learn), p=self.share)]
            pair = draw_pair(region, self.recipe.degradations, self.recipe.shape, rng)
            if pair is not None:
                pairs.append(pair)
        return pairs

    def _save(self) -> None:
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        fresh = self.folder / (CHECKPOINT + ".part")
        torch.save(state, fresh)
        fresh.replace(self.folder / CHECKPOINT)

    def _load(self) -> None:
        state = torch.load(self.folder / CHECKPOINT, weights_only=True)
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])


def _shares(recipe: Recipe, regions: Sequence[Region]) -> np.ndarray:
    """Share of each region: the recipe's share of its prefix, spread over that prefix by area."""
    share = np.zeros(len(regions))
    for prefix, weight in recipe.regions.items():
        area = np.array([r.heights.size if r.name.startswith(prefix) else 0.0 for r in regions])
        if area.sum() > 0:
            share += weight * area / area.sum()
    return share / share.sum()


def _anchor_taps(pair: Pair, anchor: str) -> tuple[Taps, Taps]:
    if anchor == "nearest":
        return nearest_taps(pair.rows), nearest_taps(pair.cols)
    return (
        baseline.taps(pair.rows, pair.row_size, pair.point_sampled),
        baseline.taps(pair.cols, pair.col_size, pair.point_sampled),
    )


def _at(taps: tuple[Taps, Taps], values: torch.Tensor) -> torch.Tensor:
    rows, cols = taps
    return cols.clamped(values.shape[1]).apply(rows.clamped(values.shape[0]).apply(values, 0), 1)


def _gradients(heights: torch.Tensor, scale_m: torch.Tensor) -> torch.Tensor:
    down, across = torch.gradient(heights, dim=(1, 2))
    return torch.stack([down, across], dim=1).div(scale_m.clamp_min(0.02)[:, None]).clamp(-50, 50).float()


@torch.no_grad()
def _ratio(network: Ebcf, batch: Batch, pairs: Sequence[Pair]) -> float:
    """RMSE of the network over that of the baseline surface, on one region."""
    reference = batch if network.settings.anchor == "cubic" else collate(pairs)
    bias = []
    with torch.autocast("cpu", torch.bfloat16):
        latents = network.encode(batch.features, pad=1)
        for i, q in enumerate(batch.queries):
            bias.append(network.decode(latents[i : i + 1], q).float())
    error = (torch.cat(bias) - batch.target) * batch.scale_m
    return float((error.square().mean() / (reference.target * reference.scale_m).square().mean()).sqrt())


def export(network: Ebcf, folder: Path) -> dict:
    """Write ``weights.safetensors`` in float16 and return the card's entry for it."""
    path = folder / "weights.safetensors"
    fresh = path.with_suffix(".part")
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, fresh)
    fresh.replace(path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": " ".join(digits[i : i + 8] for i in range(0, len(digits), 8)),
    }
