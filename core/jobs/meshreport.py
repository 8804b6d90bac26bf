"""Job *Mesh report*: whether a mesh is a sound surface, and how far it is from a DEM."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import (
    RASTERS,
    require_band,
    require_choice,
    require_intervals,
    require_number,
    require_outputs,
    require_text,
)
from .superresolve import Z_UNITS

REPORTS = (".html", ".htm")
TABLES = (".json", ".csv")


@dataclass(frozen=True)
class Settings:
    """What *Mesh report* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, crs, assigned_crs
        The mesh file; the CRS that is set on its layer where it is not the file's; and one that goes before both.
    z_factor, mesh_unit
        Exaggeration of the mesh, or None, and unit of its heights, one of :data:`.superresolve.Z_UNITS`; None and
        ``auto``: as the file says.
    dem, band, dem_crs, dem_no_data, z_unit
        DEM that the mesh is compared with, or empty; band from 1, CRS and no-data intervals of the layer where they
        override the file's, and the unit of its heights, one of :data:`.superresolve.Z_UNITS`.
    output, table, error_raster
        HTML report, JSON or CSV of all figures, GeoTIFF of mesh minus DEM; each may be empty.

    """

    input: str
    crs: str = ""
    assigned_crs: str = ""
    dem: str = ""
    band: int = 1
    dem_crs: str = ""
    dem_no_data: tuple = ()
    z_unit: str = "auto"
    output: str = ""
    table: str = ""
    error_raster: str = ""
    z_factor: float | None = None
    mesh_unit: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in ("input", "crs", "assigned_crs", "dem", "dem_crs", *self.written()):
            require_text(_label(name), getattr(self, name))
        if not self.input:
            raise TerrainError("No mesh was given; choose a mesh layer or file.")
        require_band("Band", self.band)
        require_intervals(self.dem_no_data)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_choice("Unit of the mesh", self.mesh_unit, Z_UNITS)
        if self.z_factor is not None:
            require_number("Exaggeration of the mesh", self.z_factor, 1e-6, 1e6)
        if self.error_raster and not self.dem:
            raise TerrainError("An error raster needs a DEM to compare with; choose one, or leave the raster out.")
        require_outputs(self.outputs(), self.written(), (self.input, self.dem))

    @staticmethod
    def written() -> dict:
        """The settings that name files to write, and how those names may end."""
        return {"output": REPORTS, "table": TABLES, "error_raster": RASTERS}

    def outputs(self) -> dict:
        """Files to write by the name of the setting, those that are wanted."""
        return {name: getattr(self, name) for name in self.written() if getattr(self, name)}


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def run(settings: Settings, progress: Progress) -> dict:
    """Measure and write what was asked for; the result holds the verdict, the figures and warnings."""
    from ..remeasuring import report

    return report(settings, progress)
