"""The parameters of all tools: each factory states id, label, help, default and limits once.

A factory returns a :class:`Parameter`, which builds the QGIS definition and reads the user's value back to the plain
values of a job's settings. Reading happens on the main thread; what cannot be read is refused with one sentence, and
what can be read is judged by the settings of the job alone. Imports the standard library, qgis and light parts of core.
"""

from __future__ import annotations

from .choices import choice, compression, honour_input, layout, precision, resume, sampling, switch, voids, z_unit
from .numbers import cell_size, given_number, given_whole, memory, minutes, nodata, scale, seed
from .outputs import folder_output, html_output, raster_output, table_output
from .parameter import Call, Definition, Output, Parameter, helped
from .rasters import band, dem_folder, dems, extent, grid, raster, reference, source
from .texts import device, given_text, model, options, recipe, scheduler, text, trained_model

__all__ = [
    "Call",
    "Definition",
    "Output",
    "Parameter",
    "band",
    "cell_size",
    "choice",
    "compression",
    "dem_folder",
    "dems",
    "device",
    "extent",
    "folder_output",
    "given_number",
    "given_text",
    "given_whole",
    "grid",
    "helped",
    "honour_input",
    "html_output",
    "layout",
    "memory",
    "minutes",
    "model",
    "nodata",
    "options",
    "precision",
    "raster",
    "raster_output",
    "recipe",
    "reference",
    "resume",
    "sampling",
    "scale",
    "scheduler",
    "seed",
    "source",
    "switch",
    "table_output",
    "text",
    "trained_model",
    "voids",
    "z_unit",
]
