"""The card of the scene model: what it is, which places it has learned from, and where its weights lie.

The folder holds ``card.json``, the weights of the three stages and ``card.md`` for people. Imports the standard library
only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import TerrainError

SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "scene"
MIXED = "mixed"
"""The style of no place in particular."""


@dataclass(frozen=True)
class SceneCard:
    """The card of a scene model.

    Attributes
    ----------
    styles
        Names of the places that a user may choose.
    places
        Number of each place in the model; one more stands for none.
    stages
        By name of the stage: ``network``, settings of :class:`.model.StageSettings`, and ``weights``, with ``file``,
        ``bytes`` and ``sha256`` in groups of eight digits.
    touching
        Share of the buildings that touch another one by style, counted in the towns that were learned from.

    """

    name: str
    version: str
    attribution: str
    folder: Path
    styles: tuple[str, ...]
    places: dict[str, int]
    stages: dict[str, dict]
    touching: dict[str, float] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Eight digits that name the weights of all stages."""
        text = "".join(str(self.stages[name]["weights"]["sha256"]) for name in sorted(self.stages))
        return hashlib.sha256(text.replace(" ", "").encode()).hexdigest()[:8]

    def place(self, style: str) -> int:
        """Number of a style's place; :data:`MIXED` has the number after the last.

        Raises
        ------
        TerrainError
            The model knows no such style.

        """
        if style == MIXED:
            return len(self.places)
        if style not in self.styles:
            known = ", ".join((MIXED, *self.styles))
            raise TerrainError(f"The scene model knows no style {style}; choose one of {known}.")
        return self.places[style]

    def weights_path(self, stage: str) -> Path:
        """The weights of a stage, checked against the hash on the card."""
        weights = self.stages[stage]["weights"]
        path = self.folder / str(weights["file"])
        if not path.is_file():
            raise TerrainError(f"The scene model has no weights file {path}; install the plugin again.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != str(weights["sha256"]).replace(" ", ""):
            raise TerrainError(f"The weights file {path} is not the one on the card; install the plugin again.")
        return path


def read(folder: Path = SHIPPED) -> SceneCard:
    """The card of a folder; a TerrainError says what is wrong with it."""
    path = folder / "card.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return SceneCard(
            name=values["name"],
            version=values["version"],
            attribution=values["attribution"],
            folder=folder,
            styles=tuple(values["styles"]),
            places={str(name): int(number) for name, number in values["places"].items()},
            stages={name: dict(values["stages"][name]) for name in ("G", "R", "L")},
            touching={str(name): float(share) for name, share in values.get("touching", {}).items()},
        )
    except OSError as error:
        raise TerrainError(f"The scene model has no readable card {path}; install the plugin again.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerrainError(f"The card {path} is damaged ({error!r}); install the plugin again.") from error
