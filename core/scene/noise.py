"""World-locked noise: each number is a function of seed, stage, step, channel and the cell's place in the world alone.

Philox 4x32 with ten rounds (Salmon 2011) turns a counter of four words into four random words without any state, so
noise does not depend on tiles, their order, or on how an area is cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MULTIPLY = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
ROUNDS = 10

Words = NDArray[np.uint64]


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Four random words of 32 bits for each counter."""
    a, b, c, d = counter
    k0, k1 = np.uint64(key[0] & 0xFFFFFFFF), np.uint64(key[1] & 0xFFFFFFFF)
    for _ in range(ROUNDS):
        first, second = a * _MULTIPLY[0], c * _MULTIPLY[1]
        a, b, c, d = (second >> _HALF) ^ b ^ k0, second & _LOW, (first >> _HALF) ^ d ^ k1, first & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return a, b, c, d


def world_noise(key: tuple[int, int, int], first: tuple[int, int], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Normal numbers for a window.

    Parameters
    ----------
    key
        Seed, number of the stage, number of the step.
    first
        World numbers of the northernmost row (counted northward) and the westernmost column.
    shape
        Channels, rows, columns.

    Returns
    -------
    ``shape``, float32; the window's first row is its northernmost.

    """
    seed, stage, step = key
    channels, rows, cols = shape
    north = (np.int64(first[0]) - np.arange(rows)).astype(np.uint64)[:, None] & _LOW
    east = (np.int64(first[1]) + np.arange(cols)).astype(np.uint64)[None] & _LOW
    north, east = np.broadcast_arrays(north, east)
    planes: list[NDArray[np.float32]] = []
    for group in range((channels + 3) // 4):
        order = np.full((rows, cols), group + (step << 8), np.uint64)
        words = philox((north, east, order, np.zeros_like(order)), (seed, stage))
        planes += [*_normal(words[0], words[1]), *_normal(words[2], words[3])]
    return np.stack(planes[:channels])


def _normal(a: Words, b: Words) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two normal numbers from two words, by Box and Muller."""
    radius = np.sqrt(-2 * np.log((a.astype(np.float64) + 0.5) / 2**32))
    angle = (b.astype(np.float64) + 0.5) * (2 * np.pi / 2**32)
    return (radius * np.cos(angle)).astype(np.float32), (radius * np.sin(angle)).astype(np.float32)
