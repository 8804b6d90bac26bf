"""How alike two towns are: fifteen figures of form per window on vector layers, and distances between windows."""

from __future__ import annotations

from .run import compare

__all__ = ["compare"]
