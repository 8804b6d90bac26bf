"""What slopes and bends of a surface mean to a geographer: slope, aspect, hillshade, curvatures.

The arguments are derivatives of the height, ``p`` to the east and ``q`` to the north (metres per metre), ``r`` east
twice, ``s`` mixed, ``t`` north twice (per metre), arrays of any one shape. Curvatures are in radians per metre and
positive where the ground is convex. Aspect, profile and plan curvature have a direction in them, so they are NaN where
the ground is flat (:data:`FLAT`). Imports numpy only.

===================  =====================================================================================
profile curvature    along the line of fall: ``-(p^2 r + 2 p q s + q^2 t) / ((p^2 + q^2) (1 + p^2 + q^2)^1.5)``
plan curvature       of the contour on the map: ``-(q^2 r - 2 p q s + p^2 t) / (p^2 + q^2)^1.5``
total curvature      ``r^2 + 2 s^2 + t^2`` in radians^2 per m^2, never negative
===================  =====================================================================================

Profile and plan curvature after Evans (1980), total curvature after Gallant and Wilson (2000).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUN_AZIMUTH_DEG, SUN_ALTITUDE_DEG = 315.0, 45.0

FLAT = 1e-8
"""Rise per metre below which ground is flat: so little is left of none by rounding, and its direction means nothing."""


def is_flat(p: Floats, q: Floats) -> NDArray[np.bool_]:
    """Whether ground has no direction: it is level, or the very top of a hill."""
    flat: NDArray[np.bool_] = np.hypot(p, q) < FLAT
    return flat


def slope_deg(p: Floats, q: Floats) -> Floats:
    """Angle of the steepest rise in degrees."""
    slope: Floats = np.degrees(np.arctan(np.hypot(p, q)))
    return slope


def aspect_deg(p: Floats, q: Floats) -> Floats:
    """Direction of steepest descent, degrees clockwise from north, 0 to 360 as ``gdaldem aspect``; NaN where flat."""
    turned = np.degrees(np.arctan2(-p, -q)) % 360
    aspect: Floats = np.where(is_flat(p, q), np.nan, np.where(turned == 360, 0.0, turned))
    return aspect


def profile_curvature(p: Floats, q: Floats, r: Floats, s: Floats, t: Floats) -> Floats:
    """Curvature along the line of fall, see the module docstring; NaN where flat."""
    steepness = np.where(is_flat(p, q), np.nan, p**2 + q**2)
    bend = -(p**2 * r + 2 * p * q * s + q**2 * t)
    curvature: Floats = bend / (steepness * (1 + steepness) ** 1.5)
    return curvature


def plan_curvature(p: Floats, q: Floats, r: Floats, s: Floats, t: Floats) -> Floats:
    """Curvature of the contour, see the module docstring; NaN where flat."""
    steepness = np.where(is_flat(p, q), np.nan, p**2 + q**2)
    bend = -(q**2 * r - 2 * p * q * s + p**2 * t)
    curvature: Floats = bend / steepness**1.5
    return curvature


def total_curvature(r: Floats, s: Floats, t: Floats) -> Floats:
    """How much the surface bends in all directions, see the module docstring."""
    total: Floats = r**2 + 2 * s**2 + t**2
    return total


def hillshade(p: Floats, q: Floats, azimuth_deg: float = SUN_AZIMUTH_DEG, altitude_deg: float = SUN_ALTITUDE_DEG,
              z_factor: float = 1.0) -> Floats:  # fmt: skip
    """Light that falls on the ground from a sun clockwise from north, 1 to 255 as ``gdaldem hillshade`` (Horn 1981)."""
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    east, north = z_factor * p, z_factor * q
    towards = -(east * np.sin(azimuth) + north * np.cos(azimuth)) * np.cos(altitude) + np.sin(altitude)
    light: Floats = 1 + 254 * np.maximum(towards / np.sqrt(1 + east**2 + north**2), 0.0)
    return light
