"""Outlines of letters: QGIS knows the fonts, the engine does not. Imports qgis and the parameters."""

from __future__ import annotations

from qgis.core import QgsProcessingParameterString
from qgis.PyQt.QtCore import QPointF, Qt
from qgis.PyQt.QtGui import QFont, QPainterPath

from ..core.errors import TerrainError
from .parameters import Call, Parameter, helped

SIZE_PX = 200
"""Size at which curves are turned into straight pieces; the engine scales the result."""

Ring = list[tuple[float, float]]


def label(name: str, title: str, text: str) -> Parameter:
    """A line of text; gives the text, and as ``name_rings`` the outlines of its letters."""
    return Parameter(
        name,
        lambda: helped(QgsProcessingParameterString(name, title, "", False, True), text),
        lambda call: _read(call, name, title),
    )


def outlines(text: str) -> list[Ring]:
    """Closed outlines of a line of text in any script, y upwards; insides follow the even-odd rule."""
    font = QFont()
    font.setStyleHint(QFont.StyleHint.SansSerif)
    font.setWeight(QFont.Weight.Bold)
    font.setPixelSize(SIZE_PX)
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)  # letters of some fonts are made of strokes that overlap
    path.addText(QPointF(0, 0), font, text)
    polygons = path.simplified().toSubpathPolygons()
    rings = [[(round(point.x(), 3), round(-point.y(), 3)) for point in polygon] for polygon in polygons]
    return [ring for ring in rings if len(ring) > 2]


def _read(call: Call, name: str, title: str) -> dict:
    given = call.raw(name)
    text = "" if given is None else " ".join(str(given).split())
    rings = outlines(text) if text else []
    if text and not rings:
        raise TerrainError(
            f"{title} is {text!r}, but no font on this computer has these letters; install one, or leave it empty."
        )
    return {name.lower(): text, f"{name.lower()}_rings": tuple(tuple(ring) for ring in rings)}
