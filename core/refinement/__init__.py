"""A finer DEM from a coarse one, tile by tile: what *Super-resolve DEM* does in the engine.

Joins the parts that do not know each other: files (:mod:`..raster`), target grids (:mod:`..grid`), plans
(:mod:`..tiling`), models (:mod:`..elevation`), the order of work (:mod:`..pipeline`) and its journal
(:mod:`..journal`). :mod:`.work` is one tile, :mod:`.outputs` the files, :mod:`.recipe` other machines, :mod:`.run` the
whole.
"""

from .run import cost_of, refine, target_of
from .work import Coarse, Fine, Made, Wanted, Work, classes_of

__all__ = ["Coarse", "Fine", "Made", "Wanted", "Work", "classes_of", "cost_of", "refine", "target_of"]
