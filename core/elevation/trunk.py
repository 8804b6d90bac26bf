"""The residual trunk that all networks share: EDSR-baseline without up-sampling. Imports torch only.

After Lim et al. 2017 (CVPR workshops, "Enhanced Deep Residual Networks"): convolutions of 3 x 3, blocks of convolution,
ReLU, convolution added to their input, one skip over all blocks, no normalisation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Trunk(nn.Module):
    """Features ``(B, inputs, H, W)`` to codes ``(B, channels, H', W')``."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(inputs, channels, 3)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, channels, 3)

    def forward(self, features: torch.Tensor, pad: int = 0) -> torch.Tensor:
        """``H' = H - 2 r`` for the trunk radius ``r`` (valid convolutions), or ``H`` with ``pad`` 1 (zeros beyond)."""
        first = F.conv2d(features, self.head.weight, self.head.bias, padding=pad)
        x = first
        for block in self.blocks:
            x = block(x, pad)
        x = F.conv2d(x, self.tail.weight, self.tail.bias, padding=pad)
        return x + _inner(first, x)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3)
        self.second = nn.Conv2d(channels, channels, 3)

    def forward(self, x: torch.Tensor, pad: int) -> torch.Tensor:
        """``(B, C, H, W)`` to the same shape, two cells smaller on each side when ``pad`` is 0."""
        y = F.relu_(F.conv2d(x, self.first.weight, self.first.bias, padding=pad))
        y = F.conv2d(y, self.second.weight, self.second.bias, padding=pad)
        return y + _inner(x, y)


def _inner(larger: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    margin = (larger.shape[-1] - like.shape[-1]) // 2
    return larger if margin == 0 else larger[..., margin:-margin, margin:-margin]
