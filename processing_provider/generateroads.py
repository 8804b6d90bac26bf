"""*Generate roads*: "I need a street network here that hangs together and is not too steep"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import generateroads as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter
from .scene_layers import subject


class GenerateRoads(TerrainAlgorithm):
    """An area in, one connected street network out."""

    NAME = "generateroads"
    LABEL = "Generate roads"
    GROUP = "Scene generation"
    SUMMARY = "Generates one connected street network for an area, within a steepest grade and joined to its roads."
    TAGS = ("scene", "city", "town", "streets", "roads", "network", "graph", "connected", "grade", "slope", "synthetic",
            "generate", "procedural", "planning", "diffusion", "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.area("Polygons to fill, in any CRS; the roads have the CRS of this layer."),
        parameters.measured_dem(
            "Heights of the ground: streets keep to the steepest grade on it. Empty: level ground. Any CRS."
        ),
        parameters.band(parent="DEM"),
        parameters.roads("Centrelines that stay as they are and are joined to, in any CRS."),
        parameters.water("Polygons that no street may cross, in any CRS."),
        parameters.style(),
        parameters.max_grade(),
        parameters.number(
            "STREET_DENSITY",
            "Street density (km/km2)",
            "Length of all streets over the area of the land, in km per km2. Old towns have 15 to 25. Empty: free.",
            low=0.0,
        ),
        *parameters.model_run(),
        parameters.vector_output(
            "OUTPUT",
            "Roads",
            "Lines with class, width_m, length_m, grade_max, origin and synthetic.",
            "roads",
            optional=False,
            kind="line",
        ),
        parameters.vector_output(
            "JUNCTIONS",
            "Junctions",
            "Points where streets meet or end, with degree and origin.",
            "junctions",
            kind="point",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROAD_COUNT", "Roads", "roads"),
        Output("JUNCTION_COUNT", "Junctions of three or more streets", "junctions"),
        Output("STREET_KM", "Length of all streets (km)", "street_km"),
        Output("DENSITY", "Street density (km/km2)", "density"),
        Output("COMPONENTS", "Parts of the network that are not connected", "components"),
        Output("COMPONENTS_BEFORE", "Parts before joining", "components_before"),
        *parameters.RUN_OUTPUTS,
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its area."""
        return f"{subject(values, 'area')} {parameter.style}"
