"""Parameters that are numbers. Imports qgis and light parts of core."""

from __future__ import annotations

from qgis.core import (
    QgsProcessingParameterDistance,
    QgsProcessingParameterNumber,
)

from ...core.errors import TerrainError
from ...core.jobs import superresolve as superresolve_job
from ...core.jobs import traindem as traindem_job
from .parameter import Call, Parameter, helped

Number = QgsProcessingParameterNumber


def scale(default: float = superresolve_job.DEFAULT_SCALE) -> Parameter:
    """How many times finer."""
    return Parameter(
        "SCALE",
        lambda: helped(
            Number(
                "SCALE",
                "Scale",
                Number.Type.Double,
                default,
                True,
                1.0,
                superresolve_job.MAX_SCALE,
            ),
            "How many times smaller the cells become, from 1 to 16; any real number. The upper left corner stays.",
        ),
        lambda call: {"scale": given_number(call, "SCALE", "Scale")},
    )


def cell_size(text: str = "") -> Parameter:
    """Cell size of the result; ``text`` is the help where the usual one does not fit."""
    return Parameter(
        "CELL_SIZE",
        lambda: helped(
            QgsProcessingParameterDistance("CELL_SIZE", "Cell size", None, "INPUT", True, 0.0),
            text
            or "Width and height of the new cells in horizontal units of the input's CRS (degrees where it is "
            "geographic). It goes before scale.",
        ),
        lambda call: {"cell_size": given_number(call, "CELL_SIZE", "Cell size")},
    )


def memory() -> Parameter:
    """Most memory for the tiles in work."""
    return Parameter(
        "MEMORY",
        lambda: helped(
            Number("MEMORY", "Memory (MB)", Number.Type.Double, None, True, 0.0),
            "Most memory for the tiles in work, in MB. Empty: 640, at most an eighth of the computer's memory.",
            advanced=True,
        ),
        lambda call: {"memory_mb": given_number(call, "MEMORY", "Memory")},
    )


def nodata() -> Parameter:
    """No-data value of the result."""
    return Parameter(
        "NODATA",
        lambda: helped(
            Number("NODATA", "No-data value of the result", Number.Type.Double, None, True),
            "Number that stands for no-data in the result. Empty: that of the input, else -9999.",
            advanced=True,
        ),
        lambda call: {"nodata": given_number(call, "NODATA", "No-data value")},
    )


def minutes() -> Parameter:
    """Time budget of a training."""
    return Parameter(
        "MINUTES",
        lambda: helped(
            Number("MINUTES", "Minutes", Number.Type.Double, traindem_job.DEFAULT_MINUTES, True, 0.0),
            "How long to train. The learning rate follows this time, so more minutes are another training, not the "
            "same one for longer. It ends earlier when nothing gets better any more.",
        ),
        lambda call: {"minutes": _number_or(call, "MINUTES", "Minutes", traindem_job.DEFAULT_MINUTES)},
    )


def seed() -> Parameter:
    """Seed of random draws."""
    return Parameter(
        "SEED",
        lambda: helped(
            Number("SEED", "Seed", Number.Type.Integer, None, True, 0),
            "Number that random draws begin with. Empty: that of the recipe.",
            advanced=True,
        ),
        lambda call: {"seed": given_whole(call, "SEED", "Seed")},
    )


def given_number(call: Call, name: str, label: str) -> float | None:
    """The number that was given; None where it is empty."""
    given = call.raw(name)
    if given is None:
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        raise TerrainError(f"{label} is {given!r}; it must be a number.") from None


def _number_or(call: Call, name: str, label: str, default: float) -> float:
    number = given_number(call, name, label)
    return default if number is None else number


def given_whole(call: Call, name: str, label: str) -> int | None:
    """The whole number that was given; None where it is empty."""
    number = given_number(call, name, label)
    if number is not None and number != int(number):
        raise TerrainError(f"{label} is {number:g}; it must be a whole number.")
    return None if number is None else int(number)


def number(
    name: str, label: str, text: str, default: float | None = None, low: float | None = None, advanced: bool = False
) -> Parameter:
    """One number of a tool; empty stands for ``default``."""
    return Parameter(
        name,
        lambda: helped(
            Number(name, label, Number.Type.Double, default, True, *([] if low is None else [low])), text, advanced
        ),
        lambda call: {name.lower(): default if call.raw(name) is None else given_number(call, name, label)},
    )


def whole(
    name: str, label: str, text: str, low: int | None = None, advanced: bool = False, default: int | None = None
) -> Parameter:
    """One whole number of a tool; empty stands for ``default``."""
    return Parameter(
        name,
        lambda: helped(
            Number(name, label, Number.Type.Integer, default, True, *([] if low is None else [low])), text, advanced
        ),
        lambda call: {name.lower(): default if call.raw(name) is None else given_whole(call, name, label)},
    )
