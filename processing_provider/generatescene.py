"""*Generate scene*: "I need a plausible town on this site, of that kind, as layers I can work with"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import generatescene as job
from . import parameters
from .parameters import MadeLayer, Output, Parameter
from .scene_layers import SceneAlgorithm, SceneLayer, subject


class GenerateScene(SceneAlgorithm):
    """An area in; roads, blocks, buildings with heights and land use out, with proofs."""

    NAME = "generatescene"
    LABEL = "Generate scene"
    GROUP = "Scene generation"
    SUMMARY = (
        "Generates streets, blocks, buildings with heights and land use for an area, on its ground and in a style."
    )
    TAGS = ("scene", "city", "town", "urban", "streets", "roads", "buildings", "blocks", "land use", "synthetic",
            "generate", "procedural", "planning", "fill", "footprints", "heights", "diffusion",
            "neural network")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.area("Polygons to fill, in any CRS; the scene has the CRS of this layer."),
        parameters.measured_dem(
            "Heights of the ground: streets keep to the steepest grade on it. Empty: level ground. Any CRS."
        ),
        parameters.band(parent="DEM"),
        parameters.roads(
            "Centrelines that are there already, in any CRS. The attribute class, highway or value ranks them."
        ),
        parameters.polygons("BUILDINGS", "Existing buildings", "Footprints that are there already, in any CRS."),
        parameters.polygons(
            "LANDCOVER",
            "Land cover",
            "Polygons of water and of ground that is not to be built on, in any CRS.",
        ),
        parameters.choice(
            "EXISTING",
            "Existing features",
            job.EXISTING,
            "keep: roads and buildings stay as they are, and the scene is built around them. roads: the roads stay, "
            "the buildings are made anew. style: nothing stays, but the scene resembles them.",
        ),
        parameters.style(),
        *parameters.wishes(),
        parameters.number(
            "GREEN",
            "Green share (%)",
            "Share of the blocks that is green, in per cent; it steers the rules of land use. Empty: as they come.",
            low=0.0,
        ),
        parameters.finest(),
        *parameters.model_run(parameters.max_grade()),
        parameters.vector_output(
            "OUTPUT",
            "Scene",
            "GeoPackage with the layers roads, junctions, blocks, buildings and landuse, loaded as one group.",
            optional=False,
        ),
        parameters.folder_output(
            "RASTERS", "Rasters", "Folder for GeoTIFFs of land use, density and heights at their scales.", optional=True
        ),
        parameters.html_output(
            "REPORT",
            "Report",
            "HTML page of what was asked for, delivered and proved; its figures as JSON beside it.",
        ),
    )
    LAYERS = (
        SceneLayer("landuse", "Land use", "land use"),
        SceneLayer("blocks", "Blocks", "blocks"),
        SceneLayer("roads", "Roads", "roads"),
        SceneLayer("buildings", "Buildings", "buildings"),
        SceneLayer("objects", "Trees and lamps", "objects"),
        SceneLayer("junctions", "Junctions", "junctions", shown=False),
    )
    RASTERS = (
        SceneLayer("far_100m", "Floor-area ratio, 100 m", "share", shown=False),
        SceneLayer("far_50m", "Floor-area ratio, 50 m", "share", shown=False),
        SceneLayer("coverage_100m", "Coverage, 100 m", "share", shown=False),
        SceneLayer("coverage_50m", "Coverage, 50 m", "share", shown=False),
        SceneLayer("landuse_10m", "Land use, 10 m", "land classes", shown=False),
        SceneLayer("height_2m", "Heights, 2 m", "heights", shown=False),
        SceneLayer("height_1m", "Heights, 1 m", "heights", shown=False),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        MadeLayer("OUTPUT_ROADS", "Roads of the scene", "layer roads", kind="line"),
        MadeLayer("OUTPUT_JUNCTIONS", "Junctions of the scene", "layer junctions", kind="point"),
        MadeLayer("OUTPUT_BLOCKS", "Blocks of the scene", "layer blocks"),
        MadeLayer("OUTPUT_BUILDINGS", "Buildings of the scene", "layer buildings"),
        MadeLayer("OUTPUT_LANDUSE", "Land use of the scene", "layer landuse"),
        Output("ROAD_COUNT", "Roads", "roads"),
        Output("STREET_KM", "Length of all streets (km)", "street_km"),
        Output("BLOCK_COUNT", "Blocks", "blocks"),
        Output("BUILDING_COUNT", "Buildings", "buildings"),
        Output("DELIVERED_COVERAGE", "Coverage (%)", "coverage"),
        Output("DELIVERED_FAR", "Floor-area ratio", "far"),
        Output("DELIVERED_HEIGHT", "Mean height (m)", "mean_height"),
        Output("DELIVERED_GREEN", "Green share (%)", "green"),
        Output("COMPONENTS", "Parts of the street network that are not connected", "components"),
        Output("VIOLATIONS", "Broken rules found by the proofs", "violations"),
        *parameters.RUN_OUTPUTS,
    )

    def group_name(self, values: dict) -> str:
        """Name the group after area, style and seed."""
        return f"{subject(values, 'area')} scene, {values['style']}, seed {values['seed']}"
