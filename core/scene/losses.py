"""What the networks of a stage are trained by: squared errors over known cells."""

from __future__ import annotations

import torch

from .batches import Batch
from .diffusion import loss_weight, noised
from .model import StageModel


def prior_loss(model: StageModel, batch: Batch) -> torch.Tensor:
    """Squared error of the prior."""
    error = (model.mean(batch.condition) - batch.fields).square()
    return masked_mean(error, batch.known)


def residual_loss(model: StageModel, batch: Batch) -> torch.Tensor:
    """Weighted squared error of the denoiser's velocity; the prior learns nothing from it."""
    with torch.no_grad():
        mean = mean_of(model, batch)
        clean = (batch.fields - mean) / model.spread[:, None, None] * batch.known
    field, target = noised(clean, batch.noise, batch.t)
    error = (model.velocity(field, batch.t, model.context(batch.condition, mean)) - target).square()
    weight = loss_weight(batch.t)[:, None, None, None]
    return masked_mean(error * weight, batch.known)


def mean_of(model: StageModel, batch: Batch) -> torch.Tensor:
    """The prior's answer, or nothing where an ablation leaves the prior out."""
    mean = model.mean(batch.condition)
    return mean if model.settings.use_prior else torch.zeros_like(mean)


def masked_mean(error: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean over known cells of each channel, then over the channels that have any."""
    count = known.sum(dim=(0, 2, 3))
    each = (error * known).sum(dim=(0, 2, 3)) / count.clamp_min(1.0)
    return each.sum() / (count > 0).sum().clamp_min(1)
