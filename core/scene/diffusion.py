"""Diffusion of the residual (the paper's equations 7 to 12, misprints corrected), by velocity on a cosine schedule.

With the prior's answer ``f`` to the condition ``Z`` and the residual's size ``s`` per channel::

    R_0 = (X - f(Z)) / s                                  (7)
    R_t = sqrt(abar_t) R_0 + sqrt(1 - abar_t) eps         (8, 10: the paper prints alpha_t where abar_t is meant)
    X_t = s R_t + f(Z)                                    (9)
    abar_t -> 0 for t -> 1, so X_t -> f(Z) + s eps        (11: printed with infinity as the limit)
    v_t = sqrt(abar_t) eps - sqrt(1 - abar_t) R_0         (12, as a velocity)

Everything here works on ``R``; time runs from 0 (clean) to 1 (noise).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

Velocity = Callable[[torch.Tensor, float], torch.Tensor]
NoiseOf = Callable[[int], torch.Tensor]

LAST = 0.996
"""Time at which sampling starts; at 1 the velocity says nothing about the clean field."""


def signal(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``sqrt(abar)`` and ``sqrt(1 - abar)`` at times 0 to 1: cosine and sine of a quarter turn."""
    return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)


def noised(clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``R_t`` and the velocity to learn, for ``clean`` and ``noise (B, C, H, W)`` and times ``(B,)``."""
    a, b = (part[:, None, None, None] for part in signal(t))
    return a * clean + b * noise, a * noise - b * clean


def loss_weight(t: torch.Tensor, gamma: float = 5.0) -> torch.Tensor:
    """Min-SNR weights (Hang 2023) for a velocity loss: ``min(SNR, gamma) / (SNR + 1)``, ``(B,)``."""
    a, b = signal(t)
    snr = (a / b.clamp_min(1e-4)).square()
    return snr.clamp_max(gamma) / (snr + 1)


def times(steps: int) -> list[float]:
    """Times of a run of ``steps`` steps, from :data:`LAST` to 0, denser where the field takes shape."""
    return [LAST * (1 - (k / steps) ** 1.2) for k in range(steps)] + [0.0]


def solve(velocity: Velocity, start: torch.Tensor, steps: int, repair: Callable | None = None) -> torch.Tensor:
    """DPM-Solver++ (2M, Lu 2022): from noise to a clean field without further noise.

    Parameters
    ----------
    velocity
        The net: ``R_t`` and a time to ``v_t``.
    start
        Noise ``(B, C, H, W)``.
    steps
        Calls of the net.
    repair
        What is known of the clean field, imposed on every estimate of it.

    """
    *_, clean = walk(velocity, start, steps, repair)
    return clean


def walk(velocity: Velocity, start: torch.Tensor, steps: int, repair: Callable | None = None) -> Iterator[torch.Tensor]:
    """The clean estimates of :func:`solve`, step by step; the last one is the result."""
    path = times(steps)
    field, before, last_h = start, None, 0.0
    for t, s in zip(path[:-1], path[1:], strict=True):
        a, b = (float(x) for x in signal(torch.tensor(t)))
        clean = a * field - b * velocity(field, t)
        if repair is not None:
            clean = repair(clean)
        if s == 0.0:
            yield clean
            return
        c, d = (float(x) for x in signal(torch.tensor(s)))
        h = math.log(c / d) - math.log(a / b)
        ahead = clean if before is None else clean + (clean - before) * (h / (2 * last_h))
        field = (d / b) * field - c * math.expm1(-h) * ahead
        before, last_h = clean, h
        yield clean
