"""The weights of a model card, read and put into a network that computes. Imports torch and safetensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import TerrainError
from .card import Card
from .compute import Compute

N = TypeVar("N", bound=torch.nn.Module)
Weights = dict[str, torch.Tensor]


def read(card: Card) -> Weights:
    """The weights in float32 by name, to start a training from."""
    try:
        return {name: value.float() for name, value in load_file(card.weights_path()).items()}
    except SafetensorError as error:
        raise TerrainError(f"The weights of model {card.name} cannot be read; install the model again.") from error


def fitted(build: Callable[[], N], card: Card, compute: Compute) -> N:
    """The network of ``build`` with the weights of the card, ready on the device and in the number format of a job.

    Convolutions are laid out with their channels last, as the fast kernels of all devices want them. ``build`` may
    raise a TypeError where the card's settings are not those of the family.
    """
    try:
        network = build()
        network.load_state_dict(load_file(card.weights_path()))
    except (TypeError, RuntimeError, SafetensorError) as error:
        raise TerrainError(f"The weights of model {card.name} do not fit its card; install the model again.") from error
    network = network.to(compute.device, compute.torch_dtype)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(requires_grad=False)
