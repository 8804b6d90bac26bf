"""Job *Prepare scene data*: roads, buildings and land cover cleaned, with a list of all that is dropped."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import PACKAGE, PAGES, FeatureSettings, require_files, require_layers
from .settings import require_number

LAYERS = ("roads", "buildings", "landcover")
DEFAULT_Z_LIMIT = 4.0
DEFAULT_MIN_BUILDING_M2 = 8.0


@dataclass(frozen=True)
class Settings(FeatureSettings):
    """What *Prepare scene data* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    roads, roads_layer, buildings, buildings_layer, landcover, landcover_layer
        Files in any CRS, and the layers in them (empty: the only or first one); each may be empty, but not all.
    z_limit
        Buildings whose size is farther from the median than so many robust standard deviations are dropped, and heights
        that are.
    min_building
        Footprints below this area in m2 are dropped.
    output
        GeoPackage to write: ``roads``, ``buildings``, ``landcover`` as far as they were given, and ``dropped``.
    report
        HTML page, its figures as JSON beside it, or empty.

    """

    landcover: str = ""
    landcover_layer: str = ""
    z_limit: float = DEFAULT_Z_LIMIT
    min_building: float = DEFAULT_MIN_BUILDING_M2
    output: str = ""
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        inputs = require_layers(self, LAYERS)
        if not inputs:
            raise TerrainError("No layer was given; choose roads, buildings or land cover.")
        require_number("Limit of anomalies", self.z_limit, 1.0, 1000.0)
        require_number("Smallest building", self.min_building, 0.0, 10_000.0, " m2")
        if not self.output:
            raise TerrainError("No output was given; name a .gpkg file for the prepared layers.")
        require_files(self, {"output": PACKAGE, "report": PAGES}, inputs)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the cleaned layers; the result has counts by layer, what was dropped and why, and warnings."""
    from ..cleaning import prepare

    return prepare(settings, progress)
