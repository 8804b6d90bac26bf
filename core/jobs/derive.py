"""Job *Terrain derivatives*: slope, aspect, hillshade and curvatures of the continuous surface, at any cell size."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .dem import DemSettings
from .settings import RASTERS, require_choice, require_number, require_outputs, require_text
from .superresolve import COMPRESSIONS, check_target

OUTPUTS = ("slope", "aspect", "hillshade", "profile_curvature", "plan_curvature", "total_curvature")
NEITHER = "No output was given; name a .tif file for at least one of slope, aspect, hillshade and the curvatures."


@dataclass(frozen=True)
class Settings(DemSettings):
    """What *Terrain derivatives* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    scale, cell_size, grid, extent, extent_crs
        Cells of the results, as in :class:`.superresolve.Settings`; without any, those of the DEM.
    azimuth_deg, altitude_deg, z_factor
        Where the sun of the hillshade stands, clockwise from north and above the horizon, and how many times steeper
        the ground is shown.
    compression
        One of :data:`.superresolve.COMPRESSIONS`.
    slope, aspect, hillshade, profile_curvature, plan_curvature, total_curvature
        GeoTIFFs to write; each may be empty, but not all.

    """

    scale: float | None = None
    cell_size: float | None = None
    grid: str = ""
    extent: tuple | None = None
    extent_crs: str = ""
    azimuth_deg: float = 315.0
    altitude_deg: float = 45.0
    z_factor: float = 1.0
    compression: str = "ZSTD"
    slope: str = ""
    aspect: str = ""
    hillshade: str = ""
    profile_curvature: str = ""
    plan_curvature: str = ""
    total_curvature: str = ""

    @property
    def outputs(self) -> dict:
        """Files to write, by their name."""
        return {name: getattr(self, name) for name in OUTPUTS if getattr(self, name)}

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self.check_dem()
        for name in ("grid", "extent_crs", *OUTPUTS):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        check_target(self)
        require_number("Azimuth", self.azimuth_deg, -360, 360, " degrees")
        require_number("Altitude", self.altitude_deg, 0, 90, " degrees")
        require_number("Vertical exaggeration", self.z_factor, 1e-6, 1e6)
        require_choice("Compression", self.compression, COMPRESSIONS)
        self._check_outputs()

    def _check_outputs(self) -> None:
        if not self.outputs:
            raise TerrainError(NEITHER)
        require_outputs(self.outputs, dict.fromkeys(OUTPUTS, RASTERS), (self.input, self.grid))


def run(settings: Settings, progress: Progress) -> dict:
    """Write what is wanted; the result has rows, columns, tiles, valid share, largest slope and seconds."""
    from ..deriving import derive

    return derive(settings, progress)
