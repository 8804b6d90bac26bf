"""Independent measures of a finished mesh: whether it is a sound surface, and how far it is from the DEM.

Shares no code with the triangulation (:mod:`..mesh`), so that neither can hide a mistake of the other. Arrays in,
figures out; knows no files and no CRS. Imports numpy, scipy, :mod:`..compiled`, :mod:`..errors` and :mod:`..tiling`.

Two kinds of coordinates occur. :func:`soundness` takes any. Everything that compares with cells takes *lattice
coordinates*: column and row of cell centres, whole numbers at centres, rows going down.
"""

from __future__ import annotations

from .accuracy import BETWEEN, Accuracy
from .facets import Blocks, Facets
from .measuring import Measured, Worst, measure
from .shape import smallest_angles_deg
from .soundness import Soundness, soundness

__all__ = [
    "BETWEEN", "Accuracy", "Blocks", "Facets", "Measured", "Soundness", "Worst", "measure", "smallest_angles_deg",
    "soundness",
]  # fmt: skip
