"""What can be derived from a surface: how each layer is computed from slopes and bends, and how it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .. import attributes
from ..elevation.relief import Relief
from ..jobs.derive import Settings
from ..raster import Floats, Writing


@dataclass(frozen=True)
class Layer:
    """One output.

    Attributes
    ----------
    description, label
        Of the band, and the unit that it names.
    rounding, per_cell
        Stored numbers are whole multiples of one over ``rounding * cell_m ** per_cell``, taken to a power of two: bends
        are the smaller the larger the forms of the ground are.
    degree
        Derivatives that it needs.
    compute
        Its values from the surface.

    """

    description: str
    label: str
    rounding: float
    per_cell: int
    degree: int
    compute: Callable[[Relief, Settings], Floats]


def _slope(relief: Relief, settings: Settings) -> Floats:
    return attributes.slope_deg(*_gradient(relief))


def _aspect(relief: Relief, settings: Settings) -> Floats:
    return attributes.aspect_deg(*_gradient(relief))


def _hillshade(relief: Relief, settings: Settings) -> Floats:
    return attributes.hillshade(*_gradient(relief), settings.azimuth_deg, settings.altitude_deg, settings.z_factor)


def _profile(relief: Relief, settings: Settings) -> Floats:
    return attributes.profile_curvature(*_gradient(relief), *_bends(relief))


def _plan(relief: Relief, settings: Settings) -> Floats:
    return attributes.plan_curvature(*_gradient(relief), *_bends(relief))


def _total(relief: Relief, settings: Settings) -> Floats:
    return attributes.total_curvature(*_bends(relief))


LAYERS = {
    "slope": Layer("Slope", "degree", 2.0**10, 0, 1, _slope),
    "aspect": Layer("Aspect", "degree", 2.0**10, 0, 1, _aspect),
    "hillshade": Layer("Hillshade", "grey value", 2.0**4, 0, 1, _hillshade),
    "profile_curvature": Layer("Profile curvature", "rad/m", 2.0**27, 1, 2, _profile),
    "plan_curvature": Layer("Plan curvature", "rad/m", 2.0**27, 1, 2, _plan),
    "total_curvature": Layer("Total curvature", "rad2/m2", 2.0**34, 2, 2, _total),
}


def writing_of(name: str, settings: Settings, tags: dict[str, str], cell_m: float) -> Writing:
    """How a layer of a DEM whose cells measure ``cell_m`` is stored."""
    layer = LAYERS[name]
    rounding = 2.0 ** round(math.log2(layer.rounding * cell_m**layer.per_cell))
    return Writing(
        compression=settings.compression, description=layer.description, label=layer.label, rounding=rounding, tags=tags
    )


def _gradient(relief: Relief) -> tuple[Floats, Floats]:
    if relief.east is None or relief.north is None:
        raise ValueError("The slope of the surface was not asked for.")
    return relief.east, relief.north


def _bends(relief: Relief) -> tuple[Floats, Floats, Floats]:
    if relief.east_east is None or relief.east_north is None or relief.north_north is None:
        raise ValueError("The bends of the surface were not asked for.")
    return relief.east_east, relief.east_north, relief.north_north
