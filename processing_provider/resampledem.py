"""*Warp to any grid*: "my elevation model must lie on other cells, in another CRS, and lose nothing on the way"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import resampledem as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class ResampleDem(TerrainAlgorithm):
    """A DEM in, the same ground on the cells of any grid out, asked from the continuous surface in one step."""

    NAME = "resampledem"
    LABEL = "Warp to any grid"
    GROUP = "Elevation"
    SUMMARY = "Takes a digital elevation model to any CRS, cell size and extent in one step."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "warp", "reproject", "resample", "align", "snap", "grid",
            "projection", "crs", "resolution", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.band(),
        parameters.target_crs(),
        parameters.cell_size(
            "Width and height of the new cells in units of the target CRS (degrees where it is geographic). Empty: "
            "about those of the DEM; the log says which."
        ),
        parameters.grid(
            "Raster whose CRS, edges and cell size the result takes. It cannot be combined with a target CRS or a cell "
            "size."
        ),
        parameters.extent(),
        parameters.model(),
        parameters.sampling(),
        parameters.z_unit(),
        parameters.nodata(),
        parameters.compression(),
        parameters.device(advanced=True),
        parameters.raster_output(
            "OUTPUT", "Warped DEM", "GeoTIFF of the heights on the new cells, in the unit of the input.", "relief"
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("CELL_WIDTH", "Width of a cell", "cell_width"),
        Output("CELL_HEIGHT", "Height of a cell", "cell_height"),
        Output("TILES", "Tiles", "tiles"),
        Output("VALID_SHARE", "Share of cells with a height", "valid_share"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        return f"{Path(values['input'].rsplit(':', 1)[-1]).stem or 'DEM'} warped"
