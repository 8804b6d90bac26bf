"""Contours of a continuous surface, traced on the surface itself to a stated tolerance, not on its cells."""

from __future__ import annotations

from .run import contour

__all__ = ["contour"]
