"""*Super-resolve DEM*: "my elevation model is too coarse for what I want to see or compute"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import superresolve as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter

LAYER_NAMES = {
    "OUTPUT": "super-resolved",
    "DIFFERENCE": "added detail",
    "UNCERTAINTY": "uncertainty (90 %)",
    "PROVENANCE": "provenance",
}


class SuperResolve(TerrainAlgorithm):
    """A coarse DEM in, a finer one in the same place and unit out."""

    NAME = "superresolve"
    LABEL = "Super-resolve DEM"
    GROUP = "Elevation"
    SUMMARY = "Makes a digital elevation model finer with a trained continuous elevation model."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "super-resolution", "downscale", "upsample", "resample",
            "resolution", "refine", "neural network", "deep learning", "relief", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source(),
        parameters.band(),
        parameters.scale(),
        parameters.cell_size(),
        parameters.grid(),
        parameters.extent(),
        parameters.model(),
        parameters.voids(),
        parameters.honour_input(),
        parameters.sampling(),
        parameters.z_unit(),
        parameters.device(),
        parameters.precision(),
        parameters.memory(),
        parameters.scheduler(),
        parameters.resume(),
        parameters.layout(),
        parameters.compression(),
        parameters.options(),
        parameters.nodata(),
        parameters.raster_output(
            "OUTPUT", "Super-resolved DEM", "GeoTIFF of the finer heights, in the unit of the input.", "relief"
        ),
        parameters.raster_output(
            "DIFFERENCE",
            "Difference from cubic interpolation",
            "GeoTIFF of the result minus plain cubic interpolation: what the model has added.",
            "difference",
            optional=True,
        ),
        parameters.raster_output(
            "UNCERTAINTY",
            "Uncertainty (90 % error)",
            "GeoTIFF of the half width of the band that holds the true height nine times in ten, in the unit of the "
            "input; for models that know their error. It takes the coarse DEM for perfect: add its own error in "
            "quadrature.",
            "uncertainty",
            optional=True,
        ),
        parameters.raster_output(
            "PROVENANCE",
            "Provenance",
            "GeoTIFF that says what each cell is: 0 measured, 1 filled, 2 no-data.",
            "provenance",
            optional=True,
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("TILES", "Tiles", "tiles"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("VALID_SHARE", "Share of cells with a height", "valid_share"),
        Output("FILLED_SHARE", "Share of cells that were filled", "filled_share"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        stem = Path(values["input"].rsplit(":", 1)[-1]).stem or "DEM"
        return f"{stem} {LAYER_NAMES[parameter.name]}"
