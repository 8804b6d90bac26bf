"""Model cards: what a model is, what it was trained on, what it was measured at, and where its weights lie.

A model is a folder with ``card.json`` and, unless it needs none, ``weights.safetensors``. This module imports the
standard library only and runs on Python 3.9 inside QGIS, which lists the installed models with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import TerrainError

DEFAULT_MODEL = "field"
FOLDERS_VARIABLE = "NEURAL_TERRAIN_MODELS"
SHIPPED = Path(__file__).resolve().parents[2] / "resources" / "models"
FITTED = SHIPPED.parent / "fitted_surface"
"""Card of the surfaces that are in their own file; no model to choose."""


@dataclass(frozen=True)
class Card:
    """The card of one model.

    Attributes
    ----------
    family
        Which code runs it: ``baseline``, ``ebcf``, ``field`` or ``fitted``.
    network
        Settings of the network, by family.
    halo_px
        Coarse cells around a position that its height can depend on.
    cell_size_m, scale
        Ranges of coarse cell size in metres and of scale that it was trained for.
    weights
        ``{"file", "bytes", "sha256"}``; the hash in groups of eight digits, so that no scanner takes it for a key.
    calibration
        Factors of the estimated error, see :mod:`.calibration`; empty where the model estimates none.
    training, results, beware
        Data with licences, recipe and commit; rows of measured figures; one sentence per known bad input.

    """

    name: str
    title: str
    summary: str
    version: str
    family: str
    licence: str
    folder: Path
    halo_px: int
    network: dict = field(default_factory=dict)
    cell_size_m: tuple[float, float] = (0.0, float("inf"))
    scale: tuple[float, float] = (1.0, 16.0)
    weights: dict = field(default_factory=dict)
    calibration: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    results: tuple = ()
    beware: tuple = ()

    def weights_path(self) -> Path:
        """The weights file, checked against the size and hash on the card."""
        if not {"file", "sha256"} <= set(self.weights):
            raise TerrainError(f"The card of model {self.name} names no weights; install the model again.")
        path = self.folder / self.weights["file"]
        if not path.is_file():
            raise TerrainError(f"Model {self.name} has no weights file {path}; install the model again.")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.weights["sha256"].replace(" ", ""):
            raise TerrainError(f"The weights file {path} is not the one on the model card; install the model again.")
        return path

    def warnings_of(self, cell_m: float, scale: float) -> list[str]:
        """Sentences about coarse cells of ``cell_m`` metres and a scale that it was not trained for."""
        found, (low, high) = [], self.cell_size_m
        if not low <= cell_m <= high:
            found.append(
                f"Cells of about {cell_m:.3g} m are outside the range of model {self.name} ({low:g} to {high:g} m); "
                "compare the result with the model 'baseline'."
            )
        if scale > self.scale[1] + 1e-9:
            found.append(
                f"Scale {scale:.3g} is beyond what model {self.name} was trained for (up to {self.scale[1]:g}); the "
                "result is smoother than real ground."
            )
        return found

    @property
    def short_hash(self) -> str:
        """First eight digits of the hash of the weights, or ``none``."""
        return self.weights["sha256"].split(" ")[0] if self.weights else "none"

    @property
    def fingerprint(self) -> str:
        """Eight digits of a hash of the whole card, which names the weights: models that agree in it answer alike."""
        return hashlib.sha256((self.folder / "card.json").read_bytes()).hexdigest()[:8]


def read(folder: Path) -> Card:
    """The card of a model folder; a TerrainError says what is wrong with it."""
    path = folder / "card.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        inputs = values["input"]
        return Card(
            name=values["name"],
            title=values["title"],
            summary=values["summary"],
            version=values["version"],
            family=values["family"],
            licence=values["licence"],
            folder=folder,
            halo_px=int(values["halo_px"]),
            network=values.get("network", {}),
            cell_size_m=tuple(inputs["cell_size_m"]),
            scale=tuple(inputs["scale"]),
            weights=values.get("weights", {}),
            calibration=values.get("calibration", {}),
            training=values.get("training", {}),
            results=tuple(values.get("results", ())),
            beware=tuple(values.get("beware", ())),
        )
    except OSError as error:
        raise TerrainError(f"The model folder {folder} has no readable card.json; choose a folder with one.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TerrainError(f"The model card {path} is damaged ({error!r}); install the model again.") from error


def installed(extra: Sequence[Path] = ()) -> dict[str, Card]:
    """Cards by name: those shipped, then those in folders of ``extra`` and of NEURAL_TERRAIN_MODELS.

    A damaged card is left out, so that it cannot keep other models from being used; :func:`find` with its folder
    tells what is wrong with it.
    """
    variable = [Path(p) for p in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if p]
    cards: dict[str, Card] = {}
    for root in [SHIPPED, *extra, *variable]:
        for path in sorted(root.glob("*/card.json")):
            with contextlib.suppress(TerrainError):
                card = read(path.parent)
                cards.setdefault(card.name, card)
    return cards


def find(model: str) -> Card:
    """The card for a name or a folder; empty gives the default. An unknown one is refused with the list of names."""
    cards = installed()
    if not model:
        model = DEFAULT_MODEL
    if model in cards:
        return cards[model]
    if (Path(model) / "card.json").exists():
        return read(Path(model))
    raise TerrainError(
        f"There is no model {model!r}; installed are {', '.join(cards)}, or give a folder with a card.json."
    )


def for_input(model: str, fitted: bool) -> Card:
    """The card of what answers for an input: the model, or the input itself where it is a fitted surface."""
    return read(FITTED) if fitted else find(model)
