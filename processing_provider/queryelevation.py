"""*Sample continuous elevation*: "I have points and need the height, slope and curvature exactly there"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import queryelevation as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class QueryElevation(TerrainAlgorithm):
    """The same points out, with what the continuous surface is at each of them."""

    NAME = "queryelevation"
    LABEL = "Sample continuous elevation"
    GROUP = "Elevation"
    SUMMARY = "Gives points the height, its error, slope, aspect and curvature of the continuous surface of a DEM."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "altitude", "sample", "query", "points", "drape", "set z",
            "extract", "slope", "aspect", "curvature", "uncertainty", "interpolate", "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.features(
            "POINTS",
            "Points",
            "Layer of points in any CRS; they are asked exactly where they are. A selection, a filter and unsaved "
            "edits count.",
            "point",
            optional=False,
            attributes=True,
        ),
        parameters.band(),
        parameters.model(),
        parameters.sampling(),
        parameters.z_unit(),
        parameters.device(),
        parameters.vector_output(
            "OUTPUT",
            "Points with elevation",
            "The same points with z and the attributes elevation, error90 (where the model knows it), slope_deg, "
            "aspect_deg, curv_profile and curv_plan; empty outside of the DEM and on no-data.",
            optional=False,
            kind="point",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("POINT_COUNT", "Points", "points"),
        Output("KNOWN_COUNT", "Points with a height", "known"),
        Output("LOWEST", "Lowest height", "lowest"),
        Output("HIGHEST", "Highest height", "highest"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )
