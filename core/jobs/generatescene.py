"""Job *Generate scene*: a plausible town on real ground, as GIS layers, for an area and a style."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .scene import (
    PACKAGE,
    PAGES,
    FeatureSettings,
    GroundSettings,
    ModelSettings,
    WishSettings,
    require_files,
    require_layers,
)
from .settings import require_choice, require_number, require_text, same_file

EXISTING = ("keep", "roads", "style")
FINEST_M = (100, 50, 10, 2, 1)
"""Sides of the finest cells."""
DEFAULT_FINEST_M = 2
LAYERS = ("roads", "buildings", "landcover")
SCENE_LAYERS = ("landuse", "blocks", "roads", "buildings", "objects", "junctions")
"""Layers of a scene from the lowest to the uppermost; coarse scenes have the first ones only, objects come at 1 m."""
LAND_CLASSES = (
    ("none", (255, 255, 255)), ("street", (200, 196, 190)), ("water", (150, 190, 214)), ("green", (176, 205, 150)),
    ("housing", (236, 206, 170)), ("mixed", (224, 170, 130)), ("centre", (200, 110, 90)), ("industry", (190, 170, 200)),
)  # fmt: skip
"""Classes of land use in the order of the raster's numbers from 0, with colours."""


@dataclass(frozen=True)
class Settings(ModelSettings, GroundSettings, WishSettings, FeatureSettings):
    """What *Generate scene* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    area, area_layer
        File of polygons to fill, in any CRS, and the layer in it (empty: the only or first one). Results have its CRS.
    roads, roads_layer, buildings, buildings_layer, landcover, landcover_layer
        What is there already, in any CRS; each may be empty.
    existing
        One of :data:`EXISTING`: keep all features, keep the roads only, or take both as an example of style only.
    green
        Share of the blocks' area that becomes green, in per cent; None leaves it to the rules.
    finest
        One of :data:`FINEST_M`: 100 and 50 give rasters and coarse land use, 10 also roads, 2 and 1 everything.
    output
        GeoPackage to write, with the layers :data:`SCENE_LAYERS`.
    rasters
        Folder for GeoTIFFs, or empty.
    report
        HTML page, its figures as JSON beside it, or empty.

    """

    area: str = ""
    area_layer: str = ""
    landcover: str = ""
    landcover_layer: str = ""
    existing: str = "keep"
    green: float | None = None
    finest: int = DEFAULT_FINEST_M
    output: str = ""
    rasters: str = ""
    report: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        inputs = require_layers(self, ("area", *LAYERS))
        require_text("Rasters", self.rasters)
        if not self.area:
            raise TerrainError("No area was given; choose a polygon layer or a file of polygons.")
        self.check_model()
        self.check_ground()
        self.check_wishes()
        require_choice("Existing features", self.existing, EXISTING)
        if self.finest not in FINEST_M or isinstance(self.finest, bool):
            raise TerrainError(
                f"Finest scale is {self.finest!r}; it can be {', '.join(map(str, FINEST_M))}, cells of so many metres."
            )
        if self.green is not None:
            require_number("Green share", self.green, 0.0, 100.0, " %")
        if self.existing == "style" and not (self.roads or self.buildings):
            raise TerrainError(
                "Existing features are to show the style, but none were given; choose roads or buildings."
            )
        if not self.output:
            raise TerrainError("No output was given; name a .gpkg file for the scene.")
        require_files(self, {"output": PACKAGE, "report": PAGES}, [*inputs, self.dem])
        if self.rasters and same_file(self.rasters, self.output):
            raise TerrainError(f"The folder of rasters {self.rasters} is also the output; choose another name for it.")

    @property
    def green_share(self) -> float | None:
        """Green share from 0 to 1."""
        return None if self.green is None else self.green / 100.0


def run(settings: Settings, progress: Progress) -> dict:
    """Write the scene; the result has its layers, rasters, counts, what was delivered, and warnings."""
    from ..generation import generate

    return generate(settings, progress)
