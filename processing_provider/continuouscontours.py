"""*Contours*: "I want contours as smooth as the ground, and want to know how near to it they are"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import continuouscontours as job
from . import parameters, styling
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class ContinuousContours(TerrainAlgorithm):
    """Lines of equal height on the continuous surface of a DEM."""

    NAME = "continuouscontours"
    LABEL = "Contours of the continuous surface"
    GROUP = "Elevation"
    SUMMARY = "Traces contours on the continuous surface of a DEM to a stated tolerance: smooth, and never crossing."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "contour", "contours", "isolines", "index contours", "lines",
            "topographic map", "smooth", "vectorise", "vectorize", "relief", "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.band(),
        parameters.number(
            "INTERVAL",
            "Interval",
            "Height between contours, in the vertical unit of the DEM. Empty: a round number that makes up to forty "
            "levels; the log says which.",
            low=0.0,
        ),
        parameters.number(
            "BASE",
            "Base",
            "Height that contours are counted from, in the vertical unit of the DEM.",
            default=0.0,
            advanced=True,
        ),
        parameters.whole(
            "INDEX_EVERY",
            "Index contours",
            "Every so manyth contour from the base has the attribute index = 1, and is drawn thicker and with its "
            "height. 0: none.",
            low=0,
            default=job.DEFAULT_INDEX_EVERY,
        ),
        parameters.number(
            "TOLERANCE",
            "Tolerance",
            "How far a contour may be from that of the surface, in horizontal units of the DEM's CRS (degrees where it "
            "is geographic). Empty: a twentieth of a cell.",
            low=0.0,
        ),
        parameters.model(),
        parameters.sampling(),
        parameters.z_unit("the heights"),
        parameters.extent(),
        parameters.device(),
        parameters.vector_output(
            "OUTPUT",
            "Contours",
            "Lines with z and the attributes elevation (in the vertical unit of the DEM), index (1 for index contours) "
            "and length_m. The higher ground is on their right.",
            styling.CONTOURS,
            optional=False,
            kind="line",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("CONTOUR_COUNT", "Contours", "contours"),
        Output("CLOSED_COUNT", "Closed contours", "closed"),
        Output("LENGTH", "Length of all contours (m)", "length_m"),
        Output("INTERVAL_USED", "Interval", "interval"),
        Output("TOLERANCE_USED", "Tolerance", "tolerance"),
        Output("UNSURE_COUNT", "Places where the tolerance is not sure", "unsure"),
        Output("SECONDS", "Seconds", "seconds"),
        Output("DEVICE_USED", "Device used", "device", is_number=False),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        return f"{Path(values['input'].rsplit(':', 1)[-1]).stem or 'DEM'} contours"
