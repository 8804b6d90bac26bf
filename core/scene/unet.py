"""The convolutional body of priors and denoisers: a four-level U-Net whose every operation is local.

There are no norms over the window and nothing attends globally: what a cell becomes depends on its surroundings alone,
so windows of a lattice can be computed apart and agree where they overlap. Blocks start as the identity, which keeps a
net of this depth trainable without norms (they took a third of the time).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from .encoder import FEATURES

EMBEDDING = 128


class Block(nn.Module):
    """Two 3 x 3 convolutions around a scale and shift from the embedding, added to the input; starts as identity."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(EMBEDDING, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        for parameter in (*self.second.parameters(), *self.film.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        scale, shift = self.film(embedding)[:, :, None, None].to(x.dtype).chunk(2, 1)
        h = self.first(F.silu(x))
        h = torch.addcmul(shift, h, 1 + scale)
        return self.skip(x) + self.second(F.silu(h))


class Gate(nn.Module):
    """Gated fusion of implicit features ``p`` into ``h``: ``h + sigmoid(W [h, p]) * V p``, all 1 x 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_h = nn.Conv2d(channels, channels, 1)
        self.of_p = nn.Conv2d(FEATURES, channels, 1, bias=False)
        self.value = nn.Conv2d(FEATURES, channels, 1)

    def forward(self, h: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """``h (B, C, H, W)`` and ``p (B, 16, H, W)``."""
        return torch.addcmul(h, torch.sigmoid(self.of_h(h) + self.of_p(p)), self.value(p))


class UNet(nn.Module):
    """Four levels with ``blocks`` blocks each on the way down and up; implicit features join on the way down."""

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], blocks: int, fused: bool) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.gates = nn.ModuleList(Gate(w) for w in widths) if fused else None
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        for level, width in enumerate(widths):
            self.down.append(nn.ModuleList(Block(width, width) for _ in range(blocks)))
            if level < len(widths) - 1:
                self.up.append(nn.ModuleList(Block(2 * width if k == 0 else width, width) for k in range(blocks)))
        self.leave = nn.Conv2d(widths[0], outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, implicit: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """``x (B, inputs, H, W)``, sides multiples of 8, ``embedding (B, 128)``, to ``(B, outputs, H, W)``."""
        h, kept = self.enter(x), []
        for level, blocks in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
            if self.gates is not None:
                h = self.gates[level](h, implicit[level].to(h.dtype))
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, embedding)
            kept.append(h)
        for level in range(len(self.up) - 1, -1, -1):
            h = F.interpolate(self.grow[level](h), scale_factor=2.0, mode="nearest")
            h = torch.cat([h, kept[level]], 1)
            for block in self.up[level]:  # type: ignore[attr-defined]
                h = block(h, embedding)
        return self.leave(F.silu(h))
