"""Points to a continuous surface: spacing, trimming, a smoothing spline tile by tile, its errors, and a file for it."""

from __future__ import annotations

from .run import fit_surface

__all__ = ["fit_surface"]
