"""Terrain meshes from files: what *Terrain mesh* does in the engine.

Joins the parts that do not know each other: rasters (:mod:`..raster`), layers (:mod:`..vector`), the triangulation
(:mod:`..mesh`), the independent check of it (:mod:`..mesh_check`), mesh files (:mod:`..mesh_files`) and the order of
work (:mod:`..pipeline`). :mod:`.ground` is the lattice, :mod:`.region` what of it is meshed, :mod:`.work` one tile,
:mod:`.making` all of them, :mod:`.recipe` other machines, :mod:`.checking` what was made, :mod:`.run` the whole.
"""

from .run import mesh

__all__ = ["mesh"]
