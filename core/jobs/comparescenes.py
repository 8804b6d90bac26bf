"""Job *Compare scenes*: how alike two areas are in their buildings and streets, real or made."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import PAGES, TABLES, require_files, require_layers
from .settings import require_number

DEFAULT_WINDOW_M = 500.0
LEAST_WINDOW_M, MOST_WINDOW_M = 100.0, 5000.0


@dataclass(frozen=True)
class Settings:
    """What *Compare scenes* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    roads_a, buildings_a, area_a, roads_b, buildings_b, area_b
        The two scenes, files in any CRS; each has roads, buildings or both, and both scenes the same. Without an area
        it is the box around the features.
    roads_a_layer, buildings_a_layer, area_a_layer, roads_b_layer, buildings_b_layer, area_b_layer
        The layers in those files (empty: the only or first one).
    window
        Side in metres of the squares that are compared.
    output
        CSV or JSON of all figures, or empty.
    report
        HTML page, its figures as JSON beside it, or empty.

    """

    roads_a: str = ""
    roads_a_layer: str = ""
    buildings_a: str = ""
    buildings_a_layer: str = ""
    area_a: str = ""
    area_a_layer: str = ""
    roads_b: str = ""
    roads_b_layer: str = ""
    buildings_b: str = ""
    buildings_b_layer: str = ""
    area_b: str = ""
    area_b_layer: str = ""
    window: float = DEFAULT_WINDOW_M
    output: str = ""
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        names = tuple(f"{what}_{scene}" for scene in "ab" for what in ("roads", "buildings", "area"))
        inputs = require_layers(self, names)
        for scene in "ab":
            if not (getattr(self, f"roads_{scene}") or getattr(self, f"buildings_{scene}")):
                raise TerrainError(f"Scene {scene.upper()} has no layer; choose its roads, its buildings, or both.")
        for what in ("roads", "buildings"):
            if bool(getattr(self, f"{what}_a")) != bool(getattr(self, f"{what}_b")):
                raise TerrainError(f"Only one of the scenes has {what}; give {what} of both, or of neither.")
        require_number("Window", self.window, LEAST_WINDOW_M, MOST_WINDOW_M, " m")
        require_files(self, {"output": TABLES, "report": PAGES}, inputs)


def run(settings: Settings, progress: Progress) -> dict:
    """Compare and write what was asked for; the result has the distances, features, windows, and warnings."""
    from ..likeness import compare

    return compare(settings, progress)
