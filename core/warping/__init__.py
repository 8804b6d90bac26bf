"""A continuous surface on any grid in any CRS, in one step: each target cell asks the surface where it lies."""

from __future__ import annotations

from .run import warp

__all__ = ["warp"]
