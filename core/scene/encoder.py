"""The decoupled implicit encoder: coordinates and meaning enter by different doors, features for four levels come out.

Coordinates are places relative to the cells of the stage above, in units of those cells, and the size of the cell asked
about; so the encoder is the same everywhere in the world, and a cell's features do not depend on how an area is cut.
They are Fourier-encoded and go through a SIREN (Sitzmann 2020) of three layers, 128 wide. The meaning, a code of 32
numbers made of place, wishes and what is mapped, modulates each layer.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from .stages import Stage

OCTAVES = 8
WIDTH = 128
LEVELS = 4
FEATURES = 16
CODE = 32
PERIOD = 5
"""Cells after which the pattern of fine in coarse cells repeats, at every level: 5 cells of 10 m in 50 m, and so on."""


def fourier(coordinates: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of doubling frequency, from an eighth to sixteen waves per unit: ``(N, 3)`` to ``(N, 48)``."""
    waves = 2 * math.pi * 2.0 ** torch.arange(-3, OCTAVES - 3, device=coordinates.device)
    angle = coordinates[..., None] * waves  # (N, 3, 8)
    return torch.cat([angle.sin(), angle.cos()], -1).flatten(-2)


class StyleCode(nn.Module):
    """The code of 32 numbers: a learned one per place (or none), plus wishes and flags through a small perceptron."""

    def __init__(self, places: int, facts: int) -> None:
        super().__init__()
        self.place = nn.Embedding(places + 1, CODE)
        self.facts = nn.Sequential(nn.Linear(facts, 64), nn.SiLU(), nn.Linear(64, CODE))
        nn.init.normal_(self.place.weight, std=0.5)

    def forward(self, place: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        """``place (B,)``, the last number meaning none, and ``facts (B, F)`` to ``(B, 32)``."""
        return self.place(place) + self.facts(facts)


class ImplicitEncoder(nn.Module):
    """Fourier coordinates and a code to 16 features at each of four levels."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.period = PERIOD if stage.condition else 1
        self.register_buffer("waves", torch.stack([fourier(self._places(stage, k)) for k in range(LEVELS)]), False)
        sizes = [6 * OCTAVES, WIDTH, WIDTH, WIDTH]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.modulation = nn.ModuleList(nn.Linear(CODE, 2 * WIDTH) for _ in self.layers)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, FEATURES) for _ in range(LEVELS))
        for layer, inputs in zip(self.layers, sizes, strict=False):
            nn.init.uniform_(layer.get_parameter("weight"), -math.sqrt(6 / inputs), math.sqrt(6 / inputs))

    def _places(self, stage: Stage, level: int) -> torch.Tensor:
        """Centres of the cells of one level within a period, in parent cells, and the cell's size: ``(P * P, 3)``."""
        cell_m = stage.cell_m * stage.fold * 2**level
        at = (torch.arange(self.period) + 0.5) * cell_m / stage.parent_m
        y, x = torch.meshgrid(at, at, indexing="ij")
        return torch.stack([x, y, torch.full_like(x, math.log2(cell_m) / 8)], -1).reshape(-1, 3)

    def forward(self, code: torch.Tensor, side: int) -> list[torch.Tensor]:
        """Features of the levels, ``(B, 16, side / 2^k, side / 2^k)``; ``side`` is a multiple of 40 below stage G."""
        h = self.get_buffer("waves")[None]  # (1, 4, P * P, 48)
        for layer, modulation in zip(self.layers, self.modulation, strict=True):
            scale, shift = modulation(code)[:, None, None].chunk(2, -1)
            h = torch.sin(layer(h) * (1 + scale) + shift)  # (B, 4, P * P, 128)
        return [self._tile(head(h[:, k]), side >> k) for k, head in enumerate(self.heads)]

    def _tile(self, features: torch.Tensor, side: int) -> torch.Tensor:
        grid = features.transpose(1, 2).reshape(len(features), FEATURES, self.period, self.period)
        return grid.repeat(1, 1, side // self.period, side // self.period)
