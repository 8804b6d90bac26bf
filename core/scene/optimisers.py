"""Muon for the matrices between hidden layers, AdamW for everything else, at one learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch

LEAST_SIDE = 16


class Optimisers:
    """Both optimisers as one; Muon (Jordan 2024) makes each update of a matrix orthogonal.

    A convolution counts as the matrix of its output channels by all that they see; its weight must lie in memory
    channels last, so that the matrix shares it.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], muon: bool) -> None:
        hidden = [p for p in parameters if muon and p.ndim == 4 and min(p.shape[:2]) >= LEAST_SIDE]
        chosen = {id(p) for p in hidden}
        rest = [p for p in parameters if id(p) not in chosen]
        self._views = [(p, torch.nn.Parameter(_matrix(p.detach()))) for p in hidden]
        self.all: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=1e-3)]
        if hidden:
            views = [view for _, view in self._views]
            self.all.append(torch.optim.Muon(views, weight_decay=1e-2, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate: float) -> None:
        """Move the weights against their gradients."""
        for parameter, view in self._views:
            view.grad = None if parameter.grad is None else _matrix(parameter.grad)
        for optimiser in self.all:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()

    def forget(self) -> None:
        """Drop the gradients."""
        for optimiser in self.all:
            optimiser.zero_grad(set_to_none=True)
        for parameter, view in self._views:
            parameter.grad = view.grad = None

    def state(self) -> list[dict]:
        """What a checkpoint keeps."""
        return [optimiser.state_dict() for optimiser in self.all]

    def load(self, states: Sequence[dict]) -> None:
        """Go on from a checkpoint's states."""
        for optimiser, state in zip(self.all, states, strict=True):
            optimiser.load_state_dict(state)


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight ``(O, I, h, w)`` as ``(O, h w I)``; shares memory if the channels lie last."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
