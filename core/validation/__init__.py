"""Proofs on layers of streets, buildings and blocks of any origin."""

from __future__ import annotations

from .run import validate

__all__ = ["validate"]
