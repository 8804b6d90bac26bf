"""Finished meshes measured again from their files: what *Mesh to raster* and *Mesh report* do in the engine.

Joins the parts that do not know each other: mesh files (:mod:`..mesh_files`), the independent check
(:mod:`..mesh_check`), rasters (:mod:`..raster`), grids (:mod:`..grid`) and the order of work (:mod:`..pipeline`).
:mod:`.surface` is a mesh as it was read, :mod:`.rasters` makes a raster of it; :mod:`.reporting` measures it, with
:mod:`.against` a DEM, :mod:`.findings` says what comes out, :mod:`.pictures` and :mod:`.sheet` show it.
"""

from .rasters import to_raster
from .reporting import report

__all__ = ["report", "to_raster"]
