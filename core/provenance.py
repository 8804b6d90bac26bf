"""What a result says about how it was made. Standard library only."""

from __future__ import annotations

import configparser
import json
from pathlib import Path, PurePath
from typing import Any

from .elevation.card import Card

PATHS = ("input", "grid", "model", "output", "difference", "uncertainty", "provenance")
"""Settings that name files."""


def version() -> str:
    """Version of Neural Terrain, from metadata.txt beside the package."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(Path(__file__).resolve().parents[1] / "metadata.txt", encoding="utf-8")
    return parser.get("general", "version", fallback="unknown")


def tags(card: Card, compute: str, settings: dict) -> dict[str, str]:
    """Raster tags: software, model with hash, number format, and the settings that differ from nothing (0 is told).

    Paths are cut to file names: a result may be published, the folders of its maker need not be.
    """
    told = {k: PurePath(v).name if k in PATHS else v for k, v in settings.items() if v or _is_zero(v)}
    return {
        "NEURAL_TERRAIN_VERSION": version(),
        "NEURAL_TERRAIN_MODEL": f"{card.name} {card.version} {card.short_hash}",
        "NEURAL_TERRAIN_COMPUTE": compute,
        "NEURAL_TERRAIN_SETTINGS": json.dumps(told, ensure_ascii=True, sort_keys=True),
    }


def _is_zero(value: Any) -> bool:
    """Whether a value is the number 0, which says something, unlike False or an empty text."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0
