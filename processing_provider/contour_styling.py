"""How contours look: brown lines, index contours thicker and with their heights along them. Imports qgis."""

from __future__ import annotations

from qgis.core import (
    QgsLabeling,
    QgsLineSymbol,
    QgsPalLayerSettings,
    QgsRuleBasedLabeling,
    QgsRuleBasedRenderer,
    QgsTextBufferSettings,
    QgsTextFormat,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

BROWN, DARK_BROWN = "#a8744a", "#7f5539"
THIN_MM, THICK_MM = 0.15, 0.35
LETTERS_PT, HALO_MM = 7.0, 0.7
IS_INDEX = '"index" = 1'
REPEAT_MM = 90.0
"""Distance of heights along a contour."""

SHORTEST_MM = 15.0
"""Contours shorter than this have no height: small rings would vanish under it."""


def style_contours(layer: QgsVectorLayer) -> None:
    """Draw lines by what they are, and write heights along index contours."""
    root = QgsRuleBasedRenderer.Rule(None)
    for label, rule, colour, width in (
        ("Contour", "ELSE", BROWN, THIN_MM),
        ("Index contour", IS_INDEX, DARK_BROWN, THICK_MM),
    ):
        symbol = QgsLineSymbol.createSimple({
            "line_color": colour, "line_width": str(width), "joinstyle": "round", "capstyle": "round",
        })  # fmt: skip
        root.appendChild(QgsRuleBasedRenderer.Rule(symbol, 0, 0, rule, label))
    layer.setRenderer(QgsRuleBasedRenderer(root))
    labels = QgsRuleBasedLabeling.Rule(None)
    labels.appendChild(QgsRuleBasedLabeling.Rule(_heights(), 0, 0, IS_INDEX, "Height"))
    layer.setLabeling(QgsRuleBasedLabeling(labels))
    layer.setLabelsEnabled(True)


def _heights() -> QgsPalLayerSettings:
    """Heights on the lines, their tops uphill or upright."""
    settings = QgsPalLayerSettings()
    settings.fieldName, settings.isExpression = 'to_string("elevation")', True
    settings.placement = QgsPalLayerSettings.Placement.Line
    lines = settings.lineSettings()
    lines.setPlacementFlags(QgsLabeling.LinePlacementFlag.OnLine)
    settings.setLineSettings(lines)
    settings.repeatDistance = REPEAT_MM
    thinning = settings.thinningSettings()
    thinning.setMinimumFeatureSize(SHORTEST_MM)
    settings.setThinningSettings(thinning)
    settings.setFormat(_letters())
    return settings


def _letters() -> QgsTextFormat:
    letters = QgsTextFormat()
    letters.setSize(LETTERS_PT)
    letters.setSizeUnit(QgsUnitTypes.RenderUnit.RenderPoints)
    letters.setColor(QColor(DARK_BROWN))
    halo = QgsTextBufferSettings()
    halo.setEnabled(True)
    halo.setSize(HALO_MM)
    halo.setColor(QColor(255, 255, 255, 200))
    letters.setBuffer(halo)
    return letters
