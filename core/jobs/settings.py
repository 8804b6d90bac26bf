"""What all settings have in common: JSON both ways, and checks that end in one clear sentence.

Imports the standard library only; runs on Python 3.9 inside QGIS.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from ..errors import TerrainError

S = TypeVar("S")


def to_json(settings: Any) -> dict:
    """Settings as plain JSON values."""
    return dataclasses.asdict(settings)


def from_json(kind: type[S], values: dict) -> S:
    """Settings of ``kind`` from plain JSON values; an unknown name is refused with the list of those allowed."""
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise TerrainError(f"Unknown setting {', '.join(unknown)}; the settings are {', '.join(names)}.")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def require_choice(label: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of ``allowed``."""
    if value not in allowed:
        raise TerrainError(f"{label} is {value!r}; it can be {', '.join(allowed)}.")


def require_number(label: str, value: Any, low: float, high: float, unit: str = "") -> None:
    """Refuse what is not a finite number from ``low`` to ``high``."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:
        raise TerrainError(f"{label} is {value}{unit}; it must be a number from {low:g} to {high:g}{unit}.")
