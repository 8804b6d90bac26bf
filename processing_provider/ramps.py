"""Colour ramps of result layers: positions with colours. Imports nothing."""

from __future__ import annotations

DIVERGING = (
    (-1.0, "#1b4f8f"),
    (-0.6, "#4a90c4"),
    (-0.25, "#b3d3e8"),
    (0.0, "#f7f6f3"),
    (0.25, "#f3c3ab"),
    (0.6, "#d3624f"),
    (1.0, "#8f1327"),
)
"""Blue over white to red; positions are shares of the largest difference shown."""

SEQUENTIAL = (
    (0.0, "#fbf7ee"),
    (0.2, "#f1d9b8"),
    (0.4, "#dda68f"),
    (0.6, "#b96f80"),
    (0.8, "#804470"),
    (1.0, "#3d2352"),
)
"""Pale to dark; positions are shares of the largest error shown."""

TERRAIN = (
    (0.0, "#5f7f68"),
    (0.15, "#8ea57c"),
    (0.35, "#cfc696"),
    (0.55, "#d3ab78"),
    (0.75, "#a97f5f"),
    (0.9, "#b89f8c"),
    (1.0, "#f1ece4"),
)
"""Green lowland over sand and brown to snow; positions are shares of the range of heights."""

CIRCULAR = (
    (0.0, "#34507c", "N"),
    (45.0, "#4d86a0", "NE"),
    (90.0, "#7fb59a", "E"),
    (135.0, "#d3cf8f", "SE"),
    (180.0, "#f3d79b", "S"),
    (225.0, "#dd9d6c", "SW"),
    (270.0, "#b0637a", "W"),
    (315.0, "#6f4f86", "NW"),
    (360.0, "#34507c", "N"),
)
"""Colours of directions in degrees clockwise from north: dark blue, green, pale yellow, red and back."""
