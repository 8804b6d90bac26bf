"""*Mesh report*: "can I trust this mesh?"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import meshreport as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class MeshReport(TerrainAlgorithm):
    """Whether a mesh is a sound surface, and how far it is from a DEM."""

    NAME = "meshreport"
    LABEL = "Mesh report"
    GROUP = "Terrain mesh"
    SUMMARY = "Checks a triangle mesh for cracks and bad triangles, measures its error against a DEM, writes a report."
    TAGS = ("mesh", "tin", "triangles", "check", "quality", "validate", "accuracy", "error", "rmse", "bound", "crack",
            "seam", "watertight", "manifold", "dem", "elevation", "ugrid", "netcdf", "ply", "2dm", "obj", "stl", "glb",
            "3d printing")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.mesh_source(
            "INPUT", "Mesh", "Mesh layer, or a file of triangles: UGRID NetCDF, PLY, 2DM, OBJ, STL, GLB or 3MF."
        ),
        parameters.mesh_crs(),
        parameters.mesh_z_factor(),
        parameters.mesh_unit(),
        parameters.measured_dem(
            "DEM that the mesh is compared with, usually the one that it was made from. It must have the CRS of the "
            "mesh; units are converted. The CRS and the no-data values that are set on the layer count. Empty: only "
            "the triangles are checked."
        ),
        parameters.band("BAND", "Band", "DEM"),
        parameters.z_unit("the DEM's heights; those of the mesh are as its file says"),
        parameters.html_output("OUTPUT", "Report", "HTML page with verdict, pictures and figures, in one file."),
        parameters.table_output("TABLE", "Table of figures", "All figures of the report as a JSON or CSV file."),
        parameters.raster_output(
            "ERROR_RASTER",
            "Error raster",
            "GeoTIFF of mesh minus DEM on the cells of the DEM, in the unit of the mesh.",
            "difference",
            optional=True,
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("VERDICT", "Verdict", "verdict", is_number=False),
        Output("TRIANGLES", "Triangles", "triangles"),
        Output("VERTICES", "Vertices", "vertices"),
        Output("SEAMS", "Cracks, T-junctions and edges with more than two triangles", "seams"),
        Output("DUPLICATES", "Vertices at the place of another", "duplicates"),
        Output("TURNED", "Triangles turned over", "turned"),
        Output("FLAT", "Triangles without an area", "flat"),
        Output("UNUSED", "Vertices without a triangle", "unused"),
        Output("BORDERS", "Outlines and holes", "borders"),
        Output("PIECES", "Pieces", "pieces"),
        Output("EULER", "Euler number", "euler"),
        Output("AREA", "Area, in square units of the CRS", "area"),
        Output("VOLUME", "Volume of a closed solid", "volume"),
        Output("SMALLEST_ANGLE", "Smallest angle that 1 % of the triangles stay below (degrees)", "smallest_angle_deg"),
        Output("LARGEST_ERROR", "Largest error at cells", "largest"),
        Output("LARGEST_ERROR_BETWEEN", "Largest error at four times finer positions", "largest_between"),
        Output("RMSE", "RMSE at cells", "rmse"),
        Output("RMSE_BETWEEN", "RMSE at four times finer positions", "rmse_between"),
        Output("MEAN_ERROR", "Mean error, mesh minus DEM", "mean"),
        Output("COVERED_SHARE", "Share of the DEM's cells that the mesh covers", "covered_share"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its input."""
        return f"{Path(values['input']).stem or 'mesh'} error"
