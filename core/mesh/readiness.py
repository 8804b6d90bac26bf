"""Whether the machine code of the triangulation is there already. Making it takes about a minute, once per version.

Imports numpy, :mod:`..compiled` and :mod:`..errors` only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ..compiled import folder_of
from . import tile
from .triangulation import triangulate


def is_compiled() -> bool:
    """Whether everything was compiled for this computer before."""
    return _sign().exists()


def warm_up() -> None:
    """Compile all functions, or load them, by making small meshes with all that a mesh may have."""
    rows, cols = np.mgrid[:24, :24].astype(float)
    heights = 20 * np.sin(rows / 3) * np.cos(cols / 4)
    valid = np.hypot(rows - 9, cols - 15) > 4
    line = np.array([[1.0, 2.0], [20.0, 21.0]])
    for between in (False, True):
        triangulate(heights, valid, 2.0, between=between, breaklines=[line], side_px=12, workers=1)
    triangulate(heights, valid, max_triangles=200, workers=1)
    with contextlib.suppress(OSError):
        _sign().parent.mkdir(parents=True, exist_ok=True)
        _sign().touch()


def _sign() -> Path:
    """An empty file beside the machine code of the module that uses all others."""
    return folder_of(Path(tile.__file__).resolve()) / "complete"
