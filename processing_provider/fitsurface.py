"""*Fit a continuous elevation model to points*: "I have lidar or survey points and no DEM"."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..core.jobs import fitsurface as job
from . import parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class FitSurface(TerrainAlgorithm):
    """Points in, a DEM out that is a continuous surface for all other tools."""

    NAME = "fitsurface"
    LABEL = "Fit a continuous elevation model to points"
    GROUP = "Elevation"
    SUMMARY = "Makes a continuous elevation model from irregular points or lidar, with its error at points held out."
    TAGS = ("dem", "dtm", "elevation", "height", "points", "point cloud", "lidar", "las", "laz", "interpolate",
            "interpolation", "grid", "tin", "spline", "breakline", "survey", "ground", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.features(
            "INPUT",
            "Points",
            "Layer of points with z, or with an attribute that holds their heights. Instead of it a LAS or LAZ file "
            "can be given.",
            "point",
            attributes=True,
        ),
        parameters.height_field(),
        parameters.point_cloud(),
        parameters.classes(),
        parameters.features(
            "BREAKLINES",
            "Breaklines",
            "Layer of lines along which the surface may bend sharply, in any CRS. Where the lines have z, the surface "
            "follows it.",
            "line",
        ),
        parameters.mesh_source(
            "TIN",
            "TIN",
            "Mesh layer or file whose vertices are points, besides a point layer or instead of it. Edges where it "
            "bends sharply count as breaklines, and wide triangles are followed.",
            optional=True,
        ),
        parameters.cell_size(
            "Width and height of the cells in units of the points' CRS. Empty: three quarters of the mean spacing of "
            "the points."
        ),
        parameters.extent("Part to fit, in any CRS; it grows outward to whole cells. Empty: all points."),
        parameters.number(
            "HOLD_OUT",
            "Points to hold out (%)",
            "Share of the points that judge the surface, from 1 to 50 %. The surface in the file has seen them in the "
            "end.",
            job.DEFAULT_HOLD_OUT,
            advanced=True,
        ),
        parameters.whole(
            "SEED", "Seed", "Number that the draw of these points begins with. Empty: 0.", 0, advanced=True
        ),
        parameters.z_unit("the heights of the points, and of the result"),
        parameters.raster_output(
            "OUTPUT",
            "Continuous elevation model",
            "GeoTIFF of mean heights of the cells, which also holds the continuous surface: tools of Neural Terrain "
            "that take it as their input use that.",
            "relief",
        ),
        parameters.html_output(
            "REPORT", "Report", "HTML page with the errors at the points held out, beside TIN and nearest point."
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("POINT_COUNT", "Points", "points"),
        Output("TRIMMED", "Points left out as outliers", "trimmed"),
        Output("RMSE", "RMSE at points held out", "rmse"),
        Output("BIAS", "Bias at points held out", "bias"),
        Output("LE90", "LE90 at points held out", "le90"),
        Output("TIN_RMSE", "RMSE of linear TIN interpolation", "tin_rmse"),
        Output("CELL_SIZE_USED", "Cell size used", "cell_size"),
        Output("ROWS", "Rows", "rows"),
        Output("COLUMNS", "Columns", "columns"),
        Output("VALID_SHARE", "Share of cells with a height (0 to 1)", "valid_share"),
        Output("SECONDS", "Seconds", "seconds"),
    )

    def layer_name(self, parameter: Parameter, values: dict) -> str:
        """Name a result after its points."""
        return f"{values.get('input_layer') or Path(values.get('las') or values.get('tin') or 'points').stem} fitted"
