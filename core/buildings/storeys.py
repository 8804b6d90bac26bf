"""Heights and floors: a floor is 3.1 m; a floor-area ratio is met by one factor, then floor by floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

FLOOR_M = 3.1
MOST_FLOORS = 60
LEAST_HEIGHT_M = 2.2


@dataclass(frozen=True)
class Storeys:
    """What heights have to give: floor area over land, or the mean height weighted by footprint; None leaves it."""

    far: float | None
    mean_height_m: float | None
    land_m2: float


def storeys(area_m2: Floats, height_m: Floats, wish: Storeys) -> tuple[Floats, Numbers]:
    """Heights in decimetres and floors of buildings."""
    if not len(area_m2):
        return height_m, np.zeros(0, np.int64)
    if wish.far is not None:
        height_m = _for_floor_area(area_m2, height_m, wish.far * wish.land_m2)
    elif wish.mean_height_m is not None:
        mean = float((area_m2 * height_m).sum() / area_m2.sum())
        height_m = height_m * wish.mean_height_m / mean
    height_m = np.round(np.maximum(height_m, LEAST_HEIGHT_M), 1)
    return height_m, floors_of(height_m)


def floors_of(height_m: Floats) -> Numbers:
    """Floors of a height, at least one."""
    return np.maximum(np.floor(height_m / FLOOR_M + 0.5), 1).astype(np.int64)


def _for_floor_area(area_m2: Floats, height_m: Floats, wanted_m2: float) -> Floats:
    """Heights whose floors give a floor area: the best factor by bisection, then single floors.

    Where one floor of all buildings is more than enough, they have one floor.
    """
    low, high = 0.0, MOST_FLOORS * FLOOR_M / max(float(height_m.min()), 2.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _floor_area(area_m2, height_m * middle) < wanted_m2 else (low, middle)
    floors = np.minimum(floors_of(height_m * low), MOST_FLOORS)
    missing_m2 = wanted_m2 - float((floors * area_m2).sum())
    for k in np.argsort(-area_m2, kind="stable"):
        step = int(np.sign(missing_m2))
        left_m2 = missing_m2 - step * float(area_m2[k])
        if abs(left_m2) < abs(missing_m2) and 1 <= floors[k] + step <= MOST_FLOORS:
            floors[k] += step
            missing_m2 = left_m2
    scaled: Floats = np.maximum(height_m * low, LEAST_HEIGHT_M)
    fits = floors_of(np.round(scaled, 1)) == floors
    return np.where(fits, scaled, floors * FLOOR_M)


def _floor_area(area_m2: Floats, height_m: Floats) -> float:
    return float((np.minimum(floors_of(height_m), MOST_FLOORS) * area_m2).sum())
