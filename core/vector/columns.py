"""Attributes of features as arrays from which they can be written as they were. Imports numpy only.

Numbers with gaps come from GDAL as reals, which keep 53 bits; times of day, lists and time zones have no place in an
array of numbers or moments.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]

EXACT_REALS = 2.0**53
"""From here on not every whole number is a real of 64 bits."""

SECOND_LETTERS = len("2020-01-01T00:00:00")
GREENWICH, QUARTER_MINUTES = 100, 15
"""GDAL's number of a time zone: 100 at Greenwich, 1 more for every quarter of an hour to the east, 0 where unknown."""


@dataclass(frozen=True)
class Columns:
    """Attributes of some features by name.

    Attributes
    ----------
    values
        One array for each attribute.
    missing
        Where an attribute has no value; for arrays that cannot say so themselves.
    zones
        Time zones of moments as GDAL numbers them; for columns that have any.

    """

    values: dict[str, Column] = field(default_factory=dict)
    missing: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    zones: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def columns_of(read: Mapping[str, Column], kinds: Mapping[str, str], digits: Callable[[str], Column]) -> Columns:
    """Attributes as GDAL has ``read`` them, with moments as texts, in the kinds that they have in the file.

    ``kinds`` are pyogrio's; ``digits`` reads whole numbers once more, as texts. Lists become JSON, times of day texts.
    """
    found = Columns()
    for name, values in read.items():
        kind = kinds[name]
        if kind.startswith("datetime64"):
            found.values[name], zones = moments(values, kind)
            if zones.any():
                found.zones[name] = zones
        elif kind.startswith(("int", "uint", "bool")):
            found.values[name], missing = whole_numbers(values, kind, functools.partial(digits, name))
            if missing.any():
                found.missing[name] = missing
        else:
            found.values[name] = texts(values) if values.dtype == object else values
    return found


def whole_numbers(values: Column, kind: str, digits: Callable[[], Column]) -> tuple[Column, NDArray[np.bool_]]:
    """Whole numbers, 0 where they are missing, and where that is; ``digits`` reads the texts of large ones."""
    if values.dtype.kind != "f":
        return values.astype(kind), np.zeros(len(values), dtype=bool)
    missing = np.isnan(values)
    if (np.abs(values[~missing]) >= EXACT_REALS).any():
        return np.array([int(text or 0) for text in digits().tolist()], dtype=kind), missing
    return np.where(missing, 0, values).astype(kind), missing


def moments(values: Column, kind: str) -> tuple[Column, NDArray[np.int64]]:
    """Days or moments of texts such as ``2020-01-02T03:04:05.678+02:00``, and their time zones."""
    if values.dtype != object:
        return values.astype(kind), np.zeros(len(values), dtype=np.int64)
    plain, zones = [], []
    for text in values.tolist():
        end = SECOND_LETTERS
        while text and end < len(text) and text[end] in ".0123456789":
            end += 1
        plain.append(text[:end] if text else "NaT")
        zones.append(_zone(text[end:]) if text else 0)
    return np.array(plain, dtype=kind), np.array(zones, dtype=np.int64)


def texts(values: Column) -> Column:
    """Texts as they are; lists as JSON, times of day as ``10:11:12``; None where there is nothing."""
    told = np.empty(len(values), dtype=object)
    told[:] = [value if value is None or isinstance(value, str) else _text(value) for value in values]
    return told


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist(), ensure_ascii=False)
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _zone(text: str) -> int:
    """GDAL's number of ``Z``, ``+02:00`` or nothing."""
    if not text:
        return 0
    hours, minutes = int(text[1:3] or 0), int(text[-2:]) if len(text) > len("+02") else 0
    quarters = (60 * hours + minutes) // QUARTER_MINUTES
    return GREENWICH + (-quarters if text[0] == "-" else quarters)
