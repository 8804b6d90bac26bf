"""Analytic terrain: surfaces whose height, and whose average over a cell, are known at every position.

Positions are in cells of the raster at hand, as everywhere in the library: cell ``i`` is centred at ``i + 0.5``.
Imports numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Surface = Callable[[Floats, Floats], Floats]


def centres(count: int, step: float = 1.0) -> Floats:
    """Centres of ``count`` cells that are ``step`` wide."""
    return (np.arange(count) + 0.5) * step


def lattice(surface: Surface, rows: Floats, cols: Floats) -> Floats:
    """Heights of ``surface`` at every row with every column."""
    return surface(rows[:, None], cols[None, :]) + np.zeros((rows.size, cols.size))


def plane(down: float, across: float, height: float = 0.0) -> Surface:
    """A plane that rises by ``down`` per row and ``across`` per column."""
    return lambda rows, cols: height + down * rows + across * cols


def cone(row: float, col: float, slope: float, top: float = 100.0) -> Surface:
    """A cone around a summit."""
    return lambda rows, cols: top - slope * np.hypot(rows - row, cols - col)


def hill(row: float, col: float, radius: float, height: float = 100.0) -> Surface:
    """A Gaussian hill with the standard deviation ``radius`` in cells."""
    return lambda rows, cols: height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * radius**2))


def hill_averages(count: int, centre: float, radius: float, height: float, step: float = 1.0) -> Floats:
    """Exact averages of :func:`hill` over square cells of side ``step``, shape ``(count, count)``."""
    edges = (np.arange(count + 1) * step - centre) / (radius * math.sqrt(2))
    integral = np.array([math.erf(e) for e in edges]) * radius * math.sqrt(math.pi / 2)
    share = np.diff(integral) / step
    return height * share[:, None] * share[None, :]


def fractal(shape: tuple[int, int], seed: int, relief: float = 300.0) -> Floats:
    """Terrain-like noise with the spectrum of real ground (amplitude falls with wave number to the power 2)."""
    rng = np.random.default_rng(seed)
    down = np.fft.fftfreq(shape[0])[:, None] * max(shape)
    across = np.fft.rfftfreq(shape[1])[None, :] * max(shape)
    wave = np.hypot(down, across)
    wave[0, 0] = np.inf
    spectrum = (rng.normal(size=wave.shape) + 1j * rng.normal(size=wave.shape)) / wave**2
    heights = np.fft.irfft2(spectrum, s=shape)
    return (heights - heights.min()) / np.ptp(heights) * relief + 500


def block_average(heights: Floats, factor: int) -> Floats:
    """Averages over blocks of ``factor`` x ``factor`` cells."""
    rows, cols = (size // factor for size in heights.shape)
    return heights[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor).mean(axis=(1, 3))
