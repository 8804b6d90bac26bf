"""Profiles of a continuous surface along lines: positions on the ground, heights and slopes, table and plot."""

from __future__ import annotations

from .run import profile

__all__ = ["profile"]
