"""Weights of the stages: read from a card's folder, and written there from trainings. Imports torch and safetensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..elevation.compute import Compute
from ..errors import TerrainError
from .card import SceneCard
from .model import StageModel, StageSettings
from .training import CHECKPOINT

HALF = torch.float16
"""Number format of shipped weights."""


def fitted(card: SceneCard, stage: str, compute: Compute) -> StageModel:
    """The networks of a stage with their weights, ready on a device."""
    path = card.weights_path(stage)
    try:
        model = StageModel(settings_of(card.stages[stage]["network"]))
        model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise TerrainError(
            f"The weights {path} do not fit the scene model's card; install the plugin again."
        ) from error
    return ready(model, compute)


def ready(model: StageModel, compute: Compute) -> StageModel:
    """Networks on a device, to be asked and not to be taught; channels lie last, as fast kernels want them.

    The small adapters stay on the CPU: a GPU adds up what meets in a junction in any order, so bits would differ.
    """
    adapters = model.adapter, model.prior_adapter
    model.adapter = model.prior_adapter = None
    model.to(compute.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.adapter, model.prior_adapter = adapters
    return model.eval().requires_grad_(requires_grad=False)


def settings_of(network: dict) -> StageSettings:
    """Settings from the JSON of :meth:`.model.StageModel.describe`."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in network.items()}
    return StageSettings(**values)


def export(stage: str, training: Path, network: StageSettings, path: Path) -> dict:
    """Write a training's averaged weights in half precision; what the card of the stage's file says of it.

    Raises
    ------
    TerrainError
        The folder holds no training of this stage and of these sizes.

    """
    try:
        state = torch.load(training / CHECKPOINT, weights_only=True)
        model = StageModel(network)
        model.load_state_dict(state["average"])
    except (OSError, RuntimeError, KeyError) as error:
        raise TerrainError(f"The folder {training} holds no training of stage {stage} by this recipe.") from error
    save_file({name: value.to(HALF).contiguous() for name, value in model.state_dict().items()}, path)
    path.chmod(0o644)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    grouped = " ".join(digits[k : k + 8] for k in range(0, len(digits), 8))
    weights = {"file": f"{stage}.safetensors", "bytes": path.stat().st_size, "sha256": grouped}
    trained = {"phase": state["phase"], "steps": int(state["step"]), "cpu_hours": round(state["seconds"] / 3600, 2)}
    return {"network": json.loads(json.dumps(model.describe())), "weights": weights, "trained": trained}
