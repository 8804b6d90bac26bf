"""*Terrain mesh*: "I need my elevation model as triangles, no more than necessary, and sure to be near it"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import terrainmesh as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class TerrainMesh(TerrainAlgorithm):
    """A DEM in, a mesh layer out whose vertical error is nowhere above a bound."""

    NAME = "terrainmesh"
    LABEL = "Terrain mesh"
    GROUP = "Terrain mesh"
    SUMMARY = "Turns a digital elevation model into a triangle mesh that keeps to a largest vertical error."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "mesh", "tin", "triangles", "triangulation", "decimation",
            "simplify", "breakline", "surface", "3d", "ugrid", "netcdf", "ply", "2dm", "relief", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.band(),
        parameters.number(
            "MAX_ERROR",
            "Largest error",
            "Largest vertical distance between mesh and DEM, in the vertical unit of the DEM, before exaggeration. "
            "Empty, with no number of triangles and no RMSE: about a hundredth of the range of heights.",
            low=0.0,
        ),
        parameters.choice(
            "BOUND_AT",
            "Largest error holds",
            job.BOUND_AT,
            "CELLS: at the centres of all cells. BETWEEN: also between them, at positions four times finer on the "
            "surface that interpolates the cells bilinearly; that takes more triangles.",
        ),
        parameters.whole(
            "MAX_TRIANGLES",
            "Most triangles",
            "Number of triangles to come close to from below, instead of a largest error.",
            low=2,
        ),
        parameters.number(
            "MAX_RMSE",
            "RMSE",
            "Root mean square error to keep to, in the vertical unit of the DEM, instead of a largest error.",
            low=0.0,
            advanced=True,
        ),
        parameters.model(
            "Name of an installed model, or a model folder, that makes the DEM finer before it is meshed; it needs a "
            "cell size. Empty, without a cell size: the DEM as it is."
        ),
        parameters.cell_size(
            "Width and height of the cells that the model makes, in horizontal units of the input's CRS (degrees where "
            "it is geographic). Without a model the default one is taken. Empty: the DEM as it is."
        ),
        parameters.features(
            "BREAKLINES",
            "Breaklines",
            "Lines that edges of the mesh follow, such as crests, banks and dams; heights come from the DEM. Any CRS.",
            "line",
        ),
        parameters.features(
            "MASK",
            "Mask polygons",
            "Polygons that the mesh is cut to, exactly along their outlines. Any CRS.",
            "polygon",
        ),
        parameters.number(
            "Z_FACTOR",
            "Vertical exaggeration",
            "Heights in the file are multiplied by this. Errors and datasets are those before exaggeration.",
            default=1.0,
            low=0.0,
            advanced=True,
        ),
        parameters.z_unit("the heights"),
        parameters.mesh_format(
            job.ENDINGS,
            "UGRID: NetCDF file with CRS and datasets. PLY: opened by most 3-D programs. 2DM: plain text, heights "
            "only. A file name with one of these endings decides by itself.",
        ),
        parameters.whole(
            "TILE_SIZE",
            "Tile size",
            "Side of the tiles, in cells, that are triangulated one by one. Empty: automatic.",
            low=1,
            advanced=True,
        ),
        parameters.device(advanced=True),
        parameters.scheduler(),
        parameters.mesh_output("OUTPUT", "Terrain mesh", "Mesh file, loaded as a mesh layer.", job.ENDINGS),
        parameters.raster_output(
            "ERROR_RASTER",
            "Error raster",
            "GeoTIFF of mesh minus DEM in the vertical unit of the DEM, on its cells.",
            "difference",
            optional=True,
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("TRIANGLES", "Triangles", "triangles"),
        Output("VERTICES", "Vertices", "vertices"),
        Output("BOUND", "Largest error that was asked for", "bound"),
        Output("LARGEST_ERROR", "Largest error at cells", "largest_error"),
        Output("LARGEST_ERROR_BETWEEN", "Largest error at four times finer positions", "largest_error_between"),
        Output("RMSE", "RMSE at cells", "rmse"),
        Output("RMSE_BETWEEN", "RMSE at four times finer positions", "rmse_between"),
        Output("MEAN_ERROR", "Mean error at cells, mesh minus DEM", "mean_error"),
        Output("SEAMS", "Cracks, T-junctions and non-manifold edges", "seams"),
        Output("COVERED_SHARE", "Share of the cells with a height that the mesh covers", "covered_share"),
        Output("TILES", "Tiles", "tiles"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        stem = Path(values["input"].rsplit(":", 1)[-1]).stem or "DEM"
        return f"{stem} mesh" if parameter.name == "OUTPUT" else f"{stem} mesh error"
