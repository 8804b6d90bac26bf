"""Scenes for an area: fields of the model, streets, buildings and land use on them, proofs, and files."""

from __future__ import annotations

from .filling import fill
from .roads import lay_roads
from .run import generate

__all__ = ["fill", "generate", "lay_roads"]
