"""Running a plan: read, compute, encode and write overlap in bounded memory, with progress and cancel.

:mod:`.local` uses the cores and GPUs of this computer, :mod:`.cluster` those of others through Dask; :mod:`.clock`
estimates the time that is left. Knows neither terrain nor torch: callables come in (:mod:`.work`). The door to dask.
"""

from __future__ import annotations

from .local import run
from .work import OpenWork, Recipe, Tiles, Work, Write

__all__ = ["OpenWork", "Recipe", "Tiles", "Work", "Write", "run"]
