"""*Terrain solid for 3D printing*: where raster, vectors, triangulation, solid geometry and files meet.

Closed bodies are made by manifold3d, polygons by shapely; both are used in this package only.
"""

from __future__ import annotations

from .run import build

__all__ = ["build"]
