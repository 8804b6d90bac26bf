"""EBCF-CDEM as a reader of the paper would write it down first: the row that the optimised models stand beside.

After Yao et al. 2024 (ISPRS J. Photogramm. Remote Sens. 208, 1-13), of our own and for timing only (weights are random,
of the shapes of the shipped ``ebcf``): float32; the raster in tiles of 96 coarse cells, each scaled by its own minimum
and maximum and encoded with zero padding; every fine cell is a query with explicit coordinates, for which latent codes
are interpolated bicubically, sines and cosines of its position are listed (eq. 3.4), and a perceptron of linear layers
is run, 30,000 queries at a time; the nearest known elevation is added (eqs 3.1, 3.3).
"""

from __future__ import annotations

import argparse
import math
import time

import machine
import torch
import torch.nn.functional as F
from torch import nn

TILE_PX = 96
"""Side of a tile in coarse cells; a tile's neighbours are not looked at."""

QUERIES = 30_000
"""Queries that are answered at a time."""

CHANNELS, BLOCKS, WIDTH, LAYERS, FREQUENCIES = 64, 16, 256, 4, 6


class Block(nn.Module):
    """Convolution, ReLU, convolution, added to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.relu(self.first(x)))


class Encoder(nn.Module):
    """EDSR-baseline without up-sampling: ``(1, 1, H, W)`` to ``(1, channels, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.body = nn.Sequential(*(Block() for _ in range(BLOCKS)), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1))

    def forward(self, heights: torch.Tensor) -> torch.Tensor:
        first = self.head(heights)
        return first + self.body(first)


class Decoder(nn.Module):
    """Latent code and encoded position of each query to its elevation bias: ``(N, inputs)`` to ``(N, 1)``."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(CHANNELS + 4 * FREQUENCIES + 2, WIDTH), nn.ReLU()]
        for _ in range(LAYERS - 1):
            layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(WIDTH, 1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(inputs)
        return result


class Plain(nn.Module):
    """A tile of coarse heights to fine ones."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    @torch.no_grad()
    def forward(self, heights: torch.Tensor, scale: int) -> torch.Tensor:
        """``(H, W)`` to ``(scale * H, scale * W)``."""
        low, high = heights.min(), heights.max()
        unit = (2 * (heights - low) / (high - low) - 1)[None, None]
        latents = self.encoder(unit)
        asked = coordinates(heights.shape[0], heights.shape[1], scale)
        parts = [self.answers(unit, latents, part, scale) for part in asked.split(QUERIES)]
        fine = torch.cat(parts).reshape(scale * heights.shape[0], scale * heights.shape[1])
        return (fine + 1) / 2 * (high - low) + low

    def answers(self, unit: torch.Tensor, latents: torch.Tensor, asked: torch.Tensor, scale: int) -> torch.Tensor:
        """Heights in ``[-1, 1]`` at a list of queries ``(N, 2)``, each row and column in coarse cells."""
        size = torch.tensor([unit.shape[2], unit.shape[3]])
        places = (2 * asked / size - 1).flip(1)[None, None]  # as grid_sample counts, x before y
        codes = F.grid_sample(latents, places, mode="bicubic", align_corners=False)[0, :, 0].T
        nearest = F.grid_sample(unit, places, mode="nearest", align_corners=False)[0, 0, 0]
        sizes = torch.full((len(asked), 2), 1 / scale)
        bias = self.decoder(torch.cat([codes, encoded(asked), sizes], dim=1))[:, 0]
        return nearest + bias


def coordinates(rows: int, cols: int, scale: int) -> torch.Tensor:
    """Centres of all fine cells in coarse cells, ``(N, 2)``."""
    down, across = ((torch.arange(n * scale) + 0.5) / scale for n in (rows, cols))
    return torch.stack(torch.meshgrid(down, across, indexing="ij"), dim=-1).reshape(-1, 2)


def encoded(asked: torch.Tensor) -> torch.Tensor:
    """Eq. 3.4: sines and cosines of doubling frequency of the position in the coarse cell, ``(N, 4 * frequencies)``."""
    inside = 2 * (asked - asked.floor()) - 1
    angles = (inside[..., None] * math.pi * 2.0 ** torch.arange(FREQUENCIES)).reshape(len(asked), -1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def mpx_per_s(scale: int, tiles: int = 4) -> float:
    """Pace of the faster of a few tiles; every tile of a raster costs the same, so it is the pace for any size."""
    torch.manual_seed(0)
    torch.set_num_threads(machine.cores())
    model = Plain().eval()
    heights = torch.rand(TILE_PX, TILE_PX).cumsum(0).cumsum(1)
    spent_s = []
    for _ in range(tiles):
        started_s = time.perf_counter()
        model(heights, scale)
        spent_s.append(time.perf_counter() - started_s)
    return (TILE_PX * scale) ** 2 / min(spent_s) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4, 8])
    for scale in parser.parse_args().scales:
        print(f"x{scale}: {mpx_per_s(scale):.3f} Mpx/s on {machine.cores()} cores")


if __name__ == "__main__":
    main()
