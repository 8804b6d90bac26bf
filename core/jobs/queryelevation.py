"""Job *Sample continuous elevation*: height, slope, aspect and curvature at the exact positions of points."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .dem import DemSettings
from .settings import require_outputs, require_text

VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb")
"""How names of vector files may end."""


@dataclass(frozen=True)
class Settings(DemSettings):
    """What *Sample continuous elevation* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    points, points_layer
        Vector file of points in any CRS, and the name of its layer; empty: the first.
    output
        Vector file to write: the same features with z and further attributes.

    """

    points: str = ""
    points_layer: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self.check_dem()
        for name in ("points", "points_layer", "output"):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        if not self.points:
            raise TerrainError("No points were given; choose a point layer or a vector file.")
        check_vector_output(self.output, "points", self.input, self.points)


def check_vector_output(path: str, what: str, *inputs: str) -> None:
    """Refuse a vector file to write that is none, that has no name, or that is read."""
    if not path:
        raise TerrainError(f"No output was given; name a .gpkg file for the {what}.")
    require_outputs({"output": path}, {"output": VECTORS}, inputs)


def run(settings: Settings, progress: Progress) -> dict:
    """Write the points; the result has how many there are, how many are known, tiles and seconds."""
    from ..querying import query

    return query(settings, progress)
