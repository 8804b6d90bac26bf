"""What the tools of scenes are told alike: the model, the ground, layers to read, files to write, and their checks.

Imports the standard library only; runs on Python 3.9 inside QGIS.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TerrainError
from .settings import (
    require_band,
    require_choice,
    require_device,
    require_intervals,
    require_number,
    require_outputs,
    require_text,
)

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
CARD = RESOURCES / "scene" / "card.json"
"""Card of the scene model; ``styles`` are the names of the places that can be asked for."""

MIXED = "mixed"
"""The style of no place in particular."""

STEPS = ("fast", "balanced", "paper")
DEFAULT_STEPS = "balanced"
DEFAULT_MAX_GRADE = 12.0
LEAST_GRADE, MOST_GRADE = 0.5, 100.0
MOST_COVERAGE = 90.0
MOST_FAR = 20.0
LEAST_HEIGHT_M, MOST_HEIGHT_M = 2.5, 300.0
MOST_SEED = 2**31 - 1

PACKAGE = (".gpkg",)
PAGES = (".html", ".htm")
TABLES = (".csv", ".json")
VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb")
"""How names of a file of several layers, of pages, of tables and of one layer may end."""


def styles() -> tuple[str, ...]:
    """Names of the styles that the installed model knows, :data:`MIXED` first; without a card only that."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        places = json.loads(CARD.read_text(encoding="utf-8"))["styles"]
        return (MIXED, *(str(place) for place in places if place != MIXED))
    return (MIXED,)


@dataclass(frozen=True)
class ModelSettings:
    """The scene model and how it is run.

    Attributes
    ----------
    style
        One of :func:`styles`.
    steps
        One of :data:`STEPS`: how long the model works on each window.
    seed
        Number that random draws begin with.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    """

    style: str = MIXED
    steps: str = DEFAULT_STEPS
    seed: int = 1
    device: str = "auto"

    def check_model(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        require_text("Style", self.style)
        require_choice("Style", self.style, styles())
        require_choice("Steps", self.steps, STEPS)
        require_whole("Seed", self.seed, 0, MOST_SEED)
        require_device(self.device)


@dataclass(frozen=True)
class GroundSettings:
    """Heights of the ground, and how steep a street may be on it.

    Attributes
    ----------
    dem, band, dem_crs, dem_no_data
        DEM or empty, band from 1, and CRS and no-data intervals of the layer where they override the file's.
    max_grade
        Steepest grade of a street, in per cent.

    """

    dem: str = ""
    band: int = 1
    dem_crs: str = ""
    dem_no_data: tuple = ()
    max_grade: float = DEFAULT_MAX_GRADE

    def check_ground(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in ("dem", "dem_crs"):
            require_text(label_of(name), getattr(self, name))
        require_band("Band", self.band)
        require_intervals(self.dem_no_data)
        require_number("Steepest grade", self.max_grade, LEAST_GRADE, MOST_GRADE, " %")

    @property
    def grade_limit(self) -> float:
        """Steepest grade as rise over run."""
        return self.max_grade / 100.0


@dataclass(frozen=True)
class WishSettings:
    """What the buildings of a scene are asked to come to; None leaves it to the model.

    Attributes
    ----------
    coverage
        Share of the land that buildings cover, in per cent.
    far
        Floor-area ratio: area of all floors over area of the land.
    mean_height
        Mean height of buildings in metres, weighted by footprint.

    """

    coverage: float | None = None
    far: float | None = None
    mean_height: float | None = None

    def check_wishes(self) -> None:
        """Refuse what no town can be, alone or together."""
        if self.coverage is not None:
            require_number("Coverage", self.coverage, 0.0, MOST_COVERAGE, " %")
        if self.far is not None:
            require_number("Floor-area ratio", self.far, 0.0, MOST_FAR)
        if self.mean_height is not None:
            require_number("Mean height", self.mean_height, LEAST_HEIGHT_M, MOST_HEIGHT_M, " m")
        if self.coverage == 0.0 and self.far:
            raise TerrainError(
                f"A floor-area ratio of {self.far:g} was asked for with a coverage of 0 %; leave one of them empty."
            )

    @property
    def coverage_share(self) -> float | None:
        """Coverage from 0 to 1."""
        return None if self.coverage is None else self.coverage / 100.0


@dataclass(frozen=True)
class FeatureSettings:
    """Roads and buildings, files in any CRS and the layers in them (empty: the only or first one); each may be empty.

    What becomes of them each tool says.
    """

    roads: str = ""
    roads_layer: str = ""
    buildings: str = ""
    buildings_layer: str = ""


def label_of(name: str) -> str:
    """The name of a setting as it stands in a sentence."""
    return "DEM" if name == "dem" else name.replace("_", " ").capitalize()


def require_whole(label: str, value: Any, low: int, high: int) -> None:
    """Refuse what is not a whole number from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise TerrainError(f"{label} is {value!r}; it must be a whole number from {low} to {high}.")


def require_layers(settings: Any, names: Sequence[str]) -> list[str]:
    """Refuse layers that are no text, each a file ``name`` and ``name_layer`` in it; gives the files named."""
    for name in names:
        for part in (name, f"{name}_layer"):
            require_text(label_of(part), getattr(settings, part))
    return [getattr(settings, name) for name in names if getattr(settings, name)]


def require_files(settings: Any, endings: dict, inputs: Sequence[str]) -> None:
    """Refuse files to write, ``endings`` by the name of the setting, and the JSON beside a report, by their names."""
    for name in endings:
        require_text(label_of(name), getattr(settings, name))
    outputs = {name: getattr(settings, name) for name in endings if getattr(settings, name)}
    allowed = dict(endings)
    if "report" in outputs:
        outputs["report's_JSON_file"] = report_json(outputs["report"])
        allowed["report's_JSON_file"] = (".json",)
        require_outputs({"report": outputs["report"]}, allowed, inputs)
    require_outputs(outputs, allowed, inputs)


def report_json(report: str) -> str:
    """Where the figures of a report lie: a JSON file beside the page, of the same name."""
    return os.path.splitext(report)[0] + ".json"
