"""Parameters that are one word of a closed set, or yes or no. Imports qgis and light parts of core."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.core import (
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
)

from ...core.errors import TerrainError
from ...core.jobs import superresolve as superresolve_job
from .parameter import Call, Parameter, helped


def voids() -> Parameter:
    """What happens to no-data inside."""
    return choice(
        "VOIDS",
        "Voids",
        superresolve_job.VOIDS,
        "keep: no-data stays no-data. fill: voids with ground all around, at most 24 cells wide and 64 long, are "
        "filled; the sea, the collar of a turned scene and larger voids stay no-data.",
    )


def honour_input() -> Parameter:
    """Whether coarse heights are reproduced."""
    return choice(
        "HONOUR_INPUT",
        "Honour the input",
        superresolve_job.HONOUR_INPUT,
        "yes: the averages of the coarse cells (or the heights at their centres) come out as given. no: not exactly, "
        "for noisy input. Models that cannot do it keep them nearly, either way.",
        advanced=True,
    )


def sampling() -> Parameter:
    """What a cell's height means."""
    return choice(
        "SAMPLING",
        "Heights are",
        superresolve_job.SAMPLING,
        "average: a height is the mean over its cell. point: it is that of the cell's centre. auto: as the file says "
        "(AREA_OR_POINT).",
    )


def z_unit(whose: str = "the heights, in and out") -> Parameter:
    """Unit of the heights."""
    return choice(
        "Z_UNIT",
        "Vertical unit",
        superresolve_job.Z_UNITS,
        f"Unit of {whose}. auto: as the band or the vertical CRS says, else metres.",
        advanced=True,
    )


def compression() -> Parameter:
    """Compression of the GeoTIFFs."""
    return choice(
        "COMPRESSION",
        "Compression",
        superresolve_job.COMPRESSIONS,
        "Compression of the GeoTIFFs. ZSTD is fast and small, DEFLATE is read by every program, LERC allows 1 mm of "
        "error, NONE writes plain numbers.",
        advanced=True,
    )


def layout() -> Parameter:
    """Order of what is in the GeoTIFFs."""
    return choice(
        "LAYOUT",
        "Layout",
        superresolve_job.LAYOUTS,
        "geotiff: tiled. cog: cloud-optimised GeoTIFF, tiled and with overviews, fast to show at any zoom and over a "
        "network; it is made in a second pass and needs the space of both files for that time.",
        advanced=True,
    )


def precision() -> Parameter:
    """Number format of the computation."""
    return choice(
        "PRECISION",
        "Number format",
        superresolve_job.PRECISIONS,
        "What the model computes with. auto: bfloat16 where the processor or the graphics card is fast with it, else "
        "float32. float32 is slower and the same to within the model's own error.",
        advanced=True,
    )


def resume() -> Parameter:
    """Whether an unfinished run is continued."""
    return switch(
        "RESUME",
        "Continue an unfinished run",
        "If a run with the same input, model and settings was broken off, keep its finished tiles; the result is the "
        "same as that of an unbroken run. Off: start anew.",
        default=True,
    )


def choice(
    name: str, label: str, allowed: Sequence[str], text: str, advanced: bool = False, default: str = ""
) -> Parameter:
    """One of a closed set of words; without a ``default`` it is the first."""
    allowed, usual = list(allowed), default or allowed[0]
    return Parameter(
        name,
        lambda: helped(
            QgsProcessingParameterEnum(name, label, allowed, False, usual, False, True), text, advanced=advanced
        ),
        lambda call: {name.lower(): given_word(call, name, allowed, usual)},
    )


def switch(name: str, label: str, help_text: str, default: bool = False) -> Parameter:
    """Yes or no."""
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterBoolean(name, label, default, True), help_text, advanced=True),
        lambda call: {name.lower(): _yes(call, name, label, default)},
    )


def given_word(call: Call, name: str, allowed: list[str], usual: str) -> str:
    """The word as it was given, for the settings to judge: QGIS would make an unknown one the default in silence.

    Its number will do too, which is what ``qgis_process help`` asks for; ``usual`` stands for an empty one.
    """
    given = call.raw(name)
    number = str(given)
    if number not in allowed and number.isdigit() and int(number) < len(allowed):
        return allowed[int(number)]
    return usual if given is None else str(given)


def _yes(call: Call, name: str, label: str, default: bool) -> bool:
    given = call.raw(name)
    word = str(default if given is None else given).strip().lower()
    if word in ("false", "no", "0"):
        return False
    if word in ("true", "yes", "1"):
        return True
    raise TerrainError(f"{label} is {given!r}; it can be true or false.")
