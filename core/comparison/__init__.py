"""Any DEM against a reference, block by block: what *Compare DEMs* does in the engine.

Everything is compared on the cells of the reference: where the input is finer it is averaged over them, where it is
coarser it is interpolated cubically, in whatever CRS it comes (:mod:`..resampling`). So every figure speaks of the
ground at the reference's cell size, and what a coarse input lacks counts as its error. All heights are metres.

Joins the parts that do not know each other: files (:mod:`..raster`), grids (:mod:`..grid`), measures
(:mod:`..evaluation`), the report (:mod:`..report`) and the order of work (:mod:`..pipeline`). :mod:`.ground` is what is
compared, :mod:`.work` one block, :mod:`.merging` many, :mod:`.recipe` other machines, :mod:`.findings` what comes out,
:mod:`.run` the whole.
"""

from .ground import common_grid, name_of
from .run import compare

__all__ = ["common_grid", "compare", "name_of"]
