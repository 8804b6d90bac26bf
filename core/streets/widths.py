"""Widths of streets: the usual one of their rank, less where the finest fields set buildings nearer.

Existing streets keep their width. Imports numpy and shapely.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from . import network as net
from .network import Network
from .street_field import Lattice

Floats = NDArray[np.float64]

LEAST_SHARE = 0.55
"""A street keeps at least this share of its usual width."""
SETBACK_M = 0.5
STEP_M = 4.0
QUANTILE = 0.2
"""So much of a street may be narrower still: there its buildings are cut instead."""


def fitted(network: Network, wall_m: NDArray[np.floating[Any]], lattice: Lattice) -> Network:
    """The network with widths that leave buildings where they are.

    Parameters
    ----------
    network
        Streets of usual width.
    wall_m, lattice
        Distance from the nearest wall, negative on open ground, on cells of 2 m.

    """
    if not len(network):
        return network
    points, owner = shapely.get_coordinates(shapely.segmentize(network.lines, STEP_M), return_index=True)
    clear = -np.asarray(lattice.sample(wall_m, points), np.float64)
    order = np.lexsort((clear, owner))
    size = np.bincount(owner, minlength=len(network))
    low = clear[order][np.cumsum(size) - size + (QUANTILE * (size - 1)).astype(int)]
    usual = network.width_m
    width = np.clip(2 * (low - SETBACK_M), LEAST_SHARE * usual, usual)
    width = np.where(network.origin == net.EXISTING, usual, np.floor(width * 10) / 10)
    return replace(network, fitted_m=width)
