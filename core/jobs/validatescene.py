"""Job *Validate scene*: proofs on layers of any origin, and every place where a rule is broken."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import PAGES, VECTORS, FeatureSettings, GroundSettings, require_files, require_layers

JUDGED = ("roads", "buildings", "blocks")
BESIDE = ("area", "water", "existing_roads", "existing_buildings")


@dataclass(frozen=True)
class Settings(GroundSettings, FeatureSettings):
    """What *Validate scene* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    roads, roads_layer, buildings, buildings_layer, blocks, blocks_layer
        Layers to judge, files in any CRS, and the layers in them (empty: the only or first one). One is needed.
    area, area_layer
        Polygons that the layers fill: blocks may end at their edge, and streets on two of them may be apart; may be
        empty.
    water, water_layer
        Polygons that no building may stand in; may be empty.
    existing_roads, existing_roads_layer, existing_buildings, existing_buildings_layer
        Features from before, which must be among those judged unchanged; each may be empty.
    output
        Vector file of the places where rules are broken, or empty.
    report
        HTML page, its figures as JSON beside it, or empty.

    """

    blocks: str = ""
    blocks_layer: str = ""
    area: str = ""
    area_layer: str = ""
    water: str = ""
    water_layer: str = ""
    existing_roads: str = ""
    existing_roads_layer: str = ""
    existing_buildings: str = ""
    existing_buildings_layer: str = ""
    output: str = ""
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        inputs = require_layers(self, (*JUDGED, *BESIDE))
        if not (self.roads or self.buildings or self.blocks):
            raise TerrainError("No layer was given; choose roads, buildings or blocks to judge.")
        self.check_ground()
        self._check_before()
        require_files(self, {"output": VECTORS, "report": PAGES}, [*inputs, self.dem])

    def _check_before(self) -> None:
        for name in ("roads", "buildings"):
            if getattr(self, f"existing_{name}") and not getattr(self, name):
                raise TerrainError(
                    f"Existing {name} were given without {name} to find them in; choose the layer of {name} as well."
                )


def run(settings: Settings, progress: Progress) -> dict:
    """Judge and write what was asked for; the result has the verdict, how often each rule is broken, and warnings."""
    from ..validation import validate

    return validate(settings, progress)
