"""Parameters of the tools of scenes: the area, what is there already, the style, how finely and how long.

Imports qgis and light parts of core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qgis.core import QgsProcessingOutputVectorLayer, QgsProcessingParameterEnum

from ...core.errors import TerrainError
from ...core.jobs import generatescene as generatescene_job
from ...core.jobs import scene as scene_job
from .choices import choice, given_word
from .features import SOURCE_TYPES, features
from .numbers import number, whole
from .parameter import Call, Output, Parameter, helped
from .texts import device


@dataclass(frozen=True)
class MadeLayer(Output):
    """A layer of an output file, for the next step of a model; ``kind`` is ``point``, ``line`` or ``polygon``."""

    kind: str = "polygon"

    def build(self) -> Any:
        """Make the QGIS definition."""
        return QgsProcessingOutputVectorLayer(self.name, self.label, SOURCE_TYPES[self.kind])


def area(text: str, optional: bool = False) -> Parameter:
    """Polygons to fill."""
    return features("AREA", "Area", text, "polygon", optional)


def roads(text: str, name: str = "ROADS", label: str = "Existing roads") -> Parameter:
    """Centrelines with their attributes."""
    return features(name, label, text, "line", attributes=True)


def polygons(name: str, label: str, text: str) -> Parameter:
    """Buildings, blocks or land cover with their attributes."""
    return features(name, label, text, "polygon", attributes=True)


def water(text: str) -> Parameter:
    """Where nothing may stand; attributes tell water from the rest of a land cover."""
    return polygons("WATER", "Water", f"{text} Of a land cover only its water counts.")


def style() -> Parameter:
    """Which place the scene is to resemble."""
    return choice(
        "STYLE",
        "Style",
        scene_job.styles(),
        "Place whose streets and buildings the scene resembles. mixed: no place in particular, a mean of all that the "
        "model has learned from.",
    )


def wishes() -> tuple[Parameter, ...]:
    """What the buildings are to come to."""
    return (
        number(
            "COVERAGE",
            "Coverage (%)",
            "Share of the land that buildings cover in the end, existing ones included, in per cent. Empty: free.",
            low=0.0,
        ),
        number(
            "FAR",
            "Floor-area ratio",
            "Area of all floors, those of existing buildings included, over area of the land. Empty: free.",
            low=0.0,
        ),
        number(
            "MEAN_HEIGHT",
            "Mean height (m)",
            "Mean height of the new buildings in metres, weighted by their footprints. Empty: free.",
            low=0.0,
        ),
    )


def model_run(*between: Parameter) -> tuple[Parameter, ...]:
    """How long the model works, what its draws begin with and where it runs; others may stand ``between``."""
    return steps(), *between, scene_seed(), device(advanced=True)


RUN_OUTPUTS = (
    Output("SECONDS", "Seconds", "seconds"),
    Output("MODEL_USED", "Model", "model", is_number=False),
    Output("DEVICE_USED", "Device used", "device", is_number=False),
)
"""What a run of the model says about itself."""


def steps() -> Parameter:
    """How long the model works."""
    return choice(
        "STEPS",
        "Steps",
        scene_job.STEPS,
        "How long the model works on each window. fast: for a first look. balanced: as good as many more, as far as "
        "was measured. paper: as many as the method's authors take, some ten times as long as fast.",
        default=scene_job.DEFAULT_STEPS,
    )


def scene_seed() -> Parameter:
    """Seed of a scene."""
    return whole(
        "SEED",
        "Seed",
        "Number that random draws begin with: another one gives another scene, the same one the same scene again.",
        low=0,
        default=1,
    )


def max_grade() -> Parameter:
    """How steep streets may be."""
    return number(
        "MAX_GRADE",
        "Steepest grade (%)",
        "Steepest grade of a generated street, in per cent, on the DEM. Without a DEM the ground is level.",
        default=scene_job.DEFAULT_MAX_GRADE,
        low=scene_job.LEAST_GRADE,
    )


def finest() -> Parameter:
    """Side of the finest cells; the number of metres goes before the place in the list."""
    words = [str(size_m) for size_m in generatescene_job.FINEST_M]
    usual = str(generatescene_job.DEFAULT_FINEST_M)
    text = (
        "Cells at which the work ends, in metres. 100 and 50: land use and density only. 10: streets and blocks as "
        "well. 2: buildings too. 1: also trees and lamps, and heights in cells of 1 m."
    )
    return Parameter(
        "FINEST",
        lambda: helped(
            QgsProcessingParameterEnum("FINEST", "Finest scale (m)", words, False, usual, False, True), text
        ),
        lambda call: {"finest": _metres(call, words, usual)},
    )


def _metres(call: Call, words: list[str], usual: str) -> int:
    word = given_word(call, "FINEST", words, usual)
    if not word.isdigit():
        raise TerrainError(f"Finest scale is {word!r}; it can be {', '.join(words)}, cells of so many metres.")
    return int(word)
