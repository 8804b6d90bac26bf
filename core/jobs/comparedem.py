"""Job *Compare DEMs*: any DEM against a reference, with figures, maps and a report."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .settings import (
    RASTERS,
    require_band,
    require_choice,
    require_intervals,
    require_outputs,
    require_scheduler,
    require_text,
)
from .superresolve import Z_UNITS

Intervals = tuple

REPORTS = (".html", ".htm")
TABLES = (".json", ".csv")


@dataclass(frozen=True)
class Settings:
    """What *Compare DEMs* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    input, band, crs, no_data, z_unit
        The DEM to judge: raster, band from 1, CRS and no-data intervals of the layer where they override the file's,
        and the unit of its heights, one of :data:`.superresolve.Z_UNITS`.
    reference, reference_band, reference_crs, reference_no_data
        The same of the DEM that it is compared with.
    coarse
        DEM that the input was made from, or empty.
    uncertainty
        Raster of the half width of the input's 90 % band, or empty.
    output, difference, slope_difference, table
        HTML report, GeoTIFFs of input minus reference (metres; degrees), JSON or CSV of all figures; each may be empty.
    scheduler
        Address of a dask scheduler, ``scheme://host:port``, or its file; empty: this computer.

    """

    input: str
    reference: str
    band: int = 1
    crs: str = ""
    no_data: Intervals = ()
    z_unit: str = "auto"
    reference_band: int = 1
    reference_crs: str = ""
    reference_no_data: Intervals = ()
    coarse: str = ""
    uncertainty: str = ""
    output: str = ""
    difference: str = ""
    slope_difference: str = ""
    table: str = ""
    scheduler: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in (
            "input",
            "reference",
            "crs",
            "reference_crs",
            "coarse",
            "uncertainty",
            "scheduler",
            *self.written(),
        ):
            require_text(_label(name), getattr(self, name))
        if not self.input or not self.reference:
            missing = "input DEM" if not self.input else "reference DEM"
            raise TerrainError(f"No {missing} was given; choose a raster layer or file.")
        for name in ("band", "reference_band"):
            require_band(_label(name), getattr(self, name))
        for intervals in (self.no_data, self.reference_no_data):
            require_intervals(intervals)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_scheduler(self.scheduler, "cpu")
        inputs = (self.input, self.reference, self.coarse, self.uncertainty)
        require_outputs(self.outputs(), self.written(), inputs)

    @staticmethod
    def written() -> dict:
        """The settings that name files to write, and how those names may end."""
        return {"output": REPORTS, "difference": RASTERS, "slope_difference": RASTERS, "table": TABLES}

    def outputs(self) -> dict:
        """Files to write by the name of the setting, those that are wanted."""
        return {name: getattr(self, name) for name in self.written() if getattr(self, name)}


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def run(settings: Settings, progress: Progress) -> dict:
    """Compare and write what was asked for; the result holds the main figures, counts and warnings."""
    from ..comparison import compare

    return compare(settings, progress)
