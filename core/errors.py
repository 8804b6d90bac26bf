"""The two ways a job ends without a result. Imports nothing; runs on Python 3.9 inside QGIS too."""

from __future__ import annotations


class TerrainError(Exception):
    """What was given, what is allowed and what to do, in one or two sentences that a geographer can act upon."""


class Cancelled(Exception):
    """The user ended the job; nothing is to be explained."""
