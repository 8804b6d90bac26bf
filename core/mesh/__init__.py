"""Terrain meshes under a guarantee: triangulations of height fields with a bound on the vertical error.

Arrays in, arrays out, in *lattice coordinates*: column and row of cell centres, whole numbers at centres, rows going
down. Knows no files and no CRS. Imports numpy, :mod:`..compiled`, :mod:`..errors` and :mod:`..tiling` only.

Tile by tile: `Tiles` says which there are, `triangulate_tile` makes a `Part` of each, anywhere and in any order, `join`
makes one `Mesh` of them. For a budget or an RMSE `curve_of_tile` comes first. `triangulate` does all of it in memory.
Afterwards `clip.clip` cuts a mesh along polygons, and `following.follow` gives it edges along lines; the surface stays.
"""

from __future__ import annotations

from .curve import Curve, level_for_budget, meshes_for_rmse
from .tile import Aim, Part, curve_of_tile, triangulate_tile
from .tiles import Tiles
from .triangulation import BETWEEN, Mesh, join, triangulate

__all__ = [
    "BETWEEN", "Aim", "Curve", "Mesh", "Part", "Tiles", "curve_of_tile", "join", "level_for_budget", "meshes_for_rmse",
    "triangulate", "triangulate_tile",
]  # fmt: skip
