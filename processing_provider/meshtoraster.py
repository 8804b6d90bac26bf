"""*Mesh to raster*: "I have a terrain mesh and need its heights as a DEM"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import meshtoraster as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class MeshToRaster(TerrainAlgorithm):
    """The heights of a mesh at the centres of cells."""

    NAME = "meshtoraster"
    LABEL = "Mesh to raster"
    GROUP = "Terrain mesh"
    SUMMARY = "Writes the heights of a triangle mesh as a raster, on the cells that it was made from or any others."
    TAGS = ("mesh", "tin", "triangles", "rasterise", "rasterize", "dem", "dtm", "dsm", "elevation", "height", "grid",
            "ugrid", "netcdf", "ply", "2dm", "obj", "stl", "glb", "round trip", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.mesh_source(
            "INPUT",
            "Mesh",
            "Mesh layer, or a file of triangles: UGRID NetCDF, PLY, 2DM, OBJ, STL, GLB or 3MF. Where triangles lie "
            "over each other, the highest counts.",
        ),
        parameters.mesh_crs(),
        parameters.mesh_z_factor(),
        parameters.mesh_unit(),
        parameters.number(
            "CELL_SIZE",
            "Cell size",
            "Width and height of the cells in horizontal units of the mesh. Empty: the cells of the DEM that the mesh "
            "was made from, if its file names them, else about one cell for two triangles; the log says which.",
            low=0.0,
        ),
        parameters.raster(
            "GRID",
            "Target grid",
            "Raster whose edges and cell size the result takes; it must have the CRS of the mesh. It cannot be "
            "combined with a cell size.",
        ),
        parameters.compression(),
        parameters.number(
            "NODATA",
            "No-data value of the result",
            "Number that stands for no-data in the result, where there is no mesh. Empty: -9999.",
            advanced=True,
        ),
        parameters.raster_output(
            "OUTPUT",
            "Heights of the mesh",
            "GeoTIFF of the heights at the cells' centres, in the unit of the mesh, without its exaggeration.",
            "relief",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("CELL_WIDTH", "Width of a cell", "cell_width"),
        Output("CELL_HEIGHT", "Height of a cell", "cell_height"),
        Output("COVERED_SHARE", "Share of cells with a height", "covered_share"),
        Output("TRIANGLES", "Triangles of the mesh", "triangles"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        return f"{Path(values['input']).stem or 'mesh'} heights"
