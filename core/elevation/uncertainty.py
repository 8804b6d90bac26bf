"""How a trained field learns what it does not know: its spread head, then the factors of a calibrated band.

The head learns on the training regions with everything else frozen, by the likelihood of a Laplace distribution
(Kendall and Gal 2017, eq. 5, with absolute errors). The factors come from regions that no weight has seen, restored
whole at every scale by the surface that users run. Imports torch and numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..progress import Progress
from .batch import Batch, collate
from .calibration import Calibration, Ratios
from .degradation import Region, area_weights
from .field import Field, lattice_taps, render
from .kernels import Floats, Queries
from .surface import CoarseHeights
from .training import Training

Fill = Callable[[Floats, NDArray[np.bool_]], tuple[Floats, NDArray[np.bool_]]]
Found = tuple[Floats, Floats, NDArray[np.bool_]]

SEED = 1

SPREAD_STEPS = 600
SPREAD_RATE = 3e-3
SCALES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
WINDOW_PX = 192
"""Side of the coarse windows that calibrate."""

LEAST_PX = 4
"""Smallest side of such a window."""

MOST_POSITIONS = 100_000
"""Fine cells of a window that are looked at, drawn at random where it has more; keeps memory in bounds."""

SMALLEST_ERROR = 1e-3
"""Least error in local units that the likelihood looks at."""


class Told(Protocol):
    """What calibration needs of a surface: heights, and its estimate before calibration."""

    halo_px: int

    def encode(self, known: CoarseHeights) -> Any:
        """See :class:`.surface.Surface`."""
        ...

    def decode(self, latent: Any, queries: Queries) -> Floats:
        """See :class:`.surface.Surface`."""
        ...

    def estimate(self, latent: Any, queries: Queries) -> tuple[Floats, Floats, Floats]:
        """Expected error in metres, slope in degrees, and 1 where a void is filled, each ``(rows, cols)``."""
        ...


def learn_spread(network: Field, training: Training, steps: int, progress: Progress | None = None) -> list[float]:
    """Train the spread head of ``network`` in place on the pairs of a training; returns the loss of every step.

    The elevation is not changed: only the head's weights move.
    """
    device, progress = training.compute.device, progress or Progress()
    network.requires_grad_(requires_grad=False).spread.requires_grad_(requires_grad=True)
    optimiser = torch.optim.AdamW(network.spread.parameters(), lr=SPREAD_RATE, weight_decay=1e-4)
    losses = []
    for step in range(steps):
        progress.report(step / steps)
        batch = collate(training.draw(training.recipe.steps + step)).to(device)
        with training.autocast():
            value = spread_loss(network, batch)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.spread.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = SPREAD_RATE * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        optimiser.step()
        losses.append(float(value.detach()))
    return losses


def spread_loss(network: Field, batch: Batch) -> torch.Tensor:
    """Negative logarithm of the Laplace likelihood of the errors, without its constant."""
    with torch.no_grad():
        error = (network.predict(batch) - batch.target).abs().clamp_min(SMALLEST_ERROR)
        codes = network.encode(batch.features, pad=1)
    coefficients = network.log_spread(codes, batch.sizes.to(codes.device))
    order = network.settings.spread_order
    spread = torch.stack(
        [render(c, *lattice_taps(q, order, True)) for c, q in zip(coefficients, batch.queries, strict=True)]
    )
    return (error * (-spread).exp() + spread).mean()


def calibrate(
    surface: Told, regions: Sequence[Region], fill: Fill, progress: Progress | None = None
) -> Calibration | None:
    """Factors from held-back regions, each restored from its cell averages at all of :data:`SCALES`.

    ``fill`` is what fills voids before the surface runs: heights and validity to heights and what was filled. None
    where the regions are too small, or too full of voids, for any scale.
    """
    ratios, progress = Ratios(SCALES), progress or Progress()
    rng = np.random.default_rng(SEED)
    for number, region in enumerate(regions):
        for place, scale in enumerate(SCALES):
            progress.report((number + place / len(SCALES)) / len(regions))
            for known, truth in _windows(region, scale, surface.halo_px, rng):
                heights, filled = fill(known.heights, known.valid)
                ready = replace(known, heights=heights, filled=filled)
                found = _judged(surface, ready, truth, scale)
                ratios.add(scale, *_thinned(found, rng))
    return ratios.calibration()


def _windows(
    region: Region, scale: float, halo_px: int, rng: np.random.Generator
) -> Iterator[tuple[CoarseHeights, Floats]]:
    """Up to four windows of a region: coarse heights with halo, and the fine truth of the part inside the halo.

    Beyond the edge the coarse heights are mirrored, as for whole rasters.
    """
    side = min(WINDOW_PX, int(min(region.heights.shape) / scale))
    if side < LEAST_PX:
        return
    fine_px = int(np.ceil(side * scale))
    for _ in range(4):
        row, col = (rng.integers(size - fine_px + 1) for size in region.heights.shape)
        place = np.s_[row : row + fine_px, col : col + fine_px]
        if not region.valid[place].all():
            continue
        fine = region.heights[place].astype(np.float64)
        weights = area_weights(fine_px, side, scale)
        coarse = np.pad(weights @ fine @ weights.T, halo_px, mode="symmetric")
        width_m, height_m = (np.full(coarse.shape[0], s * scale) for s in (region.cell_width_m, region.cell_height_m))
        yield CoarseHeights(coarse, _holes(coarse.shape[0], rng), width_m, height_m), fine


def _holes(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Validity with round voids in every other window."""
    valid = np.ones((side, side), dtype=bool)
    row, col = np.mgrid[:side, :side]
    for _ in range(rng.choice([0, 24])):
        centre, radius = rng.uniform(0, side, size=2), rng.uniform(0.5, 11.0)
        valid &= np.hypot(row - centre[0], col - centre[1]) > radius
    return valid


def _thinned(found: Found, rng: np.random.Generator) -> Found:
    """At most :data:`MOST_POSITIONS` of the positions."""
    if found[0].size <= MOST_POSITIONS:
        return found
    chosen = rng.choice(found[0].size, MOST_POSITIONS, replace=False)
    return found[0][chosen], found[1][chosen], found[2][chosen]


def _judged(surface: Told, known: CoarseHeights, truth: Floats, scale: float) -> Found:
    """Error in units of the estimate, slope, and whether a void was filled, of every fine cell."""
    count = int((known.heights.shape[0] - 2 * surface.halo_px) * scale)
    positions: Floats = surface.halo_px + (np.arange(count, dtype=np.float64) + 0.5) / scale
    queries = Queries(positions, positions, 1 / scale, 1 / scale)
    latent = surface.encode(known)
    expected, slope_deg, filled = surface.estimate(latent, queries)
    error = np.abs(surface.decode(latent, queries) - truth[:count, :count])
    places = np.floor(positions).astype(np.int64)
    counts = (expected > 0) & known.placed[np.ix_(places, places)]
    return error[counts] / expected[counts], slope_deg[counts], filled[counts] > 0.5
