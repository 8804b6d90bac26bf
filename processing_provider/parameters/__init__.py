"""The parameters of all tools: each factory states id, label, help, default and limits once.

A factory returns a :class:`Parameter`, which builds the QGIS definition and reads the user's value back to the plain
values of a job's settings. Reading happens on the main thread; what cannot be read is refused with one sentence, and
what can be read is judged by the settings of the job alone. Imports the standard library, qgis and light parts of core.
"""

from __future__ import annotations

from .choices import choice, compression, honour_input, layout, precision, resume, sampling, switch, voids, z_unit
from .features import features
from .meshes import is_temporary, mesh_crs, mesh_format, mesh_output, mesh_source, mesh_unit, mesh_z_factor
from .numbers import cell_size, given_number, given_whole, memory, minutes, nodata, number, scale, seed, whole
from .outputs import folder_output, html_output, optional_vector_output, raster_output, table_output, vector_output
from .parameter import Call, Definition, Output, Parameter, helped
from .points import classes, height_field, point_cloud
from .rasters import band, dem_folder, dems, extent, grid, measured_dem, raster, reference, source, target_crs
from .scenes import RUN_OUTPUTS, MadeLayer, area, finest, max_grade, model_run, polygons, roads, style, water, wishes
from .texts import device, given_text, model, options, recipe, scheduler, text, trained_model

__all__ = [
    "RUN_OUTPUTS",
    "Call",
    "Definition",
    "MadeLayer",
    "Output",
    "Parameter",
    "area",
    "band",
    "cell_size",
    "choice",
    "classes",
    "compression",
    "dem_folder",
    "dems",
    "device",
    "extent",
    "features",
    "finest",
    "folder_output",
    "given_number",
    "given_text",
    "given_whole",
    "grid",
    "height_field",
    "helped",
    "honour_input",
    "html_output",
    "is_temporary",
    "layout",
    "max_grade",
    "measured_dem",
    "memory",
    "mesh_crs",
    "mesh_format",
    "mesh_output",
    "mesh_source",
    "mesh_unit",
    "mesh_z_factor",
    "minutes",
    "model",
    "model_run",
    "nodata",
    "number",
    "optional_vector_output",
    "options",
    "point_cloud",
    "polygons",
    "precision",
    "raster",
    "raster_output",
    "recipe",
    "reference",
    "resume",
    "roads",
    "sampling",
    "scale",
    "scheduler",
    "seed",
    "source",
    "style",
    "switch",
    "table_output",
    "target_crs",
    "text",
    "trained_model",
    "vector_output",
    "voids",
    "water",
    "whole",
    "wishes",
    "z_unit",
]
