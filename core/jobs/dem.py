"""What all tools that ask a DEM as a continuous surface are told about it. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from .settings import require_band, require_choice, require_device, require_intervals, require_text
from .superresolve import SAMPLING, Z_UNITS


@dataclass(frozen=True)
class DemSettings:
    """A DEM, and the model that makes it a continuous surface.

    Attributes
    ----------
    input, band, crs, no_data, z_unit
        Raster, band from 1, CRS and no-data intervals of the layer where they override the file's, and the unit of its
        heights, one of :data:`.superresolve.Z_UNITS`.
    model
        Name or folder of a model; empty: the default.
    sampling
        What a height is, one of :data:`.superresolve.SAMPLING`.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    """

    input: str
    band: int = 1
    crs: str = ""
    no_data: tuple = ()
    z_unit: str = "auto"
    model: str = ""
    sampling: str = "auto"
    device: str = "auto"

    def check_dem(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        for name in ("input", "crs", "model"):
            require_text(name.capitalize(), getattr(self, name))
        if not self.input:
            raise TerrainError("No DEM was given; choose a raster layer or file.")
        require_band("Band", self.band)
        require_intervals(self.no_data)
        require_choice("Vertical unit", self.z_unit, Z_UNITS)
        require_choice("Sampling", self.sampling, SAMPLING)
        require_device(self.device)
