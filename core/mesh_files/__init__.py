"""Mesh files: one module for each format, written aside and renamed, read by what their first bytes say.

Terrain goes into UGRID, PLY or 2DM in coordinates of its CRS with double precision; QGIS opens these as mesh layers.
Solids for printing go into STL, 3MF, OBJ or GLB in millimetres, counted from an origin of their own.
"""

from __future__ import annotations

from .door import ENDINGS, SOLID, TERRAIN, UNITS_MM, read, write, written

__all__ = ["ENDINGS", "SOLID", "TERRAIN", "UNITS_MM", "read", "write", "written"]
