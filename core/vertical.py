"""Units of height. Inside the library heights are metres; files keep their own unit. Standard library only."""

from __future__ import annotations

METRES = {"metre": 1.0, "foot": 0.3048, "us-foot": 1200.0 / 3937.0}
"""Metres in one unit, by the name used in settings."""

SYMBOLS = {"metre": "m", "foot": "ft", "us-foot": "US survey ft"}
"""The units in short, to be put behind a number."""

NAMES = {"metre": "metres", "foot": "feet", "us-foot": "US survey feet"}
"""The units as a sentence says them."""

_SPELLINGS = {
    "metre": ("m", "metre", "meter", "metres", "meters", "mètre"),
    "foot": ("ft", "foot", "feet", "international foot", "international feet", "foot_international"),
    "us-foot": ("us-ft", "us-foot", "ftus", "us survey foot", "us survey feet", "foot_us", "us foot", "sft", "usft"),
}


def unit_of(text: str | None) -> str | None:
    """Name of the unit that a band or a CRS calls ``text``; None where it is empty or unknown."""
    wanted = (text or "").strip().lower()
    for name, spellings in _SPELLINGS.items():
        if wanted in spellings:
            return name
    return None
