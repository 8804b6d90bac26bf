"""Slope, aspect, hillshade and curvatures as rasters, from the derivatives of a continuous surface."""

from __future__ import annotations

from .run import derive

__all__ = ["derive"]
