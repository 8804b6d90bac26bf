"""The residual trunk that all networks share: EDSR-baseline without up-sampling. Imports torch.

After Lim et al. 2017 (CVPR workshops, "Enhanced Deep Residual Networks"): convolutions of 3 x 3, blocks of convolution,
ReLU, convolution added to their input, one skip over all blocks, no normalisation.

On a CPU a window goes through all layers in bands of :data:`BAND_PX` rows, and each layer keeps the rows that its next
band needs again: nothing is computed twice, and the activations stay in the processor's cache instead of going through
memory layer by layer (a third less time for a window of 576 x 576 cells).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .kernels import room

BAND_PX = 32
"""Rows of codes made at a time on a CPU (measured: 8, 16 and 64 are slower)."""

FEW = 20480
"""Numbers in an image up to which torch does not give a float32 convolution to oneDNN."""


class Trunk(nn.Module):
    """Features ``(B, inputs, H, W)`` to codes ``(B, channels, H', W')``."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(inputs, channels, 3)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, channels, 3)

    @property
    def radius_px(self) -> int:
        """Cells that the convolutions look to each side."""
        return 2 * len(self.blocks) + 2

    def forward(self, features: torch.Tensor, pad: int = 0) -> torch.Tensor:
        """``H' = H - 2 r`` for the trunk radius ``r`` (valid convolutions), or ``H`` with ``pad`` 1 (zeros beyond)."""
        first = convolved(features, self.head, pad)
        x = first
        for block in self.blocks:
            x = block(x, pad)
        x = convolved(x, self.tail, pad)
        return x + _inner(first, x)

    def window(self, features: torch.Tensor) -> torch.Tensor:
        """Codes of a whole window as of :meth:`forward` without padding, without gradients; in bands on a CPU.

        The shapes of the bands follow from that of the window alone, and codes are the same bits in any of them.
        """
        if features.device.type != "cpu":
            codes: torch.Tensor = self(features)
            return codes
        radius, (batch, _, height, width) = self.radius_px, features.shape
        rows, cols = height - 2 * radius, width - 2 * radius
        codes = room((batch, rows, cols, self.tail.out_channels), features.dtype).permute(0, 3, 1, 2)
        stream = _Stream(self)
        for top in range(0, rows, BAND_PX):
            stop = min(top + BAND_PX, rows)
            fresh = features[:, :, top + 2 * (radius - 1) if top else 0 : stop + 2 * radius]
            stream.push(fresh, codes[:, :, top:stop])
        return codes


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3)
        self.second = nn.Conv2d(channels, channels, 3)

    def forward(self, x: torch.Tensor, pad: int) -> torch.Tensor:
        """``(B, C, H, W)`` to the same shape, two cells smaller on each side when ``pad`` is 0."""
        y = F.relu_(convolved(x, self.first, pad))
        y = convolved(y, self.second, pad)
        return y + _inner(x, y)


def pointwise(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """A convolution of 1 x 1.

    Dilation means nothing to it, but lets torch take oneDNN for float32 on one thread as well, which is up to 2.4 times
    as fast as the matrix product that it would take.
    """
    dilation = 2 if x.dtype == torch.float32 and x.device.type == "cpu" else 1
    return F.conv2d(x, layer.weight, layer.bias, dilation=dilation)


class _Stream:
    """A window on its way through the layers, one band of rows after the other."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk
        self._first = _Rows(trunk.radius_px - 1)
        self._between = [(_Rows(2), _Rows(2)) for _ in trunk.blocks]

    def push(self, features: torch.Tensor, codes: torch.Tensor) -> None:
        """New rows of features, and the two above them, into the rows of ``codes`` that they complete."""
        trunk = self._trunk
        y = convolved(features, trunk.head)
        first, fresh = self._first.room(y)
        fresh.copy_(y)
        self._first.keep(first)
        x = first[:, :, -2 - y.shape[2] :]
        for block, (middles, outputs) in zip(cast(Iterable[ResidualBlock], trunk.blocks), self._between, strict=True):
            y = convolved(x, block.first)
            z, fresh = middles.room(y)
            torch.clamp_min(y, 0, out=fresh)
            middles.keep(z)
            y = convolved(z, block.second)
            before = x
            x, fresh = outputs.room(y)
            torch.add(y, _above(before, y), out=fresh)
            outputs.keep(x)
        y = convolved(x, trunk.tail)
        torch.add(y, _above(first, y), out=codes)


class _Rows:
    """What a layer gives for one band, below the last rows of the band before."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: torch.Tensor | None = None

    def room(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Kept rows and room for new ones, and the view of the room alone, of the shape of ``like``."""
        batch, channels, rows, cols = like.shape
        above = 0 if self._kept is None else self._kept.shape[2]
        shape = batch, channels, above + rows, cols
        whole = torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)
        if self._kept is not None:
            whole[:, :, :above] = self._kept
        return whole, whole[:, :, above:]

    def keep(self, whole: torch.Tensor) -> None:
        """Remember the last rows for the next band."""
        self._kept = whole[:, :, -self._count :].clone(memory_format=torch.channels_last)


def convolved(x: torch.Tensor, layer: nn.Conv2d, pad: int = 0) -> torch.Tensor:
    """A convolution of 3 x 3 by one and the same method whatever the shape.

    In float32 torch takes another than oneDNN's for single images of few numbers, which has other last bits; for two
    images it does not.
    """
    few = x.dtype == torch.float32 and x.device.type == "cpu" and len(x) == 1 and x.numel() <= FEW
    if few:
        x = x.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    y = F.conv2d(x, layer.weight, layer.bias, padding=pad)
    return y[:1] if few else y


def _above(larger: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The cells of ``larger`` under the centres of ``like``, whose receptive fields end where ``larger`` ends."""
    margin = (larger.shape[3] - like.shape[3]) // 2
    stop = larger.shape[2] - margin
    return larger[:, :, stop - like.shape[2] : stop, margin:-margin]


def _inner(larger: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    margin = (larger.shape[-1] - like.shape[-1]) // 2
    return larger if margin == 0 else larger[..., margin:-margin, margin:-margin]
