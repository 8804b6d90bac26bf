"""*Compare DEMs*: "how good is this elevation model, and where is it wrong?"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import comparedem as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class CompareDems(TerrainAlgorithm):
    """Any DEM against a reference: figures, maps, a report."""

    NAME = "comparedem"
    LABEL = "Compare DEMs"
    GROUP = "Elevation"
    SUMMARY = "Measures how far a digital elevation model is from a reference, and writes a report with maps and plots."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "accuracy", "error", "rmse", "le90", "quality", "validation",
            "assessment", "difference", "slope", "aspect", "curvature", "roughness", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster to judge"),
        parameters.band(),
        parameters.reference(),
        parameters.band("REFERENCE_BAND", "Reference band", "REFERENCE"),
        parameters.raster(
            "COARSE",
            "Coarse DEM",
            "DEM that the input was made from, if any: the report then tells how far averages of the input are from "
            "it, and the error by distance to its nearest cell.",
        ),
        parameters.raster(
            "UNCERTAINTY",
            "Uncertainty of the input",
            "Raster of the input's 90 % error (half the width of the band), if any: the report then tells how often "
            "the band holds the reference.",
        ),
        parameters.z_unit("the input's heights; the reference's is that of its band or vertical CRS"),
        parameters.scheduler(),
        parameters.html_output("OUTPUT", "Report", "HTML page with figures, maps and plots, complete in one file."),
        parameters.raster_output(
            "DIFFERENCE",
            "Difference",
            "GeoTIFF of input minus reference in metres, on the cells of the reference.",
            "difference",
            optional=True,
            made=True,
        ),
        parameters.raster_output(
            "SLOPE_DIFFERENCE",
            "Slope difference",
            "GeoTIFF of the slope of the input minus that of the reference in degrees.",
            "difference",
            optional=True,
        ),
        parameters.table_output("TABLE", "Table of figures", "All figures of the report as a JSON or CSV file."),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("CELLS", "Cells compared", "cells"),
        Output("RMSE", "Elevation RMSE (m)", "rmse_m"),
        Output("MAE", "Elevation MAE (m)", "mae_m"),
        Output("BIAS", "Bias, input minus reference (m)", "bias_m"),
        Output("LE90", "LE90 (m)", "le90_m"),
        Output("SLOPE_RMSE", "Slope RMSE (degrees)", "slope_rmse_deg"),
        Output("NORMAL_ANGLE", "Mean angle between normals (degrees)", "normal_angle_deg"),
        Output("ASPECT_RMSE", "Aspect RMSE where steeper than 2 degrees (degrees)", "aspect_rmse_deg"),
        Output("ASPECT_MAE", "Aspect MAE where steeper than 2 degrees (degrees)", "aspect_mae_deg"),
        Output("CURVATURE_RMSE", "Profile curvature RMSE (radians per 100 m)", "curvature_rmse_per_100m"),
        Output("ROUGHNESS_RATIO", "Roughness, input / reference", "roughness_ratio"),
        Output("SLOPE_DISTANCE", "Distance of slope distributions (degrees)", "slope_distance_deg"),
        Output("PITS", "Pits per km2, input", "pits_per_km2"),
        Output("REFERENCE_PITS", "Pits per km2, reference", "reference_pits_per_km2"),
        Output("COVERAGE", "Share of cells within the stated band", "coverage"),
        Output("BAND", "Mean half width of the stated band (m)", "band_m"),
        Output("CONSISTENCY_RMSE", "Averages against the coarse DEM, RMSE (m)", "consistency_rmse_m"),
        Output("CONSISTENCY_MAX", "Averages against the coarse DEM, largest (m)", "consistency_max_m"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        stem = Path(values["input"].rsplit(":", 1)[-1]).stem or "DEM"
        return f"{stem} slope error" if parameter.name == "SLOPE_DIFFERENCE" else f"{stem} error"
