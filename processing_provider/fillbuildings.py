"""*Fill buildings*: "the map has streets here but no buildings; fill the gaps and leave the rest alone"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import fillbuildings as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter
from .scene_layers import subject


class FillBuildings(TerrainAlgorithm):
    """Roads or blocks in, buildings with heights out."""

    NAME = "fillbuildings"
    LABEL = "Fill buildings"
    GROUP = "Scene generation"
    SUMMARY = "Fills roads or blocks with buildings, around those that stand already."
    TAGS = ("scene", "city", "town", "buildings", "footprints", "heights", "blocks", "osm", "openstreetmap", "gap",
            "synthetic", "generate", "infill", "complete", "planning", "diffusion", "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.area(
            "Polygons to fill, in any CRS; the buildings have the CRS of this layer. Empty: the blocks, or the hull of "
            "the roads.",
            optional=True,
        ),
        parameters.roads("Centrelines that buildings keep clear of, in any CRS.", label="Roads"),
        parameters.polygons(
            "BLOCKS", "Blocks", "Polygons to build in, in any CRS. Empty: what lies between the roads."
        ),
        parameters.polygons(
            "BUILDINGS", "Existing buildings", "Footprints that stay and are built around, in any CRS."
        ),
        parameters.water("Polygons that nothing is built on, in any CRS."),
        parameters.style(),
        *parameters.wishes(),
        *parameters.model_run(),
        parameters.vector_output(
            "OUTPUT",
            "Buildings",
            "Polygons with height_m, floors, area_m2, block, origin and synthetic; existing ones are among "
            "them, unchanged.",
            "buildings",
            optional=False,
            kind="polygon",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("BUILDING_COUNT", "New buildings", "buildings"),
        Output("KEPT_COUNT", "Existing buildings", "kept"),
        Output("DELIVERED_COVERAGE", "Coverage (%)", "coverage"),
        Output("DELIVERED_FAR", "Floor-area ratio", "far"),
        Output("DELIVERED_HEIGHT", "Mean height (m)", "mean_height"),
        *parameters.RUN_OUTPUTS,
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after what it fills."""
        return f"{subject(values, 'area', 'roads', 'blocks')} filled buildings"
