"""*Profile along lines*: "I have a route, a valley or a section and need the heights along it"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import elevationprofile as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class ElevationProfile(TerrainAlgorithm):
    """Lines with the heights of the continuous surface, a table of all positions, and a plot."""

    NAME = "elevationprofile"
    LABEL = "Profile along lines"
    GROUP = "Elevation"
    SUMMARY = "Follows lines over the continuous surface of a DEM: lines with z and m, a table, and a plot."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "profile", "section", "cross section", "transect",
            "long section", "lines", "route", "track", "river", "drape", "slope", "gradient", "ascent", "descent",
            "plot", "chart", "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.features(
            "LINES",
            "Lines",
            "Layer of lines in any CRS. A selection, a filter and unsaved edits count. An attribute called name gives "
            "the plot its titles.",
            "line",
            optional=False,
            attributes=True,
        ),
        parameters.band(),
        parameters.number(
            "SPACING",
            "Spacing (m)",
            "Largest distance between two positions on a line, in metres on the ground. The vertices of the lines are "
            "always kept. Empty: a quarter of a cell of the DEM.",
            low=0.0,
        ),
        parameters.model(),
        parameters.sampling(),
        parameters.z_unit(),
        parameters.device(),
        parameters.vector_output(
            "OUTPUT",
            "Profile lines",
            "The lines with heights as z and metres along the line as m, broken where there is no height, with the "
            "attributes line, part, length_m, min, max, ascent and descent.",
            optional=False,
            kind="line",
        ),
        parameters.table_output(
            "TABLE",
            "Table of positions",
            "All positions as a CSV, a JSON or a GeoPackage file: line, distance_m, x, y, elevation, slope_deg along "
            "the line, and error90 where the model knows it.",
            kinds="CSV files (*.csv);;JSON files (*.json);;GeoPackage files (*.gpkg)",
        ),
        parameters.html_output(
            "PLOT",
            "Plot",
            "HTML page with one panel for each of the first 20 lines; a name that ends in .svg gives a picture.",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("LINE_COUNT", "Lines", "lines"),
        Output("PART_COUNT", "Unbroken parts", "stretches"),
        Output("POSITION_COUNT", "Positions", "positions"),
        Output("KNOWN_COUNT", "Positions with a height", "known"),
        Output("SPACING_M", "Largest distance of positions (m)", "spacing_m"),
        Output("LENGTH_M", "Length with heights (m)", "length_m"),
        Output("LOWEST", "Lowest height", "lowest"),
        Output("HIGHEST", "Highest height", "highest"),
        Output("ASCENT", "Sum of all rises", "ascent"),
        Output("DESCENT", "Sum of all falls", "descent"),
        Output("STEEPEST_DEG", "Steepest slope along a line (degrees)", "steepest_deg"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )
