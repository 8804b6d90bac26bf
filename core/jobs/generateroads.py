"""Job *Generate roads*: one connected street network for an area, on its ground and joined to its roads."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import VECTORS, GroundSettings, ModelSettings, require_files, require_layers
from .settings import require_number

MOST_DENSITY = 60.0
"""Streets in km per km2; the densest old towns have about 40."""


@dataclass(frozen=True)
class Settings(ModelSettings, GroundSettings):
    """What *Generate roads* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    area, area_layer
        File of polygons to fill, in any CRS, and the layer in it (empty: the only or first one). Results have its CRS.
    roads, roads_layer, water, water_layer
        Roads that are kept and joined to, and water that is not built on; each may be empty.
    street_density
        Length of all streets over area of the land, in km per km2; None leaves it to the model.
    output, junctions
        Vector files to write; the latter may be empty.

    """

    area: str = ""
    area_layer: str = ""
    roads: str = ""
    roads_layer: str = ""
    water: str = ""
    water_layer: str = ""
    street_density: float | None = None
    output: str = ""
    junctions: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        inputs = require_layers(self, ("area", "roads", "water"))
        if not self.area:
            raise TerrainError("No area was given; choose a polygon layer or a file of polygons.")
        self.check_model()
        self.check_ground()
        if self.street_density is not None:
            require_number("Street density", self.street_density, 0.5, MOST_DENSITY, " km/km2")
        if not self.output:
            raise TerrainError("No output was given; name a .gpkg file for the roads.")
        require_files(self, {"output": VECTORS, "junctions": VECTORS}, [*inputs, self.dem])


def run(settings: Settings, progress: Progress) -> dict:
    """Write the roads; the result has counts, lengths, components before and after joining, and warnings."""
    from ..generation import lay_roads

    return lay_roads(settings, progress)
