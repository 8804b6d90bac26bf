"""A continuous surface asked at points: heights, slopes and curvatures at exact positions, millions of them."""

from __future__ import annotations

from .run import query

__all__ = ["query"]
