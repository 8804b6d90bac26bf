"""Job *Fill buildings*: buildings for given roads or blocks, around those that stand already."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import VECTORS, FeatureSettings, ModelSettings, WishSettings, require_files, require_layers


@dataclass(frozen=True)
class Settings(ModelSettings, WishSettings, FeatureSettings):
    """What *Fill buildings* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    area, area_layer
        File of polygons to fill, in any CRS, and the layer in it (empty: the only or first one). No file: the blocks,
        or the hull of the roads. Results are in the CRS of the area, else of the roads, else of the blocks.
    roads, roads_layer, blocks, blocks_layer
        Roads, blocks or both; buildings keep clear of the former and within the latter.
    buildings, buildings_layer, water, water_layer
        Buildings and water that are built around; each may be empty.
    output
        Vector file to write.

    """

    area: str = ""
    area_layer: str = ""
    blocks: str = ""
    blocks_layer: str = ""
    water: str = ""
    water_layer: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        inputs = require_layers(self, ("area", "roads", "blocks", "buildings", "water"))
        if not (self.roads or self.blocks):
            raise TerrainError("Neither roads nor blocks were given; choose a layer of roads, of blocks, or both.")
        self.check_model()
        self.check_wishes()
        if not self.output:
            raise TerrainError("No output was given; name a .gpkg file for the buildings.")
        require_files(self, {"output": VECTORS}, inputs)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the buildings; the result has counts, coverage, floor-area ratio, mean height, and warnings."""
    from ..generation import fill

    return fill(settings, progress)
