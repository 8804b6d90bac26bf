"""The recipe of the scene model: places, sizes and steps of each stage, as data that a person can read and change."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import TerrainError
from .model import StageSettings
from .training import Recipe

SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "scene" / "recipe.json"
NETWORK = ("widths", "blocks", "prior_widths", "prior_blocks", "implicit", "use_prior", "follows")
"""Members of a stage that are settings of its networks."""


def places(path: Path = SHIPPED) -> dict[str, str]:
    """Names of the data to learn from, in the order of their numbers, and what the model calls each place."""
    return {str(data): str(place) for data, place in _read(path)["places"].items()}


def recipe(stage: str, path: Path = SHIPPED, **changes: object) -> Recipe:
    """How a stage is trained; ``changes`` take the place of the file's members.

    Raises
    ------
    TerrainError
        The file is no recipe, or has members that are not known.

    """
    values = _read(path)
    try:
        members = {**values["stages"][stage], **changes}
        network = {name: members.pop(name) for name in NETWORK if name in members}
        network = {name: tuple(v) if isinstance(v, list) else v for name, v in network.items()}
        settings = StageSettings(stage, len(values["places"]), **network)
        return Recipe(settings, seed=int(values["seed"]), **members)
    except (KeyError, TypeError, ValueError) as error:
        raise TerrainError(f"The recipe {path} does not describe stage {stage} ({error}); correct it.") from error


def _read(path: Path) -> dict:
    try:
        values: dict = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TerrainError(f"The recipe {path} cannot be read; give a JSON file like the one shipped.") from error
    return values
