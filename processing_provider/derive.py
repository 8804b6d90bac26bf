"""*Terrain derivatives*: "I need slope, aspect, hillshade or curvature, and not those of a grid's steps"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from ..core.jobs import derive as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Call, Output, Parameter

CONVEX = "GeoTIFF in radians per metre, positive where the ground is convex; no-data where it is flat."


def _angle(name: str, label: str, text: str, default: float) -> Parameter:
    """An angle, which is ``name_deg`` in the settings."""
    given = parameters.number(name, label, text, default, advanced=True)

    def read(call: Call) -> dict:
        return {f"{key}_deg": value for key, value in given.read(call).items()}

    return replace(given, read=read)


class Derive(TerrainAlgorithm):
    """A DEM in, rasters of what its continuous surface does at any cell size out."""

    NAME = "derive"
    LABEL = "Terrain derivatives"
    GROUP = "Elevation"
    SUMMARY = "Slope, aspect, hillshade and curvatures from the exact derivatives of a continuous elevation model."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "slope", "aspect", "hillshade", "relief", "shading",
            "curvature", "profile curvature", "plan curvature", "morphometry", "gradient", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.band(),
        parameters.scale(default=1.0),
        parameters.cell_size(),
        parameters.grid(),
        parameters.extent(),
        _angle("AZIMUTH", "Azimuth of the sun", "Degrees clockwise from north, for the hillshade.", 315.0),
        _angle("ALTITUDE", "Altitude of the sun", "Degrees above the horizon, 0 to 90, for the hillshade.", 45.0),
        parameters.number(
            "Z_FACTOR",
            "Vertical exaggeration",
            "The hillshade shows the ground so many times steeper. Units need no factor: they are known.",
            default=1.0,
            low=0.0,
            advanced=True,
        ),
        parameters.model(),
        parameters.sampling(),
        parameters.z_unit("the heights"),
        parameters.device(advanced=True),
        parameters.compression(),
        parameters.raster_output(
            "SLOPE", "Slope", "GeoTIFF of the steepest slope in degrees.", "slope", optional=True, made=True
        ),
        parameters.raster_output(
            "ASPECT",
            "Aspect",
            "GeoTIFF of the direction of steepest descent in degrees clockwise from north; no-data where it is flat.",
            "aspect",
            optional=True,
        ),
        parameters.raster_output(
            "HILLSHADE", "Hillshade", "GeoTIFF of grey values from 1 to 255.", "hillshade", optional=True
        ),
        parameters.raster_output(
            "PROFILE_CURVATURE",
            "Profile curvature",
            f"Curvature along the line of steepest descent: {CONVEX}",
            "curvature",
            optional=True,
        ),
        parameters.raster_output(
            "PLAN_CURVATURE", "Plan curvature", f"Curvature of the contour: {CONVEX}", "curvature", optional=True
        ),
        parameters.raster_output(
            "TOTAL_CURVATURE",
            "Total curvature",
            "Bending in all directions: GeoTIFF in squared radians per square metre, never negative.",
            "bending",
            optional=True,
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("TILES", "Tiles", "tiles"),
        Output("VALID_SHARE", "Share of cells with a height", "valid_share"),
        Output("LARGEST_SLOPE", "Largest slope in degrees", "largest_slope_deg"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        stem = Path(values["input"].rsplit(":", 1)[-1]).stem or "DEM"
        return f"{stem} {parameter.name.lower().replace('_', ' ')}"
