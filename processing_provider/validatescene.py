"""*Validate scene*: "prove that these streets connect and these buildings do not overlap, or show me where not"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import validatescene as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter
from .scene_layers import subject


class ValidateScene(TerrainAlgorithm):
    """Roads, buildings and blocks of any origin in; every place where a rule is broken out."""

    NAME = "validatescene"
    LABEL = "Validate scene"
    GROUP = "Scene generation"
    SUMMARY = "Proves on any layers that streets connect and buildings overlap nothing, or shows every place where not."
    TAGS = ("scene", "city", "town", "validate", "check", "topology", "overlap", "connected", "dangles", "grade",
            "roads", "buildings", "blocks", "quality", "proof")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.roads(
            "Centrelines to judge, in any CRS. The attribute width_m is the width between kerbs.", label="Roads"
        ),
        parameters.polygons("BUILDINGS", "Buildings", "Footprints to judge, in any CRS."),
        parameters.polygons("BLOCKS", "Blocks", "Blocks to judge, in any CRS."),
        parameters.area(
            "Polygons that the layers were made for, in any CRS. Blocks may end at their edge, streets on two of them "
            "may be apart, and existing features that touch them must be there. Empty: no edge excuses streets that "
            "are apart.",
            optional=True,
        ),
        parameters.water("Polygons that no building may stand in, in any CRS."),
        parameters.measured_dem("Heights of the ground, which grades are judged on. Empty: they are not. Any CRS."),
        parameters.band(parent="DEM"),
        parameters.max_grade(),
        parameters.roads(
            "Roads from before, which must be among the roads unchanged. Rules for new streets do not bind them.",
            "EXISTING_ROADS",
        ),
        parameters.polygons(
            "EXISTING_BUILDINGS",
            "Existing buildings",
            "Buildings from before, which must be among the buildings unchanged. Rules for new buildings do not bind "
            "them.",
        ),
        parameters.optional_vector_output(
            "OUTPUT",
            "Violations",
            "Places where a rule is broken, with rule, amount and text; an empty layer if none is.",
            "violations",
        ),
        parameters.html_output(
            "REPORT", "Report", "HTML page of all rules and how often each is broken; its figures as JSON beside it."
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("PASSED", "Whether no rule is broken", "passed"),
        Output("VIOLATIONS", "Places where a rule is broken", "violations"),
        Output("EXCUSED", "Places that ground, water or existing features forbid to be otherwise", "excused"),
        Output("INVALID_GEOMETRY", "Invalid shapes", "invalid_geometry"),
        Output("STREETS_APART", "Parts of the street network that are not connected", "streets_apart"),
        Output("CROSSING_WITHOUT_JUNCTION", "Streets that cross without a junction", "crossing_without_junction"),
        Output("UNJOINED_END", "Ends of streets just short of another street", "unjoined_end"),
        Output("DANGLING_SLIVER", "Stubs of streets", "dangling_sliver"),
        Output("TOO_STEEP", "Streets that are too steep", "too_steep"),
        Output("STREET_IN_WATER", "Streets in water", "street_in_water"),
        Output("BUILDINGS_OVERLAP", "Overlaps of buildings", "buildings_overlap"),
        Output("BUILDING_ON_EXISTING_BUILDING", "New on existing buildings", "building_on_existing_building"),
        Output("BUILDING_ON_STREET", "Buildings on streets", "building_on_street"),
        Output("BUILDING_IN_WATER", "Buildings in water", "building_in_water"),
        Output("BLOCK_NOT_CLOSED", "Blocks that are not closed", "block_not_closed"),
        Output("STREET_THROUGH_BLOCK", "Streets through blocks", "street_through_block"),
        Output("BLOCKS_OVERLAP", "Overlaps of blocks", "blocks_overlap"),
        Output("FEATURE_CHANGED", "Existing features that were changed or are missing", "feature_changed"),
        Output("ROAD_COUNT", "Roads", "roads"),
        Output("BUILDING_COUNT", "Buildings", "buildings"),
        Output("BLOCK_COUNT", "Blocks", "blocks"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after what was judged."""
        return f"{subject(values, *job.JUDGED)} violations"
