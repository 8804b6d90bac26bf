"""Classes of roads, OpenStreetMap's and simplified ones: rank for the fields."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MAJOR, MINOR, SERVICE, FOOT = 0, 1, 2, 3

_BY_RANK = {
    MAJOR: "major motorway trunk primary secondary tertiary motorway_link trunk_link primary_link secondary_link "
    "tertiary_link link",
    MINOR: "residential minor street street_limited unclassified living_street road busway",
    SERVICE: "service track",
    FOOT: "foot pedestrian footway path steps cycleway bridleway corridor",
}
_RANK = {name: rank for rank, names in _BY_RANK.items() for name in names.split()}


def known_words() -> frozenset[str]:
    """All names of classes that have a rank."""
    return frozenset(_RANK)


def ranks(values: Iterable[object]) -> NDArray[np.int64]:
    """Rank of each class name; an unknown or missing one counts as a minor street."""
    return np.array([_RANK.get(str(value).strip().lower(), MINOR) for value in values], np.int64)
