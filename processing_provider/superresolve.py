"""*Super-resolve DEM*: "my elevation model is too coarse for what I want to see or compute"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import superresolve as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


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
        parameters.sampling(),
        parameters.z_unit(),
        parameters.device(),
        parameters.memory(),
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
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("TILES", "Tiles", "tiles"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("VALID_SHARE", "Share of cells with a height", "valid_share"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        stem = Path(values["input"].rsplit(":", 1)[-1]).stem or "DEM"
        return f"{stem} super-resolved" if parameter.name == "OUTPUT" else f"{stem} added detail"
