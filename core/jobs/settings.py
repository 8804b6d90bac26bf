"""What all settings have in common: JSON both ways, and checks that end in one clear sentence.

Imports the standard library only; runs on Python 3.9 inside QGIS.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ..errors import TerrainError

S = TypeVar("S")

LONGEST = 1e9
"""Lengths that can be given are not larger, in units of the CRS."""

RASTERS = (".tif", ".tiff")
"""How names of rasters to write may end."""

LARGEST_FLOAT32 = 3.4028234663852886e38


def to_json(settings: Any) -> dict:
    """Settings as plain JSON values."""
    return dataclasses.asdict(settings)


def from_json(kind: type[S], values: dict) -> S:
    """Settings of ``kind`` from plain JSON values; an unknown name is refused with the list of those allowed."""
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise TerrainError(f"The settings are {values!r}; give names with values, the names are {', '.join(names)}.")
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise TerrainError(f"Unknown setting {', '.join(unknown)}; the settings are {', '.join(names)}.")
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in values]  # type: ignore[arg-type]
    if missing:
        raise TerrainError(f"The setting {' and '.join(missing)} is missing; the settings are {', '.join(names)}.")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def require_choice(label: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of ``allowed``."""
    if value not in allowed:
        raise TerrainError(f"{label} is {value!r}; it can be {', '.join(allowed)}.")


def require_text(label: str, value: Any) -> None:
    """Refuse what is not text."""
    if not isinstance(value, str):
        raise TerrainError(f"{label} is {value!r}; it must be text.")


def require_numbers(label: str, values: Any, count: int) -> None:
    """Refuse what is not ``count`` finite numbers."""
    if not isinstance(values, (tuple, list)) or len(values) != count or not all(map(_is_number, values)):
        raise TerrainError(f"{label} is {values!r}; it must be {count} numbers.")


def require_number(label: str, value: Any, low: float, high: float, unit: str = "") -> None:
    """Refuse what is not a finite number from ``low`` to ``high``."""
    if not _is_number(value) or not low <= value <= high:
        raise TerrainError(
            f"{label} is {value}{unit}; it must be a number from {_in_words(low)} to {_in_words(high)}{unit}."
        )


def _in_words(limit: float) -> str:
    """A limit as people write it: 10,000,000 and not 1e+07."""
    return f"{limit:,.0f}" if 1e6 <= abs(limit) < 1e12 else f"{limit:g}"


def require_length(label: str, value: Any) -> None:
    """Refuse what is no length in units of the CRS."""
    if not _is_number(value) or not 0 < value <= LONGEST:
        raise TerrainError(
            f"{label} is {value}; it must be above 0 and at most {_in_words(LONGEST)}, in units of the CRS."
        )


def require_band(label: str, value: Any) -> None:
    """Refuse what is no number of a band."""
    if not isinstance(value, int):
        raise TerrainError(f"{label} is {value!r}; it must be a whole number from 1.")
    require_number(label, value, 1, 65535)


def require_outputs(outputs: Mapping[str, str], endings: Mapping[str, Sequence[str]], inputs: Sequence[str]) -> None:
    """Refuse files to write, by the name of the setting, that end otherwise, that are read, or that are one file."""
    labels = {name: name.replace("_", " ") for name in outputs}
    for name, path in outputs.items():
        label = labels[name]
        if name in endings and os.path.splitext(path)[1].lower() not in endings[name]:
            raise TerrainError(f"The {label} {path} must end in {' or '.join(endings[name])}; rename it.")
        if any(same_file(path, given) for given in inputs if given):
            raise TerrainError(f"The {label} {path} is also an input; choose another name for the {label}.")
    for one, other in itertools.combinations(outputs, 2):
        if same_file(outputs[one], outputs[other]):
            raise TerrainError(f"The {labels[one]} and the {labels[other]} are the same file {outputs[other]}; "
                               "choose two names.")  # fmt: skip


def same_file(first: str, second: str) -> bool:
    """Whether two paths name one file, links and upper case on Windows included."""
    if os.path.exists(first) and os.path.exists(second):
        return os.path.samefile(first, second)
    return os.path.normcase(os.path.abspath(first)) == os.path.normcase(os.path.abspath(second))


def require_intervals(values: Any) -> None:
    """Refuse what is not a list of no-data intervals, each low and high."""
    if not isinstance(values, (tuple, list)):
        raise TerrainError(f"No-data is {values!r}; it must be a list of intervals.")
    for interval in values:
        if not isinstance(interval, (tuple, list)) or len(interval) != 2:
            raise TerrainError(f"The no-data interval is {interval!r}; it must be two numbers, low and high.")


def require_extent(value: Any) -> None:
    """Refuse what is no extent with an area; None is all there is."""
    if value is None:
        return
    require_numbers("Extent", value, 4)
    if not (value[0] < value[2] and value[1] < value[3]):
        raise TerrainError(f"The extent {value} is empty; west must be below east and south below north.")


def require_nodata(value: Any) -> None:
    """Refuse a no-data value that is no number of a float32 raster; None is that of the input."""
    if value is None:
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TerrainError(f"The no-data value is {value!r}; it must be a number.")
    if abs(value) > LARGEST_FLOAT32:
        raise TerrainError(f"The no-data value {value} does not fit the float32 output; choose -9999, say.")


def require_device(value: str) -> None:
    """Refuse what names no device."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise TerrainError(f"Device is {value!r}; it can be auto, cpu, cuda or cuda:N with a number N.")


def require_switch(label: str, value: Any) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise TerrainError(f"{label} is {value!r}; it can be true or false.")


def require_scheduler(value: str, device: str) -> None:
    """Refuse what names no dask scheduler, and a graphics card chosen by number for workers that have their own."""
    if not value:
        return
    if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d{1,5}", value) and not os.path.exists(value):
        raise TerrainError(
            f"Scheduler is {value!r}; it must be an address such as tcp://host:8786, or an existing scheduler file."
        )
    if re.fullmatch(r"cuda:\d+", device):
        raise TerrainError(
            f"Device is {device!r}, but with a scheduler each worker chooses its own graphics card; give cuda instead."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
