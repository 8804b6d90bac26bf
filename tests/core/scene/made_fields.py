"""Random towns as fields, for property tests: smooth noise whose ridges are streets and whose hills are buildings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from neural_terrain.core.buildings.build import FineField
from neural_terrain.core.scene.stages import VOLUME_SCALE_M
from neural_terrain.core.streets.street_field import FALL_M, Lattice, StreetField

WEST_M, NORTH_M = 450_000.0, 5_412_000.0


def street_field(seed: int, side: int = 40, cell_m: float = 10.0) -> StreetField:
    """Nearness from level lines of two noises and a few straight lines, disturbed as a model would."""
    rng = np.random.default_rng(seed)
    size = side * 4
    noise = [gaussian_filter(rng.standard_normal((size, size)), rng.uniform(14, 30)) for _ in range(2)]
    line = np.zeros((size, size), bool)
    for one in noise:
        line[:, 1:] |= (one[:, 1:] > 0) != (one[:, :-1] > 0)
        line[1:] |= (one[1:] > 0) != (one[:-1] > 0)
    y, x = np.mgrid[:size, :size]
    for _ in range(int(rng.integers(0, 4))):
        angle, off = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8) * size
        line |= np.abs((x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle) + size / 2 - off) < 0.7
    distance = distance_transform_edt(~line) * cell_m / 4 if line.any() else np.full((size, size), 1e3)
    fine = np.clip(1 - distance / FALL_M, 0, 1)
    gy, gx = np.gradient(gaussian_filter(fine, 2.0))
    angle = np.arctan2(-gy, gx) + np.pi / 2
    pool = lambda v: v.reshape(side, 4, side, 4).mean(axis=(1, 3))  # noqa: E731
    near = np.clip(pool(fine) + rng.normal(0, 0.08, (side, side)), 0, 1)
    rank = near * np.clip(gaussian_filter(rng.standard_normal((side, side)), 6) * 12, -1, 1)
    lattice = Lattice(WEST_M, NORTH_M, cell_m, side, side)
    return StreetField(lattice, near, near * pool(np.cos(2 * angle)), near * pool(np.sin(2 * angle)), rank)


def middle_channels(seed: int, rows: int, cols: int) -> NDArray[np.float32]:
    """Channels of stage R with such streets, and buildings between them, ``(7, rows, cols)``."""
    field = street_field(seed, max(rows, cols))
    near, cos2, sin2, rank = (v[:rows, :cols] for v in (field.nearness, field.cos2, field.sin2, field.rank))
    share = 0.45 * np.clip(1 - 1.5 * near, 0, 1)
    volume = np.sqrt(share * 9 / VOLUME_SCALE_M) - 0.5
    return np.stack([2 * share - 1, share - 0.3, volume, 2 * near - 1, cos2, sin2, rank]).astype(np.float32)


def fine_field(seed: int, side: int = 200, cell_m: float = 2.0) -> FineField:
    """Boxes and blobs of all sizes with noisy wall distances, as bad as a half-trained model's."""
    rng = np.random.default_rng(seed + 1000)
    grain = rng.uniform(3, 9)
    noise = gaussian_filter(rng.standard_normal((side, side)), grain)
    built = noise > np.quantile(noise, rng.uniform(0.3, 0.9))
    for _ in range(int(rng.integers(0, 40))):
        i, j = rng.integers(0, side - 12, 2)
        built[i : i + int(rng.integers(3, 12)), j : j + int(rng.integers(3, 12))] ^= True
    pitch = int(rng.integers(5, 14))
    wall = np.zeros((side, side), bool)
    wall[::pitch] = wall[:, :: pitch + 3] = rng.random() < 0.6
    signed = np.where(built, distance_transform_edt(built & ~wall), -distance_transform_edt(~built)) - 0.5
    signed = signed * cell_m + gaussian_filter(rng.standard_normal((side, side)), 1.0) * rng.uniform(0, 2)
    share = np.clip(0.5 + signed / cell_m + built * wall, 0, 1) * (built | (rng.random((side, side)) < 0.01))
    height = np.clip(gaussian_filter(rng.standard_normal((side, side)), 10) * 60 + 9, 0, 60)
    lattice = Lattice(WEST_M, NORTH_M, cell_m, side, side)
    return FineField(lattice, share, np.clip(signed, -8, 8), height)


def hills(lattice: Lattice, seed: int) -> NDArray[np.float64]:
    """Heights of up to a fifth of slope."""
    rng = np.random.default_rng(seed + 2000)
    smooth = gaussian_filter(rng.standard_normal((lattice.rows + 8, lattice.cols + 8)), 8)[4:-4, 4:-4]
    slope = np.hypot(*np.gradient(smooth, lattice.cell_m)).max()
    return np.asarray(smooth * rng.uniform(0.05, 0.25) / slope)
