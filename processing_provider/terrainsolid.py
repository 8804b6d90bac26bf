"""*Terrain solid for 3D printing*: "I want to hold this piece of ground in my hands"."""

from __future__ import annotations

from typing import ClassVar

from ..core.jobs import terrainsolid as job
from . import lettering, parameters
from .algorithm import TerrainAlgorithm
from .parameters import Output, Parameter


class TerrainSolid(TerrainAlgorithm):
    """A DEM and a clip polygon in, a closed body in millimetres out."""

    NAME = "terrainsolid"
    LABEL = "Terrain solid for 3D printing"
    GROUP = "Terrain mesh"
    SUMMARY = "Turns a piece of a digital elevation model into a watertight body of the right size for a 3D printer."
    TAGS = ("dem", "dtm", "dsm", "elevation", "height", "mesh", "solid", "3d print", "printer", "stl", "3mf", "obj",
            "glb", "gltf", "model", "relief", "scale", "base", "walls", "watertight", "raster")  # fmt: skip
    SETTINGS = job.Settings
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        parameters.source("Elevation raster"),
        parameters.band(),
        parameters.features(
            "MASK",
            "Clip polygons",
            "Polygons that the model is cut out along, with vertical walls. Any CRS. Empty: the whole DEM.",
            "polygon",
        ),
        parameters.number(
            "MODEL_SCALE",
            "Model scale 1:",
            "The N of 1:N, for instance 25000. Empty: the first of 1, 2, 5, 10, 20, 50 ... whose model fits 180 mm in "
            "each direction; the log says which.",
            low=0.0,
        ),
        parameters.number(
            "Z_FACTOR",
            "Vertical exaggeration",
            "Heights are multiplied by this. 1 is true to scale; flat ground gains from 1.5 to 3.",
            default=1.0,
            low=0.0,
        ),
        parameters.number(
            "BASE",
            "Base (mm)",
            "Thickness under the lowest point, in millimetres of the model.",
            default=job.DEFAULT_BASE_MM,
            low=0.0,
        ),
        parameters.number(
            "BASE_LEVEL",
            "Base level",
            "Height of the base plane in the vertical unit of the DEM, instead of a thickness: models with the same "
            "level fit together. It must be below the lowest point.",
            advanced=True,
        ),
        lettering.label("LABEL", "Label", "Text engraved into the underside, in any script."),
        parameters.number(
            "MAX_ERROR",
            "Largest error (mm)",
            "Largest vertical distance between model and DEM at cell centres, in millimetres of the model.",
            default=job.DEFAULT_ERROR_MM,
            low=0.0,
            advanced=True,
        ),
        parameters.z_unit("the heights"),
        parameters.mesh_format(
            job.ENDINGS,
            "STL: read by every printing program. 3MF: smaller, and says that its unit is the millimetre. OBJ: for "
            "modelling programs. GLB: for viewers. A file name with one of these endings decides by itself.",
        ),
        parameters.mesh_output("OUTPUT", "Terrain solid", "Model file in millimetres.", job.ENDINGS, style=""),
        parameters.vector_output(
            "FOOTPRINT",
            "Footprint",
            "Polygon layer with the outline of the model on the ground; file, scale, sizes, volume, base level and "
            "origin are its attributes.",
        ),
    )
    OUTPUTS: ClassVar[tuple[Output, ...]] = (
        Output("SCALE", "Scale, the N of 1:N", "scale"),
        Output("SIZE_X", "Size west to east (mm)", "size_x_mm"),
        Output("SIZE_Y", "Size south to north (mm)", "size_y_mm"),
        Output("SIZE_Z", "Height (mm)", "size_z_mm"),
        Output("VOLUME", "Volume (cm3)", "volume_cm3"),
        Output("CELL_VOLUME", "Volume as the sum over the cells (cm3)", "cell_volume_cm3"),
        Output("TRIANGLES", "Triangles", "triangles"),
        Output("SHELLS", "Bodies", "shells"),
        Output("SECONDS", "Seconds", "seconds"),
    )
