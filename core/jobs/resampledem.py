"""Job *Warp to any grid*: a DEM on other cells, in any CRS, in one step through its continuous surface."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TerrainError
from ..progress import Progress
from .dem import DemSettings
from .settings import (
    RASTERS,
    require_choice,
    require_extent,
    require_nodata,
    require_number,
    require_outputs,
    require_text,
)  # fmt: skip
from .superresolve import COMPRESSIONS


@dataclass(frozen=True)
class Settings(DemSettings):
    """What *Warp to any grid* was asked to do; building it checks everything that needs no file.

    Attributes
    ----------
    target_crs
        WKT or ``EPSG:n`` of the result; empty: that of the DEM.
    cell_size
        Side of the cells in units of the target CRS; None: about that of the DEM.
    grid
        Raster whose CRS and cells the result takes, instead of both.
    extent, extent_crs
        West, south, east, north in ``extent_crs`` (empty: the CRS of the result), or None for all of the DEM.
    nodata
        No-data value of the result, or None for the DEM's.
    compression
        One of :data:`.superresolve.COMPRESSIONS`.
    output
        GeoTIFF to write.

    """

    target_crs: str = ""
    cell_size: float | None = None
    grid: str = ""
    extent: tuple | None = None
    extent_crs: str = ""
    nodata: float | None = None
    compression: str = "ZSTD"
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before any file is opened."""
        self.check_dem()
        for name in ("target_crs", "grid", "extent_crs", "output"):
            require_text(name.replace("_", " ").capitalize(), getattr(self, name))
        self._check_cells()
        require_choice("Compression", self.compression, COMPRESSIONS)
        require_nodata(self.nodata)
        self._check_output()

    def _check_cells(self) -> None:
        if self.grid and (self.cell_size is not None or self.target_crs):
            other = "a cell size" if self.cell_size is not None else "a target CRS"
            raise TerrainError(f"Both a target grid and {other} were given; give only one of them.")
        if self.cell_size is not None:
            require_number("Cell size", self.cell_size, 1e-12, 1e9)
        require_extent(self.extent)

    def _check_output(self) -> None:
        if not self.output:
            raise TerrainError("No output was given; name a .tif file for the warped DEM.")
        require_outputs({"output": self.output}, {"output": RASTERS}, (self.input, self.grid))


def run(settings: Settings, progress: Progress) -> dict:
    """Write the warped DEM; the result has rows, columns, size of the cells, tiles, valid share and seconds."""
    from ..warping import warp

    return warp(settings, progress)
