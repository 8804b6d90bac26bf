"""The user's layers filtered and brought to one form, with a list of all that is dropped."""

from __future__ import annotations

from .run import prepare

__all__ = ["prepare"]
