"""Where a town is mapped: open ground is known to be empty only inside the mapped area.

An empty cell may be a park, a place that nobody has mapped yet, or the far side of an extract's edge. The two rules
here tell them apart well enough to mask a loss and to choose windows to judge; they look at cells of 50 m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, binary_erosion, uniform_filter

NEAR_CELLS = 2
GAP_CELLS = 8
UNBUILT_SHARE = 0.015
STREETS_M_PER_M2 = 0.004


def mapped_area(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells within the outline of what is present: gaps up to about 800 m wide are closed, outer edges kept."""
    pad = 2 * GAP_CELLS
    wide = binary_dilation(np.pad(present, pad), iterations=NEAR_CELLS)
    closed = binary_closing(wide, structure=np.ones((3, 3), bool), iterations=GAP_CELLS)
    return binary_erosion(closed, iterations=NEAR_CELLS)[pad:-pad, pad:-pad]


def buildings_mapped(share: NDArray[np.float32], streets: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where buildings are mapped: inside their outline, but not where a dense net of streets stands without houses.

    Parameters
    ----------
    share, streets
        Share of buildings and length of minor streets in m/m2, per cell of 50 m.

    """
    local_share, local_streets = uniform_filter(share, 9), uniform_filter(streets, 9)
    missing = (local_share < UNBUILT_SHARE) & (local_streets > STREETS_M_PER_M2)
    return mapped_area(share > 0.01) & ~binary_dilation(missing, iterations=2)


def roads_mapped(length: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where roads are mapped, from their length in m/m2 per cell of 50 m."""
    return mapped_area(length > 0)
