"""What a model has to multiply, and what this machine multiplies at best, so that a pace becomes a share of the peak.

Only the network's convolutions count: neither the normaliser nor the interpolation nor the rendering. Useful is what
the cells of the result need; done is what the tiles of the plan compute, halo and padding included.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import machine  # noqa: F401  loads the package
import torch
from torch import nn

from neural_terrain.core import tiling
from neural_terrain.core.elevation import compute, ebcf_surface, field_surface
from neural_terrain.core.elevation.card import Card
from neural_terrain.core.elevation.ebcf import Ebcf, EbcfSettings
from neural_terrain.core.elevation.field import Field, FieldSettings

PROBE_S = 1.0
"""How long each of the measurements of the peak takes."""

FLOP = 2.0
"""A multiplication and an addition per weight."""


@dataclass(frozen=True)
class Weights:
    """Weights of a network by what they are multiplied with.

    Attributes
    ----------
    trunk
        Of each 3 x 3 layer in turn, each two coarse cells narrower than the one before.
    coarse, fine
        Of the layers that are done once per coarse cell behind the trunk, and once per fine cell.
    beyond_px
        Coarse cells with codes around those that the fine cells lie in.

    """

    trunk: tuple[int, ...]
    coarse: int
    fine: int
    beyond_px: int


def weights_of(card: Card) -> Weights | None:
    """The weights of a model; None for one without a network."""
    if card.family == "field":
        field = Field(FieldSettings(**card.network))
        return Weights(_of_layers(field.trunk), sum(_of_layers(field.height)), 0, field_surface.CORRECTION_PX)
    if card.family == "ebcf":
        network = Ebcf(EbcfSettings(**card.network))
        decoder = [network.from_latent, *network.hidden, network.bias]
        trunk = _of_layers(network)[: -len(decoder)]
        return Weights(trunk, 0, sum(layer.weight.numel() for layer in decoder), ebcf_surface.TAPS_PX)
    return None


def _of_layers(network: nn.Module) -> tuple[int, ...]:
    return tuple(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Conv2d))


def useful_flop(weights: Weights, scale: float) -> float:
    """Operations that one cell of the result needs."""
    return FLOP * (weights.fine + (sum(weights.trunk) + weights.coarse) / scale**2)


def done_flop(weights: Weights, plan: tiling.Plan) -> float:
    """Operations per cell of the result that whole tiles of the plan take."""
    trim = plan.halo_px - weights.beyond_px - len(weights.trunk)
    total = 0.0
    for layer, count in enumerate(weights.trunk, start=1):
        total += count * math.prod(side - 2 * trim - 2 * layer for side in plan.read_shape)
    inner = math.prod(side - 2 * trim - 2 * len(weights.trunk) for side in plan.read_shape)
    return FLOP * ((total + weights.coarse * inner) / plan.tile_px**2 + weights.fine)


def peaks_gflops(where: compute.Compute, lanes: int) -> dict[str, float]:
    """What the layers of the models reach here at best, with as many lanes as the job has, each on its own threads."""
    return {
        f"3x3x64 {where.dtype}": busiest(lambda: _convolution(where, 64, 3, 128), lanes),
        f"1x1x256 {where.dtype}": busiest(lambda: _convolution(where, 256, 1, 64), lanes),
        f"product 256 {where.dtype}": busiest(lambda: _product(where, 256, 4096), lanes),
    }


Step = tuple[Callable[[], object], float]
"""Something to do again and again, and its operations."""


def _convolution(where: compute.Compute, channels: int, kernel: int, side: int) -> Step:
    layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2).to(where.device, where.torch_dtype)
    layer = layer.to(memory_format=torch.channels_last)
    image = torch.zeros(1, channels, side, side, device=where.device, dtype=where.torch_dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    return lambda: layer(image), FLOP * channels**2 * kernel**2 * side**2


def _product(where: compute.Compute, width: int, rows: int) -> Step:
    weight = torch.zeros(width, width, device=where.device, dtype=where.torch_dtype)
    many = torch.zeros(rows, width, device=where.device, dtype=where.torch_dtype)
    return lambda: many @ weight, FLOP * width**2 * rows


def busiest(make: Callable[[], Step], lanes: int, windows: int = 5) -> float:
    """GFLOP/s of all lanes together in the best of a few windows of time."""
    start, seconds = threading.Barrier(lanes), PROBE_S / windows

    def lane(_: int) -> list[float]:
        compute.share_cores(lanes)
        with torch.inference_mode():
            step, flop = make()
            step()
            start.wait()
            return [flop * _paces(step, seconds) for _ in range(windows)]

    with ThreadPoolExecutor(lanes) as pool:
        found = list(pool.map(lane, range(lanes)))
    return max(map(sum, zip(*found, strict=True))) / 1e9


def _paces(step: Callable[[], object], seconds: float) -> float:
    count, started_s = 0, time.perf_counter()
    while True:
        for _ in range(8):
            step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        count += 8
        spent_s = time.perf_counter() - started_s
        if spent_s > seconds:
            return count / spent_s
