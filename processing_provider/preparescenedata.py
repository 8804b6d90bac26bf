"""*Prepare scene data*: "my layers are a mess; clean them, and tell me what you threw away and why"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import preparescenedata as job
from . import parameters
from .parameters import MadeLayer, Output, Parameter
from .scene_layers import SceneAlgorithm, SceneLayer, subject


class PrepareSceneData(SceneAlgorithm):
    """Roads, buildings and land cover in; the same cleaned and standardised out, with a list of what was dropped."""

    NAME = "preparescenedata"
    LABEL = "Prepare scene data"
    GROUP = "Scene generation"
    SUMMARY = "Cleans and standardises roads, buildings and land cover, and lists every feature that is dropped."
    TAGS = ("scene", "city", "town", "clean", "repair", "outliers", "anomaly", "filter", "standardise", "standardize",
            "roads", "buildings", "land cover", "duplicates", "quality", "preprocessing")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.roads(
            "Centrelines in any CRS. The attribute class, highway, fclass or value ranks them.", label="Roads"
        ),
        parameters.polygons(
            "BUILDINGS",
            "Buildings",
            "Footprints in any CRS. Heights are read from attributes such as height or levels.",
        ),
        parameters.polygons("LANDCOVER", "Land cover", "Polygons in any CRS with an attribute of their class."),
        parameters.number(
            "Z_LIMIT",
            "Limit of anomalies",
            "A building whose size or height is farther from the median than so many robust standard deviations is "
            "dropped, or loses its height.",
            default=job.DEFAULT_Z_LIMIT,
            low=1.0,
        ),
        parameters.number(
            "MIN_BUILDING",
            "Smallest building (m2)",
            "Footprints below this area in square metres are dropped.",
            default=job.DEFAULT_MIN_BUILDING_M2,
            low=0.0,
        ),
        parameters.vector_output(
            "OUTPUT",
            "Prepared layers",
            "GeoPackage with the layers roads, buildings and landcover, as far as they were given, and dropped.",
            optional=False,
        ),
        parameters.html_output(
            "REPORT", "Report", "HTML page of what was found, mended and dropped; its figures as JSON beside it."
        ),
    )
    LAYERS = (
        SceneLayer("landcover", "Land cover", "land cover"),
        SceneLayer("roads", "Roads", "roads"),
        SceneLayer("buildings", "Buildings", "buildings"),
        SceneLayer("dropped", "Dropped or changed", "dropped"),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        MadeLayer("OUTPUT_ROADS", "Prepared roads", "layer roads", kind="line"),
        MadeLayer("OUTPUT_BUILDINGS", "Prepared buildings", "layer buildings"),
        MadeLayer("OUTPUT_LANDCOVER", "Prepared land cover", "layer landcover"),
        Output("KEPT_COUNT", "Features kept", "kept"),
        Output("DROPPED_COUNT", "Features dropped", "dropped"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def group_name(self, values: dict) -> str:
        """Name the group after the first layer."""
        return f"{subject(values, *job.LAYERS)} prepared"
